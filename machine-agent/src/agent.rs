//! The loop around the state machine: performs effects in order.
//!
//! One thread owns the journal, the actuator and the state machine. A record
//! is synced before anything after it is done. A failed write ends the loop:
//! the lines are put low and the process leaves, because a restart is the only
//! way to know what the disk holds.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use dctrl_access::{Identity, KeyFileError};
use dctrl_follow::{
    Door, Federation, FederationError, FollowError, Follower, FollowerConfig, Position, Rosters,
    RostersError, Verified, Waker,
};

use crate::actuator::{Actuator, ActuatorError};
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::journal::{Journal, JournalError};
use crate::link;
use crate::machine::{Effect, Facts, Input, Machine, OrderInHand, Report};
use crate::sensor::{self, SensorError};
use crate::stopping::Phase;

/// Events that wait for the loop.
const EVENTS_MAX: usize = 256;
/// Actions that wait for a door.
const ACTIONS_MAX: usize = 64;
/// The state machine hears of time this often while it has an order in hand.
const TICK: Duration = Duration::from_millis(50);
/// And this often at rest, where it only repeats what was not heard, after a
/// second at the soonest. So late is a stop noticed too.
const TICK_AT_REST: Duration = Duration::from_millis(500);
/// The actuator is tested this often.
const SELF_TEST: Duration = Duration::from_secs(2);
/// A stop waits so long for what the sensors still have to say.
const KEEP_TIMEOUT: Duration = Duration::from_secs(1);
/// Beside the journal: the rosters that were ever obeyed.
const ROSTERS_FILE: &str = "rosters";
/// Files of evidence that are kept.
const EVIDENCE_MAX: usize = 256;

/// What the loop hears.
pub(crate) enum Event {
    Frame(Box<Verified>),
    CaughtUp(Position),
    Skipped(Position),
    Sensed(Report),
}

