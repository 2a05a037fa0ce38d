//! Schedules from seeds.

use dctrl_agent::crash::CRASH_POINTS;

use super::{Fault, Round, Schedule, Theme, Timed};
use crate::{
    chaos::{
        nets::Way,
        relay::Link,
        volume::Keep,
        weather::{Passage, Weather},
    },
    random::Random,
};

/// How long a heal takes at least when rounds are counted, milliseconds: a
/// campaign ends by its time, and must not run out of rounds before.
const HEAL_MS: u64 = 500;

/// Shortest and longest round, milliseconds.
const ROUND_MS: (u64, u64) = (6_000, 20_000);

/// Longest that a node stays down, milliseconds.
const DOWN_MS_MAX: u64 = 1_500;

/// Most of the links' faults of one round.
const LINK_FAULTS_MAX: u64 = 3;

impl Schedule {
    /// The schedule of this seed for so many nodes and minutes.
    pub(crate) fn draw(
        seed: u64,
        nodes: usize,
        minutes: u64,
        theme: Theme,
        means: &Means<'_>,
    ) -> Self {
        let mut random = Random::part(seed, "schedule");
        let mut rounds = Vec::new();
        let mut planned_ms = 0;
        while planned_ms < minutes * 60_000 && rounds.len() < super::ROUNDS_MAX {
            let mut drawing = Drawing {
                random: &mut random,
                nodes,
                means,
                length_ms: 0,
                faults: Vec::new(),
            };
            let round = drawing.round(theme);
            planned_ms += round.length_ms + HEAL_MS;
            rounds.push(round);
        }
        Self {
            seed,
            nodes,
            rounds,
        }
    }
}

/// What a machine and its programs allow.
pub(crate) struct Means<'m> {
    /// Disks may fail and lose power.
    pub(crate) disks: bool,
    /// Each node has a cable of its own.
    pub(crate) nets: bool,
    /// Named places of the node.
    pub(crate) places: &'m [String],
}

struct Drawing<'r> {
    random: &'r mut Random,
    nodes: usize,
    means: &'r Means<'r>,
    length_ms: u64,
    faults: Vec<Timed>,
}

