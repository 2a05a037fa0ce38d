//! Each frame once, and in order within its topic.
//!
//! Pure: verified frames go in, in any order and any number of times; frames
//! come out in the order of their topic. A frame whose predecessor is missing
//! is held until the predecessor comes.

use std::collections::{BTreeMap, VecDeque};

use crate::position::{Position, Verified};

/// Most frames held while their predecessors are missing.
pub const HELD_FRAMES_MAX: usize = 4096;
/// Most bytes of frames held.
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most topics that are followed at once; certified topics grow only with the
/// ledger's machines and currencies.
const TOPICS_MAX: usize = 100_000;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Handed out, with all that waited for it.
    Ready,
    /// Held; `first` where it is the first of its topic to be held.
    Held {
        /// No frame of its topic was held before.
        first: bool,
    },
    /// Handed out or held before.
    Duplicate,
    /// Too much is held already: it must be asked for again.
    NoRoom,
}

/// The order of every topic.
#[derive(Debug)]
pub struct Sequencer {
    after: Position,
    last: BTreeMap<String, Position>,
    held: BTreeMap<String, BTreeMap<Position, Verified>>,
    held_frames: usize,
    held_bytes: usize,
}

impl Sequencer {
    /// Frames up to and including `after` count as handed out.
    #[must_use]
    pub fn new(after: Position) -> Self {
        Self {
            after,
            last: BTreeMap::new(),
            held: BTreeMap::new(),
            held_frames: 0,
            held_bytes: 0,
        }
    }

    /// The last position of `topic` that was handed out.
    #[must_use]
    pub fn last(&self, topic: &str) -> Position {
        self.last.get(topic).copied().unwrap_or(self.after)
    }

    /// The last missing predecessor in `topic`, where one is known to be.
    pub fn missing(&self, topic: &str) -> Option<Position> {
        let (_, first) = self.held.get(topic)?.first_key_value()?;
        Some(Position::before(&first.body))
    }

    /// Of the topics in which a predecessor is missing, the height of the
    /// oldest that is known to be.
    pub fn oldest_missing(&self) -> Option<u64> {
        let firsts = self.held.values().filter_map(BTreeMap::first_key_value);
        firsts.map(|(_, frame)| frame.body.previous_height).min()
    }

    /// Frames up to and including `to` count as handed out from now on; what
    /// was held for want of them is added to `ready`.
    pub fn skip(&mut self, to: Position, ready: &mut VecDeque<Verified>) {
        self.after = self.after.max(to);
        self.last.retain(|_, last| *last > to);
        let topics: Vec<String> = self.held.keys().cloned().collect();
        for topic in topics {
            self.release(&topic, ready);
        }
    }

    /// The topics in which a predecessor is missing.
    pub fn gaps(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(String::as_str)
    }

    /// Whether a predecessor is missing anywhere.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        !self.held.is_empty()
    }

    /// Puts a frame in its place; what became ready is added to `ready`.
    pub fn place(&mut self, frame: Verified, ready: &mut VecDeque<Verified>) -> Placed {
        let topic = frame.body.topic.clone();
        let last = self.last(&topic);
        if frame.position <= last {
            return Placed::Duplicate;
        }
        if Position::before(&frame.body) > last {
            return self.hold(topic, frame);
        }
        if self.last.len() >= TOPICS_MAX && !self.last.contains_key(&topic) {
            return Placed::NoRoom;
        }
        self.last.insert(topic.clone(), frame.position);
        ready.push_back(frame);
        self.release(&topic, ready);
        Placed::Ready
    }

    fn hold(&mut self, topic: String, frame: Verified) -> Placed {
        let bytes = size(&frame);
        let waiting = self.held.get(&topic);
        if waiting.is_some_and(|waiting| waiting.contains_key(&frame.position)) {
            return Placed::Duplicate;
        }
        if self.held_frames >= HELD_FRAMES_MAX || self.held_bytes + bytes > HELD_BYTES_MAX {
            return Placed::NoRoom;
        }
        let first = waiting.is_none();
        self.held_frames += 1;
        self.held_bytes += bytes;
        self.held
            .entry(topic)
            .or_default()
            .insert(frame.position, frame);
        Placed::Held { first }
    }

    /// Hands out the held frames of `topic` that now follow on.
    fn release(&mut self, topic: &str, ready: &mut VecDeque<Verified>) {
        let Some(waiting) = self.held.get_mut(topic) else {
            return;
        };
        let mut last = self.last.get(topic).copied().unwrap_or(self.after);
        while let Some(entry) = waiting.first_entry() {
            let is_next = Position::before(&entry.get().body) <= last;
            if *entry.key() > last && !is_next {
                break;
            }
            let frame = entry.remove();
            self.held_frames -= 1;
            self.held_bytes -= size(&frame);
            if frame.position > last {
                last = frame.position;
                ready.push_back(frame);
            }
        }
        if waiting.is_empty() {
            self.held.remove(topic);
        }
        self.last.insert(topic.to_owned(), last);
    }
}

