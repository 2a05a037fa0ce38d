//! Taking events into the graph, and what follows: votes, blocks, evidence.

use std::collections::VecDeque;

use super::{Core, Stop};
use crate::dag::Slot;
use crate::event::{Event, ForkProof};
use crate::id::{Digest, NodeIndex};
use crate::interface::{Output, Recipient, RefusalReason};
use crate::message::Message;
use crate::record::Entry;

impl Core {
    /// Takes an event from a peer: into the graph, or aside until its parents
    /// are there. What it releases is taken in the same call, without recursion.
    pub(super) fn accept(&mut self, event: Event, from: NodeIndex) {
        if !self.acceptable(&event, from) {
            return;
        }
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            let id = event.id();
            if self.epoch.dag.find(&id).is_some() {
                continue;
            }
            let creator = event.header().creator;
            let needed = self.epoch.orphans.needs(&id);
            let on_twin = event
                .header()
                .self_parent
                .is_some_and(|parent| self.epoch.orphans.twin_held(&parent));
            if !needed && (on_twin || self.epoch.forkers.contains(creator)) {
                self.check_twin(&event);
                self.epoch.orphans.set_aside(event, &self.config.limits);
                continue;
            }
            let missing = self.epoch.dag.missing_parents(&event);
            if !missing.is_empty() {
                let ask_at = self.now.after(self.config.pace.request_grace);
                self.epoch.ids_at.get_or_insert(ask_at);
                match self
                    .epoch
                    .orphans
                    .wait(event, &missing, from, ask_at, &self.config.limits)
                {
                    Ok(twins) => queue.extend(twins),
                    Err(reason) => self.refuse_member(creator, reason),
                }
                continue;
            }
            if self.epoch.dag.would_branch(&event) {
                self.check_twin(&event);
                if !needed {
                    self.epoch.orphans.set_aside(event, &self.config.limits);
                    continue;
                }
                if !self.may_branch(creator, &id) {
                    // Not kept: whoever still waits for it asks again.
                    self.refuse_member(creator, RefusalReason::BranchesFull);
                    continue;
                }
            }
            match self.epoch.dag.insert(event.clone()) {
                Ok(slot) => {
                    let number = self.record(&Entry::Event(event));
                    self.epoch.dag.set_record(slot, number);
                    self.inserted(slot);
                    queue.extend(self.epoch.orphans.release(&id));
                }
                Err(reason) => {
                    self.epoch.orphans.discard_children(&id);
                    self.refuse_member(creator, reason);
                }
            }
        }
    }

    /// Whether the event may open a branch: someone else's event needs it, and
    /// what that creator's events have brought in before is within its share.
    /// So a forker cannot use up what honest nodes need to build on each other.
    fn may_branch(&mut self, forker: NodeIndex, id: &Digest) -> bool {
        let needed_by = self.epoch.orphans.needed_by(id);
        let brought = self.epoch.branches_brought[forker.position()].iter_mut();
        let free = brought.enumerate().find(|(needer, brought)| {
            let node = u16::try_from(*needer).map(NodeIndex);
            let other = node.is_ok_and(|node| node != forker && needed_by.contains(node));
            other && **brought < self.config.limits.branches_brought_max
        });
        free.map(|(_, brought)| *brought += 1).is_some()
    }

    /// Checks what can be said before the parents are known, and notes what
    /// the event shows about its sender.
    fn acceptable(&mut self, event: &Event, from: NodeIndex) -> bool {
        let header = event.header();
        if header.check(self.epoch.roster()).is_err() || !self.is_of_epoch(event, from) {
            return false;
        }
        for (creator, seq) in header
            .other_parents
            .iter()
            .map(|parent| (parent.creator, parent.seq))
            .chain([(header.creator, header.seq)])
        {
            if !self.epoch.is_me(header.creator) {
                self.epoch
                    .repair
                    .shown(header.creator, creator, seq.saturating_add(1));
            }
            self.epoch
                .repair
                .shown(from, creator, seq.saturating_add(1));
        }
        if self.epoch.dag.find(&event.id()).is_some() || self.epoch.orphans.holds(&event.id()) {
            return false;
        }
        if header.timestamp.since(self.now) > self.config.limits.clock_ahead_max {
            self.refuse_member(header.creator, RefusalReason::ClockAhead);
            return false;
        }
        if self.epoch.is_me(header.creator) && self.stop.is_none() {
            // Signed with this node's key, and not in its log.
            self.stop = Some(Stop::Amnesia);
            self.out.push(Output::Amnesia { seq: header.seq });
        }
        true
    }

    /// Whether the event belongs to this graph; what is of the next epoch is
    /// kept for it.
    fn is_of_epoch(&mut self, event: &Event, from: NodeIndex) -> bool {
        let header = event.header();
        let start = &self.epoch.start;
        if header.epoch == start.epoch + 1 {
            self.epoch.early.keep(event.clone(), from);
            return false;
        }
        if header.epoch == start.epoch && header.anchor != start.anchor {
            self.refuse_member(header.creator, RefusalReason::OtherEpoch);
            return false;
        }
        header.epoch == start.epoch
    }

    /// Proves the fork if the event excludes one in the graph.
    fn check_twin(&mut self, event: &Event) {
        if self.epoch.forkers.contains(event.header().creator) {
            return;
        }
        let twin = self
            .epoch
            .dag
            .twin_of(event)
            .map(|slot| &self.epoch.dag.vertex(slot).event);
        if let Some(proof) = twin.and_then(|twin| ForkProof::new(twin, event)) {
            self.note_fork(proof);
        }
    }

    /// Tells the driver and the peers about a fork, once per creator.
    pub(super) fn note_fork(&mut self, proof: ForkProof) {
        let creator = proof.creator();
        if creator.position() >= self.epoch.roster().len() || self.epoch.forkers.contains(creator) {
            return;
        }
        self.epoch.forkers.insert(creator);
        self.epoch.proofs.insert(creator, proof.clone());
        self.record(&Entry::Evidence(proof.clone()));
        self.send(Recipient::All, &Message::Evidence(proof.clone()));
        self.out.push(Output::Evidence(proof));
    }

    /// Counts what the event just inserted decides, and orders the blocks.
    pub(super) fn inserted(&mut self, slot: Slot) {
        let epoch = &mut self.epoch;
        epoch.election.insert(&epoch.dag, slot);
        epoch.order.insert(&epoch.dag, slot);
        if epoch.holds_nothing_new(slot) {
            epoch.covered.insert(slot);
        }
        self.note_arrival(slot);
        self.progressed();
        self.order();
    }

    fn note_arrival(&mut self, slot: Slot) {
        let vertex = self.epoch.dag.vertex(slot);
        let own = self.epoch.me().and_then(|me| self.epoch.dag.tip(me));
        let own_layer = own.map(|own| self.epoch.dag.vertex(own).layer);
        if !self.epoch.is_me(vertex.creator()) && Some(vertex.layer) >= own_layer {
            self.epoch.emit.arrived(vertex.creator(), self.now);
        }
    }
}
