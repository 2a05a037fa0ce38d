//! What the node answers at its door: replay, facts, submission, how far an
//! action has come, rosters.

use std::{
    sync::{Arc, Mutex, TryLockError},
    time::{Duration, Instant},
};

use dctrl_api::{Progress, Question, ReadError, acknowledge};
use dctrl_ledger::{facts, query};
use dctrl_proto::v1::{
    DoorReply, DoorRequest, FactsReply, GetActionRequest, GetFacts, GetReceipt, Refusal,
    RefusalCode, Replay, ReplayReply, RosterChain, Stage, SubmitReply, door_reply::Reply,
    door_request::Request,
};
use dctrl_store::{Store, StoreError};
use prost::Message;
use tokio::{runtime::Handle, sync::watch};

use crate::admission::Admission;

/// Frames in one reply where the caller names no number, and at most.
const FRAMES_PER_REPLY_MAX: u32 = 256;

/// Bytes of frames in one reply; a reply must stay below the 1 MiB of a
/// ZeroMQ message.
const REPLY_BYTES_MAX: usize = 768 * 1024;

/// Topics in one replay request.
const TOPICS_MAX: usize = 64;

/// How long an answer about an action may wait for it to come further: callers
/// ask again, and a worker is not kept from the others for long.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Answers requests at the door.
#[derive(Clone)]
pub(crate) struct Door {
    store: Store,
    admission: Admission,
    progress: watch::Receiver<Progress>,
    runtime: Handle,
    /// Held by the one answer that waits: the other worker is always free.
    waits: Arc<Mutex<()>>,
}

impl Door {
    /// To be made on a thread of the runtime, whose clock it uses.
    pub(crate) fn new(
        store: Store,
        admission: Admission,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self {
            store,
            admission,
            progress,
            runtime: Handle::current(),
            waits: Arc::default(),
        }
    }

    /// Exactly one reply for each request.
    pub(crate) fn answer(&self, request: DoorRequest) -> DoorReply {
        let reply = match request.request {
            Some(Request::Replay(replay)) => self.replay(&replay).map(Reply::Replay),
            Some(Request::Submit(action)) => self.admission.submit(action).map(Reply::Submitted),
            Some(Request::GetReceipt(wanted)) => self.receipt(&wanted),
            Some(Request::GetAction(wanted)) => self.action(&wanted).map(Reply::Action),
            Some(Request::GetFacts(wanted)) => self.facts(&wanted).map(Reply::Facts),
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
        check_topics(&replay.topics)?;
        let most = match replay.frames_max {
            0 => FRAMES_PER_REPLY_MAX,
            asked => asked.min(FRAMES_PER_REPLY_MAX),
        };
        let snapshot = self.store.snapshot();
        let read = snapshot.frames(
            (replay.after_height, replay.after_sub_index),
            &replay.topics,
            most as usize,
        );
        if let Err(StoreError::Pruned { first }) = read {
            return Ok(ReplayReply {
                first_height: first,
                ..ReplayReply::default()
            });
        }
        let read = read.map_err(|error| unreadable(&error))?;
        let mut reply = ReplayReply {
            frames: Vec::with_capacity(read.frames.len()),
            covered_height: read.covered_height,
            more: read.more,
            first_height: read.first_height,
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

    /// The state as this node has it, a page from one snapshot.
    fn facts(&self, wanted: &GetFacts) -> Result<FactsReply, Refusal> {
        check_topics(&wanted.topics)?;
        let most = wanted.events_max as usize;
        let page = facts::page(&self.store.snapshot(), &wanted.topics, &wanted.cursor, most)?;
        Ok(FactsReply {
            height: page.height,
            events: page.events,
            more: !page.next.is_empty(),
            cursor: page.next,
        })
    }

    fn rosters(&self, after: u64) -> Result<RosterChain, Refusal> {
        let read = self.store.snapshot().roster_steps(after);
        let read = read.map_err(|error| unreadable(&error))?;
        Ok(RosterChain {
            steps: read.steps,
            more: read.more,
        })
    }

    /// How far an action has come; waits a little where no other answer does.
    fn action(&self, wanted: &GetActionRequest) -> Result<SubmitReply, Refusal> {
        let question = Question::try_from(wanted)?;
        let patience = Duration::from_millis(wanted.timeout_ms.into()).min(WAIT_MAX);
        let deadline = Instant::now() + patience;
        let waits = match self.waits.try_lock() {
            Ok(waits) => Some(waits),
            // It holds nothing that a panic could have broken.
            Err(TryLockError::Poisoned(waits)) => Some(waits.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let mut progress = self.progress.clone();
        loop {
            progress.borrow_and_update();
            let reached = self.acknowledged(&question)?;
            let stage = reached
                .as_ref()
                .map_or(Stage::Unspecified, SubmitReply::stage);
            let left = deadline.saturating_duration_since(Instant::now());
            let enough = stage >= wanted.wait_for().min(Stage::Final);
            if enough || left.is_zero() || waits.is_none() {
                return reached.ok_or_else(unknown_action);
            }
            let changed = async { tokio::time::timeout(left, progress.changed()).await };
            // A pipeline that has ended makes no progress any more.
            if matches!(self.runtime.block_on(changed), Ok(Err(_))) {
                return reached.ok_or_else(unknown_action);
            }
        }
    }

    fn acknowledged(&self, question: &Question) -> Result<Option<SubmitReply>, Refusal> {
        // Before the snapshot: what has left the waiting list is in the state.
        let waits = self.admission.holds(&question.id);
        acknowledge(&self.store.snapshot(), question, waits).map_err(|error| match error {
            ReadError::Refused(refusal) => refusal,
            ReadError::Store(error) => unreadable(&error),
            error => {
                tracing::error!(%error, "what is stored cannot be read for a caller of the door");
                unreadable_now()
            }
        })
    }

    fn receipt(&self, wanted: &GetReceipt) -> Result<Reply, Refusal> {
        query::receipt(&self.store.snapshot(), &wanted.action_id)
            .map(Reply::Receipt)
            .ok_or_else(unknown_action)
    }
}

fn check_topics(topics: &[String]) -> Result<(), Refusal> {
    if topics.len() <= TOPICS_MAX {
        return Ok(());
    }
    Err(Refusal::field(
        RefusalCode::Invalid,
        "door.topics",
        "topics",
        format!("at most {TOPICS_MAX} topics in one request"),
    ))
}

fn unknown_action() -> Refusal {
    Refusal::field(
        RefusalCode::Notfound,
        "action.id",
        "action_id",
        "this node knows no such action",
    )
}

fn unreadable(error: &StoreError) -> Refusal {
    tracing::error!(%error, "cannot read the store for a caller of the door");
    unreadable_now()
}

fn unreadable_now() -> Refusal {
    Refusal::rule(
        RefusalCode::Unavailable,
        "node.store",
        "this node cannot read its store; ask another one",
    )
}
