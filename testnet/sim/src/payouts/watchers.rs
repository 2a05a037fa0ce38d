//! The nodes' hands: what each sees of the chain and says, what it broadcasts,
//! and how it dies in between.

use std::rc::Rc;
use std::sync::Arc;

use bitcoin::consensus::deserialize;
use dctrl_effects::chain::sight::{Saying, Sight};
use dctrl_effects::payout::view::{Order, Payouts};
use dctrl_ledger::query;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BusBody, FeeObserve};

use super::backend::Backend;
use super::founding::Party;
use super::net::{Net, No};
use super::planted::{self, Planted};
use super::world::{Sent, World};

/// How much later each next executor acts.
const TAKE_OVER_MS: u64 = 10_000;
/// Blocks that a notifier looks through when it begins.
const RESCAN_BLOCKS: u32 = 300;
/// A fee rate is said this often.
const FEE_EVERY_MS: u64 = 600_000;

/// One node.
pub(super) struct Watcher {
    pub(super) sight: Sight,
    pub(super) payouts: Payouts,
    /// Frames that it has read.
    read: usize,
    /// It is dead until then.
    pub(super) dead_until_ms: u64,
    pub(super) backend_down_until_ms: u64,
    /// Until when its backend knows nothing above a height.
    pub(super) lags: (u64, u32),
    fee_at_ms: u64,
}

impl Watcher {
    pub(super) fn new(seat: usize) -> Self {
        Self {
            sight: Sight::regtest(None, RESCAN_BLOCKS),
            payouts: payouts(seat),
            read: 0,
            dead_until_ms: 0,
            backend_down_until_ms: 0,
            lags: (0, 0),
            fee_at_ms: 0,
        }
    }
}

fn payouts(seat: usize) -> Payouts {
    let seat = u32::try_from(seat).ok();
    Payouts::new(Arc::new(move || seat), TAKE_OVER_MS)
}

impl World {
    /// All nodes look, act and speak.
    pub(super) fn watch(&mut self) {
        for seat in 0..self.plan.nodes {
            if self.now_ms < self.watchers[seat].dead_until_ms {
                continue;
            }
            self.read_frames(seat);
            self.see(seat);
            self.act(seat);
            self.say_fee(seat);
            if self.storm && self.chance.chance(6) {
                self.hit("executor_killed_at_rest");
                self.kill(seat);
            }
        }
    }

    fn read_frames(&mut self, seat: usize) {
        let last = self.frames.len();
        let behind = if self.storm { self.chance.below(4) } else { 0 };
        let until = last.saturating_sub(usize::try_from(behind).unwrap_or(0));
        let watcher = &mut self.watchers[seat];
        let own = u32::try_from(seat).ok();
        for at in watcher.read..until.max(watcher.read) {
            let body: Rc<BusBody> = Rc::clone(&self.frames[at]);
            watcher.sight.frame(&body, own);
            if let Some(Event::Payout(changed)) = &body.event {
                let mut payout = changed.payout.clone().unwrap_or_default();
                planted::spoil_watched(self.plan.planted, &mut payout);
                watcher.payouts.told(payout);
            }
        }
        watcher.read = until.max(watcher.read);
    }

    /// The chain notifier: tip and payments.
    fn see(&mut self, seat: usize) {
        let all = !self.storm || self.chance.chance(400);
        let watcher = &mut self.watchers[seat];
        if all {
            watcher.sight.compare_mempool();
        }
        let backend = backend(&self.net, watcher, seat, self.now_ms);
        // Where it fails the node abstains, and asks again with the next look.
        let _ = watcher.sight.refresh(&backend, &|| true);
        for (subject, saying) in self.watchers[seat].sight.unsaid() {
            self.watchers[seat].sight.said(&subject);
            if self.loses() {
                self.hit("observations_lost");
                self.watchers[seat].sight.unsay(&subject);
                continue;
            }
            let sent = Sent::Observation(seat, subject);
            match saying {
                Saying::Tip(view) => {
                    let view = self.twist_tip(seat, view);
                    self.send(Party::Node(seat), &view, sent);
                }
                Saying::Payment(view) => {
                    let view = self.twist_payment(seat, view);
                    self.send(Party::Node(seat), &view, sent);
                }
            }
        }
    }

