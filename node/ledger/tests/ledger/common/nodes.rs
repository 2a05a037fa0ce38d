//! Changes of the nodes, by the seeds of their keys.

use dctrl_ledger::query;
use dctrl_proto::proposal::proposal_digest;
use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{
    Node, NodeAdd, NodeApprove, NodeChange, NodeLeave, NodePropose, NodeReincarnate, NodeRemove,
    NodeReplace, NodeRoster, NodeWithdraw, Refusal,
};

use super::{Federation, Key, NODES, OPERATOR};

pub(crate) const ALPHA: u8 = NODES[0];
pub(crate) const BRAVO: u8 = NODES[1];
pub(crate) const CHARLIE: u8 = NODES[2];
pub(crate) const DELTA: u8 = NODES[3];
/// Seeds of nodes that are not in the genesis.
pub(crate) const ECHO: u8 = 50;
pub(crate) const FOXTROT: u8 = 51;
pub(crate) const GOLF: u8 = 52;
/// How long a proposal of these tests waits: an hour.
pub(crate) const WAIT_MS: u64 = 3_600_000;

/// The row of a node that joins.
pub(crate) fn row(seed: u8) -> Node {
    let endpoint = |port: u8| format!("tcp://198.51.100.{seed}:70{port:02}");
    Node {
        name: format!("late-{seed}"),
        key: Key::new(seed).public(),
        curve_key: vec![seed + 100; 32],
        gossip_endpoint: endpoint(0),
        bus_endpoint: endpoint(1),
        door_endpoint: endpoint(2),
    }
}

pub(crate) fn add(seed: u8) -> Kind {
    Kind::Add(NodeAdd {
        node: Some(row(seed)),
    })
}

pub(crate) fn remove(seed: u8) -> Kind {
    Kind::Remove(NodeRemove {
        key: Key::new(seed).public(),
        evidence: Vec::new(),
    })
}

pub(crate) fn remove_for_fork(seed: u8) -> Kind {
    Kind::Remove(NodeRemove {
        key: Key::new(seed).public(),
        evidence: vec![0xee; 32],
    })
}

pub(crate) fn replace(seed: u8, by: u8) -> Kind {
    Kind::Replace(NodeReplace {
        key: Key::new(seed).public(),
        node: Some(row(by)),
        evidence: Vec::new(),
    })
}

pub(crate) fn reincarnate(seed: u8, incarnation: u32) -> Kind {
    Kind::Reincarnate(NodeReincarnate {
        key: Key::new(seed).public(),
        incarnation,
        new_key: Vec::new(),
        new_curve_key: Vec::new(),
        instance: u64::from(incarnation),
    })
}

impl Federation {
    /// A federation of so many nodes: those of the tests, then `ECHO` and on.
    pub(crate) fn of(nodes: usize) -> Self {
        Self::with(|genesis| {
            genesis.nodes.truncate(nodes);
            let missing = nodes.saturating_sub(NODES.len());
            genesis.nodes.extend((ECHO..).take(missing).map(row));
        })
    }

    pub(crate) fn change(&self, kind: Kind) -> NodeChange {
        NodeChange {
            kind: Some(kind),
            expires_at_ms: self.now_ms + WAIT_MS,
            ..NodeChange::default()
        }
    }

    /// Proposes with the key of `seed`; the proposal's digest.
    pub(crate) fn propose(&mut self, seed: u8, kind: Kind) -> Result<Vec<u8>, Refusal> {
        let change = self.change(kind);
        self.propose_change(seed, change)
    }

    /// The same, even where too few nodes are known to work.
    pub(crate) fn force(&mut self, seed: u8, kind: Kind) -> Result<Vec<u8>, Refusal> {
        let mut change = self.change(kind);
        change.force = true;
        self.propose_change(seed, change)
    }

    pub(crate) fn propose_change(
        &mut self,
        seed: u8,
        change: NodeChange,
    ) -> Result<Vec<u8>, Refusal> {
        let digest = proposal_digest(&self.cluster, &change).to_vec();
        let propose = NodePropose {
            change: Some(change),
        };
        let subject = self.submit(seed, &propose)?;
        assert_eq!(subject, hex::encode(&digest));
        Ok(digest)
    }

    pub(crate) fn approve(&mut self, seed: u8, digest: &[u8]) -> Result<String, Refusal> {
        let proposal = digest.to_vec();
        self.submit(seed, &NodeApprove { proposal })
    }

    pub(crate) fn withdraw(&mut self, seed: u8, digest: &[u8]) -> Result<String, Refusal> {
        let proposal = digest.to_vec();
        self.submit(seed, &NodeWithdraw { proposal })
    }

    pub(crate) fn leave(&mut self, seed: u8, name: &str) -> Result<String, Refusal> {
        let name = name.to_owned();
        self.submit(
            seed,
            &NodeLeave {
                name,
                ..NodeLeave::default()
            },
        )
    }

    /// The operator proposes, and these nodes approve, one block each.
    pub(crate) fn decide(&mut self, kind: Kind, approvers: &[u8]) -> Vec<u8> {
        let digest = self.propose(OPERATOR, kind).unwrap();
        for seed in approvers {
            self.approve(*seed, &digest).unwrap();
        }
        digest
    }

    /// What the latest block made of the nodes.
    pub(crate) fn next_roster(&self) -> Option<NodeRoster> {
        self.last.as_ref().unwrap().next_roster.clone()
    }

    pub(crate) fn roster(&self) -> NodeRoster {
        query::roster(&self.state)
    }

    /// Names of the present nodes, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.roster())
    }
}

pub(crate) fn names(roster: &NodeRoster) -> Vec<String> {
    let nodes = roster.nodes.iter();
    nodes.map(|one| one.node.clone().unwrap().name).collect()
}

/// The rule of a refusal.
pub(crate) fn rule<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().rule
}
