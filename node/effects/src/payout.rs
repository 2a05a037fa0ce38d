//! PayoutMgr's hands: broadcast what copayers have signed, and say what the
//! chain shows of it.
//!
//! The ledger names the nodes in the order in which they broadcast; the first
//! acts at once, each other one only while the transaction is not seen a while
//! later. Who was held up or has just started waits for its turn from then on,
//! since the others may be back at the same moment. Broadcasting is idempotent by
//! the transaction's id: a backend that knows it already is as good as one that
//! takes it. So it does no harm when two nodes act, or one acts again after a
//! restart.
//!
//! What spends a payout's inputs is looked for in the blocks since it was
//! proposed and in the mempool, and in blocks also what has replaced the
//! transactions that made them; it is said as `payout.observe` when it changes.
//! The backend's fee rate is said as `fee.observe`.
//!
//! While several backends of this node contradict each other it neither
//! broadcasts nor votes on payouts.
//!
//! Deliberately absent: keys, any choice of what is paid, and a memory: all is
//! learned from the node's facts, the bus and the backend at each start.

mod lineage;
mod place;
pub mod view;
mod walk;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use dctrl_follow::Door;
use dctrl_proto::v1::{FeeObserve, Payout, PayoutObserve, bus_body::Event as BusEvent};

use crate::{
    Common, Health, Running, StartError,
    chain::{Backends, ChainAdaptor, ChainError, Hash, Sent},
    common::{AT_REST, Stop},
    frames::{self, Told},
    outbox::{Ended, Outbox},
};
use view::{Order, Payouts};

/// Payouts that wait for the broadcaster.
const EVENTS_WAITING_MAX: usize = 256;
/// How often the backend is asked while a payout is open.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long the backend is left alone after an error.
const AFTER_ERROR: Duration = Duration::from_secs(10);
/// The fee rate is said again after this.
const FEE_EVERY: Duration = Duration::from_secs(20 * 60);
/// Blocks in which a payout should be mined.
const FEE_BLOCKS: u16 = 6;

/// How payouts are broadcast.
#[derive(Clone, Debug)]
pub struct PayoutConfig {
    /// Where the chain is asked.
    pub backends: Backends,
    /// Block 0 of the federation's chain.
    pub genesis_hash: Hash,
    /// How much later than the one before each next node acts.
    pub take_over_ms: u64,
}

impl PayoutConfig {
    /// With the usual times.
    #[must_use]
    pub fn new(backends: impl Into<Backends>, genesis_hash: Hash) -> Self {
        Self {
            backends: backends.into(),
            genesis_hash,
            take_over_ms: 10_000,
        }
    }
}

/// Starts the effect.
///
/// # Errors
/// The configuration is unusable. A backend that does not answer yet is none:
/// its network is checked before anything is said or sent.
pub fn start(common: Common, config: PayoutConfig) -> Result<Running, StartError> {
    let health = Health::default();
    let mut running = Running::new("payout", health.clone());
    let (events, received) = sync_channel(EVENTS_WAITING_MAX);
    let stop = running.stop_flag();
    let feed = common.feed(&["payout"], &health, &stop)?;
    let woken = events.clone();
    stop.wakes(move || drop(woken.try_send(Event::Stop)));
    running.spawn(move || frames::pass(feed, &events, told, || Event::CaughtUp))?;
    running.spawn(move || {
        // The simulated chain's client has a runtime of its own, which must be
        // made and dropped on this thread.
        match ChainAdaptor::new(&config.backends) {
            Ok(adaptor) => {
                let door = common.door();
                Broadcaster::new(common, config, adaptor, door, health).run(&received, &stop);
            }
            Err(error) => health.raise("backend", format!("payouts are not sent: {error}")),
        }
    })?;
    Ok(running)
}

enum Event {
    Payout(Box<Payout>),
    /// Everything that the bus had to tell of the past has come.
    CaughtUp,
    /// There is a reason to look at the stop flag.
    Stop,
}

/// What a fact or frame has to tell.
fn told(told: Told) -> Option<Event> {
    match told.into_body().event {
        Some(BusEvent::Payout(changed)) => {
            Some(Event::Payout(Box::new(changed.payout.unwrap_or_default())))
        }
        _ => None,
    }
}

/// What is on its way to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Fee,
    Payout(String),
}

struct Broadcaster {
    common: Common,
    config: PayoutConfig,
    adaptor: ChainAdaptor,
    door: Door,
    health: Health,
    payouts: Payouts,
    outbox: Outbox<Subject>,
    /// The backend's block 0 was seen to be the federation's.
    confirmed: bool,
    caught_up: bool,
    fee_at: Instant,
    said_fee: Option<u64>,
}

impl Broadcaster {
    fn new(
        common: Common,
        config: PayoutConfig,
        adaptor: ChainAdaptor,
        door: Door,
        health: Health,
    ) -> Self {
        Self {
            payouts: Payouts::new(common.seat.clone(), config.take_over_ms),
            common,
            config,
            adaptor,
            door,
            health,
            outbox: Outbox::default(),
            confirmed: false,
            caught_up: false,
            fee_at: Instant::now(),
            said_fee: None,
        }
    }

