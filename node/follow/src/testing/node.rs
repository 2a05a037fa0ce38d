//! One fake node: an XPUB bus and a ROUTER door with CURVE, on one thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dctrl_access::Identity;
use dctrl_proto::action::action_id;
use dctrl_proto::topic;
use dctrl_proto::v1::{
    BusBody, BusFrame, DoorReply, DoorRequest, FactsReply, GetFacts, GetRosterChain, Refusal,
    RefusalCode, Replay, ReplayReply, RosterChain, Submitted, TipHint, door_reply, door_request,
};
use prost::Message;
use zmq::{Context, DONTWAIT, POLLIN, Socket, SocketType};

use super::{OnSubmit, Vice};
use crate::Position;

/// A hint is sent this often, so that tests are fast.
const HINT_EVERY: Duration = Duration::from_millis(50);

/// Steps in one answer: few, so that tests see several answers.
const STEPS_MAX: usize = 256;

type Stored = BTreeMap<u64, Vec<(BusBody, BusFrame)>>;

/// What all fake nodes have decided.
#[derive(Default)]
pub(super) struct Shared {
    blocks: Mutex<Stored>,
    pub(super) on_submit: Mutex<Option<OnSubmit>>,
    /// Changes of membership, as all doors show them.
    pub(super) steps: Mutex<Vec<Vec<u8>>>,
    /// Heights that one replay looks through; none means all.
    pub(super) heights_max: Mutex<Option<u64>>,
    /// A height, and the facts there.
    pub(super) facts: Mutex<(u64, Vec<BusBody>)>,
}

impl Shared {
    pub(super) fn store(&self, height: u64, frames: Vec<(BusBody, BusFrame)>) {
        self.blocks.lock().unwrap().insert(height, frames);
    }

    fn rosters(&self, wanted: &GetRosterChain) -> RosterChain {
        let steps = self.steps.lock().unwrap();
        let after = usize::try_from(wanted.after_number).unwrap();
        let mut steps: Vec<Vec<u8>> = steps.iter().skip(after).cloned().collect();
        let more = steps.len() > STEPS_MAX;
        steps.truncate(STEPS_MAX);
        RosterChain { steps, more }
    }

    /// Pages of two events each, so that tests see several.
    fn facts(&self, wanted: &GetFacts) -> FactsReply {
        let facts = self.facts.lock().unwrap();
        let (height, events) = &*facts;
        let begin = wanted.cursor.first().map_or(0, |begin| usize::from(*begin));
        let end = (begin + 2).min(events.len());
        let more = end < events.len();
        FactsReply {
            height: *height,
            events: events[begin..end].to_vec(),
            more,
            cursor: vec![u8::try_from(end).unwrap()],
        }
    }

    fn height(&self) -> u64 {
        let blocks = self.blocks.lock().unwrap();
        blocks.last_key_value().map_or(0, |(height, _)| *height)
    }

    fn replay(&self, replay: &Replay, first_height: u64) -> ReplayReply {
        if replay.after_height + 1 < first_height {
            return ReplayReply {
                first_height,
                ..ReplayReply::default()
            };
        }
        let blocks = self.blocks.lock().unwrap();
        let tip = blocks.last_key_value().map_or(0, |(height, _)| *height);
        let heights = self.heights_max.lock().unwrap().unwrap_or(tip);
        let last = tip.min(replay.after_height.saturating_add(heights));
        let after = Position {
            height: replay.after_height,
            sub_index: replay.after_sub_index,
        };
        let mut frames: Vec<BusFrame> = blocks
            .range(after.height..=last.max(after.height))
            .flat_map(|(_, frames)| frames)
            .filter(|(body, _)| Position::of(body) > after)
            .filter(|(body, _)| topic::matches_any(&replay.topics, &body.topic))
            .map(|(_, frame)| frame.clone())
            .take(replay.frames_max as usize + 1)
            .collect();
        let full = frames.len() > replay.frames_max as usize;
        frames.truncate(replay.frames_max as usize);
        let sent = frames
            .last()
            .and_then(|frame| BusBody::decode(frame.body.as_slice()).ok());
        ReplayReply {
            // What stands after the last frame of a full answer is not covered.
            covered_height: match sent {
                Some(body) if full => body.height - 1,
                _ => last,
            },
            frames,
            more: full || last < tip,
            first_height,
        }
    }
}

