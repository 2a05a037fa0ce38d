//! One seal that is to be taken over: who vouches for it, how its certificate
//! is proven, and the manifest.

use std::collections::BTreeMap;

use super::loading::{Loading, Voucher};
use super::{ANSWER_PATIENCE, Due, Ground, Proven};
use crate::certificate::{BlockHeader, Certificate, RosterStep};
use crate::id::{Digest, PublicKey, Timestamp};
use crate::install::{Install, InstallProgress};
use crate::roster::Roster;
use crate::snapshot::{
    MANIFEST_BYTES_MAX, StateAnswer, StateManifest, StateProblem, StateQuestion, part_bytes,
};

/// Changes of membership on the way to a seal at most: what one attempt may
/// hold in memory, and one a week for eighty years.
const STEPS_MAX: usize = 4096;
/// Questions without an answer after which everybody is asked anew.
const MISSES_MAX: u32 = 16;
/// Doublings of the patience at most: half a minute for a megabyte.
const SLOWEST: u32 = 5;

/// What is being done about the seal.
#[derive(Debug)]
pub(super) enum Stage {
    /// Roster steps are fetched until the certificate can be checked.
    Proving,
    /// The manifest is fetched; this much of it is here.
    Listing(Vec<u8>),
    /// The driver looks for chunks that it has.
    Opening(StateManifest),
    /// Chunks are fetched.
    Loading(Loading),
    /// The driver makes a state of the chunks.
    Checking,
    /// It has come out right.
    Checked,
}

#[derive(Debug)]
pub(super) struct Plan {
    header: BlockHeader,
    manifest: Digest,
    vouchers: BTreeMap<PublicKey, Voucher>,
    /// The newest roster that the steps have led to, and the block after which
    /// it answers.
    roster: Roster,
    after: u64,
    steps: Vec<RosterStep>,
    /// The first certificate of a voucher that holds.
    proof: Option<Certificate>,
    stage: Stage,
    /// Who is asked for steps or the manifest, and until when.
    asked: Option<(PublicKey, Timestamp)>,
    misses: u32,
    /// A voucher has said that it does not keep the seal any more.
    outdated: bool,
}

impl Plan {
    pub(super) fn new(
        manifest: Digest,
        vouchers: BTreeMap<PublicKey, Certificate>,
        ground: Ground<'_>,
    ) -> Option<Self> {
        let header = vouchers.values().next()?.header.clone();
        let vouchers = vouchers.into_iter();
        let vouchers = vouchers.map(|(peer, certificate)| (peer, Voucher::new(certificate)));
        Some(Self {
            header,
            manifest,
            vouchers: vouchers.collect(),
            roster: ground.roster.clone(),
            after: ground.after,
            steps: Vec::new(),
            proof: None,
            stage: Stage::Proving,
            asked: None,
            misses: 0,
            outdated: false,
        })
    }

    pub(super) fn header(&self) -> &BlockHeader {
        &self.header
    }

    pub(super) fn manifest(&self) -> &Digest {
        &self.manifest
    }

    pub(super) fn vouchers(&self) -> Vec<PublicKey> {
        self.vouchers.keys().copied().collect()
    }

    /// Whether the driver has been told to begin.
    pub(super) fn installs(&self) -> bool {
        !matches!(self.stage, Stage::Proving | Stage::Listing(_))
    }

    pub(super) fn is_checked(&self) -> bool {
        matches!(self.stage, Stage::Checked)
    }

    /// Nobody is left who could be asked.
    pub(super) fn is_deserted(&self) -> bool {
        let needs_them = !matches!(self.stage, Stage::Checking | Stage::Checked);
        needs_them && self.vouchers.is_empty()
    }

    /// The peer is not asked any more; what it was asked for, others are.
    pub(super) fn desert(&mut self, peer: &PublicKey) {
        if self.asked.is_some_and(|(asked, _)| asked == *peer) {
            self.asked = None;
            self.begin_anew();
        }
        let gone = self.vouchers.remove(peer);
        if let (Stage::Loading(loading), Some(voucher)) = (&mut self.stage, gone) {
            loading.give_back(&voucher);
        }
    }

