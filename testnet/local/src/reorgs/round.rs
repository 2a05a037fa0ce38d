//! One round: customers and payouts come to their steps, blocks are undone, and
//! everybody comes to an end.
//!
//! With B the blocks that are undone, oldest first:
//!
//! | who | at the reorganisation |
//! | --- | --- |
//! | dispensed | paid in the first of B, dispensed |
//! | credited | paid in the first of B, the machine jammed, the price is credited |
//! | counting | paid in the last of B, more than one confirmation may carry |
//! | seen | waits in the mempool |
//! | payout, buried | in the first of B: with six blocks it is settled |
//! | payout, young | in the last of B |
//! | payout, waiting | in the mempool; proposed last in some rounds, so that the shortened chain cannot hold it and nodes must send it again |

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{PaymentState, PayoutState, Vend, VendState};

use super::{
    checks::{self, Checked},
    customers::{Paid, Pool},
    payouts::{self, Paying},
};
use crate::{
    chain::{Bitcoind, Txid},
    federation::{Federation, MACHINE, SLOT_EMPTY, SLOT_SATS},
    wait::until,
};

/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);
/// What one confirmation cannot carry.
const LARGE_SATS: u64 = 60_000;
/// Coins for payouts, and what each has.
const DEPOSITS: usize = 6;
const DEPOSIT_SATS: u64 = 100_000;
/// Payments in each round.
const PAYMENTS: usize = 10;
/// No round undoes so many.
const BURIED_BLOCKS: u32 = 12;
/// From here on everything is final.
const FINAL_BLOCKS: u32 = 6;

/// What is special about a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// How many blocks are undone.
    pub(super) depth: u32,
    /// The waiting payout is proposed last.
    pub(super) late: bool,
}

/// What is remembered of all rounds.
pub(super) struct Campaign<'f> {
    pub(super) federation: &'f Federation,
    pub(super) chain: &'f Bitcoind,
    pool: Pool,
    pub(super) vends: Vec<String>,
    pub(super) payouts: Vec<Paying>,
    /// Payments that came to their end in the chain, and what each brought.
    pub(super) kept: Vec<(Txid, u64)>,
    /// Payments that were replaced.
    pub(super) replaced: Vec<Txid>,
}

/// A customer: a vend and its payment.
struct Customer {
    vend: Vend,
    paid: Option<Paid>,
}

/// Two customers at each step; of each two the second one's payment is replaced.
struct Customers {
    dispensed: [Customer; 2],
    credited: [Customer; 2],
    counting: [Customer; 2],
    seen: [Customer; 2],
}

impl<'f> Campaign<'f> {
    /// Brings coins to customers and to the federation.
    pub(super) async fn begin(federation: &'f Federation, rounds: usize) -> Result<Self> {
        let chain = federation.chain()?.bitcoind()?;
        let mut pool = Pool::split(chain, DEPOSITS + PAYMENTS * rounds).await?;
        federation.mine(1).await?;
        let vend = federation.quote(SLOT_SATS).await?;
        let mut kept = Vec::new();
        for _ in 0..DEPOSITS {
            let paid = pool.pay(chain, &vend.address, DEPOSIT_SATS).await?;
            kept.push((paid.txid, DEPOSIT_SATS));
        }
        federation.mine(BURIED_BLOCKS).await?;
        let campaign = Self {
            federation,
            chain,
            pool,
            vends: vec![vend.id.clone()],
            payouts: Vec::new(),
            kept,
            replaced: Vec::new(),
        };
        campaign.ends(&vend.id, VendState::Dispensed).await?;
        campaign.all_final().await?;
        Ok(campaign)
    }

