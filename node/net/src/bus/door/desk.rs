//! Take requests from the socket, hand them to the workers, return replies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use dctrl_proto::v1::{DoorReply, DoorRequest, RefusalCode};
use prost::Message as _;

use super::worker;
use super::{Done, Job, Shared};
use crate::bus::stats::count;
use crate::limits;
use crate::received::{Received, receive};
use crate::socket::Listener;
use crate::wake::WakeEnd;
use crate::zap::{Domain, Zap};

/// Routing id and payload.
const PARTS: usize = 2;

pub(super) struct Desk {
    zap: Zap,
    listener: Listener,
    wake_end: WakeEnd,
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    /// Requests in work by caller; a caller without one has no row.
    in_work: BTreeMap<[u8; 32], usize>,
}

impl Desk {
    pub(super) fn new(
        zap: Zap,
        listener: Listener,
        wake_end: WakeEnd,
        shared: Arc<Shared>,
        jobs: SyncSender<Job>,
        done: Receiver<Done>,
    ) -> Self {
        Self {
            zap,
            listener,
            wake_end,
            shared,
            jobs,
            done,
            in_work: BTreeMap::new(),
        }
    }

    /// Runs until it is told to stop. The workers end when it drops its ends.
    pub(super) fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if let Err(error) = self.turn() {
                tracing::error!(%error, "the door ends: its context is gone");
                break;
            }
        }
        self.listener.close();
    }

    /// Sleeps until there is work, and does a bounded amount of it.
    fn turn(&mut self) -> zmq::Result<()> {
        let mut items = [
            self.wake_end.as_poll_item(),
            self.listener.socket.as_poll_item(zmq::POLLIN),
            self.listener.monitor.as_poll_item(),
        ];
        match zmq::poll(&mut items, limits::IDLE_MS) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
        self.wake_end.clear();
        self.listener
            .monitor
            .count(&self.shared.counters.connections);
        while let Ok(done) = self.done.try_recv() {
            self.finish(&done.key);
            self.reply(&done.routing_id, &done.reply);
        }
        for _ in 0..limits::RECEIVE_BATCH {
            let Some(received) = receive(&self.listener.socket, PARTS)? else {
                break;
            };
            self.take(received);
        }
        Ok(())
    }

    /// Hands a request to the workers or refuses it: one reply in any case.
    fn take(&mut self, mut received: Received) {
        let key = received.sender_key();
        let Some(routing_id) = received.parts.first().map(|id| id.to_vec()) else {
            return;
        };
        if let Err(reply) = self.accept(key, &routing_id, &received) {
            self.reply(&routing_id, &reply.encode_to_vec());
        }
    }

    fn accept(
        &mut self,
        key: Option<[u8; 32]>,
        routing_id: &[u8],
        received: &Received,
    ) -> Result<(), Box<DoorReply>> {
        let counters = &self.shared.counters;
        let request = decode(received).map_err(|text| {
            count(&counters.malformed);
            refused(0, RefusalCode::Invalid, "door.request", text)
        })?;
        let id = request.id;
        let busy = |rule, text| {
            count(&counters.busy);
            refused(id, RefusalCode::Exhausted, rule, text)
        };
        if request.request.is_none() {
            count(&counters.malformed);
            let text = "the request names nothing that this node knows";
            return Err(refused(id, RefusalCode::Invalid, "door.request", text));
        }
        let allowed = |key: &[u8; 32]| self.zap.allowed().contains(Domain::Bus, key);
        let Some(key) = key.filter(allowed) else {
            count(&counters.unauthorised);
            let text = "this key is not allowed at the door";
            return Err(refused(id, RefusalCode::Unauth, "door.key", text));
        };
        let in_work = self.in_work.entry(key).or_insert(0);
        if *in_work >= limits::DOOR_REQUESTS_PER_KEY_MAX {
            let text = "too many requests of this key are unanswered";
            return Err(busy("door.requests_per_key", text));
        }
        let job = Job {
            routing_id: routing_id.to_vec(),
            key,
            request,
        };
        *in_work += 1;
        let handed = self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => busy("door.queue", "too many requests wait at this node"),
            TrySendError::Disconnected(_) => {
                let text = "this node is stopping";
                refused(id, RefusalCode::Unavailable, "door.stopping", text)
            }
        });
        match &handed {
            Ok(()) => count(&counters.accepted),
            Err(_) => self.finish(&key),
        }
        handed
    }

    fn finish(&mut self, key: &[u8; 32]) {
        if let Some(in_work) = self.in_work.get_mut(key) {
            *in_work -= 1;
            if *in_work == 0 {
                self.in_work.remove(key);
            }
        }
    }

    fn reply(&self, routing_id: &[u8], reply: &[u8]) {
        let socket = &self.listener.socket;
        let sent = socket
            .send(routing_id, zmq::SNDMORE | zmq::DONTWAIT)
            .and_then(|()| socket.send(reply, zmq::DONTWAIT));
        if let Err(error) = sent {
            tracing::debug!(%error, "a reply found no caller");
            count(&self.shared.counters.lost_replies);
        }
    }
}

fn refused(id: u64, code: RefusalCode, rule: &str, text: &str) -> Box<DoorReply> {
    Box::new(worker::refused(id, code, rule, text))
}

fn decode(received: &Received) -> Result<DoorRequest, &'static str> {
    let [_, payload] = received.parts.as_slice() else {
        return Err("a request is one message part");
    };
    if received.excess {
        return Err("a request is one message part");
    }
    if payload.len() > limits::DOOR_REQUEST_BYTES_MAX {
        return Err("the request is too long");
    }
    DoorRequest::decode(&**payload).map_err(|_| "the request is not an encoded DoorRequest")
}
