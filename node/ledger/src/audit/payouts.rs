//! Whether every payout's money and coins are where its state says.

use std::collections::{BTreeMap, BTreeSet};

use dctrl_proto::v1::{Payout, PayoutRecipient, PayoutState};

use super::full::{Balances, Findings};
use crate::{StateRead, books, keys, tables};

/// Satoshi that settled payouts have taken from the wallet.
pub(super) fn spent(state: &dyn StateRead) -> i64 {
    let payouts = tables::rows::<Payout>(state, keys::PAYOUTS);
    payouts.map(|payout| spent_by(&payout)).sum()
}

/// Satoshi that one payout has taken from the wallet.
pub(super) fn spent_by(payout: &Payout) -> i64 {
    let paid = if payout.settled {
        payout.reserved_sats + payout.reserved_fee_sats
    } else {
        0
    };
    books::signed(paid + payout.lost_sats)
}

/// Whether a payout has nothing reserved for its recipients: it is being
/// cancelled, and what it was to pay off is owed as before.
pub(super) fn reserves_nothing(state: &dyn StateRead, id: &str) -> bool {
    let payout: Option<Payout> = tables::read(state, &keys::payout(id));
    payout.is_some_and(|payout| payout.reserved_sats == 0)
}

/// Reservations are owed while a payout is open; each coin has one holder, and
/// each open payout holds its coins; its transactions share an input.
pub(super) fn check(state: &dyn StateRead, balances: &Balances, found: &mut Findings) {
    let mut held: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    for payout in tables::rows::<Payout>(state, keys::PAYOUTS) {
        let id = &payout.id;
        let owed = -balances
            .get(&books::payout(id))
            .copied()
            .unwrap_or_default();
        let reserved = books::signed(payout.reserved_sats + payout.reserved_fee_sats);
        let expected = if payout.settled { 0 } else { reserved };
        found.expect(owed == expected, || {
            format!("The books owe {owed} sats to payout {id}, not {expected}.")
        });
        let closed = matches!(
            payout.state(),
            PayoutState::Rejected | PayoutState::Expired | PayoutState::Cancelled
        );
        let open = !closed && !payout.settled;
        found.expect(open == state.get(&keys::payout_open(id)).is_some(), || {
            format!("Payout {id} is listed as open, or not, against its state.")
        });
        let approved = payout.sign_from_ms > 0 || payout.versions.len() == 1;
        found.expect(approved, || {
            format!("Payout {id} has a second transaction and was never approved.")
        });
        for pair in payout.versions.windows(2) {
            let all = pair[0]
                .inputs
                .iter()
                .all(|one| pair[1].inputs.contains(one));
            found.expect(all, || {
                format!("Two transactions of {id} could both be mined.")
            });
        }
        if open {
            let inputs = payout.versions.iter().flat_map(|version| &version.inputs);
            for outpoint in inputs.flat_map(|input| &input.outpoint) {
                let key = keys::coin_locked(outpoint);
                let before = held.insert(key, id.clone());
                found.expect(before.is_none_or(|other| other == *id), || {
                    format!("Payout {id} spends another one's coin.")
                });
            }
        }
    }
    check_paid(state, found);
    let locks: BTreeMap<Vec<u8>, String> = tables::walk(state, keys::COINS_LOCKED)
        .map(|(key, id)| (key, String::from_utf8_lossy(&id).into_owned()))
        .collect();
    found.expect(locks == held, || {
        format!("Locked are {locks:?}, but payouts spend {held:?}.")
    });
}

/// Whoever counts as paid was paid by a settled payout that is in the chain.
fn check_paid(state: &dyn StateRead, found: &mut Findings) {
    let payouts = tables::rows::<Payout>(state, keys::PAYOUTS);
    let counts = |payout: &Payout| payout.settled && !payout.frozen && payout.reserved_sats > 0;
    let expected: BTreeSet<Vec<u8>> = payouts
        .filter(counts)
        .flat_map(|payout| {
            let key = |one: &PayoutRecipient| keys::payout_paid(&one.address, &payout.id);
            payout.recipients.iter().map(key).collect::<Vec<_>>()
        })
        .collect();
    let paid = tables::walk(state, keys::PAYOUTS_PAID).map(|(key, _)| key);
    found.expect(paid.collect::<BTreeSet<_>>() == expected, || {
        "Those who count as paid are not those whom settled payouts have paid.".to_owned()
    });
}
