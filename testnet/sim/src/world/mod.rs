//! One federation under one seed: virtual time, processes, network, checks.
//!
//! Three phases: *safety*, while faults strike, in which nothing wrong may
//! ever be agreed on; *liveness*, after the network is healed and the fallen
//! are back, in which all sound nodes must come to have all that was submitted
//! to them, and then rest; *replay*, in which every node's disk must lead to
//! the same once more.

mod churn;
mod collusion;
mod drive;
mod failures;
mod happening;
mod network;
mod phases;
mod serve;
mod stage;
mod strike;

use std::collections::{BTreeMap, BTreeSet};

use dctrl_consensus::explain::{draw_svg, draw_text_explained};
use dctrl_consensus::{Digest, Roster};

use crate::actors::Actor;
use crate::agenda::Agenda;
use crate::app::Change;
use crate::checks::{Bounds, Finality, Forks, Members, Order};
use crate::engine::{Seat, Setting};
use crate::marks::{Mark, Marks};
use crate::network::Network;
use crate::node::Node;
use crate::people::Rosters;
use crate::prng::Prng;
use crate::report::{Picture, Report};
use crate::rules::Rules;
use crate::scenario::{Part, Scenario, Theme};
use crate::trace::Trace;
use collusion::Split;
use happening::Happening;

/// Events of one node that are drawn where a run failed.
const PICTURED_EVENTS_MAX: usize = 200;

/// An action that a user waits for.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    seat: Seat,
    number: u32,
    attempt: u32,
}

