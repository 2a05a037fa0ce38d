//! Which effects run beside this node, and with what.
//!
//! All of them are ordinary subscribers of the bus. They run inside the node
//! by default; [`run_effect`] runs one alone, by the same code.

use std::{future::Future, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use bitcoin::Network;
use dctrl_access::Identity;
use dctrl_effects::{
    Common, Running, Seat, StartError,
    chain::{
        Backends, Board, ChainError, Hash,
        notifier::{self as chain_notifier, ChainNotifierConfig},
    },
    deadlines::{self, DeadlineHandle},
    event_logger::{self, EventLoggerConfig},
    files,
    machine::{self, Alerts, MachineNotifierConfig},
    payout::{self, PayoutConfig},
    price::{self, FixedRate, FixedRateError, Limits, PriceNotifierConfig},
};
use dctrl_follow::{Federation, FederationError, Rosters, RostersError};
use dctrl_ledger::query;
use dctrl_proto::v1::Policy;
use dctrl_store::Store;
use thiserror::Error;

use crate::{
    admission::wall_clock_ms,
    config::{Config, PriceSourceError},
    membership::Membership,
    run::{RunError, blocking},
    stopping::{self, Roll},
};

/// An effect that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectKind {
    /// ChainNotifier.
    Chain,
    /// PriceNotifier.
    Price,
    /// MachineNotifier.
    Machine,
    /// EventLogger.
    Log,
}

