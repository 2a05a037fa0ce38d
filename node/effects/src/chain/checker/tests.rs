//! Claims about backends that fail, lag and contradict each other.

use super::*;
use crate::chain::{
    fakes::{Fake, Shared, adaptor, adaptor_of},
    model::genesis_hash,
};

const SCRIPT: [u8; 4] = [0, 1, 2, 3];

/// Two backends, who follows them, and who checks them.
struct Scene {
    pair: [Shared; 2],
    follower: ChainAdaptor,
    watch: Watch,
    board: Board,
    cross: Cross,
    checker: Checker,
}

const BEGIN: Begin = Begin {
    cursor: None,
    rescan_blocks: 100,
};

impl Scene {
    fn new(grace: Duration) -> Self {
        let pair = [Shared::default(), Shared::default()];
        let (follower, board) = adaptor(&pair);
        let cross = Cross::default();
        let own = adaptor_of(&pair, &board);
        let checker = Checker::new(own, genesis_hash(), BEGIN, cross.clone(), grace);
        let mut watch = Watch::default();
        watch.watch(SCRIPT.to_vec(), 7);
        Self {
            pair,
            follower,
            watch,
            board,
            cross,
            checker,
        }
    }

    /// Pays and mines on both, or on the first one alone.
    fn pay(&self, both: bool) {
        for one in self.pair.iter().take(if both { 2 } else { 1 }) {
            one.with(|fake| fake.chain.pay(SCRIPT.to_vec(), 1_500).unwrap());
        }
        self.mine(1);
    }

    fn mine(&self, blocks: u32) {
        for one in &self.pair {
            one.with(|fake| fake.chain.mine(blocks).unwrap());
        }
    }

    /// What the follower does, and then the checker.
    fn round(&mut self) {
        let fresh = self.watch.fresh();
        sync::walk(&self.follower, &mut self.watch, BEGIN, &|| true).unwrap();
        let went_back = self.watch.take_went_back();
        self.cross.show_first(fresh, self.watch.view(), went_back);
        self.checker.round(&|| true);
    }
}

#[test]
fn payouts_are_held_until_the_backends_have_been_compared() {
    let mut scene = Scene::new(Duration::ZERO);
    assert!(scene.board.held().is_some());
    scene.pay(true);
    scene.round();
    assert_eq!(scene.board.held(), None);
    assert!(scene.board.troubles().is_empty());
}

#[test]
fn a_payment_that_one_backend_lacks_holds_payouts_until_both_show_it() {
    let mut scene = Scene::new(Duration::ZERO);
    scene.pay(true);
    scene.round();
    let hidden = scene.pair[1].with(|fake| {
        let paid = fake.chain.pay(SCRIPT.to_vec(), 900).unwrap();
        fake.hides.insert(paid.txid);
        paid.txid
    });
    scene.pair[0].with(|fake| fake.chain.pay(SCRIPT.to_vec(), 900).unwrap());
    scene.mine(1);
    scene.round();
    let held = scene.board.held().unwrap();
    assert!(held.contains(&hidden.to_string()), "{held}");
    // What it hid is in another block's place now: it walks there again.
    for one in &scene.pair {
        one.with(|fake| {
            fake.hides.clear();
            fake.chain.reorganise(1, false).unwrap();
            fake.chain.mine(1).unwrap();
        });
    }
    scene.round();
    scene.round();
    assert_eq!(scene.board.held(), None);
}

#[test]
fn an_address_that_becomes_known_late_is_looked_for_on_both() {
    let mut scene = Scene::new(Duration::ZERO);
    scene.mine(5);
    scene.round();
    let late = vec![9, 9, 9];
    for one in &scene.pair {
        one.with(|fake| fake.chain.pay(late.clone(), 700).unwrap());
    }
    scene.mine(1);
    // Both have seen so much since that they no longer remember it.
    scene.round();
    scene.watch.forget_seen();
    scene.checker.watch.forget_seen();
    scene.watch.watch(late, 8);
    scene.watch.look_back(None);
    scene.round();
    assert_eq!(scene.watch.view().found.len(), 1);
    assert_eq!(scene.board.held(), None);
}

#[test]
fn different_blocks_hold_payouts_after_the_grace_and_at_depth_without_one() {
    let mut scene = Scene::new(Duration::ZERO);
    scene.mine(10);
    scene.pay(false);
    scene.round();
    let held = scene.board.held().unwrap();
    assert!(held.contains("chain.backend[1]"), "{held}");

    let mut scene = Scene::new(Duration::from_secs(3_600));
    scene.mine(10);
    scene.pay(false);
    scene.round();
    assert_eq!(scene.board.held(), None, "blocks may be on their way");
    scene.mine(SETTLED_DEPTH);
    scene.round();
    assert!(scene.board.held().is_some());
}

#[test]
fn a_contradiction_stands_while_one_of_the_two_is_silent() {
    let mut scene = Scene::new(Duration::ZERO);
    scene.mine(10);
    scene.pay(false);
    scene.round();
    let held = scene.board.held();
    assert!(held.is_some());
    scene.pair[1].fails(Some(ChainError::Unreachable("test".to_owned())));
    scene.round();
    scene.round();
    assert_eq!(scene.board.held(), held);
    assert!(scene.board.is_disputed());
    // It is back, on the chain of the first one.
    scene.pair[1].with(|fake| {
        *fake = Fake::default();
        fake.chain.mine(10).unwrap();
        fake.chain.pay(SCRIPT.to_vec(), 1_500).unwrap();
        fake.chain.mine(1).unwrap();
    });
    scene.board.end_rests();
    scene.round();
    scene.round();
    assert_eq!(scene.board.held(), None);
}

#[test]
fn a_backend_that_lags_behind_another_one_of_the_same_chain_is_left() {
    let mut scene = Scene::new(Duration::ZERO);
    scene.mine(5);
    scene.pair[1].with(|fake| fake.chain.mine(3).unwrap());
    scene.round();
    let told = scene.board.troubles();
    assert!(told[0].contains("5 blocks of 8"), "{told:?}");
    assert_eq!(scene.follower.tip().unwrap().height, 8);
    assert_eq!(scene.board.held(), None);
}

#[test]
fn a_backend_that_lacks_what_the_federation_agreed_on_lags() {
    let mut scene = Scene::new(Duration::from_secs(3_600));
    scene.mine(5);
    scene.board.agree(Some(Tip {
        height: 9,
        hash: Hash([9; 32]),
    }));
    scene.round();
    assert_eq!(scene.board.troubles().len(), 2);
}

#[test]
fn without_a_second_healthy_backend_the_first_is_believed() {
    let mut scene = Scene::new(Duration::ZERO);
    scene.pair[1].fails(Some(ChainError::Unauthorised("test".to_owned())));
    scene.pay(true);
    scene.round();
    assert_eq!(scene.board.held(), None);
    assert!(scene.board.troubles()[0].contains("credentials"));
}
