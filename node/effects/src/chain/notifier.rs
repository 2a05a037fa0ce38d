//! ChainNotifier: says what this node's backend shows of payments to the
//! federation, and which block is its newest.
//!
//! It learns from its node's facts and from the bus (`vend.`, `topup`, `payment`,
//! `chain`) which addresses were issued and what it has said in earlier runs. An
//! address that it learns of late, because its node is behind the federation, has
//! it look through the blocks again that were mined since. It says only what has
//! changed: `payment.observe`
//! for a payment that is somewhere else than it last said, `chain.observe` for
//! a new newest block, and of many blocks at once only the last. Should the
//! bus not tell of an earlier view, it is said once more, which is harmless:
//! an observation states what is, not what happened.
//!
//! While the backend is down, lags, or lacks a block that the federation has
//! agreed on, the node abstains: it says nothing, and its health says why.

mod check;
pub mod cursor;
mod news;
mod staging;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use bitcoin::Network;
use dctrl_follow::Door;

use super::{
    Backends, ChainAdaptor, ChainError, Hash, Hint, Hints,
    cross::{Cross, View},
    sight::Sight,
};
use crate::{
    Common, Health, Running, StartError,
    common::{AT_REST, Stop},
    frames::{self, Told},
};
use news::News;
use staging::Staging;

/// Frames and hints that wait for the notifier. When it is full the bus
/// follower and the hint reader wait; ZeroMQ then drops, and numbers show it.
const EVENTS_WAITING_MAX: usize = 1_024;
/// Events taken together before the backend is asked.
const EVENTS_PER_TURN: usize = 512;
/// After an error of the backend it is left alone for this long at first.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// While the node catches up with the federation, addresses become known late one
/// after the other: blocks are looked through again when none has come for so long,
const QUIET: Duration = Duration::from_secs(1);
/// but not later than this.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// How the notifier works.
#[derive(Clone, Debug)]
pub struct ChainNotifierConfig {
    /// Where the chain is asked.
    pub backends: Backends,
    /// The network whose addresses the federation shows.
    pub network: Network,
    /// Block 0 of the federation's chain.
    pub genesis_hash: Hash,
    /// A file that keeps the last block dealt with, so that a restart walks
    /// on from there; `None` to walk `rescan_blocks` at each start.
    pub cursor: Option<PathBuf>,
    /// Blocks to look through at a start without cursor.
    pub rescan_blocks: u32,
    /// The backend is asked at least this often, whether it gave a hint or not.
    pub poll_every: Duration,
    /// The whole mempool is compared at least this often.
    pub mempool_every: Duration,
}

impl ChainNotifierConfig {
    /// With the usual times, for a backend.
    #[must_use]
    pub fn new(backends: impl Into<Backends>, network: Network, genesis_hash: Hash) -> Self {
        Self {
            backends: backends.into(),
            network,
            genesis_hash,
            cursor: None,
            rescan_blocks: 1_008,
            poll_every: Duration::from_secs(5),
            mempool_every: Duration::from_secs(60),
        }
    }
}

