//! The phases of a run, and what must be true at the end of each.

use dctrl_consensus::{Profile, Summary};

use super::World;
use crate::app::App;
use crate::checks::Bounds;
use crate::engine::{Effect, Engine, Seat, Stimulus};
use crate::marks::Mark;
use crate::scenario::{SECOND, Theme};

/// Steps of one run at most: the bound of the simulator's own loop.
const STEPS_MAX: u64 = 3_000_000;
/// How long sound nodes may take to come right after the healing.
const PATIENCE: u64 = 60 * SECOND;
/// How often a federation may be found busy with what liars bring up late.
const QUIET_TRIES: u32 = 6;
/// Steps between two looks at all nodes.
const LOOK_EVERY: u64 = 64;
/// Rounds within which an action must be ordered after the network is whole and
/// its node has sent it out in an event.
const ROUNDS_TO_HEAL: u64 = 12;
/// The same in layers, of which two make a round.
const LAYERS_TO_HEAL: u64 = 2 * ROUNDS_TO_HEAL;

impl World {
    pub(super) fn run_phases(&mut self) {
        if self.too_many_lie() {
            return self.check_detection();
        }
        self.until_settled();
        if self.violations.is_empty() {
            self.check_settled();
        }
        if self.violations.is_empty() {
            self.check_quiet();
        }
        if self.violations.is_empty() {
            self.check_replay();
        }
    }