    /// Checks the certificates once the roster that signed them is known, and
    /// goes on when the roster behind the seal is known too. Returns whose
    /// certificates do not hold.
    pub(super) fn prove(&mut self, ground: Ground<'_>) -> Vec<PublicKey> {
        let mut liars = Vec::new();
        if !matches!(self.stage, Stage::Proving) {
            return liars;
        }
        let newest = self.roster.hash();
        if self.proof.is_none() && newest == self.header.roster {
            for (peer, voucher) in &self.vouchers {
                let certificate = voucher.certificate();
                let held = certificate.verify_by(ground.scheme, &self.roster, ground.cluster);
                if held.is_ok() {
                    self.proof = Some(certificate.clone());
                    break;
                }
                liars.push(*peer);
            }
            liars.iter().for_each(|liar| self.desert(liar));
        }
        if self.proof.is_some() && newest == self.header.next_roster {
            self.stage = Stage::Listing(Vec::new());
            self.asked = None;
        }
        liars
    }

    /// What to ask now, and when to look again; nothing where all of it has
    /// led nowhere.
    pub(super) fn due(&mut self, ground: Ground<'_>) -> Option<Due> {
        match &mut self.stage {
            Stage::Loading(loading) => {
                let due = loading.due(&self.manifest, &mut self.vouchers, ground);
                // Others have gone on to later seals, and who has not is silent:
                // what they keep now comes sooner.
                let silent = self.vouchers.values().all(Voucher::is_silent);
                return (!self.outdated || !silent).then_some(due);
            }
            Stage::Opening(_) | Stage::Checking | Stage::Checked => {
                return Some(Due::default());
            }
            Stage::Proving | Stage::Listing(_) => {}
        }
        let mut questions = Vec::new();
        if self.asked.is_none_or(|(_, until)| until <= ground.now) {
            if self.asked.take().is_some() {
                self.misses += 1;
                self.begin_anew();
            }
            if self.misses > MISSES_MAX {
                return None;
            }
            let turn = self.misses as usize % self.vouchers.len().max(1);
            let (&peer, _) = self.vouchers.iter().nth(turn)?;
            let patience = ANSWER_PATIENCE + self.misses.min(SLOWEST);
            self.asked = Some((peer, ground.later(patience)));
            questions.push((peer, self.question()));
        }
        Some(Due {
            questions,
            again_at: self.asked.map(|(_, until)| until),
        })
    }

    fn question(&self) -> StateQuestion {
        let manifest = self.manifest;
        match &self.stage {
            Stage::Listing(buffer) => StateQuestion::Manifest {
                manifest,
                offset: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
            },
            _ => StateQuestion::Steps {
                after: self.roster.number,
            },
        }
    }

    /// Another one is asked: a manifest comes from one alone, so that whoever
    /// sent a wrong one is known.
    fn begin_anew(&mut self) {
        if let Stage::Listing(buffer) = &mut self.stage {
            buffer.clear();
        }
    }

