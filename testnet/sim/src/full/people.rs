//! Buyers, staff and the operator; copayers have a room of their own.

use dctrl_effects::chain::Hash;
use dctrl_ledger::query;
use dctrl_proto::action::{Payload, action_id};
use dctrl_proto::v1::{
    MachineReset, Member, MemberSet, MemberStatus, SignedAction, SlotRestock, VendQuote,
    VendResolve, VendState,
};

use super::founding::buyer_id;
use super::market::{Pays, Step};
use super::parties::{ACTION_LIFE_MS, Party};
use super::plan::Planted;
use super::script::script_of;
use super::world::{Happening, World};
use crate::engine::Seat;
use crate::scenario::{MILLISECOND, SECOND, pick};

/// How often a purchase is tried at most.
const TRIES_MAX: u32 = 40;
/// Between two looks at what became of something.
const LOOK_EVERY: u64 = 700 * MILLISECOND;
/// Between two rounds of staff and operator.
const ROUNDS_EVERY: u64 = 5 * SECOND;
/// An uncertain vend is decided after so long.
const DECIDE_AFTER_MS: u64 = 20_000;

impl World {
    /// A node that answers, if there is one.
    pub(super) fn counter(&mut self) -> Option<Seat> {
        let first = pick(&mut self.chance, self.plan.nodes);
        let seats = (0..self.plan.nodes).map(|offset| (first + offset) % self.plan.nodes);
        seats.into_iter().find(|seat| self.nodes[*seat].is_up())
    }

    pub(super) fn buy(&mut self, purchase: usize) {
        let again = |world: &mut Self, after: u64| {
            world
                .agenda
                .plan(world.now + after, Happening::Buy { purchase });
        };
        self.market.purchases[purchase].tries += 1;
        if self.market.purchases[purchase].tries > TRIES_MAX {
            return self.end(purchase);
        }
        match self.market.purchases[purchase].step {
            Step::Begin => self.ask_for_a_quote(purchase),
            Step::Asked => self.look_for_the_quote(purchase),
            Step::Quoted => self.pay(purchase),
            Step::PaidOnce => self.pay_once_more(purchase),
            Step::Done => return,
        }
        if self.market.purchases[purchase].step == Step::Done {
            return;
        }
        let wait = LOOK_EVERY + self.chance.below(LOOK_EVERY);
        again(self, wait);
    }

    fn end(&mut self, purchase: usize) {
        self.market.purchases[purchase].step = Step::Done;
    }

    fn ask_for_a_quote(&mut self, purchase: usize) {
        let Some(seat) = self.counter() else { return };
        let number = self.next_request();
        let one = &self.market.purchases[purchase];
        let quote = VendQuote {
            machine_id: format!("m{}", one.machine),
            slot: one.slot.to_owned(),
            member_id: if one.guest {
                String::new()
            } else {
                buyer_id(one.buyer)
            },
            ..VendQuote::default()
        };
        let now_ms = self.nodes[seat].now_ms(self.now);
        let founding = &self.founding;
        let buyer = &founding.buyers[one.buyer];
        let action = buyer.sign(&founding.cluster, number, now_ms, &quote);
        let one = &mut self.market.purchases[purchase];
        one.id = action_id(&action);
        let submitted = if self.censors(seat, &action) {
            true
        } else {
            let submitted = self.submit(seat, &action);
            if let Err(refusal) = &submitted
                && refusal.rule == "member.status"
            {
                self.seen.hit("refused_after_revocation");
            }
            // Whoever plants this error sends what was refused all the same.
            submitted.is_ok() || self.push(seat, &action)
        };
        if submitted {
            let one = &mut self.market.purchases[purchase];
            one.action = Some((action, now_ms + ACTION_LIFE_MS));
            one.step = Step::Asked;
        }
    }

