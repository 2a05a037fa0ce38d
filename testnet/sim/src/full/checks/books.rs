//! The books of the federation, kept a second time from the rows that each
//! final block changed, and compared after every block.
//!
//! It spells the names of the ledger's tables itself, because it must not
//! trust the code that it checks.

use std::collections::BTreeMap;

use dctrl_ledger::ChangeSet;
use dctrl_proto::v1::{
    Account, Machine, Member, MemberStatus, Payment, PaymentState, Payout, PayoutKind, PayoutState,
    Slot, Vend, VendState,
};
use prost::Message;

use crate::full::outputs::Done;
use crate::full::seen::Seen;

/// A slot with fewer units is filled up.
const LOW_STOCK: u32 = 8;

/// The rows of the ledger, as far as they are about money and goods.
#[derive(Default)]
pub(in crate::full) struct Books {
    accounts: BTreeMap<Vec<u8>, i64>,
    payments: BTreeMap<Vec<u8>, Payment>,
    pub(in crate::full) vends: BTreeMap<String, Vend>,
    pub(in crate::full) payouts: BTreeMap<String, Payout>,
    slots: BTreeMap<Vec<u8>, Slot>,
    machines: BTreeMap<String, Machine>,
    /// Sums of all booked payments, by where they stand.
    in_chain: i64,
    waiting: i64,
    gone: i64,
    /// What settled payouts have taken from the chain.
    paid_out: i64,
    /// What is owed for payments that went.
    owed: i64,
    /// Sum of all accounts.
    total: i64,
    /// Vends that came to DISPENSED since somebody asked.
    dispensed: Vec<Vend>,
    /// By key, from which height on a member is suspended.
    suspended: BTreeMap<Vec<u8>, u64>,
    height: u64,
}

/// Ends from which a vend never comes back.
pub(in crate::full) fn is_settled(state: VendState) -> bool {
    matches!(
        state,
        VendState::Dispensed | VendState::Credited | VendState::Expired | VendState::PaidLate
    )
}

fn signed(sats: u64) -> i64 {
    i64::try_from(sats).unwrap_or(i64::MAX)
}

impl Books {
    pub(super) fn new(founded: &ChangeSet) -> Self {
        let mut books = Self::default();
        let found = books.take(founded, &mut Seen::default());
        assert!(found.is_empty(), "a founding keeps the books: {found:?}");
        books
    }

    /// A block is final: what it changed is taken in, and all is compared.
    pub(in crate::full) fn block(
        &mut self,
        height: u64,
        done: &Done,
        seen: &mut Seen,
    ) -> Vec<String> {
        let mut found = Vec::new();
        if height != self.height + 1 {
            found.push(format!(
                "block {height} became final behind {}",
                self.height
            ));
        }
        self.height = height;
        found.extend(self.accepted_after_revocation(height, done, seen));
        found.extend(self.take(&done.applied.changes, seen));
        let balance = |name: &[u8]| self.accounts.get(name).copied().unwrap_or(0);
        let sums = [
            ("all accounts", self.total, 0),
            (
                "bitcoin",
                balance(b"asset:bitcoin"),
                self.in_chain - self.paid_out,
            ),
            ("unconfirmed", balance(b"asset:unconfirmed"), self.waiting),
        ];
        for (what, is, should) in sums {
            if is != should {
                found.push(format!(
                    "block {height}: {what} come to {is} sats, not {should}"
                ));
            }
        }
        // Credit that is there pays first for what went.
        if self.owed < 0 || self.owed > self.gone {
            let (owed, gone) = (self.owed, self.gone);
            found.push(format!(
                "block {height}: {owed} sats are owed, and {gone} are gone"
            ));
        }
        found
    }

    fn take(&mut self, changes: &ChangeSet, seen: &mut Seen) -> Vec<String> {
        let mut found = Vec::new();
        for (key, value) in changes {
            let value = value.as_deref();
            if let Some(name) = key.strip_prefix(b"account/") {
                let after = value.map_or(0, |value| decode::<Account>(value).balance_sats);
                let before = self.accounts.insert(name.to_vec(), after).unwrap_or(0);
                self.total += after - before;
                if name.starts_with(b"asset:debt:") {
                    self.owed += after - before;
                }
            } else if key.starts_with(b"payment/") {
                self.take_payment(key, value.map(decode), seen);
            } else if key.starts_with(b"vend/") {
                if let Some(vend) = value.map(decode) {
                    found.extend(self.take_vend(vend, seen));
                }
            } else if key.starts_with(b"payout/") {
                if let Some(payout) = value.map(decode) {
                    self.take_payout(payout, seen);
                }
            } else if key.starts_with(b"slot/") {
                if let Some(slot) = value.map(decode::<Slot>) {
                    let there = u64::from(slot.stock) + u64::from(slot.held);
                    if slot.received != there + slot.sold + slot.shrinkage {
                        found.push(format!("stock is not conserved: {slot:?}"));
                    }
                    self.slots.insert(key.clone(), slot);
                }
            } else if key.starts_with(b"machine/") {
                if let Some(machine) = value.map(decode::<Machine>) {
                    self.machines.insert(machine.id.clone(), machine);
                }
            } else if key.starts_with(b"member/")
                && let Some(member) = value.map(decode::<Member>)
            {
                self.take_member(&member);
            }
        }
        found
    }

    fn take_payment(&mut self, key: &[u8], after: Option<Payment>, seen: &mut Seen) {
        if let Some(before) = self.payments.get(key).filter(|before| before.booked) {
            let (state, sats) = (before.state(), signed(before.amount_sats));
            *self.standing(state) -= sats;
        }
        let Some(after) = after else {
            self.payments.remove(key);
            return;
        };
        if after.booked {
            *self.standing(after.state()) += signed(after.amount_sats);
        }
        if after.state() == PaymentState::Reorged {
            seen.hit("payments_reorged");
        }
        self.payments.insert(key.to_vec(), after);
    }

