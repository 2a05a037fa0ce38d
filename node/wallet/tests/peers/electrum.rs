//! Electrum, which copayers use, as Debian ships it.

use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use dctrl_wallet::{check_returned, finish};
use serde_json::json;

use crate::{ADDRESSES, account, asked, assert_same, coin, master, payout, signed, wallet};

const SCRIPT: &str = include_str!("electrum.py");

#[test]
#[ignore = "needs Electrum; run by cargo xtask test"]
fn electrum_derives_the_same_addresses_and_its_signatures_are_taken() {
    let wallet = wallet();
    let plan = payout(&wallet, coin());
    let folder = tempfile::tempdir().unwrap();
    let said = asked(
        ("DCTRL_ELECTRUM", "electrum/python"),
        SCRIPT,
        &json!({
            "threshold": 2,
            "keys": [account(1), account(2), account(3)],
            "addresses": ADDRESSES,
            "psbt": STANDARD.encode(plan.psbt.serialize()),
            "master": master(2).to_string(),
            "folder": folder.path(),
        }),
    );
    assert_same(&said, &wallet, &plan);
    let returned = STANDARD.decode(said["psbt"].as_str().unwrap()).unwrap();
    let theirs = check_returned(&plan.psbt, &returned).unwrap();
    let ours = check_returned(&plan.psbt, &signed(&plan.psbt, 3).serialize()).unwrap();
    assert!(finish(&plan.psbt, &[ours, theirs].concat(), 2).is_some());
}
