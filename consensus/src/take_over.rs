//! Taking over the state of a seal: when, of whom, and what is believed.
//!
//! In order: ask all members which seals they keep (`poll`); take the latest
//! one that more members name alike than may lie, with the digest of its
//! manifest; fetch roster steps until its certificate can be checked (`plan`);
//! fetch the manifest; fetch the chunks of all who vouched (`loading`); let the
//! driver check the whole against the certified digest.
//!
//! Invariants
//! - Whoever is asked is asked one thing at a time, and what nobody asked for
//!   costs nothing: one answer a question.
//! - An answer that does not hold names its sender, who is not asked again
//!   before all others have failed too. f liars cost f answers each.
//! - Nothing is believed for good but what a quorum of the roster of its time
//!   has signed, beginning with the roster that this node trusts: that of its
//!   epoch, of which f members may lie. Members that only vouch for a wrong
//!   manifest cost one attempt, since the state's digest is certified.
//! - Memory: a certificate and a chunk of each member, the manifest, and the
//!   roster steps. Disk: one state.
//!
//! A restart forgets the plan, not the chunks: the driver has them, and the
//! next attempt asks for the rest.
//!
//! Deliberately absent: the state's meaning, and the disk.

mod loading;
mod plan;
mod poll;

use std::collections::BTreeSet;

use self::plan::Plan;
use self::poll::Poll;
use crate::certificate::{BlockHeader, Certificate, RosterStep};
use crate::crypto::Scheme;
use crate::id::{ClusterId, Digest, PublicKey, Timestamp};
use crate::install::{Install, InstallProgress};
use crate::limits::{Limits, Pace};
use crate::roster::Roster;
use crate::snapshot::{StateAnswer, StateProblem, StateQuestion};

/// Doublings of [`Pace::request_retry`] until an answer of a few kilobytes is
/// not waited for any more: a second.
const ANSWER_PATIENCE: u32 = 4;
/// Doublings of [`Pace::request_retry`] until a chunk is not waited for any
/// more: four seconds, and twice that after each one that did not come.
const CHUNK_PATIENCE: u32 = 6;
/// Further doublings at most: the slowest link that brings a chunk has 13 kB/s.
const CHUNK_MISSES_MAX: u32 = 4;

/// Where this node stands, and by which rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) cluster: &'a ClusterId,
    pub(crate) scheme: Scheme,
    /// The roster that it trusts.
    pub(crate) roster: &'a Roster,
    /// The block behind which that roster answers.
    pub(crate) after: u64,
    pub(crate) key: &'a PublicKey,
    /// The last block that it has, or is about to have.
    pub(crate) floor: u64,
    pub(crate) now: Timestamp,
    pub(crate) pace: &'a Pace,
    pub(crate) limits: &'a Limits,
}

impl Ground<'_> {
    fn later(&self, doublings: u32) -> Timestamp {
        self.now.after(self.pace.request_retry << doublings)
    }
}

/// A state that is checked and can become the present one.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) manifest: Digest,
    pub(crate) certificate: Certificate,
    pub(crate) steps: Vec<RosterStep>,
    /// The members behind the seal.
    pub(crate) roster: Roster,
}

/// What to ask now, and when to look again.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) questions: Vec<(PublicKey, StateQuestion)>,
    pub(crate) again_at: Option<Timestamp>,
}

impl Due {
    fn at(again_at: Option<Timestamp>) -> Self {
        Self {
            questions: Vec::new(),
            again_at,
        }
    }
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Asking(Poll),
    Running(Box<Plan>),
}

/// The take-over on its way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct TakeOver {
    phase: Phase,
    /// When to ask who keeps what.
    look_at: Option<Timestamp>,
    /// A seal must be so many blocks ahead to be worth it.
    gap: u64,
    /// Nobody is asked again before.
    rest_until: Timestamp,
    /// Members of whom an answer did not hold.
    liars: BTreeSet<PublicKey>,
    looked: bool,
    /// Whose answers did not hold, and why, since that was last asked.
    blamed: Vec<(PublicKey, StateProblem)>,
}

impl TakeOver {
    /// This node is behind: take over a seal that is more than `gap` blocks
    /// ahead, if there is one.
    pub(crate) fn look(&mut self, gap: u64, now: Timestamp) {
        self.looked = true;
        if !matches!(self.phase, Phase::Idle) {
            return;
        }
        self.gap = self.look_at.map_or(gap, |_| self.gap.min(gap));
        self.look_at.get_or_insert(now.max(self.rest_until));
    }

    /// Whether this node has looked since it was started.
    pub(crate) fn has_looked(&self) -> bool {
        self.looked
    }

    /// Whether the driver is at work, so that no block must be fetched.
    pub(crate) fn installs(&self) -> bool {
        matches!(&self.phase, Phase::Running(plan) if plan.installs())
    }

