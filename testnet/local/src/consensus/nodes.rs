//! The node processes.

use std::{
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Arguments, Switch, signed::Signed};
use crate::{
    ports::{Ports, free_ports},
    process::{Process, STOP_LIMIT},
    programs::Programs,
    wait::POLL,
};

/// How long a node may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Ports of one node; the load's is behind the one for gossip.
const PORTS_PER_NODE: u16 = 10;

/// Running nodes and a connection to each.
pub(super) struct Nodes {
    pub(super) processes: Vec<Process>,
    pub(super) sockets: Vec<TcpStream>,
    _ports: Ports,
}

impl Nodes {
    pub(super) fn start(
        arguments: &Arguments,
        programs: &Programs,
        signed: Option<&Signed>,
        folder: &Path,
    ) -> Result<Self> {
        let ports = free_ports()?;
        let base = ports.base();
        let mut processes = Vec::new();
        for index in 0..arguments.nodes {
            let mut command = Command::new(programs.node());
            command.arg("opaque");
            command.args(["--index", &index.to_string()]);
            command.args(["--nodes", &arguments.nodes.to_string()]);
            command.args(["--base-port", &base.to_string()]);
            command
                .arg("--data")
                .arg(folder.join(format!("node-{index}")));
            let rules = [
                ("--no-sync", arguments.sync == Switch::Off),
                ("--no-encrypt", arguments.encrypt == Switch::Off),
                ("--classic", arguments.classic),
                ("--direct", arguments.direct),
                ("--no-unanimity", arguments.no_unanimity),
            ];
            command.args(rules.iter().filter(|(_, on)| *on).map(|(name, _)| name));
            if let Some(signed) = signed {
                command.arg("--genesis").arg(&signed.genesis);
                command.args(["--label-at", &signed.label_at.to_string()]);
            }
            let log = folder.join(format!("node-{index}.log"));
            processes.push(Process::start(format!("node {index}"), &command, &log)?);
        }
        let mut sockets = Vec::new();
        for (index, process) in (0..).zip(&mut processes) {
            sockets.push(connect(base + PORTS_PER_NODE * index + 1, process)?);
        }
        Ok(Self {
            processes,
            sockets,
            _ports: ports,
        })
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// Fails where a node has ended.
    pub(super) fn must_live(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::must_live)
    }

    pub(super) fn stop(&mut self) {
        self.processes.iter_mut().for_each(Process::ask_to_stop);
        let begun = Instant::now();
        for process in &mut self.processes {
            while process.is_alive() && begun.elapsed() < STOP_LIMIT {
                thread::sleep(POLL);
            }
            if process.is_alive() {
                process.kill();
            }
        }
    }
}

fn connect(port: u16, process: &mut Process) -> Result<TcpStream> {
    let begun = Instant::now();
    loop {
        process.must_live()?;
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) if begun.elapsed() > START_LIMIT => {
                return Err(error).with_context(|| format!("{} does not listen", process.name()));
            }
            Err(_) => thread::sleep(POLL),
        }
    }
}
