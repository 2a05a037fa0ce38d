//! People who use the federation while it is maltreated: each node has one who
//! hands in actions there and asks until they are final, two customers buy and
//! pay, and a miner finds blocks.
//!
//! An action is handed in again, the same bytes, until it is final, at its own
//! node or at another one: what a careful client does. So a second effect of
//! one action would show.

pub(super) mod customer;
mod worker;

use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use dctrl_access::{Identity, fresh_request_id};
use dctrl_proto::{
    action::{Payload, action_id},
    genesis::cluster_id,
    v1::{Genesis, GetActionRequest, Receipt, SignedAction, Stage, SubmitReply, SubmitRequest},
};
use tokio::{sync::watch, task::JoinSet};

use super::promises::{Id, Promises, Work};
use crate::{Purse, client::Client, federation::Federation, random::Random, trace::now_ms};

/// Customers.
const CUSTOMERS: usize = 2;

/// How long an action is good: longer than a campaign's worst round.
const LIFETIME_MS: u64 = 30 * 60_000;

/// How long a node is asked to wait for the final stage; below what the client
/// allows an answer to take.
const FINAL_WAIT_MS: u32 = 4_000;

/// Pause before a question is repeated.
const AGAIN: Duration = Duration::from_millis(250);

/// Between two blocks of the chain.
const MINING: Duration = Duration::from_secs(3);

/// What all of them share.
pub(super) struct Load {
    clients: Vec<Client>,
    operator: Identity,
    cluster: [u8; 32],
    purse: Purse,
    machines: Vec<String>,
    promises: Mutex<Promises>,
    latencies_ms: Mutex<Vec<u64>>,
    seed: u64,
    pace: Duration,
    stop: watch::Receiver<bool>,
}

/// The running load.
pub(super) struct Running {
    load: Arc<Load>,
    stop: watch::Sender<bool>,
    people: JoinSet<()>,
}

impl Running {
    /// Lets people in; each worker hands in an action every `pace` at most.
    ///
    /// # Errors
    /// Where the operator's key cannot be read.
    pub(super) fn start(
        federation: &Federation,
        genesis: &Genesis,
        purse: Purse,
        seed: u64,
        pace: Duration,
    ) -> Result<Self> {
        let mut running = Self::alone(federation, genesis, purse, seed, pace)?;
        let load = running.load.clone();
        for node in 0..federation.len() {
            running.let_in(worker::work(load.clone(), node));
        }
        for number in 0..CUSTOMERS {
            running.let_in(customer::buy(load.clone(), number));
        }
        Ok(running)
    }

    /// Nobody but the miner is there yet.
    ///
    /// # Errors
    /// Where the operator's key cannot be read.
    pub(super) fn alone(
        federation: &Federation,
        genesis: &Genesis,
        purse: Purse,
        seed: u64,
        pace: Duration,
    ) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let nodes = federation.len();
        let machines = genesis.machines.iter();
        let load = Arc::new(Load {
            clients: (0..nodes).map(|node| federation.client_of(node)).collect(),
            operator: Identity::load(&federation.dir().join("keys/operator.key"))?,
            cluster: cluster_id(genesis),
            purse,
            machines: machines.map(|machine| machine.id.clone()).collect(),
            promises: Mutex::new(Promises::new(nodes)),
            latencies_ms: Mutex::default(),
            seed,
            pace,
            stop: stopped,
        });
        let mut running = Self {
            people: JoinSet::new(),
            load: load.clone(),
            stop,
        };
        running.let_in(mine(load));
        Ok(running)
    }

    fn let_in(&mut self, person: impl Future<Output = ()> + Send + 'static) {
        self.people.spawn(person);
    }

    pub(super) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Asks everybody to finish what they have begun, and waits for at most
    /// `limit`.
    pub(super) async fn stop(mut self, limit: Duration) -> Arc<Load> {
        // Nobody may listen any more.
        let _ = self.stop.send(true);
        let all = async { while self.people.join_next().await.is_some() {} };
        // Who has not finished by then has an open action, which is looked for.
        let _ = tokio::time::timeout(limit, all).await;
        self.people.abort_all();
        self.load
    }
}

