//! `demo`: a payment becomes one vend, shown to a person step by step.

mod arguments;
mod outcome;
mod steps;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::arguments::Arguments;
use self::outcome::Outcome;
use crate::{federation::Federation, process::tail, programs::Programs, story::Story};

/// Runs the demonstration to its end, or until Ctrl-C; whatever was started is
/// stopped in every case.
///
/// # Errors
/// Where not even a folder for it can be made.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    arguments.check()?;
    let mut story = Story::new(arguments.json);
    let mut interrupt = Interrupt::new()?;
    let temporary = tempfile::Builder::new().prefix("dctrl-demo-").tempdir()?;
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| temporary.path().join("federation"));

    story.step(format!(
        "Making a federation of {} operators in {}",
        arguments.nodes,
        dir.display()
    ));
    let federation = Federation::init(arguments.options(), programs, &dir).await;
    let mut federation = match federation {
        Ok(federation) => federation,
        Err(error) => {
            story.tell(format!("FAILED: {error:#}"));
            if arguments.json {
                story.result(&Outcome::failed_before_start(&arguments, &error));
            }
            return Ok(ExitCode::FAILURE);
        }
    };

    let ended = tokio::select! {
        ended = steps::play(&arguments, &mut federation, &mut story) => Some(ended),
        () = interrupt.wait() => None,
    };
    let succeeded = match ended {
        Some(Ok(outcome)) => {
            story.step("Result");
            story.tell(outcome.describe());
            if !arguments.once {
                stay(&federation, &mut story, &mut interrupt).await;
            }
            stop(&mut federation, &mut story).await;
            if arguments.json {
                story.result(&outcome.json());
            }
            outcome.ok()
        }
        Some(Err(error)) => {
            story.tell(format!("FAILED: {error:#}"));
            stop(&mut federation, &mut story).await;
            let kept = keep_logs(&federation, temporary, &story);
            if arguments.json {
                story.result(&Outcome::failed(&arguments, &error, &kept));
            }
            false
        }
        None => {
            stop(&mut federation, &mut story).await;
            if arguments.json {
                let error = anyhow::anyhow!("interrupted before the vend");
                story.result(&Outcome::failed(&arguments, &error, &[]));
            }
            false
        }
    };
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Stays up and says what to try, until Ctrl-C.
async fn stay(federation: &Federation, story: &mut Story, interrupt: &mut Interrupt) {
    story.step("The federation stays up. Try, in another terminal:");
    story.tell(format!(
        "alias dctrl='{} --config {}'",
        federation.cli().program().display(),
        federation.cli_config().display()
    ));
    story.tell(steps::next_commands(federation));
    story.tell("Ctrl-C stops everything.");
    interrupt.wait().await;
}

async fn stop(federation: &mut Federation, story: &mut Story) {
    story.step("Stopping the agent, the nodes and the chain");
    let killed = federation.stop().await;
    if killed.is_empty() {
        story.tell("all have ended");
    } else {
        story.tell(format!("had to be killed: {}", killed.join(", ")));
    }
}

/// After a failure the folder is kept and the logs are named.
fn keep_logs(
    federation: &Federation,
    temporary: tempfile::TempDir,
    story: &Story,
) -> Vec<std::path::PathBuf> {
    // The folder now outlives us; where it is follows from the logs' paths.
    let _ = temporary.keep();
    let logs = federation.logs();
    story.tell("The logs end so; the whole folder is kept:");
    for log in &logs {
        story.tell(format!("--- {}", log.display()));
        story.tell(tail(log));
    }
    logs
}

/// Ctrl-C, or a request to end from a supervisor or a closed terminal.
struct Interrupt {
    signals: [Signal; 3],
}

impl Interrupt {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            signals: [
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
            ],
        })
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
