//! The threads that read for other nodes, and that take over a state: the
//! pipeline waits for neither.
//!
//! `server` answers questions about blocks and states, one after the other; what
//! comes while too many wait is dropped, and asked for again. `states` does what
//! takes long: it cuts the state of a seal into chunks, keeps the chunks of a
//! state that this node takes over, and checks the whole. Both tell the
//! pipeline by commands.
//!
//! Deliberately absent: what to believe, which consensus decides.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use dctrl_consensus::{
    BlockHeader, Certificate, Digest, Install, InstallProgress, Limits, Message, PublicKey,
    RosterStep,
    snapshot::{
        SEALS_OFFERED_MAX, SealOffer, StateAnswer, StateQuestion, manifest_answer, steps_answer,
    },
};
use dctrl_store::{CheckedState, InstallError, StateExport, StateInstall, Store, StoreError};

use super::{PipelineHandle, serve};

/// Questions of peers that wait for an answer.
const QUESTIONS_MAX: usize = 64;
/// Answers that wait to be sent, of a megabyte at most.
const ANSWERS_MAX: usize = 4;
/// Steps of a take-over that wait: consensus hands out a few chunks at once.
const STEPS_MAX: usize = 64;

/// What a peer asks.
#[derive(Debug)]
pub(super) enum Question {
    /// The blocks from this one on, behind so many bytes of the stream.
    Blocks { index: u64, offset: u64 },
    /// Something about the state of a seal.
    State(StateQuestion),
}

/// What takes long.
enum Work {
    /// A state has been kept aside, perhaps, and blocks may be forgotten.
    Look { final_height: u64 },
    /// Take over a state.
    Install(Install),
}

/// How a take-over goes on.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) manifest: Digest,
    pub(crate) progress: InstallProgress,
    pub(crate) checked: Option<Checked>,
}

/// A state that can become the present one.
pub(crate) struct Checked(pub(crate) CheckedState);

impl std::fmt::Debug for Checked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Checked")
    }
}

/// A state that is offered to peers.
#[derive(Clone)]
struct Offered {
    certificate: Certificate,
    manifest: Digest,
    export: StateExport,
}

type Offers = Arc<Mutex<Vec<Offered>>>;

/// The pipeline's end of the threads. Dropping it ends them.
pub(crate) struct States {
    /// `None` only while it is dropped.
    questions: Option<SyncSender<(PublicKey, Question)>>,
    work: Option<SyncSender<Work>>,
    answers: Option<Receiver<(PublicKey, Bytes)>>,
    told: Option<Receiver<Progress>>,
    threads: Vec<JoinHandle<()>>,
}

impl States {
    /// Blocks below the last `keep_blocks` are forgotten where a state behind
    /// them is offered; 0 keeps them all.
    pub(crate) fn start(
        store: &Store,
        handle: &PipelineHandle,
        keep_blocks: u64,
    ) -> std::io::Result<Self> {
        let offers = Offers::default();
        let (questions, asked) = sync_channel(QUESTIONS_MAX);
        let (work, to_do) = sync_channel(STEPS_MAX);
        let (answer, answers) = sync_channel(ANSWERS_MAX);
        let (tell, told) = sync_channel(STEPS_MAX);
        let server = Server {
            store: store.clone(),
            handle: handle.clone(),
            answer,
            offers: Arc::clone(&offers),
        };
        let worker = Worker {
            store: store.clone(),
            handle: handle.clone(),
            tell,
            offers,
            keep_blocks,
            install: None,
        };
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(body)
        };
        let threads = vec![
            spawn("server", Box::new(move || server.run(&asked)))?,
            spawn("states", Box::new(move || worker.run(&to_do)))?,
        ];
        Ok(Self {
            questions: Some(questions),
            work: Some(work),
            answers: Some(answers),
            told: Some(told),
            threads,
        })
    }

    /// An answer that is ready to be sent.
    pub(super) fn answer(&self) -> Option<(PublicKey, Bytes)> {
        self.answers.as_ref()?.try_recv().ok()
    }

    /// What a take-over has come to.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.told.as_ref()?.try_recv().ok()
    }

    /// Answers when it can, or never.
    pub(super) fn serve(&self, to: PublicKey, question: Question) {
        if let Some(questions) = &self.questions {
            let _ = questions.try_send((to, question));
        }
    }

    /// Does the step and says so. Few are on their way at any time.
    pub(super) fn install(&self, step: Install) {
        if let Some(work) = &self.work
            && work.try_send(Work::Install(step)).is_err()
        {
            tracing::error!("a step of the take-over was lost; it begins again by itself");
        }
    }

    /// Looks for states to offer and blocks to forget.
    pub(super) fn look(&self, final_height: u64) {
        if let Some(work) = &self.work {
            // Where so much is to do, it looks at the next seal.
            let _ = work.try_send(Work::Look { final_height });
        }
    }
}

