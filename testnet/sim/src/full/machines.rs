//! The machines' agents in the world: effects performed, pulses given, deaths
//! at every step.

use std::collections::VecDeque;
use std::rc::Rc;

use dctrl_agent::machine::{Effect, Input, Pulse, Sending, Stage};
use dctrl_proto::v1::SignedAction;

use super::agent::Agent;
use super::physics::{Motion, Trouble};
use super::plan::Planted;
use super::points::agent_point;
use super::world::{Happening, World};
use crate::engine::{Seat, Stimulus};
use crate::scenario::{MILLISECOND, SECOND};

/// The agent's own beats: with an order in hand, at rest, and the self-test.
const TICK: u64 = 50 * MILLISECOND;
const TICK_AT_REST: u64 = 500 * MILLISECOND;
const SELF_TEST: u64 = 2 * SECOND;
/// A machine asks this often what it has missed, and where it knows of a gap.
const ASK_EVERY: u64 = 4 * SECOND;
const ASK_FOR_GAP: u64 = 300 * MILLISECOND;
/// A dead agent is started again after so long at most.
const DEAD_MAX: u64 = 3 * SECOND;

impl World {
    pub(super) fn start_agent(&mut self, machine: usize, reboot: bool) {
        if self.agents[machine].is_up() {
            return;
        }
        let (now, nodes) = (self.now, self.plan.nodes);
        let again = self.plan.planted == Some(Planted::PulseAgain);
        let fired = self.agents[machine].died_firing;
        self.agents[machine].start(now, nodes, reboot, &mut self.chance);
        self.agents[machine].died_firing = false;
        if std::mem::take(&mut self.agents[machine].damaged) {
            self.seen.hit("journals_damaged");
        }
        self.trace.note(&[10, now, machine as u64], &[]);
        if again && fired {
            self.pulse_again(machine);
        }
        if self.dies(machine, "agent.after_safe_state")
            || self.dies(machine, "agent.after_journal_open")
        {
            return;
        }
        self.ask_again(machine);
        let life = self.agents[machine].life;
        self.agenda.plan(now, Happening::Tick { machine, life });
    }

    /// The planted error: what was FIRING is fired once more.
    fn pulse_again(&mut self, machine: usize) {
        let stage = self.agents[machine].durable().map(|it| it.stage.clone());
        if let Some(Stage::Firing(held)) = stage {
            let order = &held.order;
            let (id, place) = (&order.machine_id, (order.incarnation, order.sequence));
            let result = self.checks.pulses.given(id, place.0, place.1);
            self.check(result);
        }
    }

    /// Whether the process dies at this point, which it has come to.
    fn dies(&mut self, machine: usize, name: &str) -> bool {
        let Some(point) = agent_point(name) else {
            return false;
        };
        let dies = self.passes(point);
        if dies {
            self.kill_agent(machine);
        }
        dies
    }

    /// The process dies; sometimes with the machine, sometimes with its disk.
    pub(super) fn kill_agent(&mut self, machine: usize) {
        if !self.agents[machine].is_up() {
            return;
        }
        self.seen.hit("agent_kills");
        self.trace.note(&[11, self.now, machine as u64], &[]);
        self.agents[machine].die();
        let stormy = self.stormy();
        let reboot = stormy && self.chance.chance(300);
        if reboot {
            self.seen.hit("agent_power_losses");
        }
        if stormy && self.chance.chance(60) {
            self.seen.hit("journals_lost");
            self.agents[machine].lose_journal();
        } else if stormy && self.chance.chance(40) {
            self.agents[machine].flip = usize::try_from(self.chance.bits() >> 32).ok();
        }
        let after = self.chance.between(10 * MILLISECOND, DEAD_MAX);
        self.agenda
            .plan(self.now + after, Happening::StartAgent { machine, reboot });
    }

