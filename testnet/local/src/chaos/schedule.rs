//! What happens to a federation, and when: rounds of faults.
//!
//! In a round anything may fail, as much at once as the schedule says; after it
//! everything is healed, and the federation has to make progress before the
//! next one begins. A schedule is drawn from a seed, and is JSON that can be
//! kept, cut down and played again.

mod draw;

pub(crate) use self::draw::Means;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{nets::Way, relay::Link, volume::Keep, weather::Weather};

/// Rounds of one schedule: days of them.
const ROUNDS_MAX: usize = 20_000;

/// Longest that a process is frozen, milliseconds.
pub(crate) const FREEZE_MS_MAX: u64 = 60_000;

/// All rounds of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    /// The seed it was drawn from.
    pub(crate) seed: u64,
    /// Nodes that it is for; the agent and the chain are the parties after
    /// them.
    pub(crate) nodes: usize,
    /// In order.
    pub(crate) rounds: Vec<Round>,
}

/// A time of trouble, which ends in a heal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Until everything is healed, milliseconds.
    pub(crate) length_ms: u64,
    /// By time.
    pub(crate) faults: Vec<Timed>,
}

/// A fault at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timed {
    /// After the round's begin, milliseconds.
    pub(crate) at_ms: u64,
    /// What happens.
    #[serde(flatten)]
    pub(crate) fault: Fault,
}

/// What can happen. Nodes are positions in the genesis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Fault {
    /// kill -9, and a start after `down_ms`.
    Kill { nodes: Vec<usize>, down_ms: u64 },
    /// A restart with a named place at which the node dies the `hit`-th time
    /// it comes there.
    CrashPoint {
        node: usize,
        place: String,
        hit: u32,
    },
    /// kill -9 of the machine's agent.
    KillAgent { down_ms: u64 },
    /// A restart of the agent with a named place at which it dies.
    AgentCrashPoint { place: String },
    /// SIGSTOP, and SIGCONT after `for_ms`.
    Freeze { node: usize, for_ms: u64 },
    /// The same for the agent.
    FreezeAgent { for_ms: u64 },
    /// The node is killed, its database deleted, and it starts.
    Wipe { node: usize },
    /// These lose power together: processes end, and of what was not synced
    /// only what `keep` says is found again.
    PowerCut {
        nodes: Vec<usize>,
        down_ms: u64,
        keep: Keep,
    },
    /// The agent loses power.
    AgentPowerCut { down_ms: u64, keep: Keep },
    /// The disk takes no more bytes.
    DiskFull { node: usize, for_ms: u64 },
    /// Every sync takes so much longer.
    DiskSlow {
        node: usize,
        sync_ms: u64,
        for_ms: u64,
    },
    /// Every write and sync fails.
    DiskError { node: usize, for_ms: u64 },
    /// Links have this weather, all of the time or, where `flicker_ms` is not
    /// 0, in every other span of that length.
    Links {
        links: Vec<Link>,
        weather: Weather,
        flicker_ms: u64,
        for_ms: u64,
    },
    /// Every connection of these links is reset.
    Reset { links: Vec<Link> },
    /// Hostile clients at every port of the federation.
    Flood { for_ms: u64 },
    /// The node's cable loses what goes this way.
    Cable { node: usize, way: Way, for_ms: u64 },
}

impl Fault {
    /// For counting.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::CrashPoint { .. } => "crash_point",
            Self::KillAgent { .. } => "kill_agent",
            Self::AgentCrashPoint { .. } => "agent_crash_point",
            Self::Freeze { .. } => "freeze",
            Self::FreezeAgent { .. } => "freeze_agent",
            Self::Wipe { .. } => "wipe",
            Self::PowerCut { .. } => "power_cut",
            Self::AgentPowerCut { .. } => "agent_power_cut",
            Self::DiskFull { .. } => "disk_full",
            Self::DiskSlow { .. } => "disk_slow",
            Self::DiskError { .. } => "disk_error",
            Self::Links {
                flicker_ms: 1.., ..
            } => "links_flicker",
            Self::Links { weather, .. } if weather.flip_every > 0 => "links_flip",
            Self::Links { weather, .. } => match weather.passage {
                super::weather::Passage::Open => "links_slow",
                super::weather::Passage::Stalled => "links_stall",
                super::weather::Passage::Swallowed => "links_half_open",
                super::weather::Passage::Refused => "links_refuse",
            },
            Self::Reset { .. } => "links_reset",
            Self::Flood { .. } => "flood",
            Self::Cable { way: Way::Both, .. } => "cable_pulled",
            Self::Cable { way: Way::Out, .. } => "cable_mute",
            Self::Cable { way: Way::In, .. } => "cable_deaf",
        }
    }
}

/// What may be drawn: long campaigns are told what to be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Everything.
    #[default]
    Mixed,
    /// As many kill -9 as restarts allow, in fair and foul weather.
    Kills,
    /// As many power cuts as restarts allow.
    PowerCuts,
    /// Hostile clients and slow links; processes live, so that their memory
    /// can be watched.
    Soak,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Where it is none, or names nodes that there are not.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| file.display().to_string())?;
        let schedule: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no schedule", file.display()))?;
        ensure!(schedule.rounds.len() <= ROUNDS_MAX, "too many rounds");
        let known = schedule.rounds.iter().flat_map(|round| &round.faults);
        for timed in known {
            ensure!(
                timed
                    .fault
                    .nodes()
                    .iter()
                    .all(|node| *node < schedule.nodes),
                "a fault of a node that there is not: {timed:?}"
            );
        }
        Ok(schedule)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(file, text).with_context(|| file.display().to_string())
    }
}

impl Fault {
    /// The nodes whose process, disk or cable it hits.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        match self {
            Self::Kill { nodes, .. } | Self::PowerCut { nodes, .. } => nodes.clone(),
            Self::CrashPoint { node, .. }
            | Self::Freeze { node, .. }
            | Self::Wipe { node }
            | Self::DiskFull { node, .. }
            | Self::DiskSlow { node, .. }
            | Self::DiskError { node, .. }
            | Self::Cable { node, .. } => vec![*node],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