    /// The planted error: an action goes past the guard.
    fn push(&mut self, seat: Seat, action: &SignedAction) -> bool {
        use prost::Message as _;
        let pushes = self.plan.planted == Some(Planted::IgnoreSuspension);
        if pushes {
            let bytes = bytes::Bytes::from(action.encode_to_vec());
            self.drive(seat, crate::engine::Stimulus::Submit(bytes));
        }
        pushes
    }

    fn look_for_the_quote(&mut self, purchase: usize) {
        let Some(seat) = self.counter() else { return };
        if self.stormy() && self.chance.chance(50) {
            return self.seen.hit("replies_lost");
        }
        let id = self.market.purchases[purchase].id;
        let store = &self.nodes[seat].store;
        let Some(receipt) = query::receipt(&store.state, &id) else {
            return self.ask_again_for_the_quote(purchase, seat);
        };
        if receipt.height > store.final_height {
            return;
        }
        self.seen.hit("acknowledged_final");
        self.checks.agreement.acknowledged(id, receipt.height);
        if receipt.refusal.is_some() {
            // The machine is not ready, or the slot is empty: another time.
            let one = &mut self.market.purchases[purchase];
            one.step = Step::Begin;
            return;
        }
        let Ok(vend) = query::vend(&self.nodes[seat].store.state, &receipt.subject) else {
            return self.violation(format!("a receipt names no vend: {receipt:?}"));
        };
        let one = &mut self.market.purchases[purchase];
        one.script = script_of(&vend.address);
        one.price_sats = vend.price_sats;
        one.expires_at_ms = vend.expires_at_ms;
        one.vend = vend.id;
        one.step = Step::Quoted;
    }

    /// The same bytes at another node: the same answer, or none yet.
    fn ask_again_for_the_quote(&mut self, purchase: usize, seat: Seat) {
        let Some((action, expires_at_ms)) = self.market.purchases[purchase].action.clone() else {
            return;
        };
        if self.nodes[seat].now_ms(self.now) > expires_at_ms {
            self.market.purchases[purchase].step = Step::Begin;
            return;
        }
        if !self.censors(seat, &action) {
            self.seen.hit("idempotent_retries");
            // Whatever it says now, the receipt is what counts.
            let _ = self.submit(seat, &action);
        }
    }

    fn pay(&mut self, purchase: usize) {
        let right_ms = crate::clock::right(self.now).as_millis();
        let one = &self.market.purchases[purchase];
        let (price, script) = (one.price_sats, one.script.clone());
        let over = right_ms > one.expires_at_ms + 2_000;
        let (sats, step) = match one.pays {
            Pays::Late if !over => return,
            Pays::Exactly | Pays::Late => (price, Step::Done),
            Pays::Over => (price + 500, Step::Done),
            Pays::Under => (price - 300, Step::Done),
            Pays::InParts => (price - 300, Step::PaidOnce),
            Pays::Twice | Pays::Replaced => (price, Step::PaidOnce),
            Pays::Never => return self.end(purchase),
        };
        let met = match one.pays {
            Pays::Exactly => "paid_exactly",
            Pays::Over => "paid_over",
            Pays::Under => "paid_under",
            Pays::InParts => "paid_in_parts",
            Pays::Twice => "paid_twice",
            Pays::Late => "paid_late",
            Pays::Replaced | Pays::Never => "payments_sent",
        };
        self.seen.hit(met);
        self.send_payment(purchase, script, sats);
        self.market.purchases[purchase].step = step;
    }

    fn send_payment(&mut self, purchase: usize, script: Vec<u8>, sats: u64) {
        if let Some(paid) = self.pay_to(script, sats) {
            self.market.purchases[purchase].paid.push(paid);
        }
    }

    /// Somebody pays to an address of the federation.
    pub(super) fn pay_to(&mut self, script: Vec<u8>, sats: u64) -> Option<Hash> {
        let paid = self.market.chain.pay(script.clone(), sats).ok()?.txid;
        self.market.paid.insert(paid, (script, sats));
        self.tell_of_the_chain();
        Some(paid)
    }

