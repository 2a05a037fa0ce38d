//! What a payout says of its recipients, which the nodes sign with it.

use dctrl_proto::v1::{
    AllowedAddress, BusBody, Payout, PayoutAllow, PayoutCancel, PayoutStanding, bus_body::Event,
};

use crate::common::payouts::{CAROL, DAVE, newest, nowhere, signed, stranger};
use crate::common::{Federation, NODES, OPERATOR};

fn standing(payout: &Payout) -> &PayoutStanding {
    assert_eq!(payout.standings.len(), payout.recipients.len());
    &payout.standings[0]
}

fn listed(payout: &Payout) -> Option<&AllowedAddress> {
    standing(payout).allowed.as_ref()
}

fn allow(address: String, remove: bool) -> PayoutAllow {
    PayoutAllow {
        address,
        name: "Hackers e. V.".into(),
        remove,
    }
}

/// The payout as the last block told of it, which is what the nodes sign.
fn told(outputs: Vec<BusBody>) -> Option<Payout> {
    let mut payouts = outputs.into_iter().filter_map(|body| match body.event {
        Some(Event::Payout(changed)) => changed.payout,
        _ => None,
    });
    payouts.next_back()
}

#[test]
fn a_payout_names_each_recipients_row_of_the_list_and_who_was_never_paid() {
    let mut federation = Federation::rich(&[60_000, 60_000]);
    federation.submit(DAVE, &allow(stranger(0), false)).unwrap();
    let payout = federation.propose_payout(CAROL, &[20_000, 9_000]).unwrap();
    let row = listed(&payout).unwrap();
    assert_eq!(
        (row.name.as_str(), &row.address),
        ("Hackers e. V.", &stranger(0))
    );
    assert_eq!(payout.standings[1], PayoutStanding::default());
    assert!(!standing(&payout).paid_before);
}

#[test]
fn whoever_takes_an_address_off_the_list_changes_what_the_open_payouts_say() {
    let mut federation = Federation::rich(&[60_000]);
    federation.submit(DAVE, &allow(stranger(0), false)).unwrap();
    let payout = federation.approved(&[20_000]);
    assert!(listed(&payout).is_some());
    let steps = payout.history.len();
    federation
        .submit(OPERATOR, &allow(stranger(0), true))
        .unwrap();
    let now = federation.payout(&payout.id);
    assert_eq!(listed(&now), None);
    assert_eq!(now.history.len(), steps + 1);
    let detail = &now.history.last().unwrap().detail;
    assert!(
        detail.ends_with("was taken off the allow-list."),
        "{detail}"
    );
    assert_eq!(told(federation.outputs()), Some(now), "and is signed so");
    // Another's address is no news.
    federation.submit(DAVE, &allow(stranger(1), false)).unwrap();
    assert_eq!(federation.payout(&payout.id).history.len(), steps + 1);
    federation.submit(DAVE, &allow(stranger(0), false)).unwrap();
    assert!(listed(&federation.payout(&payout.id)).is_some());
    // It is only told, not judged: the signatures are taken.
    let psbt = signed(newest(&payout), 0);
    federation.hand_in(&payout, psbt).unwrap();
}

#[test]
fn an_address_counts_as_paid_from_the_depth_at_which_the_books_count_it() {
    let mut federation = Federation::rich(&[60_000, 60_000]);
    let first = federation.ready(&[20_000]);
    let txid = newest(&first).txid.clone();
    let first = federation.mined(&first, &txid, 111, 115);
    assert!(!first.settled);
    let second = federation.propose_payout(CAROL, &[9_000]).unwrap();
    assert!(!standing(&second).paid_before, "it may be undone yet");
    federation.tip(116);
    let first = federation.payout(&first.id);
    assert!(first.settled);
    assert!(!standing(&first).paid_before, "it does not count itself");
    let second = federation.approve_payout(DAVE, &second).unwrap();
    assert!(standing(&second).paid_before);
    // A reorganisation that undoes what was settled takes it back, and on again.
    federation.see_payout(&NODES, &nowhere(&first));
    let again = federation.signed_by(&second, &[0]);
    assert!(!standing(&again).paid_before);
    federation.mined(&first, &txid, 117, 125);
    let again = federation.signed_by(&second, &[1]);
    assert!(standing(&again).paid_before);
}

#[test]
fn what_was_cancelled_has_paid_nobody() {
    let mut federation = Federation::rich(&[60_000, 60_000]);
    let payout = federation.approved(&[20_000]);
    let cancel = PayoutCancel {
        payout_id: payout.id.clone(),
        reason: "typo".into(),
    };
    federation.submit(CAROL, &cancel).unwrap();
    let payout = federation.signed_by(&payout, &[0, 1]);
    let txid = newest(&payout).txid.clone();
    assert!(federation.mined(&payout, &txid, 111, 116).settled);
    let next = federation.propose_payout(CAROL, &[9_000]).unwrap();
    assert!(!standing(&next).paid_before);
}
