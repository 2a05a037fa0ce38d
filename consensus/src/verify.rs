//! Checking peers' messages, many at once.
//!
//! What costs nothing comes first: epoch and roster. Then all
//! signatures of all messages go into one batch. Where it does not hold, it is
//! halved by message until the bad ones stand alone, so that nobody's message
//! falls with another's, and every message gets the verdict that
//! [`Message::verify`] gives it alone.
//!
//! An event that was verified here before is not verified again. The id of an
//! event does not cover its signature, so that both must be as they were: a
//! known event under another signature is checked like a new one, and a bad
//! signature is never relayed in the good one's name.
//!
//! Deliberately absent: threads, and any judgement about who sent a message. A
//! driver calls this from as many threads as it likes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::certificate::signing_bytes;
use crate::crypto::{Check, PreparedKey, all_hold, verify_batch};
use crate::event::{Event, EventProblem, header_check};
use crate::id::{Digest, NodeIndex, Signature};
use crate::interface::EpochStart;
use crate::message::{Message, VerifiedMessage, VerifyError, check_event, check_signature};

/// Verified events remembered: more than all nodes make while a message
/// travels, and a few megabytes.
const REMEMBERED_MAX: usize = 16_384;

/// Checks messages by the roster of one epoch.
#[derive(Debug)]
pub struct Verifier {
    epoch: EpochStart,
    /// By node index; `None` where the roster's key is no point.
    keys: Vec<Option<PreparedKey>>,
    verified: Mutex<Verified>,
}

/// Events whose signature held, the oldest first out.
#[derive(Debug, Default)]
struct Verified {
    signatures: BTreeMap<Digest, Signature>,
    order: VecDeque<Digest>,
}

/// One signature of a message, and what its failure means.
struct Claim {
    check: Check,
    problem: VerifyError,
}

/// What is left to check of a message whose cheap checks passed.
struct Claims {
    message: Message,
    /// Where its signatures are among those of all messages.
    place: Range<usize>,
}

impl Verifier {
    /// Computes the keys' points, once for all messages of the epoch.
    #[must_use]
    pub fn new(epoch: EpochStart) -> Self {
        let roster = &epoch.roster;
        let prepare = |node| roster.key(node).and_then(PreparedKey::new);
        let keys = roster.indices().map(prepare).collect();
        Self {
            epoch,
            keys,
            verified: Mutex::default(),
        }
    }

    /// The verdict on each message, in order.
    pub fn verify_all(&self, messages: Vec<Message>) -> Vec<Result<VerifiedMessage, VerifyError>> {
        let mut claims = Vec::new();
        let read: Vec<Result<Claims, VerifyError>> = messages
            .into_iter()
            .map(|message| {
                let begin = claims.len();
                match self.collect(&message, &mut claims) {
                    Ok(()) => Ok(Claims {
                        message,
                        place: begin..claims.len(),
                    }),
                    Err(problem) => {
                        claims.truncate(begin);
                        Err(problem)
                    }
                }
            })
            .collect();
        let (checks, problems): (Vec<_>, Vec<_>) = claims
            .into_iter()
            .map(|claim| (claim.check, claim.problem))
            .unzip();
        let places: Vec<Range<usize>> = read
            .iter()
            .flatten()
            .map(|claims| claims.place.clone())
            .collect();
        let mut verdicts = Vec::with_capacity(places.len());
        judge(&checks, &places, &mut verdicts);
        let mut verdicts = verdicts.into_iter();
        read.into_iter()
            .map(|read| {
                let claims = read?;
                match verdicts.next().flatten() {
                    Some(bad) => Err(problems[bad]),
                    None => Ok(self.pass(claims.message)),
                }
            })
            .collect()
    }

    /// The cheap checks, and the signatures that are left to check.
    fn collect(&self, message: &Message, claims: &mut Vec<Claim>) -> Result<(), VerifyError> {
        message.check_nodes(&self.epoch)?;
        match message {
            Message::Events(events) => self.collect_events(events, claims)?,
            Message::Signatures(signatures) => {
                for signed in signatures {
                    let problem = check_signature(signed, &self.epoch)?;
                    let key = self.key(signed.signer).ok_or(VerifyError::Roster)?;
                    let bytes = signing_bytes(&signed.header);
                    let check = Check::new(key, &[&bytes], &signed.signature);
                    claims.push(Claim { check, problem });
                }
            }
            Message::Evidence(proof) if proof.epoch() == self.epoch.epoch => {
                for (header, signed) in proof.headers()? {
                    header.check(&self.epoch.roster)?;
                    let problem = EventProblem::Signature(header.creator).into();
                    claims.push(self.event_claim(header.creator, &signed, problem)?);
                }
            }
            Message::Evidence(_) => return Err(VerifyError::OtherEpoch),
            Message::Known(_)
            | Message::Request(_)
            | Message::BlockRequest(_)
            | Message::Blocks(_)
            | Message::Entrusted(_)
            | Message::BlocksGone(_)
            | Message::StateRequest(_)
            | Message::State(_) => {}
        }
        Ok(())
    }

    fn collect_events(&self, events: &[Event], claims: &mut Vec<Claim>) -> Result<(), VerifyError> {
        // A stranger among them is found before the first costs anything.
        let mut problems = Vec::with_capacity(events.len());
        for event in events {
            problems.push(check_event(event, &self.epoch)?);
        }
        let new: Vec<bool> = {
            let verified = self.verified();
            let known = |event: &Event| !verified.holds(event);
            events.iter().map(known).collect()
        };
        for ((event, problem), _) in events.iter().zip(problems).zip(new).filter(|(_, new)| *new) {
            let creator = event.header().creator;
            claims.push(self.event_claim(creator, event.signed_bytes(), problem)?);
        }
        Ok(())
    }

    fn event_claim(
        &self,
        creator: NodeIndex,
        signed: &[u8],
        problem: VerifyError,
    ) -> Result<Claim, VerifyError> {
        let key = self.key(creator).ok_or(EventProblem::Stranger(creator))?;
        let check = header_check(key, signed);
        Ok(Claim { check, problem })
    }

    fn key(&self, node: NodeIndex) -> Option<&PreparedKey> {
        self.keys.get(node.position())?.as_ref()
    }

    fn pass(&self, message: Message) -> VerifiedMessage {
        if let Message::Events(events) = &message {
            let mut verified = self.verified();
            events.iter().for_each(|event| verified.keep(event));
        }
        VerifiedMessage(message)
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        // The set is whole after every step, so a panic elsewhere is no harm.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verified {
    fn holds(&self, event: &Event) -> bool {
        self.signatures.get(&event.id()) == Some(&event.signature())
    }

    fn keep(&mut self, event: &Event) {
        if self
            .signatures
            .insert(event.id(), event.signature())
            .is_some()
        {
            return;
        }
        self.order.push_back(event.id());
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.signatures.remove(&oldest);
        }
    }
}

/// For each place, the first check in it that does not hold. Halves what does
/// not hold as a whole; no deeper than the logarithm of the messages.
fn judge(checks: &[Check], places: &[Range<usize>], verdicts: &mut Vec<Option<usize>>) {
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return;
    };
    let all = &checks[first.start..last.end];
    if all_hold(all) {
        verdicts.extend(places.iter().map(|_| None));
    } else if places.len() == 1 {
        let bad = verify_batch(all).iter().position(|holds| !holds);
        verdicts.push(bad.map(|at| first.start + at));
    } else {
        let (one, other) = places.split_at(places.len() / 2);
        judge(checks, one, verdicts);
        judge(checks, other, verdicts);
    }
}

#[cfg(test)]
mod tests;