    /// One round.
    pub(super) async fn play(&mut self, round: Round) -> Result<()> {
        let mut customers = self.customers().await?;
        let buried = payouts::propose(self.federation, self.chain).await?;
        let young = payouts::propose(self.federation, self.chain).await?;
        let mut waiting = None;
        if !round.late {
            waiting = Some(payouts::propose(self.federation, self.chain).await?);
        }
        let first = self.federation.chain()?.height().await? + 1;
        self.fill_blocks(round, &mut customers, &buried, &young)
            .await?;

        self.pay(&mut customers.seen, 0).await?;
        let waiting = match waiting {
            Some(waiting) => waiting,
            None => payouts::propose(self.federation, self.chain).await?,
        };
        payouts::sign(self.federation, &waiting).await?;
        for one in &customers.seen {
            self.ends(&one.vend.id, VendState::PaymentSeen).await?;
        }
        self.payouts.extend([buried, young, waiting]);
        self.undo(first, round.depth, &customers).await?;
        self.finish(customers).await
    }

    /// From the first to the last of the blocks that will be undone.
    async fn fill_blocks(
        &mut self,
        round: Round,
        customers: &mut Customers,
        buried: &Paying,
        young: &Paying,
    ) -> Result<()> {
        payouts::sign(self.federation, buried).await?;
        self.pay(&mut customers.dispensed, 0).await?;
        self.pay(&mut customers.credited, 0).await?;
        if round.depth > 1 {
            self.federation.mine(round.depth - 1).await?;
        }
        payouts::sign(self.federation, young).await?;
        self.pay(&mut customers.counting, LARGE_SATS).await?;
        self.federation.mine(1).await?;

        for one in &customers.dispensed {
            self.ends(&one.vend.id, VendState::Dispensed).await?;
        }
        for one in &customers.credited {
            self.ends(&one.vend.id, VendState::Credited).await?;
        }
        for paid in customers.counting.iter().flat_map(|one| &one.paid) {
            self.payment(paid.txid, &[PaymentState::Confirmed]).await?;
        }
        for payout in [buried, young] {
            let confirmed = [PayoutState::Confirmed];
            self.federation
                .payout_reaches(&payout.id, &confirmed)
                .await?;
        }
        if round.depth >= FINAL_BLOCKS {
            self.federation.payout_settles(&buried.id).await?;
        }
        for one in &customers.counting {
            let vend = self.federation.client()?.vend(&one.vend.id).await?;
            ensure!(vend.received_sats == 0, "counted too early: {vend:?}");
        }
        Ok(())
    }

    /// Undoes the newest blocks; another branch takes their place, in which of each
    /// two payments the second one was replaced.
    async fn undo(&mut self, first: u32, depth: u32, customers: &Customers) -> Result<()> {
        let tip = self.federation.chain()?.height().await?;
        ensure!(first + depth == tip + 1, "{depth} blocks below {tip}");
        let hash = self
            .chain
            .run(&["getblockhash", &first.to_string()])
            .await?;
        self.chain.run(&["invalidateblock", &hash]).await?;
        for [kept, replaced] in customers.all() {
            let paid = kept.paid.as_ref().context("nothing was paid")?;
            let sats = kept.vend.received_sats;
            self.kept.push((paid.txid, sats));
            let paid = replaced.paid.as_ref().context("nothing was paid")?;
            self.pool.take_back(self.chain, paid).await?;
            self.replaced.push(paid.txid);
        }
        self.federation.mine(depth + 1).await?;
        let best = self.chain.run(&["getbestblockhash"]).await?;
        let client = self.federation.client()?;
        until(STEP_LIMIT, "the new branch to be agreed", async || {
            let tip = client.status().await?.chain_tip.unwrap_or_default();
            Ok((hex::encode(tip.hash) == best).then_some(()))
        })
        .await?;
        for [_, replaced] in customers.all() {
            let paid = replaced.paid.as_ref().context("nothing was paid")?;
            self.payment(paid.txid, &[PaymentState::Replaced]).await?;
        }
        Ok(())
    }

