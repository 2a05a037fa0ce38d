//! The `dctrl` command line, run as a person runs it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::wait::within;

/// Longest run of one command.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output, where the command succeeded.
    ///
    /// # Errors
    /// Where it did not, with what it said.
    pub fn ok(self) -> Result<String> {
        if self.code == 0 {
            Ok(self.out)
        } else {
            bail!("exit code {}: {}{}", self.code, self.err, self.out)
        }
    }
}

/// The command line with the settings of one federation.
#[derive(Debug, Clone)]
pub struct Cli {
    program: PathBuf,
    config: Option<PathBuf>,
}

impl Cli {
    /// The program without settings.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            config: None,
        }
    }

    /// The program with a settings file.
    #[must_use]
    pub fn with_config(mut self, config: PathBuf) -> Self {
        self.config = Some(config);
        self
    }

    /// Where the program is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs one command to its end.
    ///
    /// # Errors
    /// Where it cannot be started or does not end in time.
    pub async fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Said> {
        let mut command = Command::new(&self.program);
        // What the caller's shell has set must not change what we drive.
        command
            .env_remove("DCTRL_CONFIG")
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        within(COMMAND_LIMIT, "the command `dctrl`", async {
            let output = command
                .output()
                .await
                .with_context(|| format!("cannot start {}", self.program.display()))?;
            Ok(Said {
                code: output.status.code().unwrap_or(-1),
                out: String::from_utf8_lossy(&output.stdout).into_owned(),
                err: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        })
        .await
    }

    /// Runs one command with `--json` and reads its answer.
    ///
    /// # Errors
    /// Where it fails or answers no JSON.
    pub async fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let out = self
            .run(&all)
            .await?
            .ok()
            .with_context(|| format!("`dctrl {}` failed", all.join(" ")))?;
        serde_json::from_str(&out).with_context(|| format!("no JSON: {out}"))
    }
}