    fn run(mut self, events: &Receiver<Event>, stop: &Arc<Stop>) {
        let mut ask_at = Instant::now();
        while !stop.is_set() {
            match events.recv_timeout(self.wait(ask_at)) {
                Ok(Event::Payout(payout)) => {
                    if self.payouts.told(*payout) {
                        ask_at = Instant::now();
                    }
                    // More may wait; the backend is asked once for all.
                    if self.drain(events) {
                        ask_at = Instant::now();
                    }
                }
                Ok(Event::CaughtUp) => self.caught_up = true,
                Ok(Event::Stop) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.caught_up && Instant::now() >= ask_at {
                ask_at = Instant::now() + self.ask();
            }
            self.hand_in();
        }
    }

    fn drain(&mut self, events: &Receiver<Event>) -> bool {
        let mut news = false;
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Payout(payout) => news |= self.payouts.told(*payout),
                Event::CaughtUp => self.caught_up = true,
                Event::Stop => {}
            }
        }
        news
    }

    /// How long nothing needs to be done unless something is told.
    fn wait(&self, ask_at: Instant) -> Duration {
        let mut wait = AT_REST;
        if self.caught_up && !self.payouts.is_empty() {
            wait = wait.min(ask_at.saturating_duration_since(Instant::now()));
        }
        if self.caught_up {
            wait = wait.min(self.fee_at.saturating_duration_since(Instant::now()));
        }
        if let Some(due_ms) = self.outbox.due_ms() {
            let left_ms = due_ms.saturating_sub((self.common.clock)());
            wait = wait.min(Duration::from_millis(left_ms));
        }
        wait
    }

    /// Asks the backend, and tells how long to leave it alone.
    fn ask(&mut self) -> Duration {
        match self.refresh() {
            Ok(()) => {
                self.health.clear("backend");
                ASK_EVERY
            }
            Err(error) => {
                self.health
                    .raise("backend", format!("payouts are not watched: {error}"));
                AFTER_ERROR
            }
        }
    }

    fn refresh(&mut self) -> Result<(), ChainError> {
        if !self.confirmed {
            self.adaptor.check_genesis(self.config.genesis_hash)?;
            self.confirmed = true;
        }
        if Instant::now() >= self.fee_at {
            self.fee();
        }
        if self.payouts.is_empty() {
            return Ok(());
        }
        if let Some(why) = self.adaptor.board().held() {
            self.health
                .raise("held", format!("payouts are held: {why}"));
            self.payouts.interrupted();
            return Ok(());
        }
        self.health.clear("held");
        self.payouts
            .look(&self.adaptor)
            .inspect_err(|_| self.payouts.interrupted())?;
        // One that the backend refuses must not keep the others back.
        let mut sent = Ok(());
        for order in self.payouts.take_due((self.common.clock)()) {
            sent = sent.and(self.send(&order));
        }
        self.payouts.look(&self.adaptor)?;
        for (id, said) in self.payouts.unsaid() {
            self.say(id, &said);
        }
        sent
    }

    fn say(&mut self, id: String, said: &PayoutObserve) {
        if self
            .outbox
            .put(&self.common, Subject::Payout(id.clone()), said)
        {
            self.payouts.said(&id);
        }
    }

    /// Says the backend's fee rate, where it knows one. Without it the lowest rate
    /// serves, and payouts go on.
    fn fee(&mut self) {
        let rate = match self.adaptor.fee_rate(FEE_BLOCKS) {
            Ok(rate) => rate,
            Err(error) => {
                self.fee_at = Instant::now() + AFTER_ERROR;
                self.health
                    .raise("fee", format!("no fee rate is known: {error}"));
                return;
            }
        };
        self.health.clear("fee");
        self.fee_at = Instant::now() + FEE_EVERY;
        match rate {
            Some(fee_rate) => {
                let observe = FeeObserve { fee_rate };
                self.outbox.put(&self.common, Subject::Fee, &observe);
            }
            None if self.said_fee.is_some() => tracing::info!("the backend knows no fee rate now"),
            None => tracing::debug!("the backend knows no fee rate: the lowest one serves"),
        }
        self.said_fee = rate;
    }

    fn send(&mut self, order: &Order) -> Result<(), ChainError> {
        let (payout, txid) = (&order.payout, hex::encode(&order.txid));
        let trouble = format!("payout {payout}");
        match self.adaptor.broadcast(&order.transaction)? {
            Sent::Accepted => {
                tracing::info!(payout, txid, rank = order.rank, "transaction broadcast");
                self.health.clear(&trouble);
            }
            Sent::Known => {
                tracing::info!(payout, txid, rank = order.rank, "transaction known already");
                self.health.clear(&trouble);
            }
            Sent::Conflict(why) => {
                let sentence = format!("payout {payout}: {txid} conflicts with the chain: {why}");
                tracing::warn!(payout, txid, why, "transaction in conflict");
                self.health.raise(&trouble, sentence);
            }
        }
        Ok(())
    }

    fn hand_in(&mut self) {
        let now_ms = (self.common.clock)();
        for (subject, ended) in self.outbox.work(now_ms, &self.door) {
            match (subject, ended) {
                (_, Ended::Applied) => {}
                (subject, Ended::Refused(refusal)) => {
                    tracing::warn!(?subject, %refusal, "an observation was refused");
                }
                (Subject::Payout(id), Ended::Expired) => self.payouts.unsay(&id),
                (Subject::Fee, Ended::Expired) => self.fee_at = Instant::now(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
