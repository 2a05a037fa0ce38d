//! Members, machines, products, slots and prices.

use crate::common::{ALICE, Federation, Key, MACHINE, NODES, OPERATOR, PRICE, STAFF};
use dctrl_ledger::query;
use dctrl_proto::v1::product::Price;
use dctrl_proto::v1::{
    Machine, MachineSet, Member, MemberSet, MemberStatus, Outcome, PriceObserve, Product,
    ProductSet, SlotRestock, SlotSet, VendQuote,
};

fn product(sats: u64, expected_version: u64) -> ProductSet {
    ProductSet {
        product: Some(Product {
            id: "mate".into(),
            name: "Mate".into(),
            price: Some(Price::PriceSats(sats)),
            version: 0,
        }),
        expected_version,
    }
}

fn restock(added: u32, shrinkage: u32, reason: &str) -> SlotRestock {
    SlotRestock {
        machine_id: "m1".into(),
        slot: "A1".into(),
        added,
        shrinkage,
        reason: reason.into(),
    }
}

fn euro(minor_per_bitcoin: u64) -> PriceObserve {
    PriceObserve {
        currency: "EUR".into(),
        minor_per_bitcoin,
        sources: 1,
    }
}

#[test]
fn of_two_editors_of_a_product_the_second_is_told_the_version() {
    let mut federation = Federation::new();
    let open = federation.quote();
    federation.submit(STAFF, &product(2000, 1)).unwrap();
    let refusal = federation.submit(STAFF, &product(3000, 1)).unwrap_err();
    assert_eq!(refusal.code().as_str_name(), "ABORTED");
    assert!(refusal.message.contains("version 2"), "{refusal}");
    assert_eq!(federation.vend(&open.id).price_sats, 1500);
    assert_eq!(federation.quote().price_sats, 2000);
    let free = federation.submit(STAFF, &product(0, 2)).unwrap_err();
    assert_eq!(free.field, "product.price_sats");
}

#[test]
fn the_stock_counts_what_is_added_and_what_is_missing() {
    let mut federation = Federation::new();
    federation
        .submit(STAFF, &restock(5, 2, "two dented"))
        .unwrap();
    let slots = query::slots(&federation.state, "m1");
    let slot = &slots[0];
    assert_eq!((slot.stock, slot.received, slot.shrinkage), (13, 15, 2));
    for (bad, rule) in [
        (restock(8, 0, ""), "slot.capacity"),
        (restock(0, 14, "gone"), "slot.stock"),
        (restock(0, 1, ""), "slot.shrinkage"),
        (restock(0, 0, ""), "slot.restock"),
        (restock(u32::MAX, u32::MAX, "all"), "slot.capacity"),
    ] {
        let refusal = federation.submit(STAFF, &bad).unwrap_err();
        assert_eq!(refusal.rule, rule, "{refusal}");
    }
}

#[test]
fn a_slot_in_use_keeps_its_product_and_its_room() {
    let mut federation = Federation::new();
    let set = |product: &str, capacity| SlotSet {
        machine_id: "m1".into(),
        slot: "A1".into(),
        product_id: product.into(),
        capacity,
    };
    let other = federation.submit(STAFF, &set("bar", 20)).unwrap_err();
    assert_eq!(other.rule, "slot.product");
    let small = federation.submit(STAFF, &set("mate", 9)).unwrap_err();
    assert_eq!(small.rule, "slot.capacity");
    let unknown = federation.submit(STAFF, &set("tea", 20)).unwrap_err();
    assert_eq!(unknown.rule, "product");
    federation.submit(STAFF, &set("mate", 10)).unwrap();
}

#[test]
fn nothing_is_quoted_that_could_not_be_dispensed() {
    let mut federation = Federation::new();
    assert_eq!(federation.try_quote("A3").unwrap_err().rule, "slot.stock");
    assert_eq!(federation.try_quote("B9").unwrap_err().rule, "slot");
    let at = |machine_id: &str| VendQuote {
        machine_id: machine_id.into(),
        slot: "A1".into(),
        member_id: String::new(),
        ..VendQuote::default()
    };
    let unknown = federation.submit(ALICE, &at("m9")).unwrap_err();
    assert_eq!((unknown.rule.as_str(), unknown.code), ("machine", 4));
    let silent = Machine {
        id: "m2".into(),
        key: Key::new(21).public(),
        curve_key: vec![121; 32],
        ..Machine::default()
    };
    let machine = Some(silent);
    federation
        .submit(OPERATOR, &MachineSet { machine })
        .unwrap();
    federation.heartbeat(false);
    let refusal = federation.try_quote("A1").unwrap_err();
    assert_eq!(refusal.rule, "machine.ready");
    assert!(refusal.message.contains("door open"));
    federation.heartbeat(true);
    federation.wait(86_400_001);
    assert_eq!(
        federation.try_quote("A1").unwrap_err().rule,
        "machine.heartbeat"
    );
    let views = query::machines(&federation.state, 0, "", 0).rows;
    assert!(views[0].not_sellable.contains("silent"));
    assert_eq!(views[1].not_sellable, "Machine m2 is switched off.");
}

