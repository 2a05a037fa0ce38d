//! The subscriber: sockets around the sequencer and the replays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dctrl_proto::topic;
use dctrl_proto::v1::{
    BusFrame, DoorReply, DoorRequest, Replay, ReplayReply, TipHint, door_reply, door_request,
};
use prost::Message;
use zmq::{Context, DONTWAIT, POLLIN, Socket, SocketType};

use crate::counters::Counters;
use crate::federation::Federation;
use crate::position::{Position, Verified};
use crate::replay::{Ask, Need, Replays};
use crate::sequence::{Placed, Sequencer};
use crate::socket::connect;
use crate::verify::{FrameError, Verifier};

/// Frames asked for in one replay; with frames of up to 16 KiB a reply stays
/// below the message limit.
pub(crate) const FRAMES_MAX: u32 = 64;

/// Messages read from one socket before the others have their turn.
const MESSAGES_PER_TURN: usize = 64;

/// While something is missing, the follower looks at its deadlines at least
/// this often; otherwise it sleeps until a node says something.
const TICK: Duration = Duration::from_millis(50);

/// Most topics of one subscription.
const TOPICS_MAX: usize = 1024;

/// What to follow.
pub struct FollowerConfig {
    /// Shared by the sockets of one process.
    pub context: Context,
    /// Whose certificates count, and where the nodes are.
    pub federation: Federation,
    /// Positions in `federation.nodes` of those to connect to.
    pub nodes: Vec<usize>,
    /// This client's CurveZMQ secret key.
    pub curve_secret: [u8; 32],
    /// Exact topics, or prefixes that end in `.`; none means all.
    pub topics: Vec<String>,
    /// Frames up to and including this one are not handed out again.
    pub after: Position,
}

/// Why a follower does not start or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Nodes is empty or names one that the federation does not have.
    #[error("there is no node {0} in the federation")]
    Node(usize),
    /// No node was named.
    #[error("no node to follow was named")]
    NoNode,
    /// A topic is too long, internal, or there are too many.
    #[error("the topic {0:?} cannot be followed")]
    Topic(String),
    /// ZeroMQ: a bad endpoint, or the context is gone.
    #[error("ZeroMQ: {0}")]
    Socket(#[from] zmq::Error),
}

struct Link {
    bus: Socket,
    door: Socket,
}

/// A subscriber that hands out certified frames.
pub struct Follower {
    links: Vec<Link>,
    topics: Vec<String>,
    verifier: Verifier,
    sequencer: Sequencer,
    replays: Replays,
    ready: VecDeque<Verified>,
    counters: Counters,
    settled: Position,
}

impl Follower {
    /// Connects and subscribes; nothing is waited for.
    ///
    /// # Errors
    /// A node or topic that cannot be followed, or ZeroMQ.
    pub fn start(config: FollowerConfig) -> Result<Self, FollowError> {
        if config.nodes.is_empty() {
            return Err(FollowError::NoNode);
        }
        check_topics(&config.topics)?;
        let mut links = Vec::with_capacity(config.nodes.len());
        for node in &config.nodes {
            let endpoint = config
                .federation
                .nodes
                .get(*node)
                .ok_or(FollowError::Node(*node))?;
            let open = |kind, address| {
                connect(
                    &config.context,
                    kind,
                    address,
                    &endpoint.curve_public,
                    &config.curve_secret,
                )
            };
            let bus = open(SocketType::SUB, &endpoint.bus)?;
            for topic in &config.topics {
                bus.set_subscribe(&topic::wire_subscription(topic))?;
            }
            if config.topics.is_empty() {
                bus.set_subscribe(b"")?;
            }
            bus.set_subscribe(&topic::wire(topic::TIP_HINT))?;
            let door = open(SocketType::DEALER, &endpoint.door)?;
            links.push(Link { bus, door });
        }
        let fault_bound = config.federation.roster.fault_bound();
        Ok(Self {
            replays: Replays::new(links.len(), fault_bound, config.after, Instant::now()),
            links,
            topics: config.topics,
            verifier: Verifier::new(config.federation),
            sequencer: Sequencer::new(config.after),
            ready: VecDeque::new(),
            counters: Counters::default(),
            settled: config.after,
        })
    }

