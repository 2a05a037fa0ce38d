//! `claim.redeem`: put a guest's credit onto the own tab.
//!
//! What comes for the vend later goes the same way, and so does what vanishes.

use dctrl_proto::claim::redeem_bytes;
use dctrl_proto::v1::{ClaimRedeem, Refusal, Vend};

use crate::caller::Caller;
use crate::purse::{self, Purse};
use crate::refuse::{ensure, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{claims, ids, tables, tabs, vends};

/// The vend, and who redeems.
pub(crate) struct Plan {
    vend: Box<Vend>,
    member_id: String,
}

impl Action for ClaimRedeem {
    type Plan = Plan;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("vend_id", &self.vend_id)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Plan, Refusal> {
        let member_id = caller.member_id()?.to_owned();
        let vend = tables::vend(view.state, &self.vend_id)?;
        claims::is_claim(&vend)?;
        let cluster = tables::meta(view.state).cluster;
        let bytes = redeem_bytes(&cluster, &vend.id, &member_id);
        claims::is_theirs(&vend, caller, &bytes, &self.signature)?;
        let sats = purse::own_sats(view.state, &Purse::of(&vend));
        ensure(sats > 0, || {
            precond("claim.empty", "Nothing is left over of this vend.")
        })?;
        tabs::has_room(view.state, &member_id, sats)?;
        Ok(Plan {
            vend: Box::new(vend),
            member_id,
        })
    }

    fn execute(self, plan: Plan, scope: &mut Scope<'_>, _: &Caller) -> String {
        let mut vend = *plan.vend;
        let claim = Purse::of(&vend);
        let sats = purse::own_sats(scope, &claim);
        vend.redeemed_by = plan.member_id;
        let (from, to) = (claim.credit(), Purse::of(&vend));
        purse::give(scope, &vend.id, "claim redeemed", &from, &to, sats);
        let detail = format!("{sats} sats went onto the tab of {}.", vend.redeemed_by);
        vends::note(scope, &mut vend, &detail);
        vend.id
    }
}
