//! `machine.accept`: the agent has journalled an order and will carry it out.

use dctrl_proto::v1::VendState::{Accepted, Dispatched};
use dctrl_proto::v1::{MachineAccept, Refusal, Vend};

use super::same_incarnation;
use crate::caller::Caller;
use crate::refuse::{ensure, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, tables, vends};

impl Action for MachineAccept {
    type Plan = Vend;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::bytes32("order_hash", &self.order_hash)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Vend, Refusal> {
        caller.require_own(&self.machine_id)?;
        let machine = tables::machine(view.state, &self.machine_id)?;
        same_incarnation(&machine, self.incarnation)?;
        let vend = tables::ordered_vend(view.state, &machine, self.sequence)?;
        ensure(vend.order_hash == self.order_hash, || {
            let message = format!("Order {} was another one.", self.sequence);
            precond("machine.order_hash", message)
        })?;
        Ok(vend)
    }

    /// Does nothing where the order has ended before: the agent's word was late.
    fn execute(self, mut vend: Vend, scope: &mut Scope<'_>, _: &Caller) -> String {
        if vend.state() == Dispatched {
            vends::step(scope, &mut vend, Accepted, "The machine took the order.");
        }
        vend.id
    }
}
