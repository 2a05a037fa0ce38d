//! A machine's window of one: its queue of paid vends, and the one order
//! that may be out.

use dctrl_proto::order::{ORDER_DOMAIN, order_hash};
use dctrl_proto::v1::VendState::Dispatched;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{Machine, Order, Vend};
use prost::Message;

use super::step;
use crate::scope::Scope;
use crate::{facts, keys, tables};

/// Most a machine's clock may drift, parts per million.
const CLOCK_DRIFT_PPM_MAX: u64 = 500;
/// Time for a receipt to come through, on top of the drift.
const RECEIPT_WAIT_MS: u64 = 5000;

/// When an order without receipt counts as uncertain: the machine's clock may
/// be slow, so that it could still start to fire a little after the expiry.
pub(crate) fn order_timeout_ms(vend: &Vend) -> u64 {
    let issued_ms = vend
        .history
        .iter()
        .rev()
        .find(|step| step.state == Dispatched as i32)
        .map_or(vend.order_expires_at_ms, |step| step.time_ms);
    let window_ms = vend.order_expires_at_ms - issued_ms;
    let drift_ms = (window_ms * CLOCK_DRIFT_PPM_MAX).div_ceil(1_000_000);
    vend.order_expires_at_ms + drift_ms + RECEIPT_WAIT_MS
}

/// Keeps the machine and tells.
pub(crate) fn save_machine(scope: &mut Scope<'_>, machine: Machine) {
    scope.put(keys::machine(&machine.id), &machine);
    scope.tell(facts::machine(machine));
}

/// Puts a paid vend at the end of its machine's queue.
pub(super) fn enqueue(scope: &mut Scope<'_>, vend: &mut Vend) {
    let mut machine = tables::must(tables::machine(scope, &vend.machine_id));
    machine.queue.push(vend.id.clone());
    let first = machine.queue.len() == 1;
    save_machine(scope, machine);
    if first {
        dispatch(scope, vend);
    }
}

/// Takes a vend out of its machine's queue.
pub(crate) fn leave_queue(scope: &mut Scope<'_>, vend: &Vend) {
    let mut machine = tables::must(tables::machine(scope, &vend.machine_id));
    machine.queue.retain(|waiting| *waiting != vend.id);
    save_machine(scope, machine);
}

/// Issues the order of the oldest paid vend where the machine is free.
pub(crate) fn dispatch_next(scope: &mut Scope<'_>, machine_id: &str) {
    let machine = tables::must(tables::machine(scope, machine_id));
    if let Some(oldest) = machine.queue.first() {
        let mut vend = tables::must(tables::vend(scope, oldest));
        dispatch(scope, &mut vend);
    }
}

/// Whether an order may be issued. An agent that has not reported yet under
/// its present incarnation might not have journalled it; one that is silent
/// would let the order run out, and nobody could say what it did. The vend
/// waits for the next heartbeat instead, and is credited if none comes.
fn is_free(scope: &Scope<'_>, machine: &Machine) -> bool {
    let silent_ms = scope.time_ms().saturating_sub(machine.heartbeat_at_ms);
    machine.outstanding_vend.is_empty()
        && !machine.quarantined
        && machine.ready
        && machine.heartbeat_at_ms > 0
        && silent_ms <= u64::from(scope.policy().heartbeat_ms_max)
}

/// Issues the order for `vend`, which is the first of its queue, where the
/// machine is free.
fn dispatch(scope: &mut Scope<'_>, vend: &mut Vend) {
    let mut machine = tables::must(tables::machine(scope, &vend.machine_id));
    if !is_free(scope, &machine) {
        return;
    }
    assert_eq!(machine.queue.first(), Some(&vend.id), "not the oldest vend");
    machine.queue.remove(0);
    machine.last_sequence += 1;
    machine.outstanding_vend.clone_from(&vend.id);
    let order = Order {
        domain: ORDER_DOMAIN.to_owned(),
        cluster: scope.cluster().to_vec(),
        roster_epoch: scope.roster_number(),
        machine_id: machine.id.clone(),
        incarnation: machine.incarnation,
        sequence: machine.last_sequence,
        vend_id: vend.id.clone(),
        slot: vend.slot.clone(),
        product_id: vend.product_id.clone(),
        price_sats: vend.price_sats,
        issued_at_ms: scope.time_ms(),
        expires_at_ms: scope.time_ms() + u64::from(scope.policy().order_ms),
    };
    vend.incarnation = order.incarnation;
    vend.sequence = order.sequence;
    vend.order_hash = order_hash(&order.encode_to_vec()).to_vec();
    vend.order_expires_at_ms = order.expires_at_ms;
    let place = keys::order(&machine.id, order.incarnation, order.sequence);
    scope.put_bytes(place, vend.id.as_bytes());
    save_machine(scope, machine);
    let detail = format!("Order {} was issued.", order.sequence);
    step(scope, vend, Dispatched, &detail);
    let topic = format!("machine.{}.order", vend.machine_id);
    scope.emit(&topic, Event::Order(order));
}
