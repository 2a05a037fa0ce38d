//! Free ports for a federation, so that several can run side by side.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Ports that a federation takes from its base on: ten for each of at most ten
/// nodes at the start, and the chain's from [`CHAIN`] on.
const SPAN_NODES: u16 = 100;

/// The simulated chain's port, from the base on.
pub(crate) const CHAIN: u16 = 900;

/// bitcoind's ports, from the base on: RPC, peers, and three publishers.
pub(crate) const BITCOIND: u16 = 910;

/// How many ports bitcoind takes.
const SPAN_BITCOIND: u16 = 5;

/// Bases are below the range that Linux hands out for outgoing connections
/// (from 32768 on), so that a free port stays free until we take it.
const BASES: std::ops::Range<u16> = 10_000..31_000;

/// Bases lie this far apart, so that the chain's ports of one base fall between
/// the nodes' ports of the others.
const STEP: u16 = 160;

const _: () = {
    assert!(
        CHAIN % STEP >= SPAN_NODES,
        "a chain's port would be a node's"
    );
    assert!(
        BITCOIND % STEP >= SPAN_NODES,
        "bitcoind's ports would be a node's"
    );
    assert!(
        SPAN_NODES <= HELD && BITCOIND % STEP + SPAN_BITCOIND <= HELD,
        "the held port would be in use"
    );
};

/// A port of each base that nobody uses: whoever listens there has the base.
const HELD: u16 = STEP - 1;

/// How many bases are tried.
const TRIES: u32 = 64;

/// A base port from which on everything that a federation needs was free.
/// Nobody else on this machine gets the same while this lives.
#[derive(Debug)]
pub struct Ports {
    base: u16,
    _held: TcpListener,
}

impl Ports {
    /// The first port.
    #[must_use]
    pub fn base(&self) -> u16 {
        self.base
    }
}

/// Finds ports for a federation. The search starts at a place that depends on
/// the process, so that test programs that run side by side rarely meet.
///
/// # Errors
/// Where no free range is found.
pub fn free_ports() -> Result<Ports> {
    let steps = u32::from((BASES.end - BASES.start) / STEP);
    let start = std::process::id().wrapping_mul(7);
    (0..TRIES)
        .map(|attempt| start.wrapping_add(attempt) % steps)
        .filter_map(|step| u16::try_from(step).ok())
        .map(|step| BASES.start + step * STEP)
        .find_map(take)
        .context("found no free range of ports")
}

fn take(base: u16) -> Option<Ports> {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, base + HELD)).ok()?;
    all_free(base).then_some(Ports { base, _held: held })
}

fn all_free(base: u16) -> bool {
    (0..SPAN_NODES)
        .chain(CHAIN..=CHAIN)
        .chain(BITCOIND..BITCOIND + SPAN_BITCOIND)
        .all(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Threads of one process begin to look at the same base.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn a_base_is_not_given_while_one_of_its_ports_is_taken() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let base = free_ports().expect("free").base();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 33)).expect("was free");
        assert!(take(base).is_none());
        drop(taken);
        assert!(take(base).is_some());
    }

    #[test]
    fn nobody_gets_a_base_that_another_one_holds() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = free_ports().expect("free");
        assert!(take(ports.base()).is_none());
    }
}
