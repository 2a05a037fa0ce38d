//! `payout.allow`: the list of addresses that may be paid.

use dctrl_proto::v1::{AllowedAddress, PayoutAllow, Refusal};
use dctrl_wallet::parse_address;

use crate::caller::Caller;
use crate::refuse::{ensure, exhausted, exists, invalid, not_found};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{address, ids, keys, payouts};

/// Longest list.
const ROWS_MAX: usize = 1_000;

impl Action for PayoutAllow {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        ids::text("name", &self.name)
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<(), Refusal> {
        let network = address::network(view.genesis)?;
        parse_address(&self.address, network)
            .map_err(|error| invalid("payout.address", "address", error.to_string()))?;
        let known = view
            .state
            .get(&keys::payout_allowed(&self.address))
            .is_some();
        if self.remove {
            return ensure(known, || {
                not_found("payout.allow_list", "The address is not on the list.")
            });
        }
        ensure(!known, || {
            exists("payout.allow_list", "The address is on the list.")
        })?;
        let rows = view.state.scan(keys::PAYOUT_ALLOWED, None, ROWS_MAX);
        ensure(rows.len() < ROWS_MAX, || {
            exhausted(
                "payout.allow_list",
                format!("The list has {ROWS_MAX} addresses."),
            )
        })
    }

    fn execute(self, (): (), scope: &mut Scope<'_>, caller: &Caller) -> String {
        let key = keys::payout_allowed(&self.address);
        let how = if self.remove {
            scope.delete(key);
            "was taken off"
        } else {
            let rules = payouts::rules(scope.view().genesis);
            let row = AllowedAddress {
                address: self.address.clone(),
                name: self.name,
                added_by: caller.principal.encode(),
                usable_from_ms: scope.time_ms() + rules.allow_delay_ms,
            };
            scope.put(key, &row);
            "came onto"
        };
        payouts::list_changed(scope, &self.address, how);
        self.address
    }
}