impl Drawing<'_> {
    fn round(&mut self, theme: Theme) -> Round {
        self.length_ms = self.random.between(ROUND_MS.0, ROUND_MS.1);
        match theme {
            Theme::Mixed => self.mixed(),
            Theme::Kills => {
                self.deaths(90, false);
                self.crash_point();
                self.machine();
                if self.random.chance(50) {
                    self.links();
                }
            }
            Theme::PowerCuts => {
                self.deaths(90, self.means.disks);
                self.machine();
                if self.random.chance(30) {
                    self.links();
                }
            }
            Theme::Soak => {
                self.length_ms = 60_000;
                let for_ms = self.random.between(10_000, 40_000);
                self.add(Fault::Flood { for_ms });
                self.slow_links();
            }
        }
        // Without cables nothing is drawn, so that those seeds stay as they are.
        if self.means.nets && theme != Theme::Soak && self.random.chance(50) {
            self.cable();
        }
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|timed| timed.at_ms);
        Round {
            length_ms: self.length_ms,
            faults,
        }
    }

    fn mixed(&mut self) {
        if self.random.chance(70) {
            let power = self.means.disks && self.random.chance(50);
            self.deaths(40, power);
        }
        if self.random.chance(60) {
            self.links();
        }
        if self.random.chance(60) {
            self.machine();
        }
        if self.random.chance(30) {
            self.freeze();
        }
        if self.random.chance(15) {
            for node in self.random.some((self.nodes - 1) / 3, self.nodes) {
                self.add(Fault::Wipe { node });
            }
        }
        if self.random.chance(40) {
            self.crash_point();
        }
        if self.means.disks && self.random.chance(40) {
            self.disk();
        }
        if self.random.chance(10) {
            let for_ms = self.random.between(2_000, 6_000);
            self.add(Fault::Flood { for_ms });
        }
    }

    /// Nodes die and come back, so that each dies about every `pace` / 30 s.
    fn deaths(&mut self, pace: u64, power: bool) {
        let count = (self.length_ms * pace / 100_000).max(1);
        for _ in 0..count {
            let many = match self.random.below(10) {
                0..=4 => 1,
                5..=7 => 2.max((self.nodes - 1) / 3),
                _ => self.nodes,
            };
            let nodes = self.random.some(many, self.nodes);
            let down_ms = self.random.below(DOWN_MS_MAX);
            let keep = self.keep();
            self.add(if power {
                Fault::PowerCut {
                    nodes,
                    down_ms,
                    keep,
                }
            } else {
                Fault::Kill { nodes, down_ms }
            });
        }
    }

    fn crash_point(&mut self) {
        if self.means.places.is_empty() {
            return;
        }
        let node = self.random.index(self.nodes);
        let place = self.random.pick(self.means.places).clone();
        let late = if self.random.chance(70) { 3 } else { 30 };
        let hit = u32::try_from(self.random.between(1, late)).unwrap_or(1);
        self.add(Fault::CrashPoint { node, place, hit });
    }

    fn keep(&mut self) -> Keep {
        *self.random.pick(&[
            Keep::Nothing,
            Keep::Nothing,
            Keep::Prefix,
            Keep::Prefix,
            Keep::Torn,
        ])
    }

    fn machine(&mut self) {
        let down_ms = self.random.below(3_000);
        let keep = self.keep();
        let fault = match self.random.below(8) {
            0..=2 => Fault::KillAgent { down_ms },
            3 => Fault::FreezeAgent {
                for_ms: self.random.between(200, self.length_ms),
            },
            4 if self.means.disks => Fault::AgentPowerCut { down_ms, keep },
            _ => Fault::AgentCrashPoint {
                place: (*self.random.pick(CRASH_POINTS)).to_owned(),
            },
        };
        self.add(fault);
    }

    fn freeze(&mut self) {
        let many = self.random.between(1, (self.nodes as u64 - 1) / 3);
        // A long one now and then; it makes its round longer.
        let for_ms = if self.random.chance(10) {
            self.length_ms = super::FREEZE_MS_MAX + 1_000;
            super::FREEZE_MS_MAX
        } else {
            self.random.between(200, 8_000)
        };
        for node in self
            .random
            .some(usize::try_from(many).unwrap_or(1), self.nodes)
        {
            self.faults.push(Timed {
                at_ms: self.random.below(500),
                fault: Fault::Freeze { node, for_ms },
            });
        }
    }

    fn cable(&mut self) {
        let node = self.random.index(self.nodes);
        let way = *self.random.pick(&[Way::Both, Way::Out, Way::In]);
        let for_ms = self.random.between(500, self.length_ms);
        self.add(Fault::Cable { node, way, for_ms });
    }

    fn disk(&mut self) {
        let node = self.random.index(self.nodes);
        let for_ms = self.random.between(1_000, 5_000);
        let sync_ms = self.random.between(5, 300);
        let fault = match self.random.below(4) {
            0 => Fault::DiskFull { node, for_ms },
            1 => Fault::DiskError { node, for_ms },
            _ => Fault::DiskSlow {
                node,
                sync_ms,
                for_ms,
            },
        };
        self.add(fault);
    }

    fn links(&mut self) {
        for _ in 0..self.random.between(1, LINK_FAULTS_MAX) {
            let links = self.chosen_links();
            let for_ms = self.random.between(500, self.length_ms);
            if self.random.chance(15) {
                self.add(Fault::Reset { links });
                continue;
            }
            let weather = self.weather();
            let flicker_ms = if self.random.chance(25) {
                self.random.between(50, 1_000)
            } else {
                0
            };
            self.add(Fault::Links {
                links,
                weather,
                flicker_ms,
                for_ms,
            });
        }
    }

    /// Only what slows: for measurements over time.
    fn slow_links(&mut self) {
        let links = self.chosen_links();
        let for_ms = self.random.between(5_000, 20_000);
        let weather = Weather {
            delay_ms: self.random.below(40),
            jitter_ms: self.random.below(40),
            ..Weather::default()
        };
        self.add(Fault::Links {
            links,
            weather,
            flicker_ms: 0,
            for_ms,
        });
    }

    fn weather(&mut self) -> Weather {
        match self.random.below(8) {
            0 | 1 => Weather {
                delay_ms: self.random.below(300),
                jitter_ms: self.random.below(200),
                ..Weather::default()
            },
            2 => Weather {
                rate: self.random.between(2_000, 200_000),
                ..Weather::default()
            },
            3 => Weather {
                flip_every: self.random.between(200, 5_000),
                ..Weather::default()
            },
            4 | 5 => Weather::closed(Passage::Stalled),
            6 => Weather::closed(Passage::Swallowed),
            _ => Weather::closed(Passage::Refused),
        }
    }

    /// A partition, in both directions or in one; or some links of anybody.
    fn chosen_links(&mut self) -> Vec<Link> {
        let parties = self.nodes + 2;
        let all = (0..parties).flat_map(|from| (0..parties).map(move |to| (from, to)));
        let all: Vec<Link> = all.filter(|(from, to)| from != to).collect();
        match self.random.below(3) {
            0 => {
                let some = self.random.between(1, 8);
                let some = usize::try_from(some).unwrap_or(1);
                let chosen = self.random.some(some, all.len());
                chosen.into_iter().map(|at| all[at]).collect()
            }
            kind => {
                let size = self.random.between(1, self.nodes as u64 / 2);
                let island = self
                    .random
                    .some(usize::try_from(size).unwrap_or(1), self.nodes);
                let inside = |party: &usize| island.contains(party);
                let both = kind == 1;
                let crosses = |(from, to): &Link| {
                    inside(from) && !inside(to) || both && inside(to) && !inside(from)
                };
                all.into_iter().filter(crosses).collect()
            }
        }
    }

    fn add(&mut self, fault: Fault) {
        let at_ms = self.random.below(self.length_ms);
        self.faults.push(Timed { at_ms, fault });
    }
}