/// Why an agent does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The genesis.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The rosters that the agent has obeyed cannot be read.
    #[error(transparent)]
    Rosters(#[from] RostersError),
    /// The journal: nothing was or is done without it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The actuator.
    #[error(transparent)]
    Actuator(#[from] ActuatorError),
    /// A sensor.
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// The federation cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(getrandom::Error),
    /// A thread ended before its time.
    #[error("the thread that follows the federation has ended")]
    LinkLost,
}

/// The running agent.
pub struct Agent {
    machine: Machine,
    journal: Journal,
    actuator: Actuator,
    evidence: PathBuf,
    actions: SyncSender<crate::machine::Sending>,
    events: Receiver<Event>,
    stop: Arc<AtomicBool>,
    threads: Threads,
    tested: Option<Instant>,
    phase: Arc<Phase>,
}

struct Threads {
    follow: Option<std::thread::JoinHandle<Result<(), FollowError>>>,
    wake_follow: Waker,
    others: Vec<std::thread::JoinHandle<()>>,
}

impl Agent {
    /// Opens everything and starts the threads; `stop` ends [`Agent::run`].
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn start(config: &Config, stop: Arc<AtomicBool>) -> Result<Self, AgentError> {
        let genesis = config.read_genesis()?;
        let federation = Federation::from_genesis(&genesis)?;
        let federation = federation.dialled(|named| config.dial.lead(named));
        let nodes = config.node_positions(&federation)?;
        let slots = config.slots(&genesis)?;
        let identity = Arc::new(Identity::load(&config.key)?);

        // Safe lines first: whatever was left high before goes low now.
        let mut actuator = config.open_actuator(&slots)?;
        actuator.make_safe()?;
        dctrl_crash::point("agent.after_safe_state");
        let (journal, durable) = Journal::open(&config.journal, config.journal_bytes_max)?;
        dctrl_crash::point("agent.after_journal_open");

        let context = zmq::Context::new();
        let rosters = Rosters::open(&federation, &config.journal.join(ROSTERS_FILE))?;
        let follower = Follower::start(FollowerConfig {
            context: context.clone(),
            federation: federation.clone(),
            rosters: rosters.clone(),
            nodes: nodes.clone(),
            curve_secret: identity.curve_secret(),
            topics: vec![format!("machine.{}.", config.machine)],
            after: Position {
                height: durable.followed.height,
                sub_index: durable.followed.sub_index,
            },
        })?;
        let door = Door::connect(context, &federation, &nodes, identity.curve_secret());
        let door = door.among(rosters);
        let mut nonce_seed = [0; 32];
        getrandom::fill(&mut nonce_seed).map_err(AgentError::Randomness)?;
        let facts = Facts {
            cluster: federation.cluster,
            machine_id: config.machine.clone(),
            slots,
            spacing_ms: config.spacing_ms,
            heartbeat_ms: config.heartbeat_s * 1000,
            nonce_seed,
        };

        let (to_events, events) = sync_channel(EVENTS_MAX);
        let (actions, to_door) = sync_channel(ACTIONS_MAX);
        let mut others = vec![link::submit(door, to_door, Arc::clone(&stop))];
        for source in config.sources() {
            let to_events = to_events.clone();
            let deliver: sensor::Deliver =
                Box::new(move |report| to_events.send(Event::Sensed(report)).is_ok());
            let stop = Arc::clone(&stop);
            others.push(sensor::start(&source, config.debounce_ms, stop, deliver)?);
        }
        let wake_follow = follower.waker();
        let follow = link::follow(follower, to_events, Arc::clone(&stop));
        Ok(Self {
            machine: Machine::new(facts, identity, durable),
            journal,
            actuator,
            evidence: config.journal.clone(),
            actions,
            events,
            stop,
            threads: Threads {
                follow: Some(follow),
                wake_follow,
                others,
            },
            tested: None,
            phase: Arc::default(),
        })
    }

    /// Tells `phase` how far a stop has come.
    #[must_use]
    pub fn tell(mut self, phase: Arc<Phase>) -> Self {
        self.phase = phase;
        self
    }

    /// Obeys the federation until `stop` is set.
    ///
    /// # Errors
    /// A journal that cannot be written, or a lost thread. The lines are low.
    pub fn run(mut self) -> Result<(), AgentError> {
        self.phase.enter("actuator");
        let outcome = self.serve();
        self.stop.store(true, Ordering::Relaxed);
        self.threads.wake_follow.wake();
        let safe = self.actuator.make_safe();
        self.phase.enter("sensors");
        let outcome = outcome.and_then(|()| self.keep_reports());
        // Senders that wait for room end when nobody listens any more.
        drop(self.events);
        drop(self.actions);
        self.phase.enter("follower");
        let followed = self
            .threads
            .follow
            .take()
            .map(std::thread::JoinHandle::join);
        self.phase.enter("door and sensors");
        for thread in self.threads.others {
            if thread.join().is_err() {
                tracing::error!("a thread of the agent has panicked");
            }
        }
        self.phase.end();
        outcome?;
        safe?;
        match followed {
            Some(Ok(result)) => Ok(result?),
            Some(Err(_)) => Err(AgentError::LinkLost),
            None => Ok(()),
        }
    }

    fn serve(&mut self) -> Result<(), AgentError> {
        while !self.stop.load(Ordering::Relaxed) {
            self.self_test()?;
            let tick = if self.machine.is_at_rest() {
                TICK_AT_REST
            } else {
                TICK
            };
            let input = match self.events.recv_timeout(tick) {
                Ok(Event::Frame(frame)) => {
                    if frame.body.topic.ends_with(".order") {
                        dctrl_crash::point("agent.order_received");
                    }
                    Input::Frame(frame)
                }
                Ok(Event::CaughtUp(position)) => Input::CaughtUp(position),
                Ok(Event::Skipped(to)) => Input::Skipped(to),
                Ok(Event::Sensed(report)) => Input::Sensed(report),
                Err(RecvTimeoutError::Timeout) => Input::Tick,
                Err(RecvTimeoutError::Disconnected) => return Err(AgentError::LinkLost),
            };
            let follow = self.threads.follow.as_ref();
            if follow.is_some_and(std::thread::JoinHandle::is_finished)
                && !self.stop.load(Ordering::Relaxed)
            {
                return Err(AgentError::LinkLost);
            }
            self.perform(input)?;
        }
        Ok(())
    }

    /// Journals what the sensors had seen when the stop came. Ends when the
    /// threads have, since they look at the same flag.
    fn keep_reports(&mut self) -> Result<(), AgentError> {
        while let Ok(event) = self.events.recv_timeout(KEEP_TIMEOUT) {
            if let Event::Sensed(report) = event {
                for effect in self.machine.keep(report) {
                    if let Effect::Append(record) = effect {
                        self.journal.append(&record)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn self_test(&mut self) -> Result<(), AgentError> {
        if self.tested.is_some_and(|at| at.elapsed() < SELF_TEST) {
            return Ok(());
        }
        self.tested = Some(Instant::now());
        let result = self.actuator.self_test();
        self.perform(Input::Ready(result))
    }

    /// Steps the state machine and performs what it says, and what that leads to.
    fn perform(&mut self, input: Input) -> Result<(), AgentError> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            // What an effect brings waits until the step's effects are done.
            for effect in self.machine.step(clock::now(), input) {
                match effect {
                    Effect::Append(record) => {
                        self.journal.append(&record)?;
                    }
                    Effect::Send(sending) => self.send(sending),
                    Effect::Pulse(pulse) => {
                        tracing::info!(slot = pulse.slot, sequence = pulse.sequence, "pulse");
                        let end = self.actuator.pulse(&pulse);
                        dctrl_crash::point("agent.after_pulse");
                        tracing::info!(outcome = end.outcome.as_str_name(), "the pulse is over");
                        inputs.push_back(Input::Pulsed(end));
                    }
                    Effect::ReadLatch => {
                        inputs.push_back(Input::Latched(self.actuator.latch()));
                    }
                    Effect::Again => inputs.push_back(Input::Tick),
                    Effect::Evidence(pair) => self.keep_evidence(&pair),
                    Effect::Alarm(text) => tracing::error!("{text}"),
                }
            }
        }
        Ok(())
    }

    fn send(&self, sending: crate::machine::Sending) {
        let name = sending.name;
        if let Err(TrySendError::Full(_)) = self.actions.try_send(sending) {
            tracing::debug!(name, "the queue to the door is full");
        }
        match name {
            "machine.accept" => dctrl_crash::point("agent.after_accept_sent"),
            "machine.receipt" => dctrl_crash::point("agent.after_receipt_sent"),
            _ => {}
        }
    }

    /// Both orders with their certificates: proof that more than f nodes lied.
    fn keep_evidence(&self, pair: &(OrderInHand, OrderInHand)) {
        if let Err(error) = write_evidence(&self.evidence, pair) {
            tracing::error!(%error, "evidence could not be written");
        }
    }
}

fn write_evidence(folder: &Path, pair: &(OrderInHand, OrderInHand)) -> std::io::Result<()> {
    let (incarnation, sequence) = (pair.1.order.incarnation, pair.1.order.sequence);
    let hash = hex::encode(&pair.1.hash()[..8]);
    let path = folder.join(format!("evidence-{incarnation}-{sequence}-{hash}.json"));
    let kept = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("evidence-"));
    if path.exists() || kept.count() >= EVIDENCE_MAX {
        return Ok(());
    }
    let file = std::fs::File::create(&path)?;
    serde_json::to_writer_pretty(&file, pair)?;
    file.sync_all()
}
