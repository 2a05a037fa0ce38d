//! The genesis of a testnet: one machine, two members, three slots.

use bitcoin::{Network, constants::genesis_block, hashes::Hash};
use dctrl_access::Identity;
use dctrl_proto::{
    genesis::simulated_chain_genesis,
    v1::{
        Copayer, DepthRule, FiatPrice, Genesis, Machine, Member, MemberStatus, MoneyPolicy, Node,
        PayoutRules, PayoutTier, Policy, Product, Slot, product::Price,
    },
};

use super::{ChainKind, files::Keys, plan::Plan};

/// The one machine.
pub const MACHINE: &str = "m1";

/// The genesis for these keys.
#[must_use]
pub fn genesis(plan: &Plan, keys: &Keys, created_at_ms: u64) -> Genesis {
    Genesis {
        name: "testnet".to_owned(),
        network: "regtest".to_owned(),
        chain_genesis_hash: chain_genesis_hash(plan.args.chain).to_vec(),
        descriptor: keys.wallet.descriptor.clone(),
        nodes: plan
            .nodes
            .iter()
            .zip(&keys.nodes)
            .map(|(node, key)| Node {
                name: node.name.to_owned(),
                key: key.public_key().to_vec(),
                curve_key: key.curve_public().to_vec(),
                gossip_endpoint: node.gossip(),
                bus_endpoint: node.bus(),
                door_endpoint: node.door(),
            })
            .collect(),
        members: members(keys),
        machines: vec![Machine {
            id: MACHINE.to_owned(),
            site: plan
                .nodes
                .first()
                .map(|node| node.name.to_owned())
                .unwrap_or_default(),
            key: keys.machine.public_key().to_vec(),
            curve_key: keys.machine.curve_public().to_vec(),
            enabled: true,
            ..Machine::default()
        }],
        products: products(),
        slots: vec![
            slot("A1", "club-mate", 20, 20),
            slot("A2", "soldering-kit", 10, 10),
            slot("A3", "cookies", 15, 0),
        ],
        policy: Some(policy(
            plan.args.zero_conf_sats_max,
            plan.args.zero_conf_wait_ms,
        )),
        created_at_ms,
        consensus: None,
        payouts: Some(payout_rules(keys)),
    }
}

/// Of the copayer with this number, from 1.
#[must_use]
pub fn copayer_id(number: usize) -> String {
    format!("copayer-{number}")
}

fn members(keys: &Keys) -> Vec<Member> {
    let mut members = vec![
        member("alice", "Alice", "member", &keys.alice),
        member("operator", "Operator", "operator", &keys.operator),
    ];
    for (key, number) in keys.copayers.iter().zip(1..) {
        let name = format!("Copayer {number}");
        members.push(member(&copayer_id(number), &name, "copayer", key));
    }
    members
}

/// Two of three sign; small amounts need one more approval than the proposal,
/// and large ones two.
fn payout_rules(keys: &Keys) -> PayoutRules {
    let copayers = keys.wallet.copayers.iter().zip(1..);
    PayoutRules {
        copayers: copayers
            .map(|(copayer, number)| Copayer {
                member_id: copayer_id(number),
                fingerprint: copayer.fingerprint.to_bytes().to_vec(),
            })
            .collect(),
        tiers: vec![
            PayoutTier {
                sats_max: 1_000_000,
                approvals: 1,
                delay_ms: 0,
            },
            PayoutTier {
                sats_max: 100_000_000,
                approvals: 2,
                delay_ms: 0,
            },
        ],
        day_sats_max: 200_000_000,
        allow_list: false,
        allow_delay_ms: 86_400_000,
        fee_rate_min: 1_000,
        fee_rate_max: 500_000,
        fee_sats_max: 100_000,
        fee_bps_max: 2_000,
        proposal_ms: 604_800_000,
        ..PayoutRules::default()
    }
}

/// In display order, so that a node on another chain refuses to start.
fn chain_genesis_hash(chain: ChainKind) -> [u8; 32] {
    match chain {
        ChainKind::Simulated => simulated_chain_genesis(),
        ChainKind::Bitcoind => {
            let mut hash = genesis_block(Network::Regtest).block_hash().to_byte_array();
            hash.reverse();
            hash
        }
    }
}

fn member(id: &str, name: &str, role: &str, key: &Identity) -> Member {
    Member {
        id: id.to_owned(),
        name: name.to_owned(),
        key: key.public_key().to_vec(),
        roles: vec![role.to_owned()],
        status: MemberStatus::Active.into(),
    }
}

fn products() -> Vec<Product> {
    let product = |id: &str, name: &str, price| Product {
        id: id.to_owned(),
        name: name.to_owned(),
        price: Some(price),
        version: 1,
    };
    let euros = FiatPrice {
        currency: "EUR".to_owned(),
        minor_units: 250,
    };
    vec![
        product("club-mate", "Club-Mate", Price::PriceSats(1500)),
        product("cookies", "Cookies", Price::PriceSats(900)),
        product("soldering-kit", "Soldering kit", Price::PriceFiat(euros)),
    ]
}

fn slot(slot: &str, product: &str, capacity: u32, stock: u32) -> Slot {
    Slot {
        machine_id: MACHINE.to_owned(),
        slot: slot.to_owned(),
        product_id: product.to_owned(),
        capacity,
        stock,
        received: stock.into(),
        ..Slot::default()
    }
}

fn policy(zero_conf_sats_max: u64, zero_conf_wait_ms: Option<u32>) -> Policy {
    let depth = |sats_max, confirmations| DepthRule {
        sats_max,
        confirmations,
    };
    Policy {
        quote_ms: 900_000,
        order_ms: 60_000,
        heartbeat_ms_max: 120_000,
        price_age_ms_max: 3_600_000,
        price_spread_bps: 0,
        zero_conf_sats_max,
        depths: vec![depth(50_000, 1), depth(500_000, 3), depth(u64::MAX, 6)],
        final_depth: 6,
        money: Some(MoneyPolicy {
            zero_conf_wait_ms,
            ..MoneyPolicy::default()
        }),
    }
}
