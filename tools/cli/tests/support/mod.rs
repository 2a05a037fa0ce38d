//! A federation of four keys behind one pretended node, and the real program
//! run against it.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, outside a test module"
)]

use std::{
    net::SocketAddr,
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
};

use dctrl_access::Identity;
use dctrl_consensus::{
    ClusterId, Digest, Ed25519Signer, NodeIndex, PublicKey, Roster, RosterMember, RosterStep,
    Signer, Timestamp,
    certificate::{BlockHeader, Certificate, signing_bytes},
    merkle,
};
use dctrl_proto::{
    action::action_id,
    genesis::cluster_id,
    status::to_status,
    v1::{
        BlockApplied, BusBody, BusFrame, FollowRequest, Genesis, GetVendRequest, MerkleProof, Node,
        Receipt, Refusal, RefusalCode, SignedAction, Stage, Status as NodeStatus, SubmitReply,
        SubmitRequest, Vend, VendChanged, VendState, bus_body::Event, dctrl_server, *,
    },
};
use prost::Message;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

/// The federation: its genesis and the keys of its nodes.
pub(crate) struct Federation {
    pub(crate) genesis: Genesis,
    signers: Vec<Ed25519Signer>,
    roster: Roster,
}

impl Federation {
    pub(crate) fn new(descriptor: String) -> Self {
        let signers: Vec<_> = (1..=4)
            .map(|seed| Ed25519Signer::from_seed(&[seed; 32]))
            .collect();
        let names = ["alpha", "bravo", "charlie", "delta"];
        let key = |signer: &Ed25519Signer| signer.public_key();
        let nodes = names.iter().zip(&signers).map(|(name, signer)| Node {
            name: (*name).to_owned(),
            key: key(signer).0.to_vec(),
            ..Node::default()
        });
        let genesis = Genesis {
            name: "test".to_owned(),
            network: "regtest".to_owned(),
            descriptor,
            nodes: nodes.collect(),
            ..Genesis::default()
        };
        let members = names
            .iter()
            .zip(&signers)
            .map(|(name, signer)| RosterMember::new((*name).to_owned(), PublicKey(key(signer).0)));
        let roster = Roster::new(0, members.collect()).unwrap();
        Self {
            genesis,
            signers,
            roster,
        }
    }

    /// The federation after its last node was replaced at `height`, and the
    /// step to it, signed by the first `signed` nodes.
    pub(crate) fn changed(&self, height: u64, signed: usize) -> (Self, Vec<u8>) {
        let mut signers: Vec<_> = (1..=4)
            .map(|seed| Ed25519Signer::from_seed(&[seed; 32]))
            .collect();
        signers[3] = Ed25519Signer::from_seed(&[9; 32]);
        let mut members = self.roster.members.clone();
        members[3] = RosterMember::new("echo".to_owned(), signers[3].public_key());
        let roster = Roster::new(self.roster.number + 1, members).unwrap();
        let header = BlockHeader {
            version: 1,
            cluster: ClusterId(Digest(cluster_id(&self.genesis))),
            epoch: 0,
            index: height,
            round: height,
            time: Timestamp(height),
            previous: Digest([0; 32]),
            payload_root: Digest([0; 32]),
            state_digest: Digest([0; 32]),
            outputs_root: Digest([0; 32]),
            roster: self.roster.hash(),
            next_roster: roster.hash(),
        };
        let step = RosterStep {
            certificate: self.sign(header, signed),
            next: roster.clone(),
        };
        let changed = Self {
            genesis: self.genesis.clone(),
            signers,
            roster,
        };
        (changed, step.encode())
    }

    fn sign(&self, header: BlockHeader, signed: usize) -> Certificate {
        let bytes = signing_bytes(&header.hash());
        let signatures = self.signers.iter().zip(0..).take(signed);
        Certificate {
            header,
            signatures: signatures
                .map(|(one, index)| (NodeIndex(index), one.sign(&bytes)))
                .collect(),
        }
    }

