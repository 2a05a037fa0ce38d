//! Errors that are planted, so that each check is seen to find one.

use dctrl_ledger::{Applied, ChangeSet};
use dctrl_proto::v1::{Account, PaymentView, Payout, PayoutVote};
use prost::Message;

/// An error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A block of the chain spends what is spent.
    PayTwice,
    /// Somebody with all keys empties the wallet, and nobody expects it.
    Steal,
    /// A transaction of a payout pays somebody else, and all copayers sign it.
    OtherRecipient,
    /// One ledger builds other PSBT bytes.
    OtherPsbt,
    /// All ledgers book too much.
    Misbook,
    /// A replacement shares no coin with what it replaces.
    FreeReplacement,
    /// Nobody is named for whom a payout waits.
    NobodyAwaited,
    /// What was never approved is signed and sent.
    Unapproved,
    /// The copayers never sign.
    Strike,
    /// No node looks at what made a payout's coins.
    Unwatched,
    /// A refund goes to somebody else than whoever asked.
    RefundToAnother,
    /// No node says that a payout's transaction has left its block.
    StaysInBlock,
}

impl Planted {
    /// All, and words of the finding that each must lead to.
    pub const ALL: &[(Self, &'static str)] = &[
        (Self::PayTwice, "is in the chain twice"),
        (Self::Steal, "leaves the wallet without a payout"),
        (Self::OtherRecipient, "leaves the wallet without a payout"),
        (Self::OtherPsbt, "made something else of it"),
        (Self::Misbook, "the books have"),
        (Self::FreeReplacement, "share no coin"),
        (Self::NobodyAwaited, "says nobody"),
        (Self::Unapproved, "was never approved"),
        (Self::Strike, "has not come to an end"),
        (Self::Unwatched, "has not come to an end"),
        (Self::RefundToAnother, "a refund that nobody asked for"),
        (Self::StaysInBlock, "the books have"),
    ];
}

/// Spoils what one ledger made of a block.
pub(super) fn spoil_one(planted: Planted, applied: &mut Applied) {
    if planted == Planted::OtherPsbt {
        change::<Payout>(&mut applied.changes, b"payout/", |payout| {
            if let Some(version) = payout.versions.last_mut() {
                version.psbt.push(0);
            }
        });
    }
}

/// Spoils what every ledger made of it.
pub(super) fn spoil_all(planted: Planted, applied: &mut Applied) {
    if planted == Planted::Misbook {
        change::<Account>(&mut applied.changes, b"account/asset:bitcoin", |account| {
            account.balance_sats += 1;
        });
    }
}

/// Spoils what the world is told of a payout.
pub(super) fn spoil_told(planted: Planted, payout: &mut Payout) {
    match planted {
        Planted::FreeReplacement => {
            let mut later = payout.versions.iter_mut().skip(1);
            if let Some(version) = later.next() {
                version.inputs.clear();
            }
        }
        Planted::NobodyAwaited => {
            payout.awaits.clear();
            payout.awaited.clear();
        }
        Planted::RefundToAnother if !payout.accounts.is_empty() => {
            payout.recipients.reverse();
            payout.recipients[0].amount_sats += 1;
        }
        _ => {}
    }
}

/// Spoils what a node's broadcaster is told of a payout.
pub(super) fn spoil_watched(planted: Option<Planted>, payout: &mut Payout) {
    if planted == Some(Planted::Unwatched) {
        payout.origins.clear();
    }
}

/// Whether the ledger knows from this node of a block that holds the payout's
/// transaction.
pub(super) fn is_said_in_block(told: &Payout, seat: usize) -> bool {
    let said = |vote: &&PayoutVote| usize::try_from(vote.node).ok() == Some(seat);
    let spends = told.votes.iter().filter(said).flat_map(|vote| &vote.spend);
    spends
        .into_iter()
        .any(|spend| spend.view() == PaymentView::InBlock)
}

fn change<M: Message + Default>(changes: &mut ChangeSet, prefix: &[u8], spoil: impl Fn(&mut M)) {
    let rows = changes.iter_mut();
    for (_, value) in rows.filter(|(key, _)| key.starts_with(prefix)) {
        if let Some(bytes) = value
            && let Ok(mut row) = M::decode(bytes.as_slice())
        {
            spoil(&mut row);
            *bytes = row.encode_to_vec();
        }
    }
}
