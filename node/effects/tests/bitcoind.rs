//! Against a real bitcoind on regtest. `DCTRL_BITCOIND` names the folder of the
//! programs `bitcoind` and `bitcoin-cli`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of a test: what fails here fails the test"
)]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dctrl_effects::chain::{
    Backend, Backends, BitcoindConfig, ChainAdaptor, ChainError, ChainSource, Credentials, Hash,
    Hint, Hints, Tip,
};
use dctrl_proto::v1::PaymentDoubts;

/// How long bitcoind may take for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const REGTEST: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

struct Bitcoind {
    programs: PathBuf,
    data: tempfile::TempDir,
    rpc_port: u16,
    zmq_port: u16,
    child: Child,
}

fn program(programs: &Path, name: &str) -> Command {
    Command::new(programs.join(name))
}

/// Free ports, no two the same: all are held until the last one is found.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|one| one.local_addr().unwrap().port())
}

impl Bitcoind {
    fn start() -> Self {
        let programs = std::env::var_os("DCTRL_BITCOIND")
            .expect("DCTRL_BITCOIND is not set: run this test by `cargo xtask test`");
        let programs = PathBuf::from(programs);
        let data = tempfile::tempdir().unwrap();
        let [rpc_port, zmq_port] = free_ports();
        let child = spawn(&programs, data.path(), rpc_port, zmq_port);
        let bitcoind = Self {
            programs,
            data,
            rpc_port,
            zmq_port,
            child,
        };
        bitcoind.wait_until_up();
        bitcoind.cli(&["createwallet", "w"]);
        bitcoind
    }

    fn wait_until_up(&self) {
        let adaptor = self.adaptor();
        until("bitcoind answers", || adaptor.tip().ok());
    }

