//! Decide which CURVE keys may connect (ZeroMQ RFC 27, ZAP).
//!
//! libzmq asks `inproc://zeromq.zap.01` about each handshake of each server
//! socket in a context, so there is one [`Zap`] per context. Where nobody
//! answers, libzmq lets everyone in: so every service holds a clone of its
//! [`Zap`], the thread lives until the last clone is gone, and a panic of the
//! thread ends the process.

mod allow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use zmq::{Context, Socket};

pub use allow::{AllowList, RefusedConnections};

use crate::error::NetError;
use crate::limits;
use crate::received::receive;
use crate::wake::{self, WakeEnd, Waker};

const ENDPOINT: &str = "inproc://zeromq.zap.01";

/// Parts of a ZAP request with a CURVE key: version, request id, domain,
/// address, routing id, mechanism, key.
const REQUEST_PARTS: usize = 7;

/// A set of sockets with an allow list of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// Nodes among each other.
    Gossip,
    /// Subscribers of the bus and callers of the door.
    Bus,
}

impl Domain {
    pub(crate) const ALL: [Self; 2] = [Self::Gossip, Self::Bus];

    /// As it is named on the sockets.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::Bus => "bus",
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|domain| domain.name().as_bytes() == name)
    }
}

/// The authenticator of a context. Clones share one thread, which ends when
/// the last clone is dropped.
#[derive(Clone)]
pub struct Zap {
    context: Context,
    allowed: AllowList,
    _thread: Arc<Thread>,
}

struct Thread {
    stop: Arc<AtomicBool>,
    waker: Waker,
    join: Option<JoinHandle<()>>,
}

impl Zap {
    /// Starts the authenticator of `context`. Start it before any service.
    ///
    /// # Errors
    /// Where the context already has an authenticator, or libzmq lacks CURVE.
    pub fn start(context: &Context, allowed: AllowList) -> Result<Self, NetError> {
        if zmq::has("curve") != Some(true) {
            return Err(NetError::CurveMissing);
        }
        let socket = context.socket(zmq::REP)?;
        socket.set_linger(limits::LINGER_MS)?;
        socket.bind(ENDPOINT).map_err(NetError::ZapTaken)?;
        let (waker, wake_end) = wake::pair()?;
        let stop = Arc::new(AtomicBool::new(false));
        let join = thread::Builder::new().name("zap".into()).spawn({
            let (stop, allowed) = (Arc::clone(&stop), allowed.clone());
            move || {
                let _closed = FailClosed;
                serve(&socket, &wake_end, &stop, &allowed);
                // Closing alone frees the name later, in libzmq's own time.
                let _ = socket.unbind(ENDPOINT);
            }
        })?;
        Ok(Self {
            context: context.clone(),
            allowed,
            _thread: Arc::new(Thread {
                stop,
                waker,
                join: Some(join),
            }),
        })
    }

    /// The context that it serves.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The list it goes by; changes count from the next handshake on.
    #[must_use]
    pub fn allowed(&self) -> &AllowList {
        &self.allowed
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waker.wake();
        if let Some(join) = self.join.take() {
            let _ = join.join();
        }
    }
}

/// Ends the process when the thread that holds it panics, since libzmq would
/// let every key in from then on.
struct FailClosed;

impl Drop for FailClosed {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("the authenticator failed: the process ends to stay closed");
            std::process::abort();
        }
    }
}

fn serve(socket: &Socket, wake_end: &WakeEnd, stop: &AtomicBool, allowed: &AllowList) {
    while !stop.load(Ordering::SeqCst) {
        let mut items = [socket.as_poll_item(zmq::POLLIN), wake_end.as_poll_item()];
        match zmq::poll(&mut items, -1) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, "the authenticator's context ended");
                return;
            }
        }
        wake_end.clear();
        while let Ok(Some(request)) = receive(socket, REQUEST_PARTS) {
            let parts: Vec<&[u8]> = request.parts.iter().map(|part| &**part).collect();
            let reply = answer(&parts, allowed);
            if let Err(error) = socket.send_multipart(reply, zmq::DONTWAIT) {
                // libzmq then closes the connection when the handshake times out.
                tracing::warn!(%error, "a handshake could not be answered");
            }
        }
    }
}

