//! Signed actions as load: a machine's heartbeats, each with its own request
//! id and nonce, signed before the clock starts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use dctrl_access::Identity;
use dctrl_proto::{
    genesis::cluster_id,
    v1::{Genesis, MachineHeartbeat},
};
use prost::Message;

use super::{Arguments, load::Stream};
use crate::{ports::free_ports, programs::Programs};

/// How long an action is good: longer than any run.
const LIFETIME_MS: u64 = 4 * 3_600_000;

/// The machine that `dctrl testnet init` registers, and its first life.
const MACHINE: &str = "m1";
const INCARNATION: u32 = 1;

/// What the nodes' ledger needs.
pub(super) struct Signed {
    pub(super) genesis: PathBuf,
    /// Where in an encoded action its request id is.
    pub(super) label_at: usize,
    machine: Identity,
    cluster: [u8; 32],
}

impl Signed {
    /// Makes a genesis and the machine's key.
    pub(super) fn prepare(arguments: &Arguments, programs: &Programs, dir: &Path) -> Result<Self> {
        let mut command = Command::new(programs.cli());
        command.args(["testnet", "init", "--dir"]).arg(dir);
        command.args(["--nodes", &arguments.nodes.to_string()]);
        command.args(["--base-port", &free_ports()?.base().to_string()]);
        let made = command.output().context("cannot start dctrl")?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(
            made.status.success(),
            "`dctrl testnet init`: {}",
            said.trim()
        );
        let path = dir.join("genesis.json");
        let genesis: Genesis = serde_json::from_slice(&fs::read(&path)?)?;
        let mut signed = Self {
            cluster: cluster_id(&genesis),
            machine: Identity::load(&dir.join(format!("machine-{MACHINE}/agent.key")))?,
            genesis: path,
            label_at: 0,
        };
        let id = [0xA5; 16];
        let bytes = signed.action(id, now_ms() + LIFETIME_MS);
        let places = bytes.windows(id.len());
        let at = places.enumerate().find(|(_, window)| *window == id);
        signed.label_at = at.context("an action does not hold its request id")?.0;
        Ok(signed)
    }

    fn action(&self, request_id: [u8; 16], expires_at_ms: u64) -> Vec<u8> {
        let heartbeat = MachineHeartbeat {
            machine_id: MACHINE.to_owned(),
            incarnation: INCARNATION,
            nonce: request_id.to_vec(),
            ready: true,
            detail: String::new(),
        };
        let machine = &self.machine;
        let action = machine.sign_action(&self.cluster, request_id, expires_at_ms, &heartbeat);
        action.encode_to_vec()
    }

    /// All actions of these streams, in the order in which they are due. The
    /// label of each is when it is due, from the first stream's start on.
    pub(super) fn actions(&self, streams: &[Stream], start_ns: u64) -> Vec<Vec<Vec<u8>>> {
        let expires_at_ms = now_ms() + LIFETIME_MS;
        let all = |node: usize, stream: &Stream| {
            let due = (0..).map(|number| stream.due_ns(number));
            let due = due.take_while(|due_ns| *due_ns < stream.end_ns);
            due.map(|due_ns| {
                let mut id = [0; 16];
                id[..8].copy_from_slice(&(due_ns - start_ns).to_le_bytes());
                id[8] = u8::try_from(node).unwrap_or(u8::MAX);
                self.action(id, expires_at_ms)
            })
            .collect()
        };
        thread::scope(|scope| {
            let threads: Vec<_> = streams
                .iter()
                .enumerate()
                .map(|(node, stream)| scope.spawn(move || all(node, stream)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(Result::unwrap_or_default).collect()
        })
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
