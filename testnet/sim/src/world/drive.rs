//! Driving the nodes that follow the rules: performing what their engines ask
//! for, as a driver in production would.

use std::collections::VecDeque;
use std::rc::Rc;

use dctrl_consensus::{Block, Certificate, EpochStart, Message, RefusalReason};

use super::happening::Happening;
use super::{Waiting, World};
use crate::app::Action;
use crate::checks::{Members, Ordered};
use crate::engine::{Effect, Engine, Seat, Stimulus, recorded_event};
use crate::marks::Mark;
use crate::network::Parcel;
use crate::scenario::{MILLISECOND, Part};

/// After which a user who was refused comes again.
const RETRY: u64 = 50 * MILLISECOND;

impl World {
    pub(super) fn start(&mut self, seat: Seat) {
        if self.nodes[seat].started {
            return;
        }
        self.nodes[seat].start(&self.setting);
        self.drive(seat, Stimulus::Wake);
    }

    pub(super) fn submit(&mut self, seat: Seat, number: u32, attempt: u32) {
        let action = Action { number, attempt };
        let change = self.changes.get(&number).copied();
        let seat = self.counter_for(seat);
        let cast = &self.scenario.cast;
        let honest = cast.honest(seat).then_some(seat);
        // What a node with another disk has ordered before it cannot know.
        let once = honest.filter(|_| self.remembers(seat));
        self.order.submitted(action, once, self.now);
        if cast.sound(seat) && attempt == 0 {
            self.waiting.push(Waiting {
                seat,
                number,
                attempt,
            });
        }
        if honest.is_some() && self.serves_users(seat) == Some(false) {
            // It is not there yet, and says so: the user comes again.
            let again = Happening::SubmitAgain { number };
            self.agenda.plan(self.now + RETRY, again);
        } else if honest.is_some() {
            self.drive(seat, Stimulus::Submit(action.encode(change)));
        } else {
            self.act(seat, |actor, stage| {
                actor.submit(action.encode(change), stage)
            });
        }
    }

    pub(super) fn wake(&mut self, seat: Seat, incarnation: u64) {
        if self.liars.contains_key(&seat) {
            return self.act(seat, |actor, stage| actor.wake(stage));
        }
        let node = &self.nodes[seat];
        let due = node.wake_at.is_some_and(|at| at <= self.now);
        if due && node.incarnation == incarnation {
            self.nodes[seat].wake_at = None;
            self.drive(seat, Stimulus::Wake);
        }
    }

    pub(super) fn synced(&mut self, seat: Seat, incarnation: u64, through: usize, record: u64) {
        if self.nodes[seat].incarnation == incarnation {
            self.nodes[seat].synced(through);
            self.drive(seat, Stimulus::Persisted(record));
        }
    }

    pub(super) fn deliver(&mut self, from: Seat, to: Seat, parcel: &Rc<Parcel>) {
        let Some(message) = parcel.message.clone() else {
            self.marks.hit(Mark::MalformedRefused);
            return;
        };
        if self.liars.contains_key(&to) {
            self.act(to, |actor, stage| actor.hear(from, message, stage));
        } else {
            let epoch = self.nodes[to].engine().map(Engine::epoch);
            let verified = epoch.map(|epoch| self.setting.verify(message, epoch));
            match verified {
                Some(Some(message)) => self.drive(to, Stimulus::Hear { from, message }),
                Some(None) => self.marks.hit(Mark::DoorRefused),
                None => {}
            }
        }
    }

    /// Gives a node a stimulus, and does all that follows from it.
    pub(super) fn drive(&mut self, seat: Seat, stimulus: Stimulus) {
        let mut next = VecDeque::from([stimulus]);
        while let Some(stimulus) = next.pop_front() {
            let effects = self.nodes[seat].step(self.now, stimulus);
            self.perform(seat, effects, &mut next);
        }
    }

