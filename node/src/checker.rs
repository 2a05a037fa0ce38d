//! Peers' messages: decoded and their signatures checked before the pipeline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use dctrl_consensus::{ClusterId, Limits, NodeIndex, Roster, message};

use crate::pipeline::PipelineHandle;

/// Messages that may wait to be checked.
const MESSAGES_MAX: usize = 1024;

/// What came from a peer: never trusted before it is checked.
pub(crate) struct Received {
    pub(crate) from: NodeIndex,
    pub(crate) bytes: Vec<u8>,
}

/// Where the network puts what it received.
#[derive(Clone)]
pub(crate) struct Inbox {
    sender: SyncSender<Received>,
    dropped: Arc<AtomicU64>,
}

impl Inbox {
    /// Never blocks the network's thread: what does not fit is dropped and
    /// counted, and the peers' repair brings it again.
    pub(crate) fn put(&self, from: NodeIndex, bytes: Vec<u8>) {
        if self.sender.try_send(Received { from, bytes }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The rules that messages are checked against.
pub(crate) struct Rules {
    pub(crate) cluster: ClusterId,
    pub(crate) roster: Roster,
    pub(crate) limits: Limits,
}

/// An inbox and the end that the checker reads.
pub(crate) fn inbox() -> (Inbox, Receiver<Received>) {
    let (sender, receiver) = sync_channel(MESSAGES_MAX);
    let inbox = Inbox {
        sender,
        dropped: Arc::default(),
    };
    (inbox, receiver)
}

/// Checks messages until the network or the pipeline ends.
pub(crate) fn start(
    received: Receiver<Received>,
    rules: Rules,
    pipeline: PipelineHandle,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("checker".to_owned())
        .spawn(move || {
            for Received { from, bytes } in received {
                match checked(&bytes, &rules) {
                    Ok(message) => {
                        if !pipeline.receive(from, message) {
                            return;
                        }
                    }
                    Err(reason) => {
                        tracing::warn!(%from, reason, "refused a peer's message");
                    }
                }
            }
        })
}

fn checked(bytes: &[u8], rules: &Rules) -> Result<message::VerifiedMessage, String> {
    message::decode(bytes, &rules.limits)
        .map_err(|error| error.to_string())?
        .verify(&rules.roster, &rules.cluster)
        .map_err(|error| error.to_string())
}
