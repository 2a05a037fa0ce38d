//! What is still to happen, in order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

#[derive(Debug)]
struct Due<H> {
    time: u64,
    /// Breaks ties: first planned, first done.
    number: u64,
    happening: H,
}

impl<H> PartialEq for Due<H> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<H> Eq for Due<H> {}

impl<H> PartialOrd for Due<H> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<H> Ord for Due<H> {
    /// The earliest is the greatest, because the heap gives the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.number).cmp(&(self.time, self.number))
    }
}

/// A queue of happenings by time.
#[derive(Debug)]
pub(crate) struct Agenda<H> {
    heap: BinaryHeap<Due<H>>,
    planned: u64,
}

impl<H> Default for Agenda<H> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }
}

impl<H> Agenda<H> {
    pub(crate) fn plan(&mut self, time: u64, happening: H) {
        self.planned += 1;
        let number = self.planned;
        self.heap.push(Due {
            time,
            number,
            happening,
        });
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|due| due.time)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, H)> {
        self.heap.pop().map(|due| (due.time, due.happening))
    }
}
