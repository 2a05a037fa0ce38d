//! What keeps a node from starting is told in one go, and names the fault.

use std::{fs, path::Path};

use dctrl_access::Identity;
use dctrl_effects::price::TimeUnit;
use dctrl_node::{
    check, config,
    membership::{Membership, MembershipError},
};
use dctrl_proto::v1::{Genesis, Node};

fn write_config(folder: &Path, text: &str) -> std::path::PathBuf {
    let file = folder.join("node.toml");
    fs::write(&file, text).expect("the folder is writable");
    file
}

const GOOD: &str = r#"
genesis = "genesis.json"
key = "node.key"
data = "data"
[gossip]
listen = "tcp://127.0.0.1:17000"
[bus]
listen = "tcp://127.0.0.1:17001"
door = "tcp://127.0.0.1:17002"
[api]
listen = "127.0.0.1:17003"
[chain]
backend = "simulated"
url = "http://127.0.0.1:17900"
[log]
dir = "log"
"#;

#[test]
fn paths_count_from_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::load(&write_config(folder.path(), GOOD)).unwrap();
    assert_eq!(config.genesis, folder.path().join("genesis.json"));
    assert_eq!(config.log.dir, folder.path().join("log"));
    assert_eq!(config.price.poll_s, 60);
}

#[test]
fn several_backends_are_rows_and_each_fault_is_named_by_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let load = |rows: &str| {
        let single = "[chain]\nbackend = \"simulated\"\nurl = \"http://127.0.0.1:17900\"";
        let text = GOOD.replace(single, rows);
        config::load(&write_config(folder.path(), &text))
    };
    let simulated = "[[chain.backend]]\nkind = \"simulated\"\nurl = \"http://127.0.0.1:1\"\n";
    let electrum = "[[chain.backend]]\nkind = \"electrum\"\nurl = \"tcp://127.0.0.1:2\"\n";
    let config = load(&format!("{simulated}{electrum}")).unwrap();
    let standings = config.chain.backends().unwrap().board().standings();
    let keys: Vec<&str> = standings.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["chain.backend[0]", "chain.backend[1]"]);

    let locked = "[[chain.backend]]\nkind = \"bitcoind\"\nurl = \"http://127.0.0.1:3\"\n";
    let config = load(&format!("{simulated}{locked}")).unwrap();
    let told = config.chain.backends().unwrap_err().to_string();
    assert!(told.contains("chain.backend[1].cookie"), "{told}");
    let unknown = load(&simulated.replace("simulated", "floppy")).unwrap_err();
    assert!(unknown.to_string().contains("chain.backend[0].kind"));
    let single = config::load(&write_config(folder.path(), GOOD)).unwrap();
    assert_eq!(
        single.chain.backends().unwrap().board().standings().len(),
        1
    );
}

#[test]
fn a_time_of_the_quote_is_taken_where_the_source_has_one_and_refused_where_nobody_looks() {
    let folder = tempfile::tempdir().unwrap();
    let load = |shape: &str, keys: &str| {
        let row = format!(
            "[[price.source]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\n\
             shape = \"{shape}\"\ncurrency = \"EUR\"\n{keys}\n"
        );
        config::load(&write_config(folder.path(), &format!("{GOOD}{row}")))
    };
    let time = |shape: &str, keys: &str| {
        let sources = load(shape, keys).unwrap().price.sources();
        let time = sources.unwrap().remove(0).time;
        time.map(|time| (time.pointer, time.unit))
    };
    let dated = "pointer = \"/p\"\ntime_pointer = \"/t\"";
    assert_eq!(time("pointer", "pointer = \"/p\""), None);
    let seconds = ("/t".to_owned(), TimeUnit::Seconds);
    assert_eq!(time("pointer", dated), Some(seconds));
    let exact = format!("{dated}\ntime_unit = \"ms\"");
    let milliseconds = ("/t".to_owned(), TimeUnit::Milliseconds);
    assert_eq!(time("pointer", &exact), Some(milliseconds));
    let timestamp = ("/timestamp".to_owned(), TimeUnit::Seconds);
    assert_eq!(time("bitstamp", ""), Some(timestamp));

    let refused = |shape: &str, keys: &str| {
        let sources = load(shape, keys).unwrap().price.sources();
        sources.unwrap_err().to_string()
    };
    let told = refused("kraken", dated);
    assert!(told.starts_with("price.source[0].time_pointer"), "{told}");
    let told = refused("pointer", "time_pointer = \"t\"");
    assert!(told.starts_with("price.source[0].time_pointer"), "{told}");
    let unit = load("pointer", "time_unit = \"minutes\"").unwrap_err();
    assert!(unit.to_string().contains("price.source[0].time_unit"));
}

#[test]
fn every_problem_of_the_file_is_told_at_once_with_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD
        .replace("[bus]\nlisten", "[bus]\nlistne")
        .replace("\"simulated\"", "\"floppy\"")
        .replace("\"127.0.0.1:17003\"", "\"everywhere\"");
    let error = config::load(&write_config(folder.path(), &text)).unwrap_err();
    let told = error.to_string();
    for fault in ["bus.listne", "bus.listen", "chain.backend", "api.listen"] {
        assert!(told.contains(fault), "{fault} is not in: {told}");
    }
    assert!(error.problems.len() >= 3, "{told}");
}

fn genesis_of(name: &str, identity: &Identity) -> Genesis {
    Genesis {
        name: "test".into(),
        nodes: vec![Node {
            name: name.into(),
            key: identity.public_key().to_vec(),
            curve_key: identity.curve_public().to_vec(),
            ..Node::default()
        }],
        ..Genesis::default()
    }
}

#[test]
fn a_key_that_is_not_in_the_genesis_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (member, stranger) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let file = folder.path().join("genesis.json");
    let genesis = genesis_of("alpha", &member);
    fs::write(&file, serde_json::to_vec(&genesis).unwrap()).unwrap();

    assert_eq!(
        Membership::load(&file, &member, false)
            .unwrap()
            .me
            .unwrap()
            .0,
        0
    );
    let error = Membership::load(&file, &stranger, false).unwrap_err();
    assert!(matches!(error, MembershipError::NotAMember { .. }));
    assert!(error.to_string().contains("alpha"));
}

#[test]
fn a_genesis_that_is_not_json_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("genesis.json");
    fs::write(&file, "{\"name\": }").unwrap();
    let error = Membership::load(&file, &Identity::generate().unwrap(), false).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn check_names_every_fault_of_the_genesis() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::generate().unwrap();
    identity.save(&folder.path().join("node.key")).unwrap();
    let genesis = genesis_of("alpha", &identity);
    fs::write(
        folder.path().join("genesis.json"),
        serde_json::to_vec(&genesis).unwrap(),
    )
    .unwrap();
    let config = config::load(&write_config(folder.path(), GOOD)).unwrap();
    let told = check(&config).unwrap_err().to_string();
    for fault in ["descriptor", "network", "endpoint"] {
        assert!(told.contains(fault), "{fault} is not in: {told}");
    }
}
