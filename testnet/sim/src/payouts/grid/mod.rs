//! One reorganisation of a given depth, when the first payout has just come to a
//! given step; beside that nothing goes wrong.
//!
//! Until the blow blocks are found only where the step needs them, so that the
//! coins of the payout are exactly six deep when it is proposed.

mod steps;

use std::collections::BTreeSet;

use dctrl_effects::chain::Hash;
use dctrl_ledger::query;
use dctrl_proto::v1::{
    PaymentView, Payout, PayoutBump, PayoutCancel, PayoutLift, PayoutState, PayoutVersion,
};

use super::checks::places;
use super::copayers::newest;
use super::founding::Party;
use super::plan::Plan;
use super::planted::Planted;
use super::world::World;
use super::{PayoutReport, run};
use crate::grid::{Form, STRUCK, UNDONE};
pub(super) use steps::Course;
use steps::{At, Step};
pub(crate) use steps::{can_replace, grid_steps};

/// Payouts of one run: the one that is struck, and others around it.
const PAYOUTS: u64 = 3;
/// Confirmations from which a coin may be spent.
const COIN_DEPTH: u32 = 6;
/// Steps of the world in which a payout comes to its step, or never does.
const WAIT_STEPS_MAX: u64 = 1_200;

/// When the chain is reorganised, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blow {
    step: &'static Step,
    depth: u32,
    form: Form,
}

/// Plays one cell of the grid.
pub(crate) fn play_cell(name: &str, depth: u32, form: Form, seed: u64) -> PayoutReport {
    play(name, depth, form, seed, None)
}

/// What an error is found as that is planted into a cell.
#[must_use]
pub fn find_planted_in_cell(
    name: &str,
    depth: u32,
    form: Form,
    planted: Planted,
) -> Option<String> {
    let violations = play(name, depth, form, 0, Some(planted)).violations;
    violations.into_iter().next()
}

fn play(name: &str, depth: u32, form: Form, seed: u64, planted: Option<Planted>) -> PayoutReport {
    let Some(step) = steps::named(name) else {
        let what = format!("there is no step {name}");
        return PayoutReport::failed(seed, PAYOUTS, what);
    };
    let mut plan = Plan::calm(PAYOUTS);
    plan.planted = planted;
    plan.blow = Some(Blow { step, depth, form });
    run(plan, seed)
}

impl World {
    /// The blow that is still to come.
    fn blow(&self) -> Option<Blow> {
        self.plan.blow.filter(|_| !self.struck)
    }

    /// Whether the blow may still come.
    pub(super) fn waits_for_blow(&self) -> bool {
        self.blow().is_some() && self.step < WAIT_STEPS_MAX
    }

    /// What becomes of this payout until the blow, where it is the one that is
    /// struck.
    pub(super) fn course_of(&self, id: &str) -> Option<Course> {
        let course = self.blow()?.step.course;
        (self.target.as_deref() == Some(id)).then_some(course)
    }

    /// What is to become of the payout that is proposed next, where that is the
    /// one that is struck.
    pub(super) fn next_course(&self) -> Option<Course> {
        let course = self.blow()?.step.course;
        self.target.is_none().then_some(course)
    }

    /// The payout whose steps count: the first one, or its child.
    fn subject(&self, step: &Step) -> Option<Payout> {
        let target = self.target.as_ref()?;
        let id = if step.course == Course::Lift {
            let child = |payout: &&Payout| {
                let parent = payout.parent.as_ref();
                parent.is_some_and(|parent| parent.payout_id == *target)
            };
            &self.known.values().find(child)?.id
        } else {
            target
        };
        query::payout(self.replicas.state(), id).ok()
    }

    /// Whether no block is found now.
    pub(super) fn holds_blocks(&self) -> bool {
        let Some(blow) = self.blow() else {
            return false;
        };
        if self.target.is_none() {
            // The first coin is to be as young as can be.
            let deepest = self.people.deposits.iter();
            let deepest = deepest.filter_map(|txid| self.net.height_of(txid)).min();
            return deepest.is_some_and(|at| self.net.tip().height + 1 >= at + COIN_DEPTH);
        }
        if !blow.step.needs_blocks() {
            return true;
        }
        match blow.step.course {
            Course::Rob => !self.people.has_stolen,
            course => {
                let Some(payout) = self.subject(blow.step) else {
                    return true;
                };
                let version = match course {
                    Course::Overtake if payout.versions.len() > 1 => payout.versions.first(),
                    Course::Bump | Course::Cancel if payout.versions.len() > 1 => {
                        payout.versions.last()
                    }
                    Course::Pay | Course::Lift => payout.versions.last(),
                    _ => None,
                };
                !version.is_some_and(|version| self.comes_into_a_block(version))
            }
        }
    }

    fn comes_into_a_block(&self, version: &PayoutVersion) -> bool {
        let txid = Hash::from_slice(&version.txid).unwrap_or_default();
        let waits = self.net.pool(self.net.miners()).contains(&txid);
        waits || self.net.height_of(&txid).is_some()
    }

