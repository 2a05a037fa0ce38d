//! The simulated chain as a backend: a gRPC client.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dctrl_proto::v1::{
    self, PaymentDoubts, sim_notice::Notice, simulated_chain_client::SimulatedChainClient as Client,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{
    Block, ChainError, ChainSource, Hash, Hint, Hints, Sent, Tip, Transaction,
    client::{self, found},
    wire,
};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life this often.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);
/// Largest answer, bytes: a full mempool of the model.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How long to wait before a lost stream of notices is opened again.
const REOPEN_DELAY: Duration = Duration::from_millis(200);

/// A client of the simulated chain, for use outside any async runtime.
#[derive(Debug)]
pub struct Simulated {
    endpoint: Endpoint,
    runtime: Runtime,
    /// Replaced where it gave no answer in time: a connection may be half open.
    client: Mutex<Client<Channel>>,
    call_timeout: Duration,
}

impl Simulated {
    pub(super) fn new(url: &str) -> Result<Self, ChainError> {
        Self::with_times(url, CALL_TIMEOUT, KEEP_ALIVE_EVERY)
    }

    fn with_times(
        url: &str,
        call_timeout: Duration,
        keep_alive_every: Duration,
    ) -> Result<Self, ChainError> {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|error| ChainError::Config {
                field: "chain.url".to_owned(),
                problem: format!("{url} is not a URL: {error}"),
            })?
            .connect_timeout(call_timeout)
            // A stream of notices may be silent for long.
            .http2_keep_alive_interval(keep_alive_every)
            .keep_alive_timeout(keep_alive_every)
            .keep_alive_while_idle(true);
        let runtime = runtime()?;
        let client = Mutex::new(connect(&endpoint, &runtime));
        Ok(Self {
            endpoint,
            runtime,
            client,
            call_timeout,
        })
    }

    fn client(&self) -> Client<Channel> {
        self.connection().clone()
    }

    fn connection(&self) -> MutexGuard<'_, Client<Channel>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block_of(&self, hash: Hash) -> Result<Block, ChainError> {
        let request = v1::SimBlockHashRequest {
            hash: hash.0.to_vec(),
        };
        let mut client = self.client();
        let block = self.call("GetBlockByHash", async move {
            client.get_block_by_hash(request).await
        })?;
        wire::read_block("GetBlockByHash", block)
    }

    fn waiting(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        let request = v1::SimTransactionRequest {
            txid: txid.0.to_vec(),
        };
        let mut client = self.client();
        let answer = self.call("GetMempoolTransaction", async move {
            client.get_mempool_transaction(request).await
        });
        match answer {
            Ok(transaction) => {
                wire::read_transaction("GetMempoolTransaction", transaction).map(Some)
            }
            Err(ChainError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn genesis_hash(&self) -> Result<Hash, ChainError> {
        wire::read_hash("GetTip", &self.get_tip()?.genesis_hash)
    }

    fn get_tip(&self) -> Result<v1::SimTip, ChainError> {
        let mut client = self.client();
        self.call("GetTip", async move {
            client.get_tip(v1::GetTipRequest {}).await
        })
    }

    fn get_mempool(&self) -> Result<v1::SimMempool, ChainError> {
        let mut client = self.client();
        self.call("GetMempool", async move {
            client.get_mempool(v1::GetMempoolRequest {}).await
        })
    }

    fn call<T>(
        &self,
        what: &'static str,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, ChainError> {
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(self.call_timeout, answer).await });
        match answer {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(blame(what, &status)),
            Err(_) => {
                *self.connection() = connect(&self.endpoint, &self.runtime);
                Err(ChainError::Unreachable(format!("{what} timed out")))
            }
        }
    }
}

impl ChainSource for Simulated {
    fn tip(&self) -> Result<Tip, ChainError> {
        let tip = self.get_tip()?;
        Ok(Tip {
            height: tip.height,
            hash: wire::read_hash("GetTip", &tip.hash)?,
        })
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        if height == 0 {
            return self.genesis_hash();
        }
        let request = v1::SimBlockRequest { height };
        let mut client = self.client();
        let block = self.call("GetBlockByHeight", async move {
            client.get_block_by_height(request).await
        })?;
        wire::read_hash("GetBlockByHeight", &block.hash)
    }

    fn block(&self, _: u32, hash: Hash) -> Result<Block, ChainError> {
        self.block_of(hash)
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        found(self.block_of(block.hash)).map(|known| known.is_some())
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        let waiting = self.get_mempool()?.transactions;
        let txids = waiting
            .iter()
            .map(|one| wire::read_hash("GetMempool", &one.txid));
        txids.collect()
    }

