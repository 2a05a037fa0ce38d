//! `time.tick`: the block it is ordered in fires what is due.

use dctrl_proto::v1::{Refusal, TimeTick};

use crate::caller::Caller;
use crate::registry::Action;
use crate::scope::{Scope, View};

impl Action for TimeTick {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether something is due shows only in the block's own time.
    fn guard(&self, _: &View<'_>, _: &Caller) -> Result<(), Refusal> {
        Ok(())
    }

    fn execute(self, (): (), _: &mut Scope<'_>, _: &Caller) -> String {
        String::new()
    }
}
