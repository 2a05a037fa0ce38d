//! Messages from peers, whose signatures were checked.

use super::Core;
use crate::id::NodeIndex;
use crate::interface::Recipient;
use crate::message::{BlockSignature, Known, Message, VerifiedMessage};

impl Core {
    pub(super) fn receive(&mut self, from: NodeIndex, message: VerifiedMessage) {
        if from == self.config.me || from.position() >= self.config.roster.len() {
            return;
        }
        self.last_heard[from.position()] = Some(self.now);
        match message.0 {
            Message::Events(events) => events
                .into_iter()
                .for_each(|event| self.accept(event, from)),
            Message::Known(known) => self.known(from, &known),
            Message::Request(request) => self.answer(from, &request),
            Message::Signatures(signatures) => self.votes(&signatures),
            Message::Evidence(proof) => self.note_fork(proof),
        }
    }

    /// A peer says how far it has come. What it lacks it asks for itself; only
    /// block signatures are sent unasked, since nobody else has ours.
    fn known(&mut self, from: NodeIndex, known: &Known) {
        if known.counts.len() != self.config.roster.len() {
            return;
        }
        self.repair.stated(from, &known.counts);
        let me = self.config.me;
        if known.counts[me.position()] <= self.dag.chain_len(me) {
            self.confirmed.insert(from);
        }
        if known.asks {
            let answer = self.known_here(false);
            self.send(Recipient::One(from), &Message::Known(answer));
        }
        let through = self.finality.signed().min(
            known
                .signed
                .saturating_add(self.config.limits.signature_window),
        );
        let count = self.config.limits.message_signatures_max;
        let lacking = self.finality.own_above(known.final_index, through, count);
        if !lacking.is_empty() {
            self.send(Recipient::One(from), &Message::Signatures(lacking));
        }
    }

    fn votes(&mut self, signatures: &[BlockSignature]) {
        for signature in signatures {
            let signer = signature.signer;
            if signer == self.config.me || signer.position() >= self.config.roster.len() {
                continue;
            }
            if let Err(reason) = self.finality.vote(signature) {
                self.refuse(signer, reason);
            }
            self.check_divergence(signature.index);
        }
        self.certify();
    }
}
