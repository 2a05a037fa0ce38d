//! Where the time of a node goes, as far as it can be told from outside the
//! core: how often it signs, syncs, checks and so on, and for how long.

use std::{sync::Arc, time::Instant};

use dctrl_consensus::{Ed25519Signer, PublicKey, Signature, Signer};

use crate::pipeline::{self, Meter};

/// What is measured in a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Meters {
    pub(super) sign: Arc<Meter>,
    pub(super) engine: pipeline::Meters,
}

impl Meters {
    /// In the order in which they are reported: a count and nanoseconds each.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let engine = &self.engine;
        let meters = [
            &self.sign,
            &engine.sync,
            &engine.verify,
            &engine.arrival,
            &engine.layer,
        ];
        meters.map(|meter| meter.read()).concat()
    }
}

/// A signer that is timed.
pub(super) struct TimedSigner {
    pub(super) signer: Ed25519Signer,
    pub(super) meter: Arc<Meter>,
}

impl Signer for TimedSigner {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        let begun = Instant::now();
        let signature = self.signer.sign(bytes);
        self.meter.note(begun.elapsed());
        signature
    }
}
