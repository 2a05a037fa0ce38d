//! What is written to disk. Paths in the settings are relative to their file,
//! so that the folder can be moved.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context as _;
use dctrl_access::Identity;
use dctrl_proto::v1::Genesis;
use serde::Serialize;

use super::{
    ChainKind,
    genesis::MACHINE,
    plan::{NodePlan, Plan},
    wallet::Wallet,
};

/// All keys of a testnet.
#[derive(Debug)]
pub struct Keys {
    /// In the order of the plan.
    pub nodes: Vec<Identity>,
    /// The agent's.
    pub machine: Identity,
    /// A member with the role `operator`.
    pub operator: Identity,
    /// A member.
    pub alice: Identity,
    /// Members with the role `copayer`, in the order of the wallet's keys.
    pub copayers: Vec<Identity>,
    /// The copayers' wallet.
    pub wallet: Wallet,
}

/// Makes all keys and writes each to its file.
///
/// # Errors
/// Where the disk refuses.
pub fn make_keys(dir: &Path, plan: &Plan) -> anyhow::Result<Keys> {
    let machine_dir = dir.join(machine_folder());
    let key_dir = dir.join("keys");
    fs::create_dir(&machine_dir)?;
    fs::create_dir(&key_dir)?;
    let nodes = plan
        .nodes
        .iter()
        .map(|node| {
            fs::create_dir_all(dir.join(&node.folder).join("data"))?;
            key(&dir.join(&node.folder).join("node.key"))
        })
        .collect::<anyhow::Result<_>>()?;
    let wallet = Wallet::generate()?;
    for (copayer, number) in wallet.copayers.iter().zip(1..) {
        write_json(
            &key_dir.join(format!("copayer-{number}.json")),
            copayer,
            0o600,
        )?;
    }
    let copayers = (1..=wallet.copayers.len())
        .map(|number| key(&key_dir.join(format!("copayer-{number}.key"))))
        .collect::<anyhow::Result<_>>()?;
    Ok(Keys {
        nodes,
        copayers,
        machine: key(&machine_dir.join("agent.key"))?,
        operator: key(&key_dir.join("operator.key"))?,
        alice: key(&key_dir.join("alice.key"))?,
        wallet,
    })
}

fn key(file: &Path) -> anyhow::Result<Identity> {
    let identity = Identity::generate()?;
    identity.save(file)?;
    Ok(identity)
}

fn machine_folder() -> String {
    format!("machine-{MACHINE}")
}

/// Writes the genesis and everybody's settings.
///
/// # Errors
/// Where the disk refuses.
pub fn write_settings(dir: &Path, plan: &Plan, genesis: &Genesis) -> anyhow::Result<()> {
    write_json(&dir.join("genesis.json"), genesis, 0o644)?;
    for node in &plan.nodes {
        let text = node_settings(plan, node)?;
        write(&dir.join(&node.folder).join("node.toml"), &text, 0o644)?;
    }
    write(
        &dir.join(machine_folder()).join("agent.toml"),
        &agent_settings(),
        0o644,
    )?;
    write(&dir.join("dctrl.toml"), &client_settings(plan), 0o644)
}

fn node_settings(plan: &Plan, node: &NodePlan) -> anyhow::Result<String> {
    Ok(format!(
        "genesis = \"../genesis.json\"\nkey = \"node.key\"\ndata = \"data\"\n\n\
         [gossip]\nlisten = {}\n\n[bus]\nlisten = {}\ndoor = {}\n\n[api]\nlisten = {}\n\n\
         [chain]\n{}\n[price]\nfixed = [\"EUR=6000000\"]\n\n[log]\ndir = \"log\"\n",
        quoted(&node.gossip()),
        quoted(&node.bus()),
        quoted(&node.door()),
        quoted(&node.api()),
        chain_settings(plan)?,
    ))
}

fn chain_settings(plan: &Plan) -> anyhow::Result<String> {
    let args = &plan.args;
    if let (ChainKind::Simulated, Some(url)) = (args.chain, plan.chain_url()) {
        return Ok(format!("backend = \"simulated\"\nurl = {}\n", quoted(&url)));
    }
    let mut text = format!(
        "backend = \"bitcoind\"\nurl = {}\n",
        quoted(&args.bitcoind_url)
    );
    if let Some(cookie) = &args.bitcoind_cookie {
        // The folder may stand anywhere, so bitcoind's file is named absolutely.
        let path = std::path::absolute(cookie)?;
        let path = path.to_str().context("the cookie's path is not UTF-8")?;
        text += &format!("cookie = {}\n", quoted(path));
    }
    for (name, endpoint) in [
        ("zmq_rawtx", &args.zmq_rawtx),
        ("zmq_hashblock", &args.zmq_hashblock),
        ("zmq_sequence", &args.zmq_sequence),
    ] {
        text += &format!("{name} = {}\n", quoted(endpoint));
    }
    Ok(text)
}

fn agent_settings() -> String {
    format!(
        "genesis = \"../genesis.json\"\nkey = \"agent.key\"\nmachine = {}\njournal = \"journal\"\n\n\
         [actuator]\nkind = \"fake\"\ntrace = \"actuator.trace\"\n",
        quoted(MACHINE)
    )
}

fn client_settings(plan: &Plan) -> String {
    let nodes: Vec<String> = plan
        .nodes
        .iter()
        .map(|node| quoted(&node.api_url()))
        .collect();
    let mut text = format!(
        "nodes = [{}]\nkey = \"keys/operator.key\"\ngenesis = \"genesis.json\"\n",
        nodes.join(", ")
    );
    if let Some(url) = plan.chain_url() {
        text += &format!("chain_url = {}\n", quoted(&url));
    }
    text
}

/// A TOML basic string, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_json<T: Serialize>(file: &Path, value: &T, mode: u32) -> anyhow::Result<()> {
    write(file, &(serde_json::to_string_pretty(value)? + "\n"), mode)
}

fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}
