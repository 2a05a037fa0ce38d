//! Taking events into the graph, and what follows: votes, blocks, evidence.

use std::collections::VecDeque;

use super::Core;
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
            if self.dag.find(&id).is_some() {
                continue;
            }
            let creator = event.header().creator;
            let needed = self.orphans.needs(&id);
            let on_twin = event
                .header()
                .self_parent
                .is_some_and(|parent| self.orphans.twin_held(&parent));
            if !needed && (on_twin || self.forkers.contains(creator)) {
                self.check_twin(&event);
                self.orphans.set_aside(event, &self.config.limits);
                continue;
            }
            let missing = self.dag.missing_parents(&event);
            if !missing.is_empty() {
                let ask_at = self.now.after(self.config.pace.request_grace);
                self.ids_at.get_or_insert(ask_at);
                match self
                    .orphans
                    .wait(event, &missing, from, ask_at, &self.config.limits)
                {
                    Ok(twins) => queue.extend(twins),
                    Err(reason) => self.refuse(creator, reason),
                }
                continue;
            }
            if self.dag.would_branch(&event) {
                self.check_twin(&event);
                if !needed {
                    self.orphans.set_aside(event, &self.config.limits);
                    continue;
                }
                if !self.may_branch(creator, &id) {
                    // Not kept: whoever still waits for it asks again.
                    self.refuse(creator, RefusalReason::BranchesFull);
                    continue;
                }
            }
            match self.dag.insert(event.clone()) {
                Ok(slot) => {
                    self.record(&Entry::Event(event));
                    self.inserted(slot);
                    queue.extend(self.orphans.release(&id));
                }
                Err(reason) => {
                    self.orphans.discard_children(&id);
                    self.refuse(creator, reason);
                }
            }
        }
    }

    /// Whether the event may open a branch: someone else's event needs it, and
    /// what that creator's events have brought in before is within its share.
    /// So a forker cannot use up what honest nodes need to build on each other.
    fn may_branch(&mut self, forker: NodeIndex, id: &Digest) -> bool {
        let needed_by = self.orphans.needed_by(id);
        let brought = self.branches_brought[forker.position()].iter_mut();
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
        if header
            .check(&self.config.roster, &self.config.cluster)
            .is_err()
        {
            return false;
        }
        for (creator, seq) in header
            .other_parents
            .iter()
            .map(|parent| (parent.creator, parent.seq))
            .chain([(header.creator, header.seq)])
        {
            if header.creator != self.config.me {
                self.repair
                    .shown(header.creator, creator, seq.saturating_add(1));
            }
            self.repair.shown(from, creator, seq.saturating_add(1));
        }
        if self.dag.find(&event.id()).is_some() || self.orphans.holds(&event.id()) {
            return false;
        }
        if header.timestamp.since(self.now) > self.config.limits.clock_ahead_max {
            self.refuse(header.creator, RefusalReason::ClockAhead);
            return false;
        }
        if header.creator == self.config.me && !self.stopped {
            // Signed with this node's key, and not in its log.
            self.stopped = true;
            self.out.push(Output::Amnesia { seq: header.seq });
        }
        true
    }

    /// Proves the fork if the event excludes one in the graph.
    fn check_twin(&mut self, event: &Event) {
        if self.forkers.contains(event.header().creator) {
            return;
        }
        let twin = self
            .dag
            .twin_of(event)
            .map(|slot| &self.dag.vertex(slot).event);
        if let Some(proof) = twin.and_then(|twin| ForkProof::new(twin, event)) {
            self.note_fork(proof);
        }
    }

    /// Tells the driver and the peers about a fork, once per creator.
    pub(super) fn note_fork(&mut self, proof: ForkProof) {
        let creator = proof.creator();
        if creator.position() >= self.config.roster.len() || self.forkers.contains(creator) {
            return;
        }
        self.forkers.insert(creator);
        self.record(&Entry::Evidence(proof.clone()));
        self.send(Recipient::All, &Message::Evidence(proof.clone()));
        self.out.push(Output::Evidence(proof));
    }

    /// Counts what the event just inserted decides, and orders the blocks.
    pub(super) fn inserted(&mut self, slot: Slot) {
        self.election.insert(&self.dag, slot);
        self.order.insert(&self.dag, slot);
        self.note_arrival(slot);
        self.progressed();
        while let Some((round, judges)) = self.election.next_done(&self.dag) {
            let Some(block) = self.order.receive(&self.dag, round, &judges) else {
                continue;
            };
            // After a restart the first blocks have been executed before.
            if block.index > self.finality.executed() {
                self.finality.ordered(block);
            }
        }
    }

    fn note_arrival(&mut self, slot: Slot) {
        let vertex = self.dag.vertex(slot);
        let own_layer = self
            .dag
            .tip(self.config.me)
            .map(|own| self.dag.vertex(own).layer);
        if vertex.creator() != self.config.me && Some(vertex.layer) >= own_layer {
            self.emit.arrived(vertex.creator(), self.now);
        }
    }
}
