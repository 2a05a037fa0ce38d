//! Facts are what a follower of all frames knows, from wherever it begins.

use std::collections::BTreeMap;

use dctrl_ledger::facts::{self, lasts};
use dctrl_ledger::{MemoryState, StateRead};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BusBody, Outcome, Tab, TabView};

use crate::common::{Federation, PRICE};

/// What a follower knows: the newest event of each thing that lasts.
pub(crate) type Known = BTreeMap<String, Event>;

/// All facts of these topics, taken in pages of so many events.
pub(crate) fn all(state: &dyn StateRead, topics: &[&str], events: usize) -> Vec<BusBody> {
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let (mut all, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let page = facts::page(state, &topics, &cursor, events).unwrap();
        assert!(events == 0 || page.events.len() <= events);
        all.extend(page.events);
        cursor = page.next;
        if cursor.is_empty() {
            return all;
        }
    }
}

pub(crate) fn fold<'b>(known: &mut Known, bodies: impl IntoIterator<Item = &'b BusBody>) {
    for body in bodies {
        let Some(event) = body.event.clone().filter(lasts) else {
            continue;
        };
        let name = name(&event);
        match told(event) {
            Some(event) => known.insert(format!("{} {name}", body.topic), event),
            None => known.remove(&format!("{} {name}", body.topic)),
        };
    }
}

/// Which thing it is.
fn name(event: &Event) -> String {
    match event.clone() {
        Event::Vend(it) => it.vend.unwrap().id,
        Event::Payment(it) => {
            let outpoint = it.payment.unwrap().outpoint.unwrap();
            format!("{}:{}", hex::encode(outpoint.txid), outpoint.vout)
        }
        Event::Member(it) => it.member.unwrap().id,
        Event::Product(it) => it.product.unwrap().id,
        Event::Slot(it) => it.slot.unwrap().slot,
        Event::Proposal(it) => hex::encode(it.proposal.unwrap().digest),
        Event::Payout(it) => it.payout.unwrap().id,
        Event::Tab(it) => it.tab.unwrap().tab.unwrap().member_id,
        Event::TopUp(it) => it.top_up.unwrap().address_index.to_string(),
        Event::Refund(it) => it.refund.unwrap().id,
        // The topic says which.
        Event::Machine(_) | Event::Rate(_) | Event::Tip(_) | Event::Roster(_) => String::new(),
        Event::Order(_)
        | Event::Beacon(_)
        | Event::Report(_)
        | Event::Block(_)
        | Event::Evidence(_) => panic!("it does not last: {event:?}"),
    }
}

/// What an event says without what changes untold, who has voted and been
/// heard, and without what is said of the change alone. Nothing where there is nothing to know.
fn told(mut event: Event) -> Option<Event> {
    match &mut event {
        Event::Payment(it) => {
            let payment = it.payment.as_mut().unwrap();
            payment.votes.clear();
            // Follows from the votes.
            payment.trusted_since_ms = 0;
        }
        Event::Payout(it) => it.payout.as_mut().unwrap().votes.clear(),
        Event::Vend(it) => it.vend.as_mut().unwrap().recheck_at_ms = 0,
        Event::Machine(it) => {
            let machine = it.machine.as_mut().unwrap();
            machine.heartbeat_at_ms = 0;
            machine.last_report_number = 0;
        }
        Event::Tab(it) => {
            let tab = it.tab.as_ref().unwrap();
            let member_id = tab.tab.as_ref().unwrap().member_id.clone();
            let untouched = TabView {
                tab: Some(Tab {
                    member_id,
                    ..Tab::default()
                }),
                ..TabView::default()
            };
            if *tab == untouched {
                return None;
            }
        }
        Event::Proposal(it) if it.state() != dctrl_proto::v1::ProposalState::Open => return None,
        // Says to people what has just happened.
        Event::Proposal(it) => it.detail.clear(),
        _ => {}
    }
    Some(event)
}

/// Both ways to the same height: facts there, and facts before and the frames
/// since then.
pub(crate) fn assert_folds(before: &MemoryState, frames: &[BusBody], after: &MemoryState) {
    let (mut followed, mut present) = (Known::new(), Known::new());
    fold(&mut followed, &all(before, &[], 3));
    fold(&mut followed, frames);
    fold(&mut present, &all(after, &[], 0));
    for (name, event) in &followed {
        assert_eq!(Some(event), present.get(name), "{name}");
    }
    let untold: Vec<&String> = present
        .keys()
        .filter(|name| !followed.contains_key(*name))
        .collect();
    assert!(untold.is_empty(), "no frame told of {untold:?}");
}

#[test]
fn facts_come_in_pages_of_the_wanted_topics_alone() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    federation.finish(&vend, Outcome::Dispensed);
    let other = federation.quote();
    let vends = all(&federation.state, &["vend.", "chain"], 1);
    let topics: Vec<&str> = vends.iter().map(|body| body.topic.as_str()).collect();
    assert_eq!(topics, ["chain", "vend.m1", "vend.m1"]);
    assert_eq!(all(&federation.state, &["vend.m1"], 0).len(), 2);
    assert!(all(&federation.state, &["vend.m10"], 0).is_empty());
    let height = vends.iter().map(|body| body.height).max();
    assert_eq!(height, Some(federation.height));
    let bad = facts::page(&federation.state, &[], b"\xffvend/", 0).unwrap_err();
    assert_eq!(bad.rule, "facts.cursor");
    drop(other);
}

#[test]
fn every_address_that_was_ever_given_out_is_among_the_facts() {
    let mut federation = Federation::new();
    let paid = federation.dispatched();
    federation.finish(&paid, Outcome::Dispensed);
    let expired = federation.quote();
    federation.wait(700_000);
    let mut addresses: Vec<String> = all(&federation.state, &["vend."], 0)
        .into_iter()
        .filter_map(|body| match body.event {
            Some(Event::Vend(changed)) => Some(changed.vend.unwrap().address),
            _ => None,
        })
        .collect();
    let mut expected = vec![paid.address, expired.address];
    addresses.sort();
    expected.sort();
    assert_eq!(addresses, expected);
}

#[test]
fn a_payment_that_one_node_alone_reports_is_no_fact_yet() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let seen = crate::common::payment(&vend, 1, PRICE);
    federation.see(&crate::common::NODES[..1], &seen);
    assert!(all(&federation.state, &["payment"], 0).is_empty());
    federation.see(&crate::common::NODES[1..2], &seen);
    assert_eq!(all(&federation.state, &["payment"], 0).len(), 1);
}
