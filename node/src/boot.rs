//! From files to a restored core: what happens before the node can speak.

use dctrl_access::Identity;
use dctrl_consensus::{
    BlockHeader, Config as CoreConfig, Core, Digest, Executed, Limits, OrderRule, Ordering, Pace,
    Profile, Record, RestoreError, Scheme, Signer, Timestamp,
};
use dctrl_ledger::{genesis, query};
use dctrl_proto::v1::{Genesis, Refusal};
use dctrl_store::{Store, StoreError};
use thiserror::Error;

use crate::{admission::wall_clock_ms, membership::Membership, pipeline::Restored};

/// Why the node's data cannot be used.
#[derive(Debug, Error)]
pub enum BootError {
    /// The database cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis breaks rules of the ledger: all of them are named.
    #[error("the genesis is refused:{}", list(.0))]
    Genesis(Vec<Refusal>),
    /// The database belongs to another federation.
    #[error(
        "the data folder belongs to the federation {stored}, but the genesis file is of {expected}; \
         name the right genesis or an empty data folder"
    )]
    OtherFederation {
        /// Cluster id in the database.
        stored: String,
        /// Cluster id of the genesis file.
        expected: String,
    },
    /// The database holds a block without its header.
    #[error("the header of block {height} is damaged: {reason}")]
    Header {
        /// Its height.
        height: u64,
        /// What is wrong.
        reason: String,
    },
    /// The system gives no channel to wake the pipeline.
    #[error("cannot make a wake-up channel: {0}")]
    Wake(#[from] std::io::Error),
    /// The consensus log does not fit.
    #[error("the consensus log cannot be replayed: {0}")]
    Restore(#[from] RestoreError),
}

fn list(refusals: &[Refusal]) -> String {
    refusals
        .iter()
        .map(|refusal| format!("\n  {refusal}"))
        .collect()
}

/// Writes the genesis state into an empty store; checks a used one.
///
/// # Errors
/// A refused genesis, or a store of another federation.
pub(crate) fn prepare_store(store: &Store, membership: &Membership) -> Result<(), BootError> {
    if store.snapshot().executed()?.is_none() {
        let applied = genesis(&membership.genesis).map_err(BootError::Genesis)?;
        let mut batch = store.begin();
        batch.state(&applied.changes).executed(0);
        store.commit(batch)?;
        return Ok(());
    }
    let stored = query::meta(&store.snapshot()).cluster;
    if stored != membership.cluster {
        return Err(BootError::OtherFederation {
            stored: hex::encode(stored),
            expected: hex::encode(membership.cluster),
        });
    }
    Ok(())
}

/// What the core of this member is told; it speaks from the disk `instance`.
pub(crate) fn core_config(
    membership: &Membership,
    identity: &Identity,
    instance: u64,
) -> CoreConfig {
    CoreConfig {
        cluster: membership.cluster_id(),
        roster: membership.roster.clone(),
        instance,
        coin_seed: coin_seed(identity),
        limits: Limits::default(),
        pace: Pace::default(),
        ordering: ordering(&membership.genesis),
        scheme: Scheme::Ed25519,
    }
}

/// The ordering rules of the genesis, which the ledger has checked.
fn ordering(genesis: &Genesis) -> Ordering {
    let said = genesis.consensus.clone().unwrap_or_default();
    let standard = Ordering::STANDARD;
    Ordering {
        profile: match said.profile.as_str() {
            "classic" => Profile::Classic,
            _ => standard.profile,
        },
        order: match said.order.as_str() {
            "direct" => OrderRule::Direct,
            _ => standard.order,
        },
        unanimity: standard.unanimity && !said.no_unanimity,
        coin_frequency: match said.coin_frequency {
            0 => standard.coin_frequency,
            frequency => frequency,
        },
    }
}

/// Replays the consensus log.
///
/// # Errors
/// A log or header that does not fit.
pub(crate) fn restore_core(
    store: &Store,
    config: CoreConfig,
    signer: Box<dyn Signer>,
) -> Result<Restored, BootError> {
    let height = store.snapshot().height()?;
    let last_header = last_header(store, height)?;
    let previous = last_header.as_ref().map_or(Digest::ZERO, BlockHeader::hash);
    let executed = Executed {
        index: height,
        last_header,
    };
    // One by one: the log is as long as the history, and the core keeps it once.
    let mut unread = None;
    let records = store.records()?.map_while(|record| match record {
        Ok((number, bytes)) => Some(Record { number, bytes }),
        Err(error) => {
            unread = Some(error);
            None
        }
    });
    let now = Timestamp::from_millis(wall_clock_ms());
    let restored = Core::restore(config, signer, records, executed, now);
    if let Some(error) = unread {
        return Err(error.into());
    }
    let (core, outputs) = restored?;
    Ok(Restored {
        core,
        previous,
        outputs,
    })
}

fn last_header(store: &Store, height: u64) -> Result<Option<BlockHeader>, BootError> {
    if height == 0 {
        return Ok(None);
    }
    let damaged = |reason: String| BootError::Header { height, reason };
    let bytes = store
        .snapshot()
        .header(height)?
        .ok_or_else(|| damaged("it is missing".to_owned()))?;
    let header = BlockHeader::decode(&bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(Some(header))
}

/// Secret input of the coin rounds: derived, so that a restart keeps it, and
/// unknown to everyone without the key.
fn coin_seed(identity: &Identity) -> [u8; 32] {
    let signature = identity.sign(b"dctrl/coin-seed/1\0");
    let mut seed = [0; 32];
    seed.copy_from_slice(&signature[..32]);
    seed
}
