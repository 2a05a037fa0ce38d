//! People: who pays in, who wants to be paid, and copayers who do as they
//! should.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use bitcoin::hashes::Hash as _;
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Address, Network, Psbt, ScriptBuf, WPubkeyHash};
use dctrl_effects::chain::Hash;
use dctrl_proto::v1::{
    Payout, PayoutAllow, PayoutApprove, PayoutBump, PayoutCancel, PayoutKind, PayoutLift,
    PayoutPropose, PayoutRecipient, PayoutReject, PayoutSign, PayoutState, PayoutVersion, TabTopUp,
};

use super::checks::is_over;
use super::founding::{ALLOW_DELAY_MS, FEE_RATE_MAX, LARGE_SATS, Party, SMALL_SATS, copayer_id};
use super::grid::Course;
use super::planted::Planted;
use super::refunds::Asked;
use super::world::{Sent, World};

/// Payouts that wait for their end at one time, at most.
const OPEN_MAX: usize = 14;
/// People pay in while the wallet has less.
const WALLET_SATS_MIN: u64 = 12_000_000;
/// Of a hundred proposals in a storm the one that makes one coin of many.
const CONSOLIDATES: u64 = 97;
/// Whom payouts go to.
pub(super) const STRANGERS: u8 = 12;
/// Of these the first may be paid at once where there is an allow-list.
const ALLOWED: u8 = 8;

/// What somebody wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Intent {
    pub(super) recipients: Vec<PayoutRecipient>,
    pub(super) sats: u64,
    /// Honest copayers find it right.
    pub(super) wanted: bool,
    /// It pays what members have asked for, and the ledger says whom.
    pub(super) refunds: bool,
}

/// What people remember.
#[derive(Default)]
pub(super) struct People {
    /// Told addresses that nobody has paid yet.
    pub(super) addresses: Vec<String>,
    /// All that was ever paid in.
    pub(super) deposits: Vec<Hash>,
    /// What payers have sent in place of a payment that they took back.
    pub(super) replacements: Vec<Hash>,
    /// What members have asked for, by the refund that was made of it.
    pub(super) refunds: BTreeMap<String, Asked>,
    /// When an address came onto the allow-list.
    pub(super) allowed: BTreeMap<String, u64>,
    /// Spent by a thief with all keys.
    pub(super) thefts: BTreeSet<Hash>,
    pub(super) has_stolen: bool,
}

/// The address of somebody who is paid.
pub(super) fn stranger(number: u8) -> String {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([number + 1; 20]));
    match Address::from_script(&script, Network::Regtest) {
        Ok(address) => address.to_string(),
        Err(error) => unreachable!("a witness program has an address: {error}"),
    }
}

/// The script of an address of the test network.
pub(super) fn script(address: &str) -> Option<ScriptBuf> {
    let address = Address::from_str(address).ok()?;
    let address = address.require_network(Network::Regtest).ok()?;
    Some(address.script_pubkey())
}

impl World {
    pub(super) fn people(&mut self) {
        self.pay_in();
        self.ask_refund();
        self.list_addresses();
        if self.wants_more() {
            self.propose();
        }
        let open: Vec<Payout> = self
            .known
            .values()
            .filter(|payout| !is_over(payout))
            .cloned()
            .collect();
        self.follow_course();
        for payout in &open {
            self.decide(payout);
            self.sign(payout);
            self.change_course(payout);
        }
        if self.plan.malicious > 0 && self.storm {
            self.attack(&open);
        }
        if self.chance.chance(100) {
            self.leak_something();
        }
        self.steal(&open);
    }

    /// Whether there are payouts to be proposed yet.
    pub(super) fn wants_more(&self) -> bool {
        (self.intents.len() as u64) < self.plan.payouts
    }

    /// Members top up; what a reorganisation has lost they send again.
    fn pay_in(&mut self) {
        let wallet: u64 = self
            .net
            .unspent_of_wallet()
            .map(|(_, one)| one.amount_sats)
            .sum();
        let wants = self.wants_more() && wallet < WALLET_SATS_MIN;
        if wants && self.people.addresses.is_empty() && self.chance.chance(400) {
            let member = self.chance.below(self.plan.members as u64);
            let member = usize::try_from(member).unwrap_or(0);
            self.say(Party::Member(member), &TabTopUp {});
        }
        if let Some(address) = self.people.addresses.pop()
            && wants
            && let Some(script) = script(&address)
        {
            let sats = self.chance.between(150_000, 2_500_000);
            let txid = self.net.pay(script.into_bytes(), sats);
            self.people.deposits.push(txid);
            self.accept_anywhere(txid);
        }
        let sent = self.people.deposits.iter();
        let sent = sent.chain(&self.people.replacements).copied();
        let lost: Vec<Hash> = sent
            .filter(|txid| self.net.height_of(txid).is_none())
            .collect();
        for txid in lost {
            if !self.storm || self.chance.chance(100) {
                self.accept_anywhere(txid);
            }
        }
    }

