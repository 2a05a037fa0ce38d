//! Over a real socket: the simulated chain's server and its client.

use dctrl_proto::v1::{self, simulated_chain_client::SimulatedChainClient};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};
use tonic::{Code, transport::Channel};

use super::*;
use crate::chain::{Backend, Backends, ChainAdaptor, Hint, model, server};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const OTHER: &str = "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk";

fn simulated(url: &str) -> ChainAdaptor {
    let url = url.to_owned();
    ChainAdaptor::new(&Backends::from(Backend::Simulated { url })).unwrap()
}

/// A served chain, somebody who uses it, and a node's view of it.
struct Scene {
    runtime: Runtime,
    user: SimulatedChainClient<Channel>,
    url: String,
    adaptor: ChainAdaptor,
    watch: Watch,
    shutdown: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<Result<(), server::ServeError>>>,
}

impl Scene {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, stopped) = oneshot::channel::<()>();
        let server = runtime.spawn(server::serve_on(listener, None, async {
            let _ = stopped.await;
        }));
        let user = runtime
            .block_on(SimulatedChainClient::connect(url.clone()))
            .unwrap();
        let adaptor = simulated(&url);
        let mut watch = Watch::default();
        let address: bitcoin::Address<_> = ADDRESS.parse().unwrap();
        watch.watch(address.assume_checked().script_pubkey().into_bytes(), 7);
        Self {
            runtime,
            user,
            url,
            adaptor,
            watch,
            shutdown: Some(shutdown),
            server: Some(server),
        }
    }

    fn pay(&mut self, address: &str) -> Result<Vec<u8>, tonic::Status> {
        let request = v1::SimPayRequest {
            address: address.to_owned(),
            amount_sats: 1_500,
        };
        let paid = self.runtime.block_on(self.user.pay(request))?;
        Ok(paid.into_inner().txid)
    }

    fn mine(&mut self, blocks: u32) {
        let request = v1::SimMineRequest { blocks };
        self.runtime.block_on(self.user.mine(request)).unwrap();
    }

    fn reorganise(&mut self, depth: u32, drop_transactions: bool) {
        let request = v1::SimReorganiseRequest {
            depth,
            drop_transactions,
        };
        self.runtime
            .block_on(self.user.reorganise(request))
            .unwrap();
    }

    /// Brings the view up to date and says what is new, as `view@height`.
    fn say(&mut self) -> Vec<String> {
        let begin = Begin {
            cursor: None,
            rescan_blocks: 100,
        };
        walk(&self.adaptor, &mut self.watch, begin, &|| true).unwrap();
        let mut before = BTreeSet::new();
        scan_mempool(&self.adaptor, &mut self.watch, &mut before, &|| true).unwrap();
        check(&self.adaptor, &mut self.watch).unwrap();
        let unsaid = self.watch.unsaid();
        let said = unsaid.into_iter().map(|(key, observation)| {
            self.watch.said(key);
            format!(
                "{}@{}",
                observation.view().as_str_name(),
                observation.block_height
            )
        });
        said.collect()
    }
}

#[test]
fn a_payment_is_followed_through_mempool_block_and_reorganisation() {
    let mut scene = Scene::new();
    scene.mine(5);
    scene.pay(ADDRESS).unwrap();
    assert_eq!(scene.say(), ["IN_MEMPOOL@0"]);
    scene.mine(3);
    assert_eq!(scene.say(), ["IN_BLOCK@6"]);
    scene.reorganise(4, false);
    assert_eq!(scene.say(), ["IN_MEMPOOL@0"]);
    scene.mine(1);
    assert_eq!(scene.say(), ["IN_BLOCK@5"]);
    scene.reorganise(1, true);
    assert_eq!(scene.say(), ["ABSENT@0"]);
    assert!(scene.say().is_empty());
}

#[test]
fn payments_of_blocks_that_nobody_told_of_are_found_by_the_walk() {
    let mut scene = Scene::new();
    scene.say();
    for _ in 0..3 {
        scene.pay(ADDRESS).unwrap();
        scene.mine(1);
    }
    let mut said = scene.say();
    said.sort();
    assert_eq!(said, ["IN_BLOCK@1", "IN_BLOCK@2", "IN_BLOCK@3"]);
}

#[test]
fn a_replaced_payment_becomes_absent() {
    let mut scene = Scene::new();
    let txid = scene.pay(ADDRESS).unwrap();
    assert_eq!(scene.say(), ["IN_MEMPOOL@0"]);
    let request = v1::SimReplaceRequest {
        txid,
        address: OTHER.to_owned(),
        amount_sats: 1_000,
    };
    scene.runtime.block_on(scene.user.replace(request)).unwrap();
    assert_eq!(scene.say(), ["ABSENT@0"]);
}

