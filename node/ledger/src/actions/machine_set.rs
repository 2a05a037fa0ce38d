//! `machine.set`: register a machine or change its site, keys or whether it sells.

use dctrl_proto::order::NO_RECEIPT;
use dctrl_proto::v1::{Machine, MachineSet, Refusal};

use crate::caller::{Caller, Principal, hold_key};
use crate::genesis::FIRST_INCARNATION;
use crate::refuse::{ensure, exists, invalid};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, tables, vends};

/// Checks the part of a machine's record that people decide.
pub(crate) fn check_machine(at: &str, machine: &Machine) -> Result<(), Refusal> {
    ids::id(&format!("{at}.id"), &machine.id)?;
    ids::text(&format!("{at}.site"), &machine.site)?;
    ids::bytes32(&format!("{at}.key"), &machine.key)?;
    ids::bytes32(&format!("{at}.curve_key"), &machine.curve_key)
}

impl Action for MachineSet {
    type Plan = Machine;

    fn check(&self) -> Result<(), Refusal> {
        let machine = self.machine.as_ref().ok_or_else(|| {
            let message = "The machine is missing.";
            invalid("machine", "machine", message)
        })?;
        check_machine("machine", machine)
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Machine, Refusal> {
        let wanted = self.machine.clone().unwrap_or_default();
        let holder = Principal::find(view.state, &wanted.key);
        let own = Principal::Machine(wanted.id.clone());
        ensure(holder.is_none_or(|holder| holder == own), || {
            exists("machine.key", "Somebody else holds this key.")
        })?;
        Ok(wanted)
    }

    /// Takes over what people decide; the ledger's own fields stay.
    fn execute(self, wanted: Machine, scope: &mut Scope<'_>, _: &Caller) -> String {
        let id = wanted.id.clone();
        let mut machine = tables::machine(scope, &id).unwrap_or_else(|_| Machine {
            id: id.clone(),
            incarnation: FIRST_INCARNATION,
            last_receipt_hash: NO_RECEIPT.to_vec(),
            ..Machine::default()
        });
        let who = Principal::Machine(id.clone());
        hold_key(scope, &who, &machine.key, &wanted.key);
        machine.site = wanted.site;
        machine.key = wanted.key;
        machine.curve_key = wanted.curve_key;
        machine.enabled = wanted.enabled;
        vends::save_machine(scope, machine);
        id
    }
}