    /// The broadcaster.
    fn act(&mut self, seat: usize) {
        if !self.look(seat) {
            return;
        }
        for order in self.watchers[seat].payouts.take_due(self.now_ms) {
            if self.storm && self.chance.chance(60) {
                self.hit("executor_killed_before_broadcast");
                return self.kill(seat);
            }
            self.broadcast(seat, &order);
            if self.storm && self.chance.chance(60) {
                self.hit("executor_killed_behind_broadcast");
                return self.kill(seat);
            }
        }
        if !self.look(seat) {
            return;
        }
        for (id, said) in self.watchers[seat].payouts.unsaid() {
            self.watchers[seat].payouts.said(&id);
            if self.plan.planted == Some(Planted::StaysInBlock)
                && query::payout(self.replicas.state(), &id)
                    .is_ok_and(|told| planted::is_said_in_block(&told, seat))
            {
                continue;
            }
            if self.loses() {
                self.hit("observations_lost");
                self.watchers[seat].payouts.unsay(&id);
                continue;
            }
            if self.storm && self.chance.chance(10) {
                self.hit("executor_killed_behind_saying");
                self.kill(seat);
                return;
            }
            let said = self.twist_payout(seat, said);
            self.say(Party::Node(seat), &said);
        }
    }

    fn look(&mut self, seat: usize) -> bool {
        let watcher = &mut self.watchers[seat];
        let backend = backend(&self.net, watcher, seat, self.now_ms);
        let seen = watcher.payouts.look(&backend).is_ok();
        if !seen {
            watcher.payouts.interrupted();
        }
        seen
    }

    fn broadcast(&mut self, seat: usize, order: &Order) {
        let raw = match deserialize(&order.transaction) {
            Ok(raw) => raw,
            Err(error) => {
                return self.violation(format!("{} cannot be read: {error}", order.payout));
            }
        };
        match self.net.submit(&self.keys, seat, &raw) {
            Ok(_) => self.hit(if order.rank == 0 {
                "broadcast"
            } else {
                "taken_over"
            }),
            Err(No::Known) => self.hit("broadcast_known"),
            Err(No::Missing) => self.hit("broadcast_conflicts"),
            Err(No::Fee) => self.hit("broadcast_pays_too_little"),
            Err(No::NotFinal) => self.hit("broadcast_too_early"),
            Err(No::Script) => {
                let payout = &order.payout;
                self.violation(format!("{payout}: the network refuses its signatures"));
            }
        }
    }

    /// Forgets everything and comes back later with the ledger's state: votes
    /// alone are not told on the bus.
    fn kill(&mut self, seat: usize) {
        let wait_ms = self.chance.between(1_000, 90_000);
        let watcher = &mut self.watchers[seat];
        watcher.dead_until_ms = self.now_ms + wait_ms;
        watcher.payouts = payouts(seat);
        let state = self.replicas.state();
        for id in self.known.keys() {
            if let Ok(mut payout) = query::payout(state, id) {
                planted::spoil_watched(self.plan.planted, &mut payout);
                watcher.payouts.told(payout);
            }
        }
    }

    fn say_fee(&mut self, seat: usize) {
        if self.now_ms < self.watchers[seat].fee_at_ms {
            return;
        }
        self.watchers[seat].fee_at_ms = self.now_ms + FEE_EVERY_MS;
        let fee_rate = if self.storm && self.plan.is_liar(seat) {
            self.hit("fee_lies");
            [1, 99_999_999][usize::from(self.chance.chance(500))]
        } else {
            self.chance.between(1_000, 6_000)
        };
        self.say(Party::Node(seat), &FeeObserve { fee_rate });
    }

    fn loses(&mut self) -> bool {
        self.storm && self.chance.chance(30)
    }

    /// Backends stop and lag, now and then.
    pub(super) fn trouble_backends(&mut self) {
        let height = self.net.tip().height;
        for seat in 0..self.plan.nodes {
            let until = self.now_ms + self.chance.between(5_000, 120_000);
            if self.chance.chance(8) {
                self.hit("backend_down");
                self.watchers[seat].backend_down_until_ms = until;
            }
            if self.chance.chance(8) {
                self.hit("backend_lagging");
                self.watchers[seat].lags = (until, height);
            }
        }
    }
}

fn backend<'a>(net: &'a Net, watcher: &Watcher, seat: usize, now_ms: u64) -> Backend<'a> {
    Backend {
        net,
        at: seat,
        down: now_ms < watcher.backend_down_until_ms,
        height_max: (now_ms < watcher.lags.0).then_some(watcher.lags.1),
    }
}
