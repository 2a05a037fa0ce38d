//! The door of a node: hand in actions, ask for receipts and replays.
//!
//! Calls block. A node that cannot be reached, does not answer in its share of
//! the time or says that it is unavailable is passed over; the one that
//! answered is asked first the next time. Handing in twice is harmless,
//! because an action's id is its content.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dctrl_proto::v1::{
    DoorReply, DoorRequest, FactsReply, GetActionRequest, GetFacts, GetReceipt, Receipt, Refusal,
    RefusalCode, Replay, ReplayReply, SignedAction, SubmitReply, Submitted, door_reply,
    door_request,
};
use prost::Message;
use zmq::{Context, DONTWAIT, POLLIN, POLLOUT, Socket, SocketType};

use crate::federation::{Federation, NodeEndpoint};
use crate::places;
use crate::position::Position;
use crate::rosters::Rosters;
use crate::socket::{LOST_AFTER, Useless, connect};

/// A node that is not connected after this is passed over.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A node refused the request. That is one node's word.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No node answered in time.
    #[error("no node answered within {0:?}")]
    Unreachable(Duration),
    /// The door was connected to no node of the federation.
    #[error("no node to ask was named")]
    NoNode,
    /// ZeroMQ: a bad endpoint, or the context is gone.
    #[error("ZeroMQ: {0}")]
    Socket(#[from] zmq::Error),
}

struct Link {
    endpoint: NodeEndpoint,
    socket: Option<Socket>,
    useless: Useless,
}

struct Links {
    context: Context,
    curve_secret: [u8; 32],
    links: Vec<Link>,
    /// Where they come from that have come later.
    rosters: Option<Rosters>,
    /// Number of the roster that `links` follow.
    number: u64,
    nodes_before: usize,
    chosen: Vec<NodeEndpoint>,
    preferred: usize,
    next_id: u64,
    /// [`LOST_AFTER`], but in tests.
    lost_after: Duration,
}

/// The doors of one or several nodes.
pub struct Door {
    links: Mutex<Links>,
}

impl Door {
    /// Prepares to talk to `nodes`, positions in `federation.nodes`; unknown
    /// ones are left out. Sockets are opened when first used.
    #[must_use]
    pub fn connect(
        context: Context,
        federation: &Federation,
        nodes: &[usize],
        curve_secret: [u8; 32],
    ) -> Self {
        let chosen: Vec<NodeEndpoint> = nodes
            .iter()
            .filter_map(|node| federation.nodes.get(*node))
            .cloned()
            .collect();
        let links = chosen.iter().cloned().map(Link::new).collect();
        Self {
            links: Mutex::new(Links {
                context,
                curve_secret,
                links,
                rosters: None,
                number: 0,
                nodes_before: federation.nodes.len(),
                chosen,
                preferred: 0,
                next_id: 1,
                lost_after: LOST_AFTER,
            }),
        }
    }

    #[cfg(test)]
    pub(crate) fn lose_after(&mut self, lost_after: Duration) {
        let links = self.links.get_mut();
        links.unwrap_or_else(PoisonError::into_inner).lost_after = lost_after;
    }

    /// Talks to the present nodes from now on, as far as whoever follows them
    /// with `rosters` learns of them. Where all nodes were named those that come
    /// later are among them.
    #[must_use]
    pub fn among(self, rosters: Rosters) -> Self {
        let mut links = self
            .links
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        links.rosters = Some(rosters);
        Self {
            links: Mutex::new(links),
        }
    }

    /// Hands in an action. The answer is one node's promise to pass it on;
    /// with a receipt, that node's word that it had been applied before.
    ///
    /// # Errors
    /// A refusal, or no answer within `timeout`.
    pub fn submit(&self, action: &SignedAction, timeout: Duration) -> Result<Submitted, DoorError> {
        let request = door_request::Request::Submit(action.clone());
        match self.call(request, timeout)? {
            door_reply::Reply::Submitted(submitted) => Ok(submitted),
            other => Err(refusal_or(other, timeout)),
        }
    }

    /// The receipt of an action, or nothing where the node knows none.
    ///
    /// # Errors
    /// Another refusal, or no answer within `timeout`.
    pub fn receipt(
        &self,
        action_id: &[u8; 32],
        timeout: Duration,
    ) -> Result<Option<Receipt>, DoorError> {
        let request = door_request::Request::GetReceipt(GetReceipt {
            action_id: action_id.to_vec(),
        });
        match self.call(request, timeout)? {
            door_reply::Reply::Receipt(receipt) => Ok(Some(receipt)),
            door_reply::Reply::Refusal(refusal) if refusal.code() == RefusalCode::Notfound => {
                Ok(None)
            }
            other => Err(refusal_or(other, timeout)),
        }
    }

    /// How far an action has come, or nothing where the node does not know it.
    /// The door waits a second at most for the stage that is asked for; whoever
    /// has more patience asks again.
    ///
    /// # Errors
    /// Another refusal, or no answer within `timeout`.
    pub fn action(
        &self,
        question: &GetActionRequest,
        timeout: Duration,
    ) -> Result<Option<SubmitReply>, DoorError> {
        let request = door_request::Request::GetAction(question.clone());
        match self.call(request, timeout)? {
            door_reply::Reply::Action(reply) => Ok(Some(reply)),
            door_reply::Reply::Refusal(refusal) if refusal.rule == "action.id" => Ok(None),
            other => Err(refusal_or(other, timeout)),
        }
    }