    /// Where a booked payment of this state is summed up.
    fn standing(&mut self, state: PaymentState) -> &mut i64 {
        match state {
            PaymentState::Confirmed | PaymentState::Final => &mut self.in_chain,
            PaymentState::Seen | PaymentState::Reorged => &mut self.waiting,
            _ => &mut self.gone,
        }
    }

    /// A vend that has ended stays so, and nobody gets more than came in.
    fn take_vend(&mut self, vend: Vend, seen: &mut Seen) -> Option<String> {
        let before = self.vends.get(&vend.id).map(Vend::state);
        let state = vend.state();
        let id = vend.id.clone();
        let mut problem = None;
        if before.is_some_and(|before| {
            matches!(before, VendState::Dispensed | VendState::Credited) && before != state
        }) {
            problem = Some(format!("vend {id} went from {before:?} to {state:?}"));
        }
        let earned = if state == VendState::Dispensed {
            vend.price_sats - vend.forgiven_sats
        } else {
            0
        };
        if vend.credited_sats + earned > vend.received_sats {
            let (credited, received) = (vend.credited_sats, vend.received_sats);
            problem = Some(format!(
                "vend {id} is {state:?} for {received} sats, and {credited} were credited"
            ));
        }
        if before != Some(state) {
            match state {
                VendState::Dispensed => {
                    seen.hit("outcome_dispensed");
                    self.dispensed.push(vend.clone());
                }
                VendState::Credited => seen.hit("outcome_credited"),
                VendState::Expired => seen.hit("outcome_expired"),
                VendState::PaidLate => seen.hit("outcome_paid_late"),
                VendState::Uncertain => seen.hit("outcome_uncertain"),
                _ => {}
            }
        }
        self.vends.insert(id, vend);
        problem
    }

    fn take_payout(&mut self, payout: Payout, seen: &mut Seen) {
        let taken = |payout: &Payout| {
            let sats = payout.reserved_sats + payout.reserved_fee_sats;
            if payout.settled { signed(sats) } else { 0 }
        };
        let before = self.payouts.get(&payout.id);
        self.paid_out += taken(&payout) - before.map_or(0, taken);
        if before.is_none_or(|before| before.versions.len() < payout.versions.len()) {
            let newest = payout.versions.last().map(|version| version.kind());
            match newest {
                Some(PayoutKind::Payment) => seen.hit("payouts_proposed"),
                Some(PayoutKind::Bump) => seen.hit("payouts_raised"),
                _ => {}
            }
        }
        if payout.settled && !before.is_some_and(|before| before.settled) {
            seen.hit("payouts_settled");
        }
        if payout.frozen && !before.is_some_and(|before| before.frozen) {
            seen.hit("payouts_frozen");
        }
        if before.map(Payout::state) != Some(payout.state()) {
            match payout.state() {
                PayoutState::Rejected => seen.hit("payouts_rejected"),
                PayoutState::Expired => seen.hit("payouts_expired"),
                PayoutState::Cancelled => seen.hit("payouts_cancelled"),
                _ => {}
            }
        }
        self.payouts.insert(payout.id.clone(), payout);
    }

    fn take_member(&mut self, member: &Member) {
        if member.status() == MemberStatus::Active {
            self.suspended.remove(&member.key);
        } else {
            self.suspended.insert(member.key.clone(), self.height);
        }
    }

    /// Actions of members who were suspended in an earlier block.
    fn accepted_after_revocation(&self, height: u64, done: &Done, seen: &mut Seen) -> Vec<String> {
        let mut found = Vec::new();
        for receipt in &done.applied.receipts {
            let key = done.signers.get(&receipt.action_id);
            let since = key.and_then(|key| self.suspended.get(key));
            match (since, &receipt.refusal) {
                (Some(since), None) => found.push(format!(
                    "block {height} accepted {:?} of a member suspended since block {since}",
                    receipt.name
                )),
                (Some(_), Some(_)) => seen.hit("refused_after_revocation"),
                (None, _) => {}
            }
        }
        found
    }

    /// Vends that came to DISPENSED since the last call.
    pub(super) fn newly_dispensed(&mut self) -> Vec<Vend> {
        std::mem::take(&mut self.dispensed)
    }

    /// Slots that staff would fill up.
    pub(in crate::full) fn low_slots(&self) -> Vec<Slot> {
        let low = self.slots.values().filter(|slot| slot.stock < LOW_STOCK);
        low.cloned().collect()
    }

    /// Machines that must be reset before they sell again.
    pub(in crate::full) fn lost_machines(&self) -> Vec<String> {
        let lost = |machine: &&Machine| machine.quarantined || machine.detail.contains("lost");
        let lost = self.machines.values().filter(lost);
        lost.map(|machine| machine.id.clone()).collect()
    }

    /// Vends on the operators' list for so long.
    pub(in crate::full) fn uncertain(&self, now_ms: u64, after_ms: u64) -> Vec<Vend> {
        let due = |vend: &&Vend| {
            let since = vend.history.last().map_or(0, |step| step.time_ms);
            vend.state() == VendState::Uncertain && since + after_ms <= now_ms
        };
        self.vends.values().filter(due).cloned().collect()
    }

    /// All payments that the ledger knows.
    pub(in crate::full) fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// Vends that have not come to an end.
    pub(in crate::full) fn open_vends(&self) -> impl Iterator<Item = &Vend> {
        let open = |vend: &&Vend| !is_settled(vend.state());
        self.vends.values().filter(open)
    }
}

fn decode<M: Message + Default>(value: &[u8]) -> M {
    M::decode(value).unwrap_or_default()
}
