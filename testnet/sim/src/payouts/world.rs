//! One run: what there is, how time passes, and how blocks are ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dctrl_effects::chain::sight::Subject;
use dctrl_effects::chain::{Hash, Tip};
use dctrl_ledger::query;
use dctrl_proto::action::{Payload, action_id};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BusBody, Payout, PayoutKind, Receipt, SignedAction, TimeTick};
use prost::Message;

use super::copayers::{Intent, People, newest};
use super::founding::{Founding, Party, START_MS};
use super::net::Net;
use super::plan::Plan;
use super::planted::{self, Planted};
use super::refunds::Asked;
use super::replicas::Replicas;
use super::watchers::Watcher;
use crate::copayer_keys::Keys;
use crate::prng::Prng;
use crate::trace::Trace;

/// Blocks before the first deposit, so that a chain can be reorganised deeply.
const BLOCKS_BEFORE: u32 = 130;
/// Confirmations from which the ledger takes a payout as settled.
const SETTLED_DEPTH: u32 = 6;
/// Findings that are kept of a run.
const VIOLATIONS_MAX: usize = 8;

/// What is to become of an action that somebody has handed in.
pub(super) enum Sent {
    /// Nobody asks.
    Anything,
    /// It makes a payout.
    Proposal(Intent),
    /// It makes a refund.
    Refund(Asked),
    /// It must be refused; what it tried.
    Attack(&'static str),
    /// A notifier of this seat says what it sees, and is told of a refusal.
    Observation(usize, Subject),
}

/// One run.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) keys: Rc<Keys>,
    pub(super) founding: Founding,
    pub(super) replicas: Replicas,
    pub(super) net: Net,
    pub(super) watchers: Vec<Watcher>,
    pub(super) chance: Prng,
    pub(super) now_ms: u64,
    /// Faults happen, and people err.
    pub(super) storm: bool,
    pub(super) step: u64,
    pub(super) blocks: u64,
    pub(super) actions: u64,
    pub(super) frames: Vec<Rc<BusBody>>,
    /// Payouts as the bus told them last.
    pub(super) known: BTreeMap<String, Payout>,
    /// What people wanted, by the payout that was made of it.
    pub(super) intents: BTreeMap<String, Intent>,
    queue: Vec<(Party, SignedAction)>,
    sent: BTreeMap<[u8; 32], Sent>,
    pub(super) people: People,
    /// The payout that the plan's blow is about, and whether that has come.
    pub(super) target: Option<String>,
    pub(super) struck: bool,
    /// The newest block that was looked at, and the spends in all of them.
    pub(super) checked: Option<Tip>,
    pub(super) checked_spends: BTreeSet<Hash>,
    pub(super) violations: Vec<String>,
    pub(super) seen: BTreeMap<String, u64>,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(plan: Plan, seed: u64, keys: Rc<Keys>) -> Result<Self, String> {
        let founding = Founding::of(&plan, &keys);
        let mut net = Net::new(plan.nodes, BLOCKS_BEFORE);
        net.double_spends = plan.planted == Some(Planted::PayTwice);
        Ok(Self {
            replicas: Replicas::new(&founding.genesis, plan.planted)?,
            watchers: (0..plan.nodes).map(Watcher::new).collect(),
            founding,
            net,
            keys,
            chance: Prng::new(seed),
            now_ms: START_MS,
            storm: plan.reorg_max > 0,
            step: 0,
            blocks: 0,
            actions: 0,
            frames: Vec::new(),
            known: BTreeMap::new(),
            intents: BTreeMap::new(),
            queue: Vec::new(),
            sent: BTreeMap::new(),
            people: People::default(),
            target: None,
            struck: false,
            checked: None,
            checked_spends: BTreeSet::new(),
            violations: Vec::new(),
            seen: BTreeMap::new(),
            trace: Trace::default(),
            plan,
        })
    }

