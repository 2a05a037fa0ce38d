//! Open-loop load: each transaction has a time at which it is due, whatever
//! the nodes do, and its delay counts from then.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use crate::random::Random;

/// Transactions that are due within this are sent together.
const TICK: Duration = Duration::from_micros(500);

/// As [`TICK`], for signed actions: users of one node hand in so many at a time.
const SIGNED_TICK: Duration = Duration::from_millis(5);

/// Bytes written at once; more would hide how late they are.
const WRITE_BYTES: usize = 256 << 10;

/// The load of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    /// When the first transaction is due, nanoseconds since the epoch.
    pub(super) start_ns: u64,
    /// When the last one is.
    pub(super) end_ns: u64,
    /// Between two transactions of this node, nanoseconds.
    pub(super) interval_ns: f64,
    /// Bytes of each.
    pub(super) payload: usize,
    /// Distinguishes nodes and runs.
    pub(super) seed: u64,
}

pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

impl Stream {
    /// The same load, begun at this time.
    pub(super) fn from(self, start_ns: u64) -> Self {
        Self {
            start_ns: self.start_ns + start_ns,
            end_ns: self.end_ns + start_ns,
            ..self
        }
    }

    /// When the transaction with this number, from 0, is due.
    pub(super) fn due_ns(&self, number: u64) -> u64 {
        self.start_ns + (number as f64 * self.interval_ns) as u64
    }

    /// Sends all transactions when they are due: those of `made`, or else
    /// random ones. Gives how many were sent.
    ///
    /// # Errors
    /// Where the node is gone.
    pub(super) fn send(&self, socket: &mut TcpStream, made: Option<&[Vec<u8>]>) -> Result<u64> {
        let mut random = Random::new(self.seed);
        let mut out = Vec::with_capacity(WRITE_BYTES + self.payload + 4);
        let mut sent = 0u64;
        loop {
            let due_ns = self.due_ns(sent);
            if due_ns >= self.end_ns {
                break;
            }
            let now = now_ns();
            if due_ns > now {
                flush(socket, &mut out)?;
                let wait = Duration::from_nanos(due_ns - now);
                thread::sleep(wait.max(if made.is_some() { SIGNED_TICK } else { TICK }));
                continue;
            }
            match made {
                None => self.transaction(due_ns, &mut random, &mut out),
                Some(made) => {
                    let Some(action) = made.get(sent as usize) else {
                        break;
                    };
                    out.extend_from_slice(&(action.len() as u32).to_le_bytes());
                    out.extend_from_slice(action);
                }
            }
            sent += 1;
            if out.len() >= WRITE_BYTES {
                flush(socket, &mut out)?;
            }
        }
        flush(socket, &mut out)?;
        Ok(sent)
    }

    /// The time it is due, and bytes that no compression makes shorter.
    fn transaction(&self, due_ns: u64, random: &mut Random, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.payload as u32).to_le_bytes());
        let end = out.len() + self.payload;
        out.extend_from_slice(&due_ns.to_le_bytes());
        while out.len() < end {
            out.extend_from_slice(&random.next().to_le_bytes());
        }
        out.truncate(end);
    }
}

fn flush(socket: &mut TcpStream, out: &mut Vec<u8>) -> Result<()> {
    if !out.is_empty() {
        socket
            .write_all(out)
            .context("a node takes no load any more")?;
        out.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_unique_and_begin_with_the_time_they_are_due() {
        let stream = Stream {
            start_ns: 0,
            end_ns: 0,
            interval_ns: 1.0,
            payload: 61,
            seed: 1,
        };
        let mut random = Random::new(1);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        stream.transaction(7, &mut random, &mut one);
        stream.transaction(7, &mut random, &mut two);
        assert_eq!(one.len(), 4 + 61);
        assert_eq!(one[4..12], 7u64.to_le_bytes());
        assert_eq!(one[..12], two[..12]);
        assert_ne!(one[12..], two[12..]);
    }
}
