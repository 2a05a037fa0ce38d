//! `machine.reset`: a machine that lost its journal starts a new incarnation.

use dctrl_proto::order::NO_RECEIPT;
use dctrl_proto::v1::{Machine, MachineReset, Refusal};

use crate::caller::{Caller, Principal, hold_key};
use crate::refuse::{ensure, exists, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, tables, vends};

impl Action for MachineReset {
    type Plan = Machine;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        if self.key.is_empty() {
            return Ok(());
        }
        ids::bytes32("key", &self.key)
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Machine, Refusal> {
        let machine = tables::machine(view.state, &self.machine_id)?;
        let holder = Principal::find(view.state, &self.key);
        let own = Principal::Machine(machine.id.clone());
        ensure(holder.is_none_or(|holder| holder == own), || {
            exists("machine.key", "Somebody else holds this key.")
        })?;
        ensure(machine.incarnation < u32::MAX, || {
            precond("machine.incarnation", "The machine was reset too often.")
        })?;
        Ok(machine)
    }

    fn execute(self, mut machine: Machine, scope: &mut Scope<'_>, _: &Caller) -> String {
        if let Ok(mut vend) = tables::vend(scope, &machine.outstanding_vend)
            && vends::is_ordered(vend.state())
        {
            let reason = "The machine lost its journal while the order was out.";
            vends::uncertain(scope, &mut vend, reason);
        }
        if !self.key.is_empty() {
            let who = Principal::Machine(machine.id.clone());
            hold_key(scope, &who, &machine.key, &self.key);
            machine.key = self.key;
        }
        machine.incarnation += 1;
        machine.last_sequence = 0;
        machine.outstanding_vend.clear();
        machine.last_receipt_hash = NO_RECEIPT.to_vec();
        machine.last_report_number = 0;
        machine.quarantined = false;
        // It is sold from again when the new incarnation reports; then the
        // queue goes on, too.
        machine.ready = false;
        machine.heartbeat_at_ms = 0;
        "reset".clone_into(&mut machine.detail);
        vends::save_machine(scope, machine);
        self.machine_id
    }
}