/// Why the effects did not start.
#[derive(Debug, Error)]
pub enum EffectsError {
    /// The genesis does not say where the nodes are.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The rosters that are known cannot be read or kept.
    #[error(transparent)]
    Rosters(#[from] RostersError),
    /// The genesis names a network that does not exist, or a bad block hash.
    #[error("the genesis names no bitcoin network: {0}")]
    Network(String),
    /// A fixed rate.
    #[error("price.fixed: {0}")]
    FixedRate(#[from] FixedRateError),
    /// A price source.
    #[error(transparent)]
    PriceSource(#[from] PriceSourceError),
    /// The bitcoin backends are not set as they must be.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// An effect refused.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// The running effects.
pub(crate) struct Effects {
    running: Vec<Running>,
    deadlines: DeadlineHandle,
    alerts: Alerts,
    chain: Board,
}

impl Effects {
    /// How each bitcoin backend stands, one sentence each.
    pub(crate) fn chain(&self) -> Arc<dyn Fn() -> Vec<String> + Send + Sync> {
        let board = self.chain.clone();
        Arc::new(move || board.sentences())
    }

    /// Tells the deadline effect when consensus time alone changes something.
    pub(crate) fn deadline_setter(&self) -> Box<dyn Fn(Option<u64>) + Send> {
        let handle = self.deadlines.clone();
        Box::new(move |next_ms| handle.set_next_deadline(next_ms))
    }

    /// Asks for a block behind a consensus time that somebody waits for.
    pub(crate) fn deadline_wish(&self) -> Arc<dyn Fn(u64) + Send + Sync> {
        let handle = self.deadlines.clone();
        Arc::new(move |at_ms| handle.want(at_ms))
    }

    /// What needs a person: machines' alerts and the effects' own troubles.
    pub(crate) fn alerts(&self) -> Arc<dyn Fn() -> Vec<String> + Send + Sync> {
        let alerts = self.alerts.clone();
        let chain = self.chain.clone();
        let healths: Vec<_> = self.running.iter().map(Running::health).collect();
        Arc::new(move || {
            let mut sentences = alerts.sentences();
            for health in &healths {
                sentences.extend(health.troubles());
            }
            sentences.extend(chain.troubles());
            sentences
        })
    }

    /// Asks all of them to stop, and each to acknowledge.
    pub(crate) async fn stop(self, roll: &mut Roll) {
        for effect in &self.running {
            effect.stop();
        }
        for effect in self.running {
            let name = effect.name();
            roll.ask(name, stopping::ACTOR, move || effect.join()).await;
        }
    }
}

/// The nodes and this one among them, as far as they are known.
struct Place {
    federation: Federation,
    /// In `federation.nodes`.
    me: Option<usize>,
    seat: Seat,
}

/// What all effects of one node share.
struct Settings<'a> {
    config: &'a Config,
    membership: &'a Membership,
    common: Common,
    policy: Policy,
    backends: Backends,
}

/// Starts all effects of a node.
///
/// # Errors
/// The first that refuses.
pub(crate) fn start(
    config: &Config,
    membership: &Membership,
    identity: &Arc<Identity>,
    context: &zmq::Context,
    store: Store,
) -> Result<Effects, EffectsError> {
    let (key, curve_public) = (identity.public_key(), identity.curve_public());
    let roster = query::roster(&store.snapshot());
    let federation = Federation::from_genesis(&membership.genesis)?.at_present(&roster)?;
    let federation = federation.dialled(|named| config.net.dial.lead(named));
    let mut nodes = federation.nodes.iter();
    let place = Place {
        me: nodes.position(|node| node.curve_public == curve_public),
        federation,
        seat: Arc::new(move || query::seat_of(&store.snapshot(), &key)),
    };
    let settings = Settings::new(config, membership, identity, context, "effects", place)?;
    // It may know more than was told when the effects ran last.
    settings.common.rosters.learn(&roster);
    let (machine, alerts) = settings.machine()?;
    let (deadline_effect, deadlines) = deadlines::start(settings.common.clone())?;
    let mut running = vec![
        settings.log()?,
        settings.chain()?,
        settings.price()?,
        machine,
        deadline_effect,
    ];
    running.extend(settings.payout()?);
    Ok(Effects {
        running,
        deadlines,
        alerts,
        chain: settings.backends.board(),
    })
}

/// Runs one effect beside a node until `stop` ends.
///
/// # Errors
/// Keys, genesis or configuration that do not fit.
pub async fn run_effect(
    kind: EffectKind,
    config: Config,
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let running = blocking(move || start_one(kind, &config)).await?;
    stop.await;
    running.stop();
    let mut roll = Roll::default();
    let name = running.name();
    roll.ask(name, stopping::ACTOR, move || running.join())
        .await;
    match roll.late() {
        late if late.is_empty() => Ok(()),
        late => Err(RunError::Unstopped(late)),
    }
}

fn start_one(kind: EffectKind, config: &Config) -> Result<Running, RunError> {
    let identity = Arc::new(Identity::load(&config.key)?);
    let membership = Membership::load(&config.genesis, &identity, config.gossip.join)?;
    let context = zmq::Context::new();
    // Each process keeps its own chain: two must not write one file.
    let name = format!("{kind:?}").to_lowercase();
    // Without the ledger it is known of a node of the genesis only. Another one
    // says again what it said before its restart, which does no harm.
    let me = membership.me.map(|me| me.0);
    let federation = Federation::from_genesis(&membership.genesis).map_err(EffectsError::from)?;
    let place = Place {
        me: me.map(usize::from),
        federation: federation.dialled(|named| config.net.dial.lead(named)),
        seat: Arc::new(move || me.map(u32::from)),
    };
    let settings = Settings::new(config, &membership, &identity, &context, &name, place)?;
    Ok(match kind {
        EffectKind::Chain => settings.chain()?,
        EffectKind::Price => settings.price()?,
        EffectKind::Machine => settings.machine()?.0,
        EffectKind::Log => settings.log()?,
    })
}

impl<'a> Settings<'a> {
    fn new(
        config: &'a Config,
        membership: &'a Membership,
        identity: &Arc<Identity>,
        context: &zmq::Context,
        name: &str,
        place: Place,
    ) -> Result<Self, EffectsError> {
        let folder = &config.log.dir;
        std::fs::create_dir_all(folder).map_err(|source| RostersError::File {
            path: folder.clone(),
            source,
        })?;
        let rosters = Rosters::open(
            &place.federation,
            &folder.join(format!("{name}.{}", files::ROSTERS_SUFFIX)),
        )?;
        Ok(Self {
            config,
            membership,
            common: Common {
                context: context.clone(),
                rosters,
                // A node that has no seat follows all that have one.
                nodes: match place.me {
                    Some(me) => vec![me],
                    None => (0..place.federation.nodes.len()).collect(),
                },
                federation: place.federation,
                identity: identity.clone(),
                seat: place.seat,
                clock: Arc::new(wall_clock_ms),
            },
            backends: config.chain.backends()?,
            policy: membership.genesis.policy.clone().unwrap_or_default(),
        })
    }

    /// A file or folder of this node's effects.
    fn file(&self, name: &str) -> PathBuf {
        self.config.log.dir.join(name)
    }

    fn log(&self) -> Result<Running, EffectsError> {
        let config = EventLoggerConfig::new(self.file(files::EVENTS));
        Ok(event_logger::start(self.common.clone(), config)?)
    }

    fn machine(&self) -> Result<(Running, Alerts), EffectsError> {
        let config = MachineNotifierConfig {
            file: self.file(files::ALERTS),
            heartbeat_ms_max: u64::from(self.policy.heartbeat_ms_max),
        };
        Ok(machine::start(self.common.clone(), config)?)
    }

    fn price(&self) -> Result<Running, EffectsError> {
        let price = &self.config.price;
        let fixed = price.fixed.iter().map(|text| FixedRate::from_str(text));
        let config = PriceNotifierConfig {
            fixed: fixed.collect::<Result<_, _>>()?,
            sources: price.sources()?,
            poll_every: Duration::from_secs(price.poll_s),
            limits: Limits {
                age_ms_max: price.age_ms_max,
                spread_bps_max: price.spread_bps_max,
            },
            agreed_age_ms_max: u64::from(self.policy.price_age_ms_max),
        };
        Ok(price::start(self.common.clone(), config)?)
    }

    /// Where the genesis allows payouts.
    fn payout(&self) -> Result<Option<Running>, EffectsError> {
        if self.membership.genesis.payouts.is_none() {
            return Ok(None);
        }
        let config = PayoutConfig::new(self.backends.clone(), self.chain_genesis()?);
        Ok(Some(payout::start(self.common.clone(), config)?))
    }

    fn chain_genesis(&self) -> Result<Hash, EffectsError> {
        let hash = self.membership.genesis.chain_genesis_hash.as_slice();
        <[u8; 32]>::try_from(hash)
            .map(Hash)
            .map_err(|_| EffectsError::Network("chain_genesis_hash has not 32 bytes".into()))
    }

    fn chain(&self) -> Result<Running, EffectsError> {
        let genesis = &self.membership.genesis;
        let network = Network::from_str(&genesis.network)
            .map_err(|error| EffectsError::Network(error.to_string()))?;
        let hash = self.chain_genesis()?;
        let mut config = ChainNotifierConfig::new(self.backends.clone(), network, hash);
        config.cursor = Some(self.file(files::CURSOR));
        Ok(chain_notifier::start(self.common.clone(), config)?)
    }
}