impl Load {
    pub(super) fn promises(&self) -> MutexGuard<'_, Promises> {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds from each action's first submission until it was final, of
    /// those since the last call.
    pub(super) fn take_latencies(&self) -> Vec<u64> {
        let mut kept = self
            .latencies_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *kept)
    }

    /// A client of any node.
    pub(super) fn some_client(&self, random: &mut Random) -> &Client {
        &self.clients[random.index(self.clients.len())]
    }

    /// The machines of the genesis.
    pub(super) fn machines(&self) -> &[String] {
        &self.machines
    }

    /// Finds blocks of the chain.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn mine(&self, blocks: u32) -> Result<()> {
        self.purse.mine(blocks).await.map(drop)
    }

    pub(super) fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits, but not beyond the end.
    pub(super) async fn rest(&self, pause: Duration) {
        let mut stop = self.stop.clone();
        let _ = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
    }

    pub(super) fn sign<P: Payload>(&self, payload: &P) -> SignedAction {
        let expires = now_ms() + LIFETIME_MS;
        self.operator
            .sign_action(&self.cluster, fresh_request_id(), expires, payload)
    }

    /// Hands an action in until it is final somewhere; none where everything
    /// stopped before. Every other attempt is at `home`.
    pub(super) async fn drive(
        &self,
        action: SignedAction,
        work: Work,
        home: usize,
        random: &mut Random,
    ) -> Option<Receipt> {
        let (id, begun) = (action_id(&action), Instant::now());
        self.promises().asks(id, work);
        let mut attempt = 0u64;
        while !self.stopped() {
            let node = if attempt.is_multiple_of(2) {
                home
            } else {
                random.index(self.clients.len())
            };
            attempt += 1;
            if let Ok(receipt) = self.attempt(node, &action).await {
                self.promises().told(id, node, &receipt, Instant::now());
                let took = begun.elapsed().as_millis();
                self.latencies_ms
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(u64::try_from(took).unwrap_or(u64::MAX));
                return Some(receipt);
            }
            self.rest(AGAIN).await;
        }
        None
    }

    async fn attempt(&self, node: usize, action: &SignedAction) -> Result<Receipt> {
        let request = SubmitRequest {
            action: Some(action.clone()),
            wait_for: Stage::Final.into(),
            timeout_ms: FINAL_WAIT_MS,
            ..SubmitRequest::default()
        };
        let reply = self.clients[node].grpc().submit(request).await?;
        final_receipt(reply.into_inner())
    }

    /// The receipt of an action that this node holds as final.
    ///
    /// # Errors
    /// Where it does not.
    pub(super) async fn ask(&self, node: usize, id: Id, wait_ms: u32) -> Result<Receipt> {
        let request = GetActionRequest {
            action_id: id.to_vec(),
            wait_for: Stage::Final.into(),
            timeout_ms: wait_ms,
            ..GetActionRequest::default()
        };
        let reply = self.clients[node].grpc().get_action(request).await?;
        final_receipt(reply.into_inner())
    }
}

fn final_receipt(reply: SubmitReply) -> Result<Receipt> {
    let is_final = matches!(reply.stage(), Stage::Final | Stage::Refused);
    anyhow::ensure!(is_final, "not final yet");
    reply.receipt.context("final without a receipt")
}

async fn mine(load: Arc<Load>) {
    while !load.stopped() {
        // A chain that does not answer is asked again.
        let _ = load.purse.mine(1).await;
        load.rest(MINING).await;
    }
}

/// Reads the federation's genesis.
///
/// # Errors
/// Where there is none.
pub(super) fn genesis(federation: &Federation) -> Result<Genesis> {
    Ok(serde_json::from_slice(&fs::read(
        federation.dir().join("genesis.json"),
    )?)?)
}
