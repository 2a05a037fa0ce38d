//! What blocks tell the world, and what people can ask.

use std::collections::BTreeMap;

use crate::common::{ALICE, Federation, NODES, PRICE, payment};
use dctrl_ledger::query;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{Outcome, VendQuote};

fn busy_federation() -> Federation {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    federation.accept(&vend).unwrap();
    federation.finish(&vend, Outcome::Dispensed);
    let late = federation.quote();
    federation.wait(700_000);
    federation.pay(&late, 7, PRICE);
    federation
}

#[test]
fn every_frame_names_the_frame_of_its_topic_before_it() {
    let federation = busy_federation();
    let mut last: BTreeMap<String, (u64, u32)> = BTreeMap::new();
    for body in &federation.told {
        let previous = (body.previous_height, body.previous_sub_index);
        let expected = last.insert(body.topic.clone(), (body.height, body.sub_index));
        assert_eq!(previous, expected.unwrap_or_default(), "{body:?}");
        assert_eq!(body.cluster, federation.cluster);
    }
    let topics: Vec<&str> = last.keys().map(String::as_str).collect();
    assert_eq!(
        topics,
        [
            "block",
            "chain",
            "machine.m1.beacon",
            "machine.m1.order",
            "machine.m1.status",
            "payment",
            "slot.m1",
            "tab",
            "vend.m1"
        ]
    );
}

#[test]
fn frames_are_numbered_and_the_last_of_every_block_counts_its_actions() {
    let mut federation = Federation::new();
    let quote = VendQuote {
        machine_id: "m1".into(),
        slot: "A3".into(),
        member_id: String::new(),
        ..VendQuote::default()
    };
    let refused = federation.action(ALICE, &quote);
    let good = federation.action(
        ALICE,
        &VendQuote {
            slot: "A1".into(),
            ..quote
        },
    );
    federation.block(&[refused, good]);
    let outputs = federation.outputs();
    for (position, body) in (0..).zip(&outputs) {
        assert_eq!(body.sub_index, position);
    }
    match &outputs.last().unwrap().event {
        Some(Event::Block(block)) => assert_eq!((block.actions, block.refused), (2, 1)),
        other => panic!("not the end of a block: {other:?}"),
    }
}

#[test]
fn an_empty_block_tells_only_that_it_was() {
    let mut federation = Federation::new();
    let applied = federation.raw_block(&[]);
    assert_eq!(applied.outputs.len(), 1);
}

#[test]
fn the_next_deadline_is_the_quotes_expiry_until_it_is_over() {
    let mut federation = Federation::new();
    assert_eq!(query::next_deadline_ms(&federation.state), None);
    let vend = federation.quote();
    let next = query::next_deadline_ms(&federation.state);
    assert_eq!(next, Some(vend.expires_at_ms));
    federation.wait(600_000);
    assert_eq!(query::next_deadline_ms(&federation.state), None);
}

#[test]
fn consensus_time_that_runs_backwards_is_held() {
    let mut federation = Federation::new();
    let now_ms = federation.now_ms;
    federation.now_ms -= 5000;
    federation.raw_block(&[]);
    assert_eq!(query::meta(&federation.state).time_ms, now_ms);
}

#[test]
fn lists_come_in_pages_without_gaps_or_doubles() {
    let mut federation = Federation::new();
    let made: Vec<String> = (0..7).map(|_| federation.quote().id).collect();
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = query::vends(&federation.state, 3, &after, "m1").unwrap();
        seen.extend(page.rows.into_iter().map(|vend| vend.id));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, made);
    assert!(
        query::vends(&federation.state, 0, "", "m2")
            .unwrap()
            .rows
            .is_empty()
    );
    let bad = query::vends(&federation.state, 0, "nonsense", "").unwrap_err();
    assert_eq!(bad.rule, "list.cursor");
    let page = query::members(&federation.state, 2, "");
    assert_eq!((page.rows.len(), page.next.as_str()), (2, "olga"));
    assert_eq!(
        query::members(&federation.state, 2, "olga").rows[0].id,
        "stefan"
    );
}

#[test]
fn payments_are_listed_by_outpoint_and_by_machine() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    for number in 1..4 {
        federation.see(&NODES[..2], &payment(&vend, number, 10));
    }
    let page = query::payments(&federation.state, 2, "", "m1").unwrap();
    assert_eq!(page.rows.len(), 2);
    let rest = query::payments(&federation.state, 2, &page.next, "m1").unwrap();
    assert_eq!((rest.rows.len(), rest.next.as_str()), (1, ""));
    assert!(query::payments(&federation.state, 0, "xyz", "").is_err());
}

#[test]
fn all_balances_together_are_zero() {
    let federation = busy_federation();
    let balances = query::balances(&federation.state, "");
    assert!(balances.len() >= 3);
    assert_eq!(balances.iter().map(|one| one.balance_sats).sum::<i64>(), 0);
    let journal = query::journal(&federation.state, 0, 0);
    assert_eq!(journal[0].text, "received");
}
