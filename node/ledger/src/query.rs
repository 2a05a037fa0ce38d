//! Typed reads for people and programs. Lists come in pages.

mod money;
mod nodes;
mod payouts;

use dctrl_proto::v1::{
    Account, ChainTip, Genesis, JournalEntry, LedgerMeta, Machine, MachineView, Member, Outpoint,
    Payment, Product, Rate, Receipt, Refusal, Slot, Vend,
};
use prost::Message;

pub use money::{refunds, tab, tabs, top_up, uncertain};
pub use payouts::{allowed, payout, payouts};

pub use nodes::{ROSTERS_PAGE_MAX, proposals, quorum, roster, rosters, seat_of};

use crate::refuse::invalid;
use crate::scope::Scope;
use crate::{StateRead, digest, execute, keys, sellable, tables};

/// Rows of a page when nothing is asked for.
pub const PAGE_ROWS_DEFAULT: usize = 100;
/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 1000;
/// Rows that one request may look at to find those of one machine.
const FILTERED_ROWS_MAX: usize = 10_000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the list's order.
    pub rows: Vec<T>,
    /// Cursor of the next page; empty after the last.
    pub next: String,
}

/// What is known of the ledger as a whole.
#[must_use]
pub fn meta(state: &dyn StateRead) -> LedgerMeta {
    tables::meta(state)
}

/// The genesis.
#[must_use]
pub fn genesis(state: &dyn StateRead) -> Genesis {
    tables::genesis(state)
}

/// Whether this is a state at all, which begins with its genesis.
#[must_use]
pub fn has_genesis(state: &dyn StateRead) -> bool {
    state.get(keys::GENESIS).is_some()
}

/// The state's digest.
#[must_use]
pub fn state_digest(state: &dyn StateRead) -> [u8; 32] {
    digest::kept(state)
}

/// When consensus time alone changes something next.
#[must_use]
pub fn next_deadline_ms(state: &dyn StateRead) -> Option<u64> {
    execute::next_deadline_ms(state)
}

/// How the action with this id ended, if it has.
#[must_use]
pub fn receipt(state: &dyn StateRead, action_id: &[u8]) -> Option<Receipt> {
    tables::receipt(state, action_id)
}

/// The agreed best block; height 0 without hash where there is none yet.
#[must_use]
pub fn chain_tip(state: &dyn StateRead) -> ChainTip {
    tables::tip(state)
}

/// The agreed rates, by currency.
#[must_use]
pub fn rates(state: &dyn StateRead) -> Vec<Rate> {
    tables::rows(state, keys::RATES).collect()
}

/// One vend.
///
/// # Errors
/// NOTFOUND.
pub fn vend(state: &dyn StateRead, id: &str) -> Result<Vend, Refusal> {
    tables::vend(state, id)
}

/// One payment, if any node has reported it.
#[must_use]
pub fn payment(state: &dyn StateRead, outpoint: &Outpoint) -> Option<Payment> {
    tables::payment(state, outpoint)
}

/// All members, by id.
#[must_use]
pub fn members(state: &dyn StateRead, limit: usize, after: &str) -> Page<Member> {
    by_id(state, keys::MEMBERS, limit, after, |member: &Member| {
        member.id.clone()
    })
}

/// One member.
#[must_use]
pub fn member(state: &dyn StateRead, id: &str) -> Option<Member> {
    tables::member(state, id)
}

/// All products, by id.
#[must_use]
pub fn products(state: &dyn StateRead, limit: usize, after: &str) -> Page<Product> {
    by_id(state, keys::PRODUCTS, limit, after, |product: &Product| {
        product.id.clone()
    })
}

/// All machines by id, each with its slots and why it cannot be sold from.
/// `now_ms` tells how old a heartbeat is; consensus time where it is later.
#[must_use]
pub fn machines(
    state: &dyn StateRead,
    limit: usize,
    after: &str,
    now_ms: u64,
) -> Page<MachineView> {
    let page = by_id(state, keys::MACHINES, limit, after, |one: &Machine| {
        one.id.clone()
    });
    let scope = Scope::open(state, 0, now_ms);
    let view = scope.view();
    let show = |machine: Machine| MachineView {
        slots: slots(state, &machine.id),
        not_sellable: match sellable::require(&view, &machine) {
            Ok(()) => String::new(),
            Err(refusal) => refusal.message,
        },
        machine: Some(machine),
    };
    Page {
        rows: page.rows.into_iter().map(show).collect(),
        next: page.next,
    }
}

/// One machine's record.
///
/// # Errors
/// NOTFOUND.
pub fn machine(state: &dyn StateRead, id: &str) -> Result<Machine, Refusal> {
    tables::machine(state, id)
}

/// The slots of a machine, by name.
#[must_use]
pub fn slots(state: &dyn StateRead, machine_id: &str) -> Vec<Slot> {
    tables::rows(state, &keys::slots_of(machine_id)).collect()
}

