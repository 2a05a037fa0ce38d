//! Claims about what one fault of the backend does to the other payouts.

use dctrl_proto::v1::PayoutVersion;

use super::*;
use crate::{
    chain::{
        Backend,
        fakes::{Shared, adaptor},
        model::genesis_hash,
    },
    common::tests::common,
};

const NOW_MS: u64 = 1_000;

fn ready(id: &str, transaction: u8) -> Payout {
    Payout {
        id: id.to_owned(),
        versions: vec![PayoutVersion {
            txid: vec![transaction; 32],
            transaction: vec![transaction],
            ready_at_ms: NOW_MS,
            executors: vec![0],
            ..PayoutVersion::default()
        }],
        ..Payout::default()
    }
}

/// The first executor of three payouts that are ready.
fn broadcaster(backend: &Shared) -> Broadcaster {
    let unused = Backend::Simulated { url: String::new() };
    let config = PayoutConfig::new(unused, genesis_hash());
    let common = common(Arc::new(|| NOW_MS));
    let (adaptor, _) = adaptor(std::slice::from_ref(backend));
    let door = common.door();
    let mut made = Broadcaster::new(common, config, adaptor, door, Health::default());
    for (id, transaction) in [("p1", 1), ("p2", 2), ("p3", 3)] {
        made.payouts.told(ready(id, transaction));
    }
    made
}

#[test]
fn a_transaction_that_the_backend_refuses_keeps_no_other_one_back() {
    let backend = Shared::default();
    backend.with(|fake| fake.refuses.insert(vec![1]));
    let mut broadcaster = broadcaster(&backend);
    assert_eq!(broadcaster.ask(), AFTER_ERROR);
    assert_eq!(backend.with(|fake| fake.taken.clone()), [[2], [3]]);
    let troubles = broadcaster.health.troubles().join(" ");
    assert!(troubles.contains("sendrawtransaction"), "{troubles}");
}

#[test]
fn payouts_are_sent_though_no_fee_rate_is_known() {
    let backend = Shared::default();
    backend.with(|fake| fake.knows_no_fees = true);
    let mut broadcaster = broadcaster(&backend);
    assert_eq!(broadcaster.ask(), ASK_EVERY);
    assert_eq!(backend.with(|fake| fake.taken.len()), 3);
    let troubles = broadcaster.health.troubles().join(" ");
    assert!(troubles.contains("no fee rate is known"), "{troubles}");

    backend.with(|fake| fake.knows_no_fees = false);
    broadcaster.fee_at = Instant::now();
    broadcaster.ask();
    assert!(broadcaster.health.is_ok());
}

#[test]
fn a_backend_of_another_network_is_given_nothing() {
    let backend = Shared::default();
    let mut broadcaster = broadcaster(&backend);
    broadcaster.config.genesis_hash = Hash([9; 32]);
    assert_eq!(broadcaster.ask(), AFTER_ERROR);
    assert!(backend.with(|fake| fake.taken.is_empty()));
}
