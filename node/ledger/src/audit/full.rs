//! The audit that trusts nothing but the journal and the rows themselves.

use std::collections::BTreeMap;

use dctrl_proto::v1::VendState::{self, Authorised};
use dctrl_proto::v1::{
    Account, HeldReason, JournalEntry, Machine, Refund, RefundState, Slot, Vend,
};

use super::{entry_sum, money, payouts, rosters};
use crate::{StateRead, books, digest, keys, stock, tables, vends};

/// What the audit found wrong, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit found {} problems: {}", .problems.len(), .problems.join(" "))]
pub struct AuditFailure {
    /// Never empty.
    pub problems: Vec<String>,
}

/// What has been found wrong so far.
#[derive(Default)]
pub(super) struct Findings(Vec<String>);

impl Findings {
    pub(super) fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.0.push(problem());
        }
    }
}

/// Audits the whole state, from every row.
///
/// # Errors
/// All that does not add up.
pub fn full(state: &dyn StateRead) -> Result<(), AuditFailure> {
    let mut found = Findings::default();
    let balances = accounts_follow_from_the_journal(state, &mut found);
    money_is_conserved(state, &balances, &mut found);
    units_are_conserved(state, &mut found);
    vends_are_where_their_money_is(state, &balances, &mut found);
    machines_do_one_thing_at_a_time(state, &mut found);
    payouts::check(state, &balances, &mut found);
    rosters::check(state, &mut found);
    found.expect(digest::kept(state) == digest::from_scratch(state), || {
        "The state digest does not cover the state.".to_owned()
    });
    if found.0.is_empty() {
        Ok(())
    } else {
        Err(AuditFailure { problems: found.0 })
    }
}

pub(super) type Balances = BTreeMap<String, i64>;

fn accounts_follow_from_the_journal(state: &dyn StateRead, found: &mut Findings) -> Balances {
    let mut balances = Balances::new();
    for (number, entry) in (1..).zip(tables::rows::<JournalEntry>(state, keys::JOURNAL)) {
        found.expect(entry.number == number, || {
            format!("Entry {number} is missing.")
        });
        found.expect(entry_sum(&entry) == 0, || {
            format!("Entry {number} does not balance.")
        });
        for posting in entry.postings {
            *balances.entry(posting.account).or_default() += posting.amount_sats;
        }
    }
    balances.retain(|_, balance| *balance != 0);
    let kept: Balances = tables::rows::<Account>(state, keys::ACCOUNTS)
        .map(|account| (account.name, account.balance_sats))
        .collect();
    found.expect(kept == balances, || {
        format!("The accounts {kept:?} do not follow from the journal {balances:?}.")
    });
    found.expect(balances.values().sum::<i64>() == 0, || {
        "The trial balance is not 0.".to_owned()
    });
    balances
}

/// What came in is what is there, and no account is where it cannot be.
fn money_is_conserved(state: &dyn StateRead, balances: &Balances, found: &mut Findings) {
    let balance = |name: &str| balances.get(name).copied().unwrap_or_default();
    let (here, waiting) = money::on_the_chain(state);
    let here = here - payouts::spent(state);
    for (name, counted) in [(books::BITCOIN, here), (books::UNCONFIRMED, waiting)] {
        found.expect(balance(name) == counted, || {
            format!("{counted} sats are counted, {} in {name}.", balance(name))
        });
    }
    for (name, balance) in balances {
        if let Some(problem) = money::problem(state, name, *balance) {
            found.expect(false, || problem);
        }
    }
    for refund in tables::rows::<Refund>(state, keys::REFUNDS) {
        let set_aside = match refund.state() {
            RefundState::RefundOpen => true,
            RefundState::RefundInPayout => payouts::reserves_nothing(state, &refund.payout_id),
            _ => false,
        };
        let sats = if set_aside { refund.sats } else { 0 };
        let kept = -balance(&books::refund(&refund.id));
        found.expect(kept == books::signed(sats), || {
            format!(
                "{kept} sats are set aside for refund {}, not {sats}.",
                refund.id
            )
        });
    }
}

