//! What a genesis may not be.

use std::collections::BTreeSet;

use crate::common::genesis::genesis;
use dctrl_proto::v1::{Consensus, DepthRule, Genesis, Policy, Slot};

/// The fields at fault.
fn faults(change: impl FnOnce(&mut Genesis)) -> BTreeSet<String> {
    let mut changed = genesis();
    change(&mut changed);
    let problems = dctrl_ledger::genesis(&changed).unwrap_err();
    problems.into_iter().map(|problem| problem.field).collect()
}

fn set<const N: usize>(fields: [&str; N]) -> BTreeSet<String> {
    fields.map(str::to_owned).into()
}

#[test]
fn all_problems_are_told_at_once() {
    let found = faults(|genesis| {
        genesis.network = "mainnet".into();
        genesis.descriptor.pop();
        genesis.nodes[2].key = genesis.nodes[1].key.clone();
        genesis.nodes[3].curve_key = genesis.machines[0].curve_key.clone();
        genesis.nodes[0].bus_endpoint = "tcp://*:7001".into();
        genesis.members[1].id = "olga".into();
        genesis.products[0].price = None;
        genesis.slots[0].machine_id = "m7".into();
        genesis.slots[1].stock = 21;
        genesis.policy = None;
    });
    let expected = set([
        "network",
        "descriptor",
        "nodes[2].key",
        "machines[0].curve_key",
        "nodes[0].bus_endpoint",
        "members[1].id",
        "products[0].price",
        "slots[0].machine_id",
        "slots[1].stock",
        "policy",
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_federation_has_nodes() {
    assert_eq!(faults(|genesis| genesis.nodes.clear()), set(["nodes"]));
}

#[test]
fn a_descriptor_of_another_network_is_refused() {
    assert_eq!(
        faults(|genesis| genesis.network = "bitcoin".into()),
        set(["descriptor"])
    );
}

#[test]
fn a_descriptor_must_be_a_ranged_sorted_multisignature_with_checksum() {
    let without_checksum = faults(|genesis| {
        let text = genesis.descriptor.split('#').next().unwrap().to_owned();
        genesis.descriptor = text;
    });
    assert_eq!(without_checksum, set(["descriptor"]));
    let altered = faults(|genesis| {
        genesis.descriptor = genesis.descriptor.replace("sortedmulti(2", "sortedmulti(1");
    });
    assert_eq!(altered, set(["descriptor"]));
    let other_kind = faults(|genesis| {
        let key = genesis.descriptor.split(',').nth(1).unwrap().to_owned();
        let descriptor: miniscript::Descriptor<miniscript::DescriptorPublicKey> =
            format!("wpkh({key})").parse().unwrap();
        genesis.descriptor = descriptor.to_string();
    });
    assert_eq!(other_kind, set(["descriptor"]));
}

#[test]
fn a_policy_of_zeros_is_refused() {
    let found = faults(|genesis| genesis.policy = Some(Policy::default()));
    let expected = set([
        "policy.quote_ms",
        "policy.order_ms",
        "policy.heartbeat_ms_max",
        "policy.price_age_ms_max",
        "policy.final_depth",
        "policy.depths",
    ]);
    assert_eq!(found, expected);
    let found = faults(|genesis| {
        let rule = |sats_max, confirmations| DepthRule {
            sats_max,
            confirmations,
        };
        genesis.policy.as_mut().unwrap().depths = vec![rule(5, 1), rule(5, 0), rule(9, 7)];
    });
    let expected = set([
        "policy.depths[1].sats_max",
        "policy.depths[1].confirmations",
        "policy.depths[2].confirmations",
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_slot_stands_once() {
    let found = faults(|genesis| {
        let again = Slot {
            product_id: "bar".into(),
            ..genesis.slots[0].clone()
        };
        genesis.slots.push(again);
    });
    assert_eq!(found, set(["slots[3].slot"]));
}

#[test]
fn ordering_rules_that_do_not_exist_are_named() {
    let found = faults(|genesis| {
        genesis.consensus = Some(Consensus {
            profile: "leader".into(),
            order: "random".into(),
            no_unanimity: true,
            coin_frequency: 2,
        });
    });
    let expected = set([
        "consensus.profile",
        "consensus.order",
        "consensus.coin_frequency",
    ]);
    assert_eq!(found, expected);
}

#[test]
fn the_same_genesis_gives_the_same_state() {
    let digest = |genesis: &Genesis| dctrl_ledger::genesis(genesis).unwrap().state_digest;
    assert_eq!(digest(&genesis()), digest(&genesis()));
    let mut other = genesis();
    other.created_at_ms += 1;
    assert_ne!(digest(&genesis()), digest(&other));
}
