//! The thread that owns the XPUB socket.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use dctrl_proto::topic;

use super::cache::{LastValues, is_state};
use super::stats::{PublishCounters, PublishStats, count};
use crate::error::NetError;
use crate::limits;
use crate::received::receive;
use crate::socket::{self, Bounds, Listener};
use crate::wake::{self, WakeEnd, Waker};
use crate::zap::{Domain, Zap};

/// First byte of a subscription message.
const SUBSCRIBE: u8 = 1;
/// First byte of the message that ends a subscription.
const UNSUBSCRIBE: u8 = 0;

/// Handle of the publishing thread. Dropping it stops the thread.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    endpoint: String,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    counters: PublishCounters,
    waker: Waker,
    stop: AtomicBool,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<(String, Bytes)>,
    bytes: usize,
}

impl Publisher {
    pub(super) fn start(zap: Zap, listen: String, secret: [u8; 32]) -> Result<Self, NetError> {
        let revocations = zap.allowed().revocations(Domain::Bus);
        let listener = open(&zap, &listen, &secret)?;
        let endpoint = listener.endpoint.clone();
        let (waker, wake_end) = wake::pair()?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            counters: PublishCounters::default(),
            waker,
            stop: AtomicBool::new(false),
        });
        let fan = Fan {
            zap,
            endpoint: endpoint.clone(),
            secret,
            listener: Some(listener),
            revocations,
            cache: LastValues::default(),
            wake_end,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("bus".into())
            .spawn(move || fan.run())?;
        Ok(Self {
            shared,
            endpoint,
            thread: Some(thread),
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn publish(&self, topic: &str, frame: Bytes) {
        let bad_topic =
            topic.is_empty() || topic.len() > topic::TOPIC_BYTES_MAX || topic.contains('\0');
        if bad_topic || frame.len() > limits::FRAME_BYTES_MAX {
            tracing::error!(topic, bytes = frame.len(), "a frame cannot be published");
            return count(&self.shared.counters.unsendable);
        }
        let mut queue = self.shared.lock();
        queue.bytes += frame.len();
        queue.frames.push_back((topic.to_owned(), frame));
        while queue.frames.len() > limits::PUBLISH_QUEUE_FRAMES_MAX
            || queue.bytes > limits::PUBLISH_QUEUE_BYTES_MAX
        {
            queue.pop();
            count(&self.shared.counters.dropped);
        }
        drop(queue);
        self.shared.waker.wake();
    }

    pub(super) fn stats(&self) -> PublishStats {
        self.shared.counters.read()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the bus thread had panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<(String, Bytes)> {
        let (topic, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some((topic, frame))
    }
}

fn open(zap: &Zap, listen: &str, secret: &[u8; 32]) -> Result<Listener, NetError> {
    let bounds = Bounds {
        part_bytes_max: limits::SUBSCRIPTION_BYTES_MAX,
        send_queue: limits::SUBSCRIBER_QUEUE,
        receive_queue: limits::SUBSCRIPTION_QUEUE,
        curve: true,
    };
    socket::listen(
        zap.context(),
        zmq::XPUB,
        Domain::Bus,
        secret,
        bounds,
        listen,
    )
}

/// What the thread owns.
struct Fan {
    zap: Zap,
    endpoint: String,
    secret: [u8; 32],
    /// Absent only while the port could not be bound again.
    listener: Option<Listener>,
    revocations: u64,
    cache: LastValues,
    wake_end: WakeEnd,
    shared: Arc<Shared>,
}

impl Fan {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if let Err(error) = self.turn() {
                tracing::error!(%error, "the bus ends: its context is gone");
                break;
            }
        }
        if let Some(listener) = self.listener.take() {
            listener.close();
        }
    }

    /// Sleeps until there is work, and does a bounded amount of it.
    fn turn(&mut self) -> zmq::Result<()> {
        self.disconnect_revoked();
        let mut items = vec![self.wake_end.as_poll_item()];
        if let Some(listener) = &self.listener {
            items.push(listener.socket.as_poll_item(zmq::POLLIN));
            items.push(listener.monitor.as_poll_item());
        }
        match zmq::poll(&mut items, self.sleep_ms()) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
        self.wake_end.clear();
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        listener.monitor.count(&self.shared.counters.connections);
        for _ in 0..limits::RECEIVE_BATCH {
            let Some(received) = receive(&listener.socket, 1)? else {
                break;
            };
            let bytes = received.parts.first().map_or(&[][..], |part| part);
            match bytes.split_first() {
                Some((&SUBSCRIBE, prefix)) => {
                    count(&self.shared.counters.subscriptions);
                    self.cache.subscribed(prefix);
                }
                Some((&UNSUBSCRIBE, _)) => {}
                _ => count(&self.shared.counters.malformed),
            }
        }
        for _ in 0..limits::SEND_BATCH {
            let next = self.shared.lock().pop();
            let Some((name, frame)) = next else { break };
            let wire = topic::wire(&name);
            send(&listener.socket, &wire, &frame)?;
            count(&self.shared.counters.published);
            if is_state(&name) && !self.cache.put(&wire, frame) {
                count(&self.shared.counters.uncached);
            }
        }
        for (wire, frame) in self.cache.take_due(Instant::now()) {
            send(&listener.socket, &wire, &frame)?;
            count(&self.shared.counters.repeated);
        }
        Ok(())
    }

    fn sleep_ms(&self) -> i64 {
        if self.listener.is_some() && !self.shared.lock().frames.is_empty() {
            return 0;
        }
        let due = self.cache.next_due(Instant::now());
        // One more, so that the wait is over when the thread wakes.
        due.map_or(limits::IDLE_MS, |wait| {
            limits::IDLE_MS.min(wait.as_millis() as i64 + 1)
        })
    }

    /// A ZeroMQ socket cannot cut one connection. When a key was revoked, all
    /// subscribers are disconnected; those still allowed return at once, get
    /// the last values and replay what they missed.
    fn disconnect_revoked(&mut self) {
        let revocations = self.zap.allowed().revocations(Domain::Bus);
        if revocations != self.revocations {
            self.revocations = revocations;
            count(&self.shared.counters.reopened);
            if let Some(listener) = self.listener.take() {
                listener.close();
            }
        }
        if self.listener.is_none() {
            match open(&self.zap, &self.endpoint, &self.secret) {
                Ok(listener) => self.listener = Some(listener),
                Err(error) => tracing::error!(%error, "the bus cannot listen again yet"),
            }
        }
    }
}

/// Hands both parts to the socket. An XPUB never blocks: it drops for the
/// subscribers whose queue is full.
fn send(socket: &zmq::Socket, wire_topic: &[u8], frame: &Bytes) -> zmq::Result<()> {
    socket.send(wire_topic, zmq::SNDMORE | zmq::DONTWAIT)?;
    socket.send(&**frame, zmq::DONTWAIT)
}
