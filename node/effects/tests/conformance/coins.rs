//! What is asked of a backend about money that goes out: handing transactions
//! in, and who spends a coin.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use dctrl_effects::chain::{Backend, Backends, ChainAdaptor, ChainSource, Hash, Sent};

use crate::World;

/// How long a server may need to hear of its bitcoind.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a server that polls its bitcoind.
const PAUSE: Duration = Duration::from_millis(50);

type Coin = (Hash, u32);

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A transaction is passed on once, its rivals are refused as such, and who
/// spends a coin is named while it waits and shown in its block.
pub(crate) fn spends_a_coin_once(world: &dyn World, backend: &Backend) {
    let adaptor = ChainAdaptor::new(&Backends::from(backend.clone())).unwrap();
    let before = adaptor.tip().unwrap();
    let coin = world.coin();
    let coins = BTreeSet::from([coin]);
    until("the coin's block is there", || {
        let tip = adaptor.tip().ok()?;
        (tip.height > before.height).then_some(())
    });
    adaptor.watch_coins(&coins).unwrap();
    assert_eq!(adaptor.mempool_spenders(&[coin]), Ok(vec![]));

    let (spend, rival) = (world.spend(coin, 50_000), world.spend(coin, 50_001));
    assert_eq!(adaptor.broadcast(&spend), Ok(Sent::Accepted));
    let again = adaptor.broadcast(&spend);
    assert!(
        matches!(again, Ok(Sent::Accepted | Sent::Known)),
        "{again:?}"
    );
    let refused = adaptor.broadcast(&rival);
    assert!(matches!(refused, Ok(Sent::Conflict(_))), "{refused:?}");

    let spender = until("the spender waits", || {
        adaptor.tip().unwrap();
        adaptor.mempool_spenders(&[coin]).unwrap().pop()
    });
    assert!(adaptor.in_mempool(spender).unwrap().is_some());
    let waiting = adaptor.mempool_transaction(spender).unwrap().unwrap();
    assert_eq!(waiting.inputs, [coin]);
    spends_it_in_a_block(world, &adaptor, coin, spender);
    let late = adaptor.broadcast(&rival);
    assert!(matches!(late, Ok(Sent::Conflict(_))), "{late:?}");
}

fn spends_it_in_a_block(world: &dyn World, adaptor: &ChainAdaptor, coin: Coin, spender: Hash) {
    let before = adaptor.tip().unwrap();
    world.mine(1);
    let block = until("the spender is in a block", || {
        let tip = adaptor.tip().ok()?;
        let block = adaptor.block(tip.height, tip.hash).ok()?;
        (tip.height > before.height).then_some(block)
    });
    let mut spends = block.transactions.iter();
    let found = spends.find(|one| one.inputs.contains(&coin));
    assert_eq!(found.map(|one| one.txid), Some(spender));
    assert_eq!(adaptor.mempool_spenders(&[coin]), Ok(vec![]));
    assert_eq!(adaptor.in_mempool(spender), Ok(None));
}
