//! What is asked of this process's crash points.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

const CRASH: &str = "DCTRL_CRASH";
const VISITS: &str = "DCTRL_CRASH_VISITS";

/// Linux's numbers of the errors that a disk gives.
const ERRORS: [(&str, i32); 2] = [("eio", 5), ("enospc", 28)];

/// What becomes of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    Dies,
    /// With this error of the operating system.
    Fails(i32),
    /// It never returns.
    Hangs,
}

/// The place and the visit that somebody asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    name: String,
    /// From 1.
    visit: u64,
    fate: Fate,
}

pub(super) struct Plan {
    wish: Option<Wish>,
    /// Where first visits are told.
    file: Option<PathBuf>,
    recording: AtomicBool,
    /// Every point that was visited, and how often: at most as many as there
    /// are names.
    visits: Mutex<BTreeMap<String, u64>>,
}

impl Plan {
    pub(super) fn from_environment() -> Self {
        let said = std::env::var(CRASH).ok().filter(|said| !said.is_empty());
        Self {
            wish: said.map(|said| read(&said)),
            file: std::env::var_os(VISITS).map(PathBuf::from),
            recording: AtomicBool::new(false),
            visits: Mutex::default(),
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wish.is_some() || self.file.is_some() || self.recording.load(Ordering::Relaxed)
    }

    pub(super) fn record(&self) {
        self.recording.store(true, Ordering::Relaxed);
    }

    pub(super) fn visited(&self) -> BTreeSet<String> {
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.keys().cloned().collect()
    }

    pub(super) fn visit(&self, name: &str) -> Fate {
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let count = visits.entry(name.to_owned()).or_default();
        *count += 1;
        if *count == 1
            && let Some(file) = &self.file
        {
            let opened = OpenOptions::new().create(true).append(true).open(file);
            // What cannot be told is missing in the campaign's list.
            let _ = opened.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        }
        match &self.wish {
            Some(wish) if wish.name == name && wish.visit == *count => wish.fate,
            _ => Fate::Lives,
        }
    }
}

/// `NAME`, `NAME@K`, each with `!ERROR` behind it or not. What is not so is a
/// name that nobody has, so that nothing happens and the test notices.
fn read(said: &str) -> Wish {
    let (place, error) = said.split_once('!').unwrap_or((said, ""));
    if error == "hang" {
        return wish(place, Fate::Hangs);
    }
    let known = ERRORS.iter().find(|(name, _)| *name == error);
    wish(
        place,
        known.map_or(Fate::Dies, |(_, code)| Fate::Fails(*code)),
    )
}

fn wish(place: &str, fate: Fate) -> Wish {
    let (name, visit) = match place.split_once('@') {
        Some((name, visit)) => (name, visit.parse().unwrap_or(u64::MAX)),
        None => (place, 1),
    };
    Wish {
        name: name.to_owned(),
        visit,
        fate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(said: &str) -> Plan {
        Plan {
            wish: Some(read(said)),
            file: None,
            recording: AtomicBool::new(false),
            visits: Mutex::default(),
        }
    }

    #[test]
    fn a_place_is_named_alone_with_a_visit_and_with_an_error() {
        let one = plan("a.b");
        assert_eq!(
            (one.visit("a.c"), one.visit("a.b")),
            (Fate::Lives, Fate::Dies)
        );
        let third = plan("a.b@3");
        let fates: Vec<Fate> = (0..4).map(|_| third.visit("a.b")).collect();
        assert_eq!(fates, [Fate::Lives, Fate::Lives, Fate::Dies, Fate::Lives]);
        let fails = plan("a.b@2!enospc");
        assert_eq!(fails.visit("a.b"), Fate::Lives);
        assert_eq!(fails.visit("a.b"), Fate::Fails(28));
        assert_eq!(plan("a.b!eio").visit("a.b"), Fate::Fails(5));
        assert_eq!(plan("a.b@1!hang").visit("a.b"), Fate::Hangs);
    }

    #[test]
    fn every_point_that_was_visited_is_noted() {
        let plan = plan("nowhere");
        plan.visit("b");
        plan.visit("a");
        plan.visit("b");
        assert_eq!(plan.visited().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
