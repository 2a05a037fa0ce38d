//! Driving the nodes: what their cores ask for is done, and what they write is
//! made durable before anybody hears of it.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use dctrl_consensus::message::{self, BlocksGone};
use dctrl_consensus::snapshot::StateAnswer;
use dctrl_consensus::{Block, Certificate, Message, RefusalReason, Timestamp};

use super::points::{Moment, node_point};
use super::world::{Happening, World};
use crate::disk::{Damage, Fate};
use crate::engine::{Effect, Seat, Stimulus};
use crate::marks::Mark;
use crate::network::{Parcel, Way};
use crate::scenario::MILLISECOND;

/// How long a disk may stall.
const STALL_MAX: u64 = 2_000 * MILLISECOND;
/// After which a struck node comes back.
const STRUCK_FOR: u64 = 300 * MILLISECOND;

impl World {
    pub(super) fn start_node(&mut self, seat: Seat) {
        self.nodes[seat].start();
        self.plan_notify(seat, 0);
        self.drive(seat, Stimulus::Wake);
    }

    pub(super) fn wake(&mut self, seat: Seat, life: u64) {
        let node = &self.nodes[seat];
        if node.life == life && node.wake_at.is_some_and(|at| at <= self.now) {
            self.nodes[seat].wake_at = None;
            self.drive(seat, Stimulus::Wake);
        }
    }

    pub(super) fn deliver(&mut self, from: Seat, to: Seat, parcel: &Rc<Parcel>) {
        self.trace
            .note(&[1, self.now, from as u64, to as u64, parcel.number], &[]);
        let Some(message) = parcel.message.clone() else {
            return;
        };
        let engine = self.nodes[to].engine.as_ref();
        let setting = &self.founding.setting;
        let verified = engine.map(|engine| setting.verify(message, engine.epoch()));
        match verified {
            Some(Some(message)) => self.drive(to, Stimulus::Hear { from, message }),
            Some(None) => self.marks.hit(Mark::DoorRefused),
            None => {}
        }
    }

    /// Gives a node a stimulus, and does all that follows from it.
    pub(super) fn drive(&mut self, seat: Seat, stimulus: Stimulus) {
        let mut next = VecDeque::from([stimulus]);
        while let Some(stimulus) = next.pop_front() {
            let effects = self.nodes[seat].step(self.now, stimulus);
            for effect in effects {
                self.perform(seat, effect, &mut next);
            }
        }
        self.keep(seat);
    }

    /// Does what a restored core asks for.
    pub(super) fn perform_all(&mut self, seat: Seat, effects: Vec<Effect>) {
        let mut next = VecDeque::new();
        for effect in effects {
            self.perform(seat, effect, &mut next);
        }
        next.push_back(Stimulus::Wake);
        for stimulus in next {
            self.drive(seat, stimulus);
        }
    }

    fn perform(&mut self, seat: Seat, effect: Effect, next: &mut VecDeque<Stimulus>) {
        match effect {
            Effect::Record { number, bytes } => {
                let expected = self.nodes[seat].records + 1;
                if number != expected {
                    self.violation(format!("node {seat} left a gap in its records at {number}"));
                }
                self.nodes[seat].record(number, &bytes);
            }
            Effect::Send { to, bytes } => {
                let parcel = self.network.pack(&self.founding.setting, seat, &bytes);
                self.check_sent(seat, &parcel);
                to.into_iter()
                    .for_each(|to| self.transmit(seat, to, &parcel));
            }
            Effect::Execute(block) => self.execute(seat, &block, next),
            Effect::Final(certificate) => self.certified(seat, &certificate),
            Effect::ForkProven(liar) => {
                self.marks.hit(Mark::ForkProven);
                if self.plan.cast.remembers(liar) {
                    self.violation(format!("node {seat} proved that honest node {liar} forked"));
                }
            }
            Effect::Diverged(index) => {
                self.violation(format!("honest node {seat} diverged at block {index}"));
            }
            Effect::Amnesia(seq) => {
                self.marks.hit(Mark::Forgotten);
                if self.plan.cast.sound(seat) {
                    self.violation(format!("sound node {seat} forgot its event {seq}"));
                }
            }
            Effect::Epoch(start) => {
                if start.epoch > 0 {
                    self.marks.hit(Mark::EpochSealed);
                }
            }
            Effect::Prune(through) => self.nodes[seat].filling.prune(through),
            Effect::ServeBlocks { to, index, offset } => self.serve(seat, to, index, offset),
            Effect::ServeState { to, .. } => {
                // No node forgets blocks here, so nobody needs a state.
                let answer = Message::State(StateAnswer::Offers(Vec::new())).encode();
                self.answer(seat, to, &answer);
            }
            Effect::Install(_) => {}
            Effect::Refused(reason) => self.refused(reason),
            Effect::WakeAt(date) => self.plan_wake(seat, date),
        }
    }

