//! The steps of a vend at which a reorganisation strikes, and what is sold so
//! that a vend comes to each of them.

use dctrl_proto::v1::{PaymentState, VendState};

use crate::full::market::Pays;

/// How far the first vend has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The ledger has it in this state, in a final block.
    Vend(VendState),
    /// Its payment has so many confirmations, for the ledger, and this state.
    Payment(PaymentState, u32),
    /// Its machine's agent passes this place.
    Agent(&'static str),
}

/// What is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::full) enum Goods {
    /// Sold on an unconfirmed payment.
    Can,
    /// Sold once the payment has three confirmations.
    Bar,
}

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::full) struct Step {
    pub(super) name: &'static str,
    pub(super) at: At,
    pub(in crate::full) goods: Goods,
    pub(in crate::full) pays: Pays,
    /// The machines' motors turn, and nothing falls.
    pub(in crate::full) jams: bool,
}

const fn bar(name: &'static str, at: At) -> Step {
    Step {
        name,
        at,
        goods: Goods::Bar,
        pays: Pays::Exactly,
        jams: false,
    }
}

const fn can(name: &'static str, at: At) -> Step {
    Step {
        goods: Goods::Can,
        ..bar(name, at)
    }
}

const fn paid(name: &'static str, state: VendState, pays: Pays) -> Step {
    Step {
        pays,
        ..bar(name, At::Vend(state))
    }
}

use At::{Agent, Payment, Vend};
use PaymentState::{Confirmed, Final};
use VendState as It;

/// All of them.
pub(super) static STEPS: &[Step] = &[
    bar("quoted", Vend(It::Reserved)),
    bar("seen", Vend(It::PaymentSeen)),
    bar("counting_1", Payment(Confirmed, 1)),
    bar("counting_2", Payment(Confirmed, 2)),
    bar("authorised", Vend(It::Authorised)),
    bar("ordered", Vend(It::Dispatched)),
    bar("order_received", Agent("agent.order_received")),
    bar("armed", Agent("agent.after_armed_sync")),
    bar("accept_sent", Agent("agent.after_accept_sent")),
    bar("accepted", Vend(It::Accepted)),
    bar("firing", Agent("agent.after_firing_sync")),
    bar("pulse", Agent("agent.pulse_high")),
    bar("pulsed", Agent("agent.after_pulse")),
    bar("receipt_written", Agent("agent.after_settled_sync")),
    bar("receipt_sent", Agent("agent.after_receipt_sent")),
    bar("dispensed", Vend(It::Dispensed)),
    bar("final", Payment(Final, 6)),
    Step {
        jams: true,
        ..bar("credited", Vend(It::Credited))
    },
    Step {
        jams: true,
        ..bar("credited_final", Payment(Final, 6))
    },
    can("can_seen", Vend(It::PaymentSeen)),
    can("can_authorised", Vend(It::Authorised)),
    can("can_firing", Agent("agent.after_firing_sync")),
    can("can_dispensed", Vend(It::Dispensed)),
    can("can_confirmed", Payment(Confirmed, 1)),
    can("can_final", Payment(Final, 6)),
    paid("underpaid", It::Underpaid, Pays::Under),
    paid("expired", It::Expired, Pays::Never),
    paid("paid_late", It::PaidLate, Pays::Late),
];

pub(super) fn named(name: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.name == name)
}

/// The names of all steps.
pub(crate) fn grid_steps() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}
