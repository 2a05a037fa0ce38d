//! `machine.receipt`: how an order ended.
//!
//! There is one receipt for a sequence number. The same one again changes
//! nothing; another one proves that the machine contradicts itself.

use dctrl_proto::order::receipt_hash;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{Evidence, Machine, MachineReceipt, Outcome, Refusal, Vend, VendState};
use prost::Message;

use super::same_incarnation;
use crate::caller::Caller;
use crate::refuse::{ensure, invalid, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, tables, vends};

/// What a receipt means, by what came before it.
pub(crate) enum Plan {
    First(Box<(Machine, Vend)>),
    Repeated(String),
    Contradiction(Box<Machine>, String),
}

impl Action for MachineReceipt {
    type Plan = Plan;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::bytes32("order_hash", &self.order_hash)?;
        ids::bytes32("previous_receipt_hash", &self.previous_receipt_hash)?;
        ids::text("reason", &self.reason)?;
        ensure(self.outcome() != Outcome::Unspecified, || {
            invalid("machine.outcome", "outcome", "The outcome is missing.")
        })
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Plan, Refusal> {
        caller.require_own(&self.machine_id)?;
        let machine = tables::machine(view.state, &self.machine_id)?;
        same_incarnation(&machine, self.incarnation)?;
        let vend = tables::ordered_vend(view.state, &machine, self.sequence)?;
        let key = keys::machine_receipt(&machine.id, self.incarnation, self.sequence);
        let vend_id = vend.id.clone();
        match tables::read::<MachineReceipt>(view.state, &key) {
            Some(first) if first == *self => return Ok(Plan::Repeated(vend_id)),
            Some(_) => return Ok(Plan::Contradiction(Box::new(machine), vend_id)),
            None => {}
        }
        ensure(vend.order_hash == self.order_hash, || {
            let message = format!("Order {} was another one.", self.sequence);
            precond("machine.order_hash", message)
        })?;
        let expected = &machine.last_receipt_hash;
        ensure(*expected == self.previous_receipt_hash, || {
            let expected = hex::encode(expected);
            let message = format!("The receipt before this one has the digest {expected}.");
            precond("machine.receipt_chain", message)
        })?;
        Ok(Plan::First(Box::new((machine, vend))))
    }

    fn execute(self, plan: Plan, scope: &mut Scope<'_>, _: &Caller) -> String {
        match plan {
            Plan::Repeated(vend_id) => vend_id,
            Plan::Contradiction(machine, vend_id) => {
                quarantine(scope, *machine, &self);
                vend_id
            }
            Plan::First(first) => {
                let (mut machine, vend) = *first;
                let key = keys::machine_receipt(&machine.id, self.incarnation, self.sequence);
                scope.put(key, &self);
                machine.last_receipt_hash = receipt_hash(&self.encode_to_vec()).to_vec();
                machine.outstanding_vend.clear();
                vends::save_machine(scope, machine);
                let vend_id = vend.id.clone();
                end(scope, vend, &self);
                vends::dispatch_next(scope, &self.machine_id);
                vend_id
            }
        }
    }
}

/// Ends the vend as its receipt says; one that an operator has decided stays
/// decided.
fn end(scope: &mut Scope<'_>, mut vend: Vend, receipt: &MachineReceipt) {
    let outcome = receipt.outcome();
    let told = outcome.as_str_name().trim_start_matches("OUTCOME_");
    let reason = if receipt.reason.is_empty() {
        format!("The machine reported {told}.")
    } else {
        format!("The machine reported {told}: {}.", receipt.reason)
    };
    let state = vend.state();
    if !vends::is_ordered(state) && state != VendState::Uncertain {
        vends::note(
            scope,
            &mut vend,
            &format!("{reason} It had been decided before."),
        );
        return;
    }
    match outcome {
        Outcome::Dispensed => vends::dispensed(scope, &mut vend, &reason),
        Outcome::Failed | Outcome::Expired => vends::failed(scope, &mut vend, &reason),
        Outcome::Unknown | Outcome::Unspecified if state == VendState::Uncertain => {
            vends::note(scope, &mut vend, &reason);
        }
        Outcome::Unknown | Outcome::Unspecified => vends::uncertain(scope, &mut vend, &reason),
    }
}

/// Nothing is sold from a machine that says two things about one order.
fn quarantine(scope: &mut Scope<'_>, mut machine: Machine, receipt: &MachineReceipt) {
    let (id, sequence) = (machine.id.clone(), receipt.sequence);
    machine.quarantined = true;
    vends::save_machine(scope, machine);
    let evidence = Evidence {
        subject: format!("machine {id}"),
        detail: format!("Two different receipts for order {sequence}; the first stays."),
    };
    scope.emit("evidence", Event::Evidence(evidence));
}