    pub(super) fn tick(&mut self, machine: usize, life: u64) {
        let agent = &self.agents[machine];
        if agent.life != life || !agent.is_up() {
            return;
        }
        if !agent.pulsing {
            let tested = agent.tested_at;
            if tested.is_none_or(|at| self.now >= at + SELF_TEST) {
                self.agents[machine].tested_at = Some(self.now);
                self.input(machine, Input::Ready(Ok(())));
            }
            self.input(machine, Input::Tick);
            self.listen(machine);
        }
        let agent = &self.agents[machine];
        if agent.life != life {
            return;
        }
        let asked = agent.ears.asked_at.unwrap_or(0);
        let pause = if agent.ears.has_gaps() {
            ASK_FOR_GAP
        } else {
            ASK_EVERY
        };
        if self.now >= asked + pause {
            self.ask_again(machine);
        }
        let agent = &self.agents[machine];
        let rests = agent.machine.as_ref().is_some_and(|one| one.is_at_rest());
        let pause = if rests { TICK_AT_REST } else { TICK };
        self.agenda
            .plan(self.now + pause, Happening::Tick { machine, life });
    }

    /// Hands in what the ears have, unless a pulse blocks the loop.
    pub(super) fn listen(&mut self, machine: usize) {
        loop {
            let agent = &mut self.agents[machine];
            if !agent.is_up() || agent.pulsing {
                return;
            }
            if let Some(frame) = agent.ears.ready.pop_front() {
                let order = frame.body.topic.ends_with(".order");
                if order && self.dies(machine, "agent.order_received") {
                    return;
                }
                self.input(machine, Input::Frame(Box::new(frame)));
                continue;
            }
            let caught_up = agent.ears.caught_up();
            if caught_up.is_none() || agent.ears.told >= caught_up {
                return;
            }
            agent.ears.told = caught_up;
            if let Some(position) = caught_up {
                self.input(machine, Input::CaughtUp(position));
            }
        }
    }

