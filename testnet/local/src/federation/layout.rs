//! Where a federation's files and ports are: the layout that
//! `dctrl testnet init` documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{API_PORT, BUS_PORT, DOOR_PORT, Federation, GOSSIP_PORT, MACHINE, NODE_PORTS};
use crate::{cli::Cli, trace::Trace};

impl Federation {
    /// The pin trace of the machine.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.trace_of(MACHINE)
    }

    /// The pin trace of a machine, where there are more than the first.
    #[must_use]
    pub fn trace_of(&self, machine: &str) -> Trace {
        Trace::new(self.machine_dir(machine).join("actuator.trace"))
    }

    /// The command line with this federation's settings.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli::new(self.programs.cli()).with_config(self.cli_config())
    }

    /// The settings file of the command line.
    #[must_use]
    pub fn cli_config(&self) -> PathBuf {
        self.dir.join("dctrl.toml")
    }

    /// The folder of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of one node.
    #[must_use]
    pub fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{}", node + 1))
    }

    /// The folder of the machine's agent.
    #[must_use]
    pub fn agent_dir(&self) -> PathBuf {
        self.machine_dir(MACHINE)
    }

    /// The folder of a machine's agent.
    #[must_use]
    pub fn machine_dir(&self, machine: &str) -> PathBuf {
        self.dir.join(format!("machine-{machine}"))
    }

    /// The log of one node.
    pub fn node_log(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{}.log", node + 1))
    }

    /// Every log file that there is.
    #[must_use]
    pub fn logs(&self) -> Vec<PathBuf> {
        let mut logs: Vec<PathBuf> = fs::read_dir(&self.dir)
            .map(|entries| {
                entries
                    .filter_map(Result::ok)
                    .map(|entry| entry.path())
                    .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
                    .collect()
            })
            .unwrap_or_default();
        logs.sort_unstable();
        logs
    }

    /// The first of the federation's ports.
    #[must_use]
    pub fn base_port(&self) -> u16 {
        self.ports.base()
    }

    /// Ports of one node: gossip, bus, door and API.
    #[must_use]
    pub fn node_ports(&self, node: u16) -> [u16; 4] {
        [GOSSIP_PORT, BUS_PORT, DOOR_PORT, API_PORT]
            .map(|offset| self.ports.base() + NODE_PORTS * node + offset)
    }
}
