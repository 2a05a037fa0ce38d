//! `machine.heartbeat`: the agent is alive. The certified frame that answers
//! tells it the consensus time for its nonce.

use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{Beacon, Machine, MachineHeartbeat, Refusal};

use super::same_incarnation;
use crate::caller::Caller;
use crate::refuse::{ensure, invalid};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, tables, vends};

/// Shortest nonce, bytes: nobody guesses 64 bits in time.
const NONCE_BYTES_MIN: usize = 8;
/// Longest nonce, bytes.
const NONCE_BYTES_MAX: usize = 64;

impl Action for MachineHeartbeat {
    type Plan = Machine;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::text("detail", &self.detail)?;
        let fits = (NONCE_BYTES_MIN..=NONCE_BYTES_MAX).contains(&self.nonce.len());
        ensure(fits, || {
            let message = format!("A nonce has {NONCE_BYTES_MIN} to {NONCE_BYTES_MAX} bytes.");
            invalid("machine.nonce", "nonce", message)
        })
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Machine, Refusal> {
        caller.require_own(&self.machine_id)?;
        let machine = tables::machine(view.state, &self.machine_id)?;
        same_incarnation(&machine, self.incarnation)?;
        Ok(machine)
    }

    fn execute(self, mut machine: Machine, scope: &mut Scope<'_>, _: &Caller) -> String {
        let told = machine.ready == self.ready && machine.detail == self.detail;
        let first = machine.heartbeat_at_ms == 0;
        let paid_for = !machine.queue.is_empty();
        machine.heartbeat_at_ms = scope.time_ms();
        machine.ready = self.ready;
        machine.detail = self.detail;
        if first || !told {
            vends::save_machine(scope, machine);
        } else {
            scope.put(keys::machine(&machine.id), &machine);
        }
        let beacon = Beacon {
            machine_id: self.machine_id.clone(),
            incarnation: self.incarnation,
            nonce: self.nonce,
            time_ms: scope.time_ms(),
        };
        let topic = format!("machine.{}.beacon", self.machine_id);
        scope.emit(&topic, Event::Beacon(beacon));
        if paid_for {
            vends::dispatch_next(scope, &self.machine_id);
        }
        self.machine_id
    }
}
