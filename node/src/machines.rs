//! Which keys may subscribe to the bus and call at the door: nodes, and the
//! machines that the ledger knows.

use std::collections::BTreeSet;

use dctrl_ledger::{StateRead, query};
use dctrl_net::zap::{AllowList, Domain};
use dctrl_proto::{
    action::Payload,
    v1::{MachineReset, MachineSet, Receipt},
};

use crate::membership::{Membership, MembershipError, curve_key};

/// Machines read from the state at once.
const MACHINES_PER_PAGE: usize = 100;

/// Keeps the allow-list of the bus equal to the ledger.
pub(crate) struct Machines {
    allowed: AllowList,
    /// Nodes of the genesis: their followers may read after they left, too.
    genesis: BTreeSet<[u8; 32]>,
}

impl Machines {
    /// The nodes of the genesis, and the nodes and machines in `state`.
    pub(crate) fn new(
        allowed: AllowList,
        membership: &Membership,
        state: &dyn StateRead,
    ) -> Result<Self, MembershipError> {
        let nodes = membership.genesis.nodes.iter().map(curve_key);
        let machines = Self {
            allowed,
            genesis: nodes.collect::<Result<_, _>>()?,
        };
        machines.refresh(state);
        Ok(machines)
    }

    /// Looks again after a block whose actions may have changed a machine.
    pub(crate) fn after_block(&self, receipts: &[Receipt], state: &dyn StateRead) {
        let changed = receipts.iter().any(|receipt| {
            let name = receipt.name.as_str();
            name.starts_with("node.") || [MachineSet::NAME, MachineReset::NAME].contains(&name)
        });
        if changed {
            self.refresh(state);
        }
    }

    /// Looks at all of them.
    pub(crate) fn refresh(&self, state: &dyn StateRead) {
        let mut keys = self.genesis.clone();
        let nodes = query::roster(state).nodes.into_iter();
        let nodes = nodes.filter_map(|node| <[u8; 32]>::try_from(node.node?.curve_key).ok());
        keys.extend(nodes);
        let mut after = String::new();
        loop {
            // The time only decides what can be sold from, which is not asked.
            let page = query::machines(state, MACHINES_PER_PAGE, &after, 0);
            let machines = page.rows.into_iter().filter_map(|row| row.machine);
            keys.extend(
                machines
                    .filter(|machine| machine.enabled)
                    .filter_map(|machine| <[u8; 32]>::try_from(machine.curve_key).ok()),
            );
            if page.next.is_empty() {
                break;
            }
            after = page.next;
        }
        if let Err(error) = self.allowed.replace(Domain::Bus, keys) {
            tracing::error!(%error, "the keys that may use the bus could not be changed");
        }
    }
}
