//! Read the whole store through once a week, slowly, and say what is damaged.
//!
//! A disk that rots says nothing until somebody reads, and by then the peers may
//! have forgotten what it held. What is found is an alert in the node's status,
//! by file or column, until a later pass finds it no more; the node works on,
//! since what it reads for its work is checked then, too.
//!
//! Deliberately absent: mending. `dctrl db repair` sets the damaged data of a
//! stopped node aside, and its peers give them again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dctrl_store::{Scrub, Scrubbed, Store};

/// Behind a start, which has other things to read.
const FIRST_AFTER: Duration = Duration::from_secs(10 * 60);
/// Between the ends of two passes.
const PASS_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes read at once, and the pause behind that: a megabyte a second. A segment
/// of the journal is read as a whole.
const STEP_BYTES: usize = 2 << 20;
const STEP_PAUSE: Duration = Duration::from_secs(2);

/// Findings that are shown; with more, nothing is left to save.
const FINDINGS_MAX: usize = 8;

/// What was found, as sentences. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings(Arc<Mutex<BTreeSet<String>>>);

impl Findings {
    /// For people; empty where all is sound.
    pub(crate) fn sentences(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn add(&self, sentence: &str) {
        let mut findings = self.lock();
        if findings.len() < FINDINGS_MAX {
            findings.insert(sentence.to_owned());
        }
    }

    /// Forgets what the last pass did not find.
    fn keep(&self, found: &BTreeSet<String>) {
        self.lock().retain(|sentence| found.contains(sentence));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A set is whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scrubs until it is aborted.
pub(crate) async fn run(store: Store, findings: Findings) {
    tokio::time::sleep(FIRST_AFTER).await;
    loop {
        if !pass(&store, &findings, STEP_PAUSE).await {
            return;
        }
        tokio::time::sleep(PASS_EVERY).await;
    }
}

/// One pass; false where the runtime ends.
async fn pass(store: &Store, findings: &Findings, pause: Duration) -> bool {
    let mut scrub = Scrub::default();
    let mut found = BTreeSet::new();
    loop {
        let store = store.clone();
        let step = tokio::task::spawn_blocking(move || {
            let stepped = scrub.step(&store, STEP_BYTES);
            (scrub, stepped)
        });
        let Ok((next, stepped)) = step.await else {
            return false;
        };
        scrub = next;
        match stepped {
            Ok(Scrubbed::Part) => {}
            Ok(Scrubbed::Whole) => {
                findings.keep(&found);
                return true;
            }
            Err(finding) => {
                let sentence = format!(
                    "the disk is damaged: {}: {}; stop the node and see `dctrl db check`",
                    finding.place, finding.problem
                );
                tracing::error!("{sentence}");
                findings.add(&sentence);
                found.insert(sentence);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dctrl_store::Options;

    use super::*;

    #[tokio::test]
    async fn damage_is_shown_until_a_pass_finds_it_no_more() {
        let folder = tempfile::tempdir().unwrap();
        // Segments so short that each record fills one.
        let options = Options {
            segment_bytes: 4096,
            ..Options::default()
        };
        let store = Store::open(folder.path(), &options).unwrap();
        for number in 1..=9 {
            let mut batch = store.begin();
            batch.record(number, [7; 5000]);
            store.commit(batch).unwrap();
        }
        let findings = Findings::default();
        let of_a_pass = async || {
            assert!(pass(&store, &findings, Duration::ZERO).await);
            findings.sentences()
        };
        assert!(of_a_pass().await.is_empty());
        let segment = folder.path().join(format!("journal/{:020}.seg", 1));
        let sound = fs::read(&segment).unwrap();
        let mut damaged = sound.clone();
        // In the header of the first entry.
        damaged[5] ^= 1;
        fs::write(&segment, damaged).unwrap();
        let [sentence] = &of_a_pass().await[..] else {
            panic!("one damage: {:?}", findings.sentences());
        };
        assert!(sentence.contains("journal segment 1"), "{sentence}");
        fs::write(&segment, sound).unwrap();
        assert!(of_a_pass().await.is_empty());
    }

    #[test]
    fn no_more_than_so_many_findings_are_shown() {
        let findings = Findings::default();
        for number in 0..2 * FINDINGS_MAX {
            findings.add(&number.to_string());
        }
        assert_eq!(findings.sentences().len(), FINDINGS_MAX);
    }
}
