//! Where the time of a node goes, as far as it can be told from outside the
//! core: how often it signs and for how long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use dctrl_consensus::{Ed25519Signer, PublicKey, Signature, Signer};

/// A count and the time that all of it took together, nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    count: AtomicU64,
    took_ns: AtomicU64,
}

impl Meter {
    /// Notes what began then and has ended.
    pub(crate) fn note(&self, begun: Instant) {
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.took_ns.fetch_add(took, Ordering::Relaxed);
    }

    fn read(&self) -> [u64; 2] {
        [
            self.count.load(Ordering::Relaxed),
            self.took_ns.load(Ordering::Relaxed),
        ]
    }
}

/// All meters of a node at one moment.
pub(super) struct Reading {
    sign: [u64; 2],
}

impl Reading {
    pub(super) fn of(sign: &Meter) -> Self {
        Self { sign: sign.read() }
    }

    /// In the order in which they are reported.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.sign.to_vec()
    }
}

/// A signer that is timed.
pub(super) struct TimedSigner {
    signer: Ed25519Signer,
    meter: Arc<Meter>,
}

impl TimedSigner {
    pub(super) fn new(signer: Ed25519Signer) -> Self {
        Self {
            signer,
            meter: Arc::default(),
        }
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl Signer for TimedSigner {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        let begun = Instant::now();
        let signature = self.signer.sign(bytes);
        self.meter.note(begun);
        signature
    }
}
