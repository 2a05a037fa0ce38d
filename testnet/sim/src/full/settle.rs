//! The phases of a run: safety, while faults strike; liveness, after which all
//! must have come right; and replay, in which every disk must lead there again.

use std::collections::BTreeMap;

use dctrl_effects::chain::Hash;
use dctrl_ledger::{audit, query};
use dctrl_proto::v1::{Payment, PaymentState};

use super::checks::check_bounds;
use super::copayers::is_over;
use super::market::Step;
use super::node::Node;
use super::plan::Planted;
use super::world::World;
use crate::scenario::SECOND;

/// Steps of one run at most: the bound of the simulator's own loop.
const STEPS_MAX: u64 = 20_000_000;
/// How long everything may take to come right after the healing: a vend whose
/// machine is not free waits for ten minutes.
const PATIENCE: u64 = 15 * 60 * SECOND;
/// Steps between two looks at all that waits.
const LOOK_EVERY: u64 = 512;
/// In one run of so many, the disks of all nodes are read again.
const ALL_REPLAYED_EVERY: u64 = 8;
/// Confirmations behind which the ledger must have booked a payment.
const DEEP: u32 = 8;

impl World {
    pub(super) fn run_phases(&mut self) {
        self.until_settled();
        self.forget_final();
        if self.violations.is_empty() {
            let found = self.found_at_the_end();
            found.into_iter().for_each(|what| self.violation(what));
        }
        if self.violations.is_empty() {
            self.check_replay();
        }
    }

    fn until_settled(&mut self) {
        let patience = self.plan.heal_at + PATIENCE;
        while let Some((time, happening)) = self.agenda.pop() {
            self.now = time;
            self.happen(happening);
            self.maybe_strike();
            if self.steps.is_multiple_of(LOOK_EVERY) {
                let bounds = check_bounds(self);
                self.check(bounds);
                self.check(self.check_locks());
                if self.now > self.plan.heal_at && self.settled() {
                    return;
                }
            }
            if !self.violations.is_empty() {
                return;
            }
            if self.now > patience || self.steps > STEPS_MAX {
                let after = (self.now - self.plan.heal_at) / SECOND;
                let progress = self.progress();
                return self.violation(format!("not settled {after} s after healing: {progress}"));
            }
        }
    }

    /// The network is whole, and everyone who can be is back.
    pub(super) fn heal(&mut self) {
        for agent in 0..self.agents.len() {
            self.start_agent(agent, false);
        }
    }

