//! Sockets with every limit set: libzmq's own defaults are unbounded or silent.
//!
//! No socket sends the heartbeats of ZMTP. libzmq up to 4.3.5 ends the process
//! (`!_io_error`, its issue 4364) where a connection is reset whose receive queue
//! is full, and then a heartbeat falls due on it, or one of the peer's is found
//! among what it had read: neither side may send any where a queue can fill.
//! A dead peer is noticed by TCP's own probes, and one behind a middlebox that
//! answers these by the lack of answers (`gossip::hearing`, and the tip hints of
//! the bus). A peer that holds an allowed key and sends heartbeats of its own
//! into a full queue can still do it.

use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zmq::{Context, Socket, SocketType};

use crate::error::NetError;
use crate::limits;
use crate::monitor::Monitor;
use crate::zap::Domain;

/// The CURVE public key of a secret key, both as raw bytes.
#[must_use]
pub fn curve_public(secret: &[u8; 32]) -> [u8; 32] {
    x25519(*secret, X25519_BASEPOINT_BYTES)
}

/// How much a socket may take in and hold.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Longest message part, bytes.
    pub(crate) part_bytes_max: usize,
    /// Outgoing messages per connection.
    pub(crate) send_queue: i32,
    /// Incoming messages per connection.
    pub(crate) receive_queue: i32,
    /// Whether connections are encrypted and prove their keys.
    pub(crate) curve: bool,
}

/// A bound CURVE server socket and the monitor that watches it.
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    pub(crate) monitor: Monitor,
    /// As libzmq resolved it, with the real port.
    pub(crate) endpoint: String,
}

/// Binds a CURVE server socket whose callers `domain` must allow.
pub(crate) fn listen(
    context: &Context,
    kind: SocketType,
    domain: Domain,
    secret: &[u8; 32],
    bounds: Bounds,
    endpoint: &str,
) -> Result<Listener, NetError> {
    check(endpoint)?;
    let socket = context.socket(kind)?;
    bound(&socket, bounds)?;
    socket.set_ipv6(is_ipv6(endpoint))?;
    socket.set_backlog(limits::BACKLOG)?;
    if bounds.curve {
        socket.set_zap_domain(domain.name())?;
        socket.set_curve_server(true)?;
        socket.set_curve_secretkey(secret)?;
    }
    if kind == zmq::ROUTER {
        // An answer to a caller that is gone or reads nothing becomes an
        // error that can be counted instead of silence.
        socket.set_router_mandatory(true)?;
    }
    if kind == zmq::XPUB {
        // Each subscription is reported, not only the first of its prefix:
        // every new subscriber is owed the last values.
        socket.set_xpub_verbose(true)?;
    }
    let monitor = Monitor::watch(context, &socket)?;
    socket.bind(endpoint).map_err(|source| NetError::Bind {
        endpoint: endpoint.to_owned(),
        source,
    })?;
    let endpoint = socket
        .get_last_endpoint()?
        .unwrap_or_else(|_| endpoint.to_owned());
    Ok(Listener {
        socket,
        monitor,
        endpoint,
    })
}

impl Listener {
    /// Closes the socket and waits until its port is free.
    pub(crate) fn close(&self) {
        if self.socket.unbind(&self.endpoint).is_ok() {
            self.monitor.await_closed();
        }
    }
}

/// A DEALER that will connect to `endpoint` and accepts only the holder of
/// `server` there.
pub(crate) fn dial(
    context: &Context,
    secret: &[u8; 32],
    server: &[u8; 32],
    bounds: Bounds,
    endpoint: &str,
) -> Result<Socket, NetError> {
    check(endpoint)?;
    let socket = context.socket(zmq::DEALER)?;
    bound(&socket, bounds)?;
    socket.set_ipv6(is_ipv6(endpoint))?;
    // Nothing is queued in libzmq for a peer that is not connected: what
    // waits, waits in our own queue, which drops the oldest first.
    socket.set_immediate(true)?;
    socket.set_connect_timeout(limits::CONNECT_MS)?;
    socket.set_reconnect_ivl(limits::RECONNECT_MS_MIN)?;
    socket.set_reconnect_ivl_max(limits::RECONNECT_MS_MAX)?;
    if bounds.curve {
        socket.set_curve_publickey(&curve_public(secret))?;
        socket.set_curve_secretkey(secret)?;
        socket.set_curve_serverkey(server)?;
    } else {
        // Without a handshake the key is only claimed. A routing id must not
        // begin with a zero byte, which is the router's own kind.
        let claim = [b"=".as_slice(), &curve_public(secret)].concat();
        socket.set_identity(&claim)?;
    }
    socket
        .connect(endpoint)
        .map_err(|source| NetError::Connect {
            endpoint: endpoint.to_owned(),
            source,
        })?;
    Ok(socket)
}

fn bound(socket: &Socket, bounds: Bounds) -> Result<(), NetError> {
    if zmq::has("curve") != Some(true) {
        return Err(NetError::CurveMissing);
    }
    let part_bytes = bounds.part_bytes_max + limits::CURVE_OVERHEAD_BYTES;
    socket.set_maxmsgsize(i64::try_from(part_bytes).unwrap_or(i64::MAX))?;
    socket.set_sndhwm(bounds.send_queue)?;
    socket.set_rcvhwm(bounds.receive_queue)?;
    socket.set_handshake_ivl(limits::HANDSHAKE_MS)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(limits::PROBE_IDLE_S)?;
    socket.set_tcp_keepalive_intvl(limits::PROBE_EVERY_S)?;
    socket.set_tcp_keepalive_cnt(limits::PROBES_MAX)?;
    socket.set_linger(limits::LINGER_MS)?;
    Ok(())
}

/// Refuses what libzmq's binding would not survive: it panics on a zero byte
/// and on operating system errors of transports that we do not use.
fn check(endpoint: &str) -> Result<(), NetError> {
    let port = endpoint
        .strip_prefix("tcp://")
        .and_then(|rest| rest.rsplit_once(':'))
        .filter(|(host, _)| !host.is_empty() && !host.contains(['\0', ' ', '/']))
        .map(|(_, port)| port);
    match port {
        Some("*") => Ok(()),
        Some(port) if port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(NetError::Endpoint {
            endpoint: endpoint.to_owned(),
        }),
    }
}

fn is_ipv6(endpoint: &str) -> bool {
    endpoint.contains('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_endpoints_with_host_and_port_pass() {
        for good in [
            "tcp://127.0.0.1:7001",
            "tcp://*:0",
            "tcp://[::1]:*",
            "tcp://alpha.example:1",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "tcp://",
            "tcp://x",
            "tcp://:1",
            "ipc://x:1",
            "tcp://a\0b:1",
            "tcp://a:70000",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_public_key_equals_the_one_libzmq_makes() {
        let pair = zmq::CurveKeyPair::new().unwrap();
        assert_eq!(curve_public(&pair.secret_key), pair.public_key);
    }
}
