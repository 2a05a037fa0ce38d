//! One suite for every backend: whatever is lost on the way, each payment is
//! said as it is, once.
//!
//! The simulated chain needs nothing. For the others a real bitcoind on regtest
//! makes the chain (`DCTRL_BITCOIND`). The Electrum server is a real ElectrumX
//! (`DCTRL_ELECTRUMX` names its program); the Esplora server is one of our own
//! ([`esplora`]), because none could be had: it speaks the documented API over
//! bitcoind's data.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of a test: what fails here fails the test"
)]

mod bitcoind;
mod coins;
mod electrumx;
mod esplora;
mod simulated;
mod watcher;

use dctrl_effects::chain::{Backend, ElectrumConfig, EsploraConfig, Hash};

use bitcoind::Bitcoind;
use watcher::{Watcher, faulty};

/// A chain that a test drives.
trait World {
    /// An address that nobody has used.
    fn address(&self) -> String;
    fn pay(&self, address: &str, sats: u64);
    fn mine(&self, blocks: u32);
    /// Replaces the newest blocks by one more; what they held is mined again
    /// only by [`Self::mine`].
    fn reorganise(&self, depth: u32);
    /// A coin in a block, of 100,000 sats.
    fn coin(&self) -> (Hash, u32);
    /// A signed transaction that spends a coin, and pays so much of it somewhere.
    fn spend(&self, coin: (Hash, u32), sats: u64) -> Vec<u8>;
}

/// All claims about one backend.
fn conforms(world: &dyn World, backend: Backend) {
    coins::spends_a_coin_once(world, &backend);
    follows_a_payment(world, &mut Watcher::new(&backend));
    finds_what_nobody_told(world, &mut Watcher::new(&backend));
    survives_lost_doubled_and_reordered_hints(world, &mut Watcher::new(&backend));
    follows_reorganisations(world, &mut Watcher::new(&backend), &[1, 2, 6]);
    finds_a_payment_older_than_its_address(world, &mut Watcher::new(&backend));
    looks_back_for_an_address_of_unknown_age(world, &mut Watcher::new(&backend));
}

/// The claims that a server in front of a bitcoind can break: it answers and
/// notices later than its bitcoind.
fn conforms_in_short(world: &dyn World, backend: Backend) {
    coins::spends_a_coin_once(world, &backend);
    follows_a_payment(world, &mut Watcher::new(&backend));
    follows_reorganisations(world, &mut Watcher::new(&backend), &[2]);
    finds_a_payment_older_than_its_address(world, &mut Watcher::new(&backend));
}

fn follows_a_payment(world: &dyn World, watcher: &mut Watcher) {
    let address = world.address();
    watcher.look();
    watcher.watch(&address);
    world.pay(&address, 1_500);
    watcher.until("it waits", |said| said.waiting == 1);
    world.mine(1);
    watcher.until("it is in a block", |said| {
        said.in_blocks == 1 && said.waiting == 0
    });
    world.mine(2);
    watcher.look();
    assert_eq!(
        (watcher.sayings(), watcher.mined()),
        (2, 1),
        "each view once"
    );
}

/// As after an outage of three blocks with payments.
fn finds_what_nobody_told(world: &dyn World, watcher: &mut Watcher) {
    let addresses: Vec<String> = (0..3).map(|_| world.address()).collect();
    for address in &addresses {
        watcher.watch(address);
    }
    watcher.look();
    for address in &addresses {
        world.pay(address, 2_000);
        world.mine(1);
    }
    watcher.until("all are in blocks", |said| said.in_blocks == 3);
    assert_eq!(watcher.mined(), 3, "each once");
}

