//! Final frames go out to the machines that listen, over a bus that loses and
//! doubles them, and are told again at a node's door.

use std::collections::BTreeMap;
use std::rc::Rc;

use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{Certificate, merkle};
use dctrl_follow::{Position, Verified};
use dctrl_proto::v1::{BusBody, BusFrame};
use prost::Message;

use super::plan::Planted;
use super::world::{Happening, World};
use crate::engine::Seat;
use crate::scenario::MILLISECOND;

/// Frames in one answer of a door.
const FRAMES_PER_REPLY_MAX: usize = 256;
/// Blocks that one answer of a door looks through.
const HEIGHTS_PER_REPLY_MAX: u64 = 256;
/// The longest way between a machine and a node.
const WAY_MAX: u64 = 40 * MILLISECOND;

/// The machine that a topic is about.
fn machine_of(topic: &str) -> Option<usize> {
    let (machine, _) = topic.strip_prefix("machine.m")?.split_once('.')?;
    machine.parse().ok()
}

impl World {
    /// How long something is on its way between a machine and a node; `None`
    /// where it is lost.
    pub(super) fn machine_way(&mut self) -> Option<u64> {
        if self.stormy() && self.chance.chance(self.plan.frames_lost) {
            self.seen.hit("frames_lost");
            return None;
        }
        Some(self.chance.between(MILLISECOND, WAY_MAX))
    }

    /// What has become final here is published, once per process.
    pub(super) fn publish(&mut self, seat: Seat) {
        let node = &self.nodes[seat];
        let (published, last) = (node.published, node.store.final_height);
        if published >= last {
            return;
        }
        let mut frames: BTreeMap<usize, Vec<BusFrame>> = BTreeMap::new();
        for height in published + 1..=last {
            let store = &node.store;
            let found = store.blocks.get(&height);
            let Some((kept, certificate)) = found.zip(store.certificates.get(&height)) else {
                continue;
            };
            let certificate = certificate.encode();
            for (at, body) in kept.outputs.bodies.iter().enumerate() {
                if let Some(machine) = machine_of(&body.topic) {
                    let frame = kept.outputs.frame(at, &certificate);
                    frames.entry(machine).or_default().push(frame);
                }
            }
        }
        if self.plan.planted != Some(Planted::UnboundedQueue) {
            self.nodes[seat].published = last;
        }
        for (machine, frames) in frames {
            self.send_frames(seat, machine, frames);
        }
        self.plan_notify(seat, 0);
    }

    fn send_frames(&mut self, seat: Seat, machine: usize, frames: Vec<BusFrame>) {
        let Some(agent) = self.agents.get(machine) else {
            return;
        };
        let life = agent.life;
        if !agent.is_up() {
            return;
        }
        let frames = self.forged(seat, frames);
        let frames = Rc::new(frames);
        let copies = if self.stormy() && self.chance.chance(self.plan.frames_doubled) {
            self.seen.hit("frames_doubled");
            2
        } else {
            1
        };
        for _ in 0..copies {
            if let Some(way) = self.machine_way() {
                let frames = Rc::clone(&frames);
                let come = Happening::Frames {
                    machine,
                    life,
                    frames,
                };
                self.agenda.plan(self.now + way, come);
            }
        }
    }

    /// Whether a frame is what the federation decided: its certificate holds
    /// and its body is a leaf of the certified outputs.
    fn verified(&mut self, frame: &BusFrame) -> Option<Verified> {
        let body = BusBody::decode(frame.body.as_slice()).ok()?;
        let fact = sha256(b"dctrl-sim-certificate\0", &[&frame.certificate]);
        let header = match self.checks.proven.get(&fact) {
            Some(header) => header.clone(),
            None => {
                let certificate = Certificate::decode(&frame.certificate).ok()?;
                let setting = &self.founding.setting;
                if !setting.proves(&certificate, &setting.genesis) {
                    return None;
                }
                self.checks.prove(fact, &certificate.header);
                certificate.header
            }
        };
        let proof = frame.proof.as_ref()?;
        let path: Option<Vec<_>> = proof
            .path
            .iter()
            .map(|step| <[u8; 32]>::try_from(step.as_slice()).ok())
            .map(|step| step.map(dctrl_consensus::Digest))
            .collect();
        let holds = body.height == header.index
            && merkle::verify(
                &header.outputs_root,
                &frame.body,
                body.sub_index as usize,
                proof.leaf_count as usize,
                &path?,
            );
        holds.then(|| Verified {
            position: Position::of(&body),
            body,
            frame: frame.clone(),
            roster: 0,
            superseded: false,
        })
    }

