//! Claims about which backend is followed.

use super::*;
use crate::chain::{
    Standing,
    fakes::{Shared, adaptor},
    model::genesis_hash,
};

fn down() -> Option<ChainError> {
    Some(ChainError::Unreachable("test".to_owned()))
}

/// Two backends of the same chain, the second one a block higher.
fn pair() -> [Shared; 2] {
    let pair = [Shared::default(), Shared::default()];
    for (blocks, one) in (1..).zip(&pair) {
        one.with(|fake| fake.chain.mine(blocks).unwrap());
    }
    pair
}

fn height(adaptor: &ChainAdaptor) -> Result<u32, ChainError> {
    adaptor.tip().map(|tip| tip.height)
}

#[test]
fn a_backend_that_fails_is_left_for_the_next_and_followed_again_once_it_works() {
    let pair = pair();
    let (adaptor, board) = adaptor(&pair);
    adaptor.check_genesis(genesis_hash()).unwrap();
    assert_eq!(height(&adaptor), Ok(1));
    pair[0].fails(Some(ChainError::WarmingUp("test".to_owned())));
    assert!(adaptor.hash_at(1).is_err(), "one look asks one backend");
    assert_eq!(height(&adaptor), Ok(2));
    assert_eq!(board.followed(), 1);
    let told = board.troubles();
    assert!(told[0].contains("chain.backend[0]") && told[0].contains("warming up"));
    pair[0].fails(None);
    assert_eq!(height(&adaptor), Ok(2), "it is left alone for a while");
    // Whoever looks after backends finds that it works again.
    board.good(0, pair[0].tip().unwrap());
    assert_eq!(height(&adaptor), Ok(1));
    assert!(board.troubles().is_empty());
}

#[test]
fn when_all_fail_each_is_asked_and_the_preferred_one_says_why() {
    let pair = pair();
    let (adaptor, _) = adaptor(&pair);
    pair[0].fails(Some(ChainError::Unauthorised("test".to_owned())));
    pair[1].fails(down());
    assert!(matches!(height(&adaptor), Err(ChainError::Unauthorised(_))));
    pair[1].fails(None);
    assert_eq!(height(&adaptor), Ok(2), "nobody rests while all fail");
}

#[test]
fn a_backend_of_another_network_is_refused_by_its_key() {
    let pair = pair();
    let (adaptor, board) = adaptor(&pair);
    let refused = adaptor.check_genesis(Hash([9; 32]));
    let Err(ChainError::WrongChain { key, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(key, "chain.backend[0]");
    assert!(matches!(board.standings()[0].1, Standing::Bad(_)));
    assert!(matches!(
        height(&adaptor),
        Err(ChainError::WrongChain { .. })
    ));
}

#[test]
fn a_backend_learns_what_matters_before_it_is_followed() {
    let pair = pair();
    let (adaptor, _) = adaptor(&pair);
    height(&adaptor).unwrap();
    adaptor.follow(&[vec![1], vec![2]]).unwrap();
    assert_eq!(pair[0].with(|fake| fake.told.len()), 2);
    pair[0].fails(down());
    assert!(adaptor.follow(&[vec![3]]).is_err(), "kept nevertheless");
    height(&adaptor).unwrap();
    let told = pair[1].with(|fake| fake.told.clone());
    assert_eq!(told, [vec![1], vec![2], vec![3]]);
}

#[test]
fn a_transaction_is_handed_to_the_next_backend_when_one_fails() {
    let pair = pair();
    let (adaptor, _) = adaptor(&pair);
    height(&adaptor).unwrap();
    pair[0].fails(down());
    assert_eq!(adaptor.broadcast(&[1]), Ok(Sent::Accepted));
}
