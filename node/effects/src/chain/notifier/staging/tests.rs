use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bitcoin::Network;
use dctrl_follow::DoorError;
use dctrl_proto::v1::{
    ActionBody, ChainObserve, Outpoint, Payment, PaymentChanged, PaymentDoubts, PaymentObserve,
    PaymentView, PaymentVote, Receipt, SignedAction, TipAgreed, Vend, VendChanged, bus_body::Event,
};
use prost::Message;

use super::{
    super::super::{Block, Hash, Output, Transaction},
    *,
};

/// A door that applies everything, or loses it.
#[derive(Default)]
struct Ledger {
    loses: bool,
    handed: RefCell<Vec<ActionBody>>,
}

impl Ledger {
    fn names(&self) -> Vec<String> {
        let handed = self.handed.borrow();
        handed.iter().map(|body| body.name.clone()).collect()
    }
}

impl Desk for Ledger {
    fn submit(&self, action: &SignedAction) -> Result<Option<Receipt>, DoorError> {
        let body = ActionBody::decode(action.body.as_slice()).unwrap();
        self.handed.borrow_mut().push(body);
        Ok((!self.loses).then(Receipt::default))
    }

    fn receipt(&self, _: &[u8; 32]) -> Result<Option<Receipt>, DoorError> {
        Ok(None)
    }
}

fn staging(now_ms: &Arc<AtomicU64>) -> Staging {
    let clock = now_ms.clone();
    let common = crate::common::tests::common(Arc::new(move || clock.load(Ordering::SeqCst)));
    let mut staging = Staging::new(common, Sight::new(Network::Regtest, None, 1_008));
    staging.sight.abstain = false;
    staging
}

fn connect(staging: &mut Staging, height: u32) {
    if staging.sight.watch.tip().is_none() {
        staging.sight.watch.begin_above(Tip {
            height: height - 1,
            hash: Hash::default(),
        });
    }
    staging.sight.watch.connect(&Block {
        height,
        hash: Hash([u8::try_from(height).unwrap(); 32]),
        previous: Hash::default(),
        transactions: Vec::new(),
    });
}

fn agreed(height: u32) -> BusBody {
    BusBody {
        event: Some(Event::Tip(TipAgreed {
            height,
            hash: vec![u8::try_from(height).unwrap(); 32],
        })),
        ..BusBody::default()
    }
}

#[test]
fn of_a_burst_of_blocks_only_the_newest_is_said_and_only_once() {
    let (now_ms, ledger) = (Arc::default(), Ledger::default());
    let mut staging = staging(&now_ms);
    for height in 1..=20 {
        connect(&mut staging, height);
    }
    for _ in 0..3 {
        staging.stage();
        staging.work(&ledger);
    }
    assert_eq!(ledger.names(), ["chain.observe"]);
    let said = ChainObserve::decode(ledger.handed.borrow()[0].payload.as_slice()).unwrap();
    assert_eq!(said.height, 20);
}

#[test]
fn a_tip_that_the_federation_agrees_on_is_not_said_after_a_restart() {
    let (now_ms, ledger) = (Arc::default(), Ledger::default());
    let mut staging = staging(&now_ms);
    staging.frame(&agreed(3));
    connect(&mut staging, 3);
    staging.stage();
    staging.work(&ledger);
    assert!(ledger.names().is_empty());
    connect(&mut staging, 4);
    staging.stage();
    staging.work(&ledger);
    assert_eq!(ledger.names(), ["chain.observe"]);
}

