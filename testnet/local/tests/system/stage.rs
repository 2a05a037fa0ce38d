//! What every scenario needs: a running federation that leaves its logs behind
//! when the scenario fails, and the customer's moves.

use std::{
    ops::{Deref, DerefMut},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Payment, PaymentState, Vend, VendState};
use dctrl_testnet::{Federation, MACHINE, Options, Programs, SLOT_SATS, Txid, until};
use tempfile::TempDir;

/// How long a step of a vend may take.
pub(crate) const STEP_LIMIT: Duration = Duration::from_secs(60);

/// A federation for one scenario.
pub(crate) struct Stage {
    federation: Federation,
    folder: Option<TempDir>,
}

impl Stage {
    /// Keys, genesis and settings; nothing runs yet.
    pub(crate) async fn init(options: Options) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path().join("federation");
        Ok(Self {
            federation: Federation::init(options, Programs::find()?, &dir).await?,
            folder: Some(folder),
        })
    }

    /// A federation whose machine sells.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let mut stage = Self::init(options).await?;
        stage.federation.start().await?;
        Ok(stage)
    }

    /// Ends the scenario: everything stops by itself when asked.
    pub(crate) async fn end(mut self) -> Result<()> {
        let killed = self.federation.stop().await;
        ensure!(
            killed.is_empty(),
            "these did not stop when asked: {}",
            killed.join(", ")
        );
        Ok(())
    }

    /// Pays a quote in full; the payment waits in the mempool.
    pub(crate) async fn pay(&self, vend: &Vend) -> Result<Txid> {
        self.chain()?.pay(&vend.address, vend.price_sats).await
    }

    /// Waits until the vend is in one of `states`.
    pub(crate) async fn reaches(&self, id: &str, states: &[VendState]) -> Result<Vend> {
        let client = self.client()?;
        let mut last = String::new();
        until(
            STEP_LIMIT,
            format!("vend {id} to be {states:?}"),
            async || {
                let vend = client.vend(id).await?;
                last = format!("{:?}", vend.history);
                Ok(states.contains(&vend.state()).then_some(vend))
            },
        )
        .await
        .with_context(|| last.clone())
    }

    /// A vend from the quote to its end: paid, seen, confirmed, dispensed.
    pub(crate) async fn vend(&self, slot: &str) -> Result<Vend> {
        let vend = self.quote(slot).await?;
        self.pay(&vend).await?;
        self.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
        self.chain()?.mine(1).await?;
        self.reaches(&vend.id, &[VendState::Dispensed]).await
    }

    /// Waits until the ledger holds a payment of `txid` in `state`.
    pub(crate) async fn payment(&self, txid: Txid, state: PaymentState) -> Result<Payment> {
        let client = self.client()?;
        until(
            STEP_LIMIT,
            format!("payment {txid} to be {state:?}"),
            async || {
                let payments = client.payments().await?;
                Ok(payments.into_iter().find(|payment| {
                    payment.state() == state
                        && payment
                            .outpoint
                            .as_ref()
                            .is_some_and(|outpoint| outpoint.txid == txid.0)
                }))
            },
        )
        .await
    }

    /// Waits until the federation agrees on a chain at least this high.
    pub(crate) async fn agrees_on_chain(&self, height: u32) -> Result<()> {
        let client = self.client()?;
        until(
            STEP_LIMIT,
            format!("chain height {height} to be agreed"),
            async || {
                let tip = client.status().await?.chain_tip.unwrap_or_default();
                Ok((tip.height >= height).then_some(()))
            },
        )
        .await
    }

    /// Waits until the federation agrees on a price of bitcoin, which a price
    /// in a currency needs.
    pub(crate) async fn agrees_on_price(&self) -> Result<()> {
        let client = self.client()?;
        until(STEP_LIMIT, "a price to be agreed", async || {
            Ok((!client.status().await?.rates.is_empty()).then_some(()))
        })
        .await
    }

    /// What must be true after every scenario: equal states on all running
    /// nodes at a height not below `height`, books that sum to zero, and goods
    /// that are all accounted for.
    pub(crate) async fn is_sound(&self, height: u64) -> Result<()> {
        let (at, digests) = until(
            STEP_LIMIT,
            format!("all nodes to reach {height}"),
            async || {
                let (at, digests) = self.digests().await?;
                Ok((at >= height).then_some((at, digests)))
            },
        )
        .await?;
        let first = digests.values().next().context("no node runs")?;
        ensure!(
            digests.values().all(|digest| digest == first),
            "the states differ at height {at}: {digests:?}"
        );
        let client = self.client()?;
        let (accounts, sum) = client.balances().await?;
        ensure!(sum == 0, "the books sum to {sum}: {accounts:?}");
        for slot in client.machine(MACHINE).await?.slots {
            let out = u64::from(slot.stock) + u64::from(slot.held) + slot.sold + slot.shrinkage;
            ensure!(slot.received == out, "goods are missing: {slot:?}");
        }
        Ok(())
    }

    /// Starts a node and waits until it has what happened up to the end of a
    /// vend that it missed.
    pub(crate) async fn comes_back(&mut self, node: usize, missed: &Vend) -> Result<()> {
        self.start_node(node)?;
        self.nodes_ready().await?;
        self.is_sound(Self::height_of(missed)).await
    }

    /// Sells with another node dead, so that every other one is needed.
    pub(crate) async fn sells_without(&mut self, node: usize) -> Result<()> {
        self.kill_node(node);
        let vend = self.vend(SLOT_SATS).await?;
        self.is_sound(Self::height_of(&vend)).await
    }

    /// Height of the block in which the vend came to its present state.
    pub(crate) fn height_of(vend: &Vend) -> u64 {
        vend.history.last().map_or(0, |step| step.height)
    }
}

impl Deref for Stage {
    type Target = Federation;

    fn deref(&self) -> &Federation {
        &self.federation
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Federation {
        &mut self.federation
    }
}

impl Drop for Stage {
    /// A scenario that ended early left an error: its logs are kept for it.
    fn drop(&mut self) {
        let ended = self.federation.live().next().is_none();
        if (thread::panicking() || !ended)
            && let Some(folder) = self.folder.take()
        {
            eprintln!(
                "the logs of this scenario are kept in {}",
                folder.keep().display()
            );
        }
    }
}