    /// Frames come to a machine's ears.
    pub(super) fn frames_come(&mut self, machine: usize, life: u64, frames: &[BusFrame]) {
        if self.agents[machine].life != life || !self.agents[machine].is_up() {
            return;
        }
        for frame in frames {
            let Some(verified) = self.verified(frame) else {
                self.seen.hit("frames_refused");
                continue;
            };
            let placed = self.agents[machine].ears.hear(verified);
            if matches!(placed, dctrl_follow::sequence::Placed::Held { .. }) {
                self.seen.hit("frames_held");
            }
        }
        self.listen(machine);
    }

    /// A machine asks again for what it may have missed.
    pub(super) fn ask_again(&mut self, machine: usize) {
        let agent = &mut self.agents[machine];
        let all = agent.ears.asked_at.is_none();
        agent.ears.asked_at = Some(self.now);
        let (life, after) = (agent.life, agent.ears.ask_from());
        let after = (after.height, after.sub_index);
        let first = self.chance.below(self.plan.nodes as u64);
        let first = usize::try_from(first).unwrap_or(0);
        let faulty = (self.plan.nodes - 1) / 3;
        let count = if all { self.plan.nodes } else { faulty + 1 };
        for offset in 0..count {
            let seat = (first + offset) % self.plan.nodes;
            if let Some(way) = self.machine_way() {
                let ask = Happening::Replay {
                    machine,
                    life,
                    seat,
                    after,
                };
                self.agenda.plan(self.now + way, ask);
            }
        }
    }

    /// A node has more to tell: it is asked on, and nobody else.
    pub(super) fn ask_on(&mut self, machine: usize, seat: Seat, covered: u64) {
        let life = self.agents[machine].life;
        if let Some(way) = self.machine_way() {
            let ask = Happening::Replay {
                machine,
                life,
                seat,
                after: (covered, u32::MAX),
            };
            self.agenda.plan(self.now + way, ask);
        }
    }

    /// A node tells a machine again what there was after a position.
    pub(super) fn replay(&mut self, machine: usize, life: u64, seat: Seat, after: (u64, u32)) {
        if !self.nodes[seat].is_up() {
            return;
        }
        self.seen.hit("replays");
        let store = &self.nodes[seat].store;
        let first = after.0.max(1);
        let last = store.final_height.min(first + HEIGHTS_PER_REPLY_MAX - 1);
        let (mut frames, mut covered) = (Vec::new(), first.min(store.final_height + 1) - 1);
        for height in first..=last {
            let found = store.blocks.get(&height);
            let Some((kept, certificate)) = found.zip(store.certificates.get(&height)) else {
                break;
            };
            if frames.len() >= FRAMES_PER_REPLY_MAX {
                break;
            }
            let mut encoded = None;
            for (at, body) in kept.outputs.bodies.iter().enumerate() {
                let known = height == after.0 && body.sub_index <= after.1;
                if !known && machine_of(&body.topic) == Some(machine) {
                    let certificate = encoded.get_or_insert_with(|| certificate.encode());
                    frames.push(kept.outputs.frame(at, certificate));
                }
            }
            covered = height;
        }
        let more = covered < store.final_height;
        let frames = Rc::new(frames);
        if let Some(way) = self.machine_way() {
            let answer = Happening::Replayed {
                machine,
                life,
                seat,
                frames,
                covered,
                more,
            };
            self.agenda.plan(self.now + way, answer);
        }
    }
}
