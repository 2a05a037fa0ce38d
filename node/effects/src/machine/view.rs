//! What is wrong with the machines, from the frames of the bus. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dctrl_proto::v1::{BusBody, Machine, MachineReport, Vend, VendState, bus_body::Event};

use super::alerts::{Alert, AlertKind};

/// Machines and open vends that are kept.
const ENTRIES_MAX: usize = 100_000;
/// Sensors whose value other than 0 means trouble until it is 0 again.
const SENSORS: [&str; 3] = ["tilt", "door", "jam"];

#[derive(Debug, Default)]
struct Known {
    machine: Machine,
    /// Consensus time of the last sign of life.
    heard_ms: u64,
    /// Values other than 0.
    sensors: BTreeMap<String, i64>,
}

/// The machines as the bus shows them.
#[derive(Debug, Default)]
pub(super) struct View {
    machines: BTreeMap<String, Known>,
    /// Vends that are uncertain: machine and reason.
    uncertain: BTreeMap<String, (String, String)>,
}

impl View {
    /// Knows of the sensors that an earlier run has told of.
    pub(super) fn with_sensors(alerts: &BTreeSet<Alert>) -> Self {
        let mut view = Self::default();
        for Alert { machine, kind } in alerts {
            if let AlertKind::Sensor(sensor) = kind
                && let Some(known) = view.known(machine)
            {
                known.sensors.insert(sensor.clone(), 1);
            }
        }
        view
    }

    pub(super) fn take(&mut self, body: &BusBody) {
        match &body.event {
            Some(Event::Machine(changed)) => {
                if let Some(machine) = &changed.machine {
                    self.machine(machine, body.time_ms);
                }
            }
            Some(Event::Beacon(beacon)) => self.heard(&beacon.machine_id, beacon.time_ms),
            Some(Event::Report(reported)) => {
                if let Some(report) = &reported.report {
                    self.report(report, body.time_ms);
                }
            }
            Some(Event::Vend(changed)) => {
                if let Some(vend) = &changed.vend {
                    self.vend(vend);
                }
            }
            _ => {}
        }
    }

    /// Everything that is wrong at `now_ms`.
    pub(super) fn alerts(&self, now_ms: u64, heartbeat_ms_max: u64) -> BTreeSet<Alert> {
        let mut alerts = BTreeSet::new();
        for (id, known) in &self.machines {
            if !known.machine.enabled {
                continue;
            }
            let mut raise = |kind: AlertKind| {
                alerts.insert(Alert {
                    machine: id.clone(),
                    kind,
                });
            };
            let silent_ms = now_ms.saturating_sub(known.heard_ms);
            if silent_ms > heartbeat_ms_max {
                raise(AlertKind::Silent);
            } else if !known.machine.ready {
                raise(AlertKind::NotReady(known.machine.detail.clone()));
            }
            if known.machine.quarantined {
                raise(AlertKind::Quarantined);
            }
            for sensor in known.sensors.keys() {
                raise(AlertKind::Sensor(sensor.clone()));
            }
        }
        for (vend, (machine, reason)) in &self.uncertain {
            alerts.insert(Alert {
                machine: machine.clone(),
                kind: AlertKind::UncertainVend {
                    vend: vend.clone(),
                    reason: reason.clone(),
                },
            });
        }
        alerts
    }

    fn machine(&mut self, machine: &Machine, time_ms: u64) {
        let Some(known) = self.known(&machine.id) else {
            return;
        };
        // A machine that was only just registered has its time to speak.
        let since_ms = match machine.heartbeat_at_ms {
            0 if known.heard_ms == 0 => time_ms,
            at_ms => at_ms,
        };
        known.heard_ms = known.heard_ms.max(since_ms);
        known.machine = machine.clone();
    }

    fn heard(&mut self, id: &str, time_ms: u64) {
        if let Some(known) = self.machines.get_mut(id) {
            known.heard_ms = known.heard_ms.max(time_ms);
        }
    }

    fn report(&mut self, report: &MachineReport, time_ms: u64) {
        self.heard(&report.machine_id, time_ms);
        let Some(known) = self.machines.get_mut(&report.machine_id) else {
            return;
        };
        if !SENSORS.contains(&report.sensor.as_str()) {
            return;
        }
        if report.value == 0 {
            known.sensors.remove(&report.sensor);
        } else {
            known.sensors.insert(report.sensor.clone(), report.value);
        }
    }

    fn vend(&mut self, vend: &Vend) {
        if vend.state() == VendState::Uncertain {
            if self.uncertain.len() < ENTRIES_MAX {
                let about = (vend.machine_id.clone(), vend.reason.clone());
                self.uncertain.insert(vend.id.clone(), about);
            }
        } else {
            self.uncertain.remove(&vend.id);
        }
    }

