//! Client sockets with CURVE and explicit limits.
//!
//! Without heartbeats of ZMTP: libzmq up to 4.3.5 ends the process
//! (`!_io_error`, its issue 4364) where the peer of a full receive queue goes
//! and a heartbeat is due, and the queue of a subscriber fills whenever it is
//! slow. TCP's own probes notice a dead node.

use std::time::{Duration, Instant};

use dctrl_access::curve_public_of;
use zmq::{Context, Socket, SocketType};

/// Longest message that is read, bytes; a longer one ends the connection.
pub(crate) const MESSAGE_BYTES_MAX: i64 = 1024 * 1024;

/// Messages that a socket buffers for each peer.
const MESSAGES_MAX: i32 = 1000;

/// Handshakes that take longer are given up.
const HANDSHAKE_MS: i32 = 5_000;
/// TCP probes an idle connection after so long, and again after each probe,
/// seconds; after so many without an answer it is closed.
const PROBE_IDLE_S: i32 = 5;
const PROBE_EVERY_S: i32 = 5;
const PROBES_MAX: i32 = 2;
/// First and longest pause between attempts to connect.
const RECONNECT_MS: i32 = 50;
const RECONNECT_MS_MAX: i32 = 2_000;

/// A connection of which nothing is heard for so long, or that takes nothing for
/// so long, is made anew: after an answer that is no ZMTP, such as that of a
/// captive portal, libzmq never connects there again and says nothing of it. Nodes
/// tell their height every few seconds.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(15);

/// Since when a connection is good for nothing; it is lost [`LOST_AFTER`] that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Useless(Option<Instant>);

impl Useless {
    /// Something was heard, or taken.
    pub(crate) fn over(&mut self) {
        self.0 = None;
    }

    /// Still nothing: whether it is lost, in which case it counts from now on as
    /// new.
    pub(crate) fn is_lost(&mut self, now: Instant, after: Duration) -> bool {
        let since = *self.0.get_or_insert(now);
        let lost = now.saturating_duration_since(since) >= after;
        if lost {
            self.0 = None;
        }
        lost
    }
}

/// A client socket that only talks to the owner of `server_public`.
pub(crate) fn connect(
    context: &Context,
    kind: SocketType,
    endpoint: &str,
    server_public: &[u8; 32],
    curve_secret: &[u8; 32],
) -> zmq::Result<Socket> {
    let socket = context.socket(kind)?;
    socket.set_maxmsgsize(MESSAGE_BYTES_MAX)?;
    socket.set_sndhwm(MESSAGES_MAX)?;
    socket.set_rcvhwm(MESSAGES_MAX)?;
    socket.set_handshake_ivl(HANDSHAKE_MS)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(PROBE_IDLE_S)?;
    socket.set_tcp_keepalive_intvl(PROBE_EVERY_S)?;
    socket.set_tcp_keepalive_cnt(PROBES_MAX)?;
    socket.set_reconnect_ivl(RECONNECT_MS)?;
    socket.set_reconnect_ivl_max(RECONNECT_MS_MAX)?;
    socket.set_linger(0)?;
    // A request to a node that is not there must fail now, not wait in a queue.
    socket.set_immediate(true)?;
    socket.set_curve_serverkey(server_public)?;
    socket.set_curve_publickey(&curve_public_of(curve_secret))?;
    socket.set_curve_secretkey(curve_secret)?;
    socket.connect(endpoint)?;
    Ok(socket)
}