    /// The next frame, or nothing after `timeout`.
    ///
    /// # Errors
    /// Only where ZeroMQ itself is gone; what nodes send is never an error.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Verified>, FollowError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(frame) = self.ready.pop_front() {
                self.counters.delivered += 1;
                return Ok(Some(frame));
            }
            if !self.sequencer.has_gaps() {
                self.settled = self.settled.max(self.replays.agreed());
            }
            let now = Instant::now();
            self.ask(now);
            let left = deadline.saturating_duration_since(now);
            let at_rest = self.replays.at_rest() && !self.sequencer.has_gaps();
            self.wait(if at_rest { left } else { left.min(TICK) })?;
            self.read()?;
            if self.ready.is_empty() && Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Every matching frame up to here has been handed out by [`Self::next`],
    /// by the word of one honest node: a safe place to start after a restart.
    #[must_use]
    pub fn settled(&self) -> Position {
        self.settled
    }

    /// Whether everything that had happened when the follower started has been
    /// handed out, by the word of one honest node.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.replays.caught_up() && !self.sequencer.has_gaps() && self.ready.is_empty()
    }

    /// What has been seen so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn wait(&self, timeout: Duration) -> Result<(), FollowError> {
        let mut items: Vec<zmq::PollItem<'_>> = self
            .links
            .iter()
            .flat_map(|link| {
                [
                    link.bus.as_poll_item(POLLIN),
                    link.door.as_poll_item(POLLIN),
                ]
            })
            .collect();
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        match zmq::poll(&mut items, millis) {
            Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&mut self) -> Result<(), FollowError> {
        for node in 0..self.links.len() {
            for _ in 0..MESSAGES_PER_TURN {
                let Some(parts) = receive(&self.links[node].bus)? else {
                    break;
                };
                self.on_bus(node, &parts);
            }
            for _ in 0..MESSAGES_PER_TURN {
                let Some(parts) = receive(&self.links[node].door)? else {
                    break;
                };
                self.on_door(node, &parts);
            }
        }
        Ok(())
    }

    fn on_bus(&mut self, node: usize, parts: &[Vec<u8>]) {
        let [wire, bytes] = parts else {
            self.counters.invalid += 1;
            return;
        };
        if *wire == topic::wire(topic::TIP_HINT) {
            match TipHint::decode(bytes.as_slice()) {
                Ok(hint) => self.replays.hint(node, hint.final_height),
                Err(_) => self.counters.invalid += 1,
            }
            return;
        }
        let checked = self.verifier.decode(bytes).and_then(|frame| {
            if *wire == topic::wire(&frame.body.topic) {
                Ok(frame)
            } else {
                Err(FrameError::Contradiction("topic"))
            }
        });
        if let Err(error) = self.place(checked) {
            tracing::debug!(node, %error, "a frame of the bus is not believed");
        }
    }

    fn place(&mut self, checked: Result<Verified, FrameError>) -> Result<Placed, FrameError> {
        let frame = match checked {
            Ok(frame) if topic::matches_any(&self.topics, &frame.body.topic) => frame,
            Ok(_) => {
                self.counters.invalid += 1;
                return Err(FrameError::Contradiction("topic"));
            }
            Err(error) => {
                self.counters.invalid += 1;
                return Err(error);
            }
        };
        let placed = self.sequencer.place(frame, &mut self.ready);
        match placed {
            Placed::Duplicate => self.counters.duplicates += 1,
            Placed::NoRoom => self.counters.no_room += 1,
            Placed::Held { first: true } => self.counters.gaps += 1,
            Placed::Ready | Placed::Held { first: false } => {}
        }
        Ok(placed)
    }

    fn ask(&mut self, now: Instant) {
        self.counters.unanswered += self.replays.expire(now);
        let gaps: Vec<(String, Position)> = self
            .sequencer
            .gaps()
            .map(|topic| (topic.to_owned(), self.sequencer.last(topic)))
            .collect();
        let gaps = gaps.iter().map(|(topic, last)| (topic.as_str(), *last));
        for ask in self.replays.due(now, gaps) {
            let sent = self.links[ask.node]
                .door
                .send(self.request(&ask).encode_to_vec(), DONTWAIT);
            if sent.is_err() {
                self.replays.failed(ask.id, ask.node, now);
            }
        }
    }

    fn request(&self, ask: &Ask) -> DoorRequest {
        let topics = match &ask.need {
            Need::CatchUp if self.topics.is_empty() => vec![String::new()],
            Need::CatchUp => self.topics.clone(),
            Need::Gap { topic } => vec![topic.clone()],
        };
        DoorRequest {
            id: ask.id,
            request: Some(door_request::Request::Replay(Replay {
                after_height: ask.after.height,
                after_sub_index: ask.after.sub_index,
                topics,
                frames_max: FRAMES_MAX,
            })),
        }
    }

    fn on_door(&mut self, node: usize, parts: &[Vec<u8>]) {
        let now = Instant::now();
        let reply = match parts {
            [bytes] => DoorReply::decode(bytes.as_slice()).ok(),
            _ => None,
        };
        let Some(reply) = reply else {
            self.counters.invalid += 1;
            self.replays.distrust(node, now);
            return;
        };
        // An answer that comes too late, or was never asked for, is no use.
        let Some(need) = self.replays.answered(node, reply.id) else {
            return;
        };
        match reply.reply {
            Some(door_reply::Reply::Replay(replay)) => self.on_replay(node, &need, replay, now),
            _ => {
                self.counters.unanswered += 1;
                self.replays.distrust(node, now);
            }
        }
    }

    fn on_replay(&mut self, node: usize, need: &Need, replay: ReplayReply, now: Instant) {
        let mut end = None;
        for frame in replay.frames {
            match self.place_replayed(frame) {
                Ok(position) => end = Some(position),
                Err(error) => {
                    tracing::debug!(node, %error, "a replayed frame is not believed");
                    self.replays.distrust(node, now);
                    return;
                }
            }
        }
        match need {
            Need::CatchUp if !replay.more => {
                let position = Position::end_of(replay.covered_height);
                self.replays.completed(node, position);
            }
            // A node looks through a bounded part of its disk for one answer,
            // which may hold no frame of these topics.
            Need::CatchUp => {
                let position = end.max(Some(Position::end_of(replay.covered_height)));
                if !self.replays.went_on(node, position.unwrap_or_default()) {
                    self.replays.distrust(node, now);
                }
            }
            // Where the hole is still there, another node is asked next.
            Need::Gap { topic } => {
                if end.is_none() || !replay.more && self.sequencer.gaps().any(|one| one == topic) {
                    self.replays.distrust(node, now);
                }
            }
        }
    }

    fn place_replayed(&mut self, frame: BusFrame) -> Result<Position, FrameError> {
        let checked = self.verifier.verify(frame);
        let position = checked.as_ref().map(|frame| frame.position).ok();
        if self.place(checked)? == Placed::Ready {
            self.counters.replayed += 1;
        }
        Ok(position.unwrap_or_default())
    }
}

fn check_topics(topics: &[String]) -> Result<(), FollowError> {
    if topics.len() > TOPICS_MAX {
        return Err(FollowError::Topic(format!("{} topics", topics.len())));
    }
    match topics
        .iter()
        .find(|topic| topic.starts_with('_') || topic.len() > topic::TOPIC_BYTES_MAX)
    {
        Some(bad) => Err(FollowError::Topic(bad.clone())),
        None => Ok(()),
    }
}

fn receive(socket: &Socket) -> Result<Option<Vec<Vec<u8>>>, FollowError> {
    match socket.recv_multipart(DONTWAIT) {
        Ok(parts) => Ok(Some(parts)),
        Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