    /// What people do so that the payout comes to its step.
    pub(super) fn follow_course(&mut self) {
        let target = self.target.as_ref();
        let Some(payout) = target.and_then(|id| self.known.get(id)).cloned() else {
            return;
        };
        let Some(course) = self.course_of(&payout.id) else {
            return;
        };
        let payout_id = payout.id.clone();
        let waits = payout.state() == PayoutState::Broadcast && payout.versions.len() == 1;
        match course {
            Course::Bump | Course::Overtake if waits => {
                let fee_rate = newest(&payout).fee_rate * 2;
                self.say(
                    Party::Operator,
                    &PayoutBump {
                        payout_id,
                        fee_rate,
                    },
                );
            }
            Course::Lift if waits => {
                let fee_rate = 0;
                let lift = PayoutLift {
                    payout_id,
                    fee_rate,
                };
                self.say(Party::Operator, &lift);
            }
            Course::Cancel if waits => self.take_back(payout_id),
            Course::Withdraw if payout.state() == PayoutState::Proposed => {
                self.take_back(payout_id);
            }
            _ => {}
        }
    }

    fn take_back(&mut self, payout_id: String) {
        let reason = "wrong".to_owned();
        self.say(Party::Operator, &PayoutCancel { payout_id, reason });
    }

    /// Strikes, where the payout has just come to its step.
    pub(super) fn maybe_strike(&mut self) {
        let Some(blow) = self.blow() else { return };
        if self.target.is_none() {
            self.target = self.intents.keys().next().cloned();
        }
        let Some(payout) = self.subject(blow.step) else {
            return;
        };
        if self.is_at(&payout, blow.step) {
            self.strike(&blow, &payout);
        }
    }

    fn is_at(&self, payout: &Payout, step: &Step) -> bool {
        let made_again = matches!(
            step.course,
            Course::Bump | Course::Cancel | Course::Overtake
        );
        if made_again && payout.versions.len() < 2 {
            return false;
        }
        let version = newest(payout);
        let txid = Hash::from_slice(&version.txid).unwrap_or_default();
        let seen = payout.seen.clone().unwrap_or_default();
        let here = seen.txid == version.txid;
        let in_block = seen.view() == PaymentView::InBlock;
        let signed = !version.transaction.is_empty();
        let in_a_pool = || (0..=self.net.miners()).any(|at| self.net.pool(at).contains(&txid));
        match step.at {
            At::State(state) => payout.state() == state && !payout.settled,
            At::Ordered => !signed && version.signers.is_empty(),
            At::Complete => signed && !here,
            At::Sent => signed && payout.seen.is_none() && in_a_pool(),
            At::Waits => here && seen.view() == PaymentView::InMempool,
            At::Mined => self.net.height_of(&txid).is_some() && !in_block,
            At::Confirmed(deep) => {
                here && in_block && seen.confirmations == deep && !payout.settled
            }
            At::Overtaken => in_block && !here && seen.spends.is_empty() && !payout.settled,
            At::Settled(state) => payout.settled && payout.state() == state,
            At::Closed(state) => !payout.settled && payout.state() == state,
        }
    }

    /// The newest blocks are replaced by others, one more.
    fn strike(&mut self, blow: &Blow, payout: &Payout) {
        let lowest = self.net.tip().height.saturating_sub(blow.depth);
        let newer = |txid: Hash| self.net.height_of(&txid).is_some_and(|at| at > lowest);
        let versions = payout.versions.iter().map(|one| one.txid.as_slice());
        let spends = versions.chain([payout.settled_txid.as_slice()]);
        let stolen = self.people.thefts.iter().map(|txid| &txid.0[..]);
        let undone = spends.chain(stolen).filter_map(Hash::from_slice).any(newer);
        let taken_back = if blow.form == Form::Replaced {
            let Some(coin) = self.coin_to_take_back(blow.depth) else {
                return;
            };
            Some(coin)
        } else {
            None
        };
        let kept = self.settled_for_good();
        let lost = blow.form == Form::Lost;
        let forgotten = |txid: &Hash| Some(*txid) == taken_back || (lost && !kept.contains(txid));
        self.net.disconnect(blow.depth, &forgotten);
        if let Some(payment) = taken_back {
            self.replace_payment(&payment);
        }
        for _ in 0..=blow.depth {
            self.net.mine();
        }
        self.struck = true;
        self.hit(STRUCK);
        if undone {
            self.hit(UNDONE);
        }
    }

    /// A coin of the payout that is struck.
    fn coin_to_take_back(&self, depth: u32) -> Option<Hash> {
        let target = self.known.get(self.target.as_ref()?)?;
        let coins: BTreeSet<Hash> = target
            .versions
            .iter()
            .flat_map(places)
            .map(|(txid, _)| txid)
            .collect();
        let can_be = self.can_be_taken_back(depth);
        can_be.into_iter().find(|txid| coins.contains(txid))
    }

    /// What is settled is taken as final: what that rests on comes back.
    fn settled_for_good(&self) -> BTreeSet<Hash> {
        let settled = self.known.values().filter(|payout| payout.settled);
        let settled = settled.filter_map(|payout| Hash::from_slice(&payout.settled_txid));
        let mut open: Vec<Hash> = settled.collect();
        let mut kept: BTreeSet<Hash> = BTreeSet::new();
        while let Some(txid) = open.pop() {
            if let Some(tx) = self.net.tx(&txid)
                && kept.insert(txid)
            {
                open.extend(tx.slim.inputs.iter().map(|(parent, _)| *parent));
            }
        }
        kept
    }
}
