//! Keys, ports and plain clients for the tests.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use dctrl_net::curve_public;
use dctrl_net::zap::{AllowList, Domain, Zap};
use zmq::{Context, Socket, SocketType};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A secret key for each name.
pub(crate) fn secret(name: u8) -> [u8; 32] {
    [name; 32]
}

pub(crate) fn public(name: u8) -> [u8; 32] {
    curve_public(&secret(name))
}

/// An authenticator of a new context that allows these on the bus.
pub(crate) fn zap(bus_callers: &[u8]) -> Zap {
    let allowed = AllowList::new();
    for name in bus_callers {
        allowed.allow(Domain::Bus, public(*name)).unwrap();
    }
    Zap::start(&Context::new(), allowed).unwrap()
}

/// An endpoint whose port was free a moment ago, on a loopback address of its
/// own, so that tests which run at once never get the same.
pub(crate) fn free_endpoint() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let host = NEXT.fetch_add(1, Ordering::Relaxed);
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
    format!("tcp://{}", listener.local_addr().unwrap())
}

/// A CURVE client as `me` to the server `server`, not connected yet.
pub(crate) fn client(kind: SocketType, me: u8, server: u8) -> Socket {
    let socket = Context::new().socket(kind).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_curve_publickey(&public(me)).unwrap();
    socket.set_curve_secretkey(&secret(me)).unwrap();
    socket.set_curve_serverkey(&public(server)).unwrap();
    socket.set_rcvtimeo(PATIENCE.as_millis() as i32).unwrap();
    socket.set_sndtimeo(PATIENCE.as_millis() as i32).unwrap();
    socket
}

/// Polls until `condition` holds.
pub(crate) fn eventually(claim: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {claim}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Several sorts of bytes that are not the protocol, each on a connection.
pub(crate) fn throw_garbage(endpoint: &str) {
    let address = endpoint.strip_prefix("tcp://").unwrap();
    let zmtp_1 = [1, 0];
    let half_greeting = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3];
    let mut null_mechanism = half_greeting.to_vec();
    null_mechanism.extend(b"\0NULL");
    null_mechanism.resize(64, 0);
    let mut bad_curve = half_greeting.to_vec();
    bad_curve.extend(b"\0CURVE");
    bad_curve.resize(64, 0);
    bad_curve.extend([0x04, 200]);
    bad_curve.extend([0xab; 200]);
    let noise: Vec<u8> = (0..10_000_u32).map(|i| (i * 31 % 251) as u8).collect();
    let http = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    for bytes in [
        &zmtp_1[..],
        &half_greeting,
        &null_mechanism,
        &bad_curve,
        &noise,
        &http,
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        // The other side may close before all is written, which is its right.
        let _ = stream.write_all(bytes);
    }
}