    pub(super) fn hit(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn violation(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            let step = self.step;
            self.violations.push(format!("step {step}: {what}"));
        }
    }

    /// Hands in an action.
    pub(super) fn say<P: Payload>(&mut self, party: Party, payload: &P) {
        self.send(party, payload, Sent::Anything);
    }

    pub(super) fn send<P: Payload>(&mut self, party: Party, payload: &P, sent: Sent) {
        let action = self.founding.action(party, self.now_ms, payload);
        if !matches!(sent, Sent::Anything) {
            self.sent.insert(action_id(&action), sent);
        }
        self.actions += 1;
        self.queue.push((party, action));
    }

    /// One of the payouts that are not over.
    pub(super) fn some_open(&mut self) -> Option<String> {
        let open: Vec<&String> = self
            .known
            .iter()
            .filter(|(_, payout)| !super::checks::is_over(payout))
            .map(|(id, _)| id)
            .collect();
        let at = usize::try_from(self.chance.below(open.len() as u64)).unwrap_or(0);
        open.get(at).map(|id| (*id).clone())
    }

    /// What was handed in is ordered: by parties in any order, each party's
    /// own in theirs.
    pub(super) fn order(&mut self) {
        let due = query::next_deadline_ms(self.replicas.state());
        if due.is_some_and(|due| due <= self.now_ms) {
            self.say(Party::Node(0), &TimeTick {});
        }
        if self.queue.is_empty() {
            return;
        }
        let mut ranks: BTreeMap<Party, u64> = BTreeMap::new();
        for (party, _) in &self.queue {
            let rank = self.chance.bits();
            ranks.entry(*party).or_insert(rank);
        }
        let mut queue = std::mem::take(&mut self.queue);
        queue.sort_by_key(|(party, _)| ranks[party]);
        let actions = queue.iter().map(|(_, action)| action.encode_to_vec());
        let applied = self.replicas.lead(self.now_ms, actions.collect());
        self.blocks += 1;
        self.trace.note(&[self.step], &applied.state_digest);
        for receipt in &applied.receipts {
            self.answered(receipt);
        }
        for bytes in &applied.outputs {
            match BusBody::decode(bytes.as_slice()) {
                Ok(body) => self.told(body),
                Err(error) => self.violation(format!("a frame cannot be read: {error}")),
            }
        }
        let found = self.replicas.follow(&mut self.chance);
        found.into_iter().for_each(|what| self.violation(what));
    }

    fn answered(&mut self, receipt: &Receipt) {
        let Ok(id) = <[u8; 32]>::try_from(receipt.action_id.as_slice()) else {
            return self.violation("a receipt names no action".to_owned());
        };
        if let Some(refusal) = &receipt.refusal {
            self.hit(&format!("refused {} {}", receipt.name, refusal.rule));
        }
        match (self.sent.remove(&id), &receipt.refusal) {
            (Some(Sent::Proposal(intent)), None) => {
                self.intents.insert(receipt.subject.clone(), intent);
            }
            (Some(Sent::Refund(asked)), None) => {
                self.hit("refund_asked");
                self.people.refunds.insert(receipt.subject.clone(), asked);
            }
            (Some(Sent::Observation(seat, subject)), Some(_)) => {
                self.hit("observation_refused");
                self.watchers[seat].sight.refused(&subject);
            }
            (Some(Sent::Attack(what)), None) => {
                self.violation(format!("{what} was taken"));
            }
            (Some(Sent::Attack(what)), Some(refusal)) if refusal.rule.starts_with("psbt.") => {
                self.hit(what);
            }
            _ => {}
        }
    }

