//! Serves the simulated chain over gRPC, for demonstrations and tests.

use std::{
    future::Future,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bitcoin::{Address, Network, address::NetworkUnchecked};
use dctrl_proto::{
    action::ACTION_BYTES_MAX,
    status::to_status,
    v1::{self, Refusal, RefusalCode, simulated_chain_server as rpc},
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, watch},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::{
    Hash,
    model::{SimChain, SimError},
    wire,
};

/// Notices that wait for a slow watcher. It loses older ones, which it sees
/// in the sequence numbers.
const NOTICES_WAITING_MAX: usize = 1_024;
/// Largest request, bytes: a payout's transaction, which has fewer than its PSBT
/// with all signatures in an action.
const REQUEST_BYTES_MAX: usize = ACTION_BYTES_MAX;
/// How long open calls may take after the server was asked to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Streams that one connection may have open at a time.
const STREAMS_MAX: u32 = 64;

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The transport failed.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves a new chain at `listen` until `shutdown` is ready, mining a block
/// every `block_every` where one is given.
///
/// # Errors
/// The address cannot be listened on, or the transport fails.
pub async fn serve(
    listen: SocketAddr,
    block_every: Option<Duration>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|source| ServeError::Listen { listen, source })?;
    serve_on(listener, block_every, shutdown).await
}

/// As [`serve`], on a socket that already listens.
///
/// # Errors
/// The transport fails.
pub async fn serve_on(
    listener: TcpListener,
    block_every: Option<Duration>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (closing, closed) = watch::channel(false);
    let chain = Served::new(closed.clone());
    let miner = block_every.map(|every| tokio::spawn(mine_regularly(chain.clone(), every)));
    let service =
        rpc::SimulatedChainServer::new(chain).max_decoding_message_size(REQUEST_BYTES_MAX);
    // Small answers must not wait for the acknowledgement of earlier ones.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, async move {
            let mut closed = closed;
            // An error means that the sender is gone, which is the end too.
            let _ = closed.wait_for(|closed| *closed).await;
        });
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown => {
            // Watchers end with this; a client that does not answer is cut off.
            let _ = closing.send(true);
            let ended = tokio::time::timeout(SHUTDOWN_GRACE, served).await;
            ended.unwrap_or(Ok(()))
        }
    };
    if let Some(miner) = miner {
        miner.abort();
    }
    Ok(ended?)
}

async fn mine_regularly(chain: Served, every: Duration) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // One block is always in range.
        let _ = chain.change(|chain| chain.mine(1));
    }
}

#[derive(Clone)]
struct Served {
    chain: Arc<Mutex<SimChain>>,
    notices: broadcast::Sender<v1::SimNotice>,
    closed: watch::Receiver<bool>,
}

