//! `dctrl-agent`: actuate one machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Parser;
use dctrl_agent::agent::Agent;
use dctrl_agent::config::{Config, SCHEMA};
use dctrl_agent::stopping::{Phase, STOP_MAX, UNSTOPPED};
use nix::sys::signal::{SigSet, Signal};

/// Exit code of a process that was told twice, as a shell shows SIGINT.
const TOLD_TWICE: i32 = 130;

/// Actuate one machine: obey certified orders, report what happened.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The agent's configuration file.
    #[arg(long, value_name = "FILE", required_unless_present = "document")]
    config: Option<PathBuf>,
    /// Read the configuration, try the key and the actuator, and leave.
    #[arg(long)]
    check: bool,
    /// Print an annotated example configuration and leave.
    #[arg(long)]
    document: bool,
    /// Log as JSON.
    #[arg(long)]
    log_json: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Some(file) = arguments.config else {
        print!("{}", dctrl_settings::document(SCHEMA));
        return Ok(());
    };
    log_to_stderr(arguments.log_json);
    let config = Config::load(&file, std::env::vars())?;
    if arguments.check {
        return check(&config);
    }
    let (stop, phase) = (Arc::new(AtomicBool::new(false)), Arc::new(Phase::default()));
    stop_on_signal(Arc::clone(&stop), Arc::clone(&phase))?;
    let agent = Agent::start(&config, stop)?.tell(phase);
    tracing::info!(machine = config.machine, "the agent runs");
    agent.run()?;
    tracing::info!("the agent has stopped");
    Ok(())
}

fn log_to_stderr(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.init();
    }
}

fn check(config: &Config) -> anyhow::Result<()> {
    let genesis = config.read_genesis()?;
    let federation = dctrl_follow::Federation::from_genesis(&genesis)?;
    config.node_positions(&federation)?;
    let slots = config.slots(&genesis)?;
    dctrl_access::Identity::load(&config.key)?;
    let mut actuator = config.open_actuator(&slots)?;
    actuator.make_safe()?;
    actuator
        .self_test()
        .map_err(|reason| anyhow::anyhow!("the actuator is not ready: {reason}"))?;
    println!("{} slots, ready", slots.len());
    Ok(())
}

/// SIGTERM and SIGINT set `stop`. The signals are blocked in every thread and
/// taken by one that waits for them, so nothing runs in a signal handler. A
/// second signal ends the process at once: every step is in the journal before
/// it is done.
fn stop_on_signal(stop: Arc<AtomicBool>, phase: Arc<Phase>) -> anyhow::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals
        .thread_block()
        .context("the signals cannot be blocked")?;
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            tracing::info!(%signal, "stopping");
        }
        stop.store(true, Ordering::Relaxed);
        std::thread::spawn(move || name_who_stays(&phase));
        if let Ok(signal) = signals.wait() {
            tracing::warn!(%signal, "told twice: ends at once");
            std::process::exit(TOLD_TWICE);
        }
    });
    Ok(())
}

fn name_who_stays(phase: &Phase) {
    if let Some(actor) = phase.outlasts(STOP_MAX) {
        tracing::error!(actor, "does not stop; what it did is in the journal");
        std::process::exit(UNSTOPPED.into());
    }
}
