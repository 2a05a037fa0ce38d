//! Many machines in one federation, each with the agent that serves it.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result};
use dctrl_access::Identity;
use dctrl_proto::v1::{Genesis, Machine, Slot};
use nix::sys::signal::Signal;

use super::steps::Step;
use crate::{
    chaos::{
        checks::Findings,
        load,
        manifest::{self, SLOT_SOLD},
        places,
    },
    federation::{Federation, MACHINE, NODE_NAMES},
    process::{Process, STOP_LIMIT, tail},
    programs::Programs,
    random::Random,
    trace::Trace,
};

/// Every so-many-th agent begins a new file of its journal with each record.
const BEGINS_FILES_EVERY: u16 = 3;

/// One machine and its agent.
pub(super) struct Post {
    pub(super) machine: String,
    pub(super) random: Random,
    pub(super) trace: Trace,
    /// Its journal begins a new file with each record.
    pub(super) begins_files: bool,
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    /// The crash point that it was last started with.
    armed: Option<&'static str>,
}

/// How an agent ended.
pub(super) enum End {
    /// At the crash point that it was started with.
    At(&'static str),
    /// By itself: its last words.
    Strange(String),
}

/// Puts machines into the genesis of a federation that was made and not
/// started, and their agents' files beside it.
///
/// # Errors
/// Where a file cannot be read or written.
pub(super) fn found(
    federation: &Federation,
    programs: &Programs,
    machines: u16,
    seed: u64,
) -> Result<(Genesis, Vec<Post>)> {
    let mut genesis = load::genesis(federation)?;
    let mut posts = Vec::new();
    for number in 1..=machines {
        let machine = format!("m{number}");
        let folder = federation.machine_dir(&machine);
        if machine != MACHINE {
            fs::create_dir(&folder)?;
            let identity = Identity::generate()?;
            identity.save(&folder.join("agent.key"))?;
            genesis.machines.push(Machine {
                id: machine.clone(),
                site: NODE_NAMES[usize::from(number) % federation.len()].to_owned(),
                key: identity.public_key().to_vec(),
                curve_key: identity.curve_public().to_vec(),
                enabled: true,
                ..Machine::default()
            });
            genesis.slots.push(Slot {
                machine_id: machine.clone(),
                slot: SLOT_SOLD.to_owned(),
                product_id: "club-mate".to_owned(),
                ..Slot::default()
            });
        }
        let begins_files = number % BEGINS_FILES_EVERY == 0;
        settle(&folder, &machine, begins_files)?;
        posts.push(Post {
            random: Random::part(seed, &machine),
            trace: federation.trace_of(&machine),
            begins_files,
            program: programs.agent(),
            config: folder.join("agent.toml"),
            log: federation.dir().join(format!("machine-{machine}.log")),
            process: None,
            armed: None,
            machine,
        });
    }
    manifest::stock(&mut genesis);
    let file = federation.dir().join("genesis.json");
    fs::write(file, serde_json::to_vec_pretty(&genesis)?)?;
    Ok((genesis, posts))
}

fn settle(folder: &Path, machine: &str, begins_files: bool) -> Result<()> {
    let bytes_max = if begins_files { 1 } else { 1 << 18 };
    let text = format!(
        "genesis = \"../genesis.json\"\nkey = \"agent.key\"\nmachine = \"{machine}\"\n\
         journal = \"journal\"\njournal_bytes_max = {bytes_max}\nspacing_ms = 0\n\
         heartbeat_s = 20\n\n[actuator]\nkind = \"fake\"\ntrace = \"actuator.trace\"\n\
         pulse_ms = 40\n"
    );
    let file = folder.join("agent.toml");
    fs::write(&file, text).with_context(|| file.display().to_string())
}

impl Post {
    /// Starts the agent, to die at a step or not. The old one must be gone.
    ///
    /// # Errors
    /// Where the program is missing.
    pub(super) fn start(&mut self, step: Option<&Step>) -> Result<()> {
        self.process = None;
        self.armed = None;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config);
        if let Some((step, armed)) = step.and_then(|step| Some((step, step.armed()?))) {
            command.env(places::VARIABLE, armed);
            self.armed = Some(step.name());
        }
        let name = format!("agent of {}", self.machine);
        self.process = Some(Process::start(name, &command, &self.log)?);
        Ok(())
    }

    /// Ends the agent at once.
    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    /// Whether the agent was started and not killed.
    pub(super) fn is_manned(&self) -> bool {
        self.process.is_some()
    }

    /// How the agent ended, once; none while it runs or where it is down.
    pub(super) fn ended(&mut self) -> Option<End> {
        let status = self.process.as_mut()?.ended().ok()??;
        let end = match self.armed {
            Some(name) if aborted(status) => End::At(name),
            _ => End::Strange(format!("{status}: {}", tail(&self.log))),
        };
        self.process = None;
        Some(end)
    }
}

fn aborted(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SIGABRT as i32)
}

/// Asks all agents to stop.
pub(super) async fn stop(mut posts: Vec<Post>, findings: &mut Findings) {
    for process in posts.iter_mut().filter_map(|post| post.process.as_mut()) {
        process.ask_to_stop();
    }
    for post in &mut posts {
        if let Some(mut process) = post.process.take()
            && process.stopped(STOP_LIMIT).await.is_none()
        {
            findings.violation(format!("{} did not stop when asked", process.name()));
        }
    }
}
