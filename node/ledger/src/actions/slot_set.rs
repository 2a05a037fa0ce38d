//! `slot.set`: say which product a machine's slot sells.

use dctrl_proto::v1::{Refusal, Slot, SlotSet};

use crate::caller::Caller;
use crate::refuse::{ensure, exhausted, invalid, not_found, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, stock, tables};

/// Units that a slot can hold at most.
pub(crate) const CAPACITY_MAX: u32 = 10_000;
/// Slots of one machine.
pub(crate) const SLOTS_PER_MACHINE_MAX: usize = 200;

impl Action for SlotSet {
    type Plan = Slot;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::slot("slot", &self.slot)?;
        ids::id("product_id", &self.product_id)?;
        ensure((1..=CAPACITY_MAX).contains(&self.capacity), || {
            let message = format!("A slot holds 1 to {CAPACITY_MAX} units.");
            invalid("slot.capacity", "capacity", message)
        })
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Slot, Refusal> {
        tables::machine(view.state, &self.machine_id)?;
        let product = &self.product_id;
        ensure(tables::product(view.state, product).is_some(), || {
            not_found("product", format!("There is no product {product}."))
        })?;
        let Ok(mut slot) = tables::slot(view.state, &self.machine_id, &self.slot) else {
            let others = keys::slots_of(&self.machine_id);
            let others = view.state.scan(&others, None, SLOTS_PER_MACHINE_MAX);
            ensure(others.len() < SLOTS_PER_MACHINE_MAX, || {
                exhausted("slot.count", "The machine has too many slots.")
            })?;
            return Ok(Slot {
                machine_id: self.machine_id.clone(),
                slot: self.slot.clone(),
                product_id: self.product_id.clone(),
                capacity: self.capacity,
                ..Slot::default()
            });
        };
        let inside = slot.stock + slot.held;
        ensure(inside == 0 || slot.product_id == self.product_id, || {
            let message = format!("{inside} units of {} are in it.", slot.product_id);
            precond("slot.product", message)
        })?;
        ensure(self.capacity >= inside, || {
            precond("slot.capacity", format!("{inside} units are in it."))
        })?;
        slot.product_id.clone_from(&self.product_id);
        slot.capacity = self.capacity;
        Ok(slot)
    }

    fn execute(self, slot: Slot, scope: &mut Scope<'_>, _: &Caller) -> String {
        stock::save(scope, slot);
        format!("{}/{}", self.machine_id, self.slot)
    }
}
