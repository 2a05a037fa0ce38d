//! Copayers who cheat, alone or together, up to one fewer than could spend; and
//! a thief who has all keys.

use std::collections::BTreeMap;

use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, Psbt, PublicKey, Transaction, Witness};
use dctrl_effects::chain::Hash;
use dctrl_proto::v1::{Payout, PayoutApprove, PayoutState, PayoutVersion};

use super::copayers::{newest, script, stranger};
use super::founding::Party;
use super::grid::Course;
use super::net::No;
use super::planted::Planted;
use super::world::{Sent, World};

/// Whom a thief pays.
const THIEF: u8 = 99;

impl World {
    pub(super) fn attack(&mut self, open: &[Payout]) {
        let at = usize::try_from(self.chance.below(open.len() as u64)).unwrap_or(0);
        let Some(payout) = open.get(at) else { return };
        let copayer = usize::try_from(self.chance.below(self.plan.malicious as u64)).unwrap_or(0);
        if payout.state() == PayoutState::Proposed && self.chance.chance(400) {
            // Their own, too; and each other's.
            let approve = PayoutApprove {
                payout_id: payout.id.clone(),
                txid: newest(payout).txid.clone(),
            };
            self.hit("malicious_approvals");
            return self.say(Party::Copayer(copayer), &approve);
        }
        if !self.chance.chance(350) {
            return;
        }
        match self.chance.below(7) {
            0 => self.change_output(copayer, payout),
            1 => self.replay(copayer, payout),
            2 => self.wrong_sighash(copayer, payout),
            3 => self.other_input(copayer, payout),
            4 => self.rob(payout),
            5 => self.truncate(copayer, payout),
            _ => self.finish_outside(payout),
        }
    }

    fn psbt(payout: &Payout) -> Option<Psbt> {
        Psbt::deserialize(&newest(payout).psbt).ok()
    }

    /// A recipient's script is another one, and it is signed so.
    fn change_output(&mut self, copayer: usize, payout: &Payout) {
        let Some((mut psbt, thief)) = Self::psbt(payout).zip(script(&stranger(THIEF))) else {
            return;
        };
        if let Some(output) = psbt.unsigned_tx.output.first_mut() {
            output.script_pubkey = thief;
        }
        self.keys
            .sign_psbt(&mut psbt, copayer, EcdsaSighashType::All);
        let sent = Sent::Attack("attack_changed_output");
        self.hand_in(copayer, payout, &psbt, sent);
    }

    /// Signatures of an older version in the newest.
    fn replay(&mut self, copayer: usize, payout: &Payout) {
        let older = payout.versions.iter().rev().skip(1);
        let mut signed = older.filter(|version| !version.signers.is_empty());
        let Some((old, mut psbt)) = signed.next().zip(Self::psbt(payout)) else {
            return;
        };
        let mut replayed = false;
        for (position, input) in old.inputs.iter().enumerate() {
            let newer = newest(payout).inputs.iter();
            let at = newer
                .enumerate()
                .find(|(_, one)| one.outpoint == input.outpoint);
            let bytes = old
                .signers
                .first()
                .and_then(|one| one.signatures.get(position));
            let Some(((at, _), bytes)) = at.zip(bytes) else {
                continue;
            };
            let Ok(signature) = bitcoin::ecdsa::Signature::from_slice(bytes) else {
                continue;
            };
            let print = old.signers.first().map(|one| one.fingerprint.clone());
            let sources = psbt.inputs[at].bip32_derivation.iter();
            let mut of = sources.filter(|(_, (one, _))| Some(one.to_bytes().to_vec()) == print);
            if let Some(key) = of.next().map(|(key, _)| PublicKey::new(*key)) {
                psbt.inputs[at].partial_sigs.insert(key, signature);
                replayed = true;
            }
        }
        if replayed {
            self.hand_in(copayer, payout, &psbt, Sent::Attack("attack_replayed"));
        }
    }

    fn wrong_sighash(&mut self, copayer: usize, payout: &Payout) {
        let Some(mut psbt) = Self::psbt(payout) else {
            return;
        };
        let kinds = [
            EcdsaSighashType::None,
            EcdsaSighashType::Single,
            EcdsaSighashType::AllPlusAnyoneCanPay,
            EcdsaSighashType::NonePlusAnyoneCanPay,
        ];
        let kind = kinds[usize::try_from(self.chance.below(4)).unwrap_or(0)];
        self.keys.sign_psbt(&mut psbt, copayer, kind);
        self.hand_in(copayer, payout, &psbt, Sent::Attack("attack_sighash"));
    }