/// Starts the notifier.
///
/// # Errors
/// The configuration is unusable, or the backend belongs to another network.
/// A backend that does not answer yet is no error: the notifier abstains
/// until it does, and checks its network then.
pub fn start(common: Common, config: ChainNotifierConfig) -> Result<Running, StartError> {
    let (adaptor, hints, confirmed) = prepare(&common.context, &config)?;
    let health = Health::default();
    let mut running = Running::new("chain-notifier", health.clone());
    let (events, received) = sync_channel(EVENTS_WAITING_MAX);
    let stop = running.stop_flag();
    let feed = common.feed(&["vend.", "topup", "payment", "chain"], &health, &stop)?;
    let woken = events.clone();
    // Where the queue is full, whoever empties it looks at the flag.
    stop.wakes(move || drop(woken.try_send(Event::Stop)));
    running.spawn({
        let events = events.clone();
        move || {
            let told = |told| Some(Event::Told(Box::new(told)));
            frames::pass(feed, &events, told, || Event::CaughtUp);
        }
    })?;
    let cross = Cross::default();
    let poke = check::start(&mut running, &config, &cross, &events)?;
    for hints in hints {
        let (events, stop) = (events.clone(), stop.clone());
        running.spawn(move || pass_hints(hints, &events, &stop))?;
    }
    let notifier = Notifier {
        door: common.door(),
        staging: Staging::new(common, sight(&config))
            .checked_by(cross.clone(), config.backends.board()),
        cross,
        shown: View::default(),
        poke,
        adaptor,
        health,
        config,
        confirmed,
        caught_up: false,
        behind_since: None,
        failures: 0,
    };
    running.spawn(move || notifier.run(&received, &stop))?;
    Ok(running)
}

/// Makes the backend and asks it for its network once, on a thread of its
/// own: the caller may be an async runtime, in which nothing may wait.
fn prepare(
    context: &zmq::Context,
    config: &ChainNotifierConfig,
) -> Result<(ChainAdaptor, Vec<Hints>, bool), StartError> {
    let work = || {
        let adaptor = ChainAdaptor::new(&config.backends)?;
        let confirmed = match adaptor.check_genesis(config.genesis_hash) {
            Ok(()) => true,
            Err(error @ ChainError::WrongChain { .. }) => return Err(error),
            Err(_) => false,
        };
        let hints = adaptor.hints(context)?;
        Ok((adaptor, hints, confirmed))
    };
    let prepared = std::thread::scope(|scope| scope.spawn(work).join());
    let panicked = || StartError::Thread(std::io::Error::other("the backend's thread panicked"));
    Ok(prepared.map_err(|_| panicked())??)
}

fn sight(config: &ChainNotifierConfig) -> Sight {
    let cursor = config.cursor.as_deref().and_then(cursor::read);
    Sight::new(config.network, cursor, config.rescan_blocks)
}

enum Event {
    Told(Box<Told>),
    /// Everything that the bus had to tell of the past has come.
    CaughtUp,
    Hint(Hint),
    /// A second backend shows something new.
    Compared,
    /// There is a reason to look at the stop flag.
    Stop,
}

fn pass_hints(mut hints: Hints, events: &SyncSender<Event>, stop: &Stop) {
    stop.wakes(hints.waker());
    while !stop.is_set() {
        if let Some(hint) = hints.next(AT_REST)
            && events.send(Event::Hint(hint)).is_err()
        {
            return;
        }
    }
}

struct Notifier {
    config: ChainNotifierConfig,
    adaptor: ChainAdaptor,
    door: Door,
    health: Health,
    staging: Staging,
    cross: Cross,
    /// What was shown last to be compared.
    shown: View,
    /// Asks for a comparison, where there are several backends.
    poke: Option<SyncSender<()>>,
    /// The backend's block 0 was seen to be the federation's.
    confirmed: bool,
    caught_up: bool,
    behind_since: Option<Instant>,
    failures: u32,
}

