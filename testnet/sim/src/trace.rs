//! A digest of all that happened, so that two runs of a seed can be compared.

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;

/// Bytes that are gathered before they are folded into the digest.
const GATHER_BYTES: usize = 1 << 16;

/// A running digest.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    digest: Digest,
    gathered: Vec<u8>,
}

impl Trace {
    /// Notes some numbers and bytes.
    pub(crate) fn note(&mut self, numbers: &[u64], bytes: &[u8]) {
        for number in numbers {
            self.gathered.extend_from_slice(&number.to_be_bytes());
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHER_BYTES {
            self.fold();
        }
    }

    fn fold(&mut self) {
        self.digest = sha256(b"dctrl-sim-trace\0", &[&self.digest.0, &self.gathered]);
        self.gathered.clear();
    }

    /// The digest of all so far.
    pub(crate) fn finish(mut self) -> Digest {
        self.fold();
        self.digest
    }
}
