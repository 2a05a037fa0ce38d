//! The subscriber: sockets around the sequencer and the replays.

mod doors;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dctrl_proto::topic;
use dctrl_proto::v1::{RosterChanged, TipHint, bus_body::Event};
use prost::Message;
use zmq::{Context, DONTWAIT, POLLIN, Socket, SocketType};

use crate::bell::{Bell, Waker};
use crate::counters::Counters;
use crate::federation::{Federation, NodeEndpoint};
use crate::places;
use crate::position::{Position, Verified};
use crate::replay::{Forgotten, Replays};
use crate::rosters::Rosters;
use crate::sequence::{Placed, Sequencer};
use crate::socket::{LOST_AFTER, Useless, connect};
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
    /// Where the nodes are, as long as the rosters know no better.
    pub federation: Federation,
    /// Whose certificates count, and where the present nodes are.
    pub rosters: Rosters,
    /// Positions in `federation.nodes` of those to connect to. Who names all of
    /// them follows all that come later, too.
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
    endpoint: NodeEndpoint,
    bus: Socket,
    door: Socket,
    silent: Useless,
    shut: Useless,
}

/// A subscriber that hands out certified frames.
pub struct Follower {
    dial: Dial,
    /// How many nodes there were when `chosen` was chosen of them.
    nodes_before: usize,
    chosen: Vec<NodeEndpoint>,
    /// Number of the roster whose nodes `links` lead to.
    moved_to: u64,
    links: Vec<Link>,
    bell: Bell,
    /// What was asked for, and what tells of changes of membership.
    topics: Vec<String>,
    /// That is for the follower alone.
    rosters_hidden: bool,
    verifier: Verifier,
    sequencer: Sequencer,
    replays: Replays,
    ready: VecDeque<Verified>,
    counters: Counters,
    settled: Position,
    /// After which roster each node was last asked for steps.
    rosters_asked: Vec<u64>,
    /// [`LOST_AFTER`], but in tests.
    pub(crate) lost_after: Duration,
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
        let (topics, rosters_hidden) = with_rosters(config.topics);
        let dial = Dial {
            context: config.context,
            curve_secret: config.curve_secret,
        };
        let all = &config.federation.nodes;
        let chosen = config.nodes.iter().map(|node| {
            let found = all.get(*node).cloned();
            found.ok_or(FollowError::Node(*node))
        });
        let chosen: Vec<NodeEndpoint> = chosen.collect::<Result<_, _>>()?;
        let (moved_to, present) = match config.rosters.places() {
            Some(places) => (
                places.number,
                places::chosen(&places.nodes, all.len(), &chosen),
            ),
            None => (0, chosen.clone()),
        };
        let links = present
            .into_iter()
            .map(|endpoint| dial.open(endpoint, &topics))
            .collect::<Result<Vec<_>, _>>()?;
        let members = match &config.rosters.places() {
            Some(places) => places.nodes.len(),
            None => all.len(),
        };
        Ok(Self {
            dial,
            nodes_before: all.len(),
            chosen,
            moved_to,
            replays: Replays::new(links.len(), members, config.after, Instant::now()),
            rosters_asked: vec![0; links.len()],
            links,
            bell: Bell::new()?,
            topics,
            rosters_hidden,
            verifier: Verifier::new(config.rosters),
            sequencer: Sequencer::new(config.after),
            ready: VecDeque::new(),
            counters: Counters::default(),
            settled: config.after,
            lost_after: LOST_AFTER,
        })
    }

    /// Ends a wait in [`Self::next`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.bell.waker()
    }

    /// The next frame, or nothing after `timeout`, when woken, or where the nodes
    /// have forgotten it ([`Self::forgotten`]).
    ///
    /// # Errors
    /// Only where ZeroMQ itself is gone; what nodes send is never an error.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Verified>, FollowError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(mut frame) = self.ready.pop_front() {
                if self.is_roster(&frame) {
                    continue;
                }
                // A step may have been taken while it waited.
                frame.superseded = frame.roster < self.verifier.rosters().newest();
                self.counters.delivered += 1;
                // It may have been the last one before what is agreed upon.
                self.note_settled();
                return Ok(Some(frame));
            }
            self.move_on()?;
            self.note_settled();
            let now = Instant::now();
            self.ask(now);
            let left = deadline.saturating_duration_since(now);
            let at_rest = self.replays.at_rest() && !self.sequencer.has_gaps();
            let longest = if at_rest { self.lost_after } else { TICK };
            self.wait(left.min(longest))?;
            self.read()?;
            self.dial_again()?;
            let over = self.bell.take() || Instant::now() >= deadline;
            // Nothing would come before the deadline, and whoever asks must know.
            let over = over || self.forgotten().is_some();
            if self.ready.is_empty() && over {
                // What was read last may have settled more.
                self.note_settled();
                return Ok(None);
            }
        }
    }

    /// Takes note where a frame tells of a change of membership; true where it
    /// is not for whoever follows.
    fn is_roster(&mut self, frame: &Verified) -> bool {
        let Some(Event::Roster(RosterChanged { roster })) = &frame.body.event else {
            return false;
        };
        if frame.body.topic != places::TOPIC {
            return false;
        }
        if let Some(roster) = roster {
            self.verifier.rosters().learn(roster);
        }
        self.rosters_hidden
    }

    /// Dials who has come and leaves who has gone, since this follower or another
    /// one with the same rosters has learned of it.
    fn move_on(&mut self) -> Result<(), FollowError> {
        let places = self.verifier.rosters().places();
        let Some(places) = places.filter(|places| places.number > self.moved_to) else {
            return Ok(());
        };
        self.moved_to = places.number;
        let present = places::chosen(&places.nodes, self.nodes_before, &self.chosen);
        let mut old = std::mem::take(&mut self.links);
        for endpoint in present {
            let link = match old.iter().position(|link| link.endpoint == endpoint) {
                Some(at) => old.swap_remove(at),
                None => self.dial.open(endpoint, &self.topics)?,
            };
            self.links.push(link);
        }
        tracing::info!(
            nodes = self.links.len(),
            roster = places.number,
            "the nodes have changed"
        );
        self.note_settled();
        // What is on its way from those who have gone is asked for again; what
        // is settled is not.
        let members = places.nodes.len();
        self.replays = Replays::new(self.links.len(), members, self.settled, Instant::now());
        self.rosters_asked = vec![0; self.links.len()];
        Ok(())
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

    /// Whether the nodes that are followed have forgotten what comes next: then
    /// nothing comes any more, until [`Self::skip_to`]. Asked when
    /// [`Self::next`] had nothing; where something is ready it is nothing.
    #[must_use]
    pub fn forgotten(&self) -> Option<Forgotten> {
        if !self.ready.is_empty() {
            return None;
        }
        let next = self.replays.agreed().next_height();
        let missing = self.sequencer.oldest_missing();
        let heights = [Some(next), missing].into_iter().flatten();
        heights
            .min()
            .and_then(|height| self.replays.forgotten(height))
    }

    /// Goes on behind `to`: what stands up to there and was not handed out is
    /// never handed out. Does nothing where that is all behind already.
    pub fn skip_to(&mut self, to: Position) {
        if to <= self.settled && !self.sequencer.has_gaps() {
            return;
        }
        self.counters.skips += 1;
        self.sequencer.skip(to, &mut self.ready);
        self.replays.skip(to, Instant::now());
        self.settled = self.settled.max(to);
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
                self.links[node].silent.over();
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

    /// Makes connections anew of which nothing is heard any more.
    fn dial_again(&mut self) -> Result<(), FollowError> {
        let now = Instant::now();
        for link in &mut self.links {
            if link.silent.is_lost(now, self.lost_after) {
                tracing::debug!(node = link.endpoint.name, "silence; dialling again");
                self.counters.dialled_again += 1;
                *link = self.dial.open(link.endpoint.clone(), &self.topics)?;
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

/// What sockets are opened with.
struct Dial {
    context: Context,
    curve_secret: [u8; 32],
}

impl Dial {
    fn open(&self, endpoint: NodeEndpoint, topics: &[String]) -> Result<Link, FollowError> {
        let bus = self.connect(SocketType::SUB, &endpoint, &endpoint.bus)?;
        for topic in topics {
            bus.set_subscribe(&topic::wire_subscription(topic))?;
        }
        if topics.is_empty() {
            bus.set_subscribe(b"")?;
        }
        bus.set_subscribe(&topic::wire(topic::TIP_HINT))?;
        let door = self.door(&endpoint)?;
        Ok(Link {
            endpoint,
            bus,
            door,
            silent: Useless::default(),
            shut: Useless::default(),
        })
    }

    fn door(&self, endpoint: &NodeEndpoint) -> zmq::Result<Socket> {
        self.connect(SocketType::DEALER, endpoint, &endpoint.door)
    }

    fn connect(
        &self,
        kind: SocketType,
        endpoint: &NodeEndpoint,
        address: &str,
    ) -> zmq::Result<Socket> {
        connect(
            &self.context,
            kind,
            address,
            &endpoint.curve_public,
            &self.curve_secret,
        )
    }
}

/// The topics with that of the rosters, and whether it had to be added.
fn with_rosters(mut topics: Vec<String>) -> (Vec<String>, bool) {
    let asked_for = topics.is_empty() || topic::matches_any(&topics, places::TOPIC);
    if !asked_for {
        topics.push(places::TOPIC.to_owned());
    }
    (topics, !asked_for)
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
