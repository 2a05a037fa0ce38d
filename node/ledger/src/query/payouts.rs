//! Payouts, and the addresses that may be paid.

use dctrl_proto::v1::{AllowedAddress, Payout, Refusal};
use prost::Message;

use super::{Page, bad_cursor, filtered, page_rows};
use crate::{StateRead, keys, payouts, tables};

/// Bytes of a page, but for one with a single payout: many clients of gRPC take
/// 4 MiB of a message, and no more.
const PAGE_BYTES_MAX: usize = 3 << 20;
/// Payouts read together.
const STEP_ROWS: usize = 16;

/// One payout.
///
/// # Errors
/// NOTFOUND.
pub fn payout(state: &dyn StateRead, id: &str) -> Result<Payout, Refusal> {
    payouts::find(state, id)
}

/// Payouts, the newest first. A page also ends where it would be too long for a
/// message. The cursor is a payout's id.
///
/// # Errors
/// INVALID for a cursor that is no payout.
pub fn payouts(state: &dyn StateRead, limit: usize, after: &str) -> Result<Page<Payout>, Refusal> {
    let place = |payout: &Payout| keys::payout_newest(payout.proposed_at_ms, &payout.id);
    let mut after = match after {
        "" => None,
        id => Some(place(&payouts::find(state, id).map_err(|_| bad_cursor())?)),
    };
    let row = |_: &[u8], id: &[u8]| {
        let id = String::from_utf8_lossy(id);
        tables::must(payouts::find(state, &id))
    };
    let cursor = |payout: &Payout| payout.id.clone();
    let limit = page_rows(limit);
    let (mut rows, mut bytes): (Vec<Payout>, usize) = (Vec::new(), 0);
    loop {
        let step = STEP_ROWS.min(limit - rows.len());
        let table = keys::PAYOUTS_NEWEST;
        let found = filtered(state, table, after, step, row, |_| true, cursor);
        for payout in found.rows {
            bytes += payout.encoded_len();
            if let Some(last) = rows.last().filter(|_| bytes > PAGE_BYTES_MAX) {
                let next = cursor(last);
                return Ok(Page { rows, next });
            }
            rows.push(payout);
        }
        if found.next.is_empty() || rows.len() == limit {
            let next = found.next;
            return Ok(Page { rows, next });
        }
        after = rows.last().map(place);
    }
}

/// The addresses that may be paid, or will be, by address.
#[must_use]
pub fn allowed(state: &dyn StateRead) -> Vec<AllowedAddress> {
    tables::rows(state, keys::PAYOUT_ALLOWED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChangeSet, MemoryState};

    /// So many payouts, each with so many bytes of purpose.
    fn state(count: u64, bytes: usize) -> MemoryState {
        let mut rows = ChangeSet::new();
        for number in 0..count {
            let payout = Payout {
                id: format!("p{number:03}"),
                proposed_at_ms: number,
                purpose: "x".repeat(bytes),
                ..Payout::default()
            };
            let newest = keys::payout_newest(number, &payout.id);
            rows.insert(newest, Some(payout.id.as_bytes().to_vec()));
            rows.insert(keys::payout(&payout.id), Some(payout.encode_to_vec()));
        }
        let mut state = MemoryState::default();
        state.apply(&rows);
        state
    }

    /// Rows of each page until the last.
    fn pages(state: &MemoryState, limit: usize) -> Vec<usize> {
        let (mut pages, mut after, mut seen) = (Vec::new(), String::new(), Vec::new());
        loop {
            let page = payouts(state, limit, &after).unwrap();
            pages.push(page.rows.len());
            seen.extend(page.rows.into_iter().map(|payout| payout.id));
            after = page.next;
            if after.is_empty() {
                break;
            }
        }
        assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
        pages
    }

    #[test]
    fn a_page_ends_with_its_rows_or_before_it_is_too_long() {
        assert_eq!(pages(&state(40, 10), 0), [40]);
        assert_eq!(pages(&state(40, 10), 16), [16, 16, 8]);
        assert_eq!(pages(&state(40, 10), 17), [17, 17, 6]);
        assert_eq!(pages(&state(14, 500 << 10), 0), [6, 6, 2]);
        assert_eq!(pages(&state(2, 4 << 20), 0), [1, 1]);
        assert_eq!(pages(&state(0, 0), 0), [0]);
    }
}
