//! Every bound of this crate, with its unit and reason.

/// What every socket of the federation accepts in one part, bytes on the wire.
pub const WIRE_BYTES_MAX: usize = 1024 * 1024;

/// Longest bus frame, gossip message and door reply, bytes: it must stay
/// within [`WIRE_BYTES_MAX`] when CURVE has wrapped it.
pub const FRAME_BYTES_MAX: usize = WIRE_BYTES_MAX - 1024;

/// Longest request at the door, bytes: one action and the fields around it,
/// or a replay request with its topics.
pub const DOOR_REQUEST_BYTES_MAX: usize = 128 * 1024;

/// What CURVE adds to a frame on the wire, rounded up: nonce, authentication
/// tag, command name and flags.
pub(crate) const CURVE_OVERHEAD_BYTES: usize = 64;

/// A connection that has not proved its key by then is closed, milliseconds.
pub(crate) const HANDSHAKE_MS: i32 = 5_000;

/// TCP probes an idle connection after so long, and again so long after each
/// probe, seconds. After so many probes without an answer it is closed.
pub(crate) const PROBE_IDLE_S: i32 = 5;
pub(crate) const PROBE_EVERY_S: i32 = 5;
pub(crate) const PROBES_MAX: i32 = 2;

/// A gossip connection on which nothing was answered for so long is dialled
/// anew, milliseconds.
pub const UNANSWERED_MS_MAX: u64 = 15_000;

/// How often a gossip connection is answered at most, as a part of the time
/// after which silence counts.
pub(crate) const ANSWERS_PER_SILENCE: u32 = 3;

/// A TCP connection attempt is given up after this, milliseconds.
pub(crate) const CONNECT_MS: i32 = 5_000;

/// Shortest pause before a lost connection is tried again, milliseconds.
pub(crate) const RECONNECT_MS_MIN: i32 = 100;

/// Longest pause before a lost connection is tried again, milliseconds.
pub(crate) const RECONNECT_MS_MAX: i32 = 2_000;

/// What is unsent when a socket closes is given up at once, milliseconds:
/// everything that matters is replayed, so waiting would only delay a stop.
pub(crate) const LINGER_MS: i32 = 0;

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 128;

/// Messages that libzmq may hold for one subscriber.
pub(crate) const SUBSCRIBER_QUEUE: i32 = 1_000;

/// Messages that libzmq may hold for one gossip connection, each way.
pub(crate) const GOSSIP_SOCKET_QUEUE: i32 = 64;

/// Messages that libzmq may hold for one caller of the door, each way: twice
/// the requests that a caller may have open, since libzmq notices only after
/// half a queue that messages have left it.
pub(crate) const DOOR_SOCKET_QUEUE: i32 = 2 * DOOR_REQUESTS_PER_KEY_MAX as i32;

/// Longest message of a subscriber, bytes. Subscriptions are shorter, but the
/// CURVE handshake is not and counts too.
pub(crate) const SUBSCRIPTION_BYTES_MAX: usize = 1024;

/// Subscription messages that libzmq may hold for one subscriber.
pub(crate) const SUBSCRIPTION_QUEUE: i32 = 1_000;

/// Gossip messages that wait for one peer before the oldest is dropped.
pub const PEER_QUEUE_FRAMES_MAX: usize = 1_000;

/// Gossip bytes that wait for one peer before the oldest is dropped.
pub const PEER_QUEUE_BYTES_MAX: usize = 16 * FRAME_BYTES_MAX;

/// Gossip peers of one node; as many more may be leaving.
pub const PEERS_MAX: usize = 64;

/// How long a node that was removed may fetch what it missed, milliseconds:
/// the blocks up to its removal take seconds, and a restart a minute.
pub const LEAVING_MS: u64 = 10 * 60 * 1000;

/// Frames that wait to be published.
pub const PUBLISH_QUEUE_FRAMES_MAX: usize = 4_096;

/// Bytes that wait to be published.
pub const PUBLISH_QUEUE_BYTES_MAX: usize = 32 * FRAME_BYTES_MAX;

/// Topics in the last-value cache.
pub const CACHED_TOPICS_MAX: usize = 4_096;

/// A cached frame is repeated for new subscribers at most this often,
/// milliseconds: whoever subscribes in a loop would otherwise flood the rest.
pub const CACHE_REPEAT_MS: u64 = 100;

/// Bytes in the last-value cache.
pub const CACHED_BYTES_MAX: usize = 64 * FRAME_BYTES_MAX;

/// Requests that wait for a door worker; one more is refused.
pub const DOOR_QUEUE_MAX: usize = 256;

/// Requests of one caller that wait or are being answered; one more is
/// refused, so that no caller can close the door for the others.
pub const DOOR_REQUESTS_PER_KEY_MAX: usize = 16;

/// Threads that answer requests at the door.
pub const DOOR_WORKERS: usize = 2;

/// CURVE keys in one domain of the allow list.
pub const ALLOWED_KEYS_MAX: usize = 16_384;

/// Messages taken from a socket before the other work of its thread has a turn.
pub(crate) const RECEIVE_BATCH: usize = 256;

/// Messages handed to one socket before the other work of its thread has a turn.
pub(crate) const SEND_BATCH: usize = 256;

/// Longest sleep of a thread that has nothing to do, milliseconds. Wake-ups
/// arrive at once; this only bounds how late a revoked key is noticed.
pub(crate) const IDLE_MS: i64 = 2_000;

/// How long a closing socket waits for its port to be free, milliseconds.
pub(crate) const CLOSE_MS: i64 = 2_000;

/// Events that may wait on a socket's monitor. libzmq blocks its I/O thread
/// when the monitor is full, so this is far above what a tick can produce.
pub(crate) const MONITOR_QUEUE: i32 = 10_000;

const _: () = assert!(ANSWERS_PER_SILENCE >= 2);
const _: () = assert!(RECONNECT_MS_MIN < RECONNECT_MS_MAX);
const _: () = assert!(FRAME_BYTES_MAX + CURVE_OVERHEAD_BYTES <= WIRE_BYTES_MAX);
const _: () = assert!(DOOR_REQUESTS_PER_KEY_MAX < DOOR_QUEUE_MAX);
const _: () = assert!(DOOR_REQUEST_BYTES_MAX > dctrl_proto::action::ACTION_BYTES_MAX);
const _: () = assert!(PEER_QUEUE_BYTES_MAX >= FRAME_BYTES_MAX);
const _: () = assert!(PUBLISH_QUEUE_BYTES_MAX >= FRAME_BYTES_MAX);