fn survives_lost_doubled_and_reordered_hints(world: &dyn World, watcher: &mut Watcher) {
    let addresses: Vec<String> = (0..4).map(|_| world.address()).collect();
    for address in &addresses {
        watcher.watch(address);
    }
    watcher.look();
    for (seed, address) in (1..).zip(&addresses) {
        world.pay(address, 3_000);
        watcher.hear(|hints| faulty(hints, seed));
        world.mine(1);
        watcher.hear(|hints| faulty(hints, seed + 100));
    }
    watcher.until("all are in blocks", |said| {
        said.in_blocks == 4 && said.waiting == 0
    });
    assert_eq!(watcher.payments(), 4, "each once");
}

fn follows_reorganisations(world: &dyn World, watcher: &mut Watcher, depths: &[u32]) {
    let address = world.address();
    watcher.watch(&address);
    watcher.look();
    for (count, depth) in (1..).zip(depths.iter().copied()) {
        world.pay(&address, 4_000);
        world.mine(depth);
        watcher.until("it is in a block", |said| said.in_blocks == count);
        world.reorganise(depth);
        watcher.until("it waits again", |said| said.in_blocks < count);
        world.mine(1);
        watcher.until("it is in another block", |said| {
            said.in_blocks == count && said.waiting == 0
        });
    }
    assert_eq!(watcher.payments(), depths.len(), "each once");
}

/// The address is on its way to this node while it is paid.
fn finds_a_payment_older_than_its_address(world: &dyn World, watcher: &mut Watcher) {
    let (known, late) = (world.address(), world.address());
    watcher.watch(&known);
    watcher.look();
    let height = watcher.agree();
    world.pay(&late, 5_000);
    world.mine(2);
    watcher.until_height(height + 2);
    watcher.watch(&late);
    assert!(!watcher.looks_back(), "the blocks are not read again");
    watcher.until("it is in a block", |said| said.in_blocks == 1);
}

/// As on a node that was behind the federation.
fn looks_back_for_an_address_of_unknown_age(world: &dyn World, watcher: &mut Watcher) {
    let (known, late) = (world.address(), world.address());
    watcher.watch(&known);
    watcher.look();
    let height = watcher.height();
    world.pay(&late, 6_000);
    world.mine(10);
    watcher.until_height(height + 10);
    watcher.watch(&late);
    assert!(watcher.looks_back());
    watcher.until("it is in a block", |said| said.in_blocks == 1);
}

#[test]
fn the_simulated_chain_conforms() {
    let chain = simulated::Served::start();
    let url = chain.url.clone();
    conforms(&chain, Backend::Simulated { url });
}

#[test]
#[ignore = "needs bitcoind: run by cargo xtask test"]
fn a_real_bitcoind_conforms() {
    let bitcoind = Bitcoind::start();
    conforms(&bitcoind, Backend::Bitcoind(bitcoind.config()));
}

#[test]
#[ignore = "needs bitcoind: run by cargo xtask test"]
fn an_esplora_server_over_a_real_bitcoind_conforms() {
    let bitcoind = Bitcoind::start();
    let url = esplora::serve(&bitcoind);
    let config = EsploraConfig {
        key: "chain".to_owned(),
        url,
        login: None,
    };
    conforms(&bitcoind, Backend::Esplora(config));
}

fn over_electrumx(conforms: fn(&dyn World, Backend)) {
    let bitcoind = Bitcoind::start();
    let electrumx = electrumx::ElectrumX::start(&bitcoind);
    let config = ElectrumConfig {
        key: "chain".to_owned(),
        url: electrumx.url(),
    };
    conforms(&bitcoind, Backend::Electrum(config));
}

#[test]
#[ignore = "needs bitcoind and ElectrumX: run by cargo xtask test"]
fn a_real_electrumx_over_a_real_bitcoind_conforms() {
    over_electrumx(conforms_in_short);
}

/// A minute or more: ElectrumX polls its bitcoind and keeps short answers back.
#[test]
#[ignore = "needs bitcoind and ElectrumX, and a minute"]
fn a_real_electrumx_over_a_real_bitcoind_conforms_in_full() {
    over_electrumx(conforms);
}
