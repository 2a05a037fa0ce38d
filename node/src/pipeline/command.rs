//! What other threads may ask of the pipeline.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use bytes::Bytes;
use dctrl_consensus::{
    Limits, PublicKey, RefusalReason, explain::Window, message::VerifiedMessage,
};
use dctrl_net::wake::Waker;
use dctrl_proto::v1::{Refusal, RefusalCode};
use tokio::sync::Notify;

use super::{
    gate::Gate,
    places::{Place, Places},
};
use crate::space::Space;

/// Commands that may wait for the pipeline. Peers' messages take a part of it
/// only, bounded in bytes, so that users are never crowded out.
pub const COMMANDS_MAX: usize = 4096;

/// How long a look at the graph may wait for the pipeline.
const WINDOW_WAIT: Duration = Duration::from_secs(2);

/// One request to the pipeline.
#[derive(Debug)]
pub(crate) enum Command {
    /// A message whose signatures have been checked.
    Receive {
        from: PublicKey,
        message: Box<VerifiedMessage>,
        /// Given back when the message was taken.
        place: Place,
    },
    /// Show the latest events of the graph.
    Window {
        events_max: usize,
        reply: SyncSender<Window>,
    },
    /// Ask another node to submit an action of this one.
    Entrust(Bytes),
    /// Speak from the disk of this number from the next epoch on.
    SpeakFrom(u64),
    /// Finish what is in the queue and end.
    Stop,
}

impl Command {
    /// How many bytes it brings.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Receive { place, .. } => place.bytes(),
            Self::Entrust(action) => action.len(),
            Self::Window { .. } | Self::SpeakFrom(_) | Self::Stop => 0,
        }
    }
}

/// The way to the pipeline.
#[derive(Debug, Clone)]
pub struct PipelineHandle {
    sender: SyncSender<Command>,
    /// Ends the sleep of the pipeline, which is in the poll of the network.
    waker: Arc<Waker>,
    places: Places,
    /// Whether consensus takes actions now.
    gate: Arc<Gate>,
    set_back: Arc<Notify>,
}

impl PipelineHandle {
    pub(crate) fn new(sender: SyncSender<Command>, waker: Arc<Waker>, limits: &Limits) -> Self {
        Self {
            sender,
            waker,
            places: Places::default(),
            gate: Arc::new(Gate::new(limits)),
            set_back: Arc::default(),
        }
    }

    /// Told when the disk proves to be older than what was sent from it.
    pub(crate) fn set_back(&self) -> Arc<Notify> {
        Arc::clone(&self.set_back)
    }

    /// Where the pipeline says whether it takes actions.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Refuses new work while this disk is nearly full.
    pub(crate) fn refuse_where_full(&self, space: Space) {
        self.gate.watch(space);
    }

    /// What ends the pipeline's sleep.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Makes the pipeline look around.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Hands in an admitted action.
    ///
    /// # Errors
    /// EXHAUSTED when the pool of consensus is full, UNAVAILABLE when the node
    /// stops, makes no events any more, or its disk is nearly full.
    pub fn submit(&self, action: Bytes) -> Result<(), Refusal> {
        if self.gate.disk_is_full() {
            return Err(Refusal::rule(
                RefusalCode::Unavailable,
                "node.disk_full",
                "the node's disk is nearly full, so it takes no new work; ask another one",
            ));
        }
        let bytes = action.len();
        match self.gate.enter(bytes) {
            Ok(()) => {}
            Err(RefusalReason::Stopped) => {
                return Err(Refusal::rule(
                    RefusalCode::Unavailable,
                    "node.stopped",
                    "the node only follows and proposes nothing; ask another one",
                ));
            }
            Err(_) => {
                return Err(Refusal::rule(
                    RefusalCode::Exhausted,
                    "node.pool",
                    "too many actions wait to be ordered; try again",
                ));
            }
        }
        if self.gate.put(action) {
            self.wake();
        }
        Ok(())
    }

    /// Asks another node to submit an action, for a node that makes no events.
    /// It may get lost, here or on its way.
    pub(crate) fn entrust(&self, action: Bytes) {
        let _ = self.sender.try_send(Command::Entrust(action));
        self.wake();
    }

    /// From the next epoch on the node speaks from the disk of this number, where
    /// the roster names it. Waits while many commands do.
    pub(crate) fn speak_from(&self, instance: u64) {
        // An error means that the pipeline has ended.
        let _ = self.sender.send(Command::SpeakFrom(instance));
        self.wake();
    }

    /// Shows the latest events of the graph.
    ///
    /// # Errors
    /// UNAVAILABLE where the pipeline is too busy to answer, or stops.
    pub fn window(&self, events_max: usize) -> Result<Window, Refusal> {
        let busy = || {
            Refusal::rule(
                RefusalCode::Unavailable,
                "node.busy",
                "the node is too busy to show its graph; ask another one",
            )
        };
        let (reply, window) = sync_channel(1);
        self.sender
            .try_send(Command::Window { events_max, reply })
            .map_err(|_| busy())?;
        self.wake();
        window.recv_timeout(WINDOW_WAIT).map_err(|_| busy())
    }

    /// Hands in a peer's message of this length; waits while too much waits
    /// already, so that the peer's own share of the inbox fills. False when the
    /// pipeline has ended.
    pub(crate) fn receive(&self, from: PublicKey, message: VerifiedMessage, bytes: usize) -> bool {
        let place = self.places.wait(bytes);
        let sent = self.sender.send(Command::Receive {
            from,
            message: Box::new(message),
            place,
        });
        self.wake();
        sent.is_ok()
    }

    /// Asks the pipeline to end.
    pub(crate) fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.sender.send(Command::Stop);
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use dctrl_net::wake;

    use super::*;

    #[test]
    fn what_consensus_would_drop_is_refused_with_the_reason() {
        let (sender, _commands) = sync_channel(4);
        let (waker, _end) = wake::pair().expect("a pair of sockets");
        let handle = PipelineHandle::new(sender, Arc::new(waker), &Limits::default());
        let code = |reason| {
            handle.gate().close(reason);
            let refused = handle.submit(Bytes::from_static(b"pay"));
            refused.err().map(|refusal| refusal.code())
        };
        let full = Some(RefusalReason::PoolFull);
        assert_eq!(code(full), Some(RefusalCode::Exhausted));
        let stopped = Some(RefusalReason::Stopped);
        assert_eq!(code(stopped), Some(RefusalCode::Unavailable));
        assert!(handle.gate().take().is_empty());
        assert_eq!(code(None), None);
        assert_eq!(handle.gate().take(), ["pay"]);
    }
}
