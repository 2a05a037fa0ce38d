//! The node's database, journal and states for peers.

use std::fs;
use std::path::{Path, PathBuf};

use dctrl_consensus::snapshot::{StateManifest, chunk_digest};
use dctrl_ledger::StateRead;
use dctrl_store::check::check;
use dctrl_store::{Extent, Options, Store, set_aside};
use tempfile::TempDir;

use crate::chain::{Chain, SEAL, dump};
use crate::damage::{Chance, copy, damage, files};
use crate::tally::{Tally, Verdict};

const HEIGHT: u64 = 12;
/// To where every store must come in the end.
const NEXT: u64 = 13;
const OLDER: u64 = 7;
/// What a segment keeps of the zeros behind its last entry.
const ZEROS: usize = 8192;

/// Data folders to damage, and what they hold.
pub(crate) struct Images {
    home: TempDir,
    chain: Chain,
    /// What is read at [`HEIGHT`] and at [`NEXT`].
    expected: Vec<Vec<u8>>,
    next: Vec<Vec<u8>>,
}

fn options() -> Options {
    Options {
        sync: false,
        segment_bytes: 256 << 10,
        ..Options::default()
    }
}

/// As a node has it: only then the end of the journal is noted.
fn synced() -> Options {
    Options {
        sync: true,
        ..options()
    }
}

impl Images {
    pub(crate) fn new(seed: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let chain = Chain::new(seed, NEXT);
        let live = home.path().join("live");
        let at = |name: &str| home.path().join(name);
        let store = Store::open(&live, &synced()).unwrap();
        chain.grow(&store, SEAL);
        store.checkpoint().unwrap();
        store.export(SEAL).unwrap();
        chain.grow(&store, OLDER);
        drop(store);
        copy(&live, &at("older"));
        copy(&live, &at("crashed"));
        let store = Store::open(&live, &synced()).unwrap();
        chain.grow(&store, HEIGHT);
        let expected = dump(&store);
        // As a kill leaves it: the database's files are older than the journal.
        copy(&live.join("journal"), &at("crashed").join("journal"));
        stage(&store);
        drop(store);
        copy(&live, &at("closed"));
        let store = Store::open(&live, &synced()).unwrap();
        chain.grow(&store, NEXT);
        let next = dump(&store);
        drop(store);
        for name in ["older", "crashed", "closed"] {
            trim(&at(name).join("journal"));
        }
        Self {
            home,
            chain,
            expected,
            next,
        }
    }

    /// Damages one file of a copy, and looks what becomes of it.
    pub(crate) fn case(&self, chance: &mut Chance, tally: &mut Tally) {
        let image = self.home.path().join(chance.one(&["closed", "crashed"]));
        let mut all = files(&image);
        all.retain(|file| type_of(file).is_some());
        // Each type as often as the others.
        let mut types: Vec<_> = all.iter().filter_map(|file| type_of(file)).collect();
        types.sort_unstable();
        types.dedup();
        let wanted = *chance.one(&types);
        all.retain(|file| type_of(file) == Some(wanted));
        let file = chance.one(&all).clone();
        let others: Vec<_> = files(&image)
            .iter()
            .map(|other| image.join(other))
            .collect();
        let older = self.older(&file, &all, chance);

        let case = tempfile::tempdir().unwrap();
        copy(&image, case.path());
        let done = damage(&case.path().join(&file), &others, Some(&older), chance);
        let what = format!(
            "{done:?} {} of {}",
            file.display(),
            image.file_name().unwrap().display()
        );
        let (verdict, healed) = self.judge(case.path());
        tally.add(wanted, verdict, healed, &what);
    }

    /// An earlier version of the file; another one of its kind where there was
    /// none.
    fn older(&self, file: &Path, alike: &[PathBuf], chance: &mut Chance) -> PathBuf {
        let older = self.home.path().join("older");
        let same = older.join(file);
        if same.exists() && type_of(file) != Some("database-table") {
            return same;
        }
        older.join(chance.one(alike))
    }

    fn judge(&self, case: &Path) -> (Verdict, bool) {
        let trust = |_: &dyn StateRead| Some((self.chain.cluster, self.chain.genesis.clone()));
        let report = check(case, &options(), &trust);
        let sound = report.as_ref().is_ok_and(|report| report.is_sound());
        if !sound {
            let of_exports = |report: &dctrl_store::check::Report| {
                report
                    .findings
                    .iter()
                    .all(|finding| finding.place == "seals")
            };
            let extent = if report.as_ref().is_ok_and(of_exports) {
                Extent::Exports
            } else {
                Extent::Everything { mark: "instance" }
            };
            set_aside(case, extent).unwrap();
            return (Verdict::Detected, self.comes_to_next(case));
        }
        let store = Store::open(case, &options()).unwrap();
        let found = dump(&store);
        drop(store);
        let verdict = if found == self.expected {
            Verdict::Harmless
        } else if is_earlier(&found, &self.expected) {
            Verdict::SetBack
        } else {
            Verdict::Served
        };
        (verdict, self.comes_to_next(case))
    }

    /// Whether the store takes the blocks of its peers and ends equal.
    fn comes_to_next(&self, case: &Path) -> bool {
        let store = Store::open(case, &options()).unwrap();
        self.chain.grow(&store, NEXT);
        dump(&store) == self.next
    }
}

/// The height is the first thing that a store says.
fn is_earlier(found: &[Vec<u8>], expected: &[Vec<u8>]) -> bool {
    found[0] < expected[0]
}

/// Leaves a part of a state that is being taken over.
fn stage(store: &Store) {
    let chunk = vec![7; 5000];
    let manifest = StateManifest {
        height: 99,
        state_digest: dctrl_consensus::Digest::ZERO,
        bytes: 5000,
        chunk_bytes: u32::try_from(dctrl_store::limits::STATE_CHUNK_BYTES).unwrap(),
        chunks: vec![chunk_digest(&chunk)],
    };
    let mut install = store.install(manifest).unwrap();
    assert!(install.put(0, &chunk).unwrap());
}

/// Cuts the room behind the entries off, so that copies are short.
fn trim(journal: &Path) {
    for file in files(journal) {
        let path = journal.join(file);
        let bytes = fs::read(&path).unwrap();
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        fs::write(&path, &bytes[..bytes.len().min(used + ZEROS)]).unwrap();
    }
}

/// What kind of file it is; nothing for locks and RocksDB's text log, which
/// nobody reads.
fn type_of(file: &Path) -> Option<&'static str> {
    let name = file.file_name()?.to_str()?;
    if file.starts_with("seals") {
        return Some("seal").filter(|_| !name.starts_with("LOG"));
    }
    Some(match name {
        "CURRENT" => "database-current",
        "IDENTITY" => "database-identity",
        "tip" => "journal-tip",
        _ if name.ends_with(".seg") => "journal",
        _ if name.ends_with(".sst") => "database-table",
        _ if name.ends_with(".log") => "database-log",
        _ if name.starts_with("MANIFEST-") => "database-manifest",
        _ if name.starts_with("OPTIONS-") => "database-options",
        _ => return None,
    })
}
