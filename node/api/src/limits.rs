//! The bounds of the API: each named, with its unit and reason.

use std::time::Duration;

/// Longest request message, bytes; an action is at most 64 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Open requests on one connection.
pub(crate) const STREAMS_PER_CONNECTION_MAX: u32 = 64;
/// Follow streams of all connections together.
pub(crate) const FOLLOWERS_MAX: usize = 64;
/// Calls of Submit and GetAction that wait at one time, over all connections.
pub(crate) const WAITERS_MAX: usize = 1024;
/// Header list of a request, bytes.
pub(crate) const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Streams a client may reset before they were served (rapid reset).
pub(crate) const PENDING_RESETS_MAX: usize = 20;
/// A silent connection is asked for a sign of life after this.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// And closed when none comes within this.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open streams may take to end at shutdown.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Wait of Submit where the caller names none, milliseconds.
pub(crate) const WAIT_MS_DEFAULT: u32 = 10_000;
/// Longest wait a caller may ask for, milliseconds.
pub(crate) const WAIT_MS_MAX: u32 = 120_000;

/// A block that was asked for may not come: it is asked for again after this.
pub(crate) const EXPIRE_AGAIN: Duration = Duration::from_secs(2);

/// Rows of a page where the caller names no number.
pub(crate) const PAGE_ROWS_DEFAULT: u32 = 100;
/// Rows of a page at most.
pub(crate) const PAGE_ROWS_MAX: u32 = 1000;

/// Frames read from the store at once for one follower.
pub(crate) const FOLLOW_READ_MAX: usize = 64;
/// Frames that may wait for a slow follower; more stay in the store.
pub(crate) const FOLLOW_QUEUE_MAX: usize = 64;
/// Topics of one Follow request.
pub(crate) const FOLLOW_TOPICS_MAX: usize = 64;