fn units_are_conserved(state: &dyn StateRead, found: &mut Findings) {
    let mut held: BTreeMap<(String, String), u32> = BTreeMap::new();
    for vend in tables::rows::<Vend>(state, keys::VENDS) {
        if vend.holds_stock {
            *held.entry((vend.machine_id, vend.slot)).or_default() += 1;
        }
    }
    for slot in tables::rows::<Slot>(state, keys::SLOTS) {
        found.expect(stock::adds_up(&slot), || {
            format!("{slot:?} does not add up.")
        });
        let place = (slot.machine_id.clone(), slot.slot.clone());
        let vends = held.get(&place).copied().unwrap_or_default();
        found.expect(vends == slot.held, || {
            format!("{vends} vends hold a unit of {place:?}, not {}.", slot.held)
        });
    }
}

fn vends_are_where_their_money_is(
    state: &dyn StateRead,
    balances: &Balances,
    found: &mut Findings,
) {
    let balance = |name: &str| -balances.get(name).copied().unwrap_or_default();
    for vend in tables::rows::<Vend>(state, keys::VENDS) {
        let id = &vend.id;
        let received: u64 = tables::walk(state, &keys::payments_of_vend(id))
            .filter_map(|(key, value)| tables::payment(state, &tables::decode(&key, &value)))
            .filter(|payment| payment.booked)
            .map(|payment| payment.amount_sats)
            .sum();
        let received = received + vend.tab_sats;
        found.expect(received == vend.received_sats, || {
            format!(
                "Vend {id} received {received} sats, not {}.",
                vend.received_sats
            )
        });
        let price = books::signed(vends::at_stake_sats(&vend));
        let unspent = books::signed(vend.received_sats) - books::signed(vend.credited_sats);
        let (for_vend, held, earned) = match vend.state() {
            state if vends::is_open(state) => (unspent, 0, 0),
            Authorised | VendState::Dispatched | VendState::Accepted => (price, 0, 0),
            VendState::Uncertain => (0, price, 0),
            VendState::Dispensed => (0, 0, price),
            _ => (0, 0, 0),
        };
        found.expect(unspent == for_vend + held + earned, || {
            format!("Vend {id} has {unspent} sats that nothing explains.")
        });
        found.expect(balance(&books::vend(&vend)) == for_vend, || {
            format!("The books have not {for_vend} sats for vend {id}.")
        });
        found.expect(balance(&books::held(&vend)) == held, || {
            format!("The books do not hold {held} sats for vend {id}.")
        });
        let waits = vends::is_open(vend.state())
            || vends::is_ordered(vend.state())
            || vend.state() == Authorised
            || vend.held_reason() == HeldReason::HeldWaits;
        found.expect(waits == state.get(&keys::deadline_of(id)).is_some(), || {
            format!("Vend {id} waits without a deadline, or has one and does not wait.")
        });
    }
}

fn machines_do_one_thing_at_a_time(state: &dyn StateRead, found: &mut Findings) {
    let mut queued: Vec<String> = Vec::new();
    for machine in tables::rows::<Machine>(state, keys::MACHINES) {
        queued.extend(machine.queue);
    }
    queued.sort();
    let mut authorised: Vec<String> = Vec::new();
    for vend in tables::rows::<Vend>(state, keys::VENDS) {
        if vend.state() == Authorised {
            authorised.push(vend.id);
        } else if vends::is_ordered(vend.state()) {
            let machine = tables::machine(state, &vend.machine_id);
            let own = machine.is_ok_and(|machine| machine.outstanding_vend == vend.id);
            found.expect(own, || {
                format!("Vend {} is not its machine's order.", vend.id)
            });
        }
    }
    found.expect(queued == authorised, || {
        format!("Queued are {queued:?}, but paid are {authorised:?}.")
    });
}