#[test]
fn the_last_unit_is_sold_once() {
    let mut federation = Federation::new();
    federation.submit(STAFF, &restock(0, 9, "counted")).unwrap();
    federation.quote();
    assert_eq!(federation.try_quote("A1").unwrap_err().rule, "slot.stock");
    federation.wait(600_000);
    federation.quote();
}

#[test]
fn one_caller_cannot_hold_a_machines_whole_stock_unpaid() {
    const HELD_MAX: u32 = 8;
    let mut federation = Federation::new();
    let first = federation.quote();
    for _ in 1..HELD_MAX {
        federation.quote();
    }
    let refusal = federation.try_quote("A1").unwrap_err();
    assert_eq!(refusal.rule, "vend.open_quotes");
    assert_eq!(federation.stock(), (10 - HELD_MAX, HELD_MAX, 0));
    // Others still buy, and whoever pays may ask again.
    federation.guest_quote();
    federation.pay(&first, 1, PRICE);
    federation.quote();
    assert!(federation.try_quote("A1").is_err());
    // A seen payment that is too small frees nothing, the expiry does.
    federation.finish(&first, Outcome::Dispensed);
    federation.wait(600_000);
    federation.heartbeat(true);
    federation.quote();
}

#[test]
fn a_price_in_euros_needs_a_quorum_of_fresh_observations() {
    let mut federation = Federation::new();
    assert_eq!(federation.try_quote("A2").unwrap_err().rule, "price.stale");
    for (node, rate) in NODES.iter().zip([1, 6_000_000]) {
        federation.submit(*node, &euro(rate)).unwrap();
    }
    assert_eq!(federation.try_quote("A2").unwrap_err().rule, "price.stale");
    federation.submit(NODES[2], &euro(6_100_000)).unwrap();
    let vend = federation.try_quote("A2").unwrap();
    // 2.50 EUR at the median of 60 000 EUR, and one per cent.
    assert_eq!(vend.price_sats, 4209);
    let rate = vend.rate.unwrap();
    assert_eq!(rate.minor_per_bitcoin, 6_000_000);
    assert_eq!(query::rates(&federation.state), [rate]);
    federation.wait(60_001);
    assert_eq!(federation.try_quote("A2").unwrap_err().rule, "price.stale");
    assert!(
        federation.try_quote("A1").is_ok(),
        "prices in satoshi go on"
    );
}

#[test]
fn a_node_that_lies_about_the_price_cannot_move_it_out_of_the_honest_range() {
    for lie in [1, u64::MAX] {
        let mut federation = Federation::new();
        for (node, rate) in NODES.iter().zip([lie, 6_000_000, 6_000_100, 6_000_200]) {
            federation.submit(*node, &euro(rate)).unwrap();
        }
        let agreed = query::rates(&federation.state)[0].minor_per_bitcoin;
        assert!((6_000_000..=6_000_200).contains(&agreed), "{agreed}");
    }
    let mut federation = Federation::new();
    let refusal = federation.submit(NODES[0], &euro(0)).unwrap_err();
    assert_eq!(refusal.rule, "price.positive");
}

fn member(id: &str, seed: u8, roles: &[&str]) -> MemberSet {
    MemberSet {
        member: Some(Member {
            id: id.into(),
            name: "Someone".into(),
            key: Key::new(seed).public(),
            roles: roles.iter().map(|&role| role.into()).collect(),
            status: MemberStatus::Active.into(),
        }),
    }
}

#[test]
fn a_key_belongs_to_one_principal_and_the_last_operator_stays() {
    let mut federation = Federation::new();
    for taken in [NODES[0], MACHINE, ALICE] {
        let refusal = federation.submit(OPERATOR, &member("bob", taken, &[]));
        assert_eq!(refusal.unwrap_err().rule, "member.key");
    }
    let refusal = federation.submit(OPERATOR, &member("olga", OPERATOR, &["staff"]));
    assert_eq!(refusal.unwrap_err().rule, "member.operator");
    let refusal = federation.submit(OPERATOR, &member("bob", 50, &["king"]));
    assert_eq!(refusal.unwrap_err().field, "member.roles[0]");
    federation
        .submit(OPERATOR, &member("alice", 51, &["member"]))
        .unwrap();
    let old_key = federation.action(ALICE, &member("x", 52, &[]));
    assert!(
        federation.block(&[old_key]).is_empty(),
        "the old key is nobody's"
    );
    federation
        .submit(OPERATOR, &member("bob", ALICE, &[]))
        .unwrap();
}

#[test]
fn a_machine_in_use_keeps_what_the_ledger_knows_of_it() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let mut machine = query::machine(&federation.state, "m1").unwrap();
    machine.outstanding_vend.clear();
    machine.last_sequence = 99;
    machine.site = "the cellar".into();
    let machine = Some(machine);
    federation
        .submit(OPERATOR, &MachineSet { machine })
        .unwrap();
    let machine = query::machine(&federation.state, "m1").unwrap();
    assert_eq!(machine.site, "the cellar");
    assert_eq!(
        (machine.outstanding_vend, machine.last_sequence),
        (vend.id, 1)
    );
}
