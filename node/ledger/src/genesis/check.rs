//! What a genesis must be. Every problem is found, each with its field.

use dctrl_proto::v1::{Consensus, Genesis, Node, Policy, Refusal, Slot};

use crate::actions::{CAPACITY_MAX, check_machine, check_member, check_product};
use crate::money::UNDERPAID_BPS_MAX;
use crate::rates::SATS_MAX;
use crate::refuse::invalid;
use crate::roster::{self, NODES_MAX, Unique};
use crate::{address, ids, payouts};

/// Most members, machines, products or slots that a genesis may bring.
const ROWS_MAX: usize = 10_000;

/// The problems found so far.
#[derive(Default)]
struct Problems(Vec<Refusal>);

impl Problems {
    fn take(&mut self, result: Result<(), Refusal>) {
        self.0.extend(result.err());
    }

    fn add(&mut self, rule: &str, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(invalid(rule, field, message));
    }
}

/// Whether a state can be made of `genesis`.
pub(super) fn check(genesis: &Genesis) -> Result<(), Vec<Refusal>> {
    let mut problems = Problems::default();
    problems.take(ids::text("name", &genesis.name));
    problems.take(ids::bytes32(
        "chain_genesis_hash",
        &genesis.chain_genesis_hash,
    ));
    problems.take(address::network(genesis).map(drop));
    match address::check(genesis) {
        Ok(wallet) => problems.0.extend(payouts::check_rules(genesis, &wallet)),
        Err(found) => problems.0.extend(found),
    }
    sizes(genesis, &mut problems);
    nodes(&genesis.nodes, &mut problems);
    people_and_machines(genesis, &mut problems);
    goods(genesis, &mut problems);
    keys(genesis, &mut problems);
    if let Some(consensus) = &genesis.consensus {
        check_consensus(consensus, &mut problems);
    }
    match &genesis.policy {
        Some(policy) => check_policy(policy, &mut problems),
        None => problems.add("genesis.policy", "policy", "The policy is missing."),
    }
    if problems.0.is_empty() {
        Ok(())
    } else {
        Err(problems.0)
    }
}

fn check_consensus(consensus: &Consensus, problems: &mut Problems) {
    let Consensus {
        profile,
        order,
        coin_frequency,
        ..
    } = consensus;
    if !["", "layered", "classic"].contains(&profile.as_str()) {
        let message = "The profile is layered or classic.";
        problems.add("genesis.profile", "consensus.profile", message);
    }
    if !["", "received", "direct"].contains(&order.as_str()) {
        let message = "The order is received or direct.";
        problems.add("genesis.order", "consensus.order", message);
    }
    // Two steps between coins are needed to decide.
    if *coin_frequency != 0 && !(3..=64).contains(coin_frequency) {
        let message = "The coin is tossed every 3 to 64 steps.";
        problems.add("genesis.coin", "consensus.coin_frequency", message);
    }
}

fn sizes(genesis: &Genesis, problems: &mut Problems) {
    if !(1..=NODES_MAX).contains(&genesis.nodes.len()) {
        let message = format!("A federation has 1 to {NODES_MAX} nodes.");
        problems.add("genesis.nodes", "nodes", message);
    }
    for (field, rows) in [
        ("members", genesis.members.len()),
        ("machines", genesis.machines.len()),
        ("products", genesis.products.len()),
        ("slots", genesis.slots.len()),
    ] {
        if rows > ROWS_MAX {
            problems.add("genesis.size", field, format!("More than {ROWS_MAX} rows."));
        }
    }
}

fn nodes(nodes: &[Node], problems: &mut Problems) {
    let mut names = Unique::default();
    let mut endpoints = Unique::default();
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("nodes[{index}]");
        problems.0.extend(roster::check_node(&at, node));
        let field = format!("{at}.name");
        problems.take(names.claim("genesis.duplicate", node.name.as_bytes(), field));
        for (field, endpoint) in [
            ("gossip_endpoint", &node.gossip_endpoint),
            ("bus_endpoint", &node.bus_endpoint),
            ("door_endpoint", &node.door_endpoint),
        ] {
            let field = format!("{at}.{field}");
            problems.take(endpoints.claim("genesis.duplicate", endpoint.as_bytes(), field));
        }
    }
}

fn people_and_machines(genesis: &Genesis, problems: &mut Problems) {
    let mut members = Unique::default();
    for (index, member) in genesis.members.iter().enumerate() {
        let at = format!("members[{index}]");
        problems.take(check_member(&at, member));
        problems.take(members.claim("genesis.duplicate", member.id.as_bytes(), at + ".id"));
    }
    let mut machines = Unique::default();
    for (index, machine) in genesis.machines.iter().enumerate() {
        let at = format!("machines[{index}]");
        problems.take(check_machine(&at, machine));
        problems.take(machines.claim("genesis.duplicate", machine.id.as_bytes(), at + ".id"));
    }
}

