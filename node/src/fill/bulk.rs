//! Years of history in minutes: the engine and the ledger of a federation of
//! one, in one process, without doors, effects, or a wait for the disk.
//!
//! What is in the folder afterwards is what the node itself would have written:
//! signed actions, ordered by the core, applied by the ledger, in blocks that
//! are certified. Only the checks of signatures are left out, because this
//! process has just made them, and states are not kept for peers.

use std::sync::Arc;

use bytes::Bytes;
use dctrl_access::{Identity, fresh_request_id};
use dctrl_consensus::{Block, Ed25519Signer, PublicKey};
use dctrl_ledger::{Claim, Signatures, StateRead};
use dctrl_net::zap::{AllowList, Zap};
use dctrl_proto::v1::RefusalCode;
use dctrl_store::{Options, Store};
use prost::Message;
use tokio::{runtime::Handle, sync::watch};

use super::{Fill, LIFE_MS};
use crate::{
    admission::wall_clock_ms,
    boot::{self, BootError},
    config::Config,
    disk::Disk,
    engine::{Engine, Idle, Keeping, Network},
    membership::Membership,
    pipeline::{self, Application, Execution, PipelineError, PipelineHandle, applied},
    run::{RunError, blocking},
};

/// Bytes of old blocks that are kept: the journal of ten million actions would
/// fill the disk of whoever measures, and nothing reads it at a start.
const HISTORY_BYTES: u64 = 512 << 20;

/// Changes in memory before they are written, bytes: larger files, so that less
/// of the time goes into merging them.
const WRITE_BUFFER_BYTES: usize = 128 << 20;

/// Fills the folder of a node that is the only one of its federation.
///
/// # Errors
/// Where the folder cannot be used, or the node is not alone.
pub async fn fill_bulk(config: Config, order: Fill) -> Result<u64, RunError> {
    blocking(move || {
        let mut filling = Filling::open(&config)?;
        let filled = filling.fill(&order);
        filling.engine.stop()?;
        filled
    })
    .await
}

/// An engine at work, and what it is fed with.
struct Filling {
    engine: Engine,
    store: Store,
    handle: PipelineHandle,
    done: watch::Receiver<Done>,
}

impl Filling {
    fn open(config: &Config) -> Result<Self, RunError> {
        let identity = Arc::new(Identity::load(&config.key)?);
        let membership = Membership::load(&config.genesis, &identity, config.gossip.join)?;
        if membership.genesis.nodes.len() != 1 {
            let problem = "only the single node of a federation can be filled in bulk";
            return Err(RunError::Fill(problem.to_owned()));
        }
        let instance = Disk::new(&config.data, &config.key).recognise()?;
        let options = Options {
            sync: false,
            history_bytes: HISTORY_BYTES,
            write_buffer_bytes: WRITE_BUFFER_BYTES,
            ..Options::default()
        };
        let store = Store::open(&config.data, &options).map_err(BootError::from)?;
        boot::prepare_store(&store, &membership)?;
        let core = boot::core_config(&membership, &identity, instance);
        let signer = Box::new(Ed25519Signer::from_seed(&identity.seed()));
        let idle = Idle::restore(store.clone(), core, signer)?;
        let handle = idle.handle();
        let network = Network {
            zap: Zap::start(&zmq::Context::new(), AllowList::new())?,
            me: PublicKey(identity.public_key()),
            listen: config.gossip.listen.clone(),
            curve_secret: identity.curve_secret(),
            peers: Vec::new(),
            encrypted: true,
            check_threads: 1,
        };
        let (sender, done) = watch::channel(Done::default());
        let application = Alone {
            store: store.clone(),
            done: sender,
        };
        let meters = pipeline::Meters::default();
        let engine = idle.start(network, application, meters, Keeping::everything())?;
        Ok(Self {
            engine,
            store,
            handle,
            done,
        })
    }

    /// Signs and hands in all of them, and waits until they are final.
    fn fill(&mut self, order: &Fill) -> Result<u64, RunError> {
        let member = Identity::load(&order.key)?;
        let state = self.store.snapshot();
        let (cluster, payload) = (super::cluster(&state)?, super::payload(&state)?);
        drop(state);
        for _ in 0..order.actions {
            let expires_at_ms = wall_clock_ms() + LIFE_MS;
            let action = member.sign_action(&cluster, fresh_request_id(), expires_at_ms, &payload);
            self.hand_in(&Bytes::from(action.encode_to_vec()))?;
        }
        let all = |done: &Done| done.actions >= order.actions && done.is_final();
        let done = Handle::current().block_on(self.done.wait_for(all));
        done.map(|done| done.final_height).map_err(ended)
    }

    fn hand_in(&mut self, action: &Bytes) -> Result<(), RunError> {
        loop {
            self.done.borrow_and_update();
            match self.handle.submit(action.clone()) {
                Ok(()) => return Ok(()),
                // Room comes with the next block.
                Err(refusal) if refusal.code() == RefusalCode::Exhausted => {
                    let changed = Handle::current().block_on(self.done.changed());
                    changed.map_err(ended)?;
                }
                Err(refusal) => return Err(RunError::Fill(refusal.to_string())),
            }
        }
    }
}

fn ended(_: watch::error::RecvError) -> RunError {
    RunError::Fill("the pipeline has ended".to_owned())
}

/// How far the filling is.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    /// Actions in durable blocks.
    actions: u64,
    applied_height: u64,
    final_height: u64,
}

impl Done {
    fn is_final(&self) -> bool {
        self.final_height >= self.applied_height
    }
}

/// The ledger where nobody listens.
struct Alone {
    store: Store,
    done: watch::Sender<Done>,
}

impl Application for Alone {
    type Notice = u64;

    fn execute(&mut self, block: &Block, state: &dyn StateRead) -> Execution<u64> {
        let execution = applied(block, state, &OwnWork);
        Execution {
            changes: execution.changes,
            outputs: execution.outputs,
            state_digest: execution.state_digest,
            next_roster: execution.next_roster,
            notice: execution.notice.receipts.len() as u64,
        }
    }

    fn durable(&mut self, height: u64, actions: u64) {
        self.done.send_modify(|done| {
            done.actions += actions;
            done.applied_height = height;
        });
    }

    fn taken_over(&mut self, _height: u64, _state: &dyn StateRead) {}

    fn certified(&mut self, _height: u64) -> Result<(), PipelineError> {
        let final_height = self.store.snapshot().final_height()?;
        self.done
            .send_modify(|done| done.final_height = final_height);
        Ok(())
    }
}

/// Holds every signature for good: this process has made them all.
struct OwnWork;

impl Signatures for OwnWork {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        vec![true; claims.len()]
    }
}
