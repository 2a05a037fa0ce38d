//! A federation's state and a block of actions that all apply.

use std::str::FromStr;

use anyhow::{Result, anyhow, ensure};
use bitcoin::{
    NetworkKind,
    bip32::{DerivationPath, Xpriv, Xpub},
    secp256k1::Secp256k1,
};
use dctrl_consensus::{Ed25519Signer, Signer, crypto::sha256};
use dctrl_ledger::{Applied, BlockInput, MemoryState, apply};
use dctrl_proto::{
    action::{self, Payload},
    genesis::cluster_id,
    v1::{
        DepthRule, Genesis, Machine, MachineHeartbeat, MachineReport, Member, MemberStatus, Node,
        Policy, Product, SignedAction, Slot, VendQuote, product::Price,
    },
};
use miniscript::{Descriptor, DescriptorPublicKey};
use prost::Message;

/// Time of the genesis, milliseconds since the Unix epoch.
const START_MS: u64 = 1_700_000_000_000;

/// How long each action is good, milliseconds.
const LIFETIME_MS: u64 = 60_000;

const MACHINE: &str = "m1";
const SLOT: &str = "A1";

/// Units in the slot: more than any block sells.
const STOCK: u32 = 10_000;

/// Members who ask for quotes in turn: the ledger bounds how many open quotes
/// one of them may have.
const BUYERS: u16 = 128;

/// A state whose machine sells, and a block for it.
pub struct Workload {
    state: MemoryState,
    height: u64,
    time_ms: u64,
    block: Vec<Vec<u8>>,
}

impl Workload {
    /// A block of `count` quotes: each derives an address, reserves a unit and
    /// makes a vend.
    ///
    /// # Errors
    /// Where the ledger refuses what it should take.
    pub fn quotes(count: u16) -> Result<Self> {
        let buyer = |number| format!("buyer-{}", number % BUYERS);
        Self::of(count, buyer, |_| VendQuote {
            machine_id: MACHINE.to_owned(),
            slot: SLOT.to_owned(),
            member_id: String::new(),
            ..VendQuote::default()
        })
    }

    /// A block of `count` sensor reports: the lightest action that changes
    /// state and puts out a frame.
    ///
    /// # Errors
    /// Where the ledger refuses what it should take.
    pub fn reports(count: u16) -> Result<Self> {
        let machine = |_| "machine".to_owned();
        Self::of(count, machine, |number| MachineReport {
            machine_id: MACHINE.to_owned(),
            incarnation: 1,
            number: u64::from(number) + 1,
            sensor: "temperature".to_owned(),
            value: 7,
            observed_at_ms: START_MS,
        })
    }

    fn of<P: Payload>(
        count: u16,
        signer: impl Fn(u16) -> String,
        payload: impl Fn(u16) -> P,
    ) -> Result<Self> {
        let genesis = genesis()?;
        let cluster = cluster_id(&genesis);
        let applied = dctrl_ledger::genesis(&genesis).map_err(|faults| anyhow!("{faults:?}"))?;
        let mut state = MemoryState::default();
        state.apply(&applied.changes);
        // The machine must have reported itself before it is sold from.
        let heartbeat = action(
            "machine",
            &cluster,
            u16::MAX,
            &MachineHeartbeat {
                machine_id: MACHINE.to_owned(),
                incarnation: 1,
                nonce: vec![7; 16],
                ready: true,
                detail: String::new(),
            },
        );
        let first = BlockInput {
            height: 1,
            time_ms: START_MS + 1,
            transactions: &[&heartbeat],
        };
        state.apply(&all_applied(apply(&state, &first))?.changes);
        let block = (0..count)
            .map(|number| action(&signer(number), &cluster, number, &payload(number)))
            .collect();
        let workload = Self {
            state,
            height: 2,
            time_ms: START_MS + 2,
            block,
        };
        all_applied(workload.apply())?;
        Ok(workload)
    }

    /// Applies the block; the state stays as it was.
    #[must_use]
    pub fn apply(&self) -> Applied {
        let transactions: Vec<&[u8]> = self.block.iter().map(Vec::as_slice).collect();
        apply(
            &self.state,
            &BlockInput {
                height: self.height,
                time_ms: self.time_ms,
                transactions: &transactions,
            },
        )
    }
}

/// A benchmark of refusals would measure the wrong thing.
fn all_applied(applied: Applied) -> Result<Applied> {
    for receipt in &applied.receipts {
        ensure!(
            receipt.refusal.is_none(),
            "{}: {:?}",
            receipt.name,
            receipt.refusal
        );
    }
    ensure!(!applied.receipts.is_empty(), "nothing was applied");
    Ok(applied)
}

