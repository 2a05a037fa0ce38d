//! Errors that tests plant into what the ledger made of a block, so that each
//! check of the books is seen to find one.

use dctrl_ledger::{Applied, ChangeSet};
use dctrl_proto::v1::{Account, Payout, Slot};
use prost::Message;

use super::plan::Planted;

/// Spoils what was made of a block, where there is something to spoil.
pub(super) fn spoil(planted: Planted, applied: &mut Applied) {
    let changes = &mut applied.changes;
    match planted {
        Planted::CreditTwice => change::<Account>(changes, b"account/liability:", |account| {
            account.balance_sats *= 2;
        }),
        Planted::LoseUnit => change::<Slot>(changes, b"slot/", |slot| {
            slot.stock = slot.stock.saturating_sub(1);
        }),
        Planted::MisbookPayout => change::<Payout>(changes, b"payout/", |payout| {
            payout.reserved_fee_sats += u64::from(payout.settled);
        }),
        Planted::IgnoreSuspension => {
            for receipt in &mut applied.receipts {
                receipt.refusal = None;
            }
        }
        _ => {}
    }
}

fn change<M: Message + Default>(changes: &mut ChangeSet, prefix: &[u8], spoil: impl Fn(&mut M)) {
    for (_, value) in changes
        .iter_mut()
        .filter(|(key, _)| key.starts_with(prefix))
    {
        if let Some(bytes) = value
            && let Ok(mut row) = M::decode(bytes.as_slice())
        {
            spoil(&mut row);
            *bytes = row.encode_to_vec();
        }
    }
}
