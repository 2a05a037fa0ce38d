//! Ledgers of several nodes: the same blocks, applied at different times, and
//! one of them built anew from its first block in between.

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;
use dctrl_ledger::{Applied, BlockInput, MemoryState, apply_with, query};
use dctrl_proto::v1::Genesis;
use prost::Message;

use super::founding::Trusted;
use super::planted::{self, Planted};
use crate::prng::Prng;

/// Ledgers of a run.
const REPLICAS: usize = 3;
/// Rows of a page when everything is compared.
const PAGE: usize = 1_000;

struct Replica {
    state: MemoryState,
    /// Blocks that it has applied.
    height: usize,
}

/// All of them. The first one leads.
pub(super) struct Replicas {
    genesis: Genesis,
    /// Time and transactions of each block, and what the first one made of it.
    log: Vec<(u64, Vec<Vec<u8>>, Digest)>,
    all: Vec<Replica>,
    planted: Option<Planted>,
    pub(super) rebuilt: u64,
}

impl Replicas {
    pub(super) fn new(genesis: &Genesis, planted: Option<Planted>) -> Result<Self, String> {
        let mut replicas = Self {
            genesis: genesis.clone(),
            log: Vec::new(),
            all: Vec::new(),
            planted,
            rebuilt: 0,
        };
        for _ in 0..REPLICAS {
            let fresh = replicas.fresh()?;
            replicas.all.push(fresh);
        }
        Ok(replicas)
    }

    fn fresh(&self) -> Result<Replica, String> {
        let applied = dctrl_ledger::genesis(&self.genesis)
            .map_err(|refusals| format!("the genesis is refused: {refusals:?}"))?;
        let mut state = MemoryState::default();
        state.apply(&applied.changes);
        Ok(Replica { state, height: 0 })
    }

    /// The state of the one that leads.
    pub(super) fn state(&self) -> &MemoryState {
        &self.all[0].state
    }

    /// The first one applies a block.
    pub(super) fn lead(&mut self, time_ms: u64, transactions: Vec<Vec<u8>>) -> Applied {
        self.log.push((time_ms, transactions, Digest::ZERO));
        let height = self.log.len() - 1;
        let mut applied = self.applied(0, height);
        if let Some(planted) = self.planted {
            planted::spoil_all(planted, &mut applied);
        }
        self.log[height].2 = digest(&applied);
        self.all[0].state.apply(&applied.changes);
        self.all[0].height += 1;
        applied
    }

    fn applied(&self, replica: usize, at: usize) -> Applied {
        let (time_ms, transactions, _) = &self.log[at];
        let slices: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
        let block = BlockInput {
            height: at as u64 + 1,
            time_ms: *time_ms,
            transactions: &slices,
        };
        apply_with(&self.all[replica].state, &block, &Trusted)
    }

    /// Some of the others catch up.
    pub(super) fn follow(&mut self, chance: &mut Prng) -> Vec<String> {
        let mut found = Vec::new();
        for replica in 1..self.all.len() {
            if chance.chance(150) {
                found.extend(self.catch_up(replica));
            }
        }
        found
    }

    /// One of the others loses everything and begins anew.
    pub(super) fn rebuild(&mut self) -> Result<(), String> {
        self.rebuilt += 1;
        let last = self.all.len() - 1;
        self.all[last] = self.fresh()?;
        Ok(())
    }

    fn catch_up(&mut self, replica: usize) -> Option<String> {
        while self.all[replica].height < self.log.len() {
            let at = self.all[replica].height;
            let mut applied = self.applied(replica, at);
            if let Some(planted) = self.planted {
                planted::spoil_all(planted, &mut applied);
                planted::spoil_one(planted, &mut applied);
            }
            self.all[replica].state.apply(&applied.changes);
            self.all[replica].height += 1;
            if digest(&applied) != self.log[at].2 {
                return Some(format!(
                    "block {}: replica {replica} made something else of it",
                    at + 1
                ));
            }
        }
        None
    }

    /// All catch up; then every payout's bytes and every row are compared.
    pub(super) fn compare(&mut self) -> Vec<String> {
        let mut found: Vec<String> = (1..self.all.len())
            .filter_map(|replica| self.catch_up(replica))
            .collect();
        let first = &self.all[0];
        for (number, other) in self.all.iter().enumerate().skip(1) {
            if other.state != first.state {
                found.push(format!("replica {number} has another state"));
            }
            let psbts = |replica: &Replica| {
                let page = query::payouts(&replica.state, PAGE, "");
                let rows = page.map(|page| page.rows).unwrap_or_default();
                let versions = rows.into_iter().flat_map(|payout| payout.versions);
                versions.map(|version| version.psbt).collect::<Vec<_>>()
            };
            if psbts(other) != psbts(first) {
                found.push(format!("replica {number} has other PSBT bytes"));
            }
        }
        found
    }

    /// The digest of the last block.
    pub(super) fn last(&self) -> Digest {
        self.log
            .last()
            .map_or(Digest::ZERO, |(_, _, digest)| *digest)
    }
}

/// Everything that a block made.
fn digest(applied: &Applied) -> Digest {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (key, value) in &applied.changes {
        parts.push((key.len() as u64).to_be_bytes().to_vec());
        parts.push(key.clone());
        let value = value.as_deref().unwrap_or(b"\xff gone");
        parts.push((value.len() as u64).to_be_bytes().to_vec());
        parts.push(value.to_vec());
    }
    parts.extend(applied.outputs.iter().cloned());
    parts.extend(applied.receipts.iter().map(Message::encode_to_vec));
    parts.push(applied.state_digest.to_vec());
    let deadline = applied.next_deadline_ms.unwrap_or(u64::MAX);
    parts.push(deadline.to_be_bytes().to_vec());
    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    sha256(b"dctrl-sim-applied\0", &slices)
}
