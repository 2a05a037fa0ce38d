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
use dctrl_consensus::{ClusterId, Digest, Ed25519Signer, NodeIndex, Signer, Timestamp, merkle};
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
}

/// What becomes of submitted actions: the answer is their refusal, if any.
pub type OnSubmit = Box<dyn Fn(&SignedAction) -> Option<dctrl_proto::v1::Refusal> + Send + Sync>;

/// The fake federation; its nodes stop when it is dropped.
pub struct FakeFederation {
    /// Its genesis, with the endpoints that were really bound.
    pub genesis: Genesis,
    /// The same, as a client sees it.
    pub federation: Federation,
    signers: Vec<Ed25519Signer>,
    nodes: Vec<FakeNode>,
    shared: Arc<Shared>,
    chain: Mutex<Chain>,
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
        let mut signers = Vec::new();
        let mut nodes = Vec::new();
        for index in 0..count {
            let identity = Identity::generate().unwrap();
            signers.push(Ed25519Signer::from_seed(&identity.seed()));
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
        Self {
            federation: Federation::from_genesis(&genesis).unwrap(),
            genesis,
            signers,
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
        let quorum = self.federation.roster.quorum();
        let frames = self.seal(chain.height, time_ms, &bodies, quorum);
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

    /// Frames for these bodies, certified by the first `signers` nodes.
    #[must_use]
    pub fn seal(
        &self,
        height: u64,
        time_ms: u64,
        bodies: &[BusBody],
        signers: usize,
    ) -> Vec<BusFrame> {
        let leaves: Vec<Vec<u8>> = bodies.iter().map(Message::encode_to_vec).collect();
        let header = BlockHeader {
            version: HEADER_VERSION,
            cluster: ClusterId(Digest(self.federation.cluster)),
            epoch: self.federation.roster.number,
            index: height,
            round: height,
            time: Timestamp::from_millis(time_ms),
            previous: Digest::ZERO,
            payload_root: Digest::ZERO,
            state_digest: Digest::ZERO,
            outputs_root: merkle::root(&leaves),
            roster: self.federation.roster.hash(),
            next_roster: Digest::ZERO,
        };
        let bytes = signing_bytes(&header.hash());
        let signatures = (0_u16..)
            .zip(&self.signers[..signers])
            .map(|(index, signer)| (NodeIndex(index), signer.sign(&bytes)))
            .collect();
        let certificate = Certificate { header, signatures }.encode();
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
