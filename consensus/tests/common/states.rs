//! A store of states that is only made up, and peers that lie about theirs.
//!
//! A state is its digest and as many bytes made from it as some chunks hold.

use std::collections::BTreeMap;

use bytes::Bytes;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::snapshot::{
    SealOffer, StateAnswer, StateManifest, StateQuestion, chunk_digest, manifest_answer,
    steps_answer,
};
use dctrl_consensus::{
    Certificate, Digest, EpochStart, Executed, Finish, Input, Install, InstallProgress, Limits,
    NodeIndex, RosterStep, Signer,
};

use super::{Federation, roster_of, signer};

const CHUNK_BYTES: usize = 64;
const CHUNKS: usize = 12;
/// Seals whose states a node keeps.
const KEPT: usize = 2;

/// What a node does to what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It names another manifest, and has it.
    OtherManifest,
    /// It sends another manifest than it has named.
    WrongManifest,
    /// A byte of each chunk is another one.
    WrongChunk,
    /// A byte of each chunk and manifest is missing.
    Truncated,
    /// It offers seals that nobody has signed, far ahead.
    Invented,
    /// Its certificates hold one signature that does not.
    ForgedCertificate,
    /// It offers the first seal there was.
    OldSeal,
    /// Its roster steps lead elsewhere.
    ForkedSteps,
    /// It has no steps.
    NoSteps,
    /// It says nothing of states.
    Silent,
    /// It answers each question a hundred times.
    Endless,
    /// It forgets the state when the first chunk is asked for.
    Prunes,
}

/// The states that a node keeps, and the one that it takes over.
#[derive(Debug, Default)]
pub struct States {
    pub kept: BTreeMap<u64, Certificate>,
    first_seal: Option<Certificate>,
    last_seal: Option<Certificate>,
    pub steps: Vec<RosterStep>,
    staged: Option<(StateManifest, BTreeMap<u32, Bytes>)>,
    /// The block whose state was taken over; those before are not here.
    pub taken: u64,
    /// Chunks that were taken.
    pub chunks: usize,
}

impl States {
    pub fn certified(&mut self, certificate: &Certificate) {
        if certificate.header.seals() {
            self.first_seal.get_or_insert_with(|| certificate.clone());
            self.last_seal = Some(certificate.clone());
            self.kept
                .insert(certificate.header.index, certificate.clone());
            while self.kept.len() > KEPT {
                self.kept.pop_first();
            }
        }
    }

    pub fn begun(&mut self, start: &EpochStart) {
        let known = self.steps.last().map_or(0, |step| step.next.number);
        if start.roster.number > known
            && let Some(certificate) = self.last_seal.clone()
        {
            let next = start.roster.clone();
            self.steps.push(RosterStep { certificate, next });
        }
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.staged.is_none()
    }

    /// The first block that is kept: the oldest seal.
    pub fn first(&self) -> u64 {
        self.kept.first_key_value().map_or(0, |(first, _)| *first)
    }
}

fn content(digest: &Digest) -> Vec<u8> {
    let mut bytes = digest.0.to_vec();
    for part in 1_u8.. {
        if bytes.len() >= CHUNKS * CHUNK_BYTES - 5 {
            break;
        }
        bytes.extend(sha256(b"content", &[&digest.0, &[part]]).0);
    }
    bytes.truncate(CHUNKS * CHUNK_BYTES - 5);
    bytes
}

fn manifest(height: u64, state_digest: Digest, content: &[u8]) -> StateManifest {
    StateManifest {
        height,
        state_digest,
        bytes: content.len() as u64,
        chunk_bytes: u32::try_from(CHUNK_BYTES).unwrap(),
        chunks: content.chunks(CHUNK_BYTES).map(chunk_digest).collect(),
    }
}

/// A node's manifest of the state behind a block.
fn manifest_of(certificate: &Certificate, lie: Option<Lie>) -> (StateManifest, Vec<u8>) {
    let header = &certificate.header;
    let mut content = content(&header.state_digest);
    if lie == Some(Lie::OtherManifest) {
        content[100] ^= 1;
    }
    let manifest = manifest(header.index, header.state_digest, &content);
    (manifest, content)
}

impl Federation {
    /// Whether the node stops now.
    pub fn crashes(&mut self, node: usize) -> bool {
        match &mut self.crash {
            Some((who, 0)) if *who == node => {
                self.crash = None;
                true
            }
            Some((who, steps)) if *who == node => {
                *steps -= 1;
                false
            }
            _ => false,
        }
    }

    pub fn state_answers(&mut self, node: usize, question: StateQuestion) -> Vec<StateAnswer> {
        let lie = self.lies.get(&node).copied();
        let limits = self.config.limits;
        if lie == Some(Lie::Prunes) && matches!(question, StateQuestion::Chunk { .. }) {
            self.seen[node].states.kept.clear();
        }
        let answer = match (question, lie) {
            (_, Some(Lie::Silent)) => return Vec::new(),
            (StateQuestion::Offers, lie) => StateAnswer::Offers(self.offers(node, lie)),
            (StateQuestion::Steps { after }, Some(Lie::NoSteps)) => StateAnswer::Steps {
                after,
                steps: Vec::new(),
            },
            (StateQuestion::Steps { after }, lie) => self.steps(node, after, lie, &limits),
            (StateQuestion::Manifest { manifest, offset }, lie) => {
                self.manifest(node, manifest, offset, lie)
            }
            (StateQuestion::Chunk { manifest, index }, lie) => {
                self.chunk(node, manifest, index, lie)
            }
        };
        let times = if lie == Some(Lie::Endless) { 100 } else { 1 };
        vec![answer; times]
    }