#[test]
fn a_reorganisation_deeper_than_what_is_kept_begins_anew() {
    let mut scene = Scene::new();
    scene.pay(ADDRESS).unwrap();
    scene.mine(20);
    assert_eq!(scene.say(), ["IN_BLOCK@1"]);
    scene.watch.begin_above(scene.watch.tip().unwrap());
    scene.reorganise(20, true);
    scene.mine(2);
    assert_eq!(scene.say(), ["ABSENT@0"]);
}

#[test]
fn a_cursor_is_gone_on_from_only_while_its_block_is_in_the_chain() {
    let mut scene = Scene::new();
    scene.pay(ADDRESS).unwrap();
    scene.mine(10);
    let cursor = |height: u32, hash: Hash| Begin {
        cursor: Some(Tip { height, hash }),
        rescan_blocks: 100,
    };
    let hash = scene.adaptor.hash_at(5).unwrap();
    walk(&scene.adaptor, &mut scene.watch, cursor(5, hash), &|| true).unwrap();
    assert!(
        scene.watch.unsaid().is_empty(),
        "block 1 is below the cursor"
    );
    let mut scene = Scene {
        watch: std::mem::take(&mut Scene::new().watch),
        ..scene
    };
    let stale = cursor(5, Hash([9; 32]));
    walk(&scene.adaptor, &mut scene.watch, stale, &|| true).unwrap();
    assert_eq!(scene.watch.unsaid().len(), 1);
}

#[test]
fn notices_come_as_hints_and_a_restarted_stream_is_a_gap() {
    let mut scene = Scene::new();
    let mut hints = scene.adaptor.hints(&zmq::Context::new()).unwrap().remove(0);
    let wait = std::time::Duration::from_secs(10);
    assert_eq!(hints.next(wait), Some(Hint::Gap { topic: "watch" }));
    scene.pay(ADDRESS).unwrap();
    assert!(matches!(hints.next(wait), Some(Hint::Transaction(_))));
    scene.mine(1);
    assert_eq!(hints.next(wait), Some(Hint::Block));
}

#[test]
fn bad_requests_name_their_field() {
    let mut scene = Scene::new();
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    for address in ["", "nonsense", mainnet] {
        let status = scene.pay(address).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{address}");
        let refusal = dctrl_proto::status::from_status(&status).unwrap();
        assert_eq!(refusal.field, "address");
    }
    let request = v1::SimBlockHashRequest { hash: vec![1; 31] };
    let status = scene
        .runtime
        .block_on(scene.user.get_block_by_hash(request))
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("hash"), "{}", status.message());
}

#[test]
fn another_network_is_refused_and_a_silent_backend_is_unreachable() {
    let mut scene = Scene::new();
    assert_eq!(scene.adaptor.check_genesis(model::genesis_hash()), Ok(()));
    let other = Hash([9; 32]);
    assert_eq!(
        scene.adaptor.check_genesis(other),
        Err(ChainError::WrongChain {
            key: "chain.backend".to_owned(),
            expected: other,
            found: model::genesis_hash()
        })
    );
    assert_eq!(
        scene.adaptor.knows_block(Tip {
            height: 1,
            hash: other
        }),
        Ok(false)
    );
    drop(scene.shutdown.take());
    scene
        .runtime
        .block_on(scene.server.take().unwrap())
        .unwrap()
        .unwrap();
    let url = scene.url.clone();
    let adaptor = simulated(&url);
    assert!(matches!(adaptor.tip(), Err(ChainError::Unreachable(_))));
}

#[test]
fn the_server_stops_though_somebody_watches() {
    let mut scene = Scene::new();
    let mut hints = scene.adaptor.hints(&zmq::Context::new()).unwrap().remove(0);
    let gap = hints.next(std::time::Duration::from_secs(10));
    assert!(matches!(gap, Some(Hint::Gap { .. })));
    drop(scene.shutdown.take());
    drop(hints);
    scene
        .runtime
        .block_on(scene.server.take().unwrap())
        .unwrap()
        .unwrap();
}

#[test]
fn the_notifier_starts_and_stops_inside_an_async_runtime_and_refuses_another_network() {
    use crate::chain::notifier::{ChainNotifierConfig, start};
    let scene = Scene::new();
    let config = |genesis| {
        let url = scene.url.clone();
        ChainNotifierConfig::new(
            Backend::Simulated { url },
            bitcoin::Network::Regtest,
            genesis,
        )
    };
    let common = crate::common::tests::common(std::sync::Arc::new(|| 1_000));
    scene.runtime.block_on(async {
        let refused = start(common.clone(), config(Hash([9; 32])));
        assert!(matches!(
            refused.err(),
            Some(crate::StartError::Chain(ChainError::WrongChain { .. }))
        ));
        start(common, config(model::genesis_hash())).unwrap().join();
    });
}
