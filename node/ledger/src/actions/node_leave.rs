//! `node.leave`: a node leaves by itself.
//!
//! Whoever wants to go can fall silent anyhow, so that nobody is asked. The
//! others are the fewer for it: of the nodes that remain, again fewer than a
//! third may lie.

use dctrl_proto::v1::{NodeLeave, Refusal, RosterNode};

use crate::caller::Caller;
use crate::refuse::{ensure, exists, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, roster};

impl Action for NodeLeave {
    type Plan = RosterNode;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("name", &self.name)?;
        ids::text("reason", &self.reason)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<RosterNode, Refusal> {
        let mut staying = roster::staying(view.state);
        let own = staying.iter().position(|one| one.seat == caller.node());
        let own = own.ok_or_else(|| exists("node.leave", "Your node leaves already."))?;
        let own = staying.remove(own);
        let name = &roster::row(&own).name;
        ensure(*name == self.name, || {
            let message = format!("This is the key of node {name}.");
            precond("node.name", message)
        })?;
        ensure(!staying.is_empty(), || {
            precond("node.last", "The last node has to stay.")
        })?;
        if !self.force {
            roster::require_heard(view.state, view.time_ms, &staying)?;
        }
        Ok(own)
    }

    fn execute(self, own: RosterNode, scope: &mut Scope<'_>, _: &Caller) -> String {
        roster::leave(scope, own.seat, &self);
        self.name
    }
}
