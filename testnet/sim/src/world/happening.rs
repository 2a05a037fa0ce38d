//! All that can happen.

use std::rc::Rc;

use crate::disk::Fate;
use crate::engine::Seat;
use crate::network::Parcel;

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
