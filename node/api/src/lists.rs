//! Lists of state, a page at a time.

use std::time::{SystemTime, UNIX_EPOCH};

use dctrl_ledger::query;
use dctrl_proto::v1::{
    Balances, MachineList, MemberList, NodeList, PaymentList, PayoutList, ProductList, RosterList,
    VendList,
};
use dctrl_store::Snapshot;

use crate::{page::Page, read::ReadError, refusal};

pub(crate) fn members(snapshot: &Snapshot<'_>, page: &Page) -> Result<MemberList, ReadError> {
    let found = query::members(snapshot, page.limit, &page.after);
    Ok(MemberList {
        height: snapshot.height()?,
        members: found.rows,
        next: found.next,
    })
}

pub(crate) fn nodes(snapshot: &Snapshot<'_>) -> Result<NodeList, ReadError> {
    Ok(NodeList {
        height: snapshot.height()?,
        roster: Some(query::roster(snapshot)),
        quorum: u32::try_from(query::quorum(snapshot)).unwrap_or(u32::MAX),
        proposals: query::proposals(snapshot),
    })
}

pub(crate) fn rosters(snapshot: &Snapshot<'_>, page: &Page) -> Result<RosterList, ReadError> {
    let found = query::rosters(snapshot, page.limit, &page.after)?;
    Ok(RosterList {
        height: snapshot.height()?,
        rosters: found.rows,
        next: found.next,
    })
}

pub(crate) fn products(snapshot: &Snapshot<'_>, page: &Page) -> Result<ProductList, ReadError> {
    let found = query::products(snapshot, page.limit, &page.after);
    Ok(ProductList {
        height: snapshot.height()?,
        products: found.rows,
        next: found.next,
    })
}

/// A heartbeat's age is told by this node's clock, so that a federation that
/// stands still does not show machines as alive.
pub(crate) fn machines(snapshot: &Snapshot<'_>, page: &Page) -> Result<MachineList, ReadError> {
    let height = snapshot.height()?;
    let now_ms = now_ms();
    let wanted = &page.machine_id;
    if wanted.is_empty() {
        let found = query::machines(snapshot, page.limit, &page.after, now_ms);
        return Ok(MachineList {
            height,
            machines: found.rows,
            next: found.next,
        });
    }
    let mut after = String::new();
    loop {
        let mut found = query::machines(snapshot, query::PAGE_ROWS_MAX, &after, now_ms);
        found
            .rows
            .retain(|view| view.machine.as_ref().is_some_and(|one| one.id == *wanted));
        if !found.rows.is_empty() || found.next.is_empty() {
            return Ok(MachineList {
                height,
                machines: found.rows,
                next: String::new(),
            });
        }
        after = found.next;
    }
}

pub(crate) fn vends(snapshot: &Snapshot<'_>, page: &Page) -> Result<VendList, ReadError> {
    let found = query::vends(snapshot, page.limit, &page.after, &page.machine_id)?;
    Ok(VendList {
        height: snapshot.height()?,
        vends: found.rows,
        next: found.next,
    })
}

pub(crate) fn payments(snapshot: &Snapshot<'_>, page: &Page) -> Result<PaymentList, ReadError> {
    let found = query::payments(snapshot, page.limit, &page.after, &page.machine_id)?;
    Ok(PaymentList {
        height: snapshot.height()?,
        payments: found.rows,
        next: found.next,
    })
}

pub(crate) fn payouts(snapshot: &Snapshot<'_>, page: &Page) -> Result<PayoutList, ReadError> {
    let found = query::payouts(snapshot, page.limit, &page.after)?;
    Ok(PayoutList {
        height: snapshot.height()?,
        payouts: found.rows,
        next: found.next,
    })
}

pub(crate) fn balances(snapshot: &Snapshot<'_>, prefix: &str) -> Result<Balances, ReadError> {
    let accounts = query::balances(snapshot, prefix);
    let sum: i128 = accounts
        .iter()
        .map(|account| i128::from(account.balance_sats))
        .sum();
    let sum_sats = i64::try_from(sum).map_err(|_| {
        refusal::out_of_range(
            "balances.sum",
            "The sum of these accounts has more than 64 bits.",
        )
    })?;
    Ok(Balances {
        height: snapshot.height()?,
        accounts,
        sum_sats,
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
