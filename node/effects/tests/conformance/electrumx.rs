//! A real ElectrumX over a bitcoind.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::bitcoind::{Bitcoind, free_ports};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct ElectrumX {
    _data: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl ElectrumX {
    pub(crate) fn start(bitcoind: &Bitcoind) -> Self {
        let program = std::env::var_os("DCTRL_ELECTRUMX")
            .expect("DCTRL_ELECTRUMX is not set: run this test by `cargo xtask test`");
        let data = tempfile::tempdir().unwrap();
        let [port, rpc_port] = free_ports();
        let child = Command::new(program)
            .env("COIN", "Bitcoin")
            .env("NET", "regtest")
            .env("DB_ENGINE", "leveldb")
            .env("DB_DIRECTORY", data.path())
            .env("DAEMON_URL", bitcoind.url())
            .env(
                "SERVICES",
                format!("tcp://127.0.0.1:{port},rpc://127.0.0.1:{rpc_port}"),
            )
            .env("DAEMON_POLL_INTERVAL_BLOCKS", "200")
            .env("DAEMON_POLL_INTERVAL_MEMPOOL", "200")
            .env("COST_SOFT_LIMIT", "0")
            .env("COST_HARD_LIMIT", "0")
            .env("PEER_DISCOVERY", "")
            .env("ALLOW_ROOT", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let electrumx = Self {
            _data: data,
            port,
            child,
        };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "ElectrumX does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        electrumx
    }

    pub(crate) fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }
}

impl Drop for ElectrumX {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
