//! Wake a thread that sleeps in `zmq::poll`.
//!
//! A ZeroMQ socket belongs to one thread, so other threads do not send on an
//! inproc socket but write a byte to a socket pair that the thread polls too.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The end that wakes. Any thread may use it; it never blocks.
#[derive(Debug)]
pub struct Waker {
    stream: UnixStream,
    signalled: Arc<AtomicBool>,
}

/// The end that is polled.
#[derive(Debug)]
pub struct WakeEnd {
    stream: UnixStream,
    signalled: Arc<AtomicBool>,
}

/// A new pair of ends.
///
/// # Errors
/// Where the system gives no pair of sockets.
pub fn pair() -> io::Result<(Waker, WakeEnd)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let signalled = Arc::new(AtomicBool::new(false));
    let waker = Waker {
        stream: near,
        signalled: Arc::clone(&signalled),
    };
    let end = WakeEnd {
        stream: far,
        signalled,
    };
    Ok((waker, end))
}

impl Waker {
    /// Wakes the other end, now or as soon as it polls.
    pub fn wake(&self) {
        if !self.signalled.swap(true, Ordering::SeqCst) {
            // A full buffer means that a wake-up already waits, and a closed
            // one that nobody is left to wake: both are as they should be.
            let _ = (&self.stream).write(&[1]);
        }
    }
}

impl WakeEnd {
    /// Takes all wake-ups. Call it before looking for work, or a wake-up that
    /// arrives in between is lost.
    pub(crate) fn clear(&self) {
        let mut buffer = [0; 16];
        while matches!((&self.stream).read(&mut buffer), Ok(count) if count > 0) {}
        self.signalled.store(false, Ordering::SeqCst);
    }

    pub(crate) fn as_poll_item(&self) -> zmq::PollItem<'_> {
        zmq::PollItem::from_fd(self.stream.as_raw_fd(), zmq::POLLIN)
    }
}