    fn refused(&mut self, reason: RefusalReason) {
        if reason == RefusalReason::ClockAhead {
            self.marks.hit(Mark::ClockAhead);
        }
    }

    pub(super) fn transmit(&mut self, from: Seat, to: Seat, parcel: &Rc<Parcel>) {
        let way = Way {
            now: self.now,
            from,
            to,
            heal_at: self.plan.heal_at,
        };
        let (chance, marks) = (&mut self.chance, &mut self.marks);
        let carried = self
            .network
            .carry(&self.plan.links, way, parcel, chance, marks);
        for (at, parcel) in carried {
            self.agenda
                .plan(at, Happening::Deliver { from, to, parcel });
        }
    }

    fn answer(&mut self, seat: Seat, to: Seat, bytes: &Bytes) {
        let parcel = self.network.pack(&self.founding.setting, seat, bytes);
        self.transmit(seat, to, &parcel);
    }

    fn serve(&mut self, seat: Seat, to: Seat, index: u64, offset: u64) {
        self.marks.hit(Mark::BlocksServed);
        let store = &self.nodes[seat].store;
        let first = 1;
        let bytes = if index < first {
            Message::BlocksGone(BlocksGone { index, first }).encode()
        } else {
            let blocks = (index..=store.final_height).map_while(|at| store.final_block(at));
            message::blocks_answer(index, offset, blocks, &self.founding.setting.limits)
        };
        self.answer(seat, to, &bytes);
    }

    fn execute(&mut self, seat: Seat, block: &Block, next: &mut VecDeque<Stimulus>) {
        let planted = self.plan.planted;
        let executed = self.nodes[seat].execute(block, &self.executor, planted);
        let (outcome, done) = match executed {
            Ok(executed) => executed,
            Err(what) => return self.violation(what),
        };
        if let Some(header) = self.nodes[seat].last_header.clone() {
            let hash = header.hash();
            self.trace.note(&[3, self.now, seat as u64], &hash.0);
            self.executed.insert((block.index, hash), done);
            let result = self.checks.agreement.executed(seat, &header);
            self.check(result);
        }
        next.push_back(Stimulus::Executed {
            index: block.index,
            outcome,
        });
    }

    fn certified(&mut self, seat: Seat, certificate: &Certificate) {
        let (index, hash) = (certificate.header.index, certificate.header.hash());
        self.nodes[seat].certified(certificate);
        self.trace.note(&[4, self.now, seat as u64], &hash.0);
        let setting = &self.founding.setting;
        if !setting.proves(certificate, &setting.genesis) {
            self.violation(format!("the certificate of block {index} proves nothing"));
        }
        match self.checks.agreement.certified(seat, certificate) {
            Err(what) => self.violation(what),
            Ok(true) => self.first_final(index, hash),
            Ok(false) => {}
        }
    }

    /// A block has become final: what it did to the books is looked at, once.
    fn first_final(&mut self, index: u64, hash: dctrl_consensus::Digest) {
        let Some(done) = self.executed.get(&(index, hash)).cloned() else {
            return self.violation(format!("block {index} is final, and nobody executed it"));
        };
        let older = (index.saturating_sub(400), dctrl_consensus::Digest::ZERO);
        self.executed = self.executed.split_off(&older);
        let found = self.checks.books.block(index, &done, &mut self.seen);
        found.into_iter().for_each(|what| self.violation(what));
        let found = self.checks.outcomes(&self.seen);
        found.into_iter().for_each(|what| self.violation(what));
        self.look_for_vend();
    }

    fn plan_wake(&mut self, seat: Seat, date: Timestamp) {
        let node = &mut self.nodes[seat];
        node.wake_at = node.shows_at(date, self.now).map(|at| at.max(self.now + 1));
        let life = node.life;
        if let Some(at) = node.wake_at {
            self.agenda.plan(at, Happening::Wake { seat, life });
        }
    }