    pub(super) fn accept_anywhere(&mut self, txid: Hash) {
        let at = self.chance.below(self.net.miners() as u64 + 1);
        let _ = self.net.accept(usize::try_from(at).unwrap_or(0), txid);
    }

    /// The operator lists those who may be paid.
    fn list_addresses(&mut self) {
        if !self.plan.allow_list {
            return;
        }
        let listed = u8::try_from(self.people.allowed.len()).unwrap_or(STRANGERS);
        let at_once = listed < ALLOWED && self.step <= u64::from(ALLOWED);
        if listed < STRANGERS && (at_once || self.chance.chance(10)) {
            let address = stranger(listed);
            let usable_from_ms = self.now_ms + ALLOW_DELAY_MS;
            self.people.allowed.insert(address.clone(), usable_from_ms);
            let name = format!("stranger {listed}");
            let allow = PayoutAllow {
                address,
                name,
                remove: false,
            };
            self.say(Party::Operator, &allow);
        }
    }

    fn propose(&mut self) {
        let open = self.known.values().filter(|payout| !is_over(payout));
        if open.count() >= OPEN_MAX || !self.chance.chance(250) {
            return;
        }
        let number = self.chance.between(1, 3);
        let kind = if self.storm {
            self.chance.below(100)
        } else {
            0
        };
        let sats = |chance: &mut crate::prng::Prng| match kind {
            0..72 => chance.between(8_000, SMALL_SATS / number),
            72..95 => chance.between(SMALL_SATS, LARGE_SATS) / number,
            95..98 => chance.between(LARGE_SATS, 3 * LARGE_SATS),
            _ => chance.between(1, 290),
        };
        let recipients: Vec<PayoutRecipient> = (0..number)
            .map(|_| {
                let whom = u8::try_from(self.chance.below(u64::from(STRANGERS)));
                PayoutRecipient {
                    address: stranger(whom.unwrap_or(0)),
                    amount_sats: sats(&mut self.chance),
                }
            })
            .collect();
        let creator = self.someone_present();
        let honest = !matches!(creator, Party::Copayer(one) if self.plan.is_malicious(one));
        let rejected = self.next_course() == Some(Course::Reject);
        let wanted = honest && !rejected && (!self.storm || self.chance.chance(900));
        if self.chance.chance(200) && !self.people.refunds.is_empty() {
            return self.propose_refunds(creator, wanted);
        }
        if kind == CONSOLIDATES {
            return self.propose_consolidation(creator);
        }
        self.propose_this(creator, recipients.clone(), wanted);
        if !honest && self.chance.chance(300) {
            self.hit("proposed_twice");
            self.propose_this(creator, recipients, false);
        }
    }

    fn propose_this(&mut self, creator: Party, recipients: Vec<PayoutRecipient>, wanted: bool) {
        let intent = Intent {
            sats: recipients.iter().map(|one| one.amount_sats).sum(),
            recipients: recipients.clone(),
            wanted,
            refunds: false,
        };
        let propose = PayoutPropose {
            recipients,
            purpose: "shares".to_owned(),
            ..PayoutPropose::default()
        };
        self.send(creator, &propose, Sent::Proposal(intent));
    }

    /// Nobody is paid, so that all find it right.
    fn propose_consolidation(&mut self, creator: Party) {
        let intent = Intent {
            wanted: true,
            ..Intent::default()
        };
        let propose = PayoutPropose {
            consolidate: true,
            ..PayoutPropose::default()
        };
        self.send(creator, &propose, Sent::Proposal(intent));
    }

    /// A copayer who is there, or the operator.
    fn someone_present(&mut self) -> Party {
        let number = usize::try_from(self.chance.below(self.plan.copayers as u64)).unwrap_or(0);
        if self.is_there(number) {
            Party::Copayer(number)
        } else {
            Party::Operator
        }
    }

    fn is_there(&self, copayer: usize) -> bool {
        !(self.storm && self.plan.is_absent(copayer))
    }

    /// Copayers who act as they should.
    fn honest(&self) -> Vec<usize> {
        let all = 0..self.plan.copayers;
        let acts =
            |one: &usize| self.is_there(*one) && !(self.storm && self.plan.is_malicious(*one));
        all.filter(acts).collect()
    }

