//! The states behind seals that a process keeps for others, and the one that
//! it is taking over.

use std::collections::BTreeMap;

use bytes::Bytes;
use dctrl_consensus::snapshot::{
    SealOffer, StateAnswer, StateManifest, StateQuestion, chunk_digest, manifest_answer,
    steps_answer,
};
use dctrl_consensus::{
    Certificate, Digest, EpochStart, Finish, Install, InstallProgress, Limits, RosterStep,
};

use crate::app::App;

/// Bytes of a chunk: so few that a state has several.
const CHUNK_BYTES: usize = 48;
/// Seals whose states a process keeps.
const KEPT_MAX: usize = 2;

/// What is kept and what is on its way.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// By block, the certificates of seals with what they led to.
    kept: BTreeMap<u64, (Certificate, App)>,
    steps: Vec<RosterStep>,
    staged: Option<(StateManifest, BTreeMap<u32, Bytes>)>,
}

/// What an [`Install`] leads to.
pub(crate) enum Installed {
    /// To be told to the core.
    Progress(Digest, InstallProgress),
    /// This state is the present one, by this step.
    Present(Box<(App, Finish)>),
    /// Nothing fits.
    Nothing,
}

impl States {
    /// A block is final; `app` is what it led to.
    pub(crate) fn certified(&mut self, certificate: &Certificate, app: &App) {
        let index = certificate.header.index;
        if certificate.header.seals() && app.index() == index {
            self.kept.insert(index, (certificate.clone(), app.clone()));
            while self.kept.len() > KEPT_MAX {
                self.kept.pop_first();
            }
        }
    }

    /// An epoch begins, behind the last kept seal.
    pub(crate) fn begun(&mut self, start: &EpochStart) {
        let known = self.steps.last().map_or(0, |step| step.next.number);
        if let Some((certificate, _)) = self.kept.values().last()
            && start.roster.number > known
            && certificate.header.next_roster == start.roster.hash()
        {
            let (certificate, next) = (certificate.clone(), start.roster.clone());
            self.steps.push(RosterStep { certificate, next });
        }
    }

    /// The disk ends before this block.
    pub(crate) fn lose_from(&mut self, index: u64) {
        self.staged = None;
        self.kept.split_off(&index);
        self.steps
            .retain(|step| step.certificate.header.index < index);
    }

    /// The oldest seal, once as many are kept as may be: no block before it is
    /// needed. Not earlier: who executed the only seal there is, and lacks the
    /// certificates before it, finds no state that is ahead of its own.
    pub(crate) fn first(&self) -> Option<u64> {
        let full = self.kept.len() == KEPT_MAX;
        let first = self.kept.first_key_value().filter(|_| full);
        first.map(|(index, _)| *index)
    }

    /// The answer to a peer's question.
    pub(crate) fn answer(&self, question: &StateQuestion, limits: &Limits) -> StateAnswer {
        match *question {
            StateQuestion::Offers => {
                let offer = |(certificate, app): &(Certificate, App)| SealOffer {
                    certificate: certificate.clone(),
                    manifest: manifest(app).digest(),
                };
                StateAnswer::Offers(self.kept.values().map(offer).collect())
            }
            StateQuestion::Steps { after } => {
                let steps = self.steps.iter().cloned();
                let steps = steps.filter(|step| step.next.number > after);
                steps_answer(after, steps, limits)
            }
            StateQuestion::Manifest { manifest, offset } => match self.find(manifest) {
                Some((one, _)) => manifest_answer(&one, offset, limits),
                None => StateAnswer::Gone { manifest },
            },
            StateQuestion::Chunk { manifest, index } => {
                let found = self.find(manifest);
                let place = usize::try_from(index).unwrap_or(usize::MAX);
                let chunk = found.as_ref().and_then(|(_, content)| {
                    let chunk = content.chunks(CHUNK_BYTES).nth(place)?;
                    Some(Bytes::copy_from_slice(chunk))
                });
                match chunk {
                    Some(bytes) => StateAnswer::Chunk {
                        manifest,
                        index,
                        bytes,
                    },
                    None => StateAnswer::Gone { manifest },
                }
            }
        }
    }

    fn find(&self, digest: Digest) -> Option<(StateManifest, Vec<u8>)> {
        let kept = self.kept.values();
        let mut kept = kept.map(|(_, app)| (manifest(app), app.content()));
        kept.find(|(one, _)| one.digest() == digest)
    }

    /// Does a step of a take-over.
    pub(crate) fn install(&mut self, step: Install) -> Installed {
        match step {
            Install::Begin(manifest) => {
                let digest = manifest.digest();
                if self.staged.as_ref().map(|(of, _)| of) != Some(&manifest) {
                    self.staged = Some((manifest.clone(), BTreeMap::new()));
                }
                let there = self.staged.as_ref().map(|(_, there)| there);
                let all = 0..u32::try_from(manifest.chunks.len()).unwrap_or(0);
                let here = |index: &u32| there.is_some_and(|there| there.contains_key(index));
                let missing = all.filter(|index| !here(index)).collect();
                Installed::Progress(digest, InstallProgress::Begun { missing })
            }
            Install::Chunk {
                manifest,
                index,
                bytes,
            } => {
                if let Some((_, there)) = &mut self.staged {
                    there.insert(index, bytes);
                }
                Installed::Progress(manifest, InstallProgress::Kept { index })
            }
            Install::Check { manifest } => {
                let holds = self.staged_app().is_some();
                if !holds {
                    self.staged = None;
                }
                Installed::Progress(manifest, InstallProgress::Checked { holds })
            }
            Install::Finish(finish) => {
                let Some(mut app) = self.staged_app() else {
                    return Installed::Nothing;
                };
                self.staged = None;
                app.last_header = Some(finish.certificate.header.clone());
                self.steps.extend(finish.steps.iter().cloned());
                self.certified(&finish.certificate, &app);
                Installed::Present(Box::new((app, *finish)))
            }
        }
    }

    /// The state in the chunks, if it has the digest that the manifest says.
    fn staged_app(&self) -> Option<App> {
        let (manifest, there) = self.staged.as_ref()?;
        let bytes: Vec<u8> = there.values().flatten().copied().collect();
        let app = App::of_content(&bytes)?;
        (app.state == manifest.state_digest).then_some(app)
    }
}

fn manifest(app: &App) -> StateManifest {
    let content = app.content();
    StateManifest {
        height: app.index(),
        state_digest: app.state,
        bytes: content.len() as u64,
        chunk_bytes: u32::try_from(CHUNK_BYTES).unwrap_or(u32::MAX),
        chunks: content.chunks(CHUNK_BYTES).map(chunk_digest).collect(),
    }
}
