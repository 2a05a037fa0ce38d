//! Executed blocks: own signatures, certificates, divergence.

use super::{Core, Stop, Unsent};
use crate::certificate::{BlockHeader, Certificate, signing_bytes};
use crate::id::{Digest, Timestamp};
use crate::interface::{Outcome, Output, Recipient, RefusalReason};
use crate::message::{BlockSignature, Message};
use crate::record::Entry;

impl Core {
    pub(super) fn executed(&mut self, index: u64, outcome: Outcome) {
        let expected = self
            .finality
            .executing()
            .filter(|block| block.index == index);
        let Some(block) = expected else {
            self.refuse(self.key, RefusalReason::Unasked);
            return;
        };
        let previous = self.finality.previous();
        let header = block.header(
            &self.config.cluster,
            self.epoch.roster(),
            previous,
            &outcome,
        );
        self.finality.execute(header.clone());
        if header.next_roster != Digest::ZERO {
            if let Some(next) = &outcome.next_roster {
                self.record(&Entry::Seal(index, next.clone()));
            }
            self.seal(index, outcome.next_roster);
        }
        let fetched = std::mem::take(&mut self.epoch.fetching);
        if !fetched.is_empty() {
            self.record(&Entry::Fetched(fetched.clone()));
            self.epoch.cover(fetched);
        }
        if let Some(certificate) = self.fetching.take() {
            // It is final where it came from. But a liar may have signed it for
            // few, and then others lack just our signature.
            if certificate.header == header {
                self.sign(header);
            }
            // What was wrong with it shows here.
            self.conclude(certificate);
            self.use_fetched();
        } else {
            self.sign(header);
            self.check_divergence(index);
            self.certify();
            self.use_fetched();
        }
    }

    /// Records the signature over a header; it is sent when that is synced. A
    /// header that contradicts one signed before is never signed.
    pub(super) fn sign(&mut self, header: BlockHeader) {
        let Some(me) = self.epoch.me() else { return };
        let (index, hash) = (header.index, header.hash());
        match self.finality.own_signature(index) {
            Some((signed, _)) if signed != hash => self.diverge(index, hash, signed),
            Some(_) => {}
            None if self.stop == Some(Stop::Diverged) => {}
            None => {
                let signature = self.signer.sign(&signing_bytes(&hash));
                let number = self.record(&Entry::Signed(header, signature));
                let signed = BlockSignature {
                    epoch: self.epoch.start.epoch,
                    index,
                    header: hash,
                    signer: me,
                    signature,
                };
                self.unsent.push_back((number, Unsent::Signature(signed)));
            }
        }
    }

    /// Own signatures are in the log now: they count, and may be seen. Those
    /// over blocks of an earlier epoch are not needed any more.
    pub(super) fn signatures_synced(&mut self, mut signatures: Vec<BlockSignature>) {
        let first = self.finality.first_index();
        signatures.retain(|signed| signed.index >= first);
        if signatures.is_empty() {
            return;
        }
        for signed in &signatures {
            self.finality
                .recorded(signed.index, signed.header, signed.signature);
            // The first vote under this index and signer, so it never clashes.
            let counted = self.finality.vote(signed);
            assert!(counted.is_ok(), "this node signs one header per block");
        }
        if self.held.is_empty() {
            self.held_until = self.now.after(self.config.pace.signature_hold);
        }
        self.held.extend(signatures);
    }

    /// Sends own signatures that waited for an own event where none will come,
    /// or none has come; else says until when they wait.
    pub(super) fn held_due(&mut self) -> Option<Timestamp> {
        if self.held.is_empty() {
            return None;
        }
        if self.expects_event() && self.now < self.held_until {
            return Some(self.held_until);
        }
        self.send_held();
        None
    }

    /// Sends own signatures, behind the own event that goes out just now, so
    /// that peers get both at once and check them in one batch.
    pub(super) fn send_held(&mut self) {
        let signatures = std::mem::take(&mut self.held);
        for chunk in signatures.chunks(self.config.limits.message_signatures_max) {
            self.send(Recipient::All, &Message::Signatures(chunk.to_vec()));
        }
    }

    /// Puts out the certificates that are complete, in order.
    pub(super) fn certify(&mut self) {
        while let Some(certificate) = self.finality.next_final() {
            self.catch_up.moved();
            self.finalized(certificate);
        }
    }

    /// A block is final, and with it perhaps the epoch.
    pub(super) fn finalized(&mut self, certificate: Certificate) {
        let header = certificate.header.clone();
        self.out.push(Output::Final(certificate));
        // Behind the certificate, so that one batch holds both.
        self.record(&Entry::Final(header.index));
        self.progressed();
        self.turn(&header);
    }

    pub(super) fn check_divergence(&mut self, index: u64) {
        if let Some(found) = self.finality.divergence(index) {
            self.diverge(found.index, found.ours, found.theirs);
        }
    }

    pub(super) fn diverge(&mut self, index: u64, ours: Digest, theirs: Digest) {
        if self.stop != Some(Stop::Diverged) {
            self.stop = Some(Stop::Diverged);
            self.out.push(Output::Diverged {
                index,
                ours,
                theirs,
            });
        }
    }
}
