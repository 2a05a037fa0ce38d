//! Reads of tabs, held credit, refunds and the journal.

use dctrl_proto::v1::{Member, Refund, Refusal, TabView, TopUp, Vend};

use super::{Page, by_id, filtered, members};
use crate::refuse::not_found;
use crate::{StateRead, keys, tables, tabs};

/// One member's tab.
///
/// # Errors
/// NOTFOUND where there is no such member.
pub fn tab(state: &dyn StateRead, member_id: &str) -> Result<TabView, Refusal> {
    tables::member(state, member_id)
        .map(|member| tabs::view(state, &member.id))
        .ok_or_else(|| not_found("member", format!("There is no member {member_id}.")))
}

/// All members' tabs, by id.
#[must_use]
pub fn tabs(state: &dyn StateRead, limit: usize, after: &str) -> Page<TabView> {
    let page = members(state, limit, after);
    let view = |member: Member| tabs::view(state, &member.id);
    Page {
        rows: page.rows.into_iter().map(view).collect(),
        next: page.next,
    }
}

/// Whose tab the payments to an address go to.
#[must_use]
pub fn top_up(state: &dyn StateRead, address_index: u32) -> Option<TopUp> {
    tabs::top_up(state, address_index)
}

/// Vends whose end nobody knows, by id; only those of `machine_id` unless it
/// is empty.
#[must_use]
pub fn uncertain(state: &dyn StateRead, limit: usize, after: &str, machine_id: &str) -> Page<Vend> {
    let after = (!after.is_empty()).then(|| keys::uncertain(after));
    let row = |key: &[u8], _: &[u8]| {
        let id = String::from_utf8_lossy(&key[keys::UNCERTAIN.len()..]).into_owned();
        tables::must(tables::vend(state, &id))
    };
    let keep = |vend: &Vend| machine_id.is_empty() || vend.machine_id == machine_id;
    let cursor = |vend: &Vend| vend.id.clone();
    filtered(state, keys::UNCERTAIN, after, limit, row, keep, cursor)
}

/// Refunds, by id.
#[must_use]
pub fn refunds(state: &dyn StateRead, limit: usize, after: &str) -> Page<Refund> {
    by_id(state, keys::REFUNDS, limit, after, |refund: &Refund| {
        refund.id.clone()
    })
}
