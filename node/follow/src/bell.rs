//! Waking a thread that waits on sockets.
//!
//! A thread that could look every now and then whether it shall stop would
//! never let its machine sleep. Instead it waits for its bell too.
//!
//! Deliberately absent: any message. Whoever is woken looks for the reason.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};

/// Rings taken at once; many rings are one.
const RINGS: usize = 64;

/// What a waiting thread listens to.
#[derive(Debug)]
pub struct Bell {
    listen: UnixStream,
    ring: Arc<UnixStream>,
}

/// Rings a bell from any thread, for as long as the bell is there.
#[derive(Debug, Clone)]
pub struct Waker(Weak<UnixStream>);

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// The process has too many open files.
    pub fn new() -> std::io::Result<Self> {
        let (listen, ring) = UnixStream::pair()?;
        listen.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        Ok(Self {
            listen,
            ring: Arc::new(ring),
        })
    }

    /// What rings it.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(Arc::downgrade(&self.ring))
    }

    /// To be waited for beside sockets.
    #[must_use]
    pub fn poll_item(&self) -> zmq::PollItem<'static> {
        let descriptor: RawFd = self.listen.as_raw_fd();
        zmq::PollItem::from_fd(descriptor, zmq::POLLIN)
    }

    /// Whether it rang; it is silent then.
    pub fn take(&self) -> bool {
        let mut rings = [0; RINGS];
        let mut rang = false;
        while matches!((&self.listen).read(&mut rings), Ok(count) if count > 0) {
            rang = true;
        }
        rang
    }
}

impl Waker {
    /// Ends the wait that is, or the next one.
    pub fn wake(&self) {
        if let Some(ring) = self.0.upgrade() {
            // Where nothing more fits it rings already.
            let _ = (&*ring).write(&[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rings_once_for_many_wakers_and_outlives_none() {
        let bell = Bell::new().unwrap();
        let waker = bell.waker();
        assert!(!bell.take());
        for _ in 0..1_000_000 {
            waker.wake();
        }
        let mut items = [bell.poll_item()];
        assert_eq!(zmq::poll(&mut items, -1).unwrap(), 1);
        assert!(bell.take());
        assert!(!bell.take());
        drop(bell);
        waker.wake();
    }
}
