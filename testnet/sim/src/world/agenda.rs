//! What is still to happen, in order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::network::Parcel;
use crate::disk::Fate;
use crate::engine::Seat;

/// One thing that is to happen.
#[derive(Debug)]
pub(super) enum Happening {
    Deliver {
        from: Seat,
        to: Seat,
        parcel: Rc<Parcel>,
    },
    /// Bytes of a liar leave it late.
    Depart {
        from: Seat,
        to: Seat,
        parcel: Rc<Parcel>,
    },
    Wake {
        seat: Seat,
        incarnation: u64,
    },
    /// A sync of the log up to this length ends.
    Synced {
        seat: Seat,
        incarnation: u64,
        through: usize,
        record: u64,
    },
    Submit {
        seat: Seat,
        number: u32,
    },
    /// A user tries again with this action.
    SubmitAgain {
        number: u32,
    },
    /// The first start of a node that was not there from the beginning.
    Start {
        seat: Seat,
    },
    Crash {
        seat: Seat,
        fate: Fate,
        for_good: bool,
    },
    Restart {
        seat: Seat,
    },
    QuorumLost,
    Heal,
}

#[derive(Debug)]
struct Due {
    time: u64,
    /// Breaks ties: first planned, first done.
    number: u64,
    happening: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest, because the heap gives the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.number).cmp(&(self.time, self.number))
    }
}

/// A queue of happenings by time.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Due>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, time: u64, happening: Happening) {
        self.planned += 1;
        let number = self.planned;
        self.heap.push(Due {
            time,
            number,
            happening,
        });
    }

    /// When the next thing happens.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|due| due.time)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Happening)> {
        self.heap.pop().map(|due| (due.time, due.happening))
    }
}
