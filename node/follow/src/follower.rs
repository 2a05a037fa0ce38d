//! The subscriber: sockets around the sequencer and the replays.

mod doors;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dctrl_proto::topic;
use dctrl_proto::v1::TipHint;
use prost::Message;
use zmq::{Context, DONTWAIT, POLLIN, Socket, SocketType};

use crate::bell::{Bell, Waker};
use crate::counters::Counters;
use crate::federation::Federation;
use crate::position::{Position, Verified};
use crate::replay::Replays;
use crate::rosters::Rosters;
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
    /// Where the nodes are.
    pub federation: Federation,
    /// Whose certificates count.
    pub rosters: Rosters,
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
    /// The process has too many open files.
    #[error("no bell: {0}")]
    Bell(#[from] std::io::Error),
}

struct Link {
    bus: Socket,
    door: Socket,
}

/// A subscriber that hands out certified frames.
pub struct Follower {
    links: Vec<Link>,
    bell: Bell,
    topics: Vec<String>,
    verifier: Verifier,
    sequencer: Sequencer,
    replays: Replays,
    ready: VecDeque<Verified>,
    counters: Counters,
    settled: Position,
    /// After which roster each node was last asked for steps.
    rosters_asked: Vec<u64>,
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
            rosters_asked: vec![0; links.len()],
            links,
            bell: Bell::new()?,
            topics: config.topics,
            verifier: Verifier::new(config.rosters),
            sequencer: Sequencer::new(config.after),
            ready: VecDeque::new(),
            counters: Counters::default(),
            settled: config.after,
        })
    }

    /// Ends a wait in [`Self::next`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.bell.waker()
    }

    /// The next frame, or nothing after `timeout` or when woken.
    ///
    /// # Errors
    /// Only where ZeroMQ itself is gone; what nodes send is never an error.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Verified>, FollowError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(mut frame) = self.ready.pop_front() {
                // A step may have been taken while it waited.
                frame.superseded = frame.roster < self.verifier.rosters().newest();
                self.counters.delivered += 1;
                // It may have been the last one before what is agreed upon.
                self.note_settled();
                return Ok(Some(frame));
            }
            self.note_settled();
            let now = Instant::now();
            self.ask(now);
            let left = deadline.saturating_duration_since(now);
            let at_rest = self.replays.at_rest() && !self.sequencer.has_gaps();
            self.wait(if at_rest { left } else { left.min(TICK) })?;
            self.read()?;
            let over = self.bell.take() || Instant::now() >= deadline;
            if self.ready.is_empty() && over {
                // What was read last may have settled more.
                self.note_settled();
                return Ok(None);
            }
        }
    }

    fn note_settled(&mut self) {
        if !self.sequencer.has_gaps() && self.ready.is_empty() {
            self.settled = self.settled.max(self.replays.agreed());
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
            .chain([self.bell.poll_item()])
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
        match self.place(checked) {
            Ok(_) => {}
            Err(FrameError::UnknownRoster(_)) => self.replays.want_rosters(node),
            Err(error) => tracing::debug!(node, %error, "a frame of the bus is not believed"),
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
                match error {
                    FrameError::UnknownRoster(_) => self.counters.unknown_roster += 1,
                    _ => self.counters.invalid += 1,
                }
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