    /// The frames of one block with these events, signed by the first `signed` nodes.
    pub(crate) fn frames(
        &self,
        height: u64,
        events: Vec<(&str, Event)>,
        signed: usize,
    ) -> Vec<BusFrame> {
        let cluster = cluster_id(&self.genesis);
        let block = Event::Block(BlockApplied {
            actions: 1,
            ..BlockApplied::default()
        });
        let bodies: Vec<Vec<u8>> = events
            .into_iter()
            .chain([("block", block)])
            .zip(0..)
            .map(|((topic, event), sub_index)| {
                let body = BusBody {
                    topic: topic.to_owned(),
                    cluster: cluster.to_vec(),
                    height,
                    sub_index,
                    time_ms: 1_750_000_000_000,
                    event: Some(event),
                    ..BusBody::default()
                };
                body.encode_to_vec()
            })
            .collect();
        let header = BlockHeader {
            version: 1,
            cluster: ClusterId(Digest(cluster)),
            epoch: 0,
            index: height,
            round: height * 2,
            time: Timestamp::from_millis(1_750_000_000_000),
            previous: Digest([0; 32]),
            payload_root: Digest([1; 32]),
            state_digest: Digest([2; 32]),
            outputs_root: merkle::root(&bodies),
            roster: self.roster.hash(),
            next_roster: Digest([0; 32]),
        };
        let certificate = self.sign(header, signed).encode();
        let frame = |(index, body): (usize, &Vec<u8>)| BusFrame {
            body: body.clone(),
            proof: Some(MerkleProof {
                leaf_count: u32::try_from(bodies.len()).unwrap(),
                path: merkle::proof(&bodies, index)
                    .iter()
                    .map(|node| node.0.to_vec())
                    .collect(),
            }),
            certificate: certificate.clone(),
        };
        bodies.iter().enumerate().map(frame).collect()
    }
}

/// The height at which everything of the tests happens.
pub(crate) const HEIGHT: u64 = 5;

/// A quote as the ledger would make it.
pub(crate) fn quoted(address: &str) -> Event {
    Event::Vend(VendChanged {
        vend: Some(Vend {
            id: "vend-1".to_owned(),
            machine_id: "m1".to_owned(),
            slot: "A1".to_owned(),
            product_id: "club-mate".to_owned(),
            state: VendState::Reserved.into(),
            price_sats: 1500,
            address: address.to_owned(),
            expires_at_ms: 1_750_000_900_000,
            ..Vend::default()
        }),
    })
}

/// What a node's books hold.
#[derive(Clone, Default)]
pub(crate) struct Books {
    pub(crate) accounts: Vec<Account>,
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) payouts: Vec<Payout>,
}

/// The one row that a request asks for, and the next cursor: a position.
fn page<T: Clone>(rows: &[T], request: Request<ListRequest>) -> (Vec<T>, String) {
    let at: usize = request.into_inner().after.parse().unwrap_or_default();
    let next = at + 1;
    let more = next < rows.len();
    let next = if more {
        next.to_string()
    } else {
        String::new()
    };
    (rows.get(at).cloned().into_iter().collect(), next)
}

/// What the pretended node says.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) frames: Vec<BusFrame>,
    /// Changes of membership.
    pub(crate) steps: Vec<Vec<u8>>,
    /// Instead of any answer to Submit.
    pub(crate) refusal: Option<Refusal>,
    /// The present nodes, and proposals.
    pub(crate) nodes: NodeList,
    /// The node's graph.
    pub(crate) dag: DagReply,
    /// The books; lists show one row a page.
    pub(crate) books: Books,
    /// Every action that was handed in.
    pub(crate) submitted: Arc<Mutex<Vec<SignedAction>>>,
}

/// Serves the script on a free port until the test's process ends.
pub(crate) fn serve(script: Script) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .add_service(dctrl_server::DctrlServer::new(script))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
    });
    address
}

/// A folder with a genesis, a key and settings for these nodes.
pub(crate) fn folder(genesis: &Genesis, nodes: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("genesis.json"), serde_json::to_vec(genesis).unwrap()).unwrap();
    Identity::generate().unwrap().save(&at("me.key")).unwrap();
    let settings = format!("nodes = {nodes:?}\nkey = \"me.key\"\ngenesis = \"genesis.json\"\n");
    std::fs::write(at("dctrl.toml"), settings).unwrap();
    folder
}

/// Runs `dctrl` with the settings in `folder`.
pub(crate) fn dctrl(folder: &Path, arguments: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_dctrl"))
        .env("DCTRL_CONFIG", folder.join("dctrl.toml"))
        .args(arguments)
        .output()
        .unwrap()
}

type Answer<T> = Result<Response<T>, Status>;

fn unscripted<T>() -> Answer<T> {
    Err(Status::unimplemented("not in the script"))
}

#[tonic::async_trait]
impl dctrl_server::Dctrl for Script {
    type FollowStream = ReceiverStream<Result<BusFrame, Status>>;

    async fn submit(&self, request: Request<SubmitRequest>) -> Answer<SubmitReply> {
        let action = request.into_inner().action.unwrap();
        let id = action_id(&action).to_vec();
        self.submitted.lock().unwrap().push(action);
        if let Some(refusal) = &self.refusal {
            return Err(to_status(refusal));
        }
        Ok(Response::new(SubmitReply {
            action_id: id.clone(),
            stage: Stage::Final.into(),
            receipt: Some(Receipt {
                action_id: id,
                height: HEIGHT,
                time_ms: 1_750_000_000_000,
                subject: "vend-1".to_owned(),
                ..Receipt::default()
            }),
            ..SubmitReply::default()
        }))
    }

