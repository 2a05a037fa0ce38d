//! Signatures of actions, checked once per node and together.
//!
//! A signature that holds holds for ever, so what was verified at admission or
//! when a peer's event came in is not verified again when the block is applied.
//! The cache holds facts, not opinions: it is asked with the hash of key,
//! message and signature, and only what held is in it. So it changes no verdict
//! and may be of any size on any node.
//!
//! What is not in it is checked in batches, large ones on all cores: a block's
//! actions, and those that are admitted together.
//!
//! Deliberately absent: any meaning of an action.

mod facts;
#[cfg(test)]
mod tests;

use std::{
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use dctrl_consensus::{
    Digest, PublicKey, Signature,
    crypto::{Check, PreparedKey, sha256, verify_batch},
};
use dctrl_ledger::{Claim, Signatures};

use facts::{Keys, Verified};

/// Signatures that are worth a thread of their own: a few milliseconds' work.
const PER_THREAD_MIN: usize = 256;

/// Threads for one block's signatures at most.
const THREADS_MAX: usize = 8;

/// The node's judge of signatures. Clones share what they know.
#[derive(Clone, Default)]
pub(crate) struct ActionSignatures(Arc<Shared>);

#[derive(Default)]
struct Shared {
    verified: Mutex<Verified>,
    keys: Mutex<Keys>,
}

/// A claim that is not known to hold.
struct Unknown {
    fact: Digest,
    /// `None` where the key is no key.
    check: Option<Check>,
}

impl Signatures for ActionSignatures {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        let facts: Vec<Digest> = claims.iter().map(fact).collect();
        let mut verdicts = self.known(&facts);
        let unknown: Vec<usize> = (0..claims.len()).filter(|at| !verdicts[*at]).collect();
        if unknown.is_empty() {
            return verdicts;
        }
        let found = self.judge(self.prepare(&unknown, claims, &facts));
        for (at, holds) in unknown.into_iter().zip(found) {
            verdicts[at] = holds;
        }
        verdicts
    }
}

impl ActionSignatures {
    fn known(&self, facts: &[Digest]) -> Vec<bool> {
        let verified = lock(&self.0.verified);
        facts.iter().map(|fact| verified.contains(fact)).collect()
    }

    fn prepare(&self, at: &[usize], claims: &[Claim<'_>], facts: &[Digest]) -> Vec<Unknown> {
        let keys: Vec<Option<PreparedKey>> = {
            let mut keys = lock(&self.0.keys);
            at.iter()
                .map(|at| keys.prepare(PublicKey(*claims[*at].key)))
                .collect()
        };
        let check = |(at, key): (&usize, Option<PreparedKey>)| {
            let claim = &claims[*at];
            let signature = Signature(*claim.signature);
            Unknown {
                fact: facts[*at],
                check: key.map(|key| Check::new(&key, &claim.message(), &signature)),
            }
        };
        at.iter().zip(keys).map(check).collect()
    }

    /// Judges these, and remembers those that hold.
    fn judge(&self, unknown: Vec<Unknown>) -> Vec<bool> {
        let (facts, checks): (Vec<_>, Vec<_>) =
            unknown.into_iter().map(|one| (one.fact, one.check)).unzip();
        let is_key: Vec<bool> = checks.iter().map(Option::is_some).collect();
        let checks: Vec<Check> = checks.into_iter().flatten().collect();
        let mut found = in_parallel(&checks).into_iter();
        let judged = is_key
            .into_iter()
            .map(|is| is && found.next() == Some(true));
        let verdicts: Vec<bool> = judged.collect();
        let mut verified = lock(&self.0.verified);
        for (fact, _) in facts
            .into_iter()
            .zip(&verdicts)
            .filter(|(_, holds)| **holds)
        {
            verified.insert(fact);
        }
        verdicts
    }
}

/// What is true for ever if the claim holds. Each part has a fixed length but
/// the last.
fn fact(claim: &Claim<'_>) -> Digest {
    let domain = b"dctrl/verified-action/1\0";
    sha256(domain, &[claim.key, claim.signature, claim.body])
}

/// [`verify_batch`] on as many cores as the work is worth.
fn in_parallel(checks: &[Check]) -> Vec<bool> {
    let worth = checks.len() / PER_THREAD_MIN;
    if worth <= 1 {
        return verify_batch(checks);
    }
    // Asked only for much work: the answer reads files.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = worth.min(cores).min(THREADS_MAX);
    thread::scope(|scope| {
        let parts: Vec<_> = checks
            .chunks(checks.len().div_ceil(threads))
            .map(|part| (part, scope.spawn(|| verify_batch(part))))
            .collect();
        parts
            .into_iter()
            // A thread that failed says nothing about the signatures.
            .flat_map(|(part, verdicts)| verdicts.join().unwrap_or_else(|_| verify_batch(part)))
            .collect()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these hold is whole after every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
