//! Copayers: they propose payouts, approve and sign those that are right, and
//! raise fees; one of them may cheat. A patron puts money into the wallet.
//!
//! Each payout pays addresses of its own, so that what is in the ledger is
//! known again by them, and what is on the chain, too.

use std::collections::BTreeMap;
use std::rc::Rc;

use bitcoin::hashes::Hash as _;
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Address, Network, Psbt, ScriptBuf, WPubkeyHash};
use dctrl_ledger::query;
use dctrl_proto::v1::{
    Payout, PayoutApprove, PayoutBump, PayoutCancel, PayoutKind, PayoutPropose, PayoutRecipient,
    PayoutReject, PayoutSign, PayoutState, SignedAction, TabTopUp,
};

use super::founding::{COPAYERS, PATRON, THRESHOLD, copayer_id};
use super::parties::ACTION_LIFE_MS;
use super::plan::{Plan, Planted};
use super::script::script_of;
use super::world::{Happening, World};
use crate::copayer_keys::{Keys, wallet};
use crate::payouts::{self, newest};
use crate::prng::Prng;
use crate::scenario::{SECOND, pick};

/// Between two looks of the copayers.
const LOOK_EVERY: u64 = 2 * SECOND;
/// The copayer who cheats, where one does.
const CHEAT: usize = COPAYERS - 1;
/// What a deposit of the patron brings, satoshi.
const DEPOSIT_SATS: (u64, u64) = (40_000, 400_000);
/// What a recipient gets, satoshi.
const SHARE_SATS: (u64, u64) = (2_000, 15_000);
/// Recipients of one payout at most.
const RECIPIENTS_MAX: u64 = 3;
/// Behind the healing nobody proposes any more after so long.
const PROPOSING_FOR: u64 = 60 * SECOND;
/// A payout that waits for signatures is dropped after so long behind the
/// healing: the copayers who want it have had their time.
const UNSIGNED_MS: u64 = 60_000;

/// What somebody wanted to be paid.
pub(super) struct Intent {
    pub(super) recipients: Vec<PayoutRecipient>,
    /// Honest copayers find it right.
    pub(super) wanted: bool,
    /// The proposal, while it is not known to have been ordered.
    action: Option<(SignedAction, u64)>,
}

/// What copayers and patron remember.
pub(super) struct Copayers {
    pub(super) keys: Rc<Keys>,
    /// By the address of the first recipient.
    pub(super) intents: BTreeMap<String, Intent>,
    /// Deposits that the patron still brings.
    deposits: usize,
    /// The patron's address that was paid last.
    paid: String,
    strangers: u8,
}

impl Copayers {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            keys: wallet(THRESHOLD, COPAYERS),
            intents: BTreeMap::new(),
            deposits: plan.payouts,
            paid: String::new(),
            strangers: 0,
        }
    }

    /// Somebody who was never paid.
    fn stranger(&mut self, chance: &mut Prng) -> PayoutRecipient {
        self.strangers += 1;
        let hash = WPubkeyHash::from_byte_array([self.strangers; 20]);
        let script = ScriptBuf::new_p2wpkh(&hash);
        let Ok(address) = Address::from_script(&script, Network::Regtest) else {
            unreachable!("a witness program has an address")
        };
        PayoutRecipient {
            address: address.to_string(),
            amount_sats: chance.between(SHARE_SATS.0, SHARE_SATS.1),
        }
    }

    /// What was wanted with a payout of the ledger.
    pub(super) fn intent(&self, payout: &Payout) -> Option<&Intent> {
        let first = payout.recipients.first()?;
        let intent = self.intents.get(&first.address)?;
        (intent.recipients == payout.recipients).then_some(intent)
    }
}

/// Whether it has come to an end, and nobody must look.
pub(super) fn is_over(payout: &Payout) -> bool {
    payouts::is_over(payout) && !payout.frozen
}

impl World {
    pub(super) fn plan_copayers(&mut self) {
        if self.plan.payouts > 0 {
            let at = self.now + LOOK_EVERY;
            self.agenda.plan(at, Happening::Copayers);
        }
    }

