//! CPFP: what a child of the change must pay, and when there is none.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Network, OutPoint, Txid};
use dctrl_wallet::{Chain, Coin, Key, Parent, PlanError, Terms, Wallet, child, fee_sats};

fn wallet() -> Wallet {
    let curve = Secp256k1::new();
    let path: DerivationPath = "48h/1h/0h/2h".parse().unwrap();
    let keys = [1, 2, 3].map(|seed| {
        let master = Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap();
        let account = master.derive_priv(&curve, &path).unwrap();
        Key {
            fingerprint: master.fingerprint(&curve),
            path: path.clone(),
            xpub: Xpub::from_priv(&curve, &account),
        }
    });
    Wallet::of(2, &keys, Network::Regtest).unwrap()
}

fn parent(change_sats: u64) -> Parent {
    Parent {
        change: Coin {
            outpoint: OutPoint::new(Txid::from_byte_array([7; 32]), 1),
            sats: change_sats,
            chain: Chain::Change,
            index: 3,
        },
        fee_sats: 200,
        virtual_size: 200,
    }
}

fn terms(fee_rate: u64) -> Terms {
    Terms {
        recipients: Vec::new(),
        fee_rate,
        fee_sats_min: 0,
        fee_sats_max: 20_000,
        fee_bps_max: 10_000,
        change_index: 4,
        lock_time: 100,
    }
}

#[test]
fn a_child_lifts_both_to_the_rate_and_pays_back_to_the_wallet() {
    let wallet = wallet();
    let parent = parent(50_000);
    let plan = child(&wallet, &parent, &terms(10_000)).unwrap().unwrap();
    let size = parent.virtual_size + plan.virtual_size;
    assert!(parent.fee_sats + plan.fee_sats >= fee_sats(size, 10_000));
    assert!(plan.fee_sats >= fee_sats(plan.virtual_size, 10_000));
    assert_eq!(plan.inputs, [parent.change]);
    let outputs = &plan.psbt.unsigned_tx.output;
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].script_pubkey, wallet.script(Chain::Change, 4));
    assert_eq!(outputs[0].value.to_sat(), 50_000 - plan.fee_sats);
}

#[test]
fn there_is_no_child_where_it_helps_nothing_or_costs_too_much() {
    let wallet = wallet();
    assert!(
        child(&wallet, &parent(50_000), &terms(1_000))
            .unwrap()
            .is_none()
    );
    let poor = child(&wallet, &parent(1_000), &terms(10_000));
    assert!(matches!(poor, Err(PlanError::Funds { .. })), "{poor:?}");
    let dear = child(&wallet, &parent(500_000), &terms(1_000_000));
    assert!(matches!(dear, Err(PlanError::Fee { .. })), "{dear:?}");
}
