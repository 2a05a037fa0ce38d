//! Where an agent may die.

use dctrl_agent::crash::CRASH_POINTS;

use crate::random::Random;

/// Moments of a vend at which the agent is ended from outside, with how long
/// after the moment at most, milliseconds.
const BLOWS: [(&str, Moment, u64); 4] = [
    ("kill.after_payment", Moment::Payment, 1_200),
    ("kill.after_order", Moment::Order, 150),
    ("kill.in_pulse", Moment::PinHigh, 40),
    ("kill.after_pulse", Moment::PinLow, 60),
];

/// Points that are passed once in an incarnation: the machine is reset for them.
const OF_AN_INCARNATION: [&str; 2] = ["adopted", "begun"];

/// Points that only an order can lead to. The agent may be up before the
/// payment, since it cannot die there without it.
const OF_AN_ORDER: [&str; 6] = ["armed", "accept", "firing", "pulse", "settled", "receipt"];

/// When a blow is aimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The payment is out.
    Payment,
    /// The federation has issued the order.
    Order,
    /// The pin went high.
    PinHigh,
    /// And low again.
    PinLow,
}

/// How an agent dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// By itself, the so-many-th time that it comes to a crash point.
    Point { name: &'static str, visit: u64 },
    /// By kill -9, so long after a moment.
    Blow {
        name: &'static str,
        moment: Moment,
        after_ms: u64,
    },
}

/// The names of all steps.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let points = CRASH_POINTS.iter().copied();
    points.chain(BLOWS.iter().map(|(name, ..)| *name))
}

/// Whether an agent can come there. One that begins a file of its journal with
/// each record writes summaries and no lines; the others write lines.
pub(super) fn is_met_by(name: &str, begins_files: bool) -> bool {
    if name.contains("summary") {
        return begins_files;
    }
    !(begins_files && name.ends_with("_half_written"))
}

impl Step {
    /// The step of this name, at a moment that is drawn.
    pub(super) fn draw(name: &'static str, random: &mut Random) -> Self {
        match BLOWS.iter().find(|(blow, ..)| *blow == name) {
            Some((_, moment, longest_ms)) => Self::Blow {
                name,
                moment: *moment,
                after_ms: random.between(0, *longest_ms),
            },
            None => Self::Point {
                name,
                visit: random.between(1, visits_max(name)),
            },
        }
    }

    /// A point that the agent may die at in the recovery from another death.
    pub(super) fn again(begins_files: bool, random: &mut Random) -> Self {
        let names: Vec<&'static str> = CRASH_POINTS
            .iter()
            .copied()
            .filter(|name| is_met_by(name, begins_files))
            .collect();
        let name = *random.pick(&names);
        Self::draw(name, random)
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Point { name, .. } | Self::Blow { name, .. } => name,
        }
    }

    /// What the environment of the agent says of it.
    pub(super) fn armed(&self) -> Option<String> {
        match self {
            Self::Point { name, visit } => Some(format!("{name}@{visit}")),
            Self::Blow { .. } => None,
        }
    }

    /// Whether only a new incarnation comes there.
    pub(super) fn takes_a_reset(&self) -> bool {
        OF_AN_INCARNATION
            .iter()
            .any(|part| self.name().contains(part))
    }

    /// Whether it cannot be met before the vend is paid.
    pub(super) fn follows_the_payment(&self) -> bool {
        match self {
            Self::Point { name, .. } => OF_AN_ORDER.iter().any(|part| name.contains(part)),
            Self::Blow { .. } => true,
        }
    }
}

/// A new file begins with each record of a vend; an order may be told again
/// at the start, before the one that is meant.
fn visits_max(name: &str) -> u64 {
    if name.contains("summary") {
        3
    } else if name == "agent.order_received" {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_point_is_met_by_some_agent() {
        for name in names() {
            assert!(
                is_met_by(name, true) || is_met_by(name, false),
                "nobody comes to {name}"
            );
        }
        let points = names().filter(|name| name.starts_with("agent.")).count();
        assert_eq!(points, CRASH_POINTS.len());
    }

    #[test]
    fn a_step_of_an_order_waits_for_the_payment_and_one_of_the_start_does_not() {
        let mut random = Random::new(1);
        let mut step = |name| Step::draw(name, &mut random);
        assert!(step("agent.armed_half_written").follows_the_payment());
        assert!(step("agent.after_receipt_sent").follows_the_payment());
        assert!(!step("agent.after_journal_open").follows_the_payment());
        assert!(step("agent.after_begun_sync").takes_a_reset());
        assert!(!step("agent.after_armed_sync").takes_a_reset());
    }
}
