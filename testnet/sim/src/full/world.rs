//! The whole federation under one seed: virtual time and all that happens in
//! it. What follows from a happening stands in the rooms beside this one.

use std::collections::BTreeMap;
use std::rc::Rc;

use dctrl_agent::machine::PulseEnd;
use dctrl_consensus::Digest;
use dctrl_effects::chain::Hint;
use dctrl_proto::v1::{BusFrame, SignedAction};

use super::agent::Agent;
use super::checks::Checks;
use super::copayers::Copayers;
use super::founding::Founding;
use super::grid::Struck;
use super::market::Market;
use super::node::Node;
use super::outputs::{Done, Executor};
use super::parties::Judge;
use super::plan::{Plan, Strike};
use super::seen::Seen;
use crate::agenda::Agenda;
use crate::disk::Fate;
use crate::engine::Seat;
use crate::marks::Marks;
use crate::network::{Network, Parcel};
use crate::prng::Prng;
use crate::rules::Rules;
use crate::trace::Trace;

/// All that can happen.
pub(super) enum Happening {
    Deliver {
        from: Seat,
        to: Seat,
        parcel: Rc<Parcel>,
    },
    Wake {
        seat: Seat,
        life: u64,
    },
    /// The batch on its way is on the disk.
    Synced {
        seat: Seat,
        life: u64,
    },
    Crash {
        seat: Seat,
        fate: Fate,
        for_good: bool,
    },
    Restart {
        seat: Seat,
    },
    /// A node's notifiers have a turn.
    Notify {
        seat: Seat,
        life: u64,
    },
    Hinted {
        seat: Seat,
        life: u64,
        hint: Hint,
    },
    /// Frames of the bus come to a machine.
    Frames {
        machine: usize,
        life: u64,
        frames: Rc<Vec<BusFrame>>,
    },
    /// A machine asks a node to tell again.
    Replay {
        machine: usize,
        life: u64,
        seat: Seat,
        after: (u64, u32),
    },
    Replayed {
        machine: usize,
        life: u64,
        seat: Seat,
        frames: Rc<Vec<BusFrame>>,
        covered: u64,
        more: bool,
    },
    /// A machine's action comes to a door.
    Handed {
        machine: usize,
        seat: Seat,
        action: Rc<SignedAction>,
    },
    Tick {
        machine: usize,
        life: u64,
    },
    PulseOver {
        machine: usize,
        life: u64,
        end: PulseEnd,
    },
    KillAgent {
        machine: usize,
    },
    StartAgent {
        machine: usize,
        reboot: bool,
    },
    Mine,
    Reorganise {
        depth: u32,
        drop: bool,
    },
    /// A buyer goes on with a purchase.
    Buy {
        purchase: usize,
    },
    /// Staff and operator look around.
    Rounds,
    /// Copayers look at what is to be paid.
    Copayers,
    Heal,
}

/// The federation and everyone around it.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) seed: u64,
    pub(super) founding: Rc<Founding>,
    pub(super) judge: Rc<Judge>,
    pub(super) executor: Executor,
    pub(super) chance: Prng,
    pub(super) now: u64,
    pub(super) agenda: Agenda<Happening>,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    pub(super) agents: Vec<Agent>,
    pub(super) market: Market,
    pub(super) copayers: Copayers,
    pub(super) checks: Checks,
    /// Executed blocks that are not final yet, by the hash of their header.
    pub(super) executed: BTreeMap<(u64, Digest), Rc<Done>>,
    /// Numbers of requests, so that each action is one of its own.
    pub(super) requests: u128,
    /// By point, how often it was passed.
    pub(super) passed: BTreeMap<&'static str, u32>,
    pub(super) struck: Vec<&'static str>,
    /// How the reorganisation at a step stands, where the plan has one.
    pub(super) blow: Struck,
    pub(super) marks: Marks,
    pub(super) seen: Seen,
    pub(super) trace: Trace,
    pub(super) violations: Vec<String>,
    pub(super) steps: u64,
    /// Actions that were let in.
    pub(super) actions: u64,
}

impl World {
    pub(super) fn new(plan: Plan, seed: u64, rules: Rules) -> Self {
        let founding = Founding::of(&plan, seed, rules);
        let judge = Rc::new(Judge::new(plan.real_signatures));
        let mut chance = Prng::new(!seed);
        let mut violations = Vec::new();
        let founded = dctrl_ledger::genesis(&founding.genesis)
            .map(|applied| applied.changes)
            .unwrap_or_else(|refusals| {
                violations.extend(refusals.iter().map(ToString::to_string));
                Default::default()
            });
        let clocks = plan.cast.clocks.iter().enumerate();
        let nodes = clocks
            .map(|(seat, clock)| Node::new(&founding, founded.clone(), seat, *clock))
            .collect();
        let agents = (0..plan.machines)
            .map(|machine| Agent::new(&founding, machine, &mut chance))
            .collect();
        let again_every = chance.between(3, 40);
        let mut world = Self {
            executor: Executor::new(Rc::clone(&judge), again_every, plan.planted),
            network: Network::new(plan.nodes),
            market: Market::new(&plan, &mut chance),
            copayers: Copayers::new(&plan),
            checks: Checks::new(&founded, plan.nodes),
            judge,
            founding,
            chance,
            now: 0,
            agenda: Agenda::default(),
            nodes,
            agents,
            executed: BTreeMap::new(),
            requests: 0,
            passed: BTreeMap::new(),
            struck: Vec::new(),
            blow: Struck::NotYet,
            marks: Marks::default(),
            seen: Seen::default(),
            trace: Trace::default(),
            violations,
            steps: 0,
            actions: 0,
            seed,
            plan,
        };
        if world.violations.is_empty() {
            world.begin();
        }
        world
    }

