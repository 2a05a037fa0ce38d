//! The topic and the event of each thing that is told of.

use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{
    ChainTip, Machine, MachineChanged, Member, MemberChanged, NodeProposal, NodeRoster, Payment,
    PaymentChanged, Payout, PayoutChanged, Product, ProductChanged, ProposalChanged, ProposalState,
    Rate, RateAgreed, Refund, RefundChanged, RosterChanged, Slot, SlotChanged, TabChanged, TabView,
    TipAgreed, TopUp, TopUpIssued, Vend, VendChanged,
};

/// How one thing is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub(crate) topic: String,
    pub(crate) event: Event,
}

fn fact(topic: impl Into<String>, event: Event) -> Fact {
    Fact {
        topic: topic.into(),
        event,
    }
}

pub(crate) fn tip(tip: ChainTip) -> Fact {
    let agreed = TipAgreed {
        height: tip.height,
        hash: tip.hash,
    };
    fact("chain", Event::Tip(agreed))
}

pub(crate) fn rate(rate: Rate) -> Fact {
    let topic = format!("price.{}", rate.currency);
    fact(topic, Event::Rate(RateAgreed { rate: Some(rate) }))
}

pub(crate) fn roster(roster: NodeRoster) -> Fact {
    let roster = Some(roster);
    fact("roster", Event::Roster(RosterChanged { roster }))
}

pub(crate) fn proposal(proposal: NodeProposal, state: ProposalState, detail: &str) -> Fact {
    let changed = ProposalChanged {
        proposal: Some(proposal),
        state: state.into(),
        detail: detail.to_owned(),
    };
    fact("proposal", Event::Proposal(changed))
}

pub(crate) fn member(member: Member) -> Fact {
    let member = Some(member);
    fact("member", Event::Member(MemberChanged { member }))
}

pub(crate) fn tab(tab: TabView) -> Fact {
    fact("tab", Event::Tab(TabChanged { tab: Some(tab) }))
}

pub(crate) fn product(product: Product) -> Fact {
    let product = Some(product);
    fact("product", Event::Product(ProductChanged { product }))
}

pub(crate) fn machine(machine: Machine) -> Fact {
    let topic = format!("machine.{}.status", machine.id);
    let machine = Some(machine);
    fact(topic, Event::Machine(MachineChanged { machine }))
}

pub(crate) fn slot(slot: Slot) -> Fact {
    let topic = format!("slot.{}", slot.machine_id);
    fact(topic, Event::Slot(SlotChanged { slot: Some(slot) }))
}

pub(crate) fn vend(vend: Vend) -> Fact {
    let topic = format!("vend.{}", vend.machine_id);
    fact(topic, Event::Vend(VendChanged { vend: Some(vend) }))
}

pub(crate) fn top_up(top_up: TopUp) -> Fact {
    let top_up = Some(top_up);
    fact("topup", Event::TopUp(TopUpIssued { top_up }))
}

pub(crate) fn payment(payment: Payment) -> Fact {
    let payment = Some(payment);
    fact("payment", Event::Payment(PaymentChanged { payment }))
}

pub(crate) fn payout(payout: Payout) -> Fact {
    let payout = Some(payout);
    fact("payout", Event::Payout(PayoutChanged { payout }))
}

pub(crate) fn refund(refund: Refund) -> Fact {
    let refund = Some(refund);
    fact("refund", Event::Refund(RefundChanged { refund }))
}