impl Drop for States {
    fn drop(&mut self) {
        (self.questions, self.work) = (None, None);
        // Nobody waits for a place in what nobody reads.
        (self.answers, self.told) = (None, None);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that serves states panicked");
            }
        }
    }
}

struct Server {
    store: Store,
    handle: PipelineHandle,
    answer: SyncSender<(PublicKey, Bytes)>,
    offers: Offers,
}

impl Server {
    fn run(self, asked: &Receiver<(PublicKey, Question)>) {
        while let Ok((to, question)) = asked.recv() {
            let answer = match question {
                Question::Blocks { index, offset } => serve::blocks(&self.store, index, offset),
                Question::State(question) => self
                    .answer(question)
                    .map(|answer| Message::State(answer).encode()),
            };
            match answer {
                Ok(answer) => {
                    if self.answer.send((to, answer)).is_err() {
                        return;
                    }
                    self.handle.wake();
                }
                Err(error) => tracing::error!(%error, "a peer's question cannot be answered"),
            }
        }
    }

    fn answer(&self, question: StateQuestion) -> Result<StateAnswer, super::PipelineError> {
        let limits = Limits::default();
        let of = |manifest: Digest| {
            let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.iter().find(|it| it.manifest == manifest).cloned()
        };
        Ok(match question {
            StateQuestion::Offers => {
                let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
                let newest = offers.iter().rev().take(SEALS_OFFERED_MAX);
                let offer = |it: &Offered| SealOffer {
                    certificate: it.certificate.clone(),
                    manifest: it.manifest,
                };
                StateAnswer::Offers(newest.map(offer).collect())
            }
            StateQuestion::Steps { after } => {
                let read = self.store.snapshot().roster_steps(after)?;
                let steps = read
                    .steps
                    .iter()
                    .map_while(|step| RosterStep::decode(step).ok());
                steps_answer(after, steps, &limits)
            }
            StateQuestion::Manifest { manifest, offset } => match of(manifest) {
                Some(it) => manifest_answer(it.export.manifest(), offset, &limits),
                None => StateAnswer::Gone { manifest },
            },
            StateQuestion::Chunk { manifest, index } => {
                let chunk = match of(manifest) {
                    Some(it) => it.export.chunk(index)?,
                    None => None,
                };
                match chunk {
                    Some(bytes) => StateAnswer::Chunk {
                        manifest,
                        index,
                        bytes: bytes.into(),
                    },
                    None => StateAnswer::Gone { manifest },
                }
            }
        })
    }
}

struct Worker {
    store: Store,
    handle: PipelineHandle,
    tell: SyncSender<Progress>,
    offers: Offers,
    keep_blocks: u64,
    install: Option<(Digest, StateInstall)>,
}

impl Worker {
    fn run(mut self, to_do: &Receiver<Work>) {
        while let Ok(work) = to_do.recv() {
            let done = match work {
                Work::Look { final_height } => self.look(final_height).map_err(InstallError::from),
                Work::Install(step) => self.install(step),
            };
            if let Err(error) = done {
                // Where the disk failed, the next batch ends the node.
                tracing::error!(%error, "a state cannot be kept or taken over");
            }
        }
    }

    /// Offers what is kept, and forgets blocks that nobody needs for it.
    fn look(&mut self, final_height: u64) -> Result<(), StoreError> {
        let kept = self.store.exports()?;
        let known: Vec<u64> = self.lock(|offers| {
            offers.retain(|it| kept.contains(&it.export.manifest().height));
            offers
                .iter()
                .map(|it| it.export.manifest().height)
                .collect()
        });
        for height in kept.iter().filter(|height| !known.contains(height)) {
            let Some(certificate) = self.store.snapshot().certificate(*height)? else {
                continue;
            };
            let Ok(certificate) = Certificate::decode(&certificate) else {
                continue;
            };
            let export = self.store.export(*height)?;
            if export.manifest().state_digest != certificate.header.state_digest {
                tracing::error!(height, "the state kept at a seal is not the certified one");
                continue;
            }
            let manifest = export.manifest().digest();
            tracing::info!(
                height,
                chunks = export.manifest().chunks.len(),
                "offers a state"
            );
            self.lock(|offers| {
                offers.push(Offered {
                    certificate,
                    manifest,
                    export,
                });
                offers.sort_by_key(|it| it.export.manifest().height);
            });
        }
        // The blocks between two offered seals stay: who has executed the newer
        // one alone, and lacks certificates before it, still finds them.
        let oldest = self.lock(|offers| match offers.as_slice() {
            [oldest, _, ..] => Some(oldest.export.manifest().height),
            _ => None,
        });
        if let Some(oldest) = oldest.filter(|_| self.keep_blocks > 0) {
            // The seal's own certificate is what it is offered with.
            self.store
                .prune_blocks(oldest.min(final_height.saturating_sub(self.keep_blocks)))?;
        }
        Ok(())
    }