    /// Takes an answer. What was not asked for is passed over.
    pub(super) fn answer(
        &mut self,
        from: &PublicKey,
        answer: StateAnswer,
        ground: Ground<'_>,
    ) -> Result<Option<Install>, StateProblem> {
        let asked = self.asked.is_some_and(|(asked, _)| asked == *from);
        match (answer, &mut self.stage) {
            (StateAnswer::Steps { after, steps }, Stage::Proving)
                if asked && after == self.roster.number =>
            {
                self.asked = None;
                self.advance(steps, ground)?;
                Ok(None)
            }
            (
                StateAnswer::Manifest {
                    manifest,
                    offset,
                    total,
                    bytes,
                },
                Stage::Listing(buffer),
            ) if asked && manifest == self.manifest && offset as usize == buffer.len() => {
                let whole = total as usize;
                let expected = part_bytes(total, offset, ground.limits);
                if whole > MANIFEST_BYTES_MAX
                    || bytes.is_empty()
                    || bytes.len() != expected as usize
                {
                    return Err(StateProblem::Manifest);
                }
                buffer.extend_from_slice(&bytes);
                self.asked = None;
                if buffer.len() < whole {
                    return Ok(None);
                }
                let encoded = std::mem::take(buffer);
                self.open(&encoded).map(Some)
            }
            (
                StateAnswer::Chunk {
                    manifest,
                    index,
                    bytes,
                },
                Stage::Loading(loading),
            ) if manifest == self.manifest => {
                let Some(voucher) = self.vouchers.get_mut(from) else {
                    return Ok(None);
                };
                loading.take(voucher, &manifest, index, bytes)
            }
            (StateAnswer::Gone { manifest }, _) if manifest == self.manifest => {
                self.outdated = true;
                self.desert(from);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Walks the roster steps up to the seal.
    fn advance(&mut self, steps: Vec<RosterStep>, ground: Ground<'_>) -> Result<(), StateProblem> {
        let known = self.steps.len();
        for step in steps {
            // Later steps are true, perhaps; they are not on the way.
            if step.certificate.header.index > self.header.index || self.steps.len() >= STEPS_MAX {
                break;
            }
            step.check(ground.scheme, ground.cluster, &self.roster, self.after)
                .map_err(|_| StateProblem::Steps)?;
            // The seal may be a step itself, and then proves itself here.
            if step.certificate.header == self.header {
                self.proof = Some(step.certificate.clone());
            }
            self.after = step.certificate.header.index;
            self.roster = step.next.clone();
            self.steps.push(step);
        }
        if self.steps.len() >= STEPS_MAX {
            // Nobody is to blame, and nothing comes of it.
            self.misses = MISSES_MAX + 1;
        }
        // An honest node that keeps the seal has the steps that lead to it.
        if self.steps.len() > known {
            Ok(())
        } else {
            Err(StateProblem::Steps)
        }
    }

    fn open(&mut self, encoded: &[u8]) -> Result<Install, StateProblem> {
        let manifest = StateManifest::decode(encoded).map_err(|_| StateProblem::Manifest)?;
        let fits = manifest.digest() == self.manifest
            && manifest.height == self.header.index
            && manifest.state_digest == self.header.state_digest;
        if !fits {
            return Err(StateProblem::Manifest);
        }
        self.stage = Stage::Opening(manifest.clone());
        Ok(Install::Begin(manifest))
    }

    /// Takes what the driver says; false where the chunks are not the state.
    pub(super) fn progress(&mut self, progress: &InstallProgress) -> bool {
        match (progress, &mut self.stage) {
            (InstallProgress::Begun { missing }, Stage::Opening(manifest)) => {
                self.stage = Stage::Loading(Loading::new(manifest.clone(), missing));
            }
            (InstallProgress::Kept { index }, Stage::Loading(loading)) => loading.kept(*index),
            (InstallProgress::Checked { holds }, Stage::Checking) if *holds => {
                self.stage = Stage::Checked;
            }
            (InstallProgress::Checked { .. }, Stage::Checking) => return false,
            _ => {}
        }
        true
    }

    /// Has the driver check, when everything is there.
    pub(super) fn next_move(&mut self) -> Option<Install> {
        match &self.stage {
            Stage::Loading(loading) if loading.is_done(self.vouchers.values()) => {
                self.stage = Stage::Checking;
                Some(Install::Check {
                    manifest: self.manifest,
                })
            }
            _ => None,
        }
    }

    pub(super) fn into_proven(self) -> Option<Proven> {
        Some(Proven {
            manifest: self.manifest,
            certificate: self.proof?,
            steps: self.steps,
            roster: self.roster,
        })
    }
}
