//! Claims about loading.

use std::io::Write;

use serde::Deserialize;

use super::*;

const COLUMNS: &[Key] = &[
    Key::required("name", Kind::Text, "Its name."),
    Key::with_default(
        "pulse_ms",
        Kind::Integer { min: 1, max: 5000 },
        "200",
        "Pulse.",
    ),
];

const SCHEMA: &[Key] = &[
    Key::required("genesis", Kind::Path, "The genesis file."),
    Key::required("gossip.listen", Kind::SocketAddress, "Where to listen."),
    Key::with_default(
        "gossip.peers_max",
        Kind::Integer { min: 1, max: 64 },
        "16",
        "Most peers.",
    ),
    Key::with_default(
        "chain.backend",
        Kind::Choice(&["simulated", "bitcoind"]),
        "simulated",
        "Which.",
    ),
    Key::optional("price.fixed", Kind::TextList, "Fixed rates."),
    Key::with_default("log.colour", Kind::Bool, "false", "Colour."),
    Key::optional("slot", Kind::Tables(COLUMNS), "The slots."),
];

#[derive(Debug, Deserialize)]
struct Filled {
    genesis: std::path::PathBuf,
    gossip: Gossip,
    chain: Chain,
    #[serde(default)]
    price: Price,
    log: Log,
    slot: Vec<Slot>,
}
#[derive(Debug, Deserialize)]
struct Gossip {
    listen: std::net::SocketAddr,
    peers_max: u16,
}
#[derive(Debug, Deserialize)]
struct Chain {
    backend: String,
}
#[derive(Debug, Default, Deserialize)]
struct Price {
    #[serde(default)]
    fixed: Vec<String>,
}
#[derive(Debug, Deserialize)]
struct Log {
    colour: bool,
}
#[derive(Debug, Deserialize)]
struct Slot {
    name: String,
    pulse_ms: u32,
}

fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Filled, SettingsError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let env: Vec<(String, String)> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load(SCHEMA, file.path(), "DCTRL_X", env.into_iter())
}

fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    load_text(text, env)
        .unwrap_err()
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

const GOOD: &str = "genesis = \"g.json\"\n[gossip]\nlisten = \"127.0.0.1:7000\"\n";

#[test]
fn a_file_is_filled_with_defaults_and_its_paths_count_from_its_folder() {
    let filled = load_text(&format!("{GOOD}[[slot]]\nname = \"A1\"\n"), &[]).unwrap();
    assert_eq!(filled.genesis, std::env::temp_dir().join("g.json"));
    assert_eq!(filled.gossip.listen.port(), 7000);
    assert_eq!(filled.gossip.peers_max, 16);
    assert_eq!(filled.chain.backend, "simulated");
    assert!(!filled.log.colour && filled.price.fixed.is_empty());
    assert_eq!(filled.slot[0].name, "A1");
    assert_eq!(filled.slot[0].pulse_ms, 200);
}

#[test]
fn the_environment_overrides_the_file_and_adds_to_it() {
    let filled = load_text(
        GOOD,
        &[
            ("DCTRL_X__GOSSIP__LISTEN", "[::1]:9"),
            ("DCTRL_X__GOSSIP__PEERS_MAX", "3"),
            ("DCTRL_X__PRICE__FIXED", "EUR=6000000, USD=7"),
            ("DCTRL_X__GENESIS", "/abs/g.json"),
            ("DCTRL_X__LOG__COLOUR", "true"),
            ("DCTRL_CRASH", "not ours"),
            ("DCTRL_XY__GENESIS", "not ours"),
        ],
    )
    .unwrap();
    assert_eq!(filled.gossip.listen.port(), 9);
    assert_eq!(filled.gossip.peers_max, 3);
    assert_eq!(filled.price.fixed, ["EUR=6000000", "USD=7"]);
    assert_eq!(filled.genesis, Path::new("/abs/g.json"));
    assert!(filled.log.colour);
}

#[test]
fn every_problem_is_reported_at_once_with_the_nearest_name() {
    let text = "genesiss = \"g\"\n[gossip]\nlisten = \"nowhere\"\npeers_max = 65\npears = 1\n\
                [chain]\nbackend = \"bitcoin\"\n[log]\ncolour = \"yes\"\n\
                [[slot]]\nname = 1\npuls_ms = 3\n";
    let found = problems(text, &[("DCTRL_X__GOSIP__LISTEN", "1")]);
    let expected = [
        "`genesiss` is no setting; did you mean `genesis`?",
        "`gossip.listen` must be an address and port such as 127.0.0.1:7000, not \"nowhere\"",
        "`gossip.peers_max` must be from 1 to 64, not 65",
        "`gossip.pears` is no setting; did you mean `gossip.peers_max`?",
        "`chain.backend` must be one of simulated, bitcoind, not \"bitcoin\"",
        "`log.colour` must be true or false, not a text",
        "`slot[0].name` must be a text, not a whole number",
        "`slot[0].puls_ms` is no setting; did you mean `slot[0].pulse_ms`?",
        "`DCTRL_X__GOSIP__LISTEN` is no setting; did you mean `gossip.listen`?",
        "`genesis` is required: The genesis file.",
    ];
    for line in expected {
        assert!(found.iter().any(|one| one == line), "{line}\nin {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_wrong_override_names_the_variable_and_a_right_one_heals_the_file() {
    let broken = GOOD.replace("127.0.0.1:7000", "nowhere");
    assert!(load_text(&broken, &[("DCTRL_X__GOSSIP__LISTEN", "127.0.0.1:1")]).is_ok());
    let found = problems(GOOD, &[("DCTRL_X__GOSSIP__PEERS_MAX", "many")]);
    assert_eq!(
        found,
        ["`DCTRL_X__GOSSIP__PEERS_MAX` must be a whole number from 1 to 64, not \"many\""]
    );
}

#[test]
fn a_file_that_is_no_toml_or_is_not_there_is_one_problem() {
    let found = problems("genesis = \n", &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("the file is not TOML: line 1:"),
        "{found:#?}"
    );
    let missing = load::<Filled>(SCHEMA, Path::new("/nowhere.toml"), "X", std::iter::empty());
    assert_eq!(missing.unwrap_err().problems.len(), 1);
}

#[test]
fn a_section_that_is_a_value_is_refused() {
    let found = problems("gossip = 1\ngenesis = \"g\"\n", &[]);
    assert_eq!(found, ["`gossip` must be a section"]);
}

#[test]
fn the_document_loads_once_its_required_settings_are_filled_in() {
    let text = document(SCHEMA)
        .replace("# genesis = …", "genesis = \"g\"")
        .replace("# listen = …", "listen = \"127.0.0.1:7000\"");
    let filled = load_text(&text, &[]).unwrap();
    assert_eq!(filled.gossip.peers_max, 16);
    assert!(
        text.contains("# The genesis file. (required, a path)"),
        "{text}"
    );
}