    pub(super) fn copayers_look(&mut self) {
        self.plan_copayers();
        self.bring_money();
        self.propose();
        let payouts = self.checks.books.payouts.values();
        let open: Vec<Payout> = payouts.filter(|one| !is_over(one)).cloned().collect();
        for payout in &open {
            self.approve_or_reject(payout);
            self.sign(payout);
            self.change_course(payout);
        }
    }

    /// Whether all that was proposed has come to an end.
    pub(super) fn copayers_are_done(&self) -> bool {
        let open = |payout: &Payout| !is_over(payout);
        let asked = self.copayers.intents.values();
        let proposing = self.wants_more() || asked.into_iter().any(|one| one.action.is_some());
        self.plan.payouts == 0 || !proposing && !self.checks.books.payouts.values().any(open)
    }

    fn wants_more(&self) -> bool {
        self.copayers.intents.len() < self.plan.payouts
            && self.now < self.plan.heal_at + PROPOSING_FOR
    }

    /// The patron pays to the address that the ledger has given him.
    fn bring_money(&mut self) {
        if self.copayers.deposits == 0 {
            return;
        }
        let patron = self.founding.patron.clone();
        let Some(seat) = self.counter() else { return };
        let tab = query::tab(&self.nodes[seat].store.state, PATRON);
        let tab = tab.ok().and_then(|view| view.tab).unwrap_or_default();
        if tab.address.is_empty() || tab.address_used || tab.address == self.copayers.paid {
            self.hand_in(&patron, &TabTopUp {});
            return;
        }
        let sats = self.chance.between(DEPOSIT_SATS.0, DEPOSIT_SATS.1);
        self.seen.hit("topped_up");
        self.pay_to(script_of(&tab.address), sats);
        self.copayers.paid = tab.address;
        self.copayers.deposits -= 1;
    }

    /// A proposal is made once, and handed in until it is known to be ordered
    /// or can never be.
    fn propose(&mut self) {
        if self.wants_more() && self.chance.chance(300) {
            self.think_of_payout();
        }
        let Some(seat) = self.counter() else { return };
        let now_ms = self.nodes[seat].now_ms(self.now);
        let known = |address: &String| {
            let payouts = self.checks.books.payouts.values();
            let first = |one: &Payout| one.recipients.first().map(|one| one.address.clone());
            payouts
                .into_iter()
                .any(|one| first(one).as_ref() == Some(address))
        };
        let waiting: Vec<(String, SignedAction, bool)> = self
            .copayers
            .intents
            .iter()
            .filter_map(|(address, one)| {
                let (action, expires_ms) = one.action.clone()?;
                let ended = known(address) || now_ms > expires_ms;
                Some((address.clone(), action, ended))
            })
            .collect();
        for (address, action, ended) in waiting {
            if !ended {
                // A refusal (no coin is deep enough yet) may be none later.
                let _ = self.submit(seat, &action);
            } else if let Some(intent) = self.copayers.intents.get_mut(&address) {
                intent.action = None;
            }
        }
    }

    fn think_of_payout(&mut self) {
        let number = self.chance.between(1, RECIPIENTS_MAX);
        let recipients: Vec<PayoutRecipient> = (0..number)
            .map(|_| self.copayers.stranger(&mut self.chance))
            .collect();
        let cheats = self.plan.cheats && self.chance.chance(300);
        let creator = if cheats { CHEAT } else { self.honest_one() };
        let propose = PayoutPropose {
            recipients: recipients.clone(),
            purpose: "shares".to_owned(),
            ..PayoutPropose::default()
        };
        let Some(seat) = self.counter() else { return };
        let (number, now_ms) = (self.next_request(), self.nodes[seat].now_ms(self.now));
        let party = &self.founding.copayers[creator];
        let action = party.sign(&self.founding.cluster, number, now_ms, &propose);
        let intent = Intent {
            recipients,
            wanted: !cheats && self.chance.chance(850),
            action: Some((action, now_ms + ACTION_LIFE_MS)),
        };
        let first = intent.recipients[0].address.clone();
        self.copayers.intents.insert(first, intent);
    }