    /// Puts all that the plan says into the agenda, and starts everyone.
    fn begin(&mut self) {
        if self.plan.real_signatures {
            self.seen.hit("real_signatures");
        }
        for failure in self.plan.failures.crashes.clone() {
            let (seat, fate) = (failure.seat, failure.fate);
            let for_good = failure.back_at.is_none();
            let crash = Happening::Crash {
                seat,
                fate,
                for_good,
            };
            self.agenda.plan(failure.at, crash);
            if let Some(back_at) = failure.back_at {
                let at = back_at.max(failure.at + 1);
                self.agenda.plan(at, Happening::Restart { seat });
            }
        }
        for (at, machine) in self.plan.agent_kills.clone() {
            self.agenda.plan(at, Happening::KillAgent { machine });
        }
        for (at, depth, drop) in self.plan.reorgs.clone() {
            self.agenda.plan(at, Happening::Reorganise { depth, drop });
        }
        self.agenda.plan(self.plan.heal_at, Happening::Heal);
        for seat in 0..self.plan.nodes {
            self.start_node(seat);
        }
        for machine in 0..self.plan.machines {
            let at = self.chance.below(200_000_000);
            let reboot = true;
            self.agenda
                .plan(at, Happening::StartAgent { machine, reboot });
        }
        self.open_market();
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        self.steps += 1;
        match happening {
            Happening::Deliver { from, to, parcel } => self.deliver(from, to, &parcel),
            Happening::Wake { seat, life } => self.wake(seat, life),
            Happening::Synced { seat, life } => self.synced(seat, life),
            Happening::Crash {
                seat,
                fate,
                for_good,
            } => self.crash(seat, fate, for_good),
            Happening::Restart { seat } => self.restart(seat),
            Happening::Notify { seat, life } => self.notify(seat, life),
            Happening::Hinted { seat, life, hint } => self.hinted(seat, life, hint),
            Happening::Frames {
                machine,
                life,
                frames,
            } => self.frames_come(machine, life, &frames),
            Happening::Replay {
                machine,
                life,
                seat,
                after,
            } => self.replay(machine, life, seat, after),
            Happening::Replayed {
                machine,
                life,
                seat,
                frames,
                covered,
                more,
            } => {
                if self.agents[machine].life == life {
                    self.agents[machine].ears.covers(seat, covered, !more);
                    self.frames_come(machine, life, &frames);
                    if more {
                        self.ask_on(machine, seat, covered);
                    }
                }
            }
            Happening::Handed {
                machine,
                seat,
                action,
            } => self.handed(machine, seat, &action),
            Happening::Tick { machine, life } => self.tick(machine, life),
            Happening::PulseOver { machine, life, end } => self.pulse_over(machine, life, end),
            Happening::KillAgent { machine } => self.kill_agent(machine),
            Happening::StartAgent { machine, reboot } => self.start_agent(machine, reboot),
            Happening::Mine => self.mine(),
            Happening::Reorganise { depth, drop } => self.reorganise(depth, drop),
            Happening::Buy { purchase } => self.buy(purchase),
            Happening::Rounds => self.rounds(),
            Happening::Copayers => self.copayers_look(),
            Happening::Heal => self.heal(),
        }
    }

    /// Whether faults may still strike.
    pub(super) fn stormy(&self) -> bool {
        self.plan.stormy && self.now < self.plan.heal_at
    }

    /// A process passes a named place: whether it dies there.
    pub(super) fn passes(&mut self, point: &'static str) -> bool {
        self.look_for_agent(point);
        let passed = self.passed.entry(point).or_default();
        *passed += 1;
        let here = Strike {
            point,
            passing: *passed,
        };
        let dies = self.plan.strikes.contains(&here);
        if dies {
            self.struck.push(point);
            self.trace.note(&[20, self.now], point.as_bytes());
        }
        dies
    }

    pub(super) fn violation(&mut self, what: String) {
        self.trace.note(&[9, self.now], what.as_bytes());
        self.violations.push(what);
    }

    pub(super) fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violation(what);
        }
    }

    /// A number that no other request has.
    pub(super) fn next_request(&mut self) -> u128 {
        self.requests += 1;
        self.requests
    }
}
