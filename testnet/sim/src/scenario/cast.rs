//! Who sits where: honest nodes, honest ones with a bad clock or disk, and liars.

use super::{MILLISECOND, SECOND, pick};
use crate::actors::Lie;
use crate::clock::{Clock, HONEST_OFFSET_MAX};
use crate::engine::Seat;
use crate::prng::Prng;

const YEAR: u64 = 365 * 86_400 * SECOND;

/// What one seat does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Follows the rules, with a clock within the honest range.
    Sound,
    /// Follows the rules, with a clock that is wrong. Counts among the faulty.
    BadClock,
    /// Follows the rules, but its disk will be lost or exchanged. Counts among
    /// the faulty.
    BadDisk,
    /// Follows the rules, and falls for good. Counts among the faulty.
    Mortal,
    /// Lies.
    Liar(Lie),
}

/// All seats of one run.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) parts: Vec<Part>,
    pub(crate) clocks: Vec<Clock>,
}

impl Cast {
    /// Gives up to `faulty` seats, which are f at most, a part that is not sound.
    pub(crate) fn of(chance: &mut Prng, nodes: usize, faulty: usize) -> Self {
        let mut parts = vec![Part::Sound; nodes];
        for _ in 0..faulty {
            let seat = pick(chance, nodes);
            if chance.chance(850) && parts[seat] == Part::Sound {
                parts[seat] = match chance.below(100) {
                    0..65 => Part::Liar(Lie::any(chance)),
                    65..78 => Part::BadClock,
                    78..92 => Part::BadDisk,
                    _ => Part::Mortal,
                };
            }
        }
        let clocks = parts.iter().map(|part| match part {
            Part::BadClock => bad_clock(chance),
            _ => sound_clock(chance),
        });
        let clocks = clocks.collect();
        Self { parts, clocks }
    }

    /// Gives up to `faulty` seats a part that is not sound, but none that lies
    /// to the core.
    pub(crate) fn followers(chance: &mut Prng, nodes: usize, faulty: usize) -> Self {
        let mut parts = vec![Part::Sound; nodes];
        for _ in 0..faulty {
            let seat = pick(chance, nodes);
            parts[seat] = match chance.below(100) {
                0..40 => Part::Sound,
                40..60 => Part::BadClock,
                60..85 => Part::BadDisk,
                _ => Part::Mortal,
            };
        }
        let clocks = parts.iter().map(|part| match part {
            Part::BadClock => bad_clock(chance),
            _ => sound_clock(chance),
        });
        let clocks = clocks.collect();
        Self { parts, clocks }
    }

    /// With so many more seats, which are sound.
    pub(crate) fn and_sound(mut self, chance: &mut Prng, more: usize) -> Self {
        for _ in 0..more {
            self.parts.push(Part::Sound);
            self.clocks.push(sound_clock(chance));
        }
        self
    }

    /// The seats that are not sound, one bit each.
    pub(crate) fn faulty(&self) -> u32 {
        let seats = self.parts.iter().enumerate();
        let faulty = seats.filter(|(_, part)| **part != Part::Sound);
        faulty.fold(0, |bits, (seat, _)| bits | 1 << seat)
    }

    /// f + 1 seats lie together, and the others are on one of two sides.
    pub(crate) fn colluding(chance: &mut Prng, nodes: usize) -> Self {
        let mut cast = Self::of(chance, nodes, 0);
        let first = pick(chance, nodes);
        let colluders: Vec<Seat> = (0..=(nodes - 1) / 3)
            .map(|offset| (first + offset) % nodes)
            .collect();
        let mut sides = 0_u32;
        let honest = (0..nodes).filter(|seat| !colluders.contains(seat));
        honest.step_by(2).for_each(|seat| sides |= 1 << seat);
        for seat in colluders {
            cast.parts[seat] = Part::Liar(Lie::Colluder(sides));
        }
        cast
    }

    /// The honest seats of one side, and the colluders, where liars tell two
    /// stories together; one bit a seat.
    pub(crate) fn sides(&self) -> Option<(u32, u32)> {
        let mut found = None;
        for (seat, part) in self.parts.iter().enumerate() {
            if let Part::Liar(Lie::Colluder(sides)) = part {
                let colluders = found.map_or(0, |(_, colluders)| colluders);
                found = Some((*sides, colluders | 1 << seat));
            }
        }
        found
    }

    /// Whether the seat follows the rules, whatever its clock and disk do.
    pub(crate) fn honest(&self, seat: Seat) -> bool {
        !matches!(self.parts[seat], Part::Liar(_))
    }

    /// Whether no clock is wrong, and nobody lies about the time.
    pub(crate) fn clocks_are_right(&self) -> bool {
        let wrong = [Part::BadClock, Part::Liar(Lie::TimestampSkewer)];
        !self.parts.iter().any(|part| wrong.contains(part))
    }

    /// Whether the seat knows what it signed: its disk is its own.
    pub(crate) fn remembers(&self, seat: Seat) -> bool {
        self.parts[seat] != Part::BadDisk
    }

    /// Whether the seat must come right in the end.
    pub(crate) fn sound(&self, seat: Seat) -> bool {
        self.parts[seat] == Part::Sound
    }
}

fn sound_clock(chance: &mut Prng) -> Clock {
    let most = if chance.chance(500) {
        0
    } else {
        HONEST_OFFSET_MAX
    };
    let off = chance.between(0, 2 * most.unsigned_abs());
    Clock::Off(off.cast_signed() - most)
}

fn bad_clock(chance: &mut Prng) -> Clock {
    let far = if chance.chance(500) {
        10 * YEAR
    } else {
        60 * SECOND
    };
    let by = chance.between(5 * SECOND, far);
    let at = chance.between(50 * MILLISECOND, SECOND);
    match chance.below(4) {
        0 => Clock::Off(by.cast_signed()),
        1 => Clock::Off(-by.cast_signed()),
        2 => Clock::SetBack { at, by },
        _ => Clock::Frozen { at },
    }
}