    /// Who has nothing pays again, and everything becomes final.
    async fn finish(&mut self, mut customers: Customers) -> Result<()> {
        for (sats, one) in [
            (LARGE_SATS, &mut customers.counting[1]),
            (one_price(&customers.seen[1]), &mut customers.seen[1]),
        ] {
            let vend = self.federation.client()?.vend(&one.vend.id).await?;
            ensure!(vend.received_sats == 0 && vend.sequence == 0, "{vend:?}");
            let paid = self.pool.pay(self.chain, &vend.address, sats).await?;
            self.kept.push((paid.txid, sats));
        }
        for payout in &self.payouts {
            let states = [PayoutState::Broadcast, PayoutState::Confirmed];
            self.federation.payout_reaches(&payout.id, &states).await?;
        }
        self.federation.mine(FINAL_BLOCKS).await?;
        for one in customers.counting.iter().chain(&customers.seen) {
            self.ends(&one.vend.id, VendState::Dispensed).await?;
        }
        self.all_final().await
    }

    /// Compares everything with the chain.
    pub(super) async fn check(&self) -> Result<Checked> {
        checks::all(self).await
    }

    /// Two quotes for each step.
    async fn customers(&mut self) -> Result<Customers> {
        self.restock(SLOT_SATS).await?;
        self.restock(SLOT_EMPTY).await?;
        Ok(Customers {
            dispensed: self.two(SLOT_SATS).await?,
            credited: self.two(SLOT_EMPTY).await?,
            counting: self.two(SLOT_SATS).await?,
            seen: self.two(SLOT_SATS).await?,
        })
    }

    async fn two(&mut self, slot: &str) -> Result<[Customer; 2]> {
        let one = self.federation.quote(slot).await?;
        let two = self.federation.quote(slot).await?;
        self.vends.extend([one.id.clone(), two.id.clone()]);
        Ok([one, two].map(|vend| Customer { vend, paid: None }))
    }

    /// Both pay so much, or the price.
    async fn pay(&mut self, two: &mut [Customer; 2], sats: u64) -> Result<()> {
        for one in two {
            let sats = sats.max(one.vend.price_sats);
            let address = &one.vend.address;
            one.paid = Some(self.pool.pay(self.chain, address, sats).await?);
            // Remembered until the payment is known to stay.
            one.vend.received_sats = sats;
        }
        Ok(())
    }

    /// Puts goods in as far as there is room.
    async fn restock(&self, slot: &str) -> Result<()> {
        let now = self.federation.client()?.slot(MACHINE, slot).await?;
        let room = now.capacity.saturating_sub(now.stock + now.held);
        if room == 0 {
            return Ok(());
        }
        let added = room.to_string();
        let restock = ["slots", "restock", "--machine", MACHINE, "--slot", slot];
        let all = [&restock[..], &["--added", &added]].concat();
        self.federation.cli().json(&all).await.map(drop)
    }

    async fn ends(&self, id: &str, state: VendState) -> Result<Vend> {
        let client = self.federation.client()?;
        until(
            STEP_LIMIT,
            format!("vend {id} to be {state:?}"),
            async || {
                let vend = client.vend(id).await?;
                Ok((vend.state() == state).then_some(vend))
            },
        )
        .await
    }

    async fn payment(&self, txid: Txid, states: &[PaymentState]) -> Result<()> {
        let client = self.federation.client()?;
        let what = format!("payment {txid} to be {states:?}");
        until(STEP_LIMIT, what, async || {
            let payments = client.payments().await?;
            let found = payments.iter().any(|payment| {
                let outpoint = payment.outpoint.as_ref();
                let of = outpoint.is_some_and(|one| one.txid == txid.0);
                of && states.contains(&payment.state())
            });
            Ok(found.then_some(()))
        })
        .await
    }

    /// Waits until nothing is left to be decided.
    async fn all_final(&self) -> Result<()> {
        for (txid, _) in &self.kept {
            self.payment(*txid, &[PaymentState::Final]).await?;
        }
        for payout in &self.payouts {
            let id = &payout.id;
            until(STEP_LIMIT, format!("payout {id} to rest"), async || {
                let now = self.federation.payout(id).await?;
                Ok((now.settled && !now.frozen).then_some(()))
            })
            .await?;
        }
        Ok(())
    }
}

fn one_price(customer: &Customer) -> u64 {
    customer.vend.price_sats
}

impl Customers {
    fn all(&self) -> [&[Customer; 2]; 4] {
        [&self.dispensed, &self.credited, &self.counting, &self.seen]
    }
}
