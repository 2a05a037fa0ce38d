//! Count what libzmq refuses before a message reaches us, and notice when a
//! port is free again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use zmq::{Context, Socket, SocketEvent};

use crate::limits;

/// Connections that libzmq closed, by reason.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounters {
    pub(crate) handshake_protocol: AtomicU64,
    pub(crate) handshake_refused: AtomicU64,
    pub(crate) handshake_other: AtomicU64,
    pub(crate) disconnected: AtomicU64,
}

/// Connections that libzmq closed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Not ZMTP, another mechanism than CURVE, or a wrong server key.
    pub handshake_protocol: u64,
    /// The authenticator refused the key.
    pub handshake_refused: u64,
    /// The connection ended or ran out of time before it was authenticated.
    pub handshake_other: u64,
    /// All that were closed: those above, and established ones that ended by
    /// the peer, by a missed heartbeat or by a frame over the size limit.
    pub disconnected: u64,
}

impl ConnectionStats {
    /// Established connections that ended: who was listened to before.
    #[must_use]
    pub fn ended(&self) -> u64 {
        // Of a failed handshake its reason is counted first.
        let failed = self.handshake_protocol + self.handshake_refused + self.handshake_other;
        self.disconnected.saturating_sub(failed)
    }
}

impl ConnectionCounters {
    pub(crate) fn read(&self) -> ConnectionStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionStats {
            handshake_protocol: of(&self.handshake_protocol),
            handshake_refused: of(&self.handshake_refused),
            handshake_other: of(&self.handshake_other),
            disconnected: of(&self.disconnected),
        }
    }
}

/// The events of one listening socket.
pub(crate) struct Monitor {
    events: Socket,
}

impl Monitor {
    /// Watches `socket`. The monitor must be drained by [`Monitor::count`].
    pub(crate) fn watch(context: &Context, socket: &Socket) -> zmq::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let endpoint = format!("inproc://dctrl-net.monitor.{number}");
        let wanted = [
            SocketEvent::HANDSHAKE_FAILED_AUTH,
            SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
            SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
            SocketEvent::DISCONNECTED,
            SocketEvent::CLOSED,
        ];
        let mask = wanted.iter().fold(0, |mask, event| mask | *event as i32);
        socket.monitor(&endpoint, mask)?;
        let events = context.socket(zmq::PAIR)?;
        events.set_linger(limits::LINGER_MS)?;
        events.set_rcvhwm(limits::MONITOR_QUEUE)?;
        events.connect(&endpoint)?;
        Ok(Self { events })
    }

    pub(crate) fn as_poll_item(&self) -> zmq::PollItem<'_> {
        self.events.as_poll_item(zmq::POLLIN)
    }

    /// Adds all events that wait to `counters`.
    pub(crate) fn count(&self, counters: &ConnectionCounters) {
        while let Some(event) = self.next() {
            let counter = match event {
                SocketEvent::HANDSHAKE_FAILED_PROTOCOL => &counters.handshake_protocol,
                SocketEvent::HANDSHAKE_FAILED_AUTH => &counters.handshake_refused,
                SocketEvent::HANDSHAKE_FAILED_NO_DETAIL => &counters.handshake_other,
                SocketEvent::DISCONNECTED => &counters.disconnected,
                _ => continue,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the listener behind the socket is closed.
    pub(crate) fn await_closed(&self) {
        let deadline = Instant::now() + Duration::from_millis(limits::CLOSE_MS as u64);
        loop {
            while let Some(event) = self.next() {
                if event == SocketEvent::CLOSED {
                    return;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!("a closing socket did not report that its port is free");
                return;
            }
            let _ = self.events.poll(zmq::POLLIN, left.as_millis() as i64 + 1);
        }
    }

    /// The next event. libzmq sends a part of two bytes for the event and four
    /// for a value, and a part with the endpoint.
    fn next(&self) -> Option<SocketEvent> {
        let received = crate::received::receive(&self.events, 1).ok()??;
        let first = received.parts.first()?;
        let raw = u16::from_le_bytes([*first.first()?, *first.get(1)?]);
        // Only events that we asked for arrive, and all of them are known.
        Some(SocketEvent::from_raw(raw))
    }
}
