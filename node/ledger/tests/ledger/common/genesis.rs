//! The genesis of the tests: four nodes, one operator, one machine that sells.

use dctrl_proto::v1::product::Price;
use dctrl_proto::v1::{
    DepthRule, FiatPrice, Genesis, Machine, Member, MemberStatus, Node, Policy, Product, Slot,
};

use super::{ALICE, Key, MACHINE, NODES, OPERATOR, OTHER_MACHINE, PRICE, STAFF, START_MS};

/// Two of three copayers: BIP-48 accounts of the seeds of 32 bytes 01, 02 and
/// 03. `tests/address.rs` derives them again.
pub(crate) const DESCRIPTOR: &str = include_str!("descriptor.txt").trim_ascii_end();

fn member(id: &str, seed: u8, roles: &[&str]) -> Member {
    Member {
        id: id.into(),
        name: id.to_uppercase(),
        key: Key::new(seed).public(),
        roles: roles.iter().map(|&role| role.into()).collect(),
        status: MemberStatus::Active.into(),
    }
}

fn machine(id: &str, seed: u8) -> Machine {
    Machine {
        id: id.into(),
        site: "the hall".into(),
        key: Key::new(seed).public(),
        curve_key: vec![seed + 100; 32],
        enabled: true,
        ..Machine::default()
    }
}

fn node(index: u8, seed: u8) -> Node {
    let endpoint = |port: u8| format!("tcp://192.0.2.{}:70{port:02}", index + 1);
    Node {
        name: format!("node-{index}"),
        key: Key::new(seed).public(),
        curve_key: vec![seed + 100; 32],
        gossip_endpoint: endpoint(0),
        bus_endpoint: endpoint(1),
        door_endpoint: endpoint(2),
    }
}

fn slot(name: &str, product: &str, stock: u32) -> Slot {
    Slot {
        machine_id: "m1".into(),
        slot: name.into(),
        product_id: product.into(),
        capacity: 20,
        stock,
        ..Slot::default()
    }
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        name: "test".into(),
        network: "regtest".into(),
        chain_genesis_hash: vec![9; 32],
        descriptor: DESCRIPTOR.into(),
        nodes: (0..).zip(NODES).map(|(i, seed)| node(i, seed)).collect(),
        members: vec![
            member("olga", OPERATOR, &["operator"]),
            member("alice", ALICE, &["member"]),
            member("stefan", STAFF, &["staff"]),
        ],
        machines: vec![machine("m1", MACHINE), machine("m2", OTHER_MACHINE)],
        products: vec![
            Product {
                id: "mate".into(),
                name: "Mate".into(),
                price: Some(Price::PriceSats(PRICE)),
                version: 0,
            },
            Product {
                id: "bar".into(),
                name: "Bar".into(),
                price: Some(Price::PriceFiat(FiatPrice {
                    currency: "EUR".into(),
                    minor_units: 250,
                })),
                version: 0,
            },
        ],
        slots: vec![
            slot("A1", "mate", 10),
            slot("A2", "bar", 5),
            slot("A3", "mate", 0),
        ],
        policy: Some(Policy {
            quote_ms: 600_000,
            order_ms: 30_000,
            heartbeat_ms_max: 86_400_000,
            price_age_ms_max: 60_000,
            price_spread_bps: 100,
            zero_conf_sats_max: 0,
            depths: vec![
                DepthRule {
                    sats_max: 100_000,
                    confirmations: 1,
                },
                DepthRule {
                    sats_max: 1_000_000,
                    confirmations: 3,
                },
            ],
            final_depth: 6,
            money: None,
        }),
        created_at_ms: START_MS,
        consensus: None,
        payouts: None,
    }
}
