//! Messages from peers, whose signatures were checked.

use super::Core;
use crate::id::{NodeIndex, PublicKey};
use crate::interface::{Output, Recipient};
use crate::message::{BlockSignature, Known, Message, VerifiedMessage};

impl Core {
    /// Blocks and states are served to whoever the transport lets in, since a node that
    /// joins is in no roster yet. All else is between members.
    pub(super) fn receive(&mut self, peer: PublicKey, message: VerifiedMessage) {
        if peer == self.key {
            return;
        }
        match message.0 {
            Message::BlockRequest(request) => return self.serve_blocks(peer, request),
            Message::StateRequest(question) => {
                self.out.push(Output::ServeState { to: peer, question });
                return;
            }
            _ => {}
        }
        let Some(from) = self.epoch.roster().index_of(&peer) else {
            self.tell_stranger(peer, &message.0);
            return;
        };
        self.epoch.last_heard[from.position()] = Some(self.now);
        match message.0 {
            Message::Events(events) => events
                .into_iter()
                .for_each(|event| self.accept(event, from)),
            Message::Known(known) => self.known(peer, from, &known),
            Message::Request(request) => self.answer(from, &request),
            Message::Signatures(signatures) => self.votes(&signatures),
            Message::Evidence(proof) => self.note_fork(proof),
            Message::Blocks(blocks) => self.fetched(&peer, &blocks),
            Message::Entrusted(transaction) => self.entrusted(from, transaction),
            Message::BlocksGone(gone) => self.blocks_gone(&peer, gone),
            Message::State(answer) => self.state_answered(&peer, answer),
            Message::BlockRequest(_) | Message::StateRequest(_) => {}
        }
    }

    /// Who was removed may not know it yet, and hears from no member any more:
    /// it is told that its epoch is over, and fetches the blocks then.
    fn tell_stranger(&mut self, peer: PublicKey, message: &Message) {
        if let Message::Known(known) = message
            && known.epoch < self.epoch.start.epoch
        {
            let answer = self.known_here(known.asks);
            self.send(Recipient::One(peer), &Message::Known(answer));
        }
    }

    /// A peer says how far it has come. What it lacks it asks for itself; only
    /// block signatures are sent unasked, since nobody else has ours.
    fn known(&mut self, peer: PublicKey, from: NodeIndex, known: &Known) {
        let here = self.epoch.start.epoch;
        // Whoever holds an event of the next epoch by the peer must not let it
        // believe that it has made none.
        if (known.asks.is_some() || known.epoch < here) && !self.epoch.early.holds_of(from) {
            let answer = self.known_here(known.asks);
            self.send_member(from, &Message::Known(answer));
        }
        if known.epoch > here {
            self.catch_up
                .is_ahead(peer, known.epoch, self.now, &self.config.pace);
            self.note_gap(known.final_index);
        }
        if known.epoch != here || known.counts.len() != self.epoch.roster().len() {
            return;
        }
        if known.final_index > self.finality.final_index() {
            self.catch_up
                .is_behind(peer, known.final_index, self.now, &self.config.pace);
        }
        self.epoch.repair.stated(from, &known.counts);
        self.prove_forks(from, &known.forked);
        if let Some(me) = self.epoch.me()
            && self.question.is_some()
            && known.answers == self.question
            && known.counts[me.position()] <= self.epoch.dag.chain_len(me)
        {
            self.epoch.confirmed.insert(from);
            self.sure |= self.epoch.confirmed.len() >= self.epoch.roster().quorum();
        }
        let window = self.config.limits.signature_window;
        let through = self
            .finality
            .signed()
            .min(known.signed.saturating_add(window));
        let count = self.config.limits.message_signatures_max;
        let lacking = self
            .finality
            .own_above(here, known.final_index, through, count);
        if !lacking.is_empty() {
            self.send_member(from, &Message::Signatures(lacking));
        }
    }

    /// Sends a peer the proof of each fork that it does not know of.
    fn prove_forks(&mut self, peer: NodeIndex, known: &[NodeIndex]) {
        let unknown = self.epoch.proofs.iter();
        let unknown = unknown.filter(|(forker, _)| **forker != peer && !known.contains(forker));
        let proofs: Vec<_> = unknown.map(|(_, proof)| proof.clone()).collect();
        for proof in proofs {
            self.send_member(peer, &Message::Evidence(proof));
        }
    }

    fn votes(&mut self, signatures: &[BlockSignature]) {
        let here = self.epoch.start.epoch;
        for signature in signatures {
            let signer = signature.signer;
            let of_epoch = signature.epoch == here || signature.epoch == here + 1;
            let member = signer.position() < self.epoch.roster().len();
            if !of_epoch || !member || self.epoch.is_me(signer) {
                continue;
            }
            if let Err(reason) = self.finality.vote(signature) {
                self.refuse_member(signer, reason);
            }
            self.check_divergence(signature.index);
        }
        self.certify();
    }
}