/// One federation under one seed.
pub(crate) struct World {
    scenario: Scenario,
    setting: Setting,
    chance: Prng,
    now: u64,
    agenda: Agenda<Happening>,
    network: Network,
    nodes: Vec<Node>,
    liars: BTreeMap<Seat, Box<dyn Actor>>,
    /// What users of sound nodes submitted and have not seen final.
    waiting: Vec<Waiting>,
    /// The highest round of any honest node when an action was last sent out in
    /// an event.
    carried: BTreeMap<u32, u64>,
    /// The epochs that honest nodes have begun.
    rosters: Rosters,
    /// By hash, the rosters at which honest nodes arrived.
    known_rosters: BTreeMap<Digest, Roster>,
    /// Actions that change the members.
    changes: BTreeMap<u32, Change>,
    /// The number of the next action that no scenario foresaw.
    next_number: u32,
    /// Forkers whose removal was asked for.
    accused: BTreeSet<Seat>,
    order: Order,
    members: Members,
    finality: Finality,
    forks: Forks,
    bounds: Bounds,
    split: Split,
    /// The latest epoch of any honest node.
    epoch: u64,
    /// The highest layer that any honest node was ever seen in.
    highest_layer: u64,
    /// The epoch when the network was healed.
    healed_epoch: u64,
    /// Blocks that were known then.
    healed_blocks: u64,
    /// The highest round of any honest node when the network was healed.
    healed_round: u64,
    /// The layer of each node's last own event at that time.
    healed_layers: Vec<u64>,
    marks: Marks,
    trace: Trace,
    violations: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize, rules: Rules) -> Self {
        Self::of(Scenario::of(seed, nodes), seed, rules)
    }

    pub(crate) fn of(scenario: Scenario, seed: u64, rules: Rules) -> Self {
        let nodes = scenario.nodes;
        let (spares, real) = (scenario.seats - nodes, scenario.real_signatures);
        let mut setting = Setting::with_spares(nodes, spares, rules.of(seed), real);
        setting.faulty = scenario.cast.faulty();
        let setting = if scenario.tight {
            setting.tight()
        } else {
            setting
        };
        let setting = match scenario.seal_layers {
            Some(layers) => setting.sealing(layers),
            None => setting,
        };
        let clocks = scenario.cast.clocks.iter().enumerate();
        let mut world = Self {
            nodes: clocks
                .map(|(seat, clock)| Node::new(&setting, seat, *clock))
                .collect(),
            rosters: Rosters::new(setting.people.clone(), setting.first_epoch()),
            known_rosters: BTreeMap::new(),
            members: Members::new(&setting),
            changes: BTreeMap::new(),
            next_number: u32::try_from(scenario.submissions.len()).unwrap_or(u32::MAX / 2),
            accused: BTreeSet::new(),
            setting,
            chance: Prng::new(!seed),
            now: 0,
            agenda: Agenda::default(),
            network: Network::new(scenario.seats),
            liars: BTreeMap::new(),
            waiting: Vec::new(),
            carried: BTreeMap::new(),
            order: Order::new(scenario.seats, rules.of(seed)),
            finality: Finality::default(),
            forks: Forks::default(),
            bounds: Bounds::default(),
            split: Split::new(scenario.seats),
            epoch: 0,
            highest_layer: 0,
            healed_epoch: 0,
            healed_blocks: 0,
            healed_round: 0,
            healed_layers: vec![0; scenario.seats],
            marks: Marks::default(),
            trace: Trace::default(),
            violations: Vec::new(),
            scenario,
        };
        world.plan();
        world
    }

    /// Puts all that the scenario says into the agenda, and starts everyone.
    fn plan(&mut self) {
        for (number, submission) in (0..).zip(self.scenario.submissions.clone()) {
            let seat = submission.seat;
            self.agenda
                .plan(submission.at, Happening::Submit { seat, number });
        }
        for failure in self.scenario.failures.crashes.clone() {
            let (seat, fate) = (failure.seat, failure.fate);
            let for_good = failure.back_at.is_none();
            self.agenda.plan(
                failure.at,
                Happening::Crash {
                    seat,
                    fate,
                    for_good,
                },
            );
            if let Some(back_at) = failure.back_at {
                self.agenda
                    .plan(back_at.max(failure.at + 1), Happening::Restart { seat });
            }
        }
        if let (Theme::QuorumLost, Some(first)) =
            (self.scenario.theme, self.scenario.failures.crashes.first())
        {
            self.agenda
                .plan(first.at + crate::scenario::SECOND, Happening::QuorumLost);
        }
        self.agenda.plan(self.scenario.heal_at, Happening::Heal);
        self.mark_scenario();
        for seat in 0..self.scenario.nodes {
            match self.scenario.cast.parts[seat] {
                Part::Liar(lie) => self.enter(seat, lie),
                _ => self.start(seat),
            }
        }
        if let Some(churn) = self.scenario.churn.clone() {
            for (seat, at) in (self.scenario.nodes..).zip(churn.starts) {
                self.agenda.plan(at, Happening::Start { seat });
            }
            for (at, seat, change) in churn.changes {
                self.ask_for(at, seat, change);
            }
        }
    }

    fn mark_scenario(&mut self) {
        use crate::clock::Clock;
        if self.scenario.real_signatures {
            self.marks.hit(Mark::RealSignatures);
        }
        if self.scenario.prunes {
            self.marks.hit(Mark::Pruned);
        }
        if self.scenario.tight {
            self.marks.hit(Mark::TightLimits);
        }
        if self.scenario.failures.power_cut.is_some() {
            self.marks.hit(Mark::PowerCut);
        }
        let cast = &self.scenario.cast;
        for (part, clock) in cast.parts.iter().zip(&cast.clocks) {
            if *part == Part::BadClock {
                self.marks.hit(match clock {
                    Clock::Off(_) => Mark::ClockSkewed,
                    Clock::SetBack { .. } => Mark::ClockSetBack,
                    Clock::Frozen { .. } => Mark::ClockFrozen,
                });
            }
        }
    }

    /// Runs all phases and tells what was found.
    pub(crate) fn run(mut self, seed: u64, rules: Rules) -> Report {
        self.run_phases();
        Report {
            seed,
            nodes: self.scenario.nodes,
            rules,
            story: self.story(),
            pictures: self.pictures(),
            violations: self.violations,
            simulated_ns: self.now,
            submitted: self.scenario.submissions.len() as u64,
            actions: self.order.actions(),
            blocks: self.order.len(),
            marks: self.marks,
            digest: self.trace.finish(),
        }
    }

    /// What honest nodes know, if something went wrong.
    fn pictures(&self) -> Vec<Picture> {
        if self.violations.is_empty() {
            return Vec::new();
        }
        let draw = |seat: Seat| {
            let window = self.nodes[seat].engine()?.window(PICTURED_EVENTS_MAX);
            Some(Picture {
                seat,
                text: draw_text_explained(&window.graph, &window.explanation),
                svg: draw_svg(&window.graph, &window.explanation),
            })
        };
        self.honest().filter_map(draw).collect()
    }

    /// What the run is about, for people.
    fn story(&self) -> String {
        let (theme, parts) = (self.scenario.theme, &self.scenario.cast.parts);
        format!(
            "{theme:?} under {:?} among {parts:?}",
            self.setting.ordering
        )
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { from, to, parcel } => {
                self.note_delivery(from, to, &parcel);
                self.deliver(from, to, &parcel);
            }
            Happening::Depart { from, to, parcel } => self.transmit(from, to, &parcel),
            Happening::Wake { seat, incarnation } => self.wake(seat, incarnation),
            Happening::Synced {
                seat,
                incarnation,
                through,
                record,
            } => {
                self.synced(seat, incarnation, through, record);
            }
            Happening::Submit { seat, number } => self.submit(seat, number, 0),
            Happening::SubmitAgain { number } => self.submit_one_again(number),
            Happening::Start { seat } => self.start(seat),
            Happening::Crash {
                seat,
                fate,
                for_good,
            } => self.crash(seat, fate, for_good),
            Happening::Restart { seat } => self.restart(seat),
            Happening::QuorumLost => self.quorum_lost(),
            Happening::Heal => self.heal(),
        }
        if self.scenario.strike.is_some() {
            self.strike_when_due();
        }
    }

    /// Seats that follow the rules, whatever befalls them.
    fn honest(&self) -> impl Iterator<Item = Seat> + use<'_> {
        (0..self.scenario.seats).filter(|seat| self.scenario.cast.honest(*seat))
    }

    /// Seats that must come right in the end.
    fn sound(&self) -> impl Iterator<Item = Seat> + use<'_> {
        (0..self.scenario.seats).filter(|seat| self.scenario.cast.sound(*seat))
    }

    fn violation(&mut self, what: String) {
        self.trace.note(&[9, self.now], what.as_bytes());
        self.violations.push(what);
    }

    fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violation(what);
        }
    }

    fn note_digest(&mut self, kind: u64, seat: Seat, digest: Digest) {
        self.trace.note(&[kind, self.now, seat as u64], &digest.0);
    }
}
