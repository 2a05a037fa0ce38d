//! Claims about headers and branches.

use bitcoin::{CompactTarget, TxMerkleNode, block::Version, constants::genesis_block};

use super::*;

/// A header on regtest that stands on `below`, with enough work.
fn mined(below: &Header, root: [u8; 32]) -> Header {
    let mut header = Header {
        version: Version::TWO,
        prev_blockhash: below.block_hash(),
        merkle_root: TxMerkleNode::from_byte_array(root),
        time: below.time + 1,
        bits: below.bits,
        nonce: 0,
    };
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
    header
}

fn regtest() -> (Rules, Header) {
    let genesis = genesis_block(Network::Regtest).header;
    (Rules::of(hash_of(&genesis)), genesis)
}

fn pair(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    sha256d::Hash::hash([left, right].as_flattened()).to_byte_array()
}

#[test]
fn a_header_must_link_and_cost_what_its_place_demands() {
    let (rules, genesis) = regtest();
    let good = mined(&genesis, [1; 32]);
    assert_eq!(rules.check(1, &genesis, &good), Ok(()));
    let other = mined(&good, [2; 32]);
    assert!(rules.check(2, &genesis, &other).is_err(), "does not link");
    let mut lazy = good;
    while lazy.validate_pow(lazy.target()).is_ok() {
        lazy.nonce += 1;
    }
    assert!(rules.check(1, &genesis, &lazy).is_err(), "no work");
    let mut easy = good;
    easy.bits = CompactTarget::from_consensus(0x207f_fffe);
    assert!(rules.check(1, &genesis, &easy).is_err(), "another target");
}

#[test]
fn on_mainnet_a_target_changes_only_every_2016_blocks_and_fourfold_at_most() {
    let params = Network::Bitcoin.params();
    let before = Target::from_compact(CompactTarget::from_consensus(0x1702_0000));
    let times = |factor: u32| Target::from_compact(CompactTarget::from_consensus(factor));
    let (fourfold, more) = (times(0x1708_0000), times(0x1708_0001));
    assert!(fits(params, 2_017, before, before));
    assert!(!fits(params, 2_017, before, fourfold));
    assert!(fits(params, 2_016, before, fourfold));
    assert!(!fits(params, 2_016, before, more));
}

#[test]
fn a_branch_proves_its_transaction_at_its_place_and_nothing_else() {
    let (_, genesis) = regtest();
    let leaves: Vec<[u8; 32]> = (0..4).map(|leaf| [leaf; 32]).collect();
    let (left, right) = (pair(leaves[0], leaves[1]), pair(leaves[2], leaves[3]));
    let header = mined(&genesis, pair(left, right));
    let branch = [leaves[3], left].map(Hash::from_internal);
    let txid = Hash::from_internal(leaves[2]);
    assert_eq!(check_branch(&header, txid, 2, &branch), Ok(()));
    assert!(check_branch(&header, txid, 3, &branch).is_err());
    assert!(
        check_branch(&header, txid, 6, &branch).is_err(),
        "no such place"
    );
    assert!(check_branch(&header, Hash([9; 32]), 2, &branch).is_err());
    assert!(check_branch(&header, txid, 2, &branch[..1]).is_err());
    assert!(check_branch(&header, txid, 0, &[Hash::default(); 26]).is_err());
}

#[test]
fn another_transaction_than_asked_for_is_refused() {
    let genesis = genesis_block(Network::Regtest);
    let raw = bitcoin::consensus::encode::serialize(&genesis.txdata[0]);
    let txid = Hash::from_internal(*genesis.txdata[0].compute_txid().as_ref());
    assert!(check_transaction(txid, &raw).is_ok());
    assert!(check_transaction(Hash([9; 32]), &raw).is_err());
    assert!(check_transaction(txid, &raw[1..]).is_err());
}
