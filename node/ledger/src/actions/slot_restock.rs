//! `slot.restock`: goods put into a slot, or found missing.

use dctrl_proto::v1::{Refusal, Slot, SlotRestock};

use super::CAPACITY_MAX;
use crate::caller::Caller;
use crate::refuse::{ensure, invalid, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, stock, tables};

impl Action for SlotRestock {
    type Plan = Slot;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::slot("slot", &self.slot)?;
        ids::text("reason", &self.reason)?;
        ensure(self.added > 0 || self.shrinkage > 0, || {
            invalid(
                "slot.restock",
                "added",
                "Nothing was added or found missing.",
            )
        })?;
        ensure(self.added.max(self.shrinkage) <= CAPACITY_MAX, || {
            let message = format!("A slot holds at most {CAPACITY_MAX} units.");
            invalid("slot.capacity", "added", message)
        })?;
        ensure(self.shrinkage == 0 || !self.reason.is_empty(), || {
            let message = "Units found missing need a reason.";
            invalid("slot.shrinkage", "reason", message)
        })
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Slot, Refusal> {
        let mut slot = tables::slot(view.state, &self.machine_id, &self.slot)?;
        let (stock, held) = (u64::from(slot.stock), u64::from(slot.held));
        let before = stock + u64::from(self.added);
        let missing = u64::from(self.shrinkage);
        ensure(missing <= before, || {
            let message = format!("Only {before} units can be missing; {held} more are held.");
            precond("slot.stock", message)
        })?;
        let after = before - missing;
        let capacity = slot.capacity;
        ensure(after + held <= u64::from(capacity), || {
            let message = format!("{} units do not fit; it holds {capacity}.", after + held);
            precond("slot.capacity", message)
        })?;
        slot.received += u64::from(self.added);
        slot.shrinkage += missing;
        slot.stock = u32::try_from(after).unwrap_or(capacity);
        Ok(slot)
    }

    fn execute(self, slot: Slot, scope: &mut Scope<'_>, _: &Caller) -> String {
        stock::save(scope, slot);
        format!("{}/{}", self.machine_id, self.slot)
    }
}
