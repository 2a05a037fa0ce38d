//! The steps of a payout at which a reorganisation strikes, and what people do
//! so that a payout comes to each of them.

use dctrl_proto::v1::PayoutState;

/// What becomes of the first payout before the blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::payouts) enum Course {
    /// It is paid.
    Pay,
    /// Its fee is raised while it waits for a block.
    Bump,
    /// Its fee is raised, and the older transaction is mined before that is signed.
    Overtake,
    /// It is taken back while it waits for a block.
    Cancel,
    /// A child of its change lifts it while it waits for a block.
    Lift,
    /// A thief with all keys spends one of its coins.
    Rob,
    /// Nobody approves, and it is taken back.
    Withdraw,
    /// The copayers reject it.
    Reject,
    /// Nobody approves.
    Expire,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The ledger has it in this state, and nothing is settled.
    State(PayoutState),
    /// Its newest transaction was ordered, and nobody has signed it.
    Ordered,
    /// Its newest transaction is complete, and the ledger has heard of it nowhere.
    Complete,
    /// It waits in a mempool, and the ledger has not heard.
    Sent,
    /// The ledger has heard that its newest transaction waits in mempools.
    Waits,
    /// It is in a block, and the ledger has not heard.
    Mined,
    /// So many confirmations, for the ledger, of its newest transaction.
    Confirmed(u32),
    /// An older transaction is in the newest block, for the ledger.
    Overtaken,
    /// It is over for the books, in this state.
    Settled(PayoutState),
    /// It is over in this state, and never left the wallet.
    Closed(PayoutState),
}

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::payouts) struct Step {
    pub(super) name: &'static str,
    pub(in crate::payouts) course: Course,
    pub(super) at: At,
    /// The least depth that undoes the coin of the payout, so that its payer can
    /// take it back: it was six deep when it was proposed, and nothing was mined
    /// since but what the step needs. None where what rests on it is too deep.
    replaced_from: Option<u32>,
}

impl Step {
    /// Whether a block must hold the payout's transaction, or a thief's.
    pub(super) fn needs_blocks(&self) -> bool {
        let robbed = At::State(PayoutState::Invalidated);
        let mined = matches!(
            self.at,
            At::Mined | At::Confirmed(_) | At::Overtaken | At::Settled(_)
        );
        mined || self.at == robbed
    }
}

const fn step(name: &'static str, course: Course, at: At, replaced_from: Option<u32>) -> Step {
    Step {
        name,
        course,
        at,
        replaced_from,
    }
}

use At::{Closed, Complete, Confirmed, Mined, Ordered, Overtaken, Sent, Settled, State, Waits};
use Course::{Bump, Cancel, Expire, Lift, Overtake, Pay, Reject, Rob, Withdraw};
use PayoutState as It;

/// All of them.
pub(super) static STEPS: &[Step] = &[
    step("proposed", Pay, State(It::Proposed), Some(6)),
    step("approved", Pay, State(It::Approved), Some(6)),
    step("signing", Pay, State(It::Signing), Some(6)),
    step("ready", Pay, State(It::Ready), Some(6)),
    step("sent", Pay, Sent, Some(6)),
    step("broadcast", Pay, State(It::Broadcast), Some(6)),
    step("mined", Pay, Mined, Some(7)),
    step("confirmed_1", Pay, Confirmed(1), Some(7)),
    step("confirmed_2", Pay, Confirmed(2), Some(8)),
    step("confirmed_3", Pay, Confirmed(3), None),
    step("confirmed_4", Pay, Confirmed(4), None),
    step("confirmed_5", Pay, Confirmed(5), None),
    step("settled", Pay, Settled(It::Confirmed), None),
    step("bump_ordered", Bump, Ordered, Some(6)),
    step("bump_complete", Bump, Complete, Some(6)),
    step("bump_broadcast", Bump, Waits, Some(6)),
    step("bump_confirmed", Bump, Confirmed(1), Some(7)),
    step("bump_settled", Bump, Settled(It::Confirmed), None),
    step("bump_overtaken", Overtake, Overtaken, Some(7)),
    step("cancel_ordered", Cancel, Ordered, Some(6)),
    step("cancel_complete", Cancel, Complete, Some(6)),
    step("cancel_broadcast", Cancel, Waits, Some(6)),
    step("cancel_confirmed", Cancel, Confirmed(1), Some(7)),
    step("cancel_settled", Cancel, Settled(It::Cancelled), None),
    step("child_ordered", Lift, Ordered, Some(6)),
    step("child_ready", Lift, State(It::Ready), Some(6)),
    step("child_broadcast", Lift, Waits, Some(6)),
    step("child_confirmed", Lift, Confirmed(1), Some(7)),
    step("child_settled", Lift, Settled(It::Confirmed), None),
    step("robbed", Rob, State(It::Invalidated), None),
    step("robbed_settled", Rob, Settled(It::Invalidated), None),
    step("withdrawn", Withdraw, Closed(It::Cancelled), Some(6)),
    step("rejected", Reject, Closed(It::Rejected), Some(6)),
    step("expired", Expire, Closed(It::Expired), Some(6)),
];

pub(super) fn named(name: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.name == name)
}

/// The names of all steps.
pub(crate) fn grid_steps() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

/// Whether a reorganisation of this depth can take back a coin of the payout at
/// this step.
pub(crate) fn can_replace(name: &str, depth: u32) -> bool {
    let from = named(name).and_then(|step| step.replaced_from);
    from.is_some_and(|from| depth >= from)
}
