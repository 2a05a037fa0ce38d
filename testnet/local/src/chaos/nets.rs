//! A network for each node: a network namespace of its own, joined to ours by
//! one cable, so that links fail as the kernel lets them fail. A node whose
//! cable is pulled gets no farewell of anybody, and what is lost on one way is
//! lost although the other way works.
//!
//! Nodes reach each other through the relays, which stand in our namespace. A
//! node's own doors are reached from here through [`doors`], which open inside
//! of its namespace: its API listens on the loopback alone.
//!
//! Everything is made by `ip` and `nsenter` within a network namespace of the
//! campaign's own ([`super::apart`]), and ends with it.
//!
//! Deliberately absent: loss of single packets and delay by the kernel, which
//! need `netem`; the relays delay.

mod doors;

use std::{
    ffi::OsString,
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use self::doors::Doors;
use crate::process::Process;

/// How long a new namespace may take.
const OPENING_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A node's end of its cable.
const INNER: &str = "dctrl0";

/// The number of a network that is only made to see whether it can be.
const PROBE: usize = 200;

/// Nobody's address: what is sent there is lost.
const NOBODY: &str = "02:00:00:00:00:01";

/// Which way of a cable is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// Both, and both ends see that nothing is plugged in.
    Both,
    /// What the node sends.
    Out,
    /// What is sent to the node.
    In,
}

/// One node's namespace.
#[derive(Debug)]
struct Net {
    node: usize,
    /// Keeps the namespace while no node runs in it.
    holder: Process,
    _doors: Doors,
}

/// The networks of all nodes.
#[derive(Debug)]
pub(super) struct Nets(Vec<Net>);

impl Nets {
    /// Makes a network for each of the nodes, whose `ports` are reached as
    /// loopback ports here, too.
    ///
    /// # Errors
    /// Where `ip` refuses.
    pub(super) fn open(ports: &[[u16; 4]], log: &Path) -> Result<Self> {
        let nets = ports
            .iter()
            .enumerate()
            .map(|(node, ports)| Net::open(node, ports, log));
        nets.collect::<Result<_>>().map(Self)
    }

    /// What to put before a command, so that it runs in the node's network.
    pub(super) fn prefix(&self, node: usize) -> Vec<OsString> {
        vec!["nsenter".into(), self.0[node].enter(), "--".into()]
    }

    /// Loses one way of a node's cable, or both.
    ///
    /// # Errors
    /// Where `ip` refuses.
    pub(super) fn lose(&self, node: usize, way: Way) -> Result<()> {
        let net = &self.0[node];
        let outer = outer(node);
        match way {
            Way::Both => ip(&["link", "set", &outer, "down"]),
            Way::Out => net.within(&neighbour("replace", ours(node), INNER, true)),
            Way::In => ip(&neighbour("replace", theirs(node), &outer, true)),
        }
    }

    /// Gives back what [`Self::lose`] has taken.
    ///
    /// # Errors
    /// Where `ip` refuses.
    pub(super) fn give_back(&self, node: usize, way: Way) -> Result<()> {
        let net = &self.0[node];
        let outer = outer(node);
        match way {
            Way::Both => ip(&["link", "set", &outer, "up"]),
            Way::Out => net.within(&neighbour("del", ours(node), INNER, false)),
            Way::In => ip(&neighbour("del", theirs(node), &outer, false)),
        }
    }
}

impl Net {
    fn open(node: usize, ports: &[u16], log: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", "infinity"]);
        let holder = Process::start(format!("network {node}"), &command, log)?;
        let inner = namespace(holder.id());
        let ours = fs::read_link("/proc/self/ns/net")?;
        let begun = Instant::now();
        // Until `unshare` has done its work it is still in our own.
        while fs::read_link(&inner).map_or(true, |found| found == ours) {
            ensure!(begun.elapsed() < OPENING_LIMIT, "no namespace comes");
            std::thread::sleep(LOOK);
        }
        let outer = outer(node);
        let id = holder.id().to_string();
        ip(&[
            "link", "add", &outer, "type", "veth", "peer", "name", INNER, "netns", &id,
        ])?;
        let net = Self {
            node,
            _doors: Doors::open(&inner, ports)?,
            holder,
        };
        ip(&[
            "address",
            "add",
            &with_mask(self::ours(node)),
            "dev",
            &outer,
        ])?;
        ip(&["link", "set", &outer, "up"])?;
        net.within(&["link", "set", "lo", "up"])?;
        net.within(&["address", "add", &with_mask(theirs(node)), "dev", INNER])?;
        net.within(&["link", "set", INNER, "up"])?;
        Ok(net)
    }

    fn enter(&self) -> OsString {
        format!("--net={}", namespace(self.holder.id())).into()
    }

    /// `ip` inside of the node's namespace.
    fn within<S: AsRef<str>>(&self, arguments: &[S]) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(self.enter()).args(["--", "ip"]);
        run(command, arguments).with_context(|| format!("in the network of node {}", self.node))
    }
}

/// Our end of a node's cable.
pub(super) fn ours(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, number(node), 1)
}

/// The node's end.
pub(super) fn theirs(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, number(node), 2)
}

fn number(node: usize) -> u8 {
    u8::try_from(node).unwrap_or(u8::MAX)
}

fn with_mask(address: Ipv4Addr) -> String {
    format!("{address}/24")
}

fn outer(node: usize) -> String {
    format!("dctrl-n{node}")
}

fn namespace(process: u32) -> String {
    format!("/proc/{process}/ns/net")
}

/// Says where a neighbour is, or forgets it.
fn neighbour(verb: &str, address: Ipv4Addr, device: &str, lost: bool) -> Vec<String> {
    let mut words: Vec<String> = ["neigh", verb, &address.to_string(), "dev", device]
        .map(str::to_owned)
        .to_vec();
    if lost {
        words.extend(["lladdr", NOBODY, "nud", "permanent"].map(str::to_owned));
    }
    words
}

fn ip<S: AsRef<str>>(arguments: &[S]) -> Result<()> {
    run(Command::new("ip"), arguments)
}

fn run<S: AsRef<str>>(mut command: Command, arguments: &[S]) -> Result<()> {
    let output = command
        .args(arguments.iter().map(AsRef::as_ref))
        .output()
        .context("`ip` cannot be run")?;
    if output.status.success() {
        return Ok(());
    }
    let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    bail!(
        "ip {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// Makes a network and takes it apart again; from here on the loopback works.
///
/// # Errors
/// Where that does not work.
pub(super) fn probe() -> Result<()> {
    // A new namespace has a loopback that is down.
    ip(&["link", "set", "lo", "up"])?;
    // The cable goes with the namespace that it leads to.
    Net::open(PROBE, &[], Path::new("/dev/null")).map(drop)
}
