//! What must hold, after each step and at the end.

use dctrl_effects::chain::{Hash, Transaction};
use dctrl_ledger::{audit, query};
use dctrl_proto::v1::{Payout, PayoutKind, PayoutRecipient, PayoutState, PayoutVersion};

use super::copayers::{Intent, script};
use super::founding::{SMALL_SATS, copayer_id};
use super::net::Place;
use super::plan::DEPTH_MAX;
use super::world::World;

/// Whether nothing can happen to it any more, but that the chain undoes it.
pub(crate) fn is_over(payout: &Payout) -> bool {
    let closed = matches!(
        payout.state(),
        PayoutState::Rejected | PayoutState::Expired | PayoutState::Cancelled
    );
    payout.settled || closed
}

/// What a version spends.
pub(super) fn places(version: &PayoutVersion) -> impl Iterator<Item = Place> {
    let inputs = version.inputs.iter().flat_map(|one| &one.outpoint);
    inputs.filter_map(|one| Some((Hash::from_slice(&one.txid)?, one.vout)))
}

fn txid(version: &PayoutVersion) -> Hash {
    Hash::from_slice(&version.txid).unwrap_or_default()
}

impl World {
    /// The ledger tells of a payout.
    pub(super) fn check_told(&mut self, payout: &Payout) {
        let id = &payout.id;
        for (number, older) in payout.versions.iter().enumerate() {
            for newer in &payout.versions[number + 1..] {
                let shared = older.inputs.iter().any(|one| newer.inputs.contains(one));
                if !shared {
                    self.violation(format!("{id}: two of its transactions share no coin"));
                }
            }
        }
        let waits = !is_over(payout) || payout.frozen;
        let named = match payout.state() {
            PayoutState::Proposed | PayoutState::Approved | PayoutState::Signing => {
                !payout.awaited.is_empty()
            }
            PayoutState::Ready => payout.frozen || !payout.awaited.is_empty(),
            _ => true,
        };
        if waits && (payout.awaits.is_empty() || !named) {
            let state = payout.state().as_str_name();
            self.violation(format!("{id} in {state} says nobody whom it waits for"));
        }
        if payout.parent.is_some() {
            self.check_child(payout);
        } else if payout.sign_from_ms > 0 {
            self.check_approval(payout);
        }
    }

    /// A child pays nobody, and spends its parent's change alone.
    fn check_child(&mut self, payout: &Payout) {
        let parent = payout.parent.clone().unwrap_or_default();
        let of_parent = |version: &PayoutVersion| {
            let places: Vec<Place> = places(version).collect();
            matches!(places[..], [(txid, _)] if txid.0[..] == parent.txid[..])
        };
        if !payout.recipients.is_empty() || !payout.versions.iter().all(of_parent) {
            let id = &payout.id;
            self.violation(format!("{id} is a child that does something else"));
        }
    }

    /// Enough copayers approve, one of whom did not propose.
    fn check_approval(&mut self, payout: &Payout) {
        let id = &payout.id;
        let needed = if payout.amount_sats <= SMALL_SATS {
            1
        } else {
            usize::try_from(self.plan.approvals).unwrap_or(usize::MAX)
        };
        let known = |member: &String| (0..self.plan.copayers).any(|one| copayer_id(one) == *member);
        let mut by: Vec<&String> = payout.approvals.iter().map(|one| &one.member_id).collect();
        by.sort();
        by.dedup();
        let another = by.iter().any(|member| **member != payout.creator);
        if by.len() < needed || !another || !by.iter().all(|member| known(member)) {
            self.violation(format!("{id} was approved by {by:?} alone"));
        }
    }

    /// What is in the chain now.
    pub(super) fn check_chain(&mut self) {
        let tip = self.net.tip();
        if self.checked == Some(tip) {
            return;
        }
        let last = self.checked.replace(tip).map_or(0, |last| last.height);
        let lowest = last.min(tip.height).saturating_sub(DEPTH_MAX);
        for height in lowest + 1..=tip.height {
            let Some(block) = self.net.block_at(height) else {
                continue;
            };
            let spends = |one: &&Transaction| self.net.spends_ours(one);
            let all: Vec<Transaction> = block.transactions.iter().filter(spends).cloned().collect();
            for one in all {
                self.check_spend(&one);
            }
        }
        let known: Vec<&Payout> = self.known.values().collect();
        let mut found = Vec::new();
        for payout in known {
            let versions = payout.versions.iter().map(txid);
            let mined = versions.filter(|one| self.net.height_of(one).is_some());
            if mined.count() > 1 {
                found.push(format!("{} is in the chain twice", payout.id));
            }
        }
        found.into_iter().for_each(|what| self.violation(what));
    }

