//! `tab.limit`: what a member may owe, and risk with unconfirmed payments.

use dctrl_proto::v1::{Refusal, Tab, TabLimit};

use crate::caller::Caller;
use crate::money;
use crate::purse::{self, Purse};
use crate::refuse::{denied, ensure, exhausted, not_found, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, tables, tabs};

impl Action for TabLimit {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        ids::id("member_id", &self.member_id)?;
        ids::text("reason", &self.reason)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
        ensure(caller.member_id()? != self.member_id, || {
            denied("tab.own", "Nobody sets limits for themselves.")
        })?;
        tables::member(view.state, &self.member_id).ok_or_else(|| {
            not_found("member", format!("There is no member {}.", self.member_id))
        })?;
        let most = money::credit_sats_max(view.policy());
        ensure(self.credit_limit_sats <= most, || {
            let message = format!("A credit limit is at most {most} sats.");
            exhausted("tab.credit_max", message)
        })?;
        let balance = purse::balance_sats(view.state, &Purse::tab(&self.member_id));
        let used = u64::try_from(-balance).unwrap_or_default();
        ensure(used <= self.credit_limit_sats, || {
            precond("tab.overdrawn", format!("{used} sats are used already."))
        })
    }

    fn execute(self, (): (), scope: &mut Scope<'_>, _: &Caller) -> String {
        let tab = Tab {
            credit_limit_sats: self.credit_limit_sats,
            zero_conf_sats_max: self.zero_conf_sats_max,
            zero_conf_withdrawn: false,
            ..tabs::tab(scope, &self.member_id)
        };
        tabs::save(scope, &tab);
        self.member_id
    }
}