    /// Performs what an engine wants, and adds what it is to be told at once.
    pub(super) fn perform(
        &mut self,
        seat: Seat,
        effects: Vec<Effect>,
        next: &mut VecDeque<Stimulus>,
    ) {
        for effect in effects {
            match effect {
                Effect::Record { number, bytes } => self.record(seat, number, &bytes),
                Effect::Send { to, bytes } => {
                    let parcel = self.pack(seat, &bytes);
                    self.check_sent(seat, &parcel);
                    to.into_iter()
                        .for_each(|to| self.transmit(seat, to, &parcel));
                }
                Effect::Execute(block) => next.push_back(self.execute(seat, &block)),
                Effect::Final(certificate) => self.certified(seat, &certificate),
                Effect::ForkProven(liar) => self.fork_proven(seat, liar),
                Effect::Diverged(index) => self.diverged(seat, index),
                Effect::Amnesia(seq) => self.forgotten(seat, seq),
                Effect::Epoch(start) => self.epoch_begins(seat, &start),
                Effect::Prune(through) => self.nodes[seat].prune(through),
                Effect::ServeBlocks { to, index, offset } => self.serve(seat, to, index, offset),
                Effect::ServeState { to, question } => self.serve_state(seat, to, &question),
                Effect::Install(step) => next.extend(self.install(seat, step)),
                Effect::Refused(reason) => self.refused(reason),
                Effect::WakeAt(date) => self.plan_wake(seat, date),
            }
        }
        // The results of a block and the records of the answer are one batch.
        if next.is_empty() && self.nodes[seat].write() {
            self.plan_sync(seat);
        }
    }

    fn record(&mut self, seat: Seat, number: u64, bytes: &[u8]) {
        if number != self.nodes[seat].records + 1 {
            self.violation(format!("node {seat} left a gap in its records at {number}"));
        }
        self.nodes[seat].record(number, bytes);
        self.note_taken(seat, bytes);
    }

    /// Where a sound node recorded an event of a liar, notes which one.
    pub(super) fn note_taken(&mut self, seat: Seat, record: &[u8]) {
        let cast = &self.scenario.cast;
        if !cast.sound(seat) || self.liars.is_empty() {
            return;
        }
        let Some(event) = recorded_event(record, &self.setting.limits) else {
            return;
        };
        let header = event.header();
        let by = self.rosters.seat(header.epoch, header.creator);
        if header.epoch == 0 && by.is_some_and(|by| !cast.honest(by)) {
            let layer = self.layer(seat);
            self.forks.taken(seat, &event, layer);
        }
        if self.scenario.churns {
            let result = Members::taken(&self.setting, &self.rosters, seat, &event);
            self.check(result);
        }
    }

    /// The node begins an epoch, whose beginning must be certified.
    fn epoch_begins(&mut self, seat: Seat, start: &EpochStart) {
        let epoch = start.epoch;
        self.trace.note(&[7, self.now, seat as u64, epoch], &[]);
        if !self.too_many_lie() {
            if !self.rosters.begins(start) {
                self.violation(format!("node {seat} begins another epoch {epoch}"));
            }
            if epoch > 0 && !self.finality.knows(&start.anchor) {
                self.violation(format!("node {seat} begins epoch {epoch} before its time"));
            }
        }
        self.nodes[seat].states.begun(start);
        if epoch > self.epoch {
            self.epoch = epoch;
            self.marks.hit(Mark::EpochSealed);
        }
        if start.me.is_none() && self.scenario.cast.sound(seat) {
            self.leaves(seat);
        }
    }

    fn check_sent(&mut self, seat: Seat, parcel: &Parcel) {
        let Some(message) = &parcel.message else {
            return self.violation(format!("node {seat} sent what does not decode"));
        };
        // A node whose disk was exchanged cannot know what it signed before:
        // its operator must give it another key, so it is no business here.
        if let (true, Message::Events(events)) = (self.remembers(seat), message) {
            for event in events {
                let header = event.header();
                if self.rosters.seat(header.epoch, header.creator) == Some(seat) {
                    let sent = self.forks.sent(seat, event);
                    self.check(sent);
                    let round = self.highest_round();
                    let actions = event.transactions().iter();
                    for (action, _) in actions.filter_map(|bytes| Action::decode(bytes)) {
                        self.carried.entry(action.number).or_insert(round);
                    }
                }
            }
        }
    }

    fn execute(&mut self, seat: Seat, block: &Block) -> Stimulus {
        let node = &mut self.nodes[seat];
        let outcome = node.app.execute(&self.setting, block);
        node.reached(block);
        if let Some(next) = &outcome.next_roster {
            self.known_rosters.insert(next.hash(), next.clone());
        }
        let state = node.app.state;
        let header = node.app.last_header.clone();
        if let Some(header) = header.filter(|_| !self.too_many_lie()) {
            let executed = Ordered {
                seat,
                now: self.now,
                block,
                header: &header,
                rosters: &self.rosters,
            };
            let result = self.order.executed_block(&executed);
            self.check(result);
        }
        self.note_digest(3, seat, state);
        Stimulus::Executed {
            index: block.index,
            outcome,
        }
    }