    /// What to ask now, and when to look again.
    pub(crate) fn due(&mut self, ground: Ground<'_>) -> Due {
        if let Phase::Running(plan) = &self.phase
            && ground.floor >= plan.header().index
        {
            self.end(ground);
        }
        if matches!(self.phase, Phase::Idle) && self.look_at.is_some_and(|at| at <= ground.now) {
            return self.begin(ground);
        }
        if let Phase::Asking(poll) = &self.phase
            && poll.is_over(ground.now)
        {
            self.choose(ground);
        }
        match &mut self.phase {
            Phase::Idle => Due::at(self.look_at),
            Phase::Asking(poll) => Due::at(Some(poll.until())),
            Phase::Running(plan) => plan.due(ground).unwrap_or_else(|| {
                self.end(ground);
                Due::default()
            }),
        }
    }

    fn begin(&mut self, ground: Ground<'_>) -> Due {
        self.look_at = None;
        let others = ground.roster.members.iter().map(|member| member.key);
        let others: BTreeSet<_> = others.filter(|key| key != ground.key).collect();
        self.liars.retain(|liar| others.contains(liar));
        if others.len() - self.liars.len() < needed(ground.roster) {
            // Whom is there to ask but those?
            self.liars.clear();
        }
        let asked: BTreeSet<_> = others.difference(&self.liars).copied().collect();
        let ask = |&peer: &PublicKey| (peer, StateQuestion::Offers);
        let questions = asked.iter().map(ask).collect();
        let poll = Poll::new(asked, ground.later(ANSWER_PATIENCE));
        let until = poll.until();
        self.phase = Phase::Asking(poll);
        Due {
            questions,
            again_at: Some(until),
        }
    }

    /// All have answered, or had their time.
    fn choose(&mut self, ground: Ground<'_>) {
        let Phase::Asking(poll) = &mut self.phase else {
            return;
        };
        match poll.choose(ground, self.gap) {
            Some(plan) => {
                self.phase = Phase::Running(Box::new(plan));
                self.prove(ground);
            }
            None => self.end(ground),
        }
    }

    /// Checks the certificate if the roster that signed it is known by now.
    fn prove(&mut self, ground: Ground<'_>) {
        let Phase::Running(plan) = &mut self.phase else {
            return;
        };
        let liars = plan.prove(ground);
        let deserted = plan.is_deserted();
        self.blame(&liars, StateProblem::Certificate);
        if deserted {
            self.end(ground);
        }
    }

    fn blame(&mut self, liars: &[PublicKey], problem: StateProblem) {
        self.liars.extend(liars);
        self.blamed
            .extend(liars.iter().map(|liar| (*liar, problem)));
    }

    /// Whose answers did not hold, and why.
    pub(crate) fn take_blamed(&mut self) -> Vec<(PublicKey, StateProblem)> {
        std::mem::take(&mut self.blamed)
    }

    /// Nothing comes of it: this node asks again when it still is behind.
    fn end(&mut self, ground: Ground<'_>) {
        self.phase = Phase::Idle;
        self.look_at = None;
        self.rest_until = ground.later(ANSWER_PATIENCE);
    }

    /// Takes a member's answer.
    pub(crate) fn answer(
        &mut self,
        from: &PublicKey,
        answer: StateAnswer,
        ground: Ground<'_>,
    ) -> Option<Install> {
        let taken = match (&mut self.phase, answer) {
            (Phase::Asking(poll), StateAnswer::Offers(offers)) => {
                poll.take(from, offers);
                return None;
            }
            (Phase::Idle | Phase::Asking(_), _) => return None,
            (Phase::Running(plan), answer) => plan.answer(from, answer, ground),
        };
        match taken {
            Ok(next) => {
                self.prove(ground);
                next
            }
            Err(problem) => {
                self.blame(&[*from], problem);
                self.desert(from, ground);
                None
            }
        }
    }

    fn desert(&mut self, peer: &PublicKey, ground: Ground<'_>) {
        if let Phase::Running(plan) = &mut self.phase {
            plan.desert(peer);
            if plan.is_deserted() {
                self.end(ground);
            }
        }
    }

    /// Takes what the driver says.
    pub(crate) fn progress(
        &mut self,
        manifest: &Digest,
        progress: &InstallProgress,
        ground: Ground<'_>,
    ) -> Option<Install> {
        let Phase::Running(plan) = &mut self.phase else {
            return None;
        };
        if plan.manifest() != manifest {
            return None;
        }
        if plan.progress(progress) {
            return plan.next_move();
        }
        let vouched = plan.vouchers();
        self.blame(&vouched, StateProblem::State);
        self.end(ground);
        None
    }

    /// The header of the state that is checked, if there is one.
    pub(crate) fn ready(&self) -> Option<&BlockHeader> {
        match &self.phase {
            Phase::Running(plan) if plan.is_checked() => Some(plan.header()),
            _ => None,
        }
    }

    /// Takes it out; then nothing is on its way.
    pub(crate) fn take(&mut self) -> Option<Proven> {
        match std::mem::take(&mut self.phase) {
            Phase::Running(plan) => plan.into_proven(),
            Phase::Idle | Phase::Asking(_) => None,
        }
    }
}

/// So many members that one of them is honest.
fn needed(roster: &Roster) -> usize {
    roster.fault_bound() + 1
}
