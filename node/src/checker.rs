//! Peers' messages: decoded and their signatures checked before the core.
//!
//! What is short is checked on the pipeline's own thread, in one batch of all
//! that has come: a change of threads costs more than a few signatures. What
//! is long, or much, goes to a pool of threads, where batches are checked
//! beside the pipeline's work. Messages with very many signatures go to a
//! thread of their own there, so that they never stand in the way of others.
//! Cheap checks come first: length, form, digests, epoch and roster, then what
//! was verified before.
//!
//! Deliberately absent: the core. What it would do with a message is not known
//! here.

mod pool;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use dctrl_consensus::{
    EpochStart, Limits, PublicKey, Verifier,
    event::EventProblem,
    message::{self, Message, VerifiedMessage, VerifyError},
};

use self::pool::Pool;
use crate::{
    frame,
    inbox::{Complaint, Cost, Inbox, Letters, Taken},
    pipeline::Meter,
};

/// Signatures that are checked on the pipeline's thread at once: half a
/// millisecond's work. It makes an event and takes one of each peer in a
/// layer, so that a small federation stays below.
const HERE_SIGNATURES_MAX: usize = 24;

/// Bytes that are decoded on the pipeline's thread at once: hashing them takes
/// some fifty microseconds.
const HERE_BYTES_MAX: usize = 64 << 10;

/// How often in one turn the inbox is asked: bounds the turn.
const TAKES_PER_TURN_MAX: usize = 16;

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

/// One peer's letters, decoded.
struct Decoded {
    from: PublicKey,
    /// Each with its length.
    messages: Vec<(Message, usize)>,
    signatures: usize,
}

/// What each thread needs to check.
#[derive(Clone)]
struct Desk {
    inbox: Inbox,
    rules: Rules,
    took: Arc<Meter>,
}

/// Checks what is in an inbox.
pub(crate) struct Checker {
    desk: Desk,
    pool: Pool,
}

/// What a turn of the pipeline's thread left in the inbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Much: come back at once.
    More,
    /// Nothing for so long, unless something comes.
    NothingFor(Option<Duration>),
}

impl Checker {
    /// With a pool of `threads` threads, 0 for as many as there are cores. They
    /// hand what they checked to `sink`, and call `wake` when more of a peer
    /// may be taken; `took` notes how long each batch takes.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub(crate) fn start(
        inbox: Inbox,
        rules: Rules,
        took: Arc<Meter>,
        threads: usize,
        sink: impl Sink + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let desk = Desk { inbox, rules, took };
        let pool = Pool::start(&desk, threads, sink, wake)?;
        Ok(Self { desk, pool })
    }

    /// Where peers' messages are put.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.desk.inbox
    }

    /// Takes what waits: checks what is short and hands it to `sink`, and gives
    /// the rest to the pool. With `gathers`, what one peer sent may wait a
    /// moment for what others send.
    pub(crate) fn take(
        &self,
        gathers: bool,
        sink: &mut dyn FnMut(PublicKey, VerifiedMessage, usize),
    ) -> Left {
        if gathers && let Some(patience) = self.desk.inbox.gathers() {
            return Left::NothingFor(Some(patience));
        }
        for _ in 0..TAKES_PER_TURN_MAX {
            match self.desk.inbox.take() {
                Taken::Some(letters) => self.check(letters, sink),
                Taken::NothingFor(patience) => return Left::NothingFor(patience),
            }
        }
        Left::More
    }

    fn check(
        &self,
        letters: Vec<Letters>,
        sink: &mut dyn FnMut(PublicKey, VerifiedMessage, usize),
    ) {
        let bytes = |of: &Letters| of.messages.iter().map(Vec::len).sum::<usize>();
        if letters.iter().map(bytes).sum::<usize>() > HERE_BYTES_MAX {
            return self.pool.take(letters);
        }
        let rules = self.desk.rules.present();
        let decoded = letters.into_iter();
        let decoded: Vec<Decoded> = decoded
            .map(|of| self.desk.decode(of, &rules.limits))
            .collect();
        let signatures: usize = decoded.iter().map(|of| of.signatures).sum();
        if signatures > HERE_SIGNATURES_MAX {
            return self.pool.take_decoded(decoded);
        }
        let mut take = |from, message, bytes| {
            sink(from, message, bytes);
            true
        };
        self.desk.check(decoded, &rules, &mut take);
    }
}

impl Desk {
    fn decode(&self, letters: Letters, limits: &Limits) -> Decoded {
        let from = letters.from;
        let mut messages = Vec::with_capacity(letters.messages.len());
        for bytes in letters.messages {
            let decoded = frame::split(&bytes).and_then(|parts| {
                let decoded = parts.into_iter();
                let decoded = decoded.map(|part| Ok((message::decode(part, limits)?, part.len())));
                decoded.collect::<Result<Vec<_>, _>>()
            });
            match decoded {
                Ok(decoded) => messages.extend(decoded),
                Err(error) => self.inbox.complain(from, &Complaint::Malformed(error)),
            }
        }
        let count = |(message, _): &(Message, usize)| message.signature_count();
        Decoded {
            from,
            signatures: messages.iter().map(count).sum(),
            messages,
        }
    }

    /// Checks and hands on, each peer's in order; true where more of one of
    /// the peers waits in the inbox.
    fn check(
        &self,
        all: Vec<Decoded>,
        rules: &EpochRules,
        sink: &mut dyn FnMut(PublicKey, VerifiedMessage, usize) -> bool,
    ) -> bool {
        let mut peers = Vec::with_capacity(all.len());
        let mut messages = Vec::new();
        for decoded in all {
            let (of_peer, lengths): (Vec<_>, Vec<_>) = decoded.messages.into_iter().unzip();
            messages.extend(of_peer);
            peers.push((decoded.from, lengths, decoded.signatures));
        }
        let begun = Instant::now();
        let mut verdicts = rules.verifier.verify_all(messages).into_iter();
        if peers.iter().any(|(_, _, signatures)| *signatures > 0) {
            self.took.note(begun.elapsed());
        }
        let mut more = false;
        for (from, lengths, signatures) in peers {
            let mut cost = Cost::signatures(signatures);
            for (length, verdict) in lengths.into_iter().zip(verdicts.by_ref()) {
                match verdict {
                    Ok(message) => {
                        if !sink(from, message, length) {
                            return false;
                        }
                    }
                    Err(problem) => {
                        if is_bad_signature(problem) {
                            cost += Cost::bad_signature();
                        }
                        self.inbox.complain(from, &Complaint::Refused(problem));
                    }
                }
            }
            more |= self.inbox.done(from, cost);
        }
        more
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