    fn offers(&self, node: usize, lie: Option<Lie>) -> Vec<SealOffer> {
        let states = &self.seen[node].states;
        let kept = states.kept.values().cloned();
        let kept: Vec<Certificate> = match lie {
            Some(Lie::OldSeal) => states.first_seal.iter().cloned().collect(),
            _ => kept.collect(),
        };
        let offer = |mut certificate: Certificate| {
            let manifest = manifest_of(&certificate, lie).0.digest();
            match lie {
                Some(Lie::ForgedCertificate) => {
                    let other = signer(node).sign(b"something else");
                    certificate.signatures[0] = (NodeIndex(0), other);
                }
                Some(Lie::Invented) => {
                    certificate.header.index += 1000;
                    certificate.header.epoch += 100;
                }
                _ => {}
            }
            SealOffer {
                certificate,
                manifest,
            }
        };
        kept.into_iter().map(offer).collect()
    }

    fn steps(&self, node: usize, after: u64, lie: Option<Lie>, limits: &Limits) -> StateAnswer {
        let steps = self.seen[node].states.steps.iter().cloned();
        let steps = steps.filter(|step| step.next.number > after);
        let fork = |mut step: RosterStep| {
            if lie == Some(Lie::ForkedSteps) {
                step.next = roster_of(step.next.number, &[node]);
                step.certificate.header.next_roster = step.next.hash();
            }
            step
        };
        steps_answer(after, steps.map(fork), limits)
    }

    fn kept(
        &self,
        node: usize,
        manifest: Digest,
        lie: Option<Lie>,
    ) -> Option<(StateManifest, Vec<u8>)> {
        let kept = self.seen[node].states.kept.values();
        let mut kept = kept.map(|certificate| manifest_of(certificate, lie));
        kept.find(|(one, _)| one.digest() == manifest)
    }

    fn manifest(&self, node: usize, digest: Digest, offset: u32, lie: Option<Lie>) -> StateAnswer {
        let Some((manifest, _)) = self.kept(node, digest, lie) else {
            return StateAnswer::Gone { manifest: digest };
        };
        let mut answer = manifest_answer(&manifest, offset, &self.config.limits);
        if let StateAnswer::Manifest { bytes, .. } = &mut answer {
            match lie {
                Some(Lie::WrongManifest) => *bytes = flipped(bytes),
                Some(Lie::Truncated) => *bytes = bytes.slice(1..),
                _ => {}
            }
        }
        answer
    }

    fn chunk(&self, node: usize, manifest: Digest, index: u32, lie: Option<Lie>) -> StateAnswer {
        let Some((_, content)) = self.kept(node, manifest, lie) else {
            return StateAnswer::Gone { manifest };
        };
        let chunk = content.chunks(CHUNK_BYTES).nth(index as usize).unwrap();
        let mut bytes = Bytes::copy_from_slice(chunk);
        match lie {
            Some(Lie::WrongChunk) => bytes = flipped(&bytes),
            Some(Lie::Truncated) => bytes = bytes.slice(1..),
            _ => {}
        }
        StateAnswer::Chunk {
            manifest,
            index,
            bytes,
        }
    }

    /// Does it, and returns what the core is to be told.
    pub fn install(&mut self, node: usize, step: Install) -> Option<Input> {
        let states = &mut self.seen[node].states;
        let (manifest, progress) = match step {
            Install::Begin(manifest) => {
                let same = states
                    .staged
                    .as_ref()
                    .is_some_and(|(of, _)| *of == manifest);
                if !same {
                    states.staged = Some((manifest.clone(), BTreeMap::new()));
                }
                let (_, there) = states.staged.as_ref().unwrap();
                let all = 0..u32::try_from(manifest.chunks.len()).unwrap();
                let missing = all.filter(|index| !there.contains_key(index)).collect();
                (manifest.digest(), InstallProgress::Begun { missing })
            }
            Install::Chunk {
                manifest,
                index,
                bytes,
            } => {
                let (of, there) = states.staged.as_mut().unwrap();
                assert_eq!(of.digest(), manifest);
                assert!(there.insert(index, bytes).is_none(), "each chunk once");
                states.chunks += 1;
                (manifest, InstallProgress::Kept { index })
            }
            Install::Check { manifest } => {
                let (of, there) = states.staged.as_ref().unwrap();
                assert_eq!(there.len(), of.chunks.len());
                let all: Vec<u8> = there.values().flatten().copied().collect();
                let holds = all == content(&of.state_digest);
                if !holds {
                    states.staged = None;
                }
                (manifest, InstallProgress::Checked { holds })
            }
            Install::Finish(finish) => {
                self.finish(node, *finish);
                return None;
            }
        };
        Some(Input::Install { manifest, progress })
    }

    fn finish(&mut self, node: usize, finish: Finish) {
        let seen = &mut self.seen[node];
        let header = finish.certificate.header.clone();
        assert_eq!(
            seen.log.last().map_or(0, |last| last.number) + 1,
            finish.record.number
        );
        seen.log.push(finish.record);
        seen.state = header.state_digest;
        seen.states.staged = None;
        seen.states.taken = header.index;
        seen.states.steps.extend(finish.steps);
        seen.blocks.clear();
        seen.finals.clear();
        seen.executed = Executed {
            index: header.index,
            last_header: Some(header),
        };
    }
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    Bytes::from(bytes)
}