    /// Frames after a position, not yet verified.
    ///
    /// # Errors
    /// A refusal, or no answer within `timeout`.
    pub fn replay(
        &self,
        after: Position,
        topics: &[String],
        frames_max: u32,
        timeout: Duration,
    ) -> Result<ReplayReply, DoorError> {
        let request = door_request::Request::Replay(Replay {
            after_height: after.height,
            after_sub_index: after.sub_index,
            topics: topics.to_vec(),
            frames_max,
        });
        match self.call(request, timeout)? {
            door_reply::Reply::Replay(replay) => Ok(replay),
            other => Err(refusal_or(other, timeout)),
        }
    }

    /// A page of the ledger's present state. No certificate covers it: it is
    /// the word of the node that answers.
    ///
    /// # Errors
    /// A refusal, or no answer within `timeout`.
    pub fn facts(&self, wanted: &GetFacts, timeout: Duration) -> Result<FactsReply, DoorError> {
        let request = door_request::Request::GetFacts(wanted.clone());
        match self.call(request, timeout)? {
            door_reply::Reply::Facts(facts) => Ok(facts),
            other => Err(refusal_or(other, timeout)),
        }
    }

    /// How many nodes it asks.
    #[must_use]
    pub fn nodes(&self) -> usize {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.move_on();
        links.links.len()
    }

    /// Asks another node first from now on, for a caller who doubts the last
    /// answer.
    pub fn prefer_next(&self) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.preferred = links.preferred.wrapping_add(1);
    }

    fn call(
        &self,
        request: door_request::Request,
        timeout: Duration,
    ) -> Result<door_reply::Reply, DoorError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.call(request, timeout)
    }
}

fn refusal_or(reply: door_reply::Reply, timeout: Duration) -> DoorError {
    match reply {
        door_reply::Reply::Refusal(refusal) => DoorError::Refused(refusal),
        // An answer to another question is no answer.
        _ => DoorError::Unreachable(timeout),
    }
}

impl Link {
    fn new(endpoint: NodeEndpoint) -> Self {
        Self {
            endpoint,
            socket: None,
            useless: Useless::default(),
        }
    }
}

impl Links {
    /// Takes note of who has come and who has gone.
    fn move_on(&mut self) {
        let places = self.rosters.as_ref().and_then(Rosters::places);
        let Some(places) = places.filter(|places| places.number > self.number) else {
            return;
        };
        self.number = places.number;
        let mut old = std::mem::take(&mut self.links);
        for endpoint in places::chosen(&places.nodes, self.nodes_before, &self.chosen) {
            let known = old.iter().position(|link| link.endpoint == endpoint);
            self.links.push(match known {
                Some(at) => old.swap_remove(at),
                None => Link::new(endpoint),
            });
        }
    }

    fn call(
        &mut self,
        request: door_request::Request,
        timeout: Duration,
    ) -> Result<door_reply::Reply, DoorError> {
        self.move_on();
        if self.links.is_empty() {
            return Err(DoorError::NoNode);
        }
        let deadline = Instant::now() + timeout;
        let request = DoorRequest {
            id: self.next_id,
            request: Some(request),
        };
        self.next_id += 1;
        let bytes = request.encode_to_vec();
        let count = self.links.len();
        let first = self.preferred;
        let mut unavailable = None;
        for step in 0..count {
            let node = first.wrapping_add(step) % count;
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - step).unwrap_or(u32::MAX);
            match self.ask(node, request.id, &bytes, share)? {
                Some(door_reply::Reply::Refusal(refusal))
                    if refusal.code() == RefusalCode::Unavailable =>
                {
                    unavailable = Some(refusal);
                }
                Some(reply) => {
                    self.preferred = node;
                    return Ok(reply);
                }
                None => tracing::debug!(
                    node = self.links[node].endpoint.name,
                    "the node does not answer"
                ),
            }
        }
        match unavailable {
            Some(refusal) => Err(DoorError::Refused(refusal)),
            None => Err(DoorError::Unreachable(timeout)),
        }
    }

    /// The answer of one node, or nothing within `share`.
    fn ask(
        &mut self,
        node: usize,
        id: u64,
        bytes: &[u8],
        share: Duration,
    ) -> Result<Option<door_reply::Reply>, DoorError> {
        let deadline = Instant::now() + share;
        let link = &mut self.links[node];
        let socket = match link.socket.take() {
            Some(socket) => socket,
            None => connect(
                &self.context,
                SocketType::DEALER,
                &link.endpoint.door,
                &link.endpoint.curve_public,
                &self.curve_secret,
            )?,
        };
        let socket = link.socket.insert(socket);
        if !poll(socket, POLLOUT, share.min(CONNECT_TIMEOUT))?
            || socket.send(bytes, DONTWAIT).is_err()
        {
            if link.useless.is_lost(Instant::now(), self.lost_after) {
                link.socket = None;
            }
            return Ok(None);
        }
        link.useless.over();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !poll(socket, POLLIN, left)? {
                return Ok(None);
            }
            let parts = match socket.recv_multipart(DONTWAIT) {
                Ok(parts) => parts,
                Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            // Late answers to earlier requests are passed over.
            if let [bytes] = parts.as_slice()
                && let Ok(reply) = DoorReply::decode(bytes.as_slice())
                && reply.id == id
            {
                return Ok(reply.reply);
            }
        }
    }
}

fn poll(socket: &Socket, events: zmq::PollEvents, timeout: Duration) -> Result<bool, DoorError> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match socket.poll(events, i64::try_from(left.as_millis()).unwrap_or(i64::MAX)) {
            Ok(count) => return Ok(count > 0),
            Err(zmq::Error::EINTR) if Instant::now() < deadline => {}
            Err(zmq::Error::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
