//! Chunks of a state: which are missing, and who is asked for which.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{CHUNK_MISSES_MAX, CHUNK_PATIENCE, Due, Ground};
use crate::certificate::Certificate;
use crate::id::{Digest, PublicKey, Timestamp};
use crate::install::Install;
use crate::snapshot::{StateManifest, StateProblem, StateQuestion};

/// Chunks on their way to the disk at most: then nobody is asked for more.
const UNKEPT_MAX: usize = 4;

/// A member that keeps the state.
#[derive(Debug)]
pub(super) struct Voucher {
    certificate: Certificate,
    /// The chunk that it is asked for, and until when.
    asked: Option<(u32, Timestamp)>,
    /// Answers in a row that did not come.
    misses: u32,
    /// It is not asked before: whoever was silent lets others go first.
    free_at: Timestamp,
}

impl Voucher {
    pub(super) fn new(certificate: Certificate) -> Self {
        Self {
            certificate,
            asked: None,
            misses: 0,
            free_at: Timestamp(0),
        }
    }

    /// Whether the last answer did not come in time.
    pub(super) fn is_silent(&self) -> bool {
        self.misses > 0
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// What is there of a state, and what is not.
#[derive(Debug)]
pub(super) struct Loading {
    manifest: StateManifest,
    /// Neither here nor asked for.
    missing: BTreeSet<u32>,
    /// Handed to the driver, which has not answered.
    unkept: BTreeSet<u32>,
}

impl Loading {
    pub(super) fn new(manifest: StateManifest, missing: &[u32]) -> Self {
        let there_is = |index: &u32| (*index as usize) < manifest.chunks.len();
        Self {
            missing: missing.iter().copied().filter(there_is).collect(),
            unkept: BTreeSet::new(),
            manifest,
        }
    }

    /// The voucher is not asked any more.
    pub(super) fn give_back(&mut self, voucher: &Voucher) {
        self.missing.extend(voucher.asked.map(|(index, _)| index));
    }

    pub(super) fn kept(&mut self, index: u32) {
        self.unkept.remove(&index);
    }

    pub(super) fn is_done<'v>(&self, mut vouchers: impl Iterator<Item = &'v Voucher>) -> bool {
        self.missing.is_empty()
            && self.unkept.is_empty()
            && vouchers.all(|voucher| voucher.asked.is_none())
    }

    /// Asks everybody who is free for one chunk, and says when to look again.
    pub(super) fn due(
        &mut self,
        manifest: &Digest,
        vouchers: &mut BTreeMap<PublicKey, Voucher>,
        ground: Ground<'_>,
    ) -> Due {
        let mut questions = Vec::new();
        let mut next: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
        for voucher in vouchers.values_mut() {
            if let Some((index, until)) = voucher.asked
                && until <= ground.now
            {
                self.missing.insert(index);
                voucher.asked = None;
                voucher.misses = voucher.misses.saturating_add(1).min(CHUNK_MISSES_MAX);
                voucher.free_at = ground.later(CHUNK_PATIENCE + voucher.misses);
            }
        }
        for (peer, voucher) in vouchers {
            if voucher.asked.is_none() && voucher.free_at > ground.now {
                if !self.missing.is_empty() {
                    sooner(voucher.free_at);
                }
            } else if voucher.asked.is_none()
                && self.unkept.len() < UNKEPT_MAX
                && let Some(index) = self.missing.pop_first()
            {
                let until = ground.later(CHUNK_PATIENCE + voucher.misses);
                voucher.asked = Some((index, until));
                let manifest = *manifest;
                questions.push((*peer, StateQuestion::Chunk { manifest, index }));
            }
            if let Some((_, until)) = voucher.asked {
                sooner(until);
            }
        }
        Due {
            questions,
            again_at: next,
        }
    }

    /// Takes a chunk from the voucher that was asked for it.
    pub(super) fn take(
        &mut self,
        voucher: &mut Voucher,
        manifest: &Digest,
        index: u32,
        bytes: Bytes,
    ) -> Result<Option<Install>, StateProblem> {
        if voucher.asked.is_none_or(|(asked, _)| asked != index) {
            return Ok(None);
        }
        if !self.manifest.holds(index, &bytes) {
            return Err(StateProblem::Chunk);
        }
        voucher.asked = None;
        voucher.misses = 0;
        self.unkept.insert(index);
        Ok(Some(Install::Chunk {
            manifest: *manifest,
            index,
            bytes,
        }))
    }
}
