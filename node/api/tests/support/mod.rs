//! A node without consensus: a real store and ledger behind a real server.
//! The test orders and certifies blocks by hand.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, outside a test module"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use dctrl_access::{Identity, fresh_request_id};
use dctrl_api::{Api, ApiConfig, Gateway, LiveStatus, NodeFacts, Progress, serve};
use dctrl_consensus::{
    ClusterId, Digest, Ed25519Signer, NodeIndex, PublicKey, Roster, RosterMember, Signer,
    Timestamp,
    certificate::{BlockHeader, Certificate, signing_bytes},
    explain::{Window, explain, notation},
    merkle,
};
use dctrl_ledger::{BlockInput, admit, apply};
use dctrl_proto::{
    action::action_id,
    genesis::cluster_id,
    v1::{
        ActionBody, BlockPayload, DepthRule, Genesis, Member, MemberStatus, Node, Policy, Product,
        ProductSet, SignedAction, Submitted, dctrl_client::DctrlClient, product::Price,
    },
};
use dctrl_store::{Options, Store};
use prost::Message;
use tokio::sync::{oneshot, watch};
use tonic::transport::Channel;

/// The node, its clients' way in, and the test's hands on its pipeline.
pub(crate) struct TestNode {
    pub(crate) operator: Identity,
    pub(crate) cluster: [u8; 32],
    pub(crate) url: String,
    pub(crate) api: Option<Api>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    gateway: Gateway,
    store: Store,
    progress: watch::Sender<Progress>,
    pool: Arc<Mutex<Vec<SignedAction>>>,
    wishes: Arc<AtomicUsize>,
    signers: Vec<Ed25519Signer>,
    roster: Roster,
    _folder: tempfile::TempDir,
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn signers() -> Vec<Ed25519Signer> {
    (1..=4)
        .map(|seed| Ed25519Signer::from_seed(&[seed; 32]))
        .collect()
}

fn genesis(operator: &Identity, signers: &[Ed25519Signer]) -> Genesis {
    let node = |(signer, number): (&Ed25519Signer, u8)| Node {
        name: format!("node-{number}"),
        key: signer.public_key().0.to_vec(),
        curve_key: vec![100 + number; 32],
        gossip_endpoint: format!("tcp://192.0.2.{number}:7000"),
        bus_endpoint: format!("tcp://192.0.2.{number}:7001"),
        door_endpoint: format!("tcp://192.0.2.{number}:7002"),
    };
    Genesis {
        name: "test".to_owned(),
        network: "regtest".to_owned(),
        chain_genesis_hash: vec![9; 32],
        descriptor: include_str!("descriptor.txt").trim().to_owned(),
        nodes: signers.iter().zip(1..).map(node).collect(),
        members: vec![Member {
            id: "olga".to_owned(),
            name: "Olga".to_owned(),
            key: operator.public_key().to_vec(),
            roles: vec!["operator".to_owned()],
            status: MemberStatus::Active.into(),
        }],
        policy: Some(Policy {
            quote_ms: 600_000,
            order_ms: 30_000,
            heartbeat_ms_max: 120_000,
            price_age_ms_max: 60_000,
            depths: vec![DepthRule {
                sats_max: 1_000_000,
                confirmations: 1,
            }],
            final_depth: 6,
            ..Policy::default()
        }),
        created_at_ms: now_ms(),
        ..Genesis::default()
    }
}

impl TestNode {
    pub(crate) async fn start() -> Self {
        let operator = Identity::generate().unwrap();
        let signers = signers();
        let genesis = genesis(&operator, &signers);
        let cluster = cluster_id(&genesis);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &Options::default()).unwrap();
        let applied = dctrl_ledger::genesis(&genesis).unwrap();
        let mut batch = store.begin();
        batch.state(&applied.changes).executed(0);
        store.commit(batch).unwrap();

        let member = |(node, signer): (&Node, &Ed25519Signer)| {
            RosterMember::new(node.name.clone(), PublicKey(signer.public_key().0))
        };
        let members = genesis.nodes.iter().zip(&signers).map(member).collect();
        let (progress, receiver) = watch::channel(Progress::default());
        let pool = Arc::new(Mutex::new(Vec::new()));
        let facts = NodeFacts {
            name: "node-1".to_owned(),
            index: 0,
            cluster,
            genesis,
            version: "0.0.0-test".to_owned(),
        };
        let wishes = Arc::new(AtomicUsize::new(0));
        let mut gateway = gateway(store.clone(), facts, receiver, Arc::clone(&pool));
        let wished = Arc::clone(&wishes);
        gateway.expire = Arc::new(move |_| {
            wished.fetch_add(1, Ordering::SeqCst);
        });
        let config = ApiConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let api = serve(config, gateway.clone(), async {
            stopped.await.unwrap_or(())
        })
        .await
        .unwrap();
        Self {
            operator,
            cluster,
            url: format!("http://{}", api.address()),
            api: Some(api),
            stop: Some(stop),
            gateway,
            store,
            progress,
            pool,
            wishes,
            signers,
            roster: Roster::new(0, members).unwrap(),
            _folder: folder,
        }
    }

    pub(crate) fn gateway(&self) -> Gateway {
        self.gateway.clone()
    }

    pub(crate) async fn client(&self) -> DctrlClient<Channel> {
        DctrlClient::connect(self.url.clone()).await.unwrap()
    }

