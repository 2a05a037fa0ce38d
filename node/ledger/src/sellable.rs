//! Whether a machine can be sold from now.

use dctrl_proto::v1::{Machine, Refusal};

use crate::refuse::{ensure, precond};
use crate::scope::View;
use crate::tables;

/// Refuses with the first reason why `machine` cannot be sold from.
pub(crate) fn require(view: &View<'_>, machine: &Machine) -> Result<(), Refusal> {
    let id = &machine.id;
    ensure(machine.enabled, || {
        precond("machine.enabled", format!("Machine {id} is switched off."))
    })?;
    ensure(!machine.quarantined, || {
        let message = format!("Machine {id} contradicted itself and waits for a reset.");
        precond("machine.quarantined", message)
    })?;
    ensure(machine.heartbeat_at_ms > 0, || {
        let message = format!("Machine {id} has not reported yet.");
        precond("machine.heartbeat", message)
    })?;
    let silent_ms = view.time_ms.saturating_sub(machine.heartbeat_at_ms);
    let silent_ms_max = u64::from(view.policy().heartbeat_ms_max);
    ensure(silent_ms <= silent_ms_max, || {
        let message = format!("Machine {id} has been silent for {silent_ms} ms.");
        precond("machine.heartbeat", message)
    })?;
    ensure(machine.ready, || {
        let message = format!("Machine {id} is not ready: {}.", machine.detail);
        precond("machine.ready", message)
    })?;
    ensure(!waits_for_a_lost_receipt(view, machine), || {
        let message = format!("Machine {id} owes the receipt of its last order.");
        precond("machine.uncertain", message)
    })
}

/// Whether the order that is out has passed its time without a receipt.
fn waits_for_a_lost_receipt(view: &View<'_>, machine: &Machine) -> bool {
    let vend = tables::vend(view.state, &machine.outstanding_vend);
    vend.is_ok_and(|vend| !crate::vends::is_ordered(vend.state()))
}
