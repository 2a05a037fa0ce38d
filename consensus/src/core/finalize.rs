//! Executed blocks: own signatures, certificates, divergence.

use super::{Core, Unsent};
use crate::certificate::{BlockHeader, signing_bytes};
use crate::id::Digest;
use crate::interface::{Output, Recipient, RefusalReason};
use crate::message::{BlockSignature, Message};
use crate::record::Entry;

impl Core {
    pub(super) fn executed(&mut self, index: u64, state_digest: Digest, outputs_root: Digest) {
        let expected = self
            .finality
            .executing()
            .filter(|block| block.index == index);
        let Some(block) = expected else {
            self.refuse(self.config.me, RefusalReason::Unasked);
            return;
        };
        let previous = self.finality.previous();
        let header = block.header(
            &self.config.cluster,
            &self.config.roster,
            previous,
            state_digest,
            outputs_root,
            Digest::ZERO,
        );
        self.finality.execute(header.clone());
        self.sign(header);
        self.check_divergence(index);
        self.certify();
    }

    /// Records the signature over a header; it is sent when that is synced. A
    /// header that contradicts one signed before is never signed.
    pub(super) fn sign(&mut self, header: BlockHeader) {
        let (index, hash) = (header.index, header.hash());
        match self.finality.own_signature(index) {
            Some((signed, _)) if signed != hash => self.diverge(index, hash, signed),
            Some(_) => {}
            None if self.stopped => {}
            None => {
                let signature = self.signer.sign(&signing_bytes(&hash));
                let number = self.record(&Entry::Signed(header, signature));
                let signer = self.config.me;
                let signed = BlockSignature {
                    index,
                    header: hash,
                    signer,
                    signature,
                };
                self.unsent.push_back((number, Unsent::Signature(signed)));
            }
        }
    }

    /// Own signatures are in the log now: they count, and may be seen.
    pub(super) fn signatures_synced(&mut self, signatures: Vec<BlockSignature>) {
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
        for chunk in signatures.chunks(self.config.limits.message_signatures_max) {
            self.send(Recipient::All, &Message::Signatures(chunk.to_vec()));
        }
        self.certify();
    }

    /// Puts out the certificates that are complete, in order.
    pub(super) fn certify(&mut self) {
        while let Some(certificate) = self.finality.next_final() {
            let index = certificate.header.index;
            self.out.push(Output::Final(certificate));
            // Behind the certificate, so that one batch holds both.
            self.record(&Entry::Final(index));
            self.progressed();
        }
    }

    pub(super) fn check_divergence(&mut self, index: u64) {
        if let Some(found) = self.finality.divergence(index) {
            self.diverge(found.index, found.ours, found.theirs);
        }
    }

    fn diverge(&mut self, index: u64, ours: Digest, theirs: Digest) {
        if !self.stopped {
            self.stopped = true;
            self.out.push(Output::Diverged {
                index,
                ours,
                theirs,
            });
        }
    }
}