    fn known(&mut self, id: &str) -> Option<&mut Known> {
        if self.machines.len() >= ENTRIES_MAX && !self.machines.contains_key(id) {
            return None;
        }
        Some(self.machines.entry(id.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::{Beacon, MachineChanged, MachineReported, VendChanged};

    use super::*;

    fn body(time_ms: u64, event: Event) -> BusBody {
        BusBody {
            time_ms,
            event: Some(event),
            ..BusBody::default()
        }
    }

    fn machine(change: impl FnOnce(&mut Machine)) -> Event {
        let mut machine = Machine {
            id: "m1".to_owned(),
            enabled: true,
            ready: true,
            heartbeat_at_ms: 1_000,
            ..Machine::default()
        };
        change(&mut machine);
        Event::Machine(MachineChanged {
            machine: Some(machine),
        })
    }

    fn report(sensor: &str, value: i64) -> Event {
        Event::Report(MachineReported {
            report: Some(MachineReport {
                machine_id: "m1".to_owned(),
                sensor: sensor.to_owned(),
                value,
                ..MachineReport::default()
            }),
        })
    }

    fn vend(state: VendState) -> Event {
        let vend = Vend {
            id: "v1".to_owned(),
            machine_id: "m1".to_owned(),
            state: state.into(),
            reason: "power lost".to_owned(),
            ..Vend::default()
        };
        Event::Vend(VendChanged { vend: Some(vend) })
    }

    /// The kinds of alerts after some frames.
    fn alerts(events: Vec<(u64, Event)>, now_ms: u64) -> Vec<String> {
        let mut view = View::default();
        for (time_ms, event) in events {
            view.take(&body(time_ms, event));
        }
        let alerts = view.alerts(now_ms, 30_000);
        alerts.iter().map(|alert| alert.sentence()).collect()
    }

    #[test]
    fn a_healthy_machine_raises_nothing() {
        assert!(alerts(vec![(1_000, machine(|_| {}))], 31_000).is_empty());
    }

    #[test]
    fn a_machine_is_silent_when_neither_status_nor_beacon_nor_report_came() {
        let silent = ["m1 is silent"];
        assert_eq!(alerts(vec![(1_000, machine(|_| {}))], 31_001), silent);
        let beacon = Event::Beacon(Beacon {
            machine_id: "m1".to_owned(),
            time_ms: 5_000,
            ..Beacon::default()
        });
        let heard = vec![(1_000, machine(|_| {})), (5_000, beacon)];
        assert!(alerts(heard.clone(), 35_000).is_empty());
        assert_eq!(alerts(heard, 35_001), silent);
        let reported = vec![(1_000, machine(|_| {})), (6_000, report("temperature", 4))];
        assert!(alerts(reported, 36_000).is_empty());
    }

    #[test]
    fn a_new_machine_has_its_time_to_speak_and_a_disabled_one_may_be_silent() {
        let new = |ready| {
            machine(move |it| {
                it.heartbeat_at_ms = 0;
                it.ready = ready;
            })
        };
        assert!(alerts(vec![(50_000, new(true))], 60_000).is_empty());
        let disabled = machine(|it| it.enabled = false);
        assert!(alerts(vec![(1_000, disabled)], 1_000_000).is_empty());
    }

    #[test]
    fn not_ready_and_quarantined_are_told_with_their_reason() {
        let bad = machine(|it| {
            it.ready = false;
            it.detail = "sensor stuck".to_owned();
            it.quarantined = true;
        });
        assert_eq!(
            alerts(vec![(1_000, bad)], 2_000),
            [
                "m1 is not ready: sensor stuck",
                "m1 is quarantined: it signed two different receipts"
            ]
        );
    }

    #[test]
    fn tilt_door_and_jam_last_until_the_sensor_is_0_again() {
        let open = vec![
            (1_000, machine(|_| {})),
            (1_000, report("door", 1)),
            (1_000, report("temperature", 60)),
        ];
        assert_eq!(alerts(open.clone(), 2_000), ["m1 reports door"]);
        let mut closed = open;
        closed.push((1_500, report("door", 0)));
        assert!(alerts(closed, 2_000).is_empty());
    }

    #[test]
    fn an_uncertain_vend_lasts_until_an_operator_has_decided() {
        let uncertain = vec![(1_000, vend(VendState::Uncertain))];
        assert_eq!(
            alerts(uncertain.clone(), 1_000),
            ["vend v1 on m1 is uncertain: power lost"]
        );
        let mut decided = uncertain;
        decided.push((2_000, vend(VendState::Credited)));
        assert!(alerts(decided, 2_000).is_empty());
    }
}
