//! `fee.observe`: a node's present view of the right fee rate.

use dctrl_proto::v1::{FeeObserve, Refusal};

use crate::caller::Caller;
use crate::payouts;
use crate::refuse::{ensure, invalid};
use crate::registry::Action;
use crate::scope::{Scope, View};

/// Highest rate that is not a mistake, satoshi for 1000 virtual bytes.
const RATE_MAX: u64 = 100_000_000;

impl Action for FeeObserve {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        ensure((1..=RATE_MAX).contains(&self.fee_rate), || {
            let message = format!("A rate is 1 to {RATE_MAX} sats for 1000 virtual bytes.");
            invalid("fee.rate", "fee_rate", message)
        })
    }

    /// Any rate may be a node's view: the votes decide.
    fn guard(&self, _: &View<'_>, _: &Caller) -> Result<(), Refusal> {
        Ok(())
    }

    fn execute(self, (): (), scope: &mut Scope<'_>, caller: &Caller) -> String {
        payouts::observe_fee(scope, caller.node(), self.fee_rate);
        String::new()
    }
}