    /// Whether somebody wanted consensus time to move on.
    pub(crate) fn asked_for_a_block(&self) -> bool {
        self.wishes.load(Ordering::SeqCst) > 0
    }

    /// A product that the operator adds.
    pub(crate) fn product(&self, id: &str) -> SignedAction {
        self.product_until(id, now_ms() + 60_000)
    }

    /// [`Self::product`] with an expiry.
    pub(crate) fn product_until(&self, id: &str, expires_at_ms: u64) -> SignedAction {
        self.product_as(id, fresh_request_id(), expires_at_ms)
    }

    /// Another product under the request id of `action`.
    pub(crate) fn with_request_of(&self, action: &SignedAction, id: &str) -> SignedAction {
        let body = ActionBody::decode(action.body.as_slice()).unwrap();
        let request_id = body.request_id.try_into().unwrap();
        self.product_as(id, request_id, body.expires_at_ms)
    }

    fn product_as(&self, id: &str, request_id: [u8; 16], expires_at_ms: u64) -> SignedAction {
        let product = Product {
            id: id.to_owned(),
            name: id.to_owned(),
            price: Some(Price::PriceSats(1500)),
            version: 0,
        };
        let payload = ProductSet {
            product: Some(product),
            expected_version: 0,
        };
        self.operator
            .sign_action(&self.cluster, request_id, expires_at_ms, &payload)
    }

    /// Waits until the API has handed over `count` actions.
    pub(crate) async fn submitted(&self, count: usize) {
        while self.pool.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Orders, applies and syncs what was submitted, as one block.
    pub(crate) fn order(&self) -> u64 {
        let transactions: Vec<Vec<u8>> = self
            .pool
            .lock()
            .unwrap()
            .drain(..)
            .map(|action| action.encode_to_vec())
            .collect();
        let bytes: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
        let height = self.store.snapshot().height().unwrap() + 1;
        let time_ms = now_ms();
        let input = BlockInput {
            height,
            time_ms,
            transactions: &bytes,
        };
        let applied = apply(&self.store.snapshot(), &input);
        let header = BlockHeader {
            version: 1,
            cluster: ClusterId(Digest(self.cluster)),
            epoch: 0,
            index: height,
            round: height * 2,
            time: Timestamp::from_millis(time_ms),
            previous: Digest([0; 32]),
            payload_root: merkle::root(&transactions),
            state_digest: Digest(applied.state_digest),
            outputs_root: merkle::root(&applied.outputs),
            roster: self.roster.hash(),
            next_roster: Digest([0; 32]),
        };
        let payload = BlockPayload { transactions };
        let mut batch = self.store.begin();
        batch
            .block(height, payload.encode_to_vec(), &header.encode())
            .state(&applied.changes)
            .outputs(height, &applied.outputs)
            .executed(height);
        self.store.commit(batch).unwrap();
        self.progress
            .send_modify(|progress| progress.applied_height = height);
        height
    }

    /// Adds the certificate of three nodes.
    pub(crate) fn certify(&self, height: u64) {
        let header = self.store.snapshot().header(height).unwrap().unwrap();
        let header = BlockHeader::decode(&header).unwrap();
        let bytes = signing_bytes(&header.hash());
        let sign = |(signer, index): (&Ed25519Signer, u16)| (NodeIndex(index), signer.sign(&bytes));
        let signatures = self.signers.iter().zip(0..).take(3).map(sign).collect();
        let mut batch = self.store.begin();
        batch.certificate(height, &Certificate { header, signatures }.encode());
        self.store.commit(batch).unwrap();
        self.progress
            .send_modify(|progress| progress.final_height = height);
    }
}

fn gateway(
    store: Store,
    facts: NodeFacts,
    progress: watch::Receiver<Progress>,
    pool: Arc<Mutex<Vec<SignedAction>>>,
) -> Gateway {
    let admission = store.clone();
    let waiting = Arc::clone(&pool);
    Gateway {
        store,
        facts: Arc::new(facts),
        submit: Arc::new(move |action| {
            let admitted = admit(&admission.snapshot(), now_ms(), &action)?;
            if admitted.already.is_none() {
                pool.lock().unwrap().push(action);
            }
            Ok(Submitted {
                action_id: admitted.id.to_vec(),
                receipt: admitted.already,
            })
        }),
        waiting: Arc::new(move |id| {
            let pool = waiting.lock().unwrap();
            pool.iter().any(|action| action_id(action) == *id)
        }),
        expire: Arc::new(|_| {}),
        progress,
        live: Arc::new(|| LiveStatus {
            round: 77,
            alerts: vec!["the disk is nearly full".to_owned()],
            chain_backends: vec!["chain.backend[0]: at block 7, followed".to_owned()],
            ..LiveStatus::default()
        }),
        window: Arc::new(|events_max| Ok(window(events_max))),
    }
}

/// A graph of three events, cut to the latest.
fn window(events_max: usize) -> Window {
    let mut graph = notation::parse("nodes: A B\nA0@1: []\nB0@2: []\nA1@3: [A0, B0]").unwrap();
    let mut explanation = explain(&graph).unwrap().explanation().clone();
    let earlier = graph.events.len().saturating_sub(events_max);
    graph.events.drain(..earlier);
    explanation.events.drain(..earlier);
    Window {
        graph,
        explanation,
        earlier: earlier as u64,
    }
}
