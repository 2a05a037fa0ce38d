//! bitcoind on regtest: its wallet derives our addresses, reads our PSBTs,
//! signs as a copayer, and takes what we make of the signatures.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{OutPoint, Psbt};
use dctrl_wallet::{Chain, Coin, check_returned, finish};
use serde_json::{Value, json};

use crate::{PAID_SATS, account, fetched, master, payout, signed, wallet};

/// A coinbase can be spent so many blocks later.
const MATURITY: u32 = 100;

/// A bitcoind that ends with the test.
struct Bitcoind {
    child: Child,
    programs: PathBuf,
    data: tempfile::TempDir,
    port: u16,
}

impl Bitcoind {
    fn start() -> Self {
        let programs = fetched("DCTRL_BITCOIND", "bitcoind/bin");
        let data = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new(programs.join("bitcoind"))
            .args(["-regtest", "-listen=0", "-dnsseed=0", "-fixedseeds=0"])
            .arg(datadir(data.path()))
            .arg(format!("-rpcport={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", programs.display()));
        let started = Self {
            child,
            programs,
            data,
            port,
        };
        started.ask("", &["-rpcwait", "-rpcwaittimeout=60", "getblockcount"]);
        started
    }

    /// One command of `bitcoin-cli`, to one of its wallets.
    fn ask(&self, wallet: &str, arguments: &[&str]) -> Value {
        let mut command = Command::new(self.programs.join("bitcoin-cli"));
        command.arg("-regtest").arg(datadir(self.data.path()));
        command.arg(format!("-rpcport={}", self.port));
        if !wallet.is_empty() {
            command.arg(format!("-rpcwallet={wallet}"));
        }
        let output = command.args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// A wallet of these descriptors: payments and change.
    fn import(&self, name: &str, private: bool, descriptors: [String; 2]) {
        let watches = (!private).to_string();
        self.ask("", &["createwallet", name, &watches, "true"]);
        let import = |(internal, text): (bool, &String)| {
            let info = self.ask("", &["getdescriptorinfo", text]);
            let bare = text.split('#').next().unwrap();
            let sum = info["checksum"].as_str().unwrap();
            json!({
                "desc": format!("{bare}#{sum}"),
                "active": true,
                "internal": internal,
                "range": [0, 99],
                "timestamp": 0,
            })
        };
        let imports: Vec<Value> = [false, true]
            .into_iter()
            .zip(&descriptors)
            .map(import)
            .collect();
        let done = self.ask(name, &["importdescriptors", &json!(imports).to_string()]);
        let done = done.as_array().unwrap();
        assert!(done.iter().all(|one| one["success"] == true), "{done:?}");
    }
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn datadir(path: &Path) -> String {
    format!("-datadir={}", path.display())
}

/// Our descriptors, one copayer's key in them secret.
fn private(seed: u8) -> [String; 2] {
    [0, 1].map(|chain| {
        let keys = [1, 2, 3].map(|one| {
            let key = if one == seed {
                format!("{}/48h/1h/0h/2h", master(one))
            } else {
                account(one)
            };
            format!("{key}/{chain}/*")
        });
        format!("wsh(sortedmulti(2,{}))", keys.join(","))
    })
}

#[test]
#[ignore = "starts bitcoind; run by cargo xtask test"]
fn bitcoinds_wallet_has_our_addresses_and_signs_as_a_copayer() {
    let bitcoind = Bitcoind::start();
    let wallet = wallet();
    let ours = [Chain::Payments, Chain::Change].map(|chain| wallet.descriptor(chain).unwrap());
    bitcoind.import("watching", false, ours.clone());
    bitcoind.import("copayer", true, private(2));
    for (chain, descriptor) in [Chain::Payments, Chain::Change].into_iter().zip(&ours) {
        let derived = bitcoind.ask("", &["deriveaddresses", descriptor, "[0,19]"]);
        for index in 0..20 {
            let expected = wallet.address(chain, index).to_string();
            assert_eq!(derived[index as usize], expected);
        }
    }
    let first = wallet.address(Chain::Payments, 0).to_string();
    for name in ["watching", "copayer"] {
        assert_eq!(bitcoind.ask(name, &["getnewaddress", "", "bech32"]), first);
    }
    let coin = coin(&bitcoind, &first);
    let plan = payout(&wallet, coin);
    let unsigned = plan.psbt.to_string();
    understood(&bitcoind, &unsigned, &plan);

    // bitcoind signs as copayer 2, and we as copayer 1.
    let answer = bitcoind.ask("copayer", &["walletprocesspsbt", &unsigned, "true", "ALL"]);
    let theirs: Psbt = answer["psbt"].as_str().unwrap().parse().unwrap();
    let theirs = check_returned(&plan.psbt, &theirs.serialize()).unwrap();
    let ours = signed(&plan.psbt, 1);
    let signatures = check_returned(&plan.psbt, &ours.serialize()).unwrap();
    let transaction = finish(&plan.psbt, &[theirs, signatures].concat(), 2).unwrap();

    // From our half alone it comes to the same transaction.
    let ours = ours.to_string();
    let both = bitcoind.ask("copayer", &["walletprocesspsbt", &ours, "true", "ALL"]);
    let both = both["psbt"].as_str().unwrap();
    let finished = bitcoind.ask("", &["finalizepsbt", both]);
    assert_eq!(finished["complete"], true);
    assert_eq!(finished["hex"], serialize_hex(&transaction));
    let sent = bitcoind.ask("", &["sendrawtransaction", &serialize_hex(&transaction)]);
    assert_eq!(sent, plan.txid.to_string());
    let entry = bitcoind.ask("", &["getmempoolentry", &plan.txid.to_string()]);
    // Our size is an upper bound, and not a loose one.
    let size = entry["vsize"].as_u64().unwrap();
    assert!(
        size <= plan.virtual_size && plan.virtual_size <= size + 8,
        "{size}"
    );
}

/// Mines to our address until the first coin can be spent.
fn coin(bitcoind: &Bitcoind, address: &str) -> Coin {
    let blocks = (MATURITY + 1).to_string();
    let mined = bitcoind.ask("", &["generatetoaddress", &blocks, address]);
    let block = bitcoind.ask("", &["getblock", mined[0].as_str().unwrap()]);
    let txid = block["tx"][0].as_str().unwrap().parse().unwrap();
    let unspent = bitcoind.ask("watching", &["listunspent"]);
    let amount = &unspent[0]["amount"];
    assert_eq!(unspent[0]["txid"].as_str(), block["tx"][0].as_str());
    let amount = bitcoin::Amount::from_btc(amount.as_f64().unwrap()).unwrap();
    Coin {
        outpoint: OutPoint::new(txid, 0),
        sats: amount.to_sat(),
        chain: Chain::Payments,
        index: 0,
    }
}

/// bitcoind reads the PSBT as we mean it.
fn understood(bitcoind: &Bitcoind, psbt: &str, plan: &dctrl_wallet::Plan) {
    let decoded = bitcoind.ask("", &["decodepsbt", psbt]);
    assert_eq!(decoded["tx"]["txid"], plan.txid.to_string());
    let sats = |value: &Value| {
        bitcoin::Amount::from_btc(value.as_f64().unwrap())
            .unwrap()
            .to_sat()
    };
    assert_eq!(sats(&decoded["fee"]), plan.fee_sats);
    let outputs = decoded["tx"]["vout"].as_array().unwrap();
    assert!(
        outputs
            .iter()
            .any(|output| sats(&output["value"]) == PAID_SATS)
    );
    let analyzed = bitcoind.ask("", &["analyzepsbt", psbt]);
    assert_eq!(analyzed["next"], "signer");
    // Any of the three may sign, and all else is there.
    let missing = &analyzed["inputs"][0]["missing"];
    assert_eq!(
        missing["signatures"].as_array().map(Vec::len),
        Some(3),
        "{analyzed}"
    );
    assert_eq!(
        missing.as_object().map(serde_json::Map::len),
        Some(1),
        "{analyzed}"
    );
    // Its own wallet has nothing to add: every field is there already.
    let updated = bitcoind.ask("watching", &["walletprocesspsbt", psbt, "false", "ALL"]);
    assert_eq!(updated["complete"], false);
}
