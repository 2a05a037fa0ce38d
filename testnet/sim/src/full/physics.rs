//! What a motor does with a can, and what a sensor says about it.

use super::agent::PULSE_MS;
use crate::prng::Prng;
use crate::scenario::MILLISECOND;

/// How long the agent waits for the drop sensor, milliseconds.
const SENSOR_WAIT_MS: u64 = 1_500;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// Nothing falls.
    Jam,
    /// The can falls when nobody looks any more.
    LateDrop,
    /// Nothing falls, and the sensor says that it did.
    StuckSensor,
    /// Two cans fall.
    DoubleDrop,
    /// The power goes in the middle of the pulse.
    PowerLoss,
}

/// One pulse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Motion {
    pub(super) trouble: Trouble,
    /// Cans that fall, now or later.
    pub(super) cans: u64,
    /// What the sensor says when the agent asks.
    pub(super) seen: bool,
    /// How long the agent is busy with it, nanoseconds.
    pub(super) takes: u64,
}

impl Motion {
    /// Nothing falls, and the sensor sees nothing.
    pub(super) fn jam() -> Self {
        Self {
            trouble: Trouble::Jam,
            cans: 0,
            seen: false,
            takes: (u64::from(PULSE_MS) + SENSOR_WAIT_MS) * MILLISECOND,
        }
    }

    pub(super) fn of(chance: &mut Prng, trouble_per_mille: u64) -> Self {
        let trouble = if chance.chance(trouble_per_mille) {
            match chance.below(5) {
                0 => Trouble::Jam,
                1 => Trouble::LateDrop,
                2 => Trouble::StuckSensor,
                3 => Trouble::DoubleDrop,
                _ => Trouble::PowerLoss,
            }
        } else {
            Trouble::None
        };
        let (cans, seen) = match trouble {
            Trouble::None => (1, true),
            Trouble::Jam => (0, false),
            Trouble::LateDrop => (1, false),
            Trouble::StuckSensor => (0, true),
            Trouble::DoubleDrop => (2, true),
            Trouble::PowerLoss => (u64::from(chance.chance(500)), true),
        };
        let seen = seen && (trouble != Trouble::PowerLoss || cans > 0);
        let wait = if seen {
            chance.between(50, 400)
        } else {
            SENSOR_WAIT_MS
        };
        let takes = match trouble {
            Trouble::PowerLoss => u64::from(PULSE_MS) / 2,
            _ => u64::from(PULSE_MS) + wait,
        };
        Self {
            trouble,
            cans,
            seen,
            takes: takes * MILLISECOND,
        }
    }
}