    /// The signature of one input is said to be another one's.
    fn other_input(&mut self, copayer: usize, payout: &Payout) {
        let Some(mut psbt) = Self::psbt(payout) else {
            return;
        };
        if psbt.inputs.len() < 2 {
            return;
        }
        self.keys
            .sign_psbt(&mut psbt, copayer, EcdsaSighashType::All);
        let first = |psbt: &Psbt, at: usize| {
            let mut all = psbt.inputs[at].partial_sigs.iter();
            all.next().map(|(key, signature)| (*key, *signature))
        };
        if let Some(((a, of_a), (b, of_b))) = first(&psbt, 0).zip(first(&psbt, 1)) {
            psbt.inputs[0].partial_sigs.insert(a, of_b);
            psbt.inputs[1].partial_sigs.insert(b, of_a);
            self.hand_in(copayer, payout, &psbt, Sent::Attack("attack_other_input"));
        }
    }

    /// A signature for the first input only.
    fn truncate(&mut self, copayer: usize, payout: &Payout) {
        let Some(mut psbt) = Self::psbt(payout) else {
            return;
        };
        if psbt.inputs.len() < 2 {
            return;
        }
        self.keys
            .sign_psbt(&mut psbt, copayer, EcdsaSighashType::All);
        psbt.inputs[1].partial_sigs.clear();
        self.hand_in(copayer, payout, &psbt, Sent::Attack("attack_incomplete"));
    }

    /// All malicious copayers together sign a transaction to themselves, and
    /// fill up with one's signature.
    fn rob(&mut self, payout: &Payout) {
        let Some((psbt, thief)) = Self::psbt(payout).zip(script(&stranger(THIEF))) else {
            return;
        };
        let mut raw = psbt.unsigned_tx.clone();
        raw.output.truncate(1);
        raw.output[0].script_pubkey = thief;
        for at in 0..raw.input.len() {
            let Some(spent) = self.keys.spent_of(&psbt, at, 0) else {
                return;
            };
            let mut witness = vec![Vec::new()];
            for place in 0..self.plan.threshold {
                let kind = EcdsaSighashType::All;
                let copayer = place % self.plan.malicious;
                let signature = self.keys.sign(&raw, at, &spent, copayer, kind);
                witness.push(signature.to_vec());
            }
            witness.push(spent.leaf.script.to_bytes());
            raw.input[at].witness = Witness::from_slice(&witness);
        }
        let miners = self.net.miners();
        match self.net.submit(&self.keys, miners, &raw) {
            Ok(_) => self.violation("too few copayers could spend".to_owned()),
            Err(No::Script) => self.hit("attack_robbery"),
            Err(_) => self.hit("attack_robbery_of_spent_coins"),
        }
    }

    /// What the ledger shows of others' signatures, and the own ones, may be
    /// enough for a transaction that nobody has broadcast; of any version.
    fn finish_outside(&mut self, payout: &Payout) {
        for version in &payout.versions {
            if let Some(raw) = self.finished(version) {
                let miners = self.net.miners();
                if self.net.submit(&self.keys, miners, &raw).is_ok() {
                    self.hit("finished_outside");
                }
            }
        }
    }

    fn finished(&self, version: &PayoutVersion) -> Option<Transaction> {
        let psbt = Psbt::deserialize(&version.psbt).ok()?;
        let mut raw = psbt.unsigned_tx.clone();
        for at in 0..raw.input.len() {
            let spent = self.keys.spent_of(&psbt, at, 0)?;
            let mut by: BTreeMap<PublicKey, Vec<u8>> = BTreeMap::new();
            for signer in &version.signers {
                let prints = &self.keys.fingerprints;
                let copayer = prints
                    .iter()
                    .position(|one| one[..] == signer.fingerprint[..])?;
                by.insert(spent.leaf.keys[copayer], signer.signatures.get(at)?.clone());
            }
            for copayer in 0..self.plan.malicious {
                let kind = EcdsaSighashType::All;
                let signature = self.keys.sign(&psbt.unsigned_tx, at, &spent, copayer, kind);
                by.insert(spent.leaf.keys[copayer], signature.to_vec());
            }
            if by.len() < self.plan.threshold {
                return None;
            }
            let witness = self.keys.witness(&spent.leaf, &by);
            raw.input[at].witness = Witness::from_slice(&witness);
        }
        Some(raw)
    }

