//! A node's notifiers at work: frames read, the backend asked, observations
//! handed in at the own node until the ledger has them.

use std::cell::RefCell;
use std::rc::Rc;

use dctrl_effects::chain::Hint;
use dctrl_effects::chain::sight::Saying;
use dctrl_effects::outbox::Ended;
use dctrl_ledger::{facts, query};
use dctrl_proto::action::Payload;
use dctrl_proto::v1::{BusBody, PriceObserve, TimeTick};

use super::broadcaster::payout_of;
use super::founding::CURRENCY;
use super::notifier::{About, OwnDoor};
use super::plan::Planted;
use super::world::{Happening, World};
use crate::disk::Fate;
use crate::engine::{Seat, Stimulus};
use crate::scenario::{MILLISECOND, SECOND};

/// The backend is asked at least this often, and the whole mempool compared.
const POLL_EVERY: u64 = 5 * SECOND;
const MEMPOOL_EVERY: u64 = 20 * SECOND;
/// A price is shown this often.
const PRICE_EVERY: u64 = 60 * SECOND;
/// Nodes notice a deadline one after the other, so that one tick is enough.
const TICK_STAGGER_MS: u64 = 400;
/// A node is struck at its follower for so long.
const STRUCK_FOR: u64 = 300 * MILLISECOND;

impl World {
    /// The node's notifiers look again after a while.
    pub(super) fn plan_notify(&mut self, seat: Seat, after: u64) {
        let life = self.nodes[seat].life;
        let at = self.now + after.max(MILLISECOND);
        self.agenda.plan(at, Happening::Notify { seat, life });
    }

    pub(super) fn hinted(&mut self, seat: Seat, life: u64, hint: Hint) {
        let node = &mut self.nodes[seat];
        if node.life == life && node.is_up() && node.notifier.sight.hint(hint) {
            node.notifier.ask_at = self.now;
            self.turn(seat, life);
        }
    }

    pub(super) fn notify(&mut self, seat: Seat, life: u64) {
        self.turn(seat, life);
        let node = &mut self.nodes[seat];
        // One beat a life: what happens in between asks for turns of its own.
        if node.life == life && node.is_up() && self.now >= node.notifier.beat_at {
            node.notifier.beat_at = self.now + SECOND;
            self.plan_notify(seat, SECOND);
        }
    }

    fn turn(&mut self, seat: Seat, life: u64) {
        if self.nodes[seat].life != life || !self.nodes[seat].is_up() {
            return;
        }
        if !self.read_frames(seat) {
            return;
        }
        self.ask_backend(seat);
        self.say_what_is_new(seat);
        if !self.broadcast_due(seat) {
            return;
        }
        self.hand_in_due(seat);
    }

    /// Reads the frames of the own node; false where the process died of it.
    fn read_frames(&mut self, seat: Seat) -> bool {
        let own = u32::try_from(seat).ok();
        self.read_facts(seat);
        self.read_payouts(seat);
        let (first, last) = {
            let node = &self.nodes[seat];
            (node.notifier.read + 1, node.store.final_height)
        };
        for height in first..=last {
            let node = &self.nodes[seat];
            let Some(kept) = node.store.blocks.get(&height) else {
                break;
            };
            let bodies: Vec<Rc<BusBody>> = kept.outputs.bodies.clone();
            if self.passes("follower.before_deed") {
                self.strike_follower(seat);
                return false;
            }
            let mut news = false;
            let notifier = &mut self.nodes[seat].notifier;
            let payouts_are_news = notifier.payouts_from.is_some_and(|from| height > from);
            for body in bodies {
                news |= notifier.sight.frame(&body, own);
                let payout = payout_of(&body).filter(|_| payouts_are_news);
                if payout.is_some_and(|payout| notifier.payouts.told(payout)) {
                    notifier.pay_at = self.now;
                }
            }
            if self.passes("follower.before_cursor") {
                self.strike_follower(seat);
                return false;
            }
            let notifier = &mut self.nodes[seat].notifier;
            notifier.read = height;
            if news {
                notifier.ask_at = self.now;
            }
        }
        true
    }

    /// Where the store has forgotten the next frames, the notifier reads the state
    /// instead, as it does at a door.
    fn read_facts(&mut self, seat: Seat) {
        let node = &mut self.nodes[seat];
        let next = node.notifier.read + 1;
        let first = node
            .store
            .blocks
            .first_key_value()
            .map(|(height, _)| *height);
        let height = query::meta(&node.store.state).height;
        let forgotten = first.map_or(height >= next, |first| first > next);
        if !forgotten || height < next {
            return;
        }
        let own = u32::try_from(seat).ok();
        let mut cursor = Vec::new();
        // It reads its own cursors, which fit.
        while let Ok(page) = facts::page(&node.store.state, &[], &cursor, 0) {
            for body in &page.events {
                node.notifier.sight.fact(body, own);
                if let Some(payout) = payout_of(body) {
                    node.notifier.payouts.told(payout);
                }
            }
            cursor = page.next;
            if cursor.is_empty() {
                break;
            }
        }
        node.notifier.read = height;
        node.notifier.ask_at = self.now;
    }

