//! `node.renew`: a node speaks from another disk than before.
//!
//! A disk that was lost, restored or copied does not hold all that the node's
//! key has signed, so the node makes no events from it until the federation
//! has ordered that it counts from now on, and no other. The epoch ends with
//! that: nothing that the node forgot can contradict what it says in the next.

use dctrl_proto::v1::{NodeRenew, Refusal, RosterNode};

use crate::caller::Caller;
use crate::refuse::{ensure, exhausted, exists, invalid, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{keys, roster};

/// Between two changes of one node's disk, milliseconds of consensus time:
/// each of them ends an epoch for all.
const RENEW_PAUSE_MS: u64 = 60_000;

impl Action for NodeRenew {
    type Plan = RosterNode;

    fn check(&self) -> Result<(), Refusal> {
        ensure(self.instance != 0, || {
            let message = "0 is the first disk, which no node gets back.";
            invalid("node.instance", "instance", message)
        })
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<RosterNode, Refusal> {
        let staying = roster::staying(view.state);
        let own = staying.into_iter().find(|one| one.seat == caller.node());
        let own = own.ok_or_else(|| precond("node.leave", "Your node leaves."))?;
        let waits = view.state.get(&keys::node_renewing(own.seat));
        ensure(waits.is_none() && own.instance != self.instance, || {
            exists("node.instance", "Your node speaks from this disk already.")
        })?;
        ensure(
            own.incarnation.checked_add(1) == Some(self.incarnation),
            || {
                let message = format!(
                    "The node is at incarnation {}; {} does not follow.",
                    own.incarnation, self.incarnation
                );
                precond("node.incarnation", message)
            },
        )?;
        let last_ms = roster::renewed_ms(view.state, own.seat);
        let rests = last_ms.is_none_or(|last_ms| view.time_ms - last_ms >= RENEW_PAUSE_MS);
        ensure(rests, || {
            exhausted("node.renew", "Your node changed its disk just now.")
        })?;
        Ok(own)
    }

    fn execute(self, own: RosterNode, scope: &mut Scope<'_>, _: &Caller) -> String {
        roster::renew(scope, own.seat, &self);
        roster::row(&own).name.clone()
    }
}
