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
        BITCOIND % STEP + SPAN_BITCOIND <= STEP,
        "bitcoind's ports would be a node's"
    );
};

/// How many bases are tried.
const TRIES: u32 = 64;

/// A base port from which on everything that a federation needs is free. The
/// search starts at a place that depends on the process, so that test programs
/// that run side by side do not meet.
///
/// # Errors
/// Where no free range is found.
pub fn free_base() -> Result<u16> {
    let steps = u32::from((BASES.end - BASES.start) / STEP);
    let start = std::process::id().wrapping_mul(7);
    (0..TRIES)
        .map(|attempt| start.wrapping_add(attempt) % steps)
        .filter_map(|step| u16::try_from(step).ok())
        .map(|step| BASES.start + step * STEP)
        .find(|base| all_free(*base))
        .context("found no free range of ports")
}

fn all_free(base: u16) -> bool {
    (0..SPAN_NODES)
        .chain(CHAIN..=CHAIN)
        .chain(BITCOIND..BITCOIND + SPAN_BITCOIND)
        .all(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_not_given_while_one_of_its_ports_is_taken() {
        let base = free_base().expect("free");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 33)).expect("was free");
        assert!(!all_free(base));
        drop(taken);
        assert!(all_free(base));
    }
}
