//! The way in for actions: the ledger's guard on the latest state, then the
//! pipeline. The same for gRPC and for the door.
//!
//! Who hands in an action alone waits for nobody. Actions that several hand in
//! at the same time are guarded together, which costs less than half: one look
//! at the state, and one batch of signatures.

mod combine;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use dctrl_ledger::{Admitted, admit_all};
use dctrl_proto::v1::{ActionBody, Receipt, Refusal, RefusalCode, SignedAction, Submitted};
use dctrl_store::Store;
use prost::Message;

use crate::{pipeline::PipelineHandle, signatures::ActionSignatures, waiting::Waiting};
use combine::Combiner;

/// What became of an action that was handed in.
pub(crate) type Outcome = Result<Submitted, Refusal>;

/// Admits actions on behalf of one node. Clones share the work.
#[derive(Clone)]
pub struct Admission {
    store: Store,
    pipeline: PipelineHandle,
    signatures: ActionSignatures,
    combiner: Arc<Combiner<SignedAction, Outcome>>,
    waiting: Arc<Waiting>,
    closed: Arc<AtomicBool>,
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
            combiner: Arc::default(),
            waiting: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// Refuses at once what the latest state refuses; hands on the rest. An
    /// action that was applied before is answered with its receipt.
    ///
    /// # Errors
    /// The ledger's refusal, or EXHAUSTED and UNAVAILABLE from the node.
    pub fn submit(&self, action: SignedAction) -> Result<Submitted, Refusal> {
        let outcome = self.combiner.run(action, |all| self.submit_all(&all));
        outcome.unwrap_or_else(|| {
            let message = "the node could not look at the action; try again";
            Err(Refusal::rule(
                RefusalCode::Unavailable,
                "node.admission",
                message,
            ))
        })
    }

    /// [`Self::submit`] for each of many that came together.
    pub(crate) fn submit_all(&self, actions: &[SignedAction]) -> Vec<Outcome> {
        let state = self.store.snapshot();
        let admitted = admit_all(&state, wall_clock_ms(), actions, &self.signatures);
        drop(state);
        let both = actions.iter().zip(admitted);
        both.map(|(action, admitted)| self.hand_on(action, admitted?))
            .collect()
    }

    /// Takes no more actions. Who hands in one that has ended is still told how.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether all that was taken here has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the action was taken here and is not ordered yet.
    pub(crate) fn holds(&self, id: &[u8; 32]) -> bool {
        self.waiting.has(id)
    }

    /// A block at this consensus time is durable, with these receipts.
    pub(crate) fn ordered(&self, receipts: &[Receipt], now_ms: u64) {
        let ids = receipts.iter().map(|receipt| receipt.action_id.as_slice());
        self.waiting.ordered(ids, now_ms);
    }

    fn hand_on(&self, action: &SignedAction, admitted: Admitted) -> Outcome {
        if admitted.already.is_none() {
            if self.closed.load(Ordering::SeqCst) {
                return Err(Refusal::rule(
                    RefusalCode::Unavailable,
                    "node.stopping",
                    "this node is stopping and takes no more actions; ask another one",
                ));
            }
            // Noted first: its block may be applied before the call returns, and
            // what is noted behind that is waited for until its expiry.
            let body = ActionBody::decode(action.body.as_slice()).unwrap_or_default();
            let is_new = self.waiting.add(admitted.id, body.expires_at_ms);
            let taken = self.pipeline.submit(Bytes::from(action.encode_to_vec()));
            if taken.is_err() && is_new {
                self.waiting.withdraw(&admitted.id);
            }
            taken?;
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
