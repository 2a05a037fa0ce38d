//! Answer requests, one at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};

use dctrl_proto::v1::{DoorReply, DoorRequest, Refusal, RefusalCode, door_reply};
use prost::Message as _;

use super::{Done, Job, Shared};
use crate::bus::stats::count;
use crate::limits::FRAME_BYTES_MAX;

/// Takes jobs until the desk is gone or the door is told to stop.
pub(super) fn run(
    jobs: &Mutex<Receiver<Job>>,
    done: &SyncSender<Done>,
    shared: &Shared,
    answer: &(dyn Fn([u8; 32], DoorRequest) -> DoorReply + Send + Sync),
) {
    loop {
        // The guard lives for this statement only, so another worker can wait
        // for the next job while this one is answered.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let id = job.request.id;
        // Each request gets one reply, even one that trips the node's own
        // code: a caller must not wait for nothing, nor stop the others.
        let reply = catch_unwind(AssertUnwindSafe(|| answer(job.key, job.request)));
        let reply = reply.unwrap_or_else(|_| {
            count(&shared.counters.failed);
            tracing::error!("a request at the door ended in a panic");
            let text = "this node failed on the request; ask another one";
            refused(id, RefusalCode::Unavailable, "door.failed", text)
        });
        let finished = Done {
            routing_id: job.routing_id,
            key: job.key,
            reply: encode(id, reply, shared),
        };
        if done.send(finished).is_err() {
            return;
        }
        shared.waker.wake();
    }
}

fn encode(id: u64, mut reply: DoorReply, shared: &Shared) -> Vec<u8> {
    reply.id = id;
    if reply.encoded_len() > FRAME_BYTES_MAX {
        count(&shared.counters.oversize_replies);
        let text = "the answer is too long for one reply; ask for less at once";
        reply = refused(id, RefusalCode::Exhausted, "door.reply_bytes", text);
    }
    reply.encode_to_vec()
}

/// A reply that says no.
pub(super) fn refused(id: u64, code: RefusalCode, rule: &str, text: &str) -> DoorReply {
    let refusal = Refusal::rule(code, rule, text);
    DoorReply {
        id,
        reply: Some(door_reply::Reply::Refusal(refusal)),
    }
}
