//! `chain.observe`: a node's present best block.

use dctrl_proto::v1::{ChainObserve, ChainVote, Refusal};

use crate::caller::Caller;
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payments};

impl Action for ChainObserve {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        ids::bytes32("hash", &self.hash)
    }

    /// Any block may be a node's best one: the votes decide.
    fn guard(&self, _: &View<'_>, _: &Caller) -> Result<(), Refusal> {
        Ok(())
    }

    fn execute(self, (): (), scope: &mut Scope<'_>, caller: &Caller) -> String {
        let vote = ChainVote {
            node: caller.node(),
            height: self.height,
            hash: self.hash,
        };
        payments::observe_tip(scope, vote);
        String::new()
    }
}