    fn honest_one(&mut self) -> usize {
        let honest = COPAYERS - usize::from(self.plan.cheats);
        pick(&mut self.chance, honest)
    }

    /// Whether a copayer stands for what others want.
    fn is_honest(&self, copayer: usize) -> bool {
        !(self.plan.cheats && copayer == CHEAT)
    }

    fn is_wanted(&self, payout: &Payout) -> bool {
        let intent = self.copayers.intent(payout);
        intent.is_some_and(|intent| intent.wanted)
            || self.plan.planted == Some(Planted::PayUnwanted)
    }

    fn approve_or_reject(&mut self, payout: &Payout) {
        if payout.state() != PayoutState::Proposed {
            return;
        }
        for copayer in 0..COPAYERS {
            let id = copayer_id(copayer);
            let decided = payout.approvals.iter().chain(&payout.rejections);
            if decided.into_iter().any(|one| one.member_id == id) || !self.chance.chance(400) {
                continue;
            }
            let wanted = self.is_wanted(payout);
            let who = self.founding.copayers[copayer].clone();
            if wanted == self.is_honest(copayer) {
                let approve = PayoutApprove {
                    payout_id: payout.id.clone(),
                    txid: newest(payout).txid.clone(),
                };
                self.hand_in(&who, &approve);
            } else {
                let reject = PayoutReject {
                    payout_id: payout.id.clone(),
                    reason: "not ours".to_owned(),
                };
                self.hand_in(&who, &reject);
            }
        }
    }

    /// Who wants it signs it; who cheats signs what nobody wants.
    fn sign(&mut self, payout: &Payout) {
        let version = newest(payout);
        let right_ms = crate::clock::right(self.now).as_millis();
        let ready = payout.sign_from_ms > 0 && payout.sign_from_ms <= right_ms;
        if !ready || payout.settled || !version.transaction.is_empty() {
            return;
        }
        let right = version.kind() == PayoutKind::Cancel || self.is_wanted(payout);
        for copayer in 0..COPAYERS {
            let id = copayer_id(copayer);
            let signed = version.signers.iter().any(|one| one.member_id == id);
            if signed || right != self.is_honest(copayer) || !self.chance.chance(250) {
                continue;
            }
            let Ok(mut psbt) = Psbt::deserialize(&version.psbt) else {
                return self.violation(format!("{}: its PSBT cannot be read", payout.id));
            };
            let keys = Rc::clone(&self.copayers.keys);
            keys.sign_psbt(&mut psbt, copayer, EcdsaSighashType::All);
            let sign = PayoutSign {
                payout_id: payout.id.clone(),
                psbt: psbt.serialize(),
            };
            let who = self.founding.copayers[copayer].clone();
            self.hand_in(&who, &sign);
        }
    }

    /// Fees are raised, and payouts dropped.
    fn change_course(&mut self, payout: &Payout) {
        let operator = self.founding.operator.clone();
        let waits = matches!(
            payout.state(),
            PayoutState::Approved
                | PayoutState::Signing
                | PayoutState::Ready
                | PayoutState::Broadcast
        );
        if !waits || newest(payout).kind() == PayoutKind::Cancel {
            return;
        }
        if self.stormy() && self.chance.chance(60) {
            let bump = PayoutBump {
                payout_id: payout.id.clone(),
                fee_rate: 0,
            };
            self.hand_in(&operator, &bump);
        }
        let dropped = self.stormy() && self.chance.chance(30);
        let right_ms = crate::clock::right(self.now).as_millis();
        let long = !self.stormy() && payout.sign_from_ms + UNSIGNED_MS < right_ms;
        let forgotten = long && !self.is_wanted(payout);
        if dropped || forgotten {
            let cancel = PayoutCancel {
                payout_id: payout.id.clone(),
                reason: "wrong".to_owned(),
            };
            self.hand_in(&operator, &cancel);
        }
    }
}