    pub(super) fn strike_follower(&mut self, seat: Seat) {
        self.crash(seat, Fate::Prefix, false);
        self.agenda
            .plan(self.now + STRUCK_FOR, Happening::Restart { seat });
    }

    fn ask_backend(&mut self, seat: Seat) {
        let notifier = &mut self.nodes[seat].notifier;
        if self.now < notifier.ask_at {
            return;
        }
        notifier.ask_at = self.now + POLL_EVERY;
        if self.now >= notifier.scan_at {
            notifier.scan_at = self.now + MEMPOOL_EVERY;
            notifier.sight.compare_mempool();
        }
        let mut sight = std::mem::replace(&mut notifier.sight, super::notifier::sight());
        // Where it fails the node abstains, and asks again with the next poll.
        let _ = sight.refresh(&self.backend(seat), &|| true);
        self.nodes[seat].notifier.sight = sight;
    }

    fn say_what_is_new(&mut self, seat: Seat) {
        for (subject, saying) in self.nodes[seat].notifier.sight.unsaid() {
            if saying.takes_back() && self.plan.planted == Some(Planted::NeverGone) {
                self.nodes[seat].notifier.sight.said(&subject);
                continue;
            }
            let about = About::Chain(subject.clone());
            let node = &mut self.nodes[seat];
            let now_ms = node.now_ms(self.now);
            if saying.takes_back() && node.notifier.outbox.hurries(&about, now_ms) {
                self.seen.hit("taken_back_later");
                continue;
            }
            match self.twisted(seat, saying) {
                Saying::Tip(view) => self.put(seat, about, &view),
                Saying::Payment(view) => self.put(seat, about, &view),
            }
            self.nodes[seat].notifier.sight.said(&subject);
        }
        if self.now >= self.nodes[seat].notifier.price_at {
            self.nodes[seat].notifier.price_at = self.now + PRICE_EVERY;
            let view = PriceObserve {
                currency: CURRENCY.to_owned(),
                minor_per_bitcoin: self.shown_price(seat),
                sources: 3,
            };
            self.put(seat, About::Price, &view);
        }
        let node = &self.nodes[seat];
        let due = query::next_deadline_ms(&node.store.state);
        let stagger = TICK_STAGGER_MS * (1 + seat as u64);
        let passed = due.is_some_and(|due| node.now_ms(self.now) >= due + stagger);
        if passed && !node.notifier.outbox.holds(&About::Deadline) {
            self.seen.hit("ticks");
            self.put(seat, About::Deadline, &TimeTick {});
        }
    }

    pub(super) fn put<P: Payload>(&mut self, seat: Seat, about: About, payload: &P) {
        let number = self.next_request();
        let now_ms = self.nodes[seat].now_ms(self.now);
        let founding = Rc::clone(&self.founding);
        let sign = |expires_at_ms| {
            founding.nodes[seat].sign_until(&founding.cluster, number, expires_at_ms, payload)
        };
        let outbox = &mut self.nodes[seat].notifier.outbox;
        outbox.put_signed(about, now_ms, sign);
    }

    fn hand_in_due(&mut self, seat: Seat) {
        let mut outbox = std::mem::take(&mut self.nodes[seat].notifier.outbox);
        let node = &self.nodes[seat];
        let door = OwnDoor {
            node,
            judge: &self.judge,
            now: self.now,
            taken: RefCell::default(),
        };
        let ended = outbox.work(node.now_ms(self.now), &door);
        let taken = door.taken.into_inner();
        self.nodes[seat].notifier.outbox = outbox;
        for (about, how) in ended {
            let notifier = &mut self.nodes[seat].notifier;
            match (&about, &how) {
                (About::Chain(subject), Ended::Expired) => notifier.sight.unsay(subject),
                (About::Chain(subject), Ended::Refused(_)) => notifier.sight.refused(subject),
                (About::Payout(id), Ended::Expired) => notifier.payouts.unsay(id),
                (About::Fee, Ended::Expired) => notifier.fee_at = self.now,
                _ => {}
            }
            if matches!(how, Ended::Refused(_)) {
                self.seen.hit("observations_refused");
            }
        }
        self.actions += taken.len() as u64;
        for action in taken {
            self.drive(seat, Stimulus::Submit(action));
        }
    }
}