#[test]
fn a_payment_that_is_gone_at_once_is_taken_back_behind_its_sighting() {
    let (now_ms, ledger) = (Arc::new(AtomicU64::new(1_000)), Ledger::default());
    let mut staging = staging(&now_ms);
    let script = vec![7; 34];
    staging.sight.watch.watch(script.clone(), 5);
    let txid = Hash([3; 32]);
    staging.sight.watch.see(&Transaction {
        txid,
        coinbase: false,
        inputs: Vec::new(),
        outputs: vec![Output {
            vout: 0,
            script,
            amount_sats: 1_500,
        }],
    });
    staging
        .sight
        .watch
        .checked(txid, Some(PaymentDoubts::default()));
    let lost = Ledger {
        loses: true,
        ..Ledger::default()
    };
    staging.stage();
    staging.work(&lost);
    assert_eq!(
        lost.names(),
        ["payment.observe"],
        "taken, and not applied yet"
    );
    staging.sight.watch.removed(txid);
    staging.sight.watch.checked(txid, None);
    staging.stage();
    now_ms.store(1_499, Ordering::SeqCst);
    staging.work(&ledger);
    assert!(ledger.names().is_empty(), "the ledger knows of no payment");
    now_ms.store(1_500, Ordering::SeqCst);
    staging.work(&ledger);
    staging.stage();
    staging.work(&ledger);
    let handed = ledger.handed.borrow();
    let views = handed.iter().map(|body| {
        PaymentObserve::decode(body.payload.as_slice())
            .unwrap()
            .view()
    });
    let views: Vec<PaymentView> = views.collect();
    assert_eq!(views, [PaymentView::InMempool, PaymentView::Absent]);
}

#[test]
fn an_abstaining_node_says_nothing() {
    let (now_ms, ledger) = (Arc::default(), Ledger::default());
    let mut staging = staging(&now_ms);
    staging.sight.abstain = true;
    connect(&mut staging, 1);
    staging.stage();
    staging.work(&ledger);
    assert!(ledger.names().is_empty());
    assert_eq!(staging.settled_tip(), None);
}

#[test]
fn a_view_that_never_reached_the_ledger_is_said_with_a_fresh_id() {
    let now_ms = Arc::new(AtomicU64::new(0));
    let ledger = Ledger {
        loses: true,
        ..Ledger::default()
    };
    let mut staging = staging(&now_ms);
    connect(&mut staging, 1);
    staging.stage();
    staging.work(&ledger);
    now_ms.store(200_000, Ordering::SeqCst);
    staging.work(&ledger);
    staging.stage();
    staging.work(&ledger);
    let handed = ledger.handed.borrow();
    assert_eq!(handed.len(), 2);
    assert_ne!(handed[0].request_id, handed[1].request_id);
    assert_eq!(handed[0].payload, handed[1].payload);
}

#[test]
fn the_addresses_of_vends_are_watched_and_those_of_other_networks_are_not() {
    let now_ms = Arc::default();
    let mut staging = staging(&now_ms);
    let vend = |address: &str| BusBody {
        event: Some(Event::Vend(VendChanged {
            vend: Some(Vend {
                address: address.to_owned(),
                address_index: 7,
                ..Vend::default()
            }),
        })),
        ..BusBody::default()
    };
    staging.frame(&vend(""));
    staging.frame(&vend("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
    assert!(staging.sight.watch.watches_nothing());
    staging.frame(&vend("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"));
    assert!(!staging.sight.watch.watches_nothing());
}

#[test]
fn only_a_tip_far_above_the_own_one_is_suspicious() {
    let now_ms = Arc::default();
    let mut staging = staging(&now_ms);
    staging.frame(&agreed(12));
    let own = |height| Tip {
        height,
        hash: Hash::default(),
    };
    assert_eq!(staging.sight.ahead_of(own(10)), None);
    assert_eq!(
        staging.sight.ahead_of(own(9)).map(|tip| tip.height),
        Some(12)
    );
}

#[test]
fn a_node_that_joined_later_knows_its_votes_by_the_seat_it_was_given() {
    let now_ms = Arc::new(AtomicU64::new(0));
    let seat = Arc::new(AtomicU64::new(u64::MAX));
    let mut staging = staging(&now_ms);
    let given = seat.clone();
    staging.common.seat = Arc::new(move || u32::try_from(given.load(Ordering::SeqCst)).ok());
    let told = |txid: u8| BusBody {
        event: Some(Event::Payment(PaymentChanged {
            payment: Some(Payment {
                outpoint: Some(Outpoint {
                    txid: vec![txid; 32],
                    vout: 0,
                }),
                votes: vec![PaymentVote {
                    node: 7,
                    view: PaymentView::InMempool.into(),
                    ..PaymentVote::default()
                }],
                ..Payment::default()
            }),
        })),
        ..BusBody::default()
    };
    assert!(!staging.frame(&told(1)), "another node's vote");
    seat.store(7, Ordering::SeqCst);
    assert!(staging.frame(&told(2)), "its own, whose truth it asks for");
}
