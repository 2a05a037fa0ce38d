//! Stands between a bitcoind's publishers and their subscribers: hands messages
//! on, and where it is faulty loses half of them, doubles some and swaps some.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::Result;

/// How often the end is looked for, milliseconds.
const LOOK_MS: i64 = 20;

type Message = Vec<Vec<u8>>;

/// What was done to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) lost: usize,
    pub(super) doubled: usize,
    pub(super) reordered: usize,
}

/// A thread that relays until it is stopped or dropped.
pub(super) struct Relay {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Faults>>,
}

impl Relay {
    /// Relays from each publisher to the endpoint at the same position.
    pub(super) fn start(from: &[String], to: &[String], faulty: bool) -> Result<Self> {
        let context = zmq::Context::new();
        let mut pipes = Vec::new();
        for (from, to) in from.iter().zip(to) {
            let (input, output) = (context.socket(zmq::SUB)?, context.socket(zmq::PUB)?);
            input.set_subscribe(b"")?;
            input.connect(from)?;
            output.set_linger(0)?;
            output.bind(to)?;
            let held = None;
            pipes.push(Pipe {
                input,
                output,
                held,
            });
        }
        let ends = Arc::new(AtomicBool::new(false));
        let shared = ends.clone();
        let thread = std::thread::spawn(move || relay(&mut pipes, faulty, &shared));
        Ok(Self {
            ends,
            thread: Some(thread),
        })
    }

    /// Ends it: its subscribers find nobody from now on.
    pub(super) fn stop(&mut self) -> Faults {
        self.ends.store(true, Ordering::SeqCst);
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Pipe {
    input: zmq::Socket,
    output: zmq::Socket,
    /// Comes after the next one.
    held: Option<Message>,
}

fn relay(pipes: &mut [Pipe], faulty: bool, ends: &AtomicBool) -> Faults {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut faults = Faults::default();
    while !ends.load(Ordering::SeqCst) {
        let inputs = pipes
            .iter()
            .map(|pipe| pipe.input.as_poll_item(zmq::POLLIN));
        let mut items: Vec<_> = inputs.collect();
        if zmq::poll(&mut items, LOOK_MS).is_err() {
            break;
        }
        for pipe in pipes.iter_mut() {
            while let Ok(message) = pipe.input.recv_multipart(zmq::DONTWAIT) {
                let passed = if faulty {
                    dice = next(dice);
                    through(dice, message, &mut pipe.held, &mut faults)
                } else {
                    vec![message]
                };
                for message in passed {
                    let _ = pipe.output.send_multipart(message, 0);
                }
            }
        }
    }
    faults
}

/// What arrives of a message, and of one that was held before it.
fn through(
    dice: u64,
    message: Message,
    held: &mut Option<Message>,
    faults: &mut Faults,
) -> Vec<Message> {
    match dice % 6 {
        0..=2 => {
            faults.lost += 1;
            Vec::new()
        }
        3 => {
            faults.doubled += 1;
            vec![message.clone(), message]
        }
        4 => held.replace(message).into_iter().collect(),
        _ => {
            faults.reordered += usize::from(held.is_some());
            std::iter::once(message).chain(held.take()).collect()
        }
    }
}

/// The next throw (xorshift).
fn next(mut dice: u64) -> u64 {
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    dice
}
