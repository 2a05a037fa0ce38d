//! `tab.cash`: record that a member has paid in cash, or was paid.
//!
//! Besides a payment on the chain this is all that makes a balance. Nobody
//! records for themselves, and what one person may record in a day is bounded.

use dctrl_proto::v1::{Refusal, TabCash};

use crate::caller::Caller;
use crate::money::{self, DAY_MS};
use crate::purse::{self, Purse};
use crate::refuse::{denied, ensure, exhausted, invalid, not_found, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::spent::Cap;
use crate::{StateRead, books, ids, keys, tables, tabs};

fn cap(policy: &dctrl_proto::v1::Policy) -> Cap {
    Cap {
        period_ms: DAY_MS,
        before: 0,
        sats_max: money::cash_day_sats_max(policy),
    }
}

/// The till of whoever records.
fn till(member_id: &str) -> String {
    format!("{}{member_id}", books::CASH)
}

/// What is in a till.
fn in_till(state: &dyn StateRead, member_id: &str) -> u64 {
    let till = tables::account(state, &till(member_id)).balance_sats;
    u64::try_from(till).unwrap_or_default()
}

impl Action for TabCash {
    /// Who records.
    type Plan = String;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("member_id", &self.member_id)?;
        ids::text("reason", &self.reason)?;
        ensure(!self.reason.is_empty(), || {
            invalid("tab.reason", "reason", "A cash entry needs a reason.")
        })?;
        tabs::amount(self.sats)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<String, Refusal> {
        let by = caller.member_id()?.to_owned();
        ensure(by != self.member_id, || {
            denied("tab.own", "Nobody records cash for themselves.")
        })?;
        tables::member(view.state, &self.member_id).ok_or_else(|| {
            not_found("member", format!("There is no member {}.", self.member_id))
        })?;
        let most = money::cash_sats_max(view.policy());
        ensure(self.sats <= most, || {
            exhausted("tab.cash_max", format!("One entry is at most {most} sats."))
        })?;
        let cap = cap(view.policy());
        let key = keys::cash_day(&by);
        ensure(
            cap.allows(view.state, &key, view.time_ms, self.sats),
            || {
                let message = format!("You may record {} sats a day.", cap.sats_max);
                exhausted("tab.cash_day", message)
            },
        )?;
        if self.paid_out {
            tabs::owns(view.state, &Purse::tab(&self.member_id), self.sats)?;
            let has = in_till(view.state, &by);
            ensure(self.sats <= has, || {
                precond("tab.till", format!("Your till has {has} sats."))
            })?;
        } else {
            tabs::has_room(view.state, &self.member_id, self.sats)?;
        }
        Ok(by)
    }

    fn execute(self, by: String, scope: &mut Scope<'_>, _: &Caller) -> String {
        let cap = cap(scope.policy());
        cap.add(scope, keys::cash_day(&by), self.sats);
        let (purse, till) = (Purse::tab(&self.member_id), till(&by));
        let id = &self.member_id;
        if self.paid_out {
            let text = format!("cash paid out: {}", self.reason);
            purse::spend(scope, id, &text, &purse, &till, self.sats);
        } else {
            let text = format!("cash paid in: {}", self.reason);
            purse::give(scope, id, &text, &till, &purse, self.sats);
        }
        self.member_id
    }
}
