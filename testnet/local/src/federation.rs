//! A federation of processes: made, started, asked and stopped.

mod ask;
mod layout;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    chain::{self, Chain, ChainKind},
    cli::Cli,
    client::Client,
    ports::{Ports, free_ports},
    process::{Process, STOP_LIMIT},
    programs::Programs,
    wait::until,
};

/// The machine that `dctrl testnet init` registers.
pub const MACHINE: &str = "m1";
/// Its slot with a price in satoshi.
pub const SLOT_SATS: &str = "A1";
/// Its slot with a price in euro.
pub const SLOT_FIAT: &str = "A2";
/// Its empty slot.
pub const SLOT_EMPTY: &str = "A3";

/// Names of the nodes, by index.
pub const NODE_NAMES: [&str; 10] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
];

/// How long the federation may take until it sells.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// Ports of one node, and the API's among them; part of the layout that
/// `dctrl testnet init` documents.
const NODE_PORTS: u16 = 10;
const GOSSIP_PORT: u16 = 0;
const BUS_PORT: u16 = 1;
const DOOR_PORT: u16 = 2;
const API_PORT: u16 = 3;

/// What to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many nodes, 1 to 10; fewer than 4 survive no failure.
    pub nodes: u16,
    /// Where bitcoin comes from.
    pub chain: ChainKind,
    /// Largest price sold on an unconfirmed payment, satoshi.
    pub zero_conf_sats_max: u64,
    /// How long an unconfirmed payment must have been seen, milliseconds; the
    /// standard time where it is not given.
    pub zero_conf_wait_ms: Option<u32>,
    /// Folder of `bitcoind`, where it is not found by itself.
    pub bitcoind: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 4,
            chain: ChainKind::Simulated,
            zero_conf_sats_max: 0,
            zero_conf_wait_ms: None,
            bitcoind: None,
        }
    }
}

/// The processes of one federation and the folder they live in.
#[derive(Debug)]
pub struct Federation {
    options: Options,
    programs: Programs,
    dir: PathBuf,
    ports: Ports,
    /// What is put before a node's command.
    prefixes: BTreeMap<usize, Vec<OsString>>,
    // Dropped in this order: the agent first, the chain last.
    agent: Option<Process>,
    nodes: Vec<Option<Process>>,
    chain: Option<Chain>,
    clients: Vec<Client>,
}

impl Federation {
    /// Makes keys, genesis and settings in `dir` with `dctrl testnet init`;
    /// starts nothing.
    ///
    /// # Errors
    /// Where `dir` is in use or the command refuses.
    pub async fn init(options: Options, programs: Programs, dir: &Path) -> Result<Self> {
        ensure!(
            (1..=NODE_NAMES.len()).contains(&usize::from(options.nodes)),
            "a federation here has 1 to {} nodes",
            NODE_NAMES.len()
        );
        let ports = free_ports()?;
        let base_port = ports.base();
        let mut arguments: Vec<OsString> = ["testnet", "init", "--dir"].map(Into::into).to_vec();
        arguments.push(dir.into());
        for (name, value) in [
            ("--nodes", options.nodes.to_string()),
            ("--chain", options.chain.as_argument().to_owned()),
            ("--base-port", base_port.to_string()),
            (
                "--zero-conf-sats-max",
                options.zero_conf_sats_max.to_string(),
            ),
        ] {
            arguments.extend([name.into(), value.into()]);
        }
        if let Some(wait_ms) = options.zero_conf_wait_ms {
            arguments.extend(["--zero-conf-wait-ms".into(), wait_ms.to_string().into()]);
        }
        if options.chain == ChainKind::Bitcoind {
            arguments.extend(chain::init_arguments(dir, base_port));
        }
        let said = Cli::new(programs.cli()).run(&arguments).await?;
        said.ok().context("`dctrl testnet init` refused")?;
        let clients = (0..options.nodes)
            .map(|node| Client::new(&url(base_port, node)))
            .collect::<Result<_>>()?;
        Ok(Self {
            nodes: (0..options.nodes).map(|_| None).collect(),
            options,
            programs,
            dir: dir.to_path_buf(),
            ports,
            prefixes: BTreeMap::new(),
            agent: None,
            chain: None,
            clients,
        })
    }

