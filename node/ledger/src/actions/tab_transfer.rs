//! `tab.transfer`: give another member what one has.

use dctrl_proto::v1::{MemberStatus, Refusal, TabTransfer};

use crate::caller::Caller;
use crate::purse::{self, Purse};
use crate::refuse::{denied, ensure, invalid, not_found};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, tables, tabs};

impl Action for TabTransfer {
    /// Who gives.
    type Plan = String;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("to_member_id", &self.to_member_id)?;
        ids::text("text", &self.text)?;
        tabs::amount(self.sats)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<String, Refusal> {
        let from = caller.member_id()?.to_owned();
        ensure(from != self.to_member_id, || {
            let message = "It is on your own tab already.";
            invalid("tab.self", "to_member_id", message)
        })?;
        let to = tables::member(view.state, &self.to_member_id).ok_or_else(|| {
            let message = format!("There is no member {}.", self.to_member_id);
            not_found("member", message)
        })?;
        ensure(to.status() == MemberStatus::Active, || {
            denied("member.status", "The other membership is not active.")
        })?;
        tabs::owns(view.state, &Purse::tab(&from), self.sats)?;
        tabs::has_room(view.state, &self.to_member_id, self.sats)?;
        Ok(from)
    }

    fn execute(self, from: String, scope: &mut Scope<'_>, _: &Caller) -> String {
        let text = format!(
            "transfer from {from} to {}: {}",
            self.to_member_id, self.text
        );
        let (from, to) = (Purse::Tab(from), Purse::tab(&self.to_member_id));
        let between = from.credit();
        purse::give(scope, &self.to_member_id, &text, &between, &to, self.sats);
        tabs::tell(scope, &from);
        self.to_member_id
    }
}