    /// Whoever has seen a signed version may send it at any time, and a miner
    /// may take it.
    pub(super) fn leak_something(&mut self) {
        let known: Vec<&Payout> = self.known.values().collect();
        let from = known.len().saturating_sub(20) as u64;
        let at = self.chance.between(from, (known.len() as u64).max(1) - 1);
        let Some(payout) = known.get(usize::try_from(at).unwrap_or(0)) else {
            return;
        };
        let signed: Vec<Vec<u8>> = payout
            .versions
            .iter()
            .map(|version| version.transaction.clone())
            .filter(|bytes| !bytes.is_empty())
            .collect();
        let at = usize::try_from(self.chance.below(signed.len() as u64)).unwrap_or(0);
        let Some(raw) = signed
            .get(at)
            .and_then(|bytes| bitcoin::consensus::deserialize(bytes).ok())
        else {
            return;
        };
        let miners = self.net.miners();
        let sent = self.net.submit(&self.keys, miners, &raw);
        if sent == Err(No::Fee) && self.storm && self.chance.chance(500) {
            let txid = Hash::from_internal(*raw.compute_txid().as_ref());
            if self.net.force(txid).is_ok() {
                self.hit("older_version_mined");
            }
        } else if sent.is_ok() {
            self.hit("sent_by_others");
        }
        if self.plan.planted == Some(Planted::PayTwice) {
            self.pay_twice(&raw);
        }
    }

    fn pay_twice(&mut self, raw: &Transaction) {
        let txid = Hash::from_internal(*raw.compute_txid().as_ref());
        let payout = self.known.values().find(|payout| {
            let mut ids = payout.versions.iter().map(|version| &version.txid);
            ids.any(|id| id[..] == txid.0)
        });
        let mined = payout.is_some_and(|payout| {
            let mut ids = payout.versions.iter();
            ids.any(|version| {
                let id = Hash::from_slice(&version.txid).unwrap_or_default();
                id != txid && self.net.height_of(&id).is_some()
            })
        });
        if mined && self.net.height_of(&txid).is_none() && self.net.tx(&txid).is_some() {
            self.net.mine_twice(txid);
        }
    }

    /// Once, somebody with all keys spends a coin of a payout to themselves.
    pub(super) fn steal(&mut self, open: &[Payout]) {
        let unexpected = self.plan.planted == Some(Planted::Steal);
        let other = self.plan.planted == Some(Planted::OtherRecipient);
        let thinks = self.plan.theft && self.storm && self.chance.chance(15);
        let early = self.plan.planted == Some(Planted::Unapproved);
        let robs = |payout: &Payout| self.course_of(&payout.id) == Some(Course::Rob);
        let robbed = open.iter().any(robs);
        if self.people.has_stolen || !(thinks || unexpected || other || early || robbed) {
            return;
        }
        let approved = |payout: &&Payout| {
            let meant = !robbed || robs(payout);
            meant && (payout.sign_from_ms > 0) != early
        };
        let Some(payout) = open.iter().find(approved) else {
            return;
        };
        let psbt = payout.versions.first();
        let psbt = psbt.and_then(|version| Psbt::deserialize(&version.psbt).ok());
        let Some((psbt, thief)) = psbt.zip(script(&stranger(THIEF))) else {
            return;
        };
        let mut raw = psbt.unsigned_tx.clone();
        if other {
            raw.output[0].script_pubkey = thief;
        } else if !early {
            raw.input.truncate(1);
            raw.output.truncate(1);
            let has = psbt.inputs[0]
                .witness_utxo
                .as_ref()
                .map_or(0, |one| one.value.to_sat());
            raw.output[0].value = Amount::from_sat(has.saturating_sub(60_000).max(1_000));
            raw.output[0].script_pubkey = thief;
        }
        for at in 0..raw.input.len() {
            let Some(spent) = self.keys.spent_of(&psbt, at, 0) else {
                return;
            };
            let by: BTreeMap<PublicKey, Vec<u8>> = (0..self.plan.threshold)
                .map(|copayer| {
                    let kind = EcdsaSighashType::All;
                    let signature = self.keys.sign(&raw, at, &spent, copayer, kind);
                    (spent.leaf.keys[copayer], signature.to_vec())
                })
                .collect();
            let witness = self.keys.witness(&spent.leaf, &by);
            raw.input[at].witness = Witness::from_slice(&witness);
        }
        let miners = self.net.miners();
        let sent = self.net.submit(&self.keys, miners, &raw);
        let txid = Hash::from_internal(*raw.compute_txid().as_ref());
        let taken = sent.is_ok() || (sent == Err(No::Fee) && self.net.force(txid).is_ok());
        if taken {
            self.hit("stolen");
            self.people.has_stolen = !early;
            if early {
                self.net.mine();
            } else if !unexpected && !other {
                self.people.thefts.insert(txid);
            }
        }
    }
}