/// A running fake node.
pub(super) struct FakeNode {
    pub(super) bus: String,
    pub(super) door: String,
    pub(super) vice: Arc<Mutex<Vice>>,
    frames: Sender<(Vec<u8>, Vec<u8>)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeNode {
    pub(super) fn start(identity: &Identity, shared: Arc<Shared>) -> Self {
        let context = Context::new();
        let bus = bind(&context, SocketType::XPUB, identity);
        let door = bind(&context, SocketType::ROUTER, identity);
        let endpoint = |socket: &Socket| socket.get_last_endpoint().unwrap().unwrap();
        let endpoints = (endpoint(&bus), endpoint(&door));
        let vice = Arc::new(Mutex::new(Vice::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (frames, to_publish) = channel();
        let server = Server {
            bus,
            door,
            to_publish,
            shared,
            vice: Arc::clone(&vice),
            dice: u64::from_be_bytes(identity.public_key()[..8].try_into().unwrap()) | 1,
        };
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || server.serve(&flag));
        Self {
            bus: endpoints.0,
            door: endpoints.1,
            vice,
            frames,
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn publish(&self, topic: &str, bytes: &[u8]) {
        self.frames
            .send((topic::wire(topic), bytes.to_vec()))
            .unwrap();
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            // A submit callback may be the last to hold the federation.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn bind(context: &Context, kind: SocketType, identity: &Identity) -> Socket {
    let socket = context.socket(kind).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_curve_server(true).unwrap();
    socket
        .set_curve_secretkey(&identity.curve_secret())
        .unwrap();
    socket.bind("tcp://127.0.0.1:*").unwrap();
    socket
}

struct Server {
    bus: Socket,
    door: Socket,
    to_publish: Receiver<(Vec<u8>, Vec<u8>)>,
    shared: Arc<Shared>,
    vice: Arc<Mutex<Vice>>,
    dice: u64,
}

impl Server {
    fn serve(mut self, stop: &AtomicBool) {
        let mut hinted = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let mut items = [
                self.bus.as_poll_item(POLLIN),
                self.door.as_poll_item(POLLIN),
            ];
            let _ = zmq::poll(&mut items, 2);
            while self.bus.recv_multipart(DONTWAIT).is_ok() {}
            while let Ok(parts) = self.door.recv_multipart(DONTWAIT) {
                self.answer(&parts);
            }
            while let Ok((topic, bytes)) = self.to_publish.try_recv() {
                if self.roll() >= self.vice.lock().unwrap().lost_permille {
                    self.bus.send_multipart([topic, bytes], DONTWAIT).unwrap();
                }
            }
            if hinted.elapsed() >= HINT_EVERY {
                hinted = Instant::now();
                let final_height = self.shared.height();
                let hint = TipHint { final_height }.encode_to_vec();
                let topic = topic::wire(topic::TIP_HINT);
                self.bus.send_multipart([topic, hint], DONTWAIT).unwrap();
            }
        }
    }

    /// A number below 1000, from a generator by Marsaglia (xorshift).
    fn roll(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        u32::try_from(self.dice % 1000).unwrap()
    }

    fn answer(&self, parts: &[Vec<u8>]) {
        let vice = *self.vice.lock().unwrap();
        let [caller, bytes] = parts else { return };
        let Ok(request) = DoorRequest::decode(bytes.as_slice()) else {
            return;
        };
        if vice.silent {
            return;
        }
        let reply = match request.request {
            Some(door_request::Request::Replay(replay)) => {
                let mut reply = self.shared.replay(&replay, vice.first_height);
                if vice.withholds {
                    reply.frames.clear();
                    reply.more = false;
                }
                door_reply::Reply::Replay(reply)
            }
            Some(door_request::Request::Submit(action)) => {
                let on_submit = self.shared.on_submit.lock().unwrap();
                let on_submit = on_submit.as_ref().filter(|_| !vice.swallows);
                match on_submit.and_then(|on_submit| on_submit(&action)) {
                    Some(refusal) => door_reply::Reply::Refusal(refusal),
                    None => door_reply::Reply::Submitted(Submitted {
                        action_id: action_id(&action).to_vec(),
                        receipt: None,
                    }),
                }
            }
            Some(door_request::Request::GetFacts(wanted)) => {
                door_reply::Reply::Facts(self.shared.facts(&wanted))
            }
            Some(door_request::Request::GetRosterChain(wanted)) => {
                let mut chain = self.shared.rosters(&wanted);
                if vice.hides_rosters {
                    chain.steps.clear();
                }
                door_reply::Reply::RosterChain(chain)
            }
            _ => door_reply::Reply::Refusal(Refusal::rule(
                RefusalCode::Notfound,
                "receipt.unknown",
                "The fake node keeps no receipts.",
            )),
        };
        let reply = DoorReply {
            id: request.id,
            reply: Some(reply),
        };
        let _ = self
            .door
            .send_multipart([caller.clone(), reply.encode_to_vec()], DONTWAIT);
    }
}