    /// Its transactions depend on no others, so that nothing speaks against any.
    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        let waits = self.mempool()?.contains(&txid);
        Ok(waits.then(PaymentDoubts::default))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.waiting(txid)
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        let mut spenders = Vec::new();
        for one in self.get_mempool()?.transactions {
            let one = wire::read_transaction("GetMempool", one)?;
            if one.inputs.iter().any(|place| outputs.contains(place)) {
                spenders.push(one.txid);
            }
        }
        Ok(spenders)
    }
}

impl client::Client for Simulated {
    fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let request = v1::SimSubmitRequest {
            transaction: raw.to_vec(),
        };
        let mut client = self.client();
        let answer = self.call("Submit", async move { client.submit(request).await });
        match answer {
            Ok(_) => Ok(Sent::Accepted),
            Err(ChainError::Refused { code, message, .. }) => {
                if code == i64::from(Code::AlreadyExists as i32) {
                    Ok(Sent::Known)
                } else if code == i64::from(Code::FailedPrecondition as i32) {
                    Ok(Sent::Conflict(message))
                } else {
                    Err(ChainError::Refused {
                        what: "Submit",
                        code,
                        message,
                    })
                }
            }
            Err(error) => Err(error),
        }
    }

    fn fee_rate(&self, _: u16) -> Result<Option<u64>, ChainError> {
        Ok(None)
    }

    fn hints(&self, _: &zmq::Context) -> Result<Hints, ChainError> {
        let runtime = runtime()?;
        let client = connect(&self.endpoint, &runtime);
        let hints = SimulatedHints {
            runtime,
            client,
            stream: None,
            last: None,
            woken: Arc::default(),
        };
        Ok(Hints::Simulated(Box::new(hints)))
    }
}

fn runtime() -> Result<Runtime, ChainError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ChainError::Unreachable(format!("no runtime: {error}")))
}

fn connect(endpoint: &Endpoint, runtime: &Runtime) -> Client<Channel> {
    let _inside = runtime.enter();
    Client::new(endpoint.connect_lazy()).max_decoding_message_size(ANSWER_BYTES_MAX)
}

fn blame(what: &'static str, status: &Status) -> ChainError {
    match status.code() {
        Code::NotFound => ChainError::NotFound(status.message().to_owned()),
        Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Cancelled => {
            ChainError::Unreachable(format!("{what}: {}", status.message()))
        }
        code => ChainError::Refused {
            what,
            code: i64::from(code as i32),
            message: status.message().to_owned(),
        },
    }
}

/// Notices of the simulated chain as hints.
#[derive(Debug)]
pub struct SimulatedHints {
    runtime: Runtime,
    client: Client<Channel>,
    stream: Option<Streaming<v1::SimNotice>>,
    /// Sequence number of the last notice of this stream.
    last: Option<u64>,
    woken: Arc<Notify>,
}

impl SimulatedHints {
    pub(in crate::chain) fn waker(&self) -> Box<dyn Fn() + Send> {
        let woken = self.woken.clone();
        Box::new(move || woken.notify_one())
    }

    pub(in crate::chain) fn next(&mut self, timeout: Duration) -> Option<Hint> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => return self.open(timeout),
        };
        let woken = &self.woken;
        let message = self.runtime.block_on(async {
            tokio::select! {
                message = stream.message() => Some(message),
                () = woken.notified() => None,
                () = tokio::time::sleep(timeout) => None,
            }
        });
        match message {
            None => None,
            Some(Ok(Some(notice))) => self.read(notice),
            Some(Ok(None) | Err(_)) => {
                self.stream = None;
                None
            }
        }
    }

    /// Opens the stream; what happened before it opened is a gap.
    fn open(&mut self, timeout: Duration) -> Option<Hint> {
        let client = &mut self.client;
        let timeout = timeout.min(CALL_TIMEOUT);
        let opened = self.runtime.block_on(async {
            let opened = tokio::time::timeout(timeout, client.watch(v1::SimWatchRequest {})).await;
            if !matches!(opened, Ok(Ok(_))) {
                tokio::time::sleep(REOPEN_DELAY.min(timeout)).await;
            }
            opened
        });
        let stream = opened.ok()?.ok()?;
        self.stream = Some(stream.into_inner());
        self.last = None;
        Some(Hint::Gap { topic: "watch" })
    }

    fn read(&mut self, notice: v1::SimNotice) -> Option<Hint> {
        let expected = self.last.replace(notice.sequence).map(|last| last + 1);
        if expected.is_some_and(|expected| expected != notice.sequence) {
            // The notice itself is covered by looking at everything again.
            return Some(Hint::Gap { topic: "watch" });
        }
        match notice.notice? {
            Notice::Added(transaction) => wire::read_transaction("Watch", transaction)
                .ok()
                .map(Hint::Transaction),
            Notice::RemovedTxid(txid) => Hash::from_slice(&txid).map(Hint::Removed),
            Notice::Block(_) | Notice::Disconnected(_) => Some(Hint::Block),
        }
    }
}

#[cfg(test)]
mod tests;
