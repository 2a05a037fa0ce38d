//! Client sockets with CURVE and explicit limits.

use dctrl_access::curve_public_of;
use zmq::{Context, Socket, SocketType};

/// Longest message that is read, bytes; a longer one ends the connection.
pub(crate) const MESSAGE_BYTES_MAX: i64 = 1024 * 1024;

/// Messages that a socket buffers for each peer.
const MESSAGES_MAX: i32 = 1000;

/// Handshakes that take longer are given up.
const HANDSHAKE_MS: i32 = 5_000;
/// Heartbeats notice a connection that is dead but not closed.
const HEARTBEAT_MS: i32 = 5_000;
const HEARTBEAT_TIMEOUT_MS: i32 = 15_000;
/// First and longest pause between attempts to connect.
const RECONNECT_MS: i32 = 50;
const RECONNECT_MS_MAX: i32 = 2_000;

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
    socket.set_heartbeat_ivl(HEARTBEAT_MS)?;
    socket.set_heartbeat_timeout(HEARTBEAT_TIMEOUT_MS)?;
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
