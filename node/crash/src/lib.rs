//! Name the places where a test may stop a process.
//!
//! Every write of ours to a disk is surrounded by crash points, and each crate
//! lists its own in `CRASH_POINTS`. A variable in the environment chooses one:
//!
//! | `DCTRL_CRASH` | then |
//! | --- | --- |
//! | `NAME` | the process aborts when it first comes to that place, as if the power had gone |
//! | `NAME@K` | it aborts at the K-th visit, from 1 |
//! | `NAME!eio`, `NAME@K!enospc` | the write there fails so, where it can fail at all (a point that is passed with [`fallible`]) |
//! | `NAME!hang` | the thread that comes there never goes on, as where a device does not answer |
//!
//! A torn point ([`torn`]) writes half of what is to be written before it dies.
//! With `DCTRL_CRASH_VISITS=FILE` the process adds the name of each point to
//! that file when it first comes there, so that a campaign knows which ones its
//! load passes.
//!
//! Without the variables a crash point costs one relaxed load.
//!
//! Deliberately absent: the lists themselves, which stand beside the writes
//! that they name; and any use in the pure crates, which write nothing.

mod plan;

use std::collections::BTreeSet;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use plan::{Fate, Plan};

/// Nobody has looked at the environment yet.
const UNKNOWN: u8 = 0;
/// Nothing is asked of any point.
const OFF: u8 = 1;
/// Each visit is counted.
const ON: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);
static PLAN: OnceLock<Plan> = OnceLock::new();

/// Dies here if that was asked for.
#[inline]
pub fn point(name: &str) {
    if MODE.load(Ordering::Relaxed) == OFF {
        return;
    }
    match visit(name) {
        Fate::Dies => die(name),
        Fate::Hangs => hang(name),
        Fate::Lives | Fate::Fails(_) => {}
    }
}

/// Does half of a write and dies, if that was asked for.
#[inline]
pub fn torn(name: &str, half: impl FnOnce()) {
    if MODE.load(Ordering::Relaxed) != OFF && visit(name) == Fate::Dies {
        half();
        die(name);
    }
}

/// Dies here, or fails as a disk does, if either was asked for.
///
/// # Errors
/// The one that was asked for.
#[inline]
pub fn fallible(name: &str) -> io::Result<()> {
    if MODE.load(Ordering::Relaxed) == OFF {
        return Ok(());
    }
    match visit(name) {
        Fate::Lives => Ok(()),
        Fate::Fails(code) => Err(io::Error::from_raw_os_error(code)),
        Fate::Dies => die(name),
        Fate::Hangs => hang(name),
    }
}

/// Begins to note which points are visited: for tests, in their own process.
pub fn record() {
    plan().record();
    MODE.store(ON, Ordering::Relaxed);
}

/// The points that were visited since [`record`].
#[must_use]
pub fn visited() -> BTreeSet<String> {
    plan().visited()
}

fn plan() -> &'static Plan {
    PLAN.get_or_init(Plan::from_environment)
}

#[cold]
fn visit(name: &str) -> Fate {
    let plan = plan();
    if !plan.is_wanted() {
        MODE.store(OFF, Ordering::Relaxed);
        return Fate::Lives;
    }
    MODE.store(ON, Ordering::Relaxed);
    plan.visit(name)
}

fn hang(name: &str) -> ! {
    eprintln!("the thread stays at the crash point {name}, as it was asked to");
    loop {
        std::thread::park();
    }
}

fn die(name: &str) -> ! {
    eprintln!("the process stops at the crash point {name}, as it was asked to");
    std::process::abort()
}