    fn cli(&self, arguments: &[&str]) -> String {
        let output = program(&self.programs, "bitcoin-cli")
            .arg("-regtest")
            .arg(format!("-datadir={}", self.data.path().display()))
            .arg(format!("-rpcport={}", self.rpc_port))
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn mine(&self, blocks: u32) {
        let address = self.cli(&["getnewaddress"]);
        self.cli(&["generatetoaddress", &blocks.to_string(), &address]);
    }

    fn config(&self) -> BitcoindConfig {
        let zmq = Some(format!("tcp://127.0.0.1:{}", self.zmq_port));
        BitcoindConfig {
            key: "chain".to_owned(),
            url: format!("http://127.0.0.1:{}", self.rpc_port),
            credentials: Credentials::Cookie(self.data.path().join("regtest/.cookie")),
            zmq_rawtx: zmq.clone(),
            zmq_hashblock: zmq.clone(),
            zmq_sequence: zmq,
        }
    }

    fn adaptor(&self) -> ChainAdaptor {
        adaptor(self.config())
    }

    fn restart(&mut self) {
        self.cli(&["stop"]);
        self.child.wait().unwrap();
        self.child = spawn(
            &self.programs,
            self.data.path(),
            self.rpc_port,
            self.zmq_port,
        );
        self.wait_until_up();
        self.cli(&["loadwallet", "w"]);
    }
}

fn adaptor(config: BitcoindConfig) -> ChainAdaptor {
    ChainAdaptor::new(&Backends::from(Backend::Bitcoind(config))).unwrap()
}

fn spawn(programs: &Path, data: &Path, rpc_port: u16, zmq_port: u16) -> Child {
    program(programs, "bitcoind")
        .arg("-regtest")
        .arg("-server")
        .arg("-listen=0")
        .arg("-fallbackfee=0.0001")
        .arg(format!("-datadir={}", data.display()))
        .arg(format!("-rpcport={rpc_port}"))
        .args(
            ["rawtx", "hashblock", "sequence"]
                .map(|topic| format!("-zmqpub{topic}=tcp://127.0.0.1:{zmq_port}")),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn hint(hints: &mut Hints, what: &str, wanted: impl Fn(&Hint) -> bool) {
    until(what, || {
        hints
            .next(Duration::from_secs(1))
            .filter(|hint| wanted(hint))
    });
}

fn hash(text: &str) -> Hash {
    Hash::from_slice(&hex::decode(text).unwrap()).unwrap()
}

#[test]
#[ignore = "needs bitcoind: run by cargo xtask test"]
fn a_real_bitcoind_tells_blocks_payments_replacements_and_reorganisations() {
    let mut bitcoind = Bitcoind::start();
    let adaptor = bitcoind.adaptor();
    let wrong = adaptor.check_genesis(Hash([9; 32]));
    assert!(matches!(wrong, Err(ChainError::WrongChain { .. })));
    assert_eq!(adaptor.check_genesis(hash(REGTEST)), Ok(()));

    let mut hints = adaptor.hints(&zmq::Context::new()).unwrap().remove(0);
    assert!(matches!(hints.next(PATIENCE), Some(Hint::Gap { .. })));
    // A subscription takes a moment, so blocks are mined until one is told.
    until("a block is told", || {
        bitcoind.mine(1);
        hints
            .next(Duration::from_secs(1))
            .filter(|hint| *hint == Hint::Block)
    });
    bitcoind.mine(101);
    let tip = adaptor.tip().unwrap();
    assert!(tip.height >= 102);
    assert_eq!(adaptor.hash_at(tip.height), Ok(tip.hash));
    assert!(matches!(
        adaptor.hash_at(tip.height + 1),
        Err(ChainError::NotFound(_))
    ));
    assert_eq!(
        adaptor.knows_block(Tip {
            height: 1,
            hash: Hash([9; 32])
        }),
        Ok(false)
    );

    let address = bitcoind.cli(&["getnewaddress"]);
    let txid = hash(&bitcoind.cli(&["sendtoaddress", &address, "0.00001500"]));
    hint(&mut hints, "the payment is told", |hint| {
        matches!(hint, Hint::Transaction(paid) if paid.txid == txid
            && paid.outputs.iter().any(|output| output.amount_sats == 1_500))
    });
    assert_eq!(adaptor.mempool(), Ok(vec![txid]));
    assert!(adaptor.mempool_transaction(txid).unwrap().is_some());

    let bumped = bitcoind.cli(&["bumpfee", &txid.to_string()]);
    let bumped: serde_json::Value = serde_json::from_str(&bumped).unwrap();
    let second = hash(bumped["txid"].as_str().unwrap());
    hint(&mut hints, "the replacement is told", |hint| {
        *hint == Hint::Removed(txid)
    });
    assert_eq!(adaptor.in_mempool(txid), Ok(None));
    assert_eq!(
        adaptor.in_mempool(second),
        Ok(Some(PaymentDoubts::default()))
    );

    bitcoind.mine(1);
    let mined = adaptor.tip().unwrap();
    let block = adaptor.block(mined.height, mined.hash).unwrap();
    assert_eq!(block.previous, tip.hash);
    assert!(block.transactions[0].coinbase);
    assert!(block.transactions.iter().any(|one| one.txid == second));

    bitcoind.cli(&["invalidateblock", &mined.hash.to_string()]);
    assert_eq!(adaptor.tip().unwrap(), tip);
    assert_eq!(
        adaptor.in_mempool(second),
        Ok(Some(PaymentDoubts::default()))
    );
    assert_eq!(adaptor.knows_block(mined), Ok(true));

    bitcoind.restart();
    until("blocks are told again", || {
        bitcoind.mine(1);
        let hint = hints.next(Duration::from_secs(1))?;
        matches!(hint, Hint::Block | Hint::Gap { .. }).then_some(())
    });
    assert!(
        adaptor.tip().unwrap().height > tip.height,
        "the new cookie is read"
    );
}

#[test]
#[ignore = "needs bitcoind: run by cargo xtask test"]
fn wrong_credentials_are_told_apart_from_no_bitcoind() {
    let bitcoind = Bitcoind::start();
    let mut config = bitcoind.config();
    config.credentials = Credentials::Password {
        user: "nobody".to_owned(),
        password: "wrong".to_owned(),
    };
    let adaptor = self::adaptor(config);
    assert!(matches!(adaptor.tip(), Err(ChainError::Unauthorised(_))));
    let adaptor = bitcoind.adaptor();
    drop(bitcoind);
    assert!(matches!(adaptor.tip(), Err(ChainError::Unreachable(_))));
}
