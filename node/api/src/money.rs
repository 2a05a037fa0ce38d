//! Tabs, held credit, refunds and the journal.

use dctrl_ledger::query;
use dctrl_proto::v1::{JournalList, RefundList, Refusal, RefusalCode, TabList, TabReply, VendList};
use dctrl_store::Snapshot;

use crate::{page::Page, read::ReadError};

pub(crate) fn tab(snapshot: &Snapshot<'_>, member_id: &str) -> Result<TabReply, ReadError> {
    Ok(TabReply {
        height: snapshot.height()?,
        tab: Some(query::tab(snapshot, member_id)?),
    })
}

pub(crate) fn tabs(snapshot: &Snapshot<'_>, page: &Page) -> Result<TabList, ReadError> {
    let found = query::tabs(snapshot, page.limit, &page.after);
    Ok(TabList {
        height: snapshot.height()?,
        tabs: found.rows,
        next: found.next,
    })
}

pub(crate) fn uncertain(snapshot: &Snapshot<'_>, page: &Page) -> Result<VendList, ReadError> {
    let found = query::uncertain(snapshot, page.limit, &page.after, &page.machine_id);
    Ok(VendList {
        height: snapshot.height()?,
        vends: found.rows,
        next: found.next,
    })
}

pub(crate) fn refunds(snapshot: &Snapshot<'_>, page: &Page) -> Result<RefundList, ReadError> {
    let found = query::refunds(snapshot, page.limit, &page.after);
    Ok(RefundList {
        height: snapshot.height()?,
        refunds: found.rows,
        next: found.next,
    })
}

/// The cursor is the number of the last entry.
pub(crate) fn journal(snapshot: &Snapshot<'_>, page: &Page) -> Result<JournalList, ReadError> {
    let after = match page.after.as_str() {
        "" => 0,
        text => text.parse().map_err(|_| {
            let message = "The cursor is not from this list.";
            Refusal::field(RefusalCode::Invalid, "list.cursor", "after", message)
        })?,
    };
    let entries = query::journal(snapshot, page.limit, after);
    let last = query::meta(snapshot).next_journal_number - 1;
    let next = entries
        .last()
        .filter(|entry| entry.number < last)
        .map(|entry| entry.number.to_string())
        .unwrap_or_default();
    Ok(JournalList {
        height: snapshot.height()?,
        entries,
        next,
    })
}