    /// A transaction that spends coins of the wallet.
    fn check_spend(&mut self, spend: &Transaction) {
        let known = !self.checked_spends.insert(spend.txid);
        if known || self.people.thefts.contains(&spend.txid) {
            return;
        }
        let of = self.known.values().find_map(|payout| {
            let mut versions = payout.versions.iter();
            let version = versions.find(|version| txid(version) == spend.txid)?;
            Some((payout.clone(), version.clone()))
        });
        let Some((payout, version)) = of else {
            let txid = spend.txid;
            return self.violation(format!("{txid} leaves the wallet without a payout"));
        };
        let id = payout.id.clone();
        if payout.sign_from_ms == 0 {
            self.violation(format!("{id} is in the chain and was never approved"));
        }
        let intent = match payout.parent {
            Some(_) => Some(Intent::default()),
            None => self.intents.get(&id).cloned(),
        };
        let Some(intent) = intent else {
            return self.violation(format!("nobody wanted {id}"));
        };
        if intent.sats != payout.amount_sats {
            self.violation(format!("{id} pays another amount than was wanted"));
        }
        if self.plan.allow_list && !intent.refunds {
            for one in &intent.recipients {
                let listed = self.people.allowed.get(&one.address);
                if listed.is_none_or(|from_ms| *from_ms > payout.proposed_at_ms) {
                    self.violation(format!("{id} pays who is not on the list"));
                }
            }
        }
        let mut wanted = if version.kind() == PayoutKind::Cancel {
            Vec::new()
        } else {
            intent.recipients
        };
        let mut change = 0;
        for output in &spend.outputs {
            let is = |one: &PayoutRecipient| {
                let to = script(&one.address).map(bitcoin::ScriptBuf::into_bytes);
                one.amount_sats == output.amount_sats && to.as_deref() == Some(&output.script[..])
            };
            if let Some(at) = wanted.iter().position(is) {
                wanted.swap_remove(at);
            } else if self.net.is_change(&output.script) {
                change += 1;
            } else {
                self.violation(format!("{id} pays somebody whom nobody named"));
            }
        }
        if !wanted.is_empty() || change > 1 {
            self.violation(format!("{id} does not pay as it was wanted"));
        }
    }

    /// When all has come to an end and is buried.
    pub(super) fn check_end(&mut self) {
        let found = self.replicas.compare();
        found.into_iter().for_each(|what| self.violation(what));
        let mut found = self.check_paid_refunds();
        let state = self.replicas.state();
        if let Err(what) = audit::full(state) {
            found.push(format!("the audit: {what}"));
        }
        let balance = |name: &str| {
            let accounts = query::balances(state, name);
            let one = accounts.iter().find(|one| one.name == name);
            one.map_or(0, |one| one.balance_sats)
        };
        let has: u64 = self
            .net
            .unspent_of_wallet()
            .map(|(_, one)| one.amount_sats)
            .sum();
        let has = i64::try_from(has).unwrap_or(i64::MAX);
        let (bitcoin, waits) = (balance("asset:bitcoin"), balance("asset:unconfirmed"));
        if (bitcoin, waits) != (has, 0) {
            found.push(format!(
                "the books have {bitcoin} and {waits} sats, the chain {has}"
            ));
        }
        let paid: u64 = self
            .intents
            .iter()
            .filter(|(id, intent)| !intent.refunds && self.is_paid(id))
            .map(|(_, intent)| intent.sats)
            .sum();
        let paid = i64::try_from(paid).unwrap_or(i64::MAX);
        let booked = balance("expense:payouts");
        if booked != paid {
            found.push(format!(
                "the books have paid {booked} sats, the chain {paid}"
            ));
        }
        let accounts = query::balances(state, "liability:payout:");
        if !accounts.is_empty() {
            found.push(format!("the books have reserved {accounts:?}"));
        }
        let watched = self
            .watchers
            .iter()
            .filter(|one| !one.payouts.is_empty())
            .count();
        if watched > 0 {
            found.push(format!("{watched} nodes watch what is buried"));
        }
        found.into_iter().for_each(|what| self.violation(what));
    }

    /// Whether the chain has paid its recipients.
    pub(super) fn is_paid(&self, id: &str) -> bool {
        let versions = self.known.get(id).map(|payout| &payout.versions);
        versions.into_iter().flatten().any(|version| {
            let mined = self.net.height_of(&txid(version)).is_some();
            mined && version.kind() != PayoutKind::Cancel
        })
    }

    /// Those that have not come to an end.
    pub(super) fn unfinished(&self) -> Vec<&Payout> {
        let all = self.known.values();
        all.filter(|payout| !is_over(payout) || payout.frozen)
            .collect()
    }

    /// Why one of them has not, for people.
    pub(super) fn describe_unfinished(&self, payout: &Payout) -> String {
        let state = payout.state().as_str_name();
        let (id, frozen, awaits) = (&payout.id, payout.frozen, &payout.awaits);
        let spender = |version: &PayoutVersion| {
            let told = places(version).map(|place| self.net.describe(&place));
            format!(
                "version {}: {}",
                version.number,
                told.collect::<Vec<_>>().join(", ")
            )
        };
        let coins: Vec<String> = payout.versions.iter().map(spender).collect();
        let coins = coins.join("; ");
        format!("{id} has not come to an end: {state}, frozen {frozen}, awaits {awaits}; {coins}")
    }
}