    fn pay_once_more(&mut self, purchase: usize) {
        let one = &self.market.purchases[purchase];
        let (price, script) = (one.price_sats, one.script.clone());
        match one.pays {
            Pays::InParts => self.send_payment(purchase, script, 300),
            Pays::Twice => self.send_payment(purchase, script, price),
            Pays::Replaced => {
                if let Some(before) = one.paid.first().copied() {
                    let elsewhere = vec![0x51; 34];
                    if self.market.chain.replace(&before, elsewhere, price).is_ok() {
                        self.seen.hit("payments_replaced");
                    }
                    self.tell_of_the_chain();
                }
            }
            _ => {}
        }
        self.end(purchase);
    }

    /// Somebody's action, at a node that answers.
    pub(super) fn hand_in<P: Payload>(&mut self, who: &Party, payload: &P) -> bool {
        let Some(seat) = self.counter() else {
            return false;
        };
        let number = self.next_request();
        let now_ms = self.nodes[seat].now_ms(self.now);
        let action: SignedAction = who.sign(&self.founding.cluster, number, now_ms, payload);
        self.submit(seat, &action).is_ok()
    }

    /// Staff fill up, and the operator decides what nobody else can.
    pub(super) fn rounds(&mut self) {
        self.agenda.plan(self.now + ROUNDS_EVERY, Happening::Rounds);
        self.restock();
        self.reset_machines();
        self.decide();
        if self.stormy() {
            self.suspend();
        }
    }

    fn restock(&mut self) {
        let staff = self.founding.staff.clone();
        for slot in self.checks.books.low_slots() {
            let restock = SlotRestock {
                machine_id: slot.machine_id,
                slot: slot.slot,
                added: slot.capacity - slot.stock - slot.held,
                ..SlotRestock::default()
            };
            if self.hand_in(&staff, &restock) {
                self.seen.hit("restocked");
            }
        }
    }

    /// A machine that lost its journal, or contradicted itself, begins anew.
    fn reset_machines(&mut self) {
        let operator = self.founding.operator.clone();
        for machine in self.checks.books.lost_machines() {
            let reset = MachineReset {
                machine_id: machine,
                ..MachineReset::default()
            };
            if self.hand_in(&operator, &reset) {
                self.seen.hit("agents_reset");
            }
        }
    }

    /// The operator looks into the machine: the can is there, or not.
    fn decide(&mut self) {
        let operator = self.founding.operator.clone();
        let right_ms = crate::clock::right(self.now).as_millis();
        for vend in self.checks.books.uncertain(right_ms, DECIDE_AFTER_MS) {
            let fell = self
                .checks
                .pulses
                .fell(&vend.machine_id, vend.incarnation, vend.sequence);
            let outcome = if fell {
                VendState::Dispensed
            } else {
                VendState::Credited
            };
            let resolve = VendResolve {
                vend_id: vend.id,
                outcome: outcome.into(),
                reason: "the operator looked into the machine".to_owned(),
            };
            if self.hand_in(&operator, &resolve) {
                self.seen.hit("resolved_by_operator");
            }
        }
    }

    /// Now and then a buyer is suspended, or let back.
    fn suspend(&mut self) {
        if !self.chance.chance(80) {
            return;
        }
        let operator = self.founding.operator.clone();
        let buyer = pick(&mut self.chance, self.plan.buyers);
        let status = if self.chance.chance(600) {
            MemberStatus::Suspended
        } else {
            MemberStatus::Active
        };
        let member = Member {
            id: buyer_id(buyer),
            name: buyer_id(buyer),
            key: self.founding.buyers[buyer].key.to_vec(),
            roles: vec!["member".to_owned()],
            status: status.into(),
        };
        let member = Some(member);
        if self.hand_in(&operator, &MemberSet { member }) && status == MemberStatus::Suspended {
            self.seen.hit("members_suspended");
        }
    }
}