    /// Hands what is in the batch to the disk.
    fn keep(&mut self, seat: Seat) {
        let node = &self.nodes[seat];
        if !node.is_up() || node.flight.is_some() || node.filling.is_empty() {
            return;
        }
        let content = node.filling.kind();
        if self.passes(node_point(content, Moment::Before)) {
            return self.strike_node(seat, Fate::Prefix);
        }
        let torn = self.passes(node_point(content, Moment::Torn));
        let node = &mut self.nodes[seat];
        node.keep();
        if torn || self.passes(node_point(content, Moment::AfterWrite)) {
            return self.strike_node(seat, if torn { Fate::Subset } else { Fate::Prefix });
        }
        let mut took = self.chance.between(MILLISECOND / 20, self.plan.sync_max);
        if self.stormy() && self.chance.chance(2) {
            self.seen.hit("writes_stalled");
            took += self.chance.below(STALL_MAX);
        }
        let life = self.nodes[seat].life;
        self.agenda
            .plan(self.now + took, Happening::Synced { seat, life });
    }

    pub(super) fn synced(&mut self, seat: Seat, life: u64) {
        if self.nodes[seat].life != life {
            return;
        }
        let Some(batch) = self.nodes[seat].kept() else {
            return;
        };
        let content = batch.kind();
        if self.passes(node_point(content, Moment::AfterSync)) {
            return self.strike_node(seat, Fate::Prefix);
        }
        if let Some(through) = batch.through {
            self.drive(seat, Stimulus::Persisted(through));
        }
        if self.passes(node_point(content, Moment::BeforeAcknowledgement)) {
            return self.strike_node(seat, Fate::Prefix);
        }
        self.publish(seat);
        self.keep(seat);
    }

    fn strike_node(&mut self, seat: Seat, fate: Fate) {
        self.crash(seat, fate, false);
        self.agenda
            .plan(self.now + STRUCK_FOR, Happening::Restart { seat });
    }

    pub(super) fn crash(&mut self, seat: Seat, fate: Fate, for_good: bool) {
        if self.nodes[seat].gone {
            return;
        }
        self.nodes[seat].gone = for_good;
        let exchanged = matches!(fate, Fate::Wiped | Fate::Older(_));
        if self.nodes[seat].is_up() || exchanged {
            self.seen.hit("node_crashes");
            self.trace.note(&[5, self.now, seat as u64], &[]);
            self.nodes[seat].crash(fate, &mut self.chance, &mut self.marks);
            self.checks.agreement.down(seat);
        }
    }

    pub(super) fn restart(&mut self, seat: Seat) {
        if self.nodes[seat].is_up() || self.nodes[seat].gone {
            return;
        }
        self.trace.note(&[6, self.now, seat as u64], &[]);
        let harmed = self.harm(seat);
        let effects = match self.nodes[seat].restart(self.now, harmed) {
            Ok(effects) => effects,
            Err(what) => return self.violation(format!("node {seat} does not restart: {what}")),
        };
        let store = &self.nodes[seat].store;
        let headers = store.blocks.values().map(|kept| kept.header.clone());
        self.checks.agreement.restarted(seat, headers.collect());
        self.checks.forks.restarted(seat);
        self.plan_notify(seat, 0);
        self.perform_all(seat, effects);
    }

    /// Where the disk is a bad one, something on it may not be as it was; that
    /// must be found.
    fn harm(&mut self, seat: Seat) -> bool {
        let bad = !self.plan.cast.remembers(seat) && self.chance.chance(600);
        if !bad {
            return false;
        }
        let harmed = self.nodes[seat].store.damage(&mut self.chance);
        match harmed {
            None => return false,
            Some(Damage::Flipped) => self.seen.hit("disks_corrupted"),
            Some(Damage::Misdirected) => self.seen.hit("writes_misdirected"),
        }
        if self.nodes[seat].store.is_readable() {
            self.violation(format!("node {seat} would serve what its disk got wrong"));
        }
        self.seen.hit("damage_detected");
        true
    }

    fn check_sent(&mut self, seat: Seat, parcel: &Parcel) {
        let Some(message) = &parcel.message else {
            return self.violation(format!("node {seat} sent what does not decode"));
        };
        // A node whose disk was exchanged cannot know what it signed before.
        if !self.plan.cast.remembers(seat) {
            return;
        }
        if let Message::Events(events) = message {
            for event in events {
                let me = self.founding.setting.people.key(seat);
                let members = &self.founding.setting.genesis;
                if members.index_of(&me) == Some(event.header().creator) {
                    let sent = self.checks.forks.sent(seat, event);
                    self.check(sent);
                }
            }
        }
    }
}