    fn sound(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| self.plan.cast.sound(node.seat))
    }

    /// Whether all that was begun has ended, everywhere.
    fn settled(&self) -> bool {
        let bought = self.market.purchases.iter();
        bought.clone().all(|one| one.step == Step::Done)
            && self.is_past_blow(DEEP)
            && self.checks.books.open_vends().next().is_none()
            && self.copayers_are_done()
            && self.sound().all(|node| self.is_level(node))
            && self.receipts_are_told()
            && self.payments_are_known().is_ok()
    }

    fn is_level(&self, node: &Node) -> bool {
        node.is_up() && node.store.final_height + 2 >= self.checks.agreement.last_final()
    }

    /// Every machine knows that its receipts were applied.
    fn receipts_are_told(&self) -> bool {
        self.agents.iter().all(|agent| {
            agent
                .durable()
                .is_some_and(|durable| durable.receipts.is_empty())
        })
    }

    /// Whether the ledger believes of each payment what the chain holds.
    fn payments_are_known(&self) -> Result<(), String> {
        let known: BTreeMap<Hash, &Payment> = self
            .checks
            .books
            .payments()
            .filter_map(|payment| {
                let outpoint = payment.outpoint.as_ref()?;
                // Other outputs than the first are what liars speak of.
                let outpoint = (outpoint.vout == 0).then_some(outpoint)?;
                Some((Hash::from_slice(&outpoint.txid)?, payment))
            })
            .filter(|(txid, _)| self.market.paid.contains_key(txid))
            .collect();
        let chain = &self.market.chain;
        let mut there: BTreeMap<Hash, u32> = BTreeMap::new();
        for height in 0..=chain.tip().height {
            let block = chain.block_at(height);
            for transaction in block.into_iter().flat_map(|block| &block.transactions) {
                there.insert(transaction.txid, chain.tip().height + 1 - height);
            }
        }
        for (txid, (_, sats)) in &self.market.paid {
            let deep = there.get(txid).copied().unwrap_or(0);
            let payment = known.get(txid);
            let booked = payment.is_some_and(|payment| payment.booked);
            let state = payment.map(|payment| payment.state());
            if deep >= DEEP && !(booked && state == Some(PaymentState::Final)) {
                let what = format!("{sats} sats in {txid} are {deep} deep and not booked");
                return Err(format!("{what}: {payment:?}"));
            }
            let waits = chain.mempool().iter().any(|one| one.txid == *txid);
            let gone = matches!(
                state,
                None | Some(PaymentState::Replaced | PaymentState::Reported)
            );
            if deep == 0 && !waits && !gone {
                return Err(format!(
                    "{sats} sats in {txid} are gone, and {state:?} in the books"
                ));
            }
        }
        Ok(())
    }

    fn progress(&self) -> String {
        let open: Vec<String> = self
            .checks
            .books
            .open_vends()
            .map(|vend| {
                format!(
                    "\n  vend {} of {} {:?}",
                    vend.id,
                    vend.machine_id,
                    vend.state()
                )
            })
            .collect();
        let nodes = self.nodes.iter().map(|node| {
            let (height, last) = (node.store.height, node.store.final_height);
            let summary = node.engine.as_ref().map(crate::engine::Engine::summary);
            let pool = summary.map(|summary| (summary.pool_transactions, summary.stopped));
            format!(
                "\n  node {}: {height} executed, {last} final, {pool:?}",
                node.seat
            )
        });
        let agents = self.agents.iter().map(|agent| {
            let durable = agent.durable();
            let receipts = durable.map(|one| (one.receipts.len(), one.life.clone()));
            let why = agent.machine.as_ref().and_then(|one| one.not_ready());
            format!("\n  machine {}: {receipts:?} {why:?}", agent.id)
        });
        let payouts = self.checks.books.payouts.values();
        let payouts = payouts.filter(|payout| !is_over(payout)).map(|payout| {
            let (id, state) = (&payout.id, payout.state().as_str_name());
            let (frozen, awaits) = (payout.frozen, &payout.awaits);
            format!("\n  payout {id} {state}, frozen {frozen}, awaits {awaits}")
        });
        let waiting = self.market.purchases.iter();
        let waiting = waiting.filter(|one| one.step != Step::Done).count();
        let money = self.payments_are_known();
        let lines = open.into_iter().chain(payouts).chain(nodes).chain(agents);
        let lines: String = lines.collect();
        format!("{waiting} purchases go on, {money:?}{lines}")
    }

    /// What is wrong once all has come to rest.
    fn found_at_the_end(&self) -> Vec<String> {
        let mut found = Vec::new();
        found.extend(self.payments_are_known().err());
        found.extend(self.check_settled());
        let agreement = &self.checks.agreement;
        for node in self.sound() {
            let seat = node.seat;
            for (index, kept) in &node.store.blocks {
                let known = agreement.final_hash(*index);
                if known.is_some_and(|known| known != kept.header.hash()) {
                    found.push(format!("node {seat} holds another block {index}"));
                }
            }
            for (action, height) in agreement.all_acknowledged() {
                let receipt = query::receipt(&node.store.state, action);
                let there = receipt.is_some_and(|receipt| receipt.height == *height);
                if *height <= node.store.final_height && !there {
                    found.push(format!(
                        "node {seat} lost an action that was final in block {height}"
                    ));
                }
            }
        }
        if let Some(node) = self.sound().next()
            && let Err(failure) = audit::full(&node.store.state)
        {
            found.push(failure.to_string());
        }
        found
    }

    /// A disk leads to the state that its node is in: all of them in every
    /// eighth run, and else one that the seed names, since reading a whole log
    /// costs as much as a tenth of a run.
    fn check_replay(&mut self) {
        let mut seats: Vec<usize> = self.sound().map(|node| node.seat).collect();
        let all = self.plan.planted.is_some() || self.seed.is_multiple_of(ALL_REPLAYED_EVERY);
        if !all && !seats.is_empty() {
            let one = self.seed % seats.len() as u64;
            seats = vec![seats[usize::try_from(one).unwrap_or(0)]];
        }
        for seat in seats {
            let store = &mut self.nodes[seat].store;
            let (state, height) = (store.state.clone(), store.height);
            let same = store.open_durable().is_some() && store.state == state;
            if !same || store.height != height {
                self.violation(format!("the disk of node {seat} leads elsewhere"));
            }
        }
    }

    /// The planted error: a node forgets the last block that it told as final.
    fn forget_final(&mut self) {
        if self.plan.planted == Some(Planted::ForgetFinal) {
            let last = self.nodes[0].store.final_height;
            self.nodes[0].store.forget(last);
        }
    }
}