fn goods(genesis: &Genesis, problems: &mut Problems) {
    let mut products = Unique::default();
    for (index, product) in genesis.products.iter().enumerate() {
        let at = format!("products[{index}]");
        problems.take(check_product(&at, product));
        problems.take(products.claim("genesis.duplicate", product.id.as_bytes(), at + ".id"));
    }
    for (index, slot) in genesis.slots.iter().enumerate() {
        let at = format!("slots[{index}]");
        check_slot(genesis, slot, &at, problems);
        let same = |other: &Slot| other.machine_id == slot.machine_id && other.slot == slot.slot;
        if let Some(first) = genesis.slots[..index].iter().position(same) {
            let message = format!("The same stands at slots[{first}].");
            problems.add("genesis.duplicate", format!("{at}.slot"), message);
        }
    }
}

fn check_slot(genesis: &Genesis, slot: &Slot, at: &str, problems: &mut Problems) {
    problems.take(ids::slot(&format!("{at}.slot"), &slot.slot));
    if !genesis.machines.iter().any(|one| one.id == slot.machine_id) {
        let message = format!("There is no machine {:?}.", slot.machine_id);
        problems.add("genesis.machine", format!("{at}.machine_id"), message);
    }
    if !genesis.products.iter().any(|one| one.id == slot.product_id) {
        let message = format!("There is no product {:?}.", slot.product_id);
        problems.add("genesis.product", format!("{at}.product_id"), message);
    }
    if !(1..=CAPACITY_MAX).contains(&slot.capacity) {
        let message = format!("A slot holds 1 to {CAPACITY_MAX} units.");
        problems.add("slot.capacity", format!("{at}.capacity"), message);
    }
    if slot.stock > slot.capacity {
        let message = format!("{} units do not fit.", slot.stock);
        problems.add("slot.capacity", format!("{at}.stock"), message);
    }
}

/// No key may serve two principals.
fn keys(genesis: &Genesis, problems: &mut Problems) {
    let mut keys = Unique::default();
    let mut curve_keys = Unique::default();
    for (index, node) in genesis.nodes.iter().enumerate() {
        let at = format!("nodes[{index}]");
        problems.take(keys.claim("genesis.duplicate", &node.key, format!("{at}.key")));
        let field = format!("{at}.curve_key");
        problems.take(curve_keys.claim("genesis.duplicate", &node.curve_key, field));
    }
    for (index, machine) in genesis.machines.iter().enumerate() {
        let at = format!("machines[{index}]");
        problems.take(keys.claim("genesis.duplicate", &machine.key, format!("{at}.key")));
        let field = format!("{at}.curve_key");
        problems.take(curve_keys.claim("genesis.duplicate", &machine.curve_key, field));
    }
    for (index, member) in genesis.members.iter().enumerate() {
        let field = format!("members[{index}].key");
        problems.take(keys.claim("genesis.duplicate", &member.key, field));
    }
}

/// No single rule may allow more money than there is.
fn check_money(policy: &Policy, problems: &mut Problems) {
    let money = policy.money.clone().unwrap_or_default();
    if money.underpaid_bps_max > UNDERPAID_BPS_MAX {
        let message = format!("At most {UNDERPAID_BPS_MAX} basis points may be missing.");
        problems.add(
            "policy.underpaid",
            "policy.money.underpaid_bps_max",
            message,
        );
    }
    for (field, sats) in [
        ("credit_sats_max", money.credit_sats_max),
        ("cash_sats_max", money.cash_sats_max),
        ("cash_day_sats_max", money.cash_day_sats_max),
        ("held_day_sats_max", money.held_day_sats_max),
        ("zero_conf_hour_sats_max", money.zero_conf_hour_sats_max),
    ] {
        if sats.is_some_and(|sats| sats > SATS_MAX) {
            let message = "That is more than there will ever be.";
            problems.add("policy.sats", format!("policy.money.{field}"), message);
        }
    }
    if money.held_ms == Some(0) {
        let message = "Must be more than 0.";
        problems.add("policy.positive", "policy.money.held_ms", message);
    }
}

fn check_policy(policy: &Policy, problems: &mut Problems) {
    for (field, value) in [
        ("quote_ms", policy.quote_ms),
        ("order_ms", policy.order_ms),
        ("heartbeat_ms_max", policy.heartbeat_ms_max),
        ("price_age_ms_max", policy.price_age_ms_max),
        ("final_depth", policy.final_depth),
    ] {
        if value == 0 {
            let message = "Must be more than 0.";
            problems.add("policy.positive", format!("policy.{field}"), message);
        }
    }
    check_money(policy, problems);
    if policy.depths.is_empty() {
        problems.add(
            "policy.depths",
            "policy.depths",
            "At least one row is needed.",
        );
    }
    for (index, rule) in policy.depths.iter().enumerate() {
        let at = format!("policy.depths[{index}]");
        if !(1..=policy.final_depth).contains(&rule.confirmations) {
            let message = "Confirmations are 1 to the final depth.";
            problems.add("policy.depths", format!("{at}.confirmations"), message);
        }
        if index > 0 && policy.depths[index - 1].sats_max >= rule.sats_max {
            let message = "Amounts must ascend.";
            problems.add("policy.depths", format!("{at}.sats_max"), message);
        }
    }
}
