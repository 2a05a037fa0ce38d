//! A real bitcoind on regtest, driven by its RPC.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use dctrl_effects::chain::{BitcoindConfig, Credentials, Hash};
use serde_json::{Value, json};

use crate::World;

const PATIENCE: Duration = Duration::from_secs(60);
/// How often a payment is tried.
const PAYMENTS_MAX: u32 = 5;
const USER: &str = "test";
const PASSWORD: &str = "test";

pub(crate) struct Bitcoind {
    _data: tempfile::TempDir,
    rpc_port: u16,
    zmq_port: u16,
    child: Child,
}

/// Asks a bitcoind; its answer, or its error.
#[derive(Clone)]
pub(crate) struct Rpc {
    port: u16,
}

impl Rpc {
    pub(crate) fn ask(&self, method: &str, params: Value) -> Result<Value, String> {
        let body = json!({"jsonrpc": "1.0", "id": 1, "method": method, "params": params});
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let mut answer = agent
            .post(format!("http://127.0.0.1:{}", self.port))
            .header("Authorization", format!("Basic {login}"))
            .send(body.to_string())
            .map_err(|error| error.to_string())?;
        let text = answer.body_mut().with_config().limit(64 << 20);
        let text = text.read_to_string().map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => Err(error.to_string()),
        }
    }
}

/// Free ports, no two the same: all are held until the last one is found.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|one| one.local_addr().unwrap().port())
}

impl Bitcoind {
    pub(crate) fn start() -> Self {
        let programs = std::env::var_os("DCTRL_BITCOIND")
            .expect("DCTRL_BITCOIND is not set: run this test by `cargo xtask test`");
        let data = tempfile::tempdir().unwrap();
        let [rpc_port, zmq_port] = free_ports();
        let child = Command::new(PathBuf::from(programs).join("bitcoind"))
            .args(["-regtest", "-server", "-listen=0", "-txindex"])
            .args(["-fallbackfee=0.0001", "-rpcworkqueue=64"])
            .arg(format!("-datadir={}", data.path().display()))
            .arg(format!("-rpcport={rpc_port}"))
            .arg(format!("-rpcuser={USER}"))
            .arg(format!("-rpcpassword={PASSWORD}"))
            .args(
                ["rawtx", "hashblock", "sequence"]
                    .map(|topic| format!("-zmqpub{topic}=tcp://127.0.0.1:{zmq_port}")),
            )
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let bitcoind = Self {
            _data: data,
            rpc_port,
            zmq_port,
            child,
        };
        let deadline = Instant::now() + PATIENCE;
        while bitcoind.rpc().ask("getblockcount", json!([])).is_err() {
            assert!(Instant::now() < deadline, "bitcoind does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        bitcoind.ask("createwallet", json!(["w"]));
        bitcoind.mine(110);
        bitcoind
    }

    pub(crate) fn rpc(&self) -> Rpc {
        Rpc {
            port: self.rpc_port,
        }
    }

    /// With user and password.
    pub(crate) fn url(&self) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}/", self.rpc_port)
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.rpc().ask(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(crate) fn config(&self) -> BitcoindConfig {
        let zmq = Some(format!("tcp://127.0.0.1:{}", self.zmq_port));
        BitcoindConfig {
            key: "chain".to_owned(),
            url: format!("http://127.0.0.1:{}", self.rpc_port),
            credentials: Credentials::Password {
                user: USER.to_owned(),
                password: PASSWORD.to_owned(),
            },
            zmq_rawtx: zmq.clone(),
            zmq_hashblock: zmq.clone(),
            zmq_sequence: zmq,
        }
    }
}

impl World for Bitcoind {
    fn address(&self) -> String {
        let address = self.ask("getnewaddress", json!([]));
        address.as_str().unwrap().to_owned()
    }

    fn pay(&self, address: &str, sats: u64) {
        let amount = format!("0.{sats:08}");
        for _ in 0..PAYMENTS_MAX {
            // The wallet learns later than the node what is spent, and keeps a
            // payment that the mempool does not take.
            self.ask("syncwithvalidationinterfacequeue", json!([]));
            let txid = self.ask("sendtoaddress", json!([address, amount]));
            match self.rpc().ask("getmempoolentry", json!([txid])) {
                Ok(_) => return,
                Err(error) => eprintln!("a payment was not taken: {error}"),
            }
            self.ask("abandontransaction", json!([txid]));
        }
        panic!("no payment of {PAYMENTS_MAX} came into the mempool");
    }

    fn mine(&self, blocks: u32) {
        let address = self.address();
        self.ask("generatetoaddress", json!([blocks, address]));
    }

    fn reorganise(&self, depth: u32) {
        let height = self.ask("getblockcount", json!([])).as_u64().unwrap();
        let lowest = height + 1 - u64::from(depth);
        let hash = self.ask("getblockhash", json!([lowest]));
        self.ask("invalidateblock", json!([hash]));
        // Empty blocks: what waits stays waiting.
        let address = self.address();
        for _ in 0..=depth {
            self.ask("generateblock", json!([address, []]));
        }
    }

    fn coin(&self) -> (Hash, u32) {
        let address = self.address();
        let txid = self.ask("sendtoaddress", json!([address, "0.00100000"]));
        self.mine(1);
        let paid = self.ask("getrawtransaction", json!([txid, true]));
        let outputs = paid["vout"].as_array().unwrap();
        let pays = |one: &&Value| one["scriptPubKey"]["address"] == address.as_str();
        let vout = outputs.iter().find(pays).unwrap()["n"].as_u64().unwrap();
        let txid = hex::decode(txid.as_str().unwrap()).unwrap();
        (
            Hash::from_slice(&txid).unwrap(),
            u32::try_from(vout).unwrap(),
        )
    }

    fn spend(&self, (txid, vout): (Hash, u32), sats: u64) -> Vec<u8> {
        let mut pays = serde_json::Map::new();
        pays.insert(self.address(), json!(format!("0.{sats:08}")));
        let spent = json!([{"txid": txid.to_string(), "vout": vout}]);
        let raw = self.ask("createrawtransaction", json!([spent, [pays]]));
        let signed = self.ask("signrawtransactionwithwallet", json!([raw]));
        hex::decode(signed["hex"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
