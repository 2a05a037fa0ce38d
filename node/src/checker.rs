//! Peers' messages: decoded and their signatures checked before the pipeline.
//!
//! A few threads take from the inbox. A message alone is checked at once;
//! where many wait, their signatures are checked in one batch, which costs a
//! third. Cheap checks come first: length, form, digests, epoch and roster,
//! then what was verified before. Messages with very many signatures go to a
//! thread of their own, so that they never stand in the way of short ones.
//!
//! Deliberately absent: the core. What it would do with a message is not known
//! here.

#[cfg(test)]
mod tests;

use std::{
    num::NonZero,
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use dctrl_consensus::{
    EpochStart, Limits, PublicKey, ROSTER_MEMBERS_MAX, Verifier,
    event::EventProblem,
    message::{self, Message, VerifiedMessage, VerifyError},
};

use crate::inbox::{Complaint, Cost, Intake, Letters};

/// Threads that check short messages: more than this many cores are better
/// used by the pipeline and the store.
const THREADS_MAX: usize = 8;

/// Signatures of one peer's letters that are checked with those of others. More
/// of them, up to a millisecond's work, are checked apart.
const SHORT_SIGNATURES_MAX: usize = 64;

/// The rules that messages are checked against: those of one epoch.
struct EpochRules {
    verifier: Verifier,
    limits: Limits,
}

impl EpochRules {
    fn new(epoch: EpochStart, limits: Limits) -> Self {
        Self {
            verifier: Verifier::new(epoch),
            limits,
        }
    }
}

/// The present rules. Clones share them.
#[derive(Clone)]
pub(crate) struct Rules(Arc<RwLock<Arc<EpochRules>>>);

impl Rules {
    /// The rules of the first epoch after the start.
    pub(crate) fn new(epoch: EpochStart, limits: Limits) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(EpochRules::new(
            epoch, limits,
        )))))
    }

    /// From now on messages are checked by the roster of this epoch.
    pub(crate) fn begin(&self, epoch: EpochStart) {
        let rules = EpochRules::new(epoch, self.present().limits);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn present(&self) -> Arc<EpochRules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes a peer's checked message of this many bytes; false when it never will
/// again.
pub(crate) trait Sink: Fn(PublicKey, VerifiedMessage, usize) -> bool + Send + Sync {}

impl<T: Fn(PublicKey, VerifiedMessage, usize) -> bool + Send + Sync> Sink for T {}

/// The threads at work.
pub(crate) struct Checker {
    threads: Vec<JoinHandle<()>>,
}

/// One peer's letters, decoded.
struct Decoded {
    from: PublicKey,
    /// Each with its length.
    messages: Vec<(Message, usize)>,
    signatures: usize,
}

/// What each thread needs.
struct Desk<S> {
    intake: Intake,
    rules: Rules,
    sink: Arc<S>,
}

/// Checks messages with `threads` threads until the network or `sink` ends; 0
/// means as many as there are cores.
pub(crate) fn start(
    intake: &Intake,
    rules: &Rules,
    threads: usize,
    sink: impl Sink + 'static,
) -> std::io::Result<Checker> {
    let sink = Arc::new(sink);
    let desk = || Desk {
        intake: intake.clone(),
        rules: rules.clone(),
        sink: Arc::clone(&sink),
    };
    // Each peer has one set of letters out at most.
    let (to_long, long) = sync_channel(2 * ROSTER_MEMBERS_MAX);
    let mut checker = Checker {
        threads: Vec::new(),
    };
    for number in 0..thread_count(threads) {
        let (desk, to_long) = (desk(), to_long.clone());
        checker.spawn(format!("checker-{number}"), move || desk.short(&to_long))?;
    }
    let desk = desk();
    checker.spawn("checker-long".to_owned(), move || desk.long(&long))?;
    Ok(checker)
}

fn thread_count(wanted: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = if wanted == 0 { cores } else { wanted };
    wanted.min(cores).min(THREADS_MAX)
}

impl Checker {
    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let builder = thread::Builder::new().name(name);
        self.threads.push(builder.spawn(work)?);
        Ok(())
    }

    /// Waits for the threads to end.
    ///
    /// # Errors
    /// Where one of them panicked.
    pub(crate) fn join(self) -> thread::Result<()> {
        let ended: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        ended.into_iter().collect()
    }
}

impl<S: Sink> Desk<S> {
    fn short(&self, to_long: &SyncSender<Decoded>) {
        while let Some(letters) = self.intake.take() {
            let rules = self.rules.present();
            let decoded = letters.into_iter().map(|of| self.decode(of, &rules.limits));
            let (short, long): (Vec<_>, Vec<_>) =
                decoded.partition(|of| of.signatures <= SHORT_SIGNATURES_MAX);
            for decoded in long {
                // The other end ends after this one.
                let _ = to_long.send(decoded);
            }
            self.check(short, &rules);
        }
    }

    fn long(&self, queue: &Receiver<Decoded>) {
        while let Ok(decoded) = queue.recv() {
            self.check(vec![decoded], &self.rules.present());
        }
    }

    fn decode(&self, letters: Letters, limits: &Limits) -> Decoded {
        let from = letters.from;
        let mut messages = Vec::with_capacity(letters.messages.len());
        for bytes in letters.messages {
            match message::decode(&bytes, limits) {
                Ok(message) => messages.push((message, bytes.len())),
                Err(error) => self.intake.complain(from, &Complaint::Malformed(error)),
            }
        }
        let count = |(message, _): &(Message, usize)| message.signature_count();
        Decoded {
            from,
            signatures: messages.iter().map(count).sum(),
            messages,
        }
    }

    /// Checks and hands on, each peer's in order.
    fn check(&self, all: Vec<Decoded>, rules: &EpochRules) {
        let mut peers = Vec::with_capacity(all.len());
        let mut messages = Vec::new();
        for decoded in all {
            let (of_peer, lengths): (Vec<_>, Vec<_>) = decoded.messages.into_iter().unzip();
            messages.extend(of_peer);
            peers.push((decoded.from, lengths, decoded.signatures));
        }
        let mut verdicts = rules.verifier.verify_all(messages).into_iter();
        for (from, lengths, signatures) in peers {
            let mut cost = Cost::signatures(signatures);
            for (length, verdict) in lengths.into_iter().zip(verdicts.by_ref()) {
                match verdict {
                    Ok(message) => {
                        if !(self.sink)(from, message, length) {
                            self.intake.close();
                        }
                    }
                    Err(problem) => {
                        if is_bad_signature(problem) {
                            cost += Cost::bad_signature();
                        }
                        self.intake.complain(from, &Complaint::Refused(problem));
                    }
                }
            }
            self.intake.done(from, cost);
        }
    }
}

/// Whether the sender must have known better. A message of another epoch or
/// roster may be honest: nodes reach a new epoch one after the other.
fn is_bad_signature(problem: VerifyError) -> bool {
    matches!(
        problem,
        VerifyError::Event(EventProblem::Signature(_)) | VerifyError::BlockSignature(_)
    )
}
