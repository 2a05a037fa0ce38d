//! A folder of each schema version, which every later program must open.
//!
//! `cargo test -p dctrl-store --test store -- --ignored make_the_fixture` makes
//! that of the present version, once, when the version is new.

use std::fs;
use std::path::{Path, PathBuf};

use dctrl_store::Options;

use crate::chain::{Chain, SEAL, dump};
use crate::check::copy;
use crate::support::open;

const SEED: u64 = 2026;
const HEIGHT: u64 = 9;
/// What the folder of the present version is called.
const PRESENT: &str = "schema-2";
/// All that there are.
const VERSIONS: &[&str] = &[PRESENT];

fn place(version: &str) -> PathBuf {
    // Cargo runs the tests of a crate in its folder.
    Path::new("tests/fixtures").join(version)
}

#[test]
#[ignore = "writes into the source tree"]
fn make_the_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::new(SEED, HEIGHT);
    let store = open(folder.path());
    chain.grow(&store, SEAL);
    drop(store);
    let fixture = copy(folder.path());
    let store = open(folder.path());
    chain.grow(&store, HEIGHT);
    // The last blocks are in the journal only, as a kill leaves them.
    let target = place(PRESENT);
    fs::create_dir_all(target.join("journal")).unwrap();
    for name in ["00000000000000000001.seg", "tip"] {
        let mut bytes = fs::read(folder.path().join("journal").join(name)).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes.truncate(used);
        fs::write(target.join("journal").join(name), bytes).unwrap();
    }
    for entry in fs::read_dir(fixture.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let needed = name == "CURRENT" || name.starts_with("MANIFEST-") || name.contains(".sst");
        if path.is_file() && needed {
            fs::copy(&path, target.join(name)).unwrap();
        }
    }
}

#[test]
fn folders_of_every_version_open_and_hold_the_same_state() {
    let chain = Chain::new(SEED, HEIGHT);
    let fresh = tempfile::tempdir().unwrap();
    let expected = {
        let store = open(fresh.path());
        chain.grow(&store, HEIGHT);
        dump(&store)
    };
    for version in VERSIONS {
        let folder = copy(&place(version));
        let store = open(folder.path());
        assert!(dump(&store) == expected, "{version}");
        drop(store);
        let trust = |_: &dyn dctrl_ledger::StateRead| Some((chain.cluster, chain.genesis.clone()));
        let report = dctrl_store::check::check(folder.path(), &Options::default(), &trust).unwrap();
        assert_eq!(report.findings, [], "{version}");
        assert_eq!(report.state_digest, Some(chain.digest(HEIGHT)));
    }
}
