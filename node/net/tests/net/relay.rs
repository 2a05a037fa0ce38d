//! A relay in front of a port, whose connections can be torn or made to lead
//! nowhere.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{eventually, free_endpoint};

/// Pause of a relay that has nothing to pass on.
const REST: Duration = Duration::from_millis(1);

/// Bytes passed on at once.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Default)]
struct Orders {
    /// Connections of this number and below take bytes and pass none on.
    deaf_up_to: AtomicU64,
    connections: AtomicU64,
    /// How often all connections have been looked at.
    rounds: AtomicU64,
    stop: AtomicBool,
}

/// A running relay. Dropping it tears its connections, without a farewell: the
/// dialled side is left with bytes unread, which makes the kernel reset it.
pub(crate) struct Relay {
    pub(crate) endpoint: String,
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Passes on to `target`.
    pub(crate) fn start(target: &str) -> Self {
        let endpoint = free_endpoint();
        let listener = TcpListener::bind(address(&endpoint)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let orders = Arc::new(Orders::default());
        let (own, target) = (orders.clone(), address(target).to_owned());
        let thread = thread::spawn(move || {
            let mut passages: Vec<Passage> = Vec::new();
            while !own.stop.load(Ordering::SeqCst) {
                if let Ok((client, _)) = listener.accept() {
                    let number = 1 + own.connections.fetch_add(1, Ordering::SeqCst);
                    passages.push(Passage::open(number, client, &target));
                }
                let deaf = own.deaf_up_to.load(Ordering::SeqCst);
                passages.retain_mut(|passage| passage.pass(passage.number <= deaf));
                own.rounds.fetch_add(1, Ordering::SeqCst);
                thread::sleep(REST);
            }
        });
        Self {
            endpoint,
            orders,
            thread: Some(thread),
        }
    }

    /// Connections there have been.
    pub(crate) fn connections(&self) -> u64 {
        self.orders.connections.load(Ordering::SeqCst)
    }

    /// Those that are open now take bytes and pass none on.
    pub(crate) fn swallow(&self) {
        let all = self.connections();
        self.orders.deaf_up_to.store(all, Ordering::SeqCst);
        // The present round may have begun before.
        let round = self.orders.rounds.load(Ordering::SeqCst);
        eventually("the relay is deaf", || {
            self.orders.rounds.load(Ordering::SeqCst) > round
        });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Passage {
    number: u64,
    client: TcpStream,
    server: TcpStream,
    /// On its way to the server.
    waiting: Vec<u8>,
    /// Bytes of the server that were passed on. They are only peeked at, so
    /// that some are always unread.
    passed_back: usize,
}

impl Passage {
    fn open(number: u64, client: TcpStream, target: &str) -> Self {
        let server = TcpStream::connect(target).unwrap();
        for stream in [&client, &server] {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        Self {
            number,
            client,
            server,
            waiting: Vec::new(),
            passed_back: 0,
        }
    }

    /// Passes on what there is; false where one side has ended.
    fn pass(&mut self, deaf: bool) -> bool {
        let mut piece = vec![0; PIECE_BYTES];
        if self.waiting.is_empty() {
            match self.client.read(&mut piece) {
                Ok(0) => return false,
                Ok(count) if !deaf => self.waiting.extend(&piece[..count]),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        match self.server.write(&self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        if let Ok(count) = self.server.peek(&mut piece)
            && count > self.passed_back
            && !deaf
        {
            let tail = &piece[self.passed_back..count];
            self.passed_back += self.client.write(tail).unwrap_or(0);
        }
        true
    }
}

fn address(endpoint: &str) -> &str {
    endpoint.strip_prefix("tcp://").unwrap()
}