/// The reply to a ZAP request: version, request id, status code, status text,
/// user id and metadata.
fn answer(parts: &[&[u8]], allowed: &AllowList) -> [Vec<u8>; 6] {
    let request_id = parts.get(1).map_or_else(Vec::new, |id| id.to_vec());
    let (code, text, user) = match verdict(parts, allowed) {
        Ok(user) => (ACCEPTED, "OK", user),
        Err(Refused::Unknown) => (TRY_LATER, "unknown key", String::new()),
        Err(Refused::Malformed(text)) => (REFUSED, text, String::new()),
    };
    [
        b"1.0".to_vec(),
        request_id,
        code.into(),
        text.into(),
        user.into_bytes(),
        Vec::new(),
    ]
}

/// Status codes of ZAP (RFC 27).
const ACCEPTED: &str = "200";
/// "Temporary error": libzmq closes the connection and the peer dials again.
/// A key may become known at any time, when the ledger registers a machine; a
/// peer that were told "400" would stay away for good.
const TRY_LATER: &str = "300";
const REFUSED: &str = "400";

/// Why a handshake is not accepted.
enum Refused {
    /// A well-formed key that is not on the list now.
    Unknown,
    /// Not a CURVE handshake of ours at all.
    Malformed(&'static str),
}

/// The user id, which is the key in hex, or why there is none.
fn verdict(parts: &[&[u8]], allowed: &AllowList) -> Result<String, Refused> {
    let counters = allowed.counters();
    let [version, _, domain, _, _, mechanism, credentials @ ..] = parts else {
        allow::count(&counters.malformed);
        return Err(Refused::Malformed("malformed request"));
    };
    let (b"1.0", Some(domain)) = (*version, Domain::parse(domain)) else {
        allow::count(&counters.malformed);
        return Err(Refused::Malformed("unknown version or domain"));
    };
    let (b"CURVE", Some(key)) = (*mechanism, curve_key(credentials)) else {
        allow::count(&counters.mechanism);
        return Err(Refused::Malformed("only CURVE is accepted"));
    };
    if !allowed.contains(domain, &key) {
        allow::count(&counters.unknown_key);
        tracing::debug!(domain = domain.name(), key = %hex::encode(key), "unknown key refused");
        return Err(Refused::Unknown);
    }
    Ok(hex::encode(key))
}

fn curve_key(credentials: &[&[u8]]) -> Option<[u8; 32]> {
    match credentials {
        [key] => (*key).try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn ask(domain: &[u8], mechanism: &[u8], key: &[u8]) -> (AllowList, [Vec<u8>; 6]) {
        let allowed = AllowList::new();
        allowed.allow(Domain::Bus, KEY).unwrap();
        let reply = answer(&[b"1.0", b"9", domain, b"", b"", mechanism, key], &allowed);
        (allowed, reply)
    }

    #[test]
    fn a_listed_key_is_named_in_hex() {
        let (_, reply) = ask(b"bus", b"CURVE", &KEY);
        assert_eq!(reply[1], b"9");
        assert_eq!(reply[2], b"200");
        assert_eq!(reply[4], hex::encode(KEY).into_bytes());
    }

    #[test]
    fn every_refusal_is_counted_by_its_reason() {
        let (allowed, reply) = ask(b"gossip", b"CURVE", &KEY);
        assert_eq!(
            (&reply[2][..], allowed.refused().unknown_key),
            (&b"300"[..], 1)
        );
        let (allowed, reply) = ask(b"bus", b"PLAIN", &KEY);
        assert_eq!(
            (&reply[2][..], allowed.refused().mechanism),
            (&b"400"[..], 1)
        );
        let (allowed, reply) = ask(b"bus", b"CURVE", &KEY[..31]);
        assert_eq!(
            (&reply[2][..], allowed.refused().mechanism),
            (&b"400"[..], 1)
        );
        let (allowed, reply) = ask(b"other", b"CURVE", &KEY);
        assert_eq!(
            (&reply[2][..], allowed.refused().malformed),
            (&b"400"[..], 1)
        );
        assert_eq!(answer(&[b"1.0"], &allowed)[2], b"400");
    }
}