    fn certified(&mut self, seat: Seat, certificate: &Certificate) {
        let index = certificate.header.index;
        self.nodes[seat].finalized(certificate);
        if self.scenario.prunes {
            self.nodes[seat].forget_old_blocks();
        }
        self.note_digest(4, seat, certificate.header.hash());
        if self.too_many_lie() {
            return self.certified_under_collusion(certificate);
        }
        match self.finality.certified(seat, certificate) {
            Err(what) => self.violation(what),
            Ok(first) => self.check_certificate(certificate, first),
        }
        if self.order.hash(seat, index) != Some(certificate.header.hash()) {
            self.violation(format!(
                "block {index} is final at {seat}, which has another"
            ));
        }
    }

    /// By the roster of its epoch; and a light client is shown the first one.
    fn check_certificate(&mut self, certificate: &Certificate, first: bool) {
        let header = &certificate.header;
        let roster = self.rosters.roster(header.epoch);
        let proves = roster.is_some_and(|roster| self.setting.proves(certificate, roster));
        if !proves {
            let index = header.index;
            self.violation(format!("the certificate of block {index} proves nothing"));
        }
        if first {
            let next = self.known_rosters.get(&header.next_roster);
            let next = next.unwrap_or(&self.setting.genesis);
            let steps = self.members.steps();
            let walked = self.members.certified(&self.setting, certificate, next);
            if self.members.steps() > steps {
                self.marks.hit(Mark::RosterChanged);
            }
            self.check(walked);
        }
    }

    fn diverged(&mut self, seat: Seat, index: u64) {
        self.split.alarm(seat);
        if !self.too_many_lie() {
            self.violation(format!("honest node {seat} diverged at block {index}"));
        }
    }

    fn fork_proven(&mut self, seat: Seat, liar: Seat) {
        self.marks.hit(Mark::ForkProven);
        self.split.alarm(seat);
        if self.scenario.cast.sound(seat) {
            self.ask_to_remove(seat, liar);
        }
        if self.scenario.cast.honest(liar) && self.remembers(liar) {
            self.violation(format!("node {seat} proved that honest node {liar} forked"));
        }
    }

    fn remembers(&self, seat: Seat) -> bool {
        self.scenario.cast.parts[seat] != Part::BadDisk
    }

    fn forgotten(&mut self, seat: Seat, seq: u64) {
        self.marks.hit(Mark::Forgotten);
        if self.scenario.cast.sound(seat) {
            self.violation(format!("sound node {seat} forgot its event {seq}"));
        }
    }

    fn plan_wake(&mut self, seat: Seat, date: dctrl_consensus::Timestamp) {
        let node = &mut self.nodes[seat];
        node.wake_at = node.shows_at(date, self.now).map(|at| at.max(self.now + 1));
        let incarnation = node.incarnation;
        if let Some(at) = node.wake_at {
            self.agenda.plan(at, Happening::Wake { seat, incarnation });
        }
    }

    fn plan_sync(&mut self, seat: Seat) {
        let took = self
            .chance
            .between(MILLISECOND / 20, self.scenario.sync_max);
        let node = &self.nodes[seat];
        let (incarnation, through, record) = (node.incarnation, node.log_len(), node.records);
        let synced = Happening::Synced {
            seat,
            incarnation,
            through,
            record,
        };
        self.agenda.plan(self.now + took, synced);
    }

    fn refused(&mut self, reason: RefusalReason) {
        let mark = match reason {
            RefusalReason::OrphansFull => Mark::OrphansFull,
            RefusalReason::BranchesFull => Mark::BranchesFull,
            RefusalReason::ParentMismatch => Mark::ParentMismatch,
            RefusalReason::NotLater => Mark::NotLater,
            RefusalReason::OwnFork => Mark::OwnFork,
            RefusalReason::KnownForker => Mark::KnownForker,
            RefusalReason::LayerFull => Mark::LayerFull,
            RefusalReason::ClockAhead => Mark::ClockAhead,
            RefusalReason::SignedTwice => Mark::SignedTwice,
            _ => return,
        };
        self.marks.hit(mark);
    }
}
