//! The way in for actions: the ledger's guard on the latest state, then the
//! pipeline. The same for gRPC and for the door.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dctrl_ledger::admit_with;
use dctrl_proto::v1::{Refusal, SignedAction, Submitted};
use dctrl_store::Store;
use prost::Message;

use crate::{pipeline::PipelineHandle, signatures::ActionSignatures};

/// Admits actions on behalf of one node.
#[derive(Clone)]
pub struct Admission {
    store: Store,
    pipeline: PipelineHandle,
    signatures: ActionSignatures,
}

impl Admission {
    /// Admits to `pipeline`, by the state in `store` and by what `signatures`
    /// says.
    #[must_use]
    pub(crate) fn new(
        store: Store,
        pipeline: PipelineHandle,
        signatures: ActionSignatures,
    ) -> Self {
        Self {
            store,
            pipeline,
            signatures,
        }
    }

    /// Refuses at once what the latest state refuses; hands on the rest. An
    /// action that was applied before is answered with its receipt.
    ///
    /// # Errors
    /// The ledger's refusal, or EXHAUSTED and UNAVAILABLE from the node.
    pub fn submit(&self, action: &SignedAction) -> Result<Submitted, Refusal> {
        let state = self.store.snapshot();
        let admitted = admit_with(&state, wall_clock_ms(), action, &self.signatures)?;
        if admitted.already.is_none() {
            self.pipeline.submit(Bytes::from(action.encode_to_vec()))?;
        }
        Ok(Submitted {
            action_id: admitted.id.to_vec(),
            receipt: admitted.already,
        })
    }
}

/// Milliseconds since the Unix epoch by this machine's clock.
#[must_use]
pub fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
