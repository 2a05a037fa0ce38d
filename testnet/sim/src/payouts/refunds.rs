//! Members who want their balance back on the chain, payouts that carry that
//! out, and what must hold of both.

use dctrl_ledger::query;
use dctrl_proto::v1::{Payout, PayoutPropose, RefundRequest, RefundState};

use super::copayers::{Intent, STRANGERS, stranger};
use super::founding::Party;
use super::world::{Sent, World};

/// Refunds that are compared at the end of a run.
const REFUNDS_MAX: usize = 10_000;
/// What a refund's account is called in the books.
const ACCOUNT: &str = "liability:refund:";

/// What a member asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    address: String,
    sats: u64,
}

impl World {
    /// Now and then a member asks.
    pub(super) fn ask_refund(&mut self) {
        if !self.wants_more() || !self.chance.chance(60) {
            return;
        }
        let member = self.chance.below(self.plan.members as u64);
        let whom = u8::try_from(self.chance.below(u64::from(STRANGERS))).unwrap_or(0);
        let asked = Asked {
            address: stranger(whom),
            sats: self.chance.between(2_000, 40_000),
        };
        let request = RefundRequest {
            sats: asked.sats,
            address: asked.address.clone(),
            ..RefundRequest::default()
        };
        let party = Party::Member(usize::try_from(member).unwrap_or(0));
        self.send(party, &request, Sent::Refund(asked));
    }

    /// Somebody proposes to pay what members have asked for.
    pub(super) fn propose_refunds(&mut self, creator: Party, wanted: bool) {
        let intent = Intent {
            refunds: true,
            wanted,
            ..Intent::default()
        };
        let propose = PayoutPropose {
            refunds: true,
            purpose: "refunds".to_owned(),
            ..PayoutPropose::default()
        };
        self.send(creator, &propose, Sent::Proposal(intent));
    }

    /// The ledger tells whom a payout of refunds pays: they must have asked.
    pub(super) fn check_refunds(&mut self, payout: &Payout) {
        let Some(intent) = self.intents.get(&payout.id).filter(|one| one.refunds) else {
            return;
        };
        let is_new = intent.recipients.is_empty();
        let alike = payout.accounts.len() == payout.recipients.len();
        let mut pairs = payout.accounts.iter().zip(&payout.recipients);
        let asked = pairs.all(|(account, one)| {
            let id = account.strip_prefix(ACCOUNT).unwrap_or_default();
            let asked = self.people.refunds.get(id);
            asked.is_some_and(|it| it.address == one.address && it.sats == one.amount_sats)
        });
        if !alike || !asked {
            let id = &payout.id;
            self.violation(format!("{id} pays a refund that nobody asked for"));
        }
        if is_new && let Some(intent) = self.intents.get_mut(&payout.id) {
            intent.recipients.clone_from(&payout.recipients);
            intent.sats = payout.amount_sats;
        }
    }

    /// Each refund was paid once at most, and the ledger knows which.
    pub(super) fn check_paid_refunds(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut paid = 0;
        for refund in query::refunds(self.replicas.state(), REFUNDS_MAX, "").rows {
            let account = format!("{ACCOUNT}{}", refund.id);
            let carries = |payout: &&Payout| payout.accounts.contains(&account);
            let by = self.known.values().filter(carries);
            let times = by.filter(|payout| self.is_paid(&payout.id)).count();
            let told = refund.state() == RefundState::RefundPaid;
            if times > 1 || told != (times == 1) {
                let (id, state) = (&refund.id, refund.state().as_str_name());
                found.push(format!("refund {id} in {state} was paid {times} times"));
            }
            paid += u64::from(told);
        }
        if paid > 0 {
            *self.seen.entry("refund_paid".to_owned()).or_default() += paid;
        }
        found
    }
}
