//! A federation of fake nodes on loopback, for tests of what follows one.
//!
//! Real CURVE sockets, real certificates, a bus that can lose frames and a
//! door that can stay silent or withhold. There is no consensus and no ledger:
//! a test says what each block puts out.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot set up its world must stop"
)]

mod node;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dctrl_access::Identity;
use dctrl_consensus::certificate::{BlockHeader, Certificate, HEADER_VERSION, signing_bytes};
use dctrl_consensus::{
    ClusterId, Digest, Ed25519Signer, NodeIndex, Roster, RosterMember, RosterStep, Signer,
    Timestamp, merkle,
};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BusBody, BusFrame, Genesis, MerkleProof, Node, SignedAction};
use prost::Message;

use crate::{Federation, Position};
use node::{FakeNode, Shared};

/// How one fake node misbehaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vice {
    /// Of 1000 frames of the bus, so many are lost.
    pub lost_permille: u32,
    /// The door answers nothing.
    pub silent: bool,
    /// The door says that it has sent everything, and sends nothing.
    pub withholds: bool,
    /// The door says that it has passed on an action, and has not.
    pub swallows: bool,
    /// The door shows no change of membership.
    pub hides_rosters: bool,
    /// The door keeps nothing from before this height, or says so.
    pub first_height: u64,
}

/// What becomes of submitted actions: the answer is their refusal, if any.
pub type OnSubmit = Box<dyn Fn(&SignedAction) -> Option<dctrl_proto::v1::Refusal> + Send + Sync>;

/// The fake federation; its nodes stop when it is dropped.
pub struct FakeFederation {
    /// Its genesis, with the endpoints that were really bound.
    pub genesis: Genesis,
    /// The same, as a client sees it.
    pub federation: Federation,
    present: Mutex<Members>,
    nodes: Vec<FakeNode>,
    shared: Arc<Shared>,
    chain: Mutex<Chain>,
}

/// The roster, and the keys of its members in its order.
#[derive(Clone)]
pub struct Members {
    /// The roster.
    pub roster: Roster,
    seeds: Vec<[u8; 32]>,
}

#[derive(Default)]
struct Chain {
    height: u64,
    last: BTreeMap<String, Position>,
}

impl FakeFederation {
    /// Starts `count` nodes. `found` completes the genesis before its digest
    /// is taken.
    #[must_use]
    pub fn start(count: usize, found: impl FnOnce(&mut Genesis)) -> Self {
        let shared = Arc::new(Shared::default());
        let mut genesis = Genesis {
            name: "fake".to_owned(),
            ..Genesis::default()
        };
        let mut seeds = Vec::new();
        let mut nodes = Vec::new();
        for index in 0..count {
            let identity = Identity::generate().unwrap();
            seeds.push(identity.seed());
            let node = FakeNode::start(&identity, Arc::clone(&shared));
            genesis.nodes.push(Node {
                name: format!("node-{index}"),
                key: identity.public_key().to_vec(),
                curve_key: identity.curve_public().to_vec(),
                bus_endpoint: node.bus.clone(),
                door_endpoint: node.door.clone(),
                ..Node::default()
            });
            nodes.push(node);
        }
        found(&mut genesis);
        let federation = Federation::from_genesis(&genesis).unwrap();
        let present = Members {
            roster: federation.roster.clone(),
            seeds,
        };
        Self {
            federation,
            genesis,
            present: Mutex::new(present),
            nodes,
            shared,
            chain: Mutex::default(),
        }
    }

    /// Makes a node misbehave from now on.
    pub fn corrupt(&self, node: usize, vice: Vice) {
        *self.nodes[node].vice.lock().unwrap() = vice;
    }

    /// From now on a door looks through so many heights for one answer, as
    /// real ones do.
    pub fn look_through(&self, heights: u64) {
        *self.shared.heights_max.lock().unwrap() = Some(heights);
    }

    /// From now on no door keeps anything from before this height.
    pub fn forget_before(&self, height: u64) {
        for node in &self.nodes {
            node.vice.lock().unwrap().first_height = height;
        }
    }

    /// What every door tells of the state at a height, whatever the topics.
    pub fn state_facts(&self, height: u64, events: Vec<BusBody>) {
        *self.shared.facts.lock().unwrap() = (height, events);
    }

    /// What is done with actions that come to any door.
    pub fn on_submit(&self, on_submit: OnSubmit) {
        *self.shared.on_submit.lock().unwrap() = Some(on_submit);
    }