    fn until_settled(&mut self) {
        let patience = self.scenario.heal_at + PATIENCE;
        let mut steps = 0;
        while let Some((time, happening)) = self.agenda.pop() {
            steps += 1;
            self.now = time;
            self.happen(happening);
            let look = steps % LOOK_EVERY == 0;
            if look {
                self.check_bounds();
            }
            let healed = self.now >= self.scenario.heal_at;
            if !self.violations.is_empty() || (healed && look && self.settled()) {
                return;
            }
            if self.now > patience || steps > STEPS_MAX {
                let after = self.now.saturating_sub(self.scenario.heal_at) / 1_000_000;
                let progress = self.progress();
                return self.violation(format!("not settled {after} ms after healing: {progress}"));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        if self.scenario.theme == Theme::QuorumLost {
            let events = self.graph_events();
            let result = self.bounds.still_lost(&events);
            self.check(result);
            self.marks.hit(Mark::Resumed);
        }
        self.healed_round = self.highest_round();
        self.healed_layers = self.layers();
        self.healed_epoch = self.epoch;
        self.healed_blocks = self.order.len();
    }

    pub(super) fn quorum_lost(&mut self) {
        self.marks.hit(Mark::QuorumLost);
        let events = self.graph_events();
        self.bounds.quorum_lost(events);
    }

    fn summary(&self, seat: Seat) -> Option<Summary> {
        self.nodes[seat].engine().map(Engine::summary)
    }

    fn graph_events(&self) -> Vec<Option<usize>> {
        let held = |seat| self.summary(seat).map(|summary| summary.events);
        (0..self.scenario.seats).map(held).collect()
    }

    pub(super) fn highest_round(&self) -> u64 {
        let rounds = self.honest().filter_map(|seat| self.summary(seat));
        rounds.map(|summary| summary.round).max().unwrap_or(0)
    }

    /// The layer of each node's last own event.
    fn layers(&self) -> Vec<u64> {
        (0..self.scenario.seats)
            .map(|seat| self.layer(seat))
            .collect()
    }

    pub(super) fn layer(&self, seat: Seat) -> u64 {
        let summary = self.summary(seat);
        summary.and_then(|summary| summary.layer).unwrap_or(0)
    }

    fn check_bounds(&mut self) {
        let summaries: Vec<(Seat, Summary)> = self
            .honest()
            .filter_map(|seat| Some((seat, self.summary(seat)?)))
            .collect();
        let layers = summaries.iter().filter_map(|(_, summary)| summary.layer);
        let layer = layers.max().unwrap_or(0).max(self.highest_layer);
        self.highest_layer = layer;
        for (seat, summary) in &summaries {
            if summary.orphan_events > 0 {
                self.marks.hit(Mark::Orphans);
            }
            if summary.coin_tosses > 0 {
                self.marks.hit(Mark::CoinTossed);
            }
            let limits = &self.setting.limits;
            let result = Bounds::check(*seat, summary, limits, layer);
            self.check(result);
        }
    }

    /// Whether all sound nodes have all that was submitted to them, and no
    /// block waits for anything.
    fn settled(&self) -> bool {
        let all = self.order.len();
        let at_rest = |seat: Seat| {
            self.summary(seat).is_some_and(|summary| {
                summary.executed == all
                    && summary.final_index == all
                    && (summary.pool_transactions == 0 || !summary.member)
            })
        };
        self.sound().all(at_rest)
            && self
                .waiting
                .iter()
                .all(|one| self.order.block_of(one.number).is_some())
    }

    fn check_settled(&mut self) {
        let mut found = Vec::new();
        for index in 1..=self.finality.last() {
            for seat in self.sound() {
                if self.order.hash(seat, index) != self.finality.header(index) {
                    found.push(format!("block {index} was final, and {seat} has another"));
                }
            }
        }
        let patience = match self.setting.ordering.profile {
            Profile::Classic => ROUNDS_TO_HEAL,
            Profile::Layered => LAYERS_TO_HEAL,
        };
        // Rounds begin anew with an epoch.
        let same_epoch = self.epoch == self.healed_epoch;
        for one in self.waiting.iter().filter(|_| same_epoch) {
            let block = self.order.block_of(one.number).unwrap_or(0);
            let round = self.order.round(block).unwrap_or(0);
            let carried = self.carried.get(&one.number).copied().unwrap_or(0);
            let begin = carried.max(self.healed_round);
            if block > self.healed_blocks && round > begin + patience {
                let (number, after) = (one.number, round - begin);
                found.push(format!("action {number} came after {after} rounds"));
            }
        }
        let due = self.forks.due(&self.healed_layers, &self.layers());
        for liar in due.into_iter().filter(|_| self.epoch == 0) {
            // Evidence is sent on once, and the network may lose that; but it
            // must be somewhere.
            let known = |seat: Seat| {
                let forked = self.summary(seat).map(|summary| summary.forked);
                let forked = forked.unwrap_or_default();
                forked.iter().any(|forked| forked.position() == liar)
            };
            if !self.sound().any(known) {
                found.push(format!("nobody has evidence against forker {liar}"));
            }
        }
        found.into_iter().for_each(|what| self.violation(what));
    }

    /// Once all is ordered, nobody makes another event. What a node with a fast
    /// clock made is taken when its time has come, and wakes the others then.
    fn check_quiet(&mut self) {
        if !self.scenario.cast.clocks_are_right() {
            return;
        }
        for _ in 0..QUIET_TRIES {
            // What was under way may still arrive and be answered.
            self.run_until(self.now + 4 * SECOND);
            let (before, blocks) = (self.own_events(), self.order.len());
            self.run_until(self.now + 6 * SECOND);
            if self.own_events() == before {
                return;
            }
            // A liar may have let something be known only now.
            if self.order.len() == blocks {
                break;
            }
        }
        self.violation("an idle federation makes events".to_owned());
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while self.agenda.next_at().is_some_and(|time| time <= end) {
            if let Some((time, happening)) = self.agenda.pop() {
                self.now = time;
                self.happen(happening);
            }
        }
        self.now = end;
    }

    /// How many events each sound node has made.
    fn own_events(&self) -> Vec<Option<u64>> {
        let made = |seat: Seat| {
            let summary = self.summary(seat)?;
            let me = self.rosters.index(summary.epoch, seat)?;
            summary.known[me.position()]
        };
        self.sound().map(made).collect()
    }

    /// Every log leads to the same blocks and states when it is read from the
    /// beginning, as if nothing had ever been executed.
    fn check_replay(&mut self) {
        for seat in self.sound().collect::<Vec<_>>() {
            if let Err(what) = self.replay(seat) {
                self.violation(format!("replay of node {seat}: {what}"));
            }
        }
    }

    fn replay(&self, seat: Seat) -> Result<(), String> {
        let node = &self.nodes[seat];
        let recovered = node.recover(&self.setting);
        let date = node.date(self.now);
        // What was pruned, or fetched as blocks, is in no log: then the last
        // state is the beginning.
        let whole = self.epoch == 0 && !recovered.pruned && !node.fetched;
        let mut app = if whole {
            App::genesis(&self.setting)
        } else {
            recovered.app
        };
        let (records, header) = (recovered.records, app.last_header.clone());
        let restored = Engine::restore(&self.setting, seat, records, header, date);
        let (mut engine, mut effects) = restored.map_err(|error| error.to_string())?;
        while let Some(block) = next_block(&effects)? {
            let outcome = app.execute(&self.setting, block);
            let index = block.index;
            effects = engine.step(date, Stimulus::Executed { index, outcome });
        }
        let (before, after) = (self.summary(seat), engine.summary());
        let same = before
            .is_some_and(|before| (before.epoch, before.executed) == (after.epoch, after.executed));
        if same && app == node.app {
            Ok(())
        } else {
            Err(format!("reached block {} and another state", app.index()))
        }
    }

    fn progress(&self) -> String {
        let missing = |seat: Seat| {
            let unordered = |one: &&super::Waiting| {
                one.seat == seat && self.order.block_of(one.number).is_none()
            };
            self.waiting.iter().filter(unordered).count()
        };
        let line = |seat: Seat| {
            let (missing, summary) = (missing(seat), self.summary(seat));
            format!("\n  {seat}: {missing} actions missing, {summary:?}")
        };
        let blocks = self.order.len();
        let lines: String = self.sound().map(line).collect();
        format!("{blocks} blocks are known{lines}")
    }
}

fn next_block(effects: &[Effect]) -> Result<Option<&dctrl_consensus::Block>, String> {
    let mut next = None;
    for effect in effects {
        match effect {
            Effect::Execute(block) => next = Some(block),
            Effect::Diverged(index) => return Err(format!("diverged at block {index}")),
            _ => {}
        }
    }
    Ok(next)
}
