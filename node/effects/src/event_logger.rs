//! Keep a hash-chained copy of everything that the bus tells.
//!
//! One line of JSON for each frame, in the order of the ledger: the logger
//! holds the frames of a block until all of its leaves are there, so a hole
//! is seen at once and never written over. Each line carries the hash of the
//! line before it and its own; [`verify`] names the first line that is wrong,
//! or the segment that is missing. Where the nodes have forgotten frames before
//! the log had them, a line of its own says which blocks are missing, and why;
//! nothing else may be missing.
//!
//! The log is its own cursor: a restarted logger goes on after the last whole
//! line. A torn last line is what a power cut leaves and is cut off; any other
//! damage is reported, and nothing is appended to it.
//!
//! Deliberately absent: proof against somebody who rewrites the whole log.
//! Such a log contradicts the certificates that the nodes keep.

mod assemble;
mod entry;
mod logger;
mod segment;
mod verify;

pub use entry::{Entry, Gap};
pub use logger::{EventLoggerConfig, start};
pub use segment::{Log, LogError};
pub use verify::{Verified, VerifyError, verify};