    fn told(&mut self, body: BusBody) {
        let body = Rc::new(body);
        self.frames.push(Rc::clone(&body));
        match &body.event {
            Some(Event::Payout(changed)) => {
                let mut payout = changed.payout.clone().unwrap_or_default();
                if let Some(planted) = self.plan.planted {
                    planted::spoil_told(planted, &mut payout);
                }
                self.check_refunds(&payout);
                self.check_told(&payout);
                let before = self.known.insert(payout.id.clone(), payout.clone());
                self.note_undone(before.as_ref(), &payout);
                if before.map(|one| one.state()) != Some(payout.state()) {
                    let what = match newest(&payout).kind() {
                        PayoutKind::Child => "child",
                        PayoutKind::Consolidation => "consolidation",
                        _ => "state",
                    };
                    self.hit(&format!("{what} {}", payout.state().as_str_name()));
                }
            }
            Some(Event::TopUp(issued)) => {
                let address = issued.top_up.as_ref().map(|one| one.address.clone());
                self.people.addresses.extend(address);
            }
            _ => {}
        }
    }

    /// Time passes, and all that may happen does.
    pub(super) fn step(&mut self) {
        self.step += 1;
        self.now_ms += self.chance.between(1_000, 11_000);
        self.know_addresses();
        self.nature();
        self.maybe_strike();
        self.people();
        self.watch();
        self.maybe_strike();
        if self.storm {
            self.lie_about_payouts();
        }
        self.order();
        self.maybe_strike();
        self.check_chain();
    }

    /// The network knows which addresses are the wallet's.
    fn know_addresses(&mut self) {
        let payments = query::meta(self.replicas.state()).next_address_index;
        let change = u32::try_from(self.known.len()).unwrap_or(u32::MAX) + 1;
        self.net.know(&self.keys, payments, change);
    }

    /// Blocks, mempools, backends.
    fn nature(&mut self) {
        let miners = self.net.miners();
        for from in 0..=miners {
            for to in 0..=miners {
                let often = if self.storm { 300 } else { 700 };
                if from != to && !self.net.pool(from).is_empty() && self.chance.chance(often) {
                    self.net.relay(from, to);
                }
            }
        }
        if !self.storm {
            if self.chance.chance(250) && !self.holds_blocks() {
                self.net.mine();
            }
            return;
        }
        self.trouble_backends();
        self.forget_something();
        if self.chance.chance(170) {
            self.net.mine();
        }
        if self.chance.chance(12) {
            self.reorganise();
        }
        if self.chance.chance(4) {
            self.hit("ledger_rebuilt");
            if let Err(what) = self.replicas.rebuild() {
                self.violation(what);
            }
        }
    }

    /// A mempool loses a transaction.
    fn forget_something(&mut self) {
        let at = usize::try_from(self.chance.below(self.net.miners() as u64 + 1)).unwrap_or(0);
        let first = self.net.pool(at).first().copied();
        if let Some(txid) = first.filter(|_| self.chance.chance(40)) {
            self.hit("evicted");
            self.net.evict(at, txid);
        }
    }

    /// The newest blocks are replaced by others, one more.
    fn reorganise(&mut self) {
        let most = u64::from(self.plan.reorg_max);
        let depth = if self.chance.chance(600) {
            self.chance.between(1, most.min(3))
        } else {
            self.chance.between(1, most)
        };
        let depth = u32::try_from(depth).unwrap_or(1);
        // What is settled is taken as final: where more than that is undone and
        // something else is mined in its place, people must look.
        let settled = depth >= SETTLED_DEPTH;
        let forgets = !settled && self.chance.chance(400);
        let salt = u8::try_from(self.chance.below(256)).unwrap_or(0);
        let taken_back = if settled {
            self.take_back_something(depth)
        } else {
            None
        };
        let forgotten =
            |txid: &Hash| Some(*txid) == taken_back || (forgets && (txid.0[0] ^ salt) < 100);
        self.net.disconnect(depth, &forgotten);
        if let Some(payment) = taken_back {
            self.replace_payment(&payment);
        }
        self.hit("reorganised");
        if settled {
            self.hit("reorganised_deeply");
        } else if self.chance.chance(500) {
            self.leak_something();
        }
        for _ in 0..=depth {
            self.net.mine();
        }
    }
}
