//! How the node is: what is on disk, and what the pipeline says of itself.

use dctrl_ledger::query;
use dctrl_proto::v1::Status as NodeStatus;
use dctrl_store::Snapshot;

use crate::{LiveStatus, NodeFacts, read::ReadError};

/// The status at the snapshot's height.
pub(crate) fn status(
    snapshot: &Snapshot<'_>,
    facts: &NodeFacts,
    live: LiveStatus,
) -> Result<NodeStatus, ReadError> {
    let tip = query::chain_tip(snapshot);
    Ok(NodeStatus {
        federation: facts.genesis.name.clone(),
        cluster: facts.cluster.to_vec(),
        network: facts.genesis.network.clone(),
        node: facts.name.clone(),
        node_index: facts.index.into(),
        version: facts.version.clone(),
        height: snapshot.height()?,
        final_height: snapshot.final_height()?,
        time_ms: query::meta(snapshot).time_ms,
        state_digest: query::state_digest(snapshot).to_vec(),
        round: live.round,
        pool: live.pool,
        undecided_events: live.undecided_events,
        peers: live.peers,
        // A tip without a hash is one that was not agreed yet.
        chain_tip: (!tip.hash.is_empty()).then_some(tip),
        rates: query::rates(snapshot),
        alerts: live.alerts,
        chain_backends: live.chain_backends,
    })
}