impl Notifier {
    fn run(mut self, events: &Receiver<Event>, stop: &Arc<Stop>) {
        let mut ask_at = Instant::now();
        let mut asked_at = ask_at;
        let mut scan_at = ask_at;
        while !stop.is_set() {
            let wait = self.wait(ask_at);
            match events.recv_timeout(wait) {
                Ok(event) => {
                    let mut news = self.take(event);
                    let more = std::iter::from_fn(|| events.try_recv().ok());
                    for event in more.take(EVENTS_PER_TURN) {
                        news = news.max(self.take(event));
                    }
                    ask_at = match self.failures {
                        0 if news > News::Nothing => Instant::now() + self.quiet(),
                        0 => ask_at,
                        _ => news.during_backoff(ask_at, asked_at),
                    };
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            if now >= scan_at {
                self.staging.sight.compare_mempool();
            }
            if self.caught_up && now >= ask_at {
                let scanning = self.staging.sight.compares_mempool();
                ask_at = now + self.ask(stop);
                asked_at = now;
                if scanning && !self.staging.sight.compares_mempool() {
                    scan_at = now + self.config.mempool_every;
                }
            }
            self.hand_in();
        }
    }

    /// How long nothing needs to be done unless something happens.
    fn wait(&self, ask_at: Instant) -> Duration {
        let mut wait = AT_REST;
        if self.caught_up {
            wait = wait.min(ask_at.saturating_duration_since(Instant::now()));
        }
        if let Some(due) = self.staging.due_in() {
            wait = wait.min(due);
        }
        wait
    }

    /// How long to wait for more of what makes the notifier look back: one look
    /// serves all.
    fn quiet(&mut self) -> Duration {
        if !self.staging.sight.looks_back() {
            self.behind_since = None;
            return Duration::ZERO;
        }
        let since = *self.behind_since.get_or_insert_with(Instant::now);
        if since.elapsed() < QUIET_MAX {
            QUIET
        } else {
            Duration::ZERO
        }
    }

    /// Whether there is a reason to ask the backend.
    fn take(&mut self, event: Event) -> News {
        match event {
            Event::Told(told) => News::told(match *told {
                Told::Fact(body) => self.staging.fact(&body),
                Told::Frame(frame) => self.staging.frame(&frame.body),
            }),
            Event::CaughtUp => {
                self.caught_up = true;
                News::Told
            }
            Event::Hint(hint) => News::hinted(self.staging.sight.hint(hint)),
            Event::Compared | Event::Stop => News::Nothing,
        }
    }

    /// Asks the backend, and tells how long to leave it alone.
    fn ask(&mut self, stop: &Stop) -> Duration {
        match self.refresh(stop) {
            Ok(()) => {
                self.failures = 0;
                self.health.clear("backend");
                self.config.poll_every
            }
            Err(error) => {
                self.health
                    .raise("backend", format!("abstaining from votes: {error}"));
                let backoff = BACKOFF_MIN * (1 << self.failures.min(6));
                self.failures += 1;
                backoff.min(BACKOFF_MAX)
            }
        }
    }

    fn refresh(&mut self, stop: &Stop) -> Result<(), ChainError> {
        if !self.confirmed {
            self.staging
                .sight
                .confirm(&self.adaptor, self.config.genesis_hash)?;
            self.confirmed = true;
        }
        let fresh = self.staging.sight.watch.fresh();
        let refreshed = self
            .staging
            .sight
            .refresh(&self.adaptor, &|| !stop.is_set());
        if let Some(poke) = &self.poke {
            let watch = &mut self.staging.sight.watch;
            let (view, went_back) = (watch.view(), watch.take_went_back());
            self.config
                .backends
                .board()
                .agree(self.staging.sight.agreed());
            // What no backend has been told of comes again.
            let fresh = match self.staging.sight.watch.fresh().is_empty() {
                true => fresh,
                false => Vec::new(),
            };
            self.cross.show_first(fresh, view.clone(), went_back);
            if self.shown != view {
                self.shown = view;
                // One that waits already covers this one.
                let _ = poke.try_send(());
            }
        }
        refreshed
    }

    fn hand_in(&mut self) {
        self.staging.stage();
        self.staging.work(&self.door);
        if self.staging.unreachable() {
            self.health.raise("door", "no node takes observations");
        } else {
            self.health.clear("door");
        }
        if let (Some(path), Some(tip)) = (&self.config.cursor, self.staging.settled_tip()) {
            // A restart without or with an old cursor only walks further.
            match cursor::write(path, tip) {
                Ok(()) => self.health.clear("cursor"),
                Err(error) => self
                    .health
                    .raise("cursor", format!("{}: {error}", path.display())),
            }
        }
    }
}
