//! One machine, one customer, one vend after the other, and an agent that dies
//! in each of them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use dctrl_proto::v1::{MachineReset, Vend};

use super::{
    fleet::{End, Post},
    steps::{Moment, Step},
    tally::Tally,
};
use crate::chaos::{
    load::{
        Load,
        customer::{self, has_ended},
    },
    promises::Work,
};

/// How often the agent and its pin are looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// How often the federation is asked how the vend is.
const LOOK: Duration = Duration::from_millis(120);

/// The same where the answer decides when the agent dies.
const LOOK_CLOSELY: Duration = Duration::from_millis(25);

/// How long a vend may take, with all deaths in it: an order lives a minute,
/// and counts as uncertain a little later.
const VEND_LIMIT: Duration = Duration::from_secs(180);

/// How long a machine may take until it sells again.
const SELL_LIMIT: Duration = Duration::from_secs(180);

/// How long the agent has, behind the end of the vend, to come to its step: it
/// hears of the receipt last.
const LINGER: Duration = Duration::from_millis(900);

/// Most deaths in one vend.
const DEATHS_MAX: u32 = 4;

/// Restarts of a hundred in which the agent is to die again.
const DIES_AGAIN: u64 = 20;

/// Longest pause between a death and the next start, milliseconds.
const DOWN_MS_MAX: u64 = 250;

/// An edge of the pin is a line of more bytes than this, and of fewer than
/// twice as many.
const EDGE_BYTES: u64 = 50;

/// What all machines share.
pub(super) struct Shared {
    load: Arc<Load>,
    tally: Mutex<Tally>,
}

/// One vend under way.
struct Watched {
    vend: Vend,
    step: Step,
    /// The step was met, or the agent is to die elsewhere now.
    done: bool,
    deaths: u32,
    pin: u64,
    begun: Instant,
    /// When the blow falls.
    due: Option<Instant>,
}