fn size(frame: &Verified) -> usize {
    // The body is kept encoded and decoded.
    2 * frame.frame.body.len() + frame.frame.certificate.len()
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::{BusBody, BusFrame};

    use super::*;

    fn at(height: u64) -> Position {
        Position {
            height,
            sub_index: 0,
        }
    }

    fn frame(topic: &str, previous: u64, height: u64) -> Verified {
        Verified {
            position: at(height),
            body: BusBody {
                topic: topic.to_owned(),
                height,
                previous_height: previous,
                ..BusBody::default()
            },
            frame: BusFrame::default(),
            roster: 0,
            superseded: false,
        }
    }

    fn run(after: u64, frames: &[(&str, u64, u64)]) -> (Vec<(String, u64)>, Sequencer) {
        let mut sequencer = Sequencer::new(at(after));
        let mut ready = VecDeque::new();
        for (topic, previous, height) in frames {
            sequencer.place(frame(topic, *previous, *height), &mut ready);
        }
        let out = ready
            .into_iter()
            .map(|frame| (frame.body.topic, frame.position.height))
            .collect();
        (out, sequencer)
    }

    fn heights(out: &[(String, u64)]) -> Vec<u64> {
        out.iter().map(|(_, height)| *height).collect()
    }

    #[test]
    fn a_frame_is_handed_out_once() {
        let (out, _) = run(0, &[("a", 0, 1), ("a", 0, 1), ("a", 1, 2), ("a", 0, 1)]);
        assert_eq!(heights(&out), [1, 2]);
    }

    #[test]
    fn a_hole_holds_back_its_topic_alone() {
        let (out, sequencer) = run(0, &[("a", 0, 1), ("a", 2, 3), ("b", 0, 4), ("a", 3, 5)]);
        assert_eq!(heights(&out), [1, 4]);
        assert_eq!(sequencer.gaps().collect::<Vec<_>>(), ["a"]);
        assert_eq!(sequencer.last("a"), at(1));
    }

    #[test]
    fn what_was_held_follows_its_predecessor_in_order() {
        let (out, sequencer) = run(0, &[("a", 3, 5), ("a", 2, 3), ("a", 0, 2)]);
        assert_eq!(heights(&out), [2, 3, 5]);
        assert!(!sequencer.has_gaps());
        assert_eq!(sequencer.held_frames, 0);
        assert_eq!(sequencer.held_bytes, 0);
    }

    #[test]
    fn frames_up_to_the_start_count_as_handed_out() {
        let (out, _) = run(10, &[("a", 3, 7), ("a", 7, 11), ("b", 2, 12)]);
        assert_eq!(heights(&out), [11, 12]);
    }

    #[test]
    fn what_was_held_for_want_of_skipped_frames_comes_in_order() {
        let (mut out, mut sequencer) = (VecDeque::new(), Sequencer::new(at(0)));
        for (topic, previous, height) in [("a", 4, 7), ("a", 7, 9), ("b", 3, 5), ("c", 8, 9)] {
            sequencer.place(frame(topic, previous, height), &mut out);
        }
        assert_eq!(sequencer.oldest_missing(), Some(3));
        sequencer.skip(at(6), &mut out);
        let heights: Vec<u64> = out.iter().map(|frame| frame.position.height).collect();
        assert_eq!(heights, [7, 9], "what stands before is left out");
        assert_eq!(sequencer.oldest_missing(), Some(8));
        assert_eq!(sequencer.last("b"), at(6));
        assert_eq!(
            sequencer.place(frame("b", 3, 5), &mut out),
            Placed::Duplicate
        );
    }

    #[test]
    fn no_more_frames_are_held_than_the_limit() {
        let mut sequencer = Sequencer::new(Position::default());
        let mut ready = VecDeque::new();
        for height in 0..HELD_FRAMES_MAX as u64 {
            sequencer.place(frame("a", height + 1, height + 2), &mut ready);
        }
        let placed = sequencer.place(frame("a", 9_999, 10_000), &mut ready);
        assert_eq!(placed, Placed::NoRoom);
    }
}
