//! Final blocks for a node that was away: read from the store, and sent as
//! consensus encodes them.

use bytes::Bytes;
use dctrl_consensus::{
    Certificate, FinalBlock, Limits, Message,
    message::{self, BlocksGone},
};
use dctrl_proto::v1::BlockPayload;
use dctrl_store::Store;
use prost::Message as _;

use super::PipelineError;

/// The part of the blocks' stream from `index` on that begins at `offset`.
pub(super) fn blocks(store: &Store, index: u64, offset: u64) -> Result<Bytes, PipelineError> {
    let snapshot = store.snapshot();
    // Of very old blocks only the header is kept; and what comes behind the
    // state that was taken over begins with that.
    let first = snapshot.first_block()?;
    if index < first || snapshot.block(index)?.is_none() {
        return Ok(Message::BlocksGone(BlocksGone { index, first }).encode());
    }
    let mut failed = None;
    let blocks = (index..=snapshot.final_height()?).map_while(|height| {
        let read = || -> Result<Option<FinalBlock>, PipelineError> {
            let (certificate, payload) = (snapshot.certificate(height)?, snapshot.block(height)?);
            let Some((certificate, payload)) = certificate.zip(payload) else {
                return Ok(None);
            };
            let certificate =
                Certificate::decode(&certificate).map_err(|_| PipelineError::Block)?;
            let payload =
                BlockPayload::decode(payload.as_slice()).map_err(|_| PipelineError::Block)?;
            let transactions = payload.transactions.into_iter().map(Bytes::from).collect();
            Ok(Some(FinalBlock {
                certificate,
                transactions,
            }))
        };
        read().unwrap_or_else(|error| {
            failed = Some(error);
            None
        })
    });
    let answer = message::blocks_answer(index, offset, blocks, &Limits::default());
    match failed {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}