    fn decide(&mut self, payout: &Payout) {
        let course = self.course_of(&payout.id);
        let left_alone = matches!(course, Some(Course::Withdraw | Course::Expire));
        if payout.state() != PayoutState::Proposed || left_alone {
            return;
        }
        let wanted = self.is_wanted(payout);
        for copayer in self.honest() {
            let id = copayer_id(copayer);
            let decided = payout.approvals.iter().chain(&payout.rejections);
            if decided.into_iter().any(|one| one.member_id == id) || !self.chance.chance(300) {
                continue;
            }
            if wanted {
                let approve = PayoutApprove {
                    payout_id: payout.id.clone(),
                    txid: newest(payout).txid.clone(),
                };
                self.say(Party::Copayer(copayer), &approve);
            } else {
                let reject = PayoutReject {
                    payout_id: payout.id.clone(),
                    reason: "not ours".to_owned(),
                };
                self.say(Party::Copayer(copayer), &reject);
            }
        }
    }

    pub(super) fn is_wanted(&self, payout: &Payout) -> bool {
        let intent = self.intents.get(&payout.id);
        payout.parent.is_some() || intent.is_some_and(|intent| intent.wanted)
    }

    /// Whether a copayer's signature is missing now.
    pub(super) fn signs_now(&self, payout: &Payout) -> bool {
        let over = matches!(
            payout.state(),
            PayoutState::Confirmed | PayoutState::Invalidated
        );
        let ready = payout.sign_from_ms > 0 && payout.sign_from_ms <= self.now_ms;
        !over && ready && newest(payout).transaction.is_empty()
    }

    fn sign(&mut self, payout: &Payout) {
        if !self.signs_now(payout) || self.plan.planted == Some(Planted::Strike) {
            return;
        }
        let version = newest(payout);
        let back = version.kind() == PayoutKind::Cancel;
        if !back && !self.is_wanted(payout) {
            return;
        }
        let course = self.course_of(&payout.id);
        if course == Some(Course::Overtake) && payout.versions.len() > 1 {
            return;
        }
        for copayer in self.honest() {
            let id = copayer_id(copayer);
            let signed = version.signers.iter().any(|one| one.member_id == id);
            if signed || !self.chance.chance(350) {
                continue;
            }
            let Ok(mut psbt) = Psbt::deserialize(&version.psbt) else {
                return self.violation(format!("{}: its PSBT cannot be read", payout.id));
            };
            self.keys
                .sign_psbt(&mut psbt, copayer, EcdsaSighashType::All);
            self.hand_in(copayer, payout, &psbt, Sent::Anything);
            if course.is_some() {
                // So that each step is one that can be struck.
                return;
            }
        }
    }

    pub(super) fn hand_in(&mut self, copayer: usize, payout: &Payout, psbt: &Psbt, sent: Sent) {
        let sign = PayoutSign {
            payout_id: payout.id.clone(),
            psbt: psbt.serialize(),
        };
        self.send(Party::Copayer(copayer), &sign, sent);
    }

    /// Fees are raised, and payouts dropped.
    fn change_course(&mut self, payout: &Payout) {
        let waits = matches!(
            payout.state(),
            PayoutState::Approved
                | PayoutState::Signing
                | PayoutState::Ready
                | PayoutState::Broadcast
        );
        let back = newest(payout).kind() == PayoutKind::Cancel;
        let party = self.someone_present();
        if waits && !back && self.storm && self.chance.chance(25) {
            let wanted = newest(payout).fee_rate * self.chance.between(11, 30) / 10;
            let asked = self.chance.chance(300);
            let bump = PayoutBump {
                payout_id: payout.id.clone(),
                fee_rate: if asked { wanted.min(FEE_RATE_MAX) } else { 0 },
            };
            self.say(party, &bump);
        }
        let lifts = payout.state() == PayoutState::Broadcast && self.chance.chance(40);
        if lifts && self.course_of(&payout.id).is_none() {
            let lift = PayoutLift {
                payout_id: payout.id.clone(),
                fee_rate: 0,
            };
            self.say(party, &lift);
        }
        let unwanted = waits && !back && !self.is_wanted(payout);
        let drops = (self.storm && self.chance.chance(8)) || (unwanted && self.chance.chance(200));
        if drops && (waits || payout.state() == PayoutState::Proposed) {
            // What nobody wants ends in the end, whoever has proposed it.
            let party = if unwanted && !self.storm {
                Party::Operator
            } else {
                party
            };
            let cancel = PayoutCancel {
                payout_id: payout.id.clone(),
                reason: "wrong".to_owned(),
            };
            self.say(party, &cancel);
        }
    }
}

/// The transaction that is to be made now.
pub(crate) fn newest(payout: &Payout) -> &PayoutVersion {
    static NONE: std::sync::OnceLock<PayoutVersion> = std::sync::OnceLock::new();
    payout
        .versions
        .last()
        .unwrap_or_else(|| NONE.get_or_init(PayoutVersion::default))
}
