//! `machine.report`: a numbered sensor event, each exactly once and in order.

use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{Machine, MachineReport, MachineReported, Refusal};

use super::same_incarnation;
use crate::caller::Caller;
use crate::refuse::{ensure, exists, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, tables};

impl Action for MachineReport {
    type Plan = Machine;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::id("sensor", &self.sensor)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Machine, Refusal> {
        caller.require_own(&self.machine_id)?;
        let machine = tables::machine(view.state, &self.machine_id)?;
        same_incarnation(&machine, self.incarnation)?;
        let last = machine.last_report_number;
        ensure(self.number > last, || {
            let message = format!("Report {} was taken in before.", self.number);
            exists("machine.report_number", message)
        })?;
        ensure(self.number - last == 1, || {
            let message = format!("Report {} was expected, not {}.", last + 1, self.number);
            precond("machine.report_number", message)
        })?;
        Ok(machine)
    }

    fn execute(self, mut machine: Machine, scope: &mut Scope<'_>, _: &Caller) -> String {
        machine.last_report_number = self.number;
        scope.put(keys::machine(&machine.id), &machine);
        let topic = format!("machine.{}.report", machine.id);
        let reported = MachineReported { report: Some(self) };
        scope.emit(&topic, Event::Report(reported));
        machine.id
    }
}
