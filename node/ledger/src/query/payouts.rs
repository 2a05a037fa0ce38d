//! Payouts, and the addresses that may be paid.

use dctrl_proto::v1::{AllowedAddress, Payout, Refusal};

use super::{Page, bad_cursor, filtered};
use crate::{StateRead, keys, payouts, tables};

/// One payout.
///
/// # Errors
/// NOTFOUND.
pub fn payout(state: &dyn StateRead, id: &str) -> Result<Payout, Refusal> {
    payouts::find(state, id)
}

/// Payouts, the newest first. The cursor is a payout's id.
///
/// # Errors
/// INVALID for a cursor that is no payout.
pub fn payouts(state: &dyn StateRead, limit: usize, after: &str) -> Result<Page<Payout>, Refusal> {
    let after = match after {
        "" => None,
        id => {
            let payout = payouts::find(state, id).map_err(|_| bad_cursor())?;
            Some(keys::payout_newest(payout.proposed_at_ms, id))
        }
    };
    let row = |_: &[u8], id: &[u8]| {
        let id = String::from_utf8_lossy(id);
        tables::must(payouts::find(state, &id))
    };
    let cursor = |payout: &Payout| payout.id.clone();
    let table = keys::PAYOUTS_NEWEST;
    Ok(filtered(state, table, after, limit, row, |_| true, cursor))
}

/// The addresses that may be paid, or will be, by address.
#[must_use]
pub fn allowed(state: &dyn StateRead) -> Vec<AllowedAddress> {
    tables::rows(state, keys::PAYOUT_ALLOWED).collect()
}
