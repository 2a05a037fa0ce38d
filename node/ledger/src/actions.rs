//! The actions, one short file each: checks without state, checks against
//! the state, execution.

mod chain_observe;
mod claim_redeem;
mod fee_observe;
mod machine_accept;
mod machine_heartbeat;
mod machine_receipt;
mod machine_report;
mod machine_reset;
mod machine_set;
mod member_set;
mod node_approve;
mod node_leave;
mod node_propose;
mod node_renew;
mod node_withdraw;
mod payment_observe;
mod payout_allow;
mod payout_approve;
mod payout_bump;
mod payout_cancel;
mod payout_lift;
mod payout_observe;
mod payout_propose;
mod payout_reject;
mod payout_sign;
mod price_observe;
mod product_set;
mod refund_request;
mod refund_withdraw;
mod slot_restock;
mod slot_set;
mod tab_cash;
mod tab_limit;
mod tab_top_up;
mod tab_transfer;
mod time_tick;
mod vend_quote;
mod vend_resolve;

pub(crate) use machine_set::check_machine;
pub(crate) use member_set::check_member;
pub(crate) use product_set::check_product;
pub(crate) use slot_set::CAPACITY_MAX;

use dctrl_proto::v1::{Machine, Refusal};

use crate::refuse::{ensure, precond};

/// Refuses a machine's word from before it lost its journal.
fn same_incarnation(machine: &Machine, incarnation: u32) -> Result<(), Refusal> {
    ensure(machine.incarnation == incarnation, || {
        let (id, current) = (&machine.id, machine.incarnation);
        let message = format!("Machine {id} is at incarnation {current}, not {incarnation}.");
        precond("machine.incarnation", message)
    })
}
