//! A federation as the seed wants it: rules of consensus, settings, and every
//! connection through a relay.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Consensus, Genesis, Slot};
use serde::{Deserialize, Serialize};

use super::{
    nets,
    relay::{Link, Relays},
};
use crate::{
    federation::{Federation, MACHINE},
    ports::CHAIN,
    random::Random,
};

/// The slot that vends are sold from; it is never empty.
pub(super) const SLOT_SOLD: &str = "A1";

/// The slot that only counts: each unit that is put in is missing at once, and
/// what was received is the number of actions that took effect.
pub(super) const SLOT_COUNTED: &str = "Z9";

/// As much as a slot may hold, and more than a campaign sells.
const CAPACITY: u32 = 10_000;

/// How long a quote waits for money, milliseconds. All customers ask with one
/// key, which may leave few quotes of a machine open: those that are never paid
/// must not keep it from asking for the rest of the campaign.
const QUOTE_MS: u32 = 90_000;

/// Above every price of the testnet.
pub(super) const ZERO_CONF_SATS: u64 = 1_000_000;

/// What differs between federations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    profile: String,
    order: String,
    no_unanimity: bool,
    keep_blocks: u64,
    state_every_s: u64,
    snapshot_gap: u64,
    /// Largest price sold on an unconfirmed payment.
    pub(super) zero_conf_sats_max: u64,
}

impl Manifest {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::part(seed, "manifest");
        let mut pick = |choices: &[&str]| (*random.pick(choices)).to_owned();
        let profile = pick(&["layered", "layered", "layered", "classic"]);
        let order = pick(&["received", "received", "direct"]);
        Self {
            // The classic rules have one order only.
            order: if profile == "classic" {
                "received".to_owned()
            } else {
                order
            },
            profile,
            no_unanimity: random.chance(25),
            keep_blocks: *random.pick(&[20, 500, 1_000_000]),
            state_every_s: *random.pick(&[0, 5, 60]),
            snapshot_gap: *random.pick(&[30, 300, 20_000]),
            zero_conf_sats_max: *random.pick(&[0, ZERO_CONF_SATS]),
        }
    }

    /// Writes it into the files of a federation that was made and not started,
    /// with a door of `relays` for every connection; each node in a network of
    /// its own or all in ours.
    ///
    /// # Errors
    /// Where a file is not as `dctrl testnet init` writes it.
    pub(super) async fn apply(
        &self,
        federation: &Federation,
        relays: &mut Relays,
        apart: bool,
    ) -> Result<Genesis> {
        let file = federation.dir().join("genesis.json");
        let mut genesis: Genesis = serde_json::from_slice(&fs::read(&file)?)?;
        genesis.consensus = Some(Consensus {
            profile: self.profile.clone(),
            order: self.order.clone(),
            no_unanimity: self.no_unanimity,
            ..Consensus::default()
        });
        stock(&mut genesis);
        let policy = genesis.policy.as_mut().context("a genesis has a policy")?;
        policy.quote_ms = QUOTE_MS;
        fs::write(&file, serde_json::to_vec_pretty(&genesis)?)?;
        let mut ways = Ways { relays, apart };
        for node in 0..federation.len() {
            self.node(federation, &mut ways, node).await?;
        }
        agent(federation, &mut ways).await?;
        Ok(genesis)
    }

    async fn node(&self, federation: &Federation, ways: &mut Ways<'_>, node: usize) -> Result<()> {
        let from = ways.relays_seen_by(node);
        let mut detours = Vec::new();
        for peer in (0..federation.len()).filter(|peer| *peer != node) {
            let [gossip, ..] = ports(federation, peer)?;
            detours.push(ways.detour((node, peer), gossip, from).await?);
        }
        let chain_port = federation.base_port() + CHAIN;
        let target = (Ipv4Addr::LOCALHOST, chain_port).into();
        let chain = ways
            .relays
            .open((node, federation.len() + 1), target)
            .await?;
        let file = federation.node_dir(node).join("node.toml");
        let text = fs::read_to_string(&file)?;
        let known = format!("127.0.0.1:{chain_port}");
        ensure!(text.contains(&known), "no chain in {}", file.display());
        let mut text = text.replace(&known, &format!("{from}:{chain}"));
        if ways.apart {
            // For its own effects on the loopback, and for peers.
            text = text.replace("tcp://127.0.0.1:", "tcp://0.0.0.0:");
        }
        let text = format!(
            "{text}\n[net]\ndial = {}\n\n[store]\nkeep_blocks = {}\nstate_every_s = {}\n\
             snapshot_gap = {}\n",
            serde_json::to_string(&detours)?,
            self.keep_blocks,
            self.state_every_s,
            self.snapshot_gap,
        );
        write(&file, &text)
    }
}

