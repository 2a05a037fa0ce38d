//! What all effects share: how they are started, and how they are stopped.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dctrl_access::Identity;
use dctrl_consensus::PublicKey;
use dctrl_follow::{Door, Federation, Follower, FollowerConfig, Position, Rosters};

use crate::{Health, frames::Feed};

/// Longest wait of an effect that has nothing to do. What happens, and a stop,
/// wake it.
pub(crate) const AT_REST: Duration = Duration::from_secs(60);

/// What a stop wakes at most.
const WAKES_MAX: usize = 16;

/// The present time, milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The seat by which the ledger names the identity's node, where it is one. It
/// may be given while the effects run.
pub type Seat = Arc<dyn Fn() -> Option<u32> + Send + Sync>;

/// What every effect needs to take part in the federation.
#[derive(Clone)]
pub struct Common {
    /// The process's ZeroMQ context.
    pub context: zmq::Context,
    /// The federation, with its nodes where they were at the start.
    pub federation: Federation,
    /// The rosters whose certificates count.
    pub rosters: Rosters,
    /// Positions in `federation` of the nodes to follow and to submit to: usually the
    /// own one alone.
    pub nodes: Vec<usize>,
    /// Signs the actions; the node's own key for observations.
    pub identity: Arc<Identity>,
    /// The seat of the identity that signs.
    pub seat: Seat,
    /// The node's clock.
    pub clock: Clock,
}

impl Common {
    /// The node's facts of `topics`, and what happens since then.
    pub(crate) fn feed(
        &self,
        topics: &[&str],
        health: &Health,
        stop: &Arc<Stop>,
    ) -> Result<Feed, StartError> {
        // It is sent to where the facts end before it is asked for anything.
        let follower = self.follow(topics, Position::default())?;
        stop.wakes_follower(&follower);
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Ok(Feed::new(
            topics,
            self.door(),
            follower,
            health.clone(),
            stop.clone(),
        ))
    }

    /// Follows `topics` from after a position.
    pub(crate) fn follow(&self, topics: &[&str], after: Position) -> Result<Follower, StartError> {
        Ok(Follower::start(FollowerConfig {
            context: self.context.clone(),
            federation: self.federation.clone(),
            rosters: self.rosters.clone(),
            nodes: self.nodes.clone(),
            curve_secret: self.identity.curve_secret(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            after,
        })?)
    }

    /// The door of the nodes to submit to.
    pub(crate) fn door(&self) -> Door {
        Door::connect(
            self.context.clone(),
            &self.federation,
            &self.nodes,
            self.identity.curve_secret(),
        )
        .among(self.rosters.clone())
    }

    /// The present roster position of the identity that signs, where it is a
    /// node's. Votes are by seat instead.
    pub(crate) fn own_index(&self) -> Option<u32> {
        let key = PublicKey(self.identity.public_key());
        let index = self.rosters.index_of(&key)?;
        Some(u32::from(index.0))
    }
}

/// Why an effect did not start. All of these are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The bus could not be joined.
    #[error("cannot follow the bus: {0}")]
    Follow(#[from] dctrl_follow::FollowError),
    /// The bitcoin backend belongs to another network or cannot be used.
    #[error("chain backend: {0}")]
    Chain(#[from] crate::chain::ChainError),
    /// A file of the effect cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The log on disk does not verify, so nothing may be appended to it.
    #[error("event log: {0}")]
    Log(#[from] crate::event_logger::LogError),
    /// The configuration contradicts itself.
    #[error("{field}: {problem}")]
    Config {
        /// The key at fault.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The system refused a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// An effect at work. Dropping it asks it to stop; [`Running::join`] waits.
pub struct Running {
    name: &'static str,
    stop: Arc<Stop>,
    health: Health,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// The effect's name, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Present troubles of the effect.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Asks the effect to stop and returns at once.
    pub fn stop(&self) {
        self.stop.set();
    }

    /// Stops the effect and waits for its threads.
    pub fn join(mut self) {
        self.stop.set();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!(effect = self.name, "a thread of the effect panicked");
            }
        }
    }

    pub(crate) fn new(name: &'static str, health: Health) -> Self {
        Self {
            name,
            stop: Arc::new(Stop::default()),
            health,
            threads: Vec::new(),
        }
    }

    pub(crate) fn stop_flag(&self) -> Arc<Stop> {
        self.stop.clone()
    }

    /// Adds one thread to the effect.
    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let thread = std::thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(work)
            .map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.set();
    }
}

/// A flag that can be waited for, and that wakes who waits for something else.
#[derive(Default)]
pub(crate) struct Stop {
    state: Mutex<Stopping>,
    changed: Condvar,
}

#[derive(Default)]
struct Stopping {
    stopped: bool,
    wakes: VecDeque<Box<dyn Fn() + Send>>,
}

impl Stop {
    pub(crate) fn set(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for wake in std::mem::take(&mut state.wakes) {
            wake();
        }
        self.changed.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.lock().stopped
    }

    /// A stop calls `wake`, which must not block. Of too many the oldest is
    /// forgotten: it belongs to what was opened anew since.
    pub(crate) fn wakes(&self, wake: impl Fn() + Send + 'static) {
        let mut state = self.lock();
        if state.stopped {
            wake();
            return;
        }
        if state.wakes.len() >= WAKES_MAX {
            state.wakes.pop_front();
        }
        state.wakes.push_back(Box::new(wake));
    }

    /// A stop ends what this follower waits for.
    pub(crate) fn wakes_follower(&self, follower: &Follower) {
        let waker = follower.waker();
        self.wakes(move || waker.wake());
    }

    /// Waits at most `timeout`; true when the effect shall stop.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.lock();
        while !state.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Stopping> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use dctrl_consensus::{Roster, RosterMember};

    use super::*;

    /// A federation of one node that nobody runs.
    pub(crate) fn common(clock: Clock) -> Common {
        let identity = Identity::generate().unwrap();
        let member = RosterMember::new("alpha".to_owned(), PublicKey(identity.public_key()));
        let federation = Federation {
            cluster: [7; 32],
            roster: Roster {
                number: 0,
                members: vec![member],
            },
            nodes: vec![dctrl_follow::NodeEndpoint {
                name: "alpha".to_owned(),
                bus: "tcp://127.0.0.1:1".to_owned(),
                door: "tcp://127.0.0.1:1".to_owned(),
                curve_public: identity.curve_public(),
            }],
        };
        Common {
            context: zmq::Context::new(),
            rosters: Rosters::of(&federation),
            federation,
            nodes: vec![0],
            identity: Arc::new(identity),
            seat: Arc::new(|| Some(0)),
            clock,
        }
    }

    #[test]
    fn a_stop_wakes_what_waits_for_something_else_now_and_later() {
        let stop = Stop::default();
        let woken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let wake = |woken: &Arc<std::sync::atomic::AtomicUsize>| {
            let woken = woken.clone();
            move || {
                woken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        for _ in 0..10 * WAKES_MAX {
            stop.wakes(wake(&woken));
        }
        stop.set();
        stop.set();
        stop.wakes(wake(&woken));
        assert_eq!(
            woken.load(std::sync::atomic::Ordering::Relaxed),
            WAKES_MAX + 1
        );
    }

    #[test]
    fn a_stopped_effect_joins_without_waiting_out_its_timeout() {
        let mut running = Running::new("test", Health::default());
        let stop = running.stop_flag();
        running
            .spawn(move || {
                stop.wait(Duration::from_secs(600));
            })
            .unwrap();
        let begin = Instant::now();
        running.join();
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