    fn lock<T>(&self, work: impl FnOnce(&mut Vec<Offered>) -> T) -> T {
        work(&mut self.offers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn install(&mut self, step: Install) -> Result<(), InstallError> {
        match step {
            Install::Begin(manifest) => {
                let digest = manifest.digest();
                tracing::info!(
                    height = manifest.height,
                    bytes = manifest.bytes,
                    "takes over the state of a seal"
                );
                let install = self.store.install(manifest)?;
                let missing = install.missing().collect();
                self.install = Some((digest, install));
                self.tell(digest, InstallProgress::Begun { missing }, None);
            }
            Install::Chunk {
                manifest,
                index,
                bytes,
            } => {
                if let Some(install) = self.of(&manifest) {
                    install.put(index, &bytes)?;
                    self.tell(manifest, InstallProgress::Kept { index }, None);
                }
            }
            Install::Check { manifest } => {
                let Some((_, install)) = self.install.take().filter(|it| it.0 == manifest) else {
                    return Ok(());
                };
                let checked = match install.check() {
                    Err(InstallError::State) => None,
                    checked => Some(Checked(checked?)),
                };
                let holds = checked.is_some();
                self.tell(manifest, InstallProgress::Checked { holds }, checked);
            }
            // The pipeline's own.
            Install::Finish(_) => {}
        }
        Ok(())
    }

    fn of(&mut self, manifest: &Digest) -> Option<&mut StateInstall> {
        let install = self.install.as_mut();
        install.filter(|it| it.0 == *manifest).map(|it| &mut it.1)
    }

    fn tell(&self, manifest: Digest, progress: InstallProgress, checked: Option<Checked>) {
        let progress = Progress {
            manifest,
            progress,
            checked,
        };
        // An error means that the pipeline has ended.
        if self.tell.send(progress).is_ok() {
            self.handle.wake();
        }
    }
}

/// Which seals are worth keeping their state aside: every one that changes the
/// members, and the first of each stretch of time. All nodes with the same
/// stretch keep the same ones, so that a peer finds enough that vouch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worth {
    /// Milliseconds of consensus time; 0 for every seal.
    every_ms: u64,
    /// The stretch of the last one.
    last: Option<u64>,
}

impl Worth {
    /// Goes on behind the newest state that the store keeps.
    pub(crate) fn since(store: &Store, every_ms: u64) -> Result<Self, StoreError> {
        let newest = store.exports()?.last().copied();
        let header = match newest {
            Some(height) => store.snapshot().header(height)?,
            None => None,
        };
        let header = header.and_then(|bytes| BlockHeader::decode(&bytes).ok());
        let last = header.and_then(|it| it.time.as_millis().checked_div(every_ms));
        Ok(Self { every_ms, last })
    }

    /// Whether this seal is one of them.
    pub(super) fn keeps(&mut self, header: &BlockHeader) -> bool {
        let stretch = header.time.as_millis().checked_div(self.every_ms);
        let is_new = stretch.is_none() || stretch != self.last;
        self.last = stretch;
        is_new || header.next_roster != header.roster
    }
}

#[cfg(test)]
mod tests {
    use dctrl_consensus::{ClusterId, Timestamp, certificate::HEADER_VERSION};

    use super::*;

    fn seal(second: u64, changes_members: bool) -> BlockHeader {
        BlockHeader {
            version: HEADER_VERSION,
            cluster: ClusterId(Digest::ZERO),
            epoch: 0,
            index: second,
            round: 0,
            time: Timestamp(second * 1_000_000_000),
            previous: Digest::ZERO,
            payload_root: Digest::ZERO,
            state_digest: Digest::ZERO,
            outputs_root: Digest::ZERO,
            roster: Digest([1; 32]),
            next_roster: Digest([if changes_members { 2 } else { 1 }; 32]),
        }
    }

    #[test]
    fn the_first_seal_of_a_stretch_and_each_change_of_members_are_kept() {
        let kept = |every_ms| {
            let mut worth = Worth {
                every_ms,
                last: None,
            };
            let seals = [(1, false), (2, false), (9, false), (11, false), (12, true)];
            seals.map(|(second, changes)| worth.keeps(&seal(second, changes)))
        };
        assert_eq!(kept(10_000), [true, false, false, true, true]);
        assert_eq!(kept(0), [true; 5]);
    }
}