/// Fills the slots that are sold from, and adds the one that counts.
pub(super) fn stock(genesis: &mut Genesis) {
    for slot in &mut genesis.slots {
        if slot.slot == SLOT_SOLD {
            (slot.capacity, slot.stock) = (CAPACITY, CAPACITY);
            slot.received = CAPACITY.into();
        }
    }
    genesis.slots.push(Slot {
        machine_id: MACHINE.to_owned(),
        slot: SLOT_COUNTED.to_owned(),
        product_id: "cookies".to_owned(),
        capacity: CAPACITY,
        ..Slot::default()
    });
}

/// How who dials comes to whom.
struct Ways<'r> {
    relays: &'r mut Relays,
    /// Each node has a network of its own.
    apart: bool,
}

impl Ways<'_> {
    /// Where a node finds the relays.
    fn relays_seen_by(&self, node: usize) -> Ipv4Addr {
        if self.apart {
            nets::ours(node)
        } else {
            Ipv4Addr::LOCALHOST
        }
    }

    /// A relay to a node's port, for somebody who sees relays at `from`.
    async fn detour(&mut self, link: Link, port: u16, from: Ipv4Addr) -> Result<String> {
        let there = if self.apart {
            nets::theirs(link.1)
        } else {
            Ipv4Addr::LOCALHOST
        };
        let target = SocketAddr::from((there, port));
        let relay = self.relays.open(link, target).await?;
        Ok(format!("tcp://127.0.0.1:{port}=tcp://{from}:{relay}"))
    }
}

async fn agent(federation: &Federation, ways: &mut Ways<'_>) -> Result<()> {
    let agent = federation.len();
    let mut detours = Vec::new();
    for node in 0..federation.len() {
        let [_, bus, door, _] = ports(federation, node)?;
        for port in [bus, door] {
            let detour = ways.detour((agent, node), port, Ipv4Addr::LOCALHOST);
            detours.push(detour.await?);
        }
    }
    let file = federation.agent_dir().join("agent.toml");
    let text = fs::read_to_string(&file)?;
    let known = "trace = \"actuator.trace\"";
    ensure!(text.contains(known), "no trace in {}", file.display());
    // Settings of the top level come before the first section.
    let text = format!(
        "dial = {}\nspacing_ms = 0\nheartbeat_s = 5\n{text}pulse_ms = 20\n",
        serde_json::to_string(&detours)?
    );
    write(&file, &text)
}

fn ports(federation: &Federation, node: usize) -> Result<[u16; 4]> {
    let node = u16::try_from(node).context("too many nodes")?;
    Ok(federation.node_ports(node))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_different_federations_and_the_same_seed_the_same() {
        assert_eq!(Manifest::draw(1), Manifest::draw(1));
        let drawn: Vec<Manifest> = (0..40).map(Manifest::draw).collect();
        assert!(drawn.iter().any(|one| one.profile == "classic"));
        assert!(drawn.iter().any(|one| one.order == "direct"));
        assert!(drawn.iter().any(|one| one.keep_blocks < 100));
        let classic = drawn.iter().filter(|one| one.profile == "classic");
        assert!(classic.clone().all(|one| one.order == "received"));
    }
}
