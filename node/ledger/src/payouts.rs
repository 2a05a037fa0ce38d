//! Payouts: money that leaves the wallet, as consensus state.
//!
//! A proposal fixes the transaction before anybody signs: its coins, outputs,
//! fee and bytes follow from the state alone, and its coins are locked to it.
//! Copayers approve it with their member keys and sign it with the wallet's
//! keys, which no node has. What the chain shows of it comes back as votes of
//! the nodes.
//!
//! Invariants. A coin is locked to one payout at most. Any two transactions
//! ever built for one payout share an input, so that at most one of them can
//! be in a chain: a later version spends every coin of the one before. Once a
//! payout was approved its coins come free only when the chain has spent one
//! of them six blocks deep, or has undone what made it, because signatures may
//! be anywhere by then. The books count a payout from that depth on.
//!
//! Deliberately absent: keys, broadcasting (an effect does that), and any
//! change of the rules after the genesis.

mod awaits;
mod belief;
mod build;
mod child;
mod coins;
mod conflict;
mod cover;
mod decide;
mod expiry;
mod fees;
mod keep;
mod money;
mod rules;
mod settle;
mod sign;
mod source;
mod standing;

pub(crate) use awaits::approvals_missing;
pub(crate) use belief::{check_observation, observe, tip_moved};
pub(crate) use build::{again, cancellation, consolidation, first};
pub(crate) use child::{child, liftable, order_child};
pub(crate) use coins::{lock, payment_changed};
pub(crate) use cover::require_cover;
pub(crate) use decide::{cannot_be_approved, decided, is_approved};
pub(crate) use expiry::{fire_due, next_deadline_ms};
pub(crate) use fees::observe as observe_fee;
pub(crate) use keep::{close, find, new_version, save};
pub(crate) use money::reserve;
pub(crate) use rules::{
    check_rules, most, require_approver, require_consolidation, require_own, require_proposal,
    require_room, rules, take_day,
};
pub(crate) use sign::{complete, signers};
pub(crate) use source::{Source, of as source};
pub(crate) use standing::list_changed;

use dctrl_proto::action::ACTION_BYTES_MAX;
use dctrl_proto::v1::{Payout, PayoutState, PayoutVersion, Refusal};
pub(crate) use dctrl_wallet::RECIPIENTS_MAX;
use dctrl_wallet::SIGNED_BYTES_MAX;

use crate::caller::Caller;
use crate::refuse::{ensure, precond};
use crate::scope::{Scope, View};
use crate::tables;

/// Confirmations from which a coin may be spent and a payout is settled.
pub(crate) const DEPTH: u32 = 6;
/// Payouts whose end is open, all together: each is looked at with every block.
pub(crate) const OPEN_MAX: usize = 32;
/// And of one member, unapproved.
pub(crate) const UNAPPROVED_PER_MEMBER_MAX: usize = 4;
/// Transactions of one payout.
pub(crate) const VERSIONS_MAX: usize = 8;
/// Bytes of one payout's transactions, so that what is told of it stays below the
/// 1 MiB of a message whatever the nodes say of its inputs.
pub(crate) const VERSIONS_BYTES_MAX: usize = 512 * 1024;
/// What one transaction can come to: its PSBT and all signatures, and beside them
/// its inputs and itself when it is complete, which take less than 3/5 of that.
pub(crate) const VERSION_BYTES_MAX: usize = SIGNED_BYTES_MAX as usize / 5 * 8;
/// Inputs that a node may name as spent otherwise; no wallet's payout has more.
pub(crate) const INPUTS_SEEN_MAX: usize = dctrl_wallet::INPUTS_MAX;
/// Steps that a payout's history keeps; the newest.
pub(crate) const STEPS_MAX: usize = 64;
/// What an action has around the PSBT that it hands in, bytes: key, signature,
/// cluster, name, request id, expiry, the payout's id, and their lengths.
const ENVELOPE_BYTES_MAX: u64 = 512;

const _: () = assert!(SIGNED_BYTES_MAX + ENVELOPE_BYTES_MAX <= ACTION_BYTES_MAX as u64);

/// A payout's id, from the id of the action that proposes it.
fn id_of(caller: &Caller) -> String {
    format!("p{}", hex::encode(&caller.action_id[..8]))
}

/// Refuses an action whose payout's id is taken.
pub(crate) fn require_free_id(view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
    let free = keep::find(view.state, &id_of(caller)).is_err();
    ensure(free, || {
        precond("payout.id", "Propose again with another request id.")
    })
}

/// A payout that this caller has just ordered, empty.
pub(crate) fn new(scope: &Scope<'_>, caller: &Caller) -> Payout {
    let member = caller.member.as_ref();
    let threshold = scope.wallet().threshold();
    Payout {
        id: id_of(caller),
        creator: member.map(|member| member.id.clone()).unwrap_or_default(),
        proposed_at_ms: scope.time_ms(),
        expires_at_ms: scope.time_ms() + rules(scope.view().genesis).proposal_ms,
        signatures_needed: u32::try_from(threshold).expect("a wallet has few keys"),
        chain_height: tables::tip(scope).height,
        ..Payout::default()
    }
}

/// The transaction that is to be made now.
pub(crate) fn current(payout: &Payout) -> &PayoutVersion {
    payout
        .versions
        .last()
        .expect("a payout begins with a transaction")
}

/// The version with this id.
pub(crate) fn version_of<'p>(payout: &'p Payout, txid: &[u8]) -> Option<&'p PayoutVersion> {
    payout.versions.iter().find(|version| version.txid == txid)
}

/// Whether nothing can happen to it any more, but that the chain undoes it.
pub(crate) fn is_over(payout: &Payout) -> bool {
    payout.settled
        || matches!(
            payout.state(),
            PayoutState::Rejected | PayoutState::Expired | PayoutState::Cancelled
        )
}
