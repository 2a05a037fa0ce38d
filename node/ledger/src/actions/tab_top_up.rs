//! `tab.top_up`: an address of one's own, whose payments are credited.

use dctrl_proto::v1::{Refusal, TabTopUp};

use crate::caller::Caller;
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{quotes, tabs};

impl Action for TabTopUp {
    /// The member, and whether a fresh address is needed.
    type Plan = (String, bool);

    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// The newest address is given again until it is paid, so that nobody can
    /// use up the wallet's addresses.
    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Self::Plan, Refusal> {
        let member_id = caller.member_id()?.to_owned();
        let tab = tabs::tab(view.state, &member_id);
        let fresh = tab.address.is_empty() || tab.address_used;
        if fresh {
            quotes::require_address(view)?;
        }
        Ok((member_id, fresh))
    }

    fn execute(self, (member_id, fresh): Self::Plan, scope: &mut Scope<'_>, _: &Caller) -> String {
        if fresh {
            tabs::issue(scope, &member_id);
        } else {
            // Told again, so that whoever asked finds a certified frame.
            tabs::issued(scope, &member_id);
        }
        member_id
    }
}
