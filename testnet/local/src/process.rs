//! One child process: its log file, its life and its end.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::wait::POLL;

/// How long a process may take to end after SIGTERM.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(8);

/// A process that was needed has ended: its name, its status and the end of its
/// log. Who waits for it waits no longer.
#[derive(Debug)]
pub(crate) struct Ended(String);

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Ended {}

/// A child of ours. Dropping it kills it: nothing that a failed test started
/// stays behind.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its output is appended to `log`.
    ///
    /// Program, arguments and environment of `command` count, nothing else of it.
    /// The process gets a group of its own, so that Ctrl-C at a terminal
    /// reaches only us and we can stop everything in order.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(name: impl Into<String>, command: &Command, log: &Path) -> Result<Self> {
        let name = name.into();
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        let program = command.get_program().display().to_string();
        let child = bound_to_us(command)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}: {program}"))?;
        Ok(Self {
            name,
            child,
            log: log.to_path_buf(),
        })
    }

    /// For people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operating system's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with everything it said.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, or none while it runs.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot ask after {}", self.name))
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    /// Fails where the process has ended, with the end of its log.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn must_live(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            let log = tail(&self.log);
            let said = format!("{} ended with {status}: {}", self.name, log.trim());
            return Err(Ended(said).into());
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM). Nothing happens where it has ended already.
    pub fn ask_to_stop(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it at once (SIGKILL), as a power cut would, and waits for that.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        // A process that was killed ends; its status carries no news.
        let _ = self.child.wait();
    }

    /// As [`Self::kill`], but without waiting: several can lose power together.
    pub fn strike(&mut self) {
        self.signal(Signal::SIGKILL);
    }

    /// Holds it where it is (SIGSTOP) until [`Self::thaw`].
    pub fn freeze(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until it has ended, or kills it after `limit`. Gives the status
    /// of an end in time.
    pub async fn stopped(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(Some(status)) = self.ended() {
                return Some(status);
            }
            tokio::time::sleep(POLL).await;
        }
        self.kill();
        None
    }

    fn signal(&mut self, signal: Signal) {
        if !self.is_alive() {
            return;
        }
        // Not yet waited for, so the id is still this process and no other.
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It may end between the question and the signal.
            let _ = kill(Pid::from_raw(id), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_alive() {
            self.kill();
        }
    }
}

/// The same command through `setpriv`, where there is one (it is essential on
/// Debian): should we be killed without a chance to clean up, the kernel kills
/// our children too.
fn bound_to_us(command: &Command) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    let mut bound = if setpriv.is_file() {
        let mut bound = Command::new(setpriv);
        bound
            .args(["--pdeathsig", "KILL"])
            .arg(command.get_program());
        bound
    } else {
        Command::new(command.get_program())
    };
    bound.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

/// How much of a log is shown, bytes.
const TAIL_BYTES: usize = 1_500;

/// How much of a log is searched for a panic, bytes.
const SEARCHED_BYTES: u64 = 256 * 1024;

/// What Rust writes when a thread panics; a long backtrace may follow.
const PANIC: &str = "panicked at";

/// What a log ends with, for a failure's report: the last panic, or else the
/// last lines.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SEARCHED_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => essence(&text).to_owned(),
        Err(error) => format!("(the log cannot be read: {error})"),
    }
}

fn essence(text: &str) -> &str {
    if let Some(at) = text.rfind(PANIC) {
        let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = text.ceil_char_boundary((begin + TAIL_BYTES).min(text.len()));
        let panic = &text[begin..end];
        // Where the stack begins, the message is over.
        return panic
            .find("\nstack backtrace")
            .map_or(panic, |end| &panic[..end]);
    }
    &text[text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script]), log).expect("sh")
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_is_killed_after_the_limit() {
        let folder = tempfile::tempdir().expect("folder");
        let log = folder.path().join("log");
        let mut process = shell("trap '' TERM; echo up; while :; do sleep 1; done", &log);
        crate::until(Duration::from_secs(5), "the trap", async || {
            Ok(std::fs::read_to_string(&log)?.contains("up").then_some(()))
        })
        .await
        .expect("up");
        process.ask_to_stop();
        assert!(process.stopped(Duration::from_millis(200)).await.is_none());
        assert!(!process.is_alive());
    }

    #[tokio::test]
    async fn an_early_end_is_reported_with_the_end_of_the_log() {
        let folder = tempfile::tempdir().expect("folder");
        let mut process = shell("echo no such key; exit 7", &folder.path().join("log"));
        process.stopped(Duration::from_secs(5)).await.expect("ends");
        let text = process.must_live().expect_err("ended").to_string();
        assert!(
            text.contains("exit status: 7") && text.contains("no such key"),
            "{text}"
        );
    }

    #[test]
    fn a_panic_is_shown_rather_than_the_end_of_its_backtrace() {
        let stack = "   9: main\n".repeat(1_000);
        let text =
            format!("up\nthread 'x' panicked at a.rs:1:2:\nbroken\nstack backtrace:\n{stack}");
        assert_eq!(essence(&text), "thread 'x' panicked at a.rs:1:2:\nbroken");
        assert!(essence(&stack).len() <= TAIL_BYTES);
    }

    #[test]
    fn a_dropped_process_does_not_live_on() {
        let folder = tempfile::tempdir().expect("folder");
        let process = shell("exec sleep 60", &folder.path().join("log"));
        let id = i32::try_from(process.id()).expect("id");
        drop(process);
        assert!(kill(Pid::from_raw(id), None).is_err());
    }
}