    /// The last height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.chain.lock().unwrap().height
    }

    /// Decides a block with these outputs and publishes it on every node.
    pub fn commit(&self, time_ms: u64, outputs: Vec<(String, Event)>) -> Vec<BusFrame> {
        let mut chain = self.chain.lock().unwrap();
        let bodies = self.bodies(&mut chain, time_ms, outputs);
        let members = self.members();
        let quorum = members.roster.quorum();
        let frames = Self::certify(
            &members,
            self.federation.cluster,
            chain.height,
            time_ms,
            &bodies,
            quorum,
        );
        let stored = bodies.into_iter().zip(frames.iter().cloned()).collect();
        self.shared.store(chain.height, stored);
        for frame in &frames {
            self.publish(frame);
        }
        frames
    }

    /// The bodies of the next block, chained by topic.
    fn bodies(
        &self,
        chain: &mut Chain,
        time_ms: u64,
        outputs: Vec<(String, Event)>,
    ) -> Vec<BusBody> {
        chain.height += 1;
        let height = chain.height;
        let mut bodies = Vec::new();
        for (sub_index, (topic, event)) in (0_u32..).zip(outputs) {
            let position = Position { height, sub_index };
            let previous = chain
                .last
                .insert(topic.clone(), position)
                .unwrap_or_default();
            bodies.push(BusBody {
                topic,
                cluster: self.federation.cluster.to_vec(),
                height,
                sub_index,
                previous_height: previous.height,
                previous_sub_index: previous.sub_index,
                time_ms,
                event: Some(event),
            });
        }
        bodies
    }

    /// The members that sign now.
    #[must_use]
    pub fn members(&self) -> Members {
        self.present.lock().unwrap().clone()
    }

    /// Replaces the last member by one with a new key: the next height seals,
    /// puts nothing out, and every node can show the step from then on.
    pub fn replace_last_member(&self) -> RosterStep {
        let mut chain = self.chain.lock().unwrap();
        chain.height += 1;
        let height = chain.height;
        let old = self.members();
        let (next, step) = old.replace_last(self.federation.cluster, height, old.roster.quorum());
        self.shared.store(height, Vec::new());
        self.shared.steps.lock().unwrap().push(step.encode());
        *self.present.lock().unwrap() = next;
        step
    }

    /// Makes every node show these steps, whatever they are worth.
    pub fn show_steps(&self, steps: Vec<Vec<u8>>) {
        *self.shared.steps.lock().unwrap() = steps;
    }

    /// Frames for these bodies, certified by the first `signers` members of
    /// today.
    #[must_use]
    pub fn seal(
        &self,
        height: u64,
        time_ms: u64,
        bodies: &[BusBody],
        signers: usize,
    ) -> Vec<BusFrame> {
        let members = self.members();
        Self::certify(
            &members,
            self.federation.cluster,
            height,
            time_ms,
            bodies,
            signers,
        )
    }

    /// Frames for these bodies, certified by the first `signers` of these
    /// members.
    #[must_use]
    pub fn certify(
        members: &Members,
        cluster: [u8; 32],
        height: u64,
        time_ms: u64,
        bodies: &[BusBody],
        signers: usize,
    ) -> Vec<BusFrame> {
        let leaves: Vec<Vec<u8>> = bodies.iter().map(Message::encode_to_vec).collect();
        let header = BlockHeader {
            version: HEADER_VERSION,
            cluster: ClusterId(Digest(cluster)),
            epoch: members.roster.number,
            index: height,
            round: height,
            time: Timestamp::from_millis(time_ms),
            previous: Digest::ZERO,
            payload_root: Digest::ZERO,
            state_digest: Digest::ZERO,
            outputs_root: merkle::root(&leaves),
            roster: members.roster.hash(),
            next_roster: Digest::ZERO,
        };
        let certificate = members.sign(header, signers).encode();
        let frame = |(index, leaf): (usize, &Vec<u8>)| BusFrame {
            body: leaf.clone(),
            proof: Some(MerkleProof {
                leaf_count: u32::try_from(leaves.len()).unwrap(),
                path: merkle::proof(&leaves, index)
                    .into_iter()
                    .map(|step| step.0.to_vec())
                    .collect(),
            }),
            certificate: certificate.clone(),
        };
        leaves.iter().enumerate().map(frame).collect()
    }

    /// Puts a frame on every node's bus, whatever it is worth.
    pub fn publish(&self, frame: &BusFrame) {
        let body = BusBody::decode(frame.body.as_slice()).unwrap_or_default();
        self.publish_as(&body.topic, &frame.encode_to_vec());
    }

    /// Puts any bytes on every node's bus under a topic.
    pub fn publish_as(&self, topic: &str, bytes: &[u8]) {
        for node in &self.nodes {
            node.publish(topic, bytes);
        }
    }
}

impl Members {
    /// The certificate of this header by the first `signers` members.
    #[must_use]
    pub fn sign(&self, header: BlockHeader, signers: usize) -> Certificate {
        let bytes = signing_bytes(&header.hash());
        let signatures = (0_u16..)
            .zip(&self.seeds[..signers])
            .map(|(index, seed)| {
                let signer = Ed25519Signer::from_seed(seed);
                (NodeIndex(index), signer.sign(&bytes))
            })
            .collect();
        Certificate { header, signatures }
    }

    /// The members after the last one was replaced, and the step to them at
    /// `height`, signed by the first `signers` members.
    #[must_use]
    pub fn replace_last(
        &self,
        cluster: [u8; 32],
        height: u64,
        signers: usize,
    ) -> (Self, RosterStep) {
        let joins = Identity::generate().unwrap();
        let number = self.roster.number + 1;
        let (mut members, mut seeds) = (self.roster.members.clone(), self.seeds.clone());
        *members.last_mut().unwrap() = RosterMember::new(
            format!("joined-{number}"),
            dctrl_consensus::PublicKey(joins.public_key()),
        );
        *seeds.last_mut().unwrap() = joins.seed();
        let roster = Roster::new(number, members).unwrap();
        let header = BlockHeader {
            version: HEADER_VERSION,
            cluster: ClusterId(Digest(cluster)),
            epoch: self.roster.number,
            index: height,
            round: height,
            time: Timestamp::from_millis(height),
            previous: Digest::ZERO,
            payload_root: Digest::ZERO,
            state_digest: Digest::ZERO,
            outputs_root: Digest::ZERO,
            roster: self.roster.hash(),
            next_roster: roster.hash(),
        };
        let step = RosterStep {
            certificate: self.sign(header, signers),
            next: roster.clone(),
        };
        (Self { roster, seeds }, step)
    }
}
