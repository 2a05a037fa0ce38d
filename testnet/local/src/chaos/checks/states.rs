//! Equal states at equal heights, under certificates that hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use dctrl_consensus::certificate::Certificate;
use dctrl_follow::{Federation as Followed, Rosters};
use dctrl_proto::v1::{BlockReply, GetRosterChain};
use tokio::task::JoinSet;

use super::{Findings, settle};
use crate::{
    chaos::load::{self, Load},
    client::Client,
    federation::Federation,
};

/// Heights up to the last one that are compared on all nodes.
const COMPARED_MAX: u64 = 400;

/// Waits until every node holds the same last block as final.
pub(super) async fn settled(federation: &Federation) -> Result<()> {
    let since = Instant::now();
    settle(since, "all nodes to hold the same last block", async || {
        let statuses = federation.statuses().await;
        ensure!(
            statuses.len() == federation.len(),
            "only {} nodes answer",
            statuses.len()
        );
        let heights: Vec<_> = statuses
            .values()
            .map(|status| (status.height, status.final_height))
            .collect();
        let last = heights.iter().map(|(height, _)| *height).max();
        // Blocks without anybody's action still come, now and then.
        let close = |(height, last_final): &(u64, u64)| {
            last.is_some_and(|last| last - height <= 2 && last - last_final <= 4)
        };
        ensure!(heights.iter().all(close), "they are at {heights:?}");
        Ok(Some(()))
    })
    .await
}

/// Compares the last states of all nodes, and checks the certificate of every
/// block in which something was promised.
pub(super) async fn check(federation: &Federation, load: &Load, findings: &mut Findings) {
    findings.digests_equal = true;
    let statuses = federation.statuses().await;
    let last = statuses.values().map(|status| status.final_height).min();
    let last = last.unwrap_or(0);
    let mut digests: BTreeMap<u64, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let promised = promised_by_height(load);
    let mut heights: BTreeSet<u64> = promised.keys().copied().collect();
    heights.extend(last.saturating_sub(COMPARED_MAX).max(1)..=last);
    let mut verifier = match Verifier::new(federation) {
        Ok(verifier) => verifier,
        Err(error) => return findings.violation(format!("no rosters: {error:#}")),
    };
    let clients: Vec<Client> = (0..federation.len())
        .map(|node| federation.client_of(node))
        .collect();
    for height in heights {
        let mut everywhere = 0;
        let mut certified = false;
        for (node, block) in blocks(&clients, height).await {
            let client = &clients[node];
            everywhere += 1;
            digests
                .entry(height)
                .or_default()
                .insert(block.state_digest.clone());
            if certified || block.certificate.is_empty() {
                continue;
            }
            match verifier.verify(client, &block).await {
                Ok(()) => certified = true,
                Err(error) => {
                    findings.violation(format!("node {node}, block {height}: {error:#}"));
                }
            }
            missing(&promised, &block, node, findings);
        }
        findings.certificates += usize::from(certified && promised.contains_key(&height));
        findings.heights_compared += usize::from(everywhere == federation.len());
    }
    for (height, digests) in digests {
        if digests.len() > 1 {
            findings.digests_equal = false;
            findings.violation(format!("the states differ at height {height}"));
        }
    }
    if findings.heights_compared == 0 {
        findings.digests_equal = false;
        findings.violation("there is no height at which all nodes can be compared");
    }
}

/// The block at a height of each node that holds it: one that a node has
/// pruned or skipped is no finding.
async fn blocks(clients: &[Client], height: u64) -> Vec<(usize, BlockReply)> {
    let mut asked = JoinSet::new();
    for (node, client) in clients.iter().cloned().enumerate() {
        asked.spawn(async move { (node, client.block(height).await.ok()) });
    }
    let mut held: Vec<_> = asked.join_all().await;
    held.sort_unstable_by_key(|(node, _)| *node);
    held.into_iter()
        .filter_map(|(node, block)| Some((node, block?)))
        .collect()
}

type Promised = BTreeMap<u64, Vec<Vec<u8>>>;

fn promised_by_height(load: &Load) -> Promised {
    let promises = load.promises();
    let mut by_height = Promised::new();
    for (id, promise) in promises.finals() {
        by_height
            .entry(promise.height)
            .or_default()
            .push(id.to_vec());
    }
    by_height
}

/// What was promised in a block must be in it.
fn missing(promised: &Promised, block: &BlockReply, node: usize, findings: &mut Findings) {
    let held: BTreeSet<_> = block.action_ids.iter().collect();
    for id in promised.get(&block.height).into_iter().flatten() {
        if !held.contains(id) {
            findings.lost_final += 1;
            let id = hex::encode(id);
            findings.violation(format!(
                "block {} of node {node} lacks the action {id} that was final in it",
                block.height
            ));
        }
    }
}

/// Verifies certificates, and learns who signs from what the nodes show.
struct Verifier {
    rosters: Rosters,
}

impl Verifier {
    fn new(federation: &Federation) -> Result<Self> {
        let genesis = load::genesis(federation)?;
        Ok(Self {
            rosters: Rosters::of(&Followed::from_genesis(&genesis)?),
        })
    }

    async fn verify(&mut self, client: &Client, block: &BlockReply) -> Result<()> {
        let certificate = Certificate::decode(&block.certificate)?;
        if self.rosters.verify(&certificate).is_err() {
            self.learn(client).await?;
        }
        self.rosters.verify(&certificate)?;
        let header = &certificate.header;
        ensure!(
            header.index == block.height
                && header.state_digest.0.as_slice() == block.state_digest
                && header.payload_root.0.as_slice() == block.payload_root,
            "the certificate belongs to another block"
        );
        Ok(())
    }

    async fn learn(&mut self, client: &Client) -> Result<()> {
        loop {
            let after_number = self.rosters.newest();
            let request = GetRosterChain { after_number };
            let chain = client.grpc().roster_chain(request).await?.into_inner();
            let new = self.rosters.take(&chain.steps).context("no chain")?;
            if !chain.more || new == 0 {
                return Ok(());
            }
        }
    }
}
