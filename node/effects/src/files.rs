//! Look at what a stopped node's effects keep in its folder of logs.
//!
//! All of it can be had again: the event log from the bus, a cursor by walking
//! further, alerts from the ledger, rosters and places from the nodes. What is
//! damaged is therefore set aside and made anew.
//!
//! Deliberately absent: what the effects make of damage themselves. A damaged
//! cursor or file of places is as good as none to them, a damaged alert is
//! skipped; a damaged event log or chain of rosters keeps a node from starting,
//! since somebody may want to save it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use dctrl_consensus::RosterChain;
use dctrl_follow::Places;

use crate::{chain::notifier::cursor, event_logger, machine::AlertFile};

/// The folder of the event log.
pub const EVENTS: &str = "events";
/// The file of the machines' alerts.
pub const ALERTS: &str = "alerts.jsonl";
/// The one before it.
const ALERTS_BEFORE: &str = "alerts.old";
/// The chain notifier's cursor.
pub const CURSOR: &str = "chain.cursor";
/// What files of rosters that were ever believed end with.
pub const ROSTERS_SUFFIX: &str = "rosters";
/// What files of the present nodes' places end with.
const PLACES_SUFFIX: &str = "places";

/// One damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// It, or the folder of the event log.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: String,
}

/// Looks at all files of effects in a folder; others are passed over.
///
/// # Errors
/// Where the folder or a file cannot be read.
pub fn check(folder: &Path) -> io::Result<Vec<Damage>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let mut damages = Vec::new();
    for path in paths {
        if let Some(problem) = problem(&path)? {
            damages.push(Damage { path, problem });
        }
    }
    Ok(damages)
}

fn problem(path: &Path) -> io::Result<Option<String>> {
    let text =
        |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str().map(String::from));
    let (name, suffix) = (text(path.file_name()), text(path.extension()));
    let unreadable = || "it is damaged, and as good as none".to_owned();
    Ok(match (name.as_deref(), suffix.as_deref()) {
        (Some(EVENTS), _) => event_logger::verify(path)
            .err()
            .map(|error| error.to_string()),
        (Some(ALERTS | ALERTS_BEFORE), _) => AlertFile::damaged_line(path)?
            .map(|line| format!("line {line} is damaged, and passed over")),
        (Some(CURSOR), _) => cursor::read(path).is_none().then(unreadable),
        (_, Some(ROSTERS_SUFFIX)) => RosterChain::decode(&fs::read(path)?)
            .err()
            .map(|error| format!("it is damaged: {error}")),
        (_, Some(PLACES_SUFFIX)) => Places::read(path).is_none().then(unreadable),
        _ => None,
    })
}
