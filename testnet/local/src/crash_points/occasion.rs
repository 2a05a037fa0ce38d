//! What leads a process to a crash point.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use dctrl_effects::machine::{Alert, AlertFile, AlertKind};

/// When a point is passed, and so what has to be done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A node starts on an empty data folder.
    EmptyFolder,
    /// It starts with an empty folder of the event log.
    EmptyLog,
    /// It starts where the reserve is larger than the disk.
    LittleRoom,
    /// It starts behind a kill at work.
    Restart,
    /// It starts behind a log whose last line has no end.
    TornLog,
    /// It starts with an alert open that is over.
    OldAlert,
    /// The same, in a file that is to begin anew.
    LongAlerts,
    /// A block of the federation.
    Block,
    /// A block of the chain.
    ChainBlock,
    /// Another node loses its disk and is given its seat again.
    NewRoster,
    /// An agent starts.
    AgentStart,
    /// It starts with a journal whose last line has no end.
    TornJournal,
    /// It starts without a journal, as a new incarnation of the machine.
    NewIncarnation,
    /// It carries out an order.
    Vend,
}

/// Points by what they begin with; the first that fits counts. What is not here
/// is the store's, which has processes of its own for it.
const OCCASIONS: [(&str, Occasion); 22] = [
    ("node.ballast.removed", Occasion::LittleRoom),
    ("node.acknowledge.", Occasion::Block),
    ("node.", Occasion::EmptyFolder),
    ("store.schema.", Occasion::EmptyFolder),
    ("store.replay.", Occasion::Restart),
    ("store.reopen.", Occasion::Restart),
    ("store.commit.", Occasion::Block),
    ("effects.log.segment_made", Occasion::EmptyLog),
    ("effects.log.torn_line_cut", Occasion::TornLog),
    ("effects.log.", Occasion::Block),
    ("effects.cursor.", Occasion::ChainBlock),
    ("effects.alerts.set_aside", Occasion::LongAlerts),
    ("effects.alerts.", Occasion::OldAlert),
    ("follow.rosters.", Occasion::NewRoster),
    ("agent.after_safe_state", Occasion::AgentStart),
    ("agent.after_journal_open", Occasion::AgentStart),
    ("agent.before_summary", Occasion::TornJournal),
    ("agent.summary_", Occasion::TornJournal),
    ("agent.after_summary", Occasion::TornJournal),
    ("agent.before_adopted", Occasion::NewIncarnation),
    ("agent.after_adopted", Occasion::NewIncarnation),
    ("agent.", Occasion::Vend),
];

/// Longer than the file of alerts becomes before it begins anew, bytes.
const LONG_ALERTS_BYTES: usize = 9 << 20;

impl Occasion {
    /// `None` where the point is the store's.
    pub(super) fn of(point: &str) -> Option<Self> {
        if point.contains(".before_begun") || point.contains("begun_") {
            return Some(Self::NewIncarnation);
        }
        let found = OCCASIONS.iter().find(|(begin, _)| point.starts_with(begin));
        found.map(|(_, occasion)| *occasion)
    }

    /// Whether the one who dies is the agent.
    pub(super) fn is_agents(self) -> bool {
        matches!(
            self,
            Self::AgentStart | Self::TornJournal | Self::NewIncarnation | Self::Vend
        )
    }

    /// Changes the files of a node that does not run.
    pub(super) fn prepare_node(self, node: &Path) -> Result<()> {
        let (log, alerts) = (node.join("log/events"), node.join("log/alerts.jsonl"));
        match self {
            Self::EmptyFolder => wipe(node)?,
            Self::EmptyLog => fs::remove_dir_all(log)?,
            Self::TornLog => append(&newest(&log)?, br#"{"index":"#)?,
            Self::OldAlert => raise_old_alert(&alerts)?,
            Self::LongAlerts => {
                let mut damaged = vec![b'x'; LONG_ALERTS_BYTES];
                damaged.push(b'\n');
                raise_old_alert(&alerts)?;
                append(&alerts, &damaged)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Changes the files of an agent that does not run.
    pub(super) fn prepare_agent(self, agent: &Path) -> Result<()> {
        let journal = agent.join("journal");
        match self {
            Self::TornJournal => append(&newest(&journal)?, b"{\"torn")?,
            Self::NewIncarnation => fs::remove_dir_all(&journal)?,
            _ => {}
        }
        Ok(())
    }
}

/// Takes a node's disk, and with it all that it has signed.
pub(super) fn wipe(node: &Path) -> Result<()> {
    let data = node.join("data");
    fs::remove_dir_all(&data).with_context(|| data.display().to_string())
}

/// Raises an alert of which the state knows nothing, so that it is over at once.
fn raise_old_alert(alerts: &Path) -> Result<()> {
    let mut file = AlertFile::open(alerts)?;
    let mut now = file.open_alerts().clone();
    now.insert(Alert {
        machine: "m1".to_owned(),
        kind: AlertKind::NotReady("of old".to_owned()),
    });
    Ok(file.update(&now, 1)?)
}

fn append(file: &Path, bytes: &[u8]) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let mut opened: File = opened.with_context(|| file.display().to_string())?;
    Ok(opened.write_all(bytes)?)
}

/// The file that was written last.
fn newest(folder: &Path) -> Result<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.ends_with(".jsonl") || name.ends_with(".journal") {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    let newest = files.into_iter().max();
    newest
        .map(|(_, path)| path)
        .with_context(|| format!("{} is empty", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_of_an_agent_has_an_occasion_and_none_is_a_nodes() {
        for point in dctrl_agent::crash::CRASH_POINTS {
            let occasion = Occasion::of(point);
            assert!(occasion.is_some_and(Occasion::is_agents), "{point}");
        }
        for point in [
            "node.mark.named",
            "effects.log.synced",
            "follow.rosters.named",
        ] {
            let occasion = Occasion::of(point);
            assert!(occasion.is_some_and(|it| !it.is_agents()), "{point}");
        }
        assert_eq!(Occasion::of("store.migrate.before_piece"), None);
    }
}
