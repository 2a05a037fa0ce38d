//! Asking a federation: a quote as a customer, its state as an operator.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Status, Vend};

use super::{Federation, MACHINE};

impl Federation {
    /// Asks for a quote with the command line, and gives the vend.
    ///
    /// # Errors
    /// A refusal.
    pub async fn quote(&self, slot: &str) -> Result<Vend> {
        let answer = self
            .cli()
            .json(&["vend", "quote", "--machine", MACHINE, "--slot", slot])
            .await?;
        let vend = answer.get("vend").context("a quote without a vend")?;
        serde_json::from_value(vend.clone()).context("a quote with a strange vend")
    }

    /// Status of every running node that answers.
    pub async fn statuses(&self) -> BTreeMap<usize, Status> {
        let mut statuses = BTreeMap::new();
        for node in self.live() {
            if let Ok(status) = self.clients[node].status().await {
                statuses.insert(node, status);
            }
        }
        statuses
    }

    /// The highest height that every running node has, and each one's digest
    /// of the state there.
    ///
    /// # Errors
    /// Where a running node does not answer.
    pub async fn digests(&self) -> Result<(u64, BTreeMap<usize, Vec<u8>>)> {
        let statuses = self.statuses().await;
        ensure!(
            statuses.len() == self.live().count(),
            "only {} of the running nodes answer",
            statuses.len()
        );
        let height = statuses
            .values()
            .map(|status| status.height)
            .min()
            .context("no node runs")?;
        let mut digests = BTreeMap::new();
        for node in self.live() {
            let block = self.clients[node].block(height).await?;
            digests.insert(node, block.state_digest);
        }
        Ok((height, digests))
    }
}