    async fn roster_chain(&self, request: Request<GetRosterChain>) -> Answer<RosterChain> {
        let after = usize::try_from(request.into_inner().after_number).unwrap();
        let steps = self.steps.iter().skip(after).cloned().collect();
        Ok(Response::new(RosterChain { steps, more: false }))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<NodeStatus> {
        Ok(Response::new(NodeStatus {
            node: "bravo".to_owned(),
            height: HEIGHT,
            final_height: HEIGHT,
            ..NodeStatus::default()
        }))
    }

    async fn get_vend(&self, request: Request<GetVendRequest>) -> Answer<VendReply> {
        let message = format!("no vend {}", request.into_inner().id);
        Err(to_status(&Refusal::field(
            RefusalCode::Notfound,
            "vend.id",
            "id",
            message,
        )))
    }

    /// As a real node does: what there is, and then the stream stays open.
    async fn follow(&self, request: Request<FollowRequest>) -> Answer<Self::FollowStream> {
        let wanted = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let frames = self.frames.clone();
        tokio::spawn(async move {
            for frame in frames {
                let topic = BusBody::decode(frame.body.as_slice()).unwrap().topic;
                if dctrl_proto::topic::matches_any(&wanted.topics, &topic) {
                    let _ = sender.send(Ok(frame)).await;
                }
            }
            sender.closed().await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_action(&self, _: Request<GetActionRequest>) -> Answer<SubmitReply> {
        unscripted()
    }
    async fn get_genesis(&self, _: Request<GetGenesisRequest>) -> Answer<GenesisReply> {
        unscripted()
    }
    async fn list_members(&self, _: Request<ListRequest>) -> Answer<MemberList> {
        unscripted()
    }
    async fn list_nodes(&self, _: Request<ListNodesRequest>) -> Answer<NodeList> {
        Ok(Response::new(self.nodes.clone()))
    }
    async fn list_rosters(&self, _: Request<ListRequest>) -> Answer<RosterList> {
        unscripted()
    }
    async fn list_products(&self, _: Request<ListRequest>) -> Answer<ProductList> {
        unscripted()
    }
    async fn list_machines(&self, _: Request<ListRequest>) -> Answer<MachineList> {
        unscripted()
    }
    async fn list_vends(&self, _: Request<ListRequest>) -> Answer<VendList> {
        unscripted()
    }
    async fn list_payments(&self, request: Request<ListRequest>) -> Answer<PaymentList> {
        let (payments, next) = page(&self.books.payments, request);
        Ok(Response::new(PaymentList {
            height: HEIGHT,
            payments,
            next,
        }))
    }
    async fn get_payout(
        &self,
        _: Request<dctrl_proto::v1::GetPayoutRequest>,
    ) -> Answer<dctrl_proto::v1::PayoutReply> {
        unscripted()
    }
    async fn list_payouts(&self, request: Request<ListRequest>) -> Answer<PayoutList> {
        let (payouts, next) = page(&self.books.payouts, request);
        Ok(Response::new(PayoutList {
            height: HEIGHT,
            payouts,
            next,
        }))
    }
    async fn get_tab(&self, _: Request<GetTabRequest>) -> Answer<TabReply> {
        unscripted()
    }
    async fn list_tabs(&self, _: Request<ListRequest>) -> Answer<TabList> {
        unscripted()
    }
    async fn list_uncertain(&self, _: Request<ListRequest>) -> Answer<VendList> {
        unscripted()
    }
    async fn list_refunds(&self, _: Request<ListRequest>) -> Answer<RefundList> {
        unscripted()
    }
    async fn list_journal(&self, request: Request<ListRequest>) -> Answer<JournalList> {
        let (entries, next) = page(&self.books.journal, request);
        Ok(Response::new(JournalList {
            height: HEIGHT,
            entries,
            next,
        }))
    }
    async fn get_balances(&self, _: Request<GetBalancesRequest>) -> Answer<Balances> {
        Ok(Response::new(Balances {
            height: HEIGHT,
            accounts: self.books.accounts.clone(),
            sum_sats: 0,
        }))
    }
    async fn get_block(&self, _: Request<GetBlockRequest>) -> Answer<BlockReply> {
        unscripted()
    }
    async fn get_dag(&self, request: Request<GetDagRequest>) -> Answer<DagReply> {
        let mut dag = self.dag.clone();
        let shown = request.into_inner().events_max as usize;
        dag.earlier_events = dag.events.len().saturating_sub(shown) as u64;
        dag.events.drain(..dag.events.len().saturating_sub(shown));
        Ok(Response::new(dag))
    }
}
