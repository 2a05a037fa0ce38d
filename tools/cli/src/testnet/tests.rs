//! A testnet's folder is complete, private where it must be, and the same
//! for the same options but for its keys.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use clap::Parser;
use dctrl_proto::v1::Genesis;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: InitArgs,
}

fn args(dir: &Path, more: &[&str]) -> InitArgs {
    let dir = dir.to_str().unwrap();
    let line = ["init", "--dir", dir, "--created-at-ms", "1750000000000"];
    Line::try_parse_from(line.iter().chain(more)).unwrap().args
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

#[test]
fn a_testnet_has_the_files_that_its_processes_expect() {
    let dir = tempfile::tempdir().unwrap();
    let made = init(&args(dir.path(), &["--nodes", "4"])).unwrap();
    assert_eq!(made.nodes.len(), 4);
    for file in [
        "genesis.json",
        "dctrl.toml",
        "node-1/node.toml",
        "node-4/node.toml",
        "node-4/node.key",
        "node-4/data",
        "machine-m1/agent.toml",
        "machine-m1/agent.key",
        "keys/operator.key",
        "keys/alice.key",
        "keys/copayer-3.json",
    ] {
        assert!(dir.path().join(file).exists(), "{file}");
    }
    let expected = "\
genesis = \"../genesis.json\"
key = \"node.key\"
data = \"data\"

[gossip]
listen = \"tcp://127.0.0.1:17010\"

[bus]
listen = \"tcp://127.0.0.1:17011\"
door = \"tcp://127.0.0.1:17012\"

[api]
listen = \"127.0.0.1:17013\"

[chain]
backend = \"simulated\"
url = \"http://127.0.0.1:17900\"

[price]
fixed = [\"EUR=6000000\"]

[log]
dir = \"log\"
";
    assert_eq!(read(&dir.path().join("node-2/node.toml")), expected);
}

#[test]
fn secrets_are_for_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    init(&args(dir.path(), &[])).unwrap();
    for file in [
        "node-1/node.key",
        "keys/operator.key",
        "keys/copayer-1.json",
    ] {
        let mode = fs::metadata(dir.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "keep").unwrap();
    let refused = init(&args(dir.path(), &[])).unwrap_err();
    assert!(matches!(
        refused,
        Failure::Usage {
            rule: "testnet.dir",
            ..
        }
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn ports_out_of_range_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for port in ["1023", "64636", "65535"] {
        let place = dir.path().join(port);
        let refused = init(&args(&place, &["--base-port", port])).unwrap_err();
        assert!(
            matches!(
                refused,
                Failure::Usage {
                    rule: "testnet.ports",
                    ..
                }
            ),
            "{port}"
        );
        assert!(!place.exists());
    }
    init(&args(
        &dir.path().join("last"),
        &["--base-port", "64635", "--nodes", "10"],
    ))
    .unwrap();
}

#[test]
fn the_same_options_differ_in_keys_only() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        init(&args(dir.path(), &[])).unwrap();
    }
    for file in ["node-3/node.toml", "machine-m1/agent.toml", "dctrl.toml"] {
        assert_eq!(
            read(&one.path().join(file)),
            read(&two.path().join(file)),
            "{file}"
        );
    }
    let genesis =
        |dir: &Path| -> Genesis { serde_json::from_str(&read(&dir.join("genesis.json"))).unwrap() };
    let (mut one, mut two) = (genesis(one.path()), genesis(two.path()));
    assert_ne!(one, two);
    for genesis in [&mut one, &mut two] {
        genesis.descriptor.clear();
        for node in &mut genesis.nodes {
            (node.key, node.curve_key) = (Vec::new(), Vec::new());
        }
        genesis
            .members
            .iter_mut()
            .for_each(|member| member.key.clear());
        for copayer in genesis.payouts.iter_mut().flat_map(|one| &mut one.copayers) {
            copayer.fingerprint.clear();
        }
        for machine in &mut genesis.machines {
            (machine.key, machine.curve_key) = (Vec::new(), Vec::new());
        }
    }
    assert_eq!(one, two);
}

#[test]
fn bitcoind_needs_its_cookie_and_gets_its_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("t");
    assert!(
        Line::try_parse_from(["init", "--chain", "bitcoind"]).is_err(),
        "without a cookie"
    );
    let more = [
        "--chain",
        "bitcoind",
        "--bitcoind-cookie",
        "/srv/bitcoin/.cookie",
    ];
    let made = init(&args(&place, &more)).unwrap();
    assert_eq!(made.chain_url, None);
    let settings = read(&place.join("node-1/node.toml"));
    let expected = "\
[chain]
backend = \"bitcoind\"
url = \"http://127.0.0.1:18443\"
cookie = \"/srv/bitcoin/.cookie\"
zmq_rawtx = \"tcp://127.0.0.1:28332\"
zmq_hashblock = \"tcp://127.0.0.1:28333\"
zmq_sequence = \"tcp://127.0.0.1:28334\"
";
    assert!(settings.contains(expected), "{settings}");
    let genesis: Genesis = serde_json::from_str(&read(&place.join("genesis.json"))).unwrap();
    assert_eq!(
        hex::encode(genesis.chain_genesis_hash),
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    );
}