impl Shared {
    pub(super) fn new(load: Arc<Load>, vends: u64) -> Self {
        let tally = Mutex::new(Tally::new(vends));
        Self { load, tally }
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves customers until no more vends are wanted; then the agent lives.
pub(super) async fn work(mut post: Post, shared: Arc<Shared>) -> Post {
    while shared.tally().claim() {
        let harmed = match post.vend(&shared).await {
            Ok(deaths) => deaths > 0,
            Err(error) => {
                let machine = &post.machine;
                shared.tally().problem(format!("{machine}: {error:#}"));
                false
            }
        };
        shared.tally().vended(harmed);
    }
    post.kill();
    if let Err(error) = post.start(None) {
        shared.tally().problem(format!("{error:#}"));
    }
    post
}

impl Post {
    /// One vend from the quote to its end; how often the agent died in it.
    async fn vend(&mut self, shared: &Shared) -> Result<u32> {
        let vend = self.quoted(shared).await?;
        let name = shared.tally().choose(self.begins_files, &mut self.random);
        let step = Step::draw(name, &mut self.random);
        self.kill();
        if step.takes_a_reset() {
            self.reset(shared).await?;
        }
        let is_early = step.follows_the_payment() && self.random.chance(50);
        if is_early {
            self.start(Some(&step))?;
        }
        self.pause(shared).await;
        let pin = self.trace.length();
        customer::pay(&shared.load, &vend).await?;
        let begun = Instant::now();
        if !is_early {
            self.pause(shared).await;
            self.start(Some(&step))?;
        }
        let mut watched = Watched {
            vend,
            step,
            done: false,
            deaths: 0,
            pin,
            begun,
            due: None,
        };
        let ended = self.watch(shared, &mut watched).await;
        shared.tally().tried(name, watched.done);
        ended.map(|()| watched.deaths)
    }

    async fn pause(&mut self, shared: &Shared) {
        let pause = self.random.below(DOWN_MS_MAX);
        shared.load.rest(Duration::from_millis(pause)).await;
    }

    /// A quote, as soon as the machine sells.
    async fn quoted(&mut self, shared: &Shared) -> Result<Vend> {
        let begun = Instant::now();
        loop {
            self.tend(shared, None)?;
            if !self.is_manned() {
                self.start(None)?;
            }
            let said = customer::quote(&shared.load, &self.machine, &mut self.random).await;
            match said.context("everything stopped")? {
                Ok(vend) => return Ok(vend),
                Err(refusal) if begun.elapsed() > SELL_LIMIT => {
                    bail!("it does not sell any more: {refusal}")
                }
                Err(_) => shared.load.rest(LOOK).await,
            }
        }
    }

    /// A new incarnation, as for a machine that lost its journal.
    async fn reset(&mut self, shared: &Shared) -> Result<()> {
        let reset = MachineReset {
            machine_id: self.machine.clone(),
            key: Vec::new(),
        };
        let action = shared.load.sign(&reset);
        let receipt = shared.load.drive(action, Work::Other, 0, &mut self.random);
        let receipt = receipt.await.context("everything stopped")?;
        ensure!(receipt.refusal.is_none(), "no reset: {:?}", receipt.refusal);
        shared.tally().resets += 1;
        Ok(())
    }

    /// Lets the agent die and start until the vend has ended.
    async fn watch(&mut self, shared: &Shared, watched: &mut Watched) -> Result<()> {
        let mut looked = Instant::now();
        let mut ended: Option<Instant> = None;
        loop {
            self.tend(shared, Some(watched))?;
            self.strike(shared, watched);
            if !self.is_manned() {
                self.pause(shared).await;
                self.revive(watched)?;
            }
            if ended.is_some_and(|at| watched.deaths > 0 || at.elapsed() > LINGER) {
                return Ok(());
            }
            let every = match watched.step {
                Step::Blow {
                    moment: Moment::Order,
                    ..
                } => LOOK_CLOSELY,
                _ => LOOK,
            };
            if ended.is_none() && looked.elapsed() > every {
                looked = Instant::now();
                let client = shared.load.some_client(&mut self.random);
                // A node that does not answer is asked again.
                if let Ok(vend) = client.vend(&watched.vend.id).await {
                    ended = has_ended(&vend).then(Instant::now);
                    watched.vend = vend;
                }
            }
            if watched.begun.elapsed() > VEND_LIMIT {
                let last = watched.vend.history.last();
                bail!("vend {} does not end: {last:?}", watched.vend.id);
            }
            shared.load.rest(GLANCE).await;
        }
    }

    /// Notices a death.
    fn tend(&mut self, shared: &Shared, watched: Option<&mut Watched>) -> Result<()> {
        match self.ended() {
            None => Ok(()),
            Some(End::Strange(what)) => bail!("its agent ended by itself: {what}"),
            Some(End::At(name)) => {
                shared.tally().died(name);
                if let Some(watched) = watched {
                    watched.deaths += 1;
                    watched.done |= watched.step.name() == name;
                }
                Ok(())
            }
        }
    }

    /// Starts the agent again, now and then to die again.
    fn revive(&mut self, watched: &Watched) -> Result<()> {
        let again = watched.deaths < DEATHS_MAX && self.random.chance(DIES_AGAIN);
        let step = again.then(|| Step::again(self.begins_files, &mut self.random));
        self.start(step.as_ref())
    }

    /// Ends the agent from outside, where its time has come.
    fn strike(&mut self, shared: &Shared, watched: &mut Watched) {
        let Step::Blow {
            name,
            moment,
            after_ms,
        } = watched.step
        else {
            return;
        };
        if watched.done || !self.is_manned() {
            return;
        }
        let moved = self.trace.length() - watched.pin;
        let has_come = match moment {
            Moment::Payment => true,
            Moment::Order => watched.vend.sequence > 0 || moved > 0,
            Moment::PinHigh => moved > 0,
            Moment::PinLow => moved > 2 * EDGE_BYTES,
        };
        if has_come && watched.due.is_none() {
            watched.due = Some(Instant::now() + Duration::from_millis(after_ms));
        }
        if watched.due.is_some_and(|due| due <= Instant::now()) {
            self.kill();
            shared.tally().died(name);
            watched.deaths += 1;
            watched.done = true;
        }
    }
}