    /// Starts the chain, all nodes and the agent, and waits until the machine
    /// sells.
    ///
    /// # Errors
    /// Where one of them ends, or the federation is not ready in time.
    pub async fn start(&mut self) -> Result<()> {
        self.start_with(&[]).await
    }

    /// Starts the chain, all nodes and the agent, the agent with settings of
    /// its own; waits until the machine sells.
    ///
    /// # Errors
    /// Where one of them does not come up.
    pub async fn start_with(&mut self, agent_environment: &[(&str, &str)]) -> Result<()> {
        self.start_chain().await?;
        for node in 0..self.len() {
            self.start_node(node)?;
        }
        self.nodes_ready().await?;
        self.start_agent(agent_environment)?;
        self.sells().await
    }

    /// Starts the chain.
    ///
    /// # Errors
    /// Where it does not come up.
    pub async fn start_chain(&mut self) -> Result<()> {
        let chain = Chain::start(
            self.options.chain,
            &self.programs,
            self.options.bitcoind.as_deref(),
            &self.dir,
            self.ports.base(),
        )
        .await?;
        self.chain = Some(chain);
        Ok(())
    }

    /// Starts, or starts again, one node.
    ///
    /// # Errors
    /// Where the program is missing.
    pub fn start_node(&mut self, node: usize) -> Result<()> {
        let command = self.node_command(node);
        self.start_node_by(node, &command)
    }

    /// Starts one node with something of its own in its environment, such as a
    /// crash point.
    ///
    /// # Errors
    /// Where the program is missing.
    pub fn start_node_with(&mut self, node: usize, environment: &[(&str, &str)]) -> Result<()> {
        let mut command = self.node_command(node);
        command.envs(environment.iter().copied());
        self.start_node_by(node, &command)
    }

    /// Starts one node, which hands in so many actions itself.
    ///
    /// # Errors
    /// Where the program is missing.
    pub fn start_node_filled(&mut self, node: usize, actions: u64) -> Result<()> {
        let mut command = self.node_command(node);
        command.args(["--fill", &actions.to_string(), "--fill-key"]);
        command.arg(self.dir.join("keys").join("operator.key"));
        self.start_node_by(node, &command)
    }

    /// Writes a history of so many actions into the folder of the only node, and
    /// waits until that is done.
    ///
    /// # Errors
    /// Where the program ends otherwise, or not in time.
    pub async fn fill_node(&mut self, node: usize, actions: u64, limit: Duration) -> Result<()> {
        let mut command = Command::new(self.programs.node());
        command.args(["fill", "--actions", &actions.to_string(), "--config"]);
        command.arg(self.node_dir(node).join("node.toml"));
        command.arg("--key");
        command.arg(self.dir.join("keys").join("operator.key"));
        self.start_node_by(node, &command)?;
        let process = self.nodes[node].as_mut().context("it was started")?;
        let status = until(limit, "the node to be filled", async || process.ended()).await?;
        ensure!(status.success(), "the filling ended with {status}");
        Ok(())
    }

    /// Puts words before the command of one node, which become its program
    /// without another process: it starts within what they prepare.
    pub fn prefix_node(&mut self, node: usize, words: Vec<OsString>) {
        self.prefixes.insert(node, words);
    }

