//! What leaves the wallet: I5, each payout is paid once at most, and as it was
//! wanted; I6, no two payouts hold a coin; I7, nothing is spent that was not
//! ordered and approved (the chain itself asks for the signatures).

use std::collections::BTreeMap;

use dctrl_effects::chain::{Hash, Output, Transaction};
use dctrl_proto::v1::{Payout, PayoutKind, PayoutVersion};

use crate::copayer_keys::CHANGE;
use crate::full::copayers::is_over;
use crate::full::script::script_of;
use crate::full::world::World;

fn txid(version: &PayoutVersion) -> Hash {
    Hash::from_slice(&version.txid).unwrap_or_default()
}

impl World {
    /// Looks at what the newest blocks spend of the wallet, from this height.
    pub(in crate::full) fn check_spends(&mut self, first: u32) {
        let mut found = Vec::new();
        for height in first..=self.market.chain.tip().height {
            let block = self.market.chain.block_at(height);
            let transactions = block.into_iter().flat_map(|block| &block.transactions);
            let spends = transactions.filter(|one| !one.inputs.is_empty());
            found.extend(spends.filter_map(|spend| self.check_spend(spend).err()));
        }
        found.into_iter().for_each(|what| self.violation(what));
    }

    fn check_spend(&self, spend: &Transaction) -> Result<(), String> {
        let payouts = self.checks.books.payouts.values();
        let mut made = payouts.flat_map(|one| one.versions.iter().map(move |it| (one, it)));
        let (payout, version) = made
            .find(|(_, version)| txid(version) == spend.txid)
            .ok_or(format!("{} spends what no payout ordered", spend.txid))?;
        let id = &payout.id;
        let intent = self.copayers.intent(payout);
        let intent = intent.ok_or(format!("nobody proposed {id}"))?;
        let approved = payout.approvals.len() >= payout.approvals_needed as usize;
        let cancels = version.kind() == PayoutKind::Cancel;
        if !approved || !(intent.wanted || cancels) {
            return Err(format!("{id} is on the chain, and was never wanted"));
        }
        let mut wanted: Vec<(Vec<u8>, u64)> = Vec::new();
        if !cancels {
            let recipients = intent.recipients.iter();
            wanted.extend(recipients.map(|one| (script_of(&one.address), one.amount_sats)));
        }
        let change = self.copayers.keys.leaf(CHANGE, version.change_index);
        let mut left: Vec<&Output> = spend.outputs.iter().collect();
        for (script, sats) in wanted {
            let is = |one: &&Output| one.script == script && one.amount_sats == sats;
            let at = left.iter().position(is);
            left.swap_remove(at.ok_or(format!("{id} does not pay as it was wanted"))?);
        }
        match left.as_slice() {
            [] => Ok(()),
            [one] if one.script == change.output.as_bytes() => Ok(()),
            _ => Err(format!("{id} pays somebody whom nobody named")),
        }
    }

    /// No two payouts that are not over hold a coin.
    pub(in crate::full) fn check_locks(&self) -> Result<(), String> {
        let mut held: BTreeMap<(&[u8], u32), &str> = BTreeMap::new();
        let payouts = self.checks.books.payouts.values();
        for payout in payouts.filter(|payout| !is_over(payout)) {
            let versions = payout.versions.iter();
            let inputs = versions.flat_map(|version| &version.inputs);
            for coin in inputs.filter_map(|input| input.outpoint.as_ref()) {
                let before = held.insert((&coin.txid, coin.vout), &payout.id);
                if let Some(before) = before.filter(|before| *before != payout.id) {
                    return Err(format!("{before} and {} hold one coin", payout.id));
                }
            }
        }
        Ok(())
    }

    /// What the books say of each settled payout, against the chain.
    pub(in crate::full) fn check_settled(&self) -> Vec<String> {
        let all = 0..=self.market.chain.tip().height;
        let blocks = all.filter_map(|height| self.market.chain.block_at(height));
        let mined: BTreeMap<Hash, &Transaction> = blocks
            .flat_map(|block| &block.transactions)
            .map(|one| (one.txid, one))
            .collect();
        let payouts = self.checks.books.payouts.values();
        payouts
            .filter_map(|payout| self.check_payment(payout, &mined).err())
            .collect()
    }

    fn check_payment(
        &self,
        payout: &Payout,
        mined: &BTreeMap<Hash, &Transaction>,
    ) -> Result<(), String> {
        let id = &payout.id;
        let versions = payout.versions.iter();
        let paid: Vec<&PayoutVersion> = versions
            .filter(|version| mined.contains_key(&txid(version)))
            .collect();
        if paid.len() > 1 {
            return Err(format!("{id} is on the chain {} times", paid.len()));
        }
        if payout.settled != (paid.len() == 1) {
            let settled = payout.settled;
            return Err(format!(
                "{id} is settled: {settled}, in the chain: {paid:?}"
            ));
        }
        let Some(version) = paid.first() else {
            return Ok(());
        };
        let spend = mined[&txid(version)];
        let sum = |outputs: &mut dyn Iterator<Item = &Output>| -> u64 {
            outputs.map(|one| one.amount_sats).sum()
        };
        let coins = spend.inputs.iter();
        let coins: Vec<Output> = coins.filter_map(|one| self.market.output(one)).collect();
        let (has, pays) = (sum(&mut coins.iter()), sum(&mut spend.outputs.iter()));
        let change = self.copayers.keys.leaf(CHANGE, version.change_index);
        let ours = |one: &&Output| one.script == change.output.as_bytes();
        let back = sum(&mut spend.outputs.iter().filter(ours));
        let booked = (payout.reserved_sats, payout.reserved_fee_sats);
        if booked == (pays - back, has.saturating_sub(pays)) {
            Ok(())
        } else {
            Err(format!(
                "{id} is booked as {booked:?}: {has} sats, {pays} paid, {back} of them back"
            ))
        }
    }
}
