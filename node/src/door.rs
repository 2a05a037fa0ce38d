//! What the node answers at its door: replay, submission, receipts, rosters.

use dctrl_ledger::query;
use dctrl_proto::v1::{
    DoorReply, DoorRequest, GetReceipt, Refusal, RefusalCode, Replay, ReplayReply, RosterChain,
    door_reply::Reply, door_request::Request,
};
use dctrl_store::{Store, StoreError};
use prost::Message;

use crate::admission::Admission;

/// Frames in one reply where the caller names no number, and at most.
const FRAMES_PER_REPLY_MAX: u32 = 256;

/// Bytes of frames in one reply; a reply must stay below the 1 MiB of a
/// ZeroMQ message.
const REPLY_BYTES_MAX: usize = 768 * 1024;

/// Topics in one replay request.
const TOPICS_MAX: usize = 64;

/// Answers requests at the door.
#[derive(Clone)]
pub(crate) struct Door {
    store: Store,
    admission: Admission,
}

impl Door {
    pub(crate) fn new(store: Store, admission: Admission) -> Self {
        Self { store, admission }
    }

    /// Exactly one reply for each request.
    pub(crate) fn answer(&self, request: DoorRequest) -> DoorReply {
        let reply = match request.request {
            Some(Request::Replay(replay)) => self.replay(&replay).map(Reply::Replay),
            Some(Request::Submit(action)) => self.admission.submit(action).map(Reply::Submitted),
            Some(Request::GetReceipt(wanted)) => self.receipt(&wanted),
            Some(Request::GetRosterChain(wanted)) => {
                self.rosters(wanted.after_number).map(Reply::RosterChain)
            }
            None => Err(Refusal::field(
                RefusalCode::Invalid,
                "door.request",
                "request",
                "the request is empty or of a kind that this node does not know",
            )),
        };
        DoorReply {
            id: request.id,
            reply: Some(reply.unwrap_or_else(Reply::Refusal)),
        }
    }

    fn replay(&self, replay: &Replay) -> Result<ReplayReply, Refusal> {
        if replay.topics.len() > TOPICS_MAX {
            return Err(Refusal::field(
                RefusalCode::Invalid,
                "door.topics",
                "replay.topics",
                format!("at most {TOPICS_MAX} topics in one request"),
            ));
        }
        let most = match replay.frames_max {
            0 => FRAMES_PER_REPLY_MAX,
            asked => asked.min(FRAMES_PER_REPLY_MAX),
        };
        let snapshot = self.store.snapshot();
        let read = snapshot
            .frames(
                (replay.after_height, replay.after_sub_index),
                &replay.topics,
                most as usize,
            )
            .map_err(|error| unreadable(&error))?;
        let mut reply = ReplayReply {
            frames: Vec::with_capacity(read.frames.len()),
            covered_height: read.covered_height,
            more: read.more,
        };
        let mut bytes = 0;
        for frame in read.frames {
            bytes += frame.encoded_len();
            if bytes > REPLY_BYTES_MAX && !reply.frames.is_empty() {
                reply.more = true;
                break;
            }
            reply.frames.push(frame);
        }
        Ok(reply)
    }

    fn rosters(&self, after: u64) -> Result<RosterChain, Refusal> {
        let read = self.store.snapshot().roster_steps(after);
        let read = read.map_err(|error| unreadable(&error))?;
        Ok(RosterChain {
            steps: read.steps,
            more: read.more,
        })
    }

    fn receipt(&self, wanted: &GetReceipt) -> Result<Reply, Refusal> {
        query::receipt(&self.store.snapshot(), &wanted.action_id)
            .map(Reply::Receipt)
            .ok_or_else(|| {
                Refusal::field(
                    RefusalCode::Notfound,
                    "action.id",
                    "action_id",
                    "no action with this id has been applied",
                )
            })
    }
}

fn unreadable(error: &StoreError) -> Refusal {
    if let StoreError::Pruned { first } = error {
        return Refusal::rule(
            RefusalCode::Unavailable,
            "replay.pruned",
            format!("this node keeps frames from block {first} on; ask another one"),
        );
    }
    tracing::error!(%error, "cannot read the store for a caller of the door");
    Refusal::rule(
        RefusalCode::Unavailable,
        "node.store",
        "this node cannot read its store; ask another one",
    )
}
