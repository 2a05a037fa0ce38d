//! Where consensus and ledger meet: an ordered block becomes state.

use std::collections::VecDeque;

use dctrl_consensus::{Block, Digest, Input, Output, merkle};
use dctrl_ledger::{BlockInput, apply};
use dctrl_proto::v1::BlockPayload;
use prost::Message;

use super::{Applied, Pipeline, PipelineError};

impl Pipeline {
    /// Applies `block` to the latest durable state and puts what follows into
    /// the batch: state, outputs, receipts (which are state), block and header.
    pub(super) fn execute(
        &mut self,
        block: &Block,
        queue: &mut VecDeque<Output>,
    ) -> Result<(), PipelineError> {
        let transactions: Vec<&[u8]> = block
            .transactions
            .iter()
            .map(|transaction| transaction.bytes.as_ref())
            .collect();
        let input = BlockInput {
            height: block.index,
            time_ms: block.time.as_millis(),
            transactions: &transactions,
        };
        let applied = apply(&self.store.snapshot(), &input);
        let state_digest = Digest(applied.state_digest);
        let outputs_root = merkle::root(&applied.outputs);

        let header = block.header(
            &self.rules.cluster,
            &self.rules.roster,
            self.previous,
            state_digest,
            outputs_root,
            Digest::ZERO,
        );
        self.previous = header.hash();

        let payload = BlockPayload {
            transactions: transactions.iter().map(|bytes| bytes.to_vec()).collect(),
        };
        self.batch
            .block(block.index, &payload.encode_to_vec(), &header.encode())
            .state(&applied.changes)
            .outputs(block.index, &applied.outputs)
            .executed(block.index);
        self.pending.any = true;
        self.pending.applied = Some(Applied {
            height: block.index,
            next_deadline_ms: applied.next_deadline_ms,
            receipts: applied.receipts,
        });
        tracing::debug!(
            height = block.index,
            actions = transactions.len(),
            state = %state_digest,
            "applied a block"
        );

        // The header and this node's signature enter the same batch.
        let follows = self.step(Input::Executed {
            index: block.index,
            state_digest,
            outputs_root,
        });
        queue.extend(follows);
        Ok(())
    }
}
