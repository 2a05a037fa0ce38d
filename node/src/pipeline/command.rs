//! What other threads may ask of the pipeline.

use std::sync::mpsc::{SyncSender, TrySendError};

use bytes::Bytes;
use dctrl_consensus::{NodeIndex, message::VerifiedMessage};
use dctrl_proto::v1::{Refusal, RefusalCode};

/// Commands that may wait for the pipeline. At 1 MiB a message this bounds
/// memory; in practice messages are a few kilobytes.
pub const COMMANDS_MAX: usize = 4096;

/// One request to the pipeline.
#[derive(Debug)]
pub(crate) enum Command {
    /// An admitted action, to be ordered.
    Submit(Bytes),
    /// A message whose signatures have been checked.
    Receive {
        from: NodeIndex,
        message: Box<VerifiedMessage>,
    },
    /// Finish what is in the queue and end.
    Stop,
}

/// The way to the pipeline.
#[derive(Debug, Clone)]
pub struct PipelineHandle {
    sender: SyncSender<Command>,
}

impl PipelineHandle {
    pub(crate) fn new(sender: SyncSender<Command>) -> Self {
        Self { sender }
    }

    /// Hands in an admitted action.
    ///
    /// # Errors
    /// EXHAUSTED when the queue is full, UNAVAILABLE when the node stops.
    pub fn submit(&self, action: Bytes) -> Result<(), Refusal> {
        self.sender
            .try_send(Command::Submit(action))
            .map_err(|error| match error {
                TrySendError::Full(_) => Refusal::rule(
                    RefusalCode::Exhausted,
                    "node.queue",
                    "the node has more work than it can take; try again",
                ),
                TrySendError::Disconnected(_) => Refusal::rule(
                    RefusalCode::Unavailable,
                    "node.stopping",
                    "the node is stopping; ask another one",
                ),
            })
    }

    /// Hands in a peer's message; waits while the queue is full, so that the
    /// peer's own bounded queue fills. False when the pipeline has ended.
    pub(crate) fn receive(&self, from: NodeIndex, message: VerifiedMessage) -> bool {
        self.sender
            .send(Command::Receive {
                from,
                message: Box::new(message),
            })
            .is_ok()
    }

    /// Asks the pipeline to end.
    pub(crate) fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.sender.send(Command::Stop);
    }
}
