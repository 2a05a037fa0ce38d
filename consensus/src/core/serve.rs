//! Keeping peers and this node in step: summaries, requests, answers.
//!
//! Own events are pushed once. All else is pulled: a summary or an event shows
//! that a peer has more, and what is missing is asked for. So whatever a lossy
//! network drops is made good, and an idle federation says next to nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Core;
use crate::crypto::sha256;
use crate::id::{Digest, NodeIndex, Timestamp};
use crate::interface::Recipient;
use crate::limits::MESSAGE_OVERHEAD_BYTES;
use crate::message::{Known, Message, Request};

impl Core {
    /// Something moved here: tell peers soon.
    pub(super) fn progressed(&mut self) {
        self.summary_interval = self.config.pace.busy_summary_interval;
        self.summary_at = self.summary_at.min(self.now.after(self.summary_interval));
    }

    /// Sends what is due and returns when the next is.
    pub(super) fn serve_due(&mut self) -> Option<Timestamp> {
        if self.is_alone() {
            return None;
        }
        if self.now >= self.summary_at {
            self.send_summary();
        }
        let mut requests: BTreeMap<NodeIndex, Request> = BTreeMap::new();
        self.request_ranges(&mut requests);
        self.request_ids(&mut requests);
        let epoch = self.epoch.start.epoch;
        for (peer, request) in requests {
            let request = Request { epoch, ..request };
            self.send_member(peer, &Message::Request(request));
        }
        let fetch_at = self.fetch_due();
        let take_over_at = self.take_over_due();
        let wanted_at = [self.epoch.repair.next_at(), self.epoch.ids_at];
        let wanted_at = wanted_at.into_iter().flatten().min();
        [Some(self.summary_at), wanted_at, fetch_at, take_over_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// What this node tells about itself.
    pub(super) fn known_here(&self, answers: Option<u64>) -> Known {
        let count = |node| {
            if self.epoch.is_me(node) {
                self.epoch.own_synced
            } else {
                self.epoch.dag.chain_len(node)
            }
        };
        Known {
            epoch: self.epoch.start.epoch,
            counts: self.epoch.roster().indices().map(count).collect(),
            asks: None,
            answers,
            signed: self.finality.signed(),
            final_index: self.finality.final_index(),
            forked: self.epoch.forkers.iter().collect(),
        }
    }

    fn send_summary(&mut self) {
        if self.epoch.me().is_some() {
            let mut known = self.known_here(None);
            known.asks = (!self.sure).then(|| self.question());
            self.send(Recipient::All, &Message::Known(known));
        }
        self.summary_at = self.now.after(self.summary_interval);
        let slowest = self.config.pace.idle_summary_interval;
        self.summary_interval = self.summary_interval.saturating_mul(2).min(slowest);
    }

    /// The number that answers must repeat, drawn once for each start: nobody
    /// foresees it, and no message from before the start has it.
    fn question(&mut self) -> u64 {
        if let Some(question) = self.question {
            return question;
        }
        let start = [self.now.0.to_be_bytes(), self.last_record.to_be_bytes()].concat();
        let digest = sha256(b"dctrl/question/1\0", &[&self.config.coin_seed, &start]);
        let [a, b, c, d, e, f, g, h, ..] = digest.0;
        let question = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        self.question = Some(question);
        question
    }

    fn request_ranges(&mut self, requests: &mut BTreeMap<NodeIndex, Request>) {
        for creator in self.epoch.roster().indices() {
            // A forker's events are taken only where someone names them, by id.
            if self.epoch.forkers.contains(creator) {
                self.epoch.repair.forget(creator);
                continue;
            }
            let have = self.epoch.dag.chain_len(creator);
            let events_max = self.config.limits.request_events_max;
            let asked =
                self.epoch
                    .repair
                    .ask(creator, have, self.now, &self.config.pace, events_max);
            if let Some((peer, from, to)) = asked {
                requests
                    .entry(peer)
                    .or_default()
                    .ranges
                    .push((creator, from, to));
            }
        }
    }

    /// Asks by id for parents that a range does not lead to: another event is
    /// at their place, or their creator is known to fork.
    fn request_ids(&mut self, requests: &mut BTreeMap<NodeIndex, Request>) {
        let Some(due) = self.epoch.ids_at else { return };
        if self.now < due {
            return;
        }
        let pace = self.config.pace;
        let members = self.epoch.roster().len();
        let me = self.epoch.me().map(NodeIndex::position);
        let mut next: Option<Timestamp> = None;
        for (id, missing) in self.epoch.orphans.missing_mut() {
            let creator = missing.creator;
            if self.epoch.dag.chain_len(creator) <= missing.seq
                && !self.epoch.forkers.contains(creator)
                && !missing.disputed
            {
                // The range request leads there; look again when it has.
                next = Some(self.now.after(pace.request_retry))
                    .min(next.or(Some(Timestamp(u64::MAX))));
                continue;
            }
            if self.now >= missing.ask_at {
                let turn = missing.from.position() + missing.asked as usize;
                let turn = turn % members;
                let peer = if me == Some(turn) {
                    (turn + 1) % members
                } else {
                    turn
                };
                let request = requests
                    .entry(NodeIndex(u16::try_from(peer).unwrap_or(0)))
                    .or_default();
                if request.ids.len() < self.config.limits.request_hashes_max {
                    request.ids.push(*id);
                    missing.asked = missing.asked.saturating_add(1);
                    missing.ask_at = self.now.after(pace.request_retry << missing.asked.min(4));
                }
            }
            next = Some(next.map_or(missing.ask_at, |next| next.min(missing.ask_at)));
        }
        self.epoch.ids_at = next.map(|next| next.max(self.now.after(pace.request_grace)));
    }

    /// Answers with one message of events, parents first.
    pub(super) fn answer(&mut self, from: NodeIndex, request: &Request) {
        if request.epoch != self.epoch.start.epoch {
            return;
        }
        let mut slots = BTreeSet::new();
        for &(creator, first, end) in &request.ranges {
            if creator.position() >= self.epoch.roster().len() {
                continue;
            }
            let end = end.min(first.saturating_add(self.config.limits.request_events_max));
            for seq in first..end.min(self.epoch.dag.chain_len(creator)) {
                slots.extend(self.epoch.dag.all_at(creator, seq));
            }
        }
        let by_id = |id: &Digest| self.epoch.dag.find(id);
        slots.extend(request.ids.iter().filter_map(by_id));
        let mut room = self.config.limits.message_bytes_max - MESSAGE_OVERHEAD_BYTES;
        let mut events = Vec::new();
        for slot in slots {
            let vertex = self.epoch.dag.vertex(slot);
            if self.epoch.is_me(vertex.creator()) && vertex.seq() >= self.epoch.own_synced {
                continue;
            }
            let bytes = vertex.event.encoded().len() + 4;
            if bytes > room {
                break;
            }
            room -= bytes;
            events.push(vertex.event.clone());
        }
        if !events.is_empty() {
            self.send_member(from, &Message::Events(events));
        }
    }
}