impl Served {
    fn new(closed: watch::Receiver<bool>) -> Self {
        Self {
            chain: Arc::default(),
            notices: broadcast::channel(NOTICES_WAITING_MAX).0,
            closed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, SimChain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the chain and tells the watchers, in one critical section so
    /// that notices leave in order.
    fn change<T>(
        &self,
        how: impl FnOnce(&mut SimChain) -> Result<T, SimError>,
    ) -> Result<T, Status> {
        let mut chain = self.lock();
        let result = how(&mut chain);
        for notice in chain.take_notices() {
            // No watcher at present is no error.
            let _ = self.notices.send(wire::notice(&notice));
        }
        result.map_err(|error| refuse(&error))
    }

    fn tip(&self) -> v1::SimTip {
        wire::tip(self.lock().tip())
    }
}

#[tonic::async_trait]
impl rpc::SimulatedChain for Served {
    async fn get_tip(&self, _: Request<v1::GetTipRequest>) -> Result<Response<v1::SimTip>, Status> {
        Ok(Response::new(self.tip()))
    }

    async fn get_block_by_height(
        &self,
        request: Request<v1::SimBlockRequest>,
    ) -> Result<Response<v1::SimBlock>, Status> {
        let height = request.into_inner().height;
        match self.lock().block_at(height) {
            Some(block) => Ok(Response::new(wire::block(block))),
            None => Err(not_found("height", format!("there is no block {height}"))),
        }
    }

    async fn get_block_by_hash(
        &self,
        request: Request<v1::SimBlockHashRequest>,
    ) -> Result<Response<v1::SimBlock>, Status> {
        let hash = hash(&request.into_inner().hash, "hash")?;
        match self.lock().block(&hash) {
            Some(block) => Ok(Response::new(wire::block(block))),
            None => Err(not_found("hash", format!("there is no block {hash}"))),
        }
    }

    async fn get_mempool(
        &self,
        _: Request<v1::GetMempoolRequest>,
    ) -> Result<Response<v1::SimMempool>, Status> {
        let transactions = self
            .lock()
            .mempool()
            .iter()
            .map(wire::transaction)
            .collect();
        Ok(Response::new(v1::SimMempool { transactions }))
    }

    async fn get_mempool_transaction(
        &self,
        request: Request<v1::SimTransactionRequest>,
    ) -> Result<Response<v1::SimTransaction>, Status> {
        let txid = hash(&request.into_inner().txid, "txid")?;
        let chain = self.lock();
        match chain.mempool().iter().find(|one| one.txid == txid) {
            Some(waiting) => Ok(Response::new(wire::transaction(waiting))),
            None => Err(not_found("txid", format!("{txid} does not wait"))),
        }
    }

    async fn pay(
        &self,
        request: Request<v1::SimPayRequest>,
    ) -> Result<Response<v1::SimTransaction>, Status> {
        let request = request.into_inner();
        let script = script(&request.address)?;
        let paid = self.change(|chain| chain.pay(script, request.amount_sats))?;
        Ok(Response::new(wire::transaction(&paid)))
    }

    async fn replace(
        &self,
        request: Request<v1::SimReplaceRequest>,
    ) -> Result<Response<v1::SimTransaction>, Status> {
        let request = request.into_inner();
        let txid = hash(&request.txid, "txid")?;
        let script = script(&request.address)?;
        let paid = self.change(|chain| chain.replace(&txid, script, request.amount_sats))?;
        Ok(Response::new(wire::transaction(&paid)))
    }

    async fn submit(
        &self,
        request: Request<v1::SimSubmitRequest>,
    ) -> Result<Response<v1::SimTransaction>, Status> {
        let raw = request.into_inner().transaction;
        let transaction = bitcoin::consensus::deserialize(&raw).map_err(|error| {
            let problem = format!("not a transaction: {error}");
            refusal(RefusalCode::Invalid, "transaction", problem)
        })?;
        let transaction = super::bitcoind::reduced(&transaction);
        let taken = self.change(|chain| chain.submit(transaction))?;
        Ok(Response::new(wire::transaction(&taken)))
    }

    async fn mine(
        &self,
        request: Request<v1::SimMineRequest>,
    ) -> Result<Response<v1::SimTip>, Status> {
        let blocks = request.into_inner().blocks;
        let tip = self.change(|chain| chain.mine(blocks))?;
        Ok(Response::new(wire::tip(tip)))
    }

    async fn reorganise(
        &self,
        request: Request<v1::SimReorganiseRequest>,
    ) -> Result<Response<v1::SimTip>, Status> {
        let request = request.into_inner();
        let tip =
            self.change(|chain| chain.reorganise(request.depth, request.drop_transactions))?;
        Ok(Response::new(wire::tip(tip)))
    }

    type WatchStream = ReceiverStream<Result<v1::SimNotice, Status>>;

    async fn watch(
        &self,
        _: Request<v1::SimWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut notices = self.notices.subscribe();
        let mut closed = self.closed.clone();
        let (to, stream) = mpsc::channel(NOTICES_WAITING_MAX);
        tokio::spawn(async move {
            loop {
                let notice = tokio::select! {
                    _ = closed.wait_for(|closed| *closed) => return,
                    () = to.closed() => return,
                    notice = notices.recv() => notice,
                };
                match notice {
                    Ok(notice) => {
                        if to.send(Ok(notice)).await.is_err() {
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn script(address: &str) -> Result<Vec<u8>, Status> {
    let invalid = |problem: String| refusal(RefusalCode::Invalid, "address", problem);
    let address = Address::<NetworkUnchecked>::from_str(address)
        .map_err(|error| invalid(format!("not a bitcoin address: {error}")))?
        .require_network(Network::Regtest)
        .map_err(|_| invalid("not an address of regtest, the simulated network".to_owned()))?;
    Ok(address.script_pubkey().into_bytes())
}

fn hash(bytes: &[u8], field: &'static str) -> Result<Hash, Status> {
    Hash::from_slice(bytes).ok_or_else(|| {
        let problem = format!("a hash has 32 bytes, not {}", bytes.len());
        refusal(RefusalCode::Invalid, field, problem)
    })
}

fn refuse(error: &SimError) -> Status {
    let (code, field) = match error {
        SimError::Amount(_) => (RefusalCode::Invalid, "amount_sats"),
        SimError::Blocks(_) => (RefusalCode::Invalid, "blocks"),
        SimError::Depth { .. } => (RefusalCode::Invalid, "depth"),
        SimError::NotInMempool(_) => (RefusalCode::Notfound, "txid"),
        SimError::Known(_) => (RefusalCode::Exists, "transaction"),
        SimError::Spent(..) | SimError::Fee(_) => (RefusalCode::Precond, "transaction"),
        SimError::MempoolFull => (RefusalCode::Exhausted, ""),
    };
    refusal(code, field, error.to_string())
}

fn not_found(field: &str, problem: String) -> Status {
    refusal(RefusalCode::Notfound, field, problem)
}

fn refusal(code: RefusalCode, field: &str, problem: String) -> Status {
    to_status(&Refusal::field(code, "chain.simulated", field, problem))
}