    fn node_command(&self, node: usize) -> Command {
        let mut words = self.prefixes.get(&node).into_iter().flatten();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(self.programs.node());
                command
            }
            None => Command::new(self.programs.node()),
        };
        command.args(["run", "--config"]);
        command.arg(self.node_dir(node).join("node.toml"));
        command
    }

    fn start_node_by(&mut self, node: usize, command: &Command) -> Result<()> {
        let name = format!("node {}", NODE_NAMES[node]);
        let process = Process::start(name, command, &self.node_log(node))?;
        self.nodes[node] = Some(process);
        Ok(())
    }

    /// Starts, or starts again, the machine's agent.
    ///
    /// # Errors
    /// Where the program is missing.
    pub fn start_agent(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        // The old one must be gone before two could hold the same journal.
        self.agent = None;
        let process = Process::start(
            "machine agent",
            Command::new(self.programs.agent())
                .arg("--config")
                .arg(self.agent_dir().join("agent.toml"))
                .envs(environment.iter().copied()),
            &self.dir.join("agent.log"),
        )?;
        self.agent = Some(process);
        Ok(())
    }

    /// Waits until every running node answers.
    ///
    /// # Errors
    /// Where a process ends or the time is up.
    pub async fn nodes_ready(&mut self) -> Result<()> {
        let live: Vec<usize> = self.live().collect();
        for node in live {
            let client = self.clients[node].clone();
            let name = NODE_NAMES[node];
            let process = self.nodes[node].as_mut().context("the node was stopped")?;
            until(READY_LIMIT, format!("node {name} to answer"), async || {
                // A node that refuses to start never answers.
                process.must_live()?;
                client.status().await.map(|_| Some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until the machine can be sold from.
    ///
    /// # Errors
    /// Where a process ends or the time is up.
    pub async fn sells(&mut self) -> Result<()> {
        let client = self.client()?;
        let mut last = String::new();
        let found = until(READY_LIMIT, "the machine to be sellable", async || {
            if let Some(agent) = self.agent.as_mut() {
                agent.must_live()?;
            }
            let view = client.machine(MACHINE).await?;
            last = view.not_sellable;
            Ok(last.is_empty().then_some(()))
        })
        .await;
        found.with_context(|| format!("the nodes say: {last}"))
    }

    /// Stops everything in order: the agent, the nodes, the chain. Each is
    /// asked first, and killed when it does not end in time.
    pub async fn stop(&mut self) -> Vec<String> {
        let mut killed = Vec::new();
        if let Some(mut agent) = self.agent.take() {
            agent.ask_to_stop();
            if agent.stopped(STOP_LIMIT).await.is_none() {
                killed.push(agent.name().to_owned());
            }
        }
        for node in self.nodes.iter_mut().flatten() {
            node.ask_to_stop();
        }
        for node in &mut self.nodes {
            if let Some(mut node) = node.take()
                && node.stopped(STOP_LIMIT).await.is_none()
            {
                killed.push(node.name().to_owned());
            }
        }
        if let Some(mut chain) = self.chain.take() {
            let process = chain.process();
            process.ask_to_stop();
            if process.stopped(STOP_LIMIT).await.is_none() {
                killed.push(process.name().to_owned());
            }
        }
        killed
    }

    /// Ends a node at once, as a power cut would.
    pub fn kill_node(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// Ends several nodes at once, as a power cut that hits all of them.
    pub fn kill_nodes(&mut self, nodes: &[usize]) {
        for node in nodes {
            if let Some(process) = self.node(*node) {
                process.strike();
            }
        }
        for node in nodes {
            self.kill_node(*node);
        }
    }

    /// Ends the agent at once.
    pub fn kill_agent(&mut self) {
        self.agent = None;
    }

    /// Number of nodes, running or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a federation has at least one node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Nodes that may fail or lie.
    #[must_use]
    pub fn faults(&self) -> usize {
        (self.len() - 1) / 3
    }

    /// Indices of the nodes that we run.
    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(node, process)| process.as_ref().map(|_| node))
    }

    /// A client of the first node that runs.
    ///
    /// # Errors
    /// Where none runs.
    pub fn client(&self) -> Result<Client> {
        let node = self.live().next().context("no node runs")?;
        Ok(self.clients[node].clone())
    }

    /// A client of one node.
    #[must_use]
    pub fn client_of(&self, node: usize) -> Client {
        self.clients[node].clone()
    }

    /// The programs that it runs.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The running chain.
    ///
    /// # Errors
    /// Where none runs.
    pub fn chain(&self) -> Result<&Chain> {
        self.chain.as_ref().context("no chain runs")
    }

    /// The agent's process, where it runs.
    pub fn agent(&mut self) -> Option<&mut Process> {
        self.agent.as_mut()
    }

    /// One node's process, where it runs.
    pub fn node(&mut self, node: usize) -> Option<&mut Process> {
        self.nodes.get_mut(node).and_then(Option::as_mut)
    }
}

/// URL of a node's API.
fn url(base_port: u16, node: u16) -> String {
    format!(
        "http://127.0.0.1:{}",
        base_port + NODE_PORTS * node + API_PORT
    )
}
