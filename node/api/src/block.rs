//! One block as the store keeps it.

use dctrl_consensus::certificate::{BlockHeader, Certificate};
use dctrl_proto::{
    action::action_id,
    v1::{BlockPayload, BlockReply, SignedAction},
};
use dctrl_store::Snapshot;
use prost::Message;

use crate::{read::ReadError, refusal};

/// The block at `height`, with its certificate where there is one.
pub(crate) fn block(snapshot: &Snapshot<'_>, height: u64) -> Result<BlockReply, ReadError> {
    let (header, payload) = (snapshot.header(height)?, snapshot.block(height)?);
    let (Some(header), Some(payload)) = (header, payload) else {
        let (first, last) = (snapshot.first_block()?, snapshot.height()?);
        if (1..=last).contains(&height) {
            let message = format!(
                "This node keeps blocks from {} on; ask another one.",
                first.max(1)
            );
            return Err(refusal::not_found("block.pruned", "height", message).into());
        }
        let message = format!("This node has no block {height}; its last is {last}.");
        return Err(refusal::not_found("block.height", "height", message).into());
    };
    let header = BlockHeader::decode(&header)?;
    let payload = BlockPayload::decode(payload.as_slice())?;
    let certificate = snapshot.certificate(height)?.unwrap_or_default();
    Ok(BlockReply {
        height,
        round: header.round,
        time_ms: header.time.as_millis(),
        previous: header.previous.0.to_vec(),
        payload_root: header.payload_root.0.to_vec(),
        state_digest: header.state_digest.0.to_vec(),
        outputs_root: header.outputs_root.0.to_vec(),
        action_ids: action_ids(&payload).iter().map(|id| id.to_vec()).collect(),
        signers: signers(&certificate)?,
        certificate,
    })
}

/// Ids of the transactions that are actions; what a faulty node slipped in
/// beside them has none.
pub(crate) fn action_ids(payload: &BlockPayload) -> Vec<[u8; 32]> {
    payload
        .transactions
        .iter()
        .filter_map(|bytes| SignedAction::decode(bytes.as_slice()).ok())
        .map(|action| action_id(&action))
        .collect()
}

fn signers(certificate: &[u8]) -> Result<Vec<u32>, ReadError> {
    if certificate.is_empty() {
        return Ok(Vec::new());
    }
    let certificate = Certificate::decode(certificate)?;
    Ok(certificate
        .signatures
        .iter()
        .map(|(node, _)| node.0.into())
        .collect())
}
