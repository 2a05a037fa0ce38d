//! Units of a slot: where each one received has gone.
//!
//! Always `received = stock + held + sold + shrinkage`.

use dctrl_proto::v1::{Slot, Vend};

use crate::scope::Scope;
use crate::{facts, keys, tables};

/// Whether the slot's numbers add up.
pub(crate) fn adds_up(slot: &Slot) -> bool {
    let on_hand = u64::from(slot.stock) + u64::from(slot.held);
    slot.received == on_hand + slot.sold + slot.shrinkage && on_hand <= u64::from(slot.capacity)
}

/// Keeps the slot and tells.
pub(crate) fn save(scope: &mut Scope<'_>, slot: Slot) {
    assert!(adds_up(&slot), "slot {slot:?} does not add up");
    scope.put(keys::slot(&slot.machine_id, &slot.slot), &slot);
    scope.tell(facts::slot(slot));
}

/// Holds one unit for `vend`; the quote's guard saw that there is one.
pub(crate) fn hold(scope: &mut Scope<'_>, vend: &mut Vend) {
    change(scope, vend, |slot| {
        slot.stock -= 1;
        slot.held += 1;
    });
    vend.holds_stock = true;
}

/// Puts the unit held for `vend`, if any, back on sale.
pub(crate) fn release(scope: &mut Scope<'_>, vend: &mut Vend) {
    if vend.holds_stock {
        change(scope, vend, |slot| {
            slot.held -= 1;
            slot.stock += 1;
        });
        vend.holds_stock = false;
    }
}

/// The unit held for `vend` has left the machine.
pub(crate) fn sell(scope: &mut Scope<'_>, vend: &mut Vend) {
    assert!(vend.holds_stock, "vend {} holds no unit to sell", vend.id);
    change(scope, vend, |slot| {
        slot.held -= 1;
        slot.sold += 1;
    });
    vend.holds_stock = false;
}

/// Nobody knows where the unit held for `vend` is: it counts as missing.
pub(crate) fn write_off(scope: &mut Scope<'_>, vend: &mut Vend) {
    assert!(vend.holds_stock, "vend {} holds no unit", vend.id);
    change(scope, vend, |slot| {
        slot.held -= 1;
        slot.shrinkage += 1;
    });
    vend.holds_stock = false;
}

fn change(scope: &mut Scope<'_>, vend: &Vend, change: impl FnOnce(&mut Slot)) {
    let mut slot = tables::must(tables::slot(scope, &vend.machine_id, &vend.slot));
    change(&mut slot);
    save(scope, slot);
}
