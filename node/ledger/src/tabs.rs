//! Members' tabs: what can be spent, addresses for top-ups, and what is told.

use dctrl_proto::v1::{Refusal, Tab, TabView, TopUp};

use dctrl_wallet::Chain;

use crate::purse::{self, Purse};
use crate::rates::SATS_MAX;
use crate::refuse::{denied, ensure, invalid, precond};
use crate::scope::Scope;
use crate::{StateRead, facts, keys, tables};

/// A member's tab; one that nobody has touched yet is empty.
pub(crate) fn tab(state: &dyn StateRead, member_id: &str) -> Tab {
    tables::read(state, &keys::tab(member_id)).unwrap_or_else(|| Tab {
        member_id: member_id.to_owned(),
        ..Tab::default()
    })
}

/// A tab as people see it.
pub(crate) fn view(state: &dyn StateRead, member_id: &str) -> TabView {
    let tab = tab(state, member_id);
    let purse = Purse::tab(member_id);
    let balance_sats = purse::balance_sats(state, &purse);
    let debt_sats = purse::debt_sats(state, &purse);
    let limit = i64::try_from(tab.credit_limit_sats).unwrap_or(i64::MAX);
    let available = balance_sats.saturating_add(limit);
    TabView {
        balance_sats,
        debt_sats,
        available_sats: if debt_sats > 0 {
            0
        } else {
            u64::try_from(available).unwrap_or_default()
        },
        tab: Some(tab),
    }
}

/// Tells how a member's tab is now.
pub(crate) fn tell(scope: &mut Scope<'_>, purse: &Purse) {
    if let Purse::Tab(member_id) = purse {
        let tab = view(scope, member_id);
        scope.tell(facts::tab(tab));
    }
}

/// Keeps a tab and tells.
pub(crate) fn save(scope: &mut Scope<'_>, tab: &Tab) {
    scope.put(keys::tab(&tab.member_id), tab);
    tell(scope, &Purse::tab(&tab.member_id));
}

/// Refuses an amount that is none.
pub(crate) fn amount(sats: u64) -> Result<(), Refusal> {
    ensure((1..=SATS_MAX).contains(&sats), || {
        let message = "An amount is 1 to 21 million bitcoin in satoshi.";
        invalid("tab.amount", "sats", message)
    })
}

/// Refuses who owes for a payment that vanished.
pub(crate) fn not_frozen(state: &dyn StateRead, purse: &Purse) -> Result<(), Refusal> {
    let debt = purse::debt_sats(state, purse);
    ensure(debt == 0, || {
        let message = format!("{debt} sats of payments that vanished are owed first.");
        denied("tab.frozen", message)
    })
}

/// Refuses to give away more than there is; a credit limit is for buying.
pub(crate) fn owns(state: &dyn StateRead, purse: &Purse, sats: u64) -> Result<(), Refusal> {
    not_frozen(state, purse)?;
    let own = purse::own_sats(state, purse);
    ensure(sats <= own, || {
        precond("tab.balance", format!("There are {own} sats, not {sats}."))
    })
}

/// Refuses to buy for more than balance and credit limit give.
pub(crate) fn can_spend(state: &dyn StateRead, member_id: &str, sats: u64) -> Result<(), Refusal> {
    not_frozen(state, &Purse::tab(member_id))?;
    let available = view(state, member_id).available_sats;
    ensure(sats <= available, || {
        let message = format!("{available} sats can be spent, not {sats}.");
        precond("tab.balance", message)
    })
}

/// Refuses more on one tab than there will ever be.
pub(crate) fn has_room(state: &dyn StateRead, member_id: &str, sats: u64) -> Result<(), Refusal> {
    let balance = purse::balance_sats(state, &Purse::tab(member_id));
    let after = balance.saturating_add(i64::try_from(sats).unwrap_or(i64::MAX));
    ensure(u64::try_from(after).unwrap_or_default() <= SATS_MAX, || {
        precond("tab.overflow", "That is more than there will ever be.")
    })
}

/// Whose tab the payments to an address go to.
pub(crate) fn top_up(state: &dyn StateRead, address_index: u32) -> Option<TopUp> {
    tables::read(state, &keys::top_up(address_index))
}

/// Gives a member a fresh address.
pub(crate) fn issue(scope: &mut Scope<'_>, member_id: &str) {
    let address_index = scope.take_address_index();
    let address = scope
        .wallet()
        .address(Chain::Payments, address_index)
        .to_string();
    let top_up = TopUp {
        address_index,
        address: address.clone(),
        member_id: member_id.to_owned(),
        height: scope.height(),
        time_ms: scope.time_ms(),
    };
    scope.put(keys::top_up(address_index), &top_up);
    let tab = Tab {
        address,
        address_index,
        address_used: false,
        ..tab(scope, member_id)
    };
    save(scope, &tab);
    scope.tell(facts::top_up(top_up));
}

/// Tells of the newest address once more.
pub(crate) fn issued(scope: &mut Scope<'_>, member_id: &str) {
    let newest = tab(scope, member_id).address_index;
    if let Some(top_up) = top_up(scope, newest) {
        scope.tell(facts::top_up(top_up));
    }
}

/// A payment to a member's address is believed: the next top-up takes a new one.
pub(crate) fn used(scope: &mut Scope<'_>, member_id: &str, address_index: u32) {
    let mut tab = tab(scope, member_id);
    if tab.address_index == address_index && !tab.address.is_empty() && !tab.address_used {
        tab.address_used = true;
        save(scope, &tab);
    }
}

/// A payment that was trusted has vanished: none of the member's is trusted
/// any more.
pub(crate) fn withdraw_zero_conf(scope: &mut Scope<'_>, purse: &Purse) {
    if let Purse::Tab(member_id) = purse {
        let mut tab = tab(scope, member_id);
        tab.zero_conf_withdrawn = true;
        save(scope, &tab);
    }
}
