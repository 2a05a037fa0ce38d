//! Whom a payout pays, and what they were owed: typed by whoever proposes, or
//! taken from the ledger's own rows.
//!
//! A refund's address was signed for by its payer, and a share's is in the
//! genesis, so that neither needs to be on the allow-list.

use dctrl_proto::v1::{
    Payout, PayoutPropose, PayoutRecipient, PayoutState, Refund, RefundState, Refusal,
};

use super::{RECIPIENTS_MAX, fees, rules, version_of};
use crate::refuse::{ensure, invalid, precond};
use crate::scope::{Scope, View};
use crate::{books, keys, refunds, shares, tables};

/// Less is dust for some kind of address, satoshi.
const SHARE_SATS_MIN: u64 = 546;

/// Open refunds that a payout looks at, those that have waited longest.
const REFUNDS_LOOKED_AT: usize = 20_000;
/// What a recipient adds to a transaction, virtual bytes: an output, and an input
/// of 2 of 3 keys for it.
const RECIPIENT_VSIZE: u128 = 43 + 105;

/// Whom a payout pays.
pub(crate) struct Source {
    pub(crate) recipients: Vec<PayoutRecipient>,
    /// What is paid off, by recipient; empty where it is an expense.
    pub(crate) accounts: Vec<String>,
}

impl Source {
    /// Whether somebody has typed the recipients.
    pub(super) fn is_typed(&self) -> bool {
        self.accounts.is_empty()
    }
}

/// Whom a proposal would pay.
///
/// # Errors
/// It says more than one thing, or nobody is owed anything.
pub(crate) fn of(view: &View<'_>, propose: &PayoutPropose) -> Result<Source, Refusal> {
    let typed = !propose.recipients.is_empty();
    let ways = [typed, propose.refunds, propose.split, propose.consolidate];
    ensure(ways.iter().filter(|way| **way).count() <= 1, || {
        let message = "Name recipients, or pay refunds, or the split, or consolidate.";
        invalid("payout.source", "recipients", message)
    })?;
    let owed = propose.refunds || propose.split;
    ensure(owed || propose.sats_max == 0, || {
        let message = "Only of what is owed a part may be paid.";
        invalid("payout.source", "sats_max", message)
    })?;
    let owed = if propose.refunds {
        due_refunds(view, most(view, propose))
    } else if propose.split {
        due_shares(view, most(view, propose))
    } else {
        return Ok(Source {
            recipients: propose.recipients.clone(),
            accounts: Vec::new(),
        });
    };
    ensure(!owed.is_empty(), || {
        precond(
            "payout.nothing",
            "Nobody is owed anything that can be paid.",
        )
    })?;
    let mut source = Source {
        recipients: Vec::with_capacity(owed.len()),
        accounts: Vec::with_capacity(owed.len()),
    };
    for (account, address, amount_sats) in owed {
        source.accounts.push(account);
        source.recipients.push(PayoutRecipient {
            address,
            amount_sats,
        });
    }
    Ok(source)
}

/// What is owed: the account, the address, and the satoshi.
type Owed = (String, String, u64);

/// What a payout of what is owed may pay together.
fn most(view: &View<'_>, propose: &PayoutPropose) -> u64 {
    let allowed = rules::left(view);
    match propose.sats_max {
        0 => allowed,
        wanted => wanted.min(allowed),
    }
}

/// The refunds that fit, those that have waited longest first. One that is too
/// large, or not worth its fee at the present rate, keeps no other one back.
fn due_refunds(view: &View<'_>, most: u64) -> Vec<Owed> {
    let bps = u128::from(rules::rules(view.genesis).fee_bps_max);
    let fee = u128::from(fees::rate(view).0) * RECIPIENT_VSIZE / 1_000;
    let mut left = most;
    let mut due = Vec::new();
    for one in refunds::open(view.state, REFUNDS_LOOKED_AT) {
        let worth_it = fee * 10_000 <= u128::from(one.sats) * bps;
        if worth_it && one.sats <= left {
            left -= one.sats;
            due.push((books::refund(&one.id), one.address, one.sats));
        }
        if due.len() == RECIPIENTS_MAX {
            break;
        }
    }
    due
}

/// The shares, or the same part of each where all are too much.
fn due_shares(view: &View<'_>, most: u64) -> Vec<Owed> {
    let mut due = shares::accrued(view.state, view.genesis);
    let all: u128 = due.iter().map(|(_, _, sats)| u128::from(*sats)).sum();
    if all > u128::from(most) {
        for (_, _, sats) in &mut due {
            let part = u128::from(*sats) * u128::from(most) / all;
            *sats = u64::try_from(part).expect("a part is at most the whole");
        }
    }
    due.retain(|(_, _, sats)| *sats >= SHARE_SATS_MIN);
    due.truncate(RECIPIENTS_MAX);
    due
}

/// Brings the refunds that a payout carries out in line with it. A refund that
/// another payout has taken up since is that one's.
pub(super) fn follow(scope: &mut Scope<'_>, payout: &Payout) {
    let (state, txid) = refund_state(payout);
    for account in &payout.accounts {
        let Some(id) = account.strip_prefix(books::REFUNDS) else {
            continue;
        };
        let refund: Refund =
            tables::read(scope, &keys::refund(id)).expect("a payout's refund is there");
        let taken =
            refund.state() == RefundState::RefundOpen && state == RefundState::RefundInPayout;
        let own = refund.payout_id == payout.id || (taken && is_fresh(payout));
        let now = Refund {
            state: state.into(),
            payout_id: match state {
                RefundState::RefundOpen => String::new(),
                _ => payout.id.clone(),
            },
            txid: txid.clone(),
            ..refund.clone()
        };
        if own && now != refund {
            refunds::save(scope, now);
        }
    }
}

/// A payout takes its refunds up when it is proposed, and never later.
fn is_fresh(payout: &Payout) -> bool {
    payout.history.len() <= 1
}

fn refund_state(payout: &Payout) -> (RefundState, Vec<u8>) {
    let open = (RefundState::RefundOpen, Vec::new());
    let taken = (RefundState::RefundInPayout, Vec::new());
    match payout.state() {
        PayoutState::Rejected | PayoutState::Expired => open,
        PayoutState::Cancelled if !payout.frozen => open,
        PayoutState::Invalidated if payout.settled && !payout.frozen => open,
        PayoutState::Confirmed if payout.settled && !payout.frozen => {
            debug_assert!(version_of(payout, &payout.settled_txid).is_some());
            (RefundState::RefundPaid, payout.settled_txid.clone())
        }
        _ => taken,
    }
}
