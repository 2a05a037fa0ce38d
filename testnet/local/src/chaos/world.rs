//! The federation under maltreatment: does what a schedule says, and keeps
//! every process running that nobody has taken down.
//!
//! Only processes that were started here are hit, each by its own id.

mod perform;

pub(super) use self::perform::Deed;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    disks::Disks,
    nets::{Nets, Way},
    places,
    relay::Relays,
};
use crate::{
    federation::{Federation, NODE_NAMES},
    process::tail,
};

/// A process that ended by itself is started again after this.
const REVIVAL: Duration = Duration::from_millis(500);

/// How long after a fault of its disk a node may end by it.
const DISK_GRACE: Duration = Duration::from_secs(15);

/// Ends without a cause that are kept with their last words.
const SURPRISES_MAX: usize = 20;

/// What the world knows of one process.
#[derive(Debug, Default)]
struct Seat {
    /// When it is to be started, where it is down.
    start_at: Option<Instant>,
    /// It is to die at this place when it starts, the so-many-th time it comes
    /// there.
    place: Option<String>,
    /// It was started so, and has not died yet.
    armed: bool,
    frozen: bool,
    /// Until when an end by itself is its disk's fault.
    excused_until: Option<Instant>,
}

/// The federation, its links, disks and cables.
pub(super) struct World {
    pub(super) federation: Federation,
    pub(super) relays: Relays,
    pub(super) disks: Option<Disks>,
    nets: Option<Nets>,
    /// What cables lose now.
    lost: Vec<(usize, Way)>,
    seats: Vec<Seat>,
    agent: Seat,
    counts: BTreeMap<&'static str, u64>,
    surprises: Vec<String>,
    surprise_count: usize,
}

impl World {
    /// The world around a federation whose processes run.
    pub(super) fn new(
        federation: Federation,
        relays: Relays,
        disks: Option<Disks>,
        nets: Option<Nets>,
    ) -> Self {
        Self {
            seats: (0..federation.len()).map(|_| Seat::default()).collect(),
            agent: Seat::default(),
            federation,
            relays,
            disks,
            nets,
            lost: Vec::new(),
            counts: BTreeMap::new(),
            surprises: Vec::new(),
            surprise_count: 0,
        }
    }

    /// How often each kind of fault has really happened: a kill of what was
    /// dead already does not count.
    pub(super) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// Processes that ended without any cause of ours: their last words, and
    /// how many there were.
    pub(super) fn surprises(&self) -> (&[String], usize) {
        (&self.surprises, self.surprise_count)
    }

    fn count(&mut self, kind: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(kind).or_default() += times;
        }
    }

    /// Looks after all processes: those that are due start, and those that
    /// ended are noticed.
    ///
    /// # Errors
    /// Where a program cannot be started.
    pub(super) fn tend(&mut self) -> Result<()> {
        for node in 0..self.seats.len() {
            self.notice_end(node);
            let due = self.seats[node]
                .start_at
                .is_some_and(|at| at <= Instant::now());
            if due {
                self.start(node)?;
            }
        }
        self.notice_agents_end();
        if self.agent.start_at.is_some_and(|at| at <= Instant::now()) {
            self.start_agent()?;
        }
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let seat = &mut self.seats[node];
        seat.start_at = None;
        seat.frozen = false;
        let place = seat.place.take();
        seat.armed = place.is_some();
        match place {
            Some(place) => self
                .federation
                .start_node_with(node, &[(places::VARIABLE, &place)]),
            None => self.federation.start_node(node),
        }
    }

    fn start_agent(&mut self) -> Result<()> {
        self.agent.start_at = None;
        self.agent.frozen = false;
        let place = self.agent.place.take();
        self.agent.armed = place.is_some();
        match place {
            Some(place) => self.federation.start_agent(&[(places::VARIABLE, &place)]),
            None => self.federation.start_agent(&[]),
        }
    }

    fn notice_end(&mut self, node: usize) {
        let Some(process) = self.federation.node(node) else {
            return;
        };
        if process.is_alive() {
            return;
        }
        let seat = &mut self.seats[node];
        let excused = seat
            .excused_until
            .is_some_and(|until| Instant::now() < until);
        let armed = std::mem::take(&mut seat.armed);
        seat.start_at = Some(Instant::now() + REVIVAL);
        if armed {
            self.count("crash_point", 1);
        } else if excused {
            self.count("ended_by_disk", 1);
        } else {
            let last = tail(&self.federation.node_log(node));
            self.surprise(format!("node {} ended: {}", NODE_NAMES[node], last.trim()));
        }
        // Dropped, so that it is not noticed again.
        self.federation.kill_node(node);
    }

    fn notice_agents_end(&mut self) {
        let Some(process) = self.federation.agent() else {
            return;
        };
        if process.is_alive() {
            return;
        }
        let last = tail(process.log());
        self.agent.start_at = Some(Instant::now() + REVIVAL);
        if std::mem::take(&mut self.agent.armed) {
            self.count("agent_crash_point", 1);
        } else {
            self.surprise(format!("the agent ended: {}", last.trim()));
        }
        self.federation.kill_agent();
    }

    fn surprise(&mut self, what: String) {
        self.surprise_count += 1;
        if self.surprises.len() < SURPRISES_MAX {
            self.surprises.push(what);
        }
    }

    /// Ends every fault: fair weather, whole disks, everybody up and awake.
    ///
    /// # Errors
    /// Where a program cannot be started or a cable not be plugged in.
    pub(super) fn heal(&mut self) -> Result<()> {
        self.relays.clear();
        if let Some(disks) = &self.disks {
            disks.mend();
        }
        while let Some((node, way)) = self.lost.last().copied() {
            self.plug_in(node, way)?;
        }
        for node in 0..self.seats.len() {
            self.thaw(node);
            if self.seats[node].start_at.is_some() {
                self.seats[node].start_at = Some(Instant::now());
            }
            self.seats[node].place = None;
        }
        self.thaw_agent();
        self.agent.place = None;
        if self.agent.start_at.is_some() {
            self.agent.start_at = Some(Instant::now());
        }
        self.tend()
    }

    /// Takes down who was started to die at some place, so that all are up
    /// without that after the next heal.
    pub(super) fn disarm(&mut self) {
        for node in 0..self.seats.len() {
            self.seats[node].place = None;
            if self.seats[node].armed {
                let hit = self.strike(&[node], 0);
                self.count("kill", hit);
            }
        }
        self.agent.place = None;
        if self.agent.armed {
            let hit = self.strike_agent(0);
            self.count("kill_agent", hit);
        }
    }

    /// Ids of the nodes that run now.
    pub(super) fn node_ids(&mut self) -> Vec<Option<u32>> {
        (0..self.seats.len())
            .map(|node| self.federation.node(node).map(|process| process.id()))
            .collect()
    }

    /// Id of the agent, where it runs.
    pub(super) fn agent_id(&mut self) -> Option<u32> {
        self.federation.agent().map(|process| process.id())
    }
}