    /// Steps the state machine and performs what it says, and what that leads
    /// to.
    fn input(&mut self, machine: usize, input: Input) {
        let life = self.agents[machine].life;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = self.agents[machine].step(self.now, input);
            while let Some(effect) = effects.pop_front() {
                self.perform_agent(machine, effect, &mut inputs);
                if self.agents[machine].life != life {
                    return;
                }
            }
        }
    }

    fn perform_agent(&mut self, machine: usize, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Append(record) => {
                let kind = record.kind();
                if self.dies(machine, &format!("agent.before_{kind}_sync")) {
                    return;
                }
                let half = format!("agent.{kind}_half_written");
                if self.agents[machine].begins_a_file() {
                    // Until it has its name the old file is the journal.
                    let unnamed = [
                        "agent.before_summary_sync",
                        "agent.summary_half_written",
                        "agent.after_summary_sync",
                    ];
                    if unnamed.iter().any(|point| self.dies(machine, point)) {
                        return;
                    }
                    self.agents[machine].append(&record);
                    if self.dies(machine, "agent.after_summary_named") {
                        return;
                    }
                } else if let Some(point) = agent_point(&half)
                    && self.passes(point)
                {
                    self.agents[machine].append_half(&record);
                    return self.kill_agent(machine);
                } else {
                    self.agents[machine].append(&record);
                }
                self.dies(machine, &format!("agent.after_{kind}_sync"));
            }
            Effect::Send(sending) => self.hand_in_from(machine, &sending),
            Effect::Pulse(pulse) => self.pulse(machine, &pulse),
            Effect::ReadLatch => {
                let agent = &mut self.agents[machine];
                // Whoever reads it clears it, or it would speak of an order before.
                let latch = agent.latched.replace(false).filter(|_| agent.latches);
                inputs.push_back(Input::Latched(latch));
            }
            Effect::Again => inputs.push_back(Input::Tick),
            Effect::Evidence(_) => {
                self.violation(format!("machine {machine} holds two certified orders"));
            }
            Effect::Alarm(_) => self.seen.hit("alarms"),
        }
    }

    fn pulse(&mut self, machine: usize, pulse: &Pulse) {
        if self.dies(machine, "agent.pulse_high") {
            // The line is high already, and the one-shot ends it.
            return self.give(machine, pulse, true);
        }
        self.give(machine, pulse, false);
    }

    /// The line goes high: whatever becomes of the process, the motor turns.
    fn give(&mut self, machine: usize, pulse: &Pulse, dead: bool) {
        let id = self.agents[machine].id.clone();
        let given = self
            .checks
            .pulses
            .given(&id, pulse.incarnation, pulse.sequence);
        self.check(given);
        let trouble = if self.stormy() { self.plan.trouble } else { 0 };
        let motion = if self.blow_step().is_some_and(|step| step.jams) {
            Motion::jam()
        } else {
            Motion::of(&mut self.chance, trouble)
        };
        match motion.trouble {
            Trouble::None => {}
            Trouble::Jam => self.seen.hit("jams"),
            Trouble::LateDrop => self.seen.hit("late_drops"),
            Trouble::StuckSensor => self.seen.hit("stuck_sensors"),
            Trouble::DoubleDrop => self.seen.hit("double_drops"),
            Trouble::PowerLoss => self.seen.hit("power_lost_in_a_pulse"),
        }
        self.checks.pulses.dropped(&id, pulse, motion.cans);
        let agent = &mut self.agents[machine];
        agent.latched = Some(motion.seen);
        if dead {
            agent.died_firing = true;
            return;
        }
        agent.pulsing = true;
        let life = agent.life;
        if motion.trouble == Trouble::PowerLoss {
            self.agenda
                .plan(self.now + motion.takes, Happening::KillAgent { machine });
            return;
        }
        let end = Agent::end(motion.seen);
        let over = Happening::PulseOver { machine, life, end };
        self.agenda.plan(self.now + motion.takes, over);
    }

    pub(super) fn pulse_over(
        &mut self,
        machine: usize,
        life: u64,
        end: dctrl_agent::machine::PulseEnd,
    ) {
        if self.agents[machine].life != life {
            return;
        }
        if self.dies(machine, "agent.pulse_low") || self.dies(machine, "agent.after_pulse") {
            return;
        }
        self.agents[machine].pulsing = false;
        self.agents[machine].latched = Some(false);
        self.input(machine, Input::Pulsed(end));
        self.listen(machine);
    }

    fn hand_in_from(&mut self, machine: usize, sending: &Sending) {
        if self.plan.planted == Some(Planted::LoseReceipts) && sending.name == "machine.receipt" {
            return;
        }
        let nodes = self.plan.nodes;
        let agent = &mut self.agents[machine];
        if sending.another {
            agent.door = (agent.door + 1) % nodes;
        }
        let seat = agent.door;
        if let Some(way) = self.machine_way() {
            let action = Rc::new(sending.action.clone());
            let handed = Happening::Handed {
                machine,
                seat,
                action,
            };
            self.agenda.plan(self.now + way, handed);
        }
        match sending.name {
            "machine.accept" => {
                self.dies(machine, "agent.after_accept_sent");
            }
            "machine.receipt" => {
                self.dies(machine, "agent.after_receipt_sent");
            }
            _ => {}
        }
    }

    /// An action of a machine comes to a node's door.
    pub(super) fn handed(&mut self, machine: usize, seat: Seat, action: &SignedAction) {
        if !self.nodes[seat].is_up() {
            self.agents[machine].door = (seat + 1) % self.plan.nodes;
            return;
        }
        if self.censors(seat, action) {
            return;
        }
        if self.submit(seat, action).is_err() {
            self.agents[machine].door = (seat + 1) % self.plan.nodes;
        }
    }

    /// The guard's look at an action, and the way to the core.
    pub(super) fn submit(
        &mut self,
        seat: Seat,
        action: &SignedAction,
    ) -> Result<dctrl_ledger::Admitted, dctrl_proto::v1::Refusal> {
        use prost::Message as _;
        let admitted = self.nodes[seat].admit(self.now, action, &self.judge)?;
        if admitted.already.is_some() {
            self.seen.hit("already_applied");
        } else {
            self.actions += 1;
            let bytes = bytes::Bytes::from(action.encode_to_vec());
            self.drive(seat, Stimulus::Submit(bytes));
        }
        Ok(admitted)
    }
}