/// Vends, the newest first; only those of `machine_id` unless it is empty.
/// The cursor is a vend's id.
///
/// # Errors
/// INVALID for a cursor that is no vend.
pub fn vends(
    state: &dyn StateRead,
    limit: usize,
    after: &str,
    machine_id: &str,
) -> Result<Page<Vend>, Refusal> {
    let after = match after {
        "" => None,
        id => {
            let vend = tables::vend(state, id).map_err(|_| bad_cursor())?;
            Some(keys::vend_newest(vend.address_index))
        }
    };
    let row = |_: &[u8], id: &[u8]| {
        let id = String::from_utf8_lossy(id);
        tables::must(tables::vend(state, &id))
    };
    let keep = |vend: &Vend| machine_id.is_empty() || vend.machine_id == machine_id;
    let cursor = |vend: &Vend| vend.id.clone();
    Ok(filtered(
        state,
        keys::VENDS_NEWEST,
        after,
        limit,
        row,
        keep,
        cursor,
    ))
}

/// Payments by outpoint; only those to vends of `machine_id` unless it is
/// empty. The cursor is `txid:vout`.
///
/// # Errors
/// INVALID for a cursor that is no outpoint.
pub fn payments(
    state: &dyn StateRead,
    limit: usize,
    after: &str,
    machine_id: &str,
) -> Result<Page<Payment>, Refusal> {
    let after = match after {
        "" => None,
        text => Some(keys::payment(&parse_outpoint(text)?)),
    };
    let row = |key: &[u8], value: &[u8]| tables::decode::<Payment>(key, value);
    let keep = |payment: &Payment| {
        let of = |vend: Vend| vend.machine_id == machine_id;
        machine_id.is_empty() || tables::vend(state, &payment.vend_id).is_ok_and(of)
    };
    let cursor = |payment: &Payment| {
        let outpoint = payment.outpoint.clone().unwrap_or_default();
        format!("{}:{}", hex::encode(&outpoint.txid), outpoint.vout)
    };
    Ok(filtered(
        state,
        keys::PAYMENTS,
        after,
        limit,
        row,
        keep,
        cursor,
    ))
}

/// The accounts whose name starts with `prefix`. All balances together are 0.
#[must_use]
pub fn balances(state: &dyn StateRead, prefix: &str) -> Vec<Account> {
    tables::rows(state, &keys::account(prefix)).collect()
}

/// Journal entries by number, after the one numbered `after`.
#[must_use]
pub fn journal(state: &dyn StateRead, limit: usize, after: u64) -> Vec<JournalEntry> {
    let after = keys::journal(after);
    state
        .scan(keys::JOURNAL, Some(&after), page_rows(limit))
        .iter()
        .map(|(key, value)| tables::decode(key, value))
        .collect()
}

fn page_rows(limit: usize) -> usize {
    match limit {
        0 => PAGE_ROWS_DEFAULT,
        limit => limit.min(PAGE_ROWS_MAX),
    }
}

fn bad_cursor() -> Refusal {
    invalid("list.cursor", "after", "The cursor is not from this list.")
}

fn parse_outpoint(text: &str) -> Result<Outpoint, Refusal> {
    let (txid, vout) = text.split_once(':').ok_or_else(bad_cursor)?;
    let txid = hex::decode(txid).map_err(|_| bad_cursor())?;
    let vout = vout.parse().map_err(|_| bad_cursor())?;
    Ok(Outpoint { txid, vout })
}

fn by_id<T: Message + Default>(
    state: &dyn StateRead,
    table: &[u8],
    limit: usize,
    after: &str,
    id: impl Fn(&T) -> String,
) -> Page<T> {
    let after = (!after.is_empty()).then(|| [table, after.as_bytes()].concat());
    let row = |key: &[u8], value: &[u8]| tables::decode::<T>(key, value);
    filtered(state, table, after, limit, row, |_| true, id)
}

/// A page of the rows to keep. It may be short, with a cursor, where few of
/// very many rows are kept.
fn filtered<T>(
    state: &dyn StateRead,
    table: &[u8],
    mut after: Option<Vec<u8>>,
    limit: usize,
    row: impl Fn(&[u8], &[u8]) -> T,
    keep: impl Fn(&T) -> bool,
    cursor: impl Fn(&T) -> String,
) -> Page<T> {
    let limit = page_rows(limit);
    let mut rows = Vec::new();
    let mut next = String::new();
    let mut looked_at = 0;
    loop {
        let page = state.scan(table, after.as_deref(), limit);
        let last = page.len() < limit;
        for (position, (key, value)) in page.iter().enumerate() {
            let one = row(key, value);
            next = cursor(&one);
            if keep(&one) {
                rows.push(one);
            }
            let more = !last || position + 1 < page.len();
            if rows.len() == limit && more {
                return Page { rows, next };
            }
        }
        looked_at += page.len();
        if last {
            let next = String::new();
            return Page { rows, next };
        }
        if looked_at >= FILTERED_ROWS_MAX {
            return Page { rows, next };
        }
        after = page.last().map(|(key, _)| key.clone());
    }
}