fn action<P: Payload>(signer: &str, cluster: &[u8; 32], number: u16, payload: &P) -> Vec<u8> {
    let mut request_id = [0; 16];
    request_id[..2].copy_from_slice(&number.to_be_bytes());
    let body = action::body(cluster, request_id, START_MS + LIFETIME_MS, payload).encode_to_vec();
    let key = key(signer);
    let action = SignedAction {
        signature: key.sign(&action::signing_bytes(&body)).0.to_vec(),
        key: key.public_key().0.to_vec(),
        body,
    };
    action.encode_to_vec()
}

/// The same keys in every run, so that runs can be compared.
fn key(name: &str) -> Ed25519Signer {
    Ed25519Signer::from_seed(&sha256(b"dctrl-bench-seed\0", &[name.as_bytes()]).0)
}

fn public_key(name: &str) -> Vec<u8> {
    key(name).public_key().0.to_vec()
}

/// Nobody connects here, so that any bytes are a transport key.
fn curve_key(name: &str) -> Vec<u8> {
    sha256(b"dctrl-bench-curve\0", &[name.as_bytes()])
        .0
        .to_vec()
}

fn genesis() -> Result<Genesis> {
    Ok(Genesis {
        name: "bench".to_owned(),
        network: "regtest".to_owned(),
        chain_genesis_hash: vec![9; 32],
        descriptor: descriptor()?,
        nodes: ["alpha", "bravo", "charlie", "delta"]
            .iter()
            .zip(0_u16..)
            .map(|(name, number)| node(name, number))
            .collect(),
        members: (0..BUYERS)
            .map(|number| member(&format!("buyer-{number}")))
            .collect(),
        machines: vec![Machine {
            id: MACHINE.to_owned(),
            site: "alpha".to_owned(),
            key: public_key("machine"),
            curve_key: curve_key("machine"),
            enabled: true,
            ..Machine::default()
        }],
        products: vec![Product {
            id: "club-mate".to_owned(),
            name: "Club-Mate".to_owned(),
            price: Some(Price::PriceSats(1_500)),
            version: 1,
        }],
        slots: vec![Slot {
            machine_id: MACHINE.to_owned(),
            slot: SLOT.to_owned(),
            product_id: "club-mate".to_owned(),
            capacity: STOCK,
            stock: STOCK,
            received: STOCK.into(),
            ..Slot::default()
        }],
        policy: Some(policy()),
        created_at_ms: START_MS,
        consensus: None,
        payouts: None,
    })
}

fn member(id: &str) -> Member {
    Member {
        id: id.to_owned(),
        name: id.to_owned(),
        key: public_key(id),
        roles: vec!["member".to_owned()],
        status: MemberStatus::Active.into(),
    }
}

fn node(name: &str, number: u16) -> Node {
    let endpoint = |offset: u16| format!("tcp://127.0.0.1:{}", 17_000 + 10 * number + offset);
    Node {
        name: name.to_owned(),
        key: public_key(name),
        curve_key: curve_key(name),
        gossip_endpoint: endpoint(0),
        bus_endpoint: endpoint(1),
        door_endpoint: endpoint(2),
    }
}

fn policy() -> Policy {
    Policy {
        quote_ms: 900_000,
        order_ms: 60_000,
        heartbeat_ms_max: 120_000,
        price_age_ms_max: 300_000,
        price_spread_bps: 100,
        zero_conf_sats_max: 0,
        depths: vec![DepthRule {
            sats_max: u64::MAX,
            confirmations: 1,
        }],
        final_depth: 6,
        money: None,
    }
}

/// A 2-of-3 wallet of fixed keys.
fn descriptor() -> Result<String> {
    let curve = Secp256k1::new();
    let path = DerivationPath::from_str("48h/1h/0h/2h")?;
    let mut keys = Vec::new();
    for seed in 1..=3_u8 {
        let master = Xpriv::new_master(NetworkKind::Test, &[seed; 32])?;
        let account = Xpub::from_priv(&curve, &master.derive_priv(&curve, &path)?);
        keys.push(format!(
            "[{}/{path}]{account}/0/*",
            master.fingerprint(&curve)
        ));
    }
    let text = format!("wsh(sortedmulti(2,{}))", keys.join(","));
    Ok(Descriptor::<DescriptorPublicKey>::from_str(&text)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_of_a_workload_is_applied() {
        let quotes = Workload::quotes(20).expect("quotes apply");
        assert_eq!(quotes.apply().receipts.len(), 20);
        let reports = Workload::reports(20).expect("reports apply");
        assert_eq!(reports.apply().receipts.len(), 20);
        assert_eq!(reports.apply().state_digest, reports.apply().state_digest);
    }
}
