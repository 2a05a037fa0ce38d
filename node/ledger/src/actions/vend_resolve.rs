//! `vend.resolve`: an operator decides an uncertain vend.

use dctrl_proto::v1::{Refusal, Vend, VendResolve, VendState};

use crate::caller::Caller;
use crate::refuse::{ensure, exists, invalid, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, tables, vends};

impl Action for VendResolve {
    type Plan = Vend;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("vend_id", &self.vend_id)?;
        ids::text("reason", &self.reason)?;
        let outcome = self.outcome();
        let known = matches!(outcome, VendState::Dispensed | VendState::Credited);
        ensure(known, || {
            let message = "The outcome is DISPENSED or CREDITED.";
            invalid("vend.outcome", "outcome", message)
        })?;
        ensure(!self.reason.is_empty(), || {
            invalid("vend.reason", "reason", "A decision needs a reason.")
        })
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Vend, Refusal> {
        let vend = tables::vend(view.state, &self.vend_id)?;
        let ended = matches!(vend.state(), VendState::Dispensed | VendState::Credited);
        ensure(!ended, || {
            let state = vend.state().as_str_name();
            exists("vend.state", format!("The vend is {state} already."))
        })?;
        ensure(vend.state() == VendState::Uncertain, || {
            let state = vend.state().as_str_name();
            precond("vend.state", format!("The vend is {state}, not UNCERTAIN."))
        })?;
        Ok(vend)
    }

    fn execute(self, mut vend: Vend, scope: &mut Scope<'_>, _: &Caller) -> String {
        vends::decide(scope, &mut vend, self.outcome(), &self.reason);
        vend.id
    }
}
