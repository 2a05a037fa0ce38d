//! What the follower asks at doors, and what it makes of the answers.

use std::time::Instant;

use dctrl_proto::v1::{
    BusFrame, DoorReply, DoorRequest, GetRosterChain, Replay, ReplayReply, RosterChain, door_reply,
    door_request,
};
use prost::Message;
use zmq::DONTWAIT;

use super::{FRAMES_MAX, Follower};
use crate::position::Position;
use crate::replay::{Ask, Need};
use crate::sequence::Placed;
use crate::verify::FrameError;

impl Follower {
    pub(super) fn ask(&mut self, now: Instant) {
        self.counters.unanswered += self.replays.expire(now);
        // What is settled is not missing, however old the topic's last frame is;
        // unless a later frame shows that it is: then it was withheld.
        let known = |topic: &str| {
            let last = self.sequencer.last(topic);
            match self.sequencer.missing(topic) {
                Some(missing) if missing <= self.settled => last,
                _ => last.max(self.settled),
            }
        };
        let gaps: Vec<(String, Position)> = self
            .sequencer
            .gaps()
            .map(|topic| (topic.to_owned(), known(topic)))
            .collect();
        let gaps = gaps.iter().map(|(topic, last)| (topic.as_str(), *last));
        for ask in self.replays.due(now, gaps) {
            let request = self.request(&ask).encode_to_vec();
            let link = &mut self.links[ask.node];
            if link.door.send(request, DONTWAIT).is_ok() {
                link.shut.over();
                continue;
            }
            self.replays.failed(ask.id, ask.node, now);
            if link.shut.is_lost(now, self.lost_after) {
                self.counters.dialled_again += 1;
                match self.dial.door(&link.endpoint) {
                    Ok(door) => link.door = door,
                    Err(error) => tracing::error!(%error, "a door cannot be dialled again yet"),
                }
            }
        }
    }

    fn request(&mut self, ask: &Ask) -> DoorRequest {
        let topics = match &ask.need {
            Need::Rosters => {
                let after_number = self.verifier.rosters().newest();
                self.rosters_asked[ask.node] = after_number;
                let wanted = GetRosterChain { after_number };
                return DoorRequest {
                    id: ask.id,
                    request: Some(door_request::Request::GetRosterChain(wanted)),
                };
            }
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

    pub(super) fn on_door(&mut self, node: usize, parts: &[Vec<u8>]) {
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
        let Some((need, after)) = self.replays.answered(node, reply.id) else {
            return;
        };
        match reply.reply {
            Some(door_reply::Reply::RosterChain(chain)) if need == Need::Rosters => {
                self.on_rosters(node, &chain, now);
            }
            Some(door_reply::Reply::Replay(replay)) if need != Need::Rosters => {
                let first = replay.first_height;
                if !self.replays.keeps(node, first, after, now) {
                    self.on_replay(node, &need, replay, now);
                }
            }
            _ => {
                self.counters.unanswered += 1;
                self.replays.distrust(node, now);
            }
        }
    }

    fn on_rosters(&mut self, node: usize, chain: &RosterChain, now: Instant) {
        let rosters = self.verifier.rosters();
        if let Err(error) = rosters.take(&chain.steps) {
            tracing::warn!(node, %error, "the rosters that a node shows are not believed");
        }
        // By this answer, or by that of another node in the meantime.
        if rosters.newest() > self.rosters_asked[node] {
            self.replays.learned_rosters(node, now);
            if chain.more {
                self.replays.want_rosters(node);
            }
        } else {
            self.replays.distrust(node, now);
        }
    }

    fn on_replay(&mut self, node: usize, need: &Need, replay: ReplayReply, now: Instant) {
        let mut end = None;
        for frame in replay.frames {
            match self.place_replayed(frame) {
                Ok(position) => end = Some(position),
                Err(FrameError::UnknownRoster(_)) => {
                    self.replays.want_rosters(node);
                    return;
                }
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
            Need::Rosters => {}
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
