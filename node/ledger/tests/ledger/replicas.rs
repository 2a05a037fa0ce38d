//! Random histories: whatever happens in whatever order, the books balance
//! after each block, and a second node comes to the same state.

use dctrl_ledger::{BlockInput, MemoryState, apply, audit, query};
use dctrl_proto::v1::{
    ClaimRedeem, Genesis, MachineReset, Outcome, PaymentObserve, RefundRequest, RefundWithdraw,
    SlotRestock, TabCash, TabLimit, TabTopUp, TabTransfer, TimeTick, Vend, VendQuote, VendResolve,
    VendState,
};
use proptest::prelude::*;

use crate::common::genesis::genesis;
use crate::common::{
    ALICE, Federation, MACHINE, NODES, OPERATOR, PRICE, STAFF, absent, in_block, payment, tip,
};

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Quote {
        guest: bool,
    },
    /// What some nodes, as bits, see of a payment to one of the last vends.
    See {
        vend: usize,
        number: u8,
        sats: u64,
        view: u8,
        nodes: u8,
    },
    Tip {
        height: u32,
        nodes: u8,
    },
    Accept,
    Receipt {
        outcome: u8,
    },
    Contradict {
        outcome: u8,
    },
    Resolve {
        vend: usize,
        dispensed: bool,
    },
    Reset,
    Heartbeat,
    Restock {
        added: u32,
        shrinkage: u32,
    },
    Wait {
        ms: u64,
    },
    /// Something with tabs and claims; numbers that do not fit are refused.
    Money(Money),
    Garbage(Vec<u8>),
}

/// What members, staff and operators do with money.
#[derive(Clone, Debug)]
enum Money {
    Buy,
    Transfer {
        sats: u64,
    },
    Cash {
        sats: u64,
        paid_out: bool,
    },
    Limit {
        sats: u64,
    },
    TopUp,
    /// What some nodes see of a payment to the newest top-up address.
    See {
        number: u8,
        sats: u64,
        view: u8,
        nodes: u8,
    },
    Redeem {
        vend: usize,
    },
    Refund {
        sats: u64,
    },
    Withdraw {
        refund: usize,
    },
}

fn money() -> impl Strategy<Value = Money> {
    let sats = || {
        prop_oneof![
            Just(0),
            Just(700),
            Just(PRICE),
            Just(4 * PRICE),
            Just(u64::MAX)
        ]
    };
    prop_oneof![
        4 => Just(Money::Buy),
        2 => sats().prop_map(|sats| Money::Transfer { sats }),
        2 => (sats(), any::<bool>()).prop_map(|(sats, paid_out)| Money::Cash { sats, paid_out }),
        1 => sats().prop_map(|sats| Money::Limit { sats }),
        2 => Just(Money::TopUp),
        8 => (0..3u8, Just(2 * PRICE), 0..5u8, 1..16u8)
            .prop_map(|(number, sats, view, nodes)| Money::See { number, sats, view, nodes }),
        2 => (0..3usize).prop_map(|vend| Money::Redeem { vend }),
        1 => sats().prop_map(|sats| Money::Refund { sats }),
        1 => (0..3usize).prop_map(|refund| Money::Withdraw { refund }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let sats = prop_oneof![Just(PRICE), Just(PRICE / 2), Just(PRICE + 300)];
    let ms = prop_oneof![Just(1000), Just(40_000), Just(600_000), Just(90_000_000)];
    prop_oneof![
        4 => any::<bool>().prop_map(|guest| Step::Quote { guest }),
        12 => (0..3usize, 0..3u8, sats, 0..5u8, 1..16u8).prop_map(
            |(vend, number, sats, view, nodes)| Step::See { vend, number, sats, view, nodes }
        ),
        3 => (100..108u32, 1..16u8).prop_map(|(height, nodes)| Step::Tip { height, nodes }),
        2 => Just(Step::Accept),
        4 => (1..5u8).prop_map(|outcome| Step::Receipt { outcome }),
        1 => (1..5u8).prop_map(|outcome| Step::Contradict { outcome }),
        2 => (0..3usize, any::<bool>())
            .prop_map(|(vend, dispensed)| Step::Resolve { vend, dispensed }),
        1 => Just(Step::Reset),
        2 => Just(Step::Heartbeat),
        1 => (0..4u32, 0..3u32).prop_map(|(added, shrinkage)| Step::Restock { added, shrinkage }),
        2 => ms.prop_map(|ms| Step::Wait { ms }),
        14 => money().prop_map(Step::Money),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Step::Garbage),
    ]
}

/// Trusting and generous, so that much can go wrong.
fn trusting(genesis: &mut Genesis) {
    let policy = genesis.policy.as_mut().unwrap();
    policy.zero_conf_sats_max = PRICE;
    policy.money = Some(dctrl_proto::v1::MoneyPolicy {
        zero_conf_wait_ms: Some(500),
        underpaid_bps_max: 100,
        ..Default::default()
    });
}

/// A federation and the actions that wait for the next block.
struct History {
    federation: Federation,
    waiting: Vec<Vec<u8>>,
}

impl History {
    fn say<P: dctrl_proto::action::Payload>(&mut self, seed: u8, payload: &P) {
        let action = self.federation.action(seed, payload);
        self.waiting.push(prost::Message::encode_to_vec(&action));
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let slices: Vec<&[u8]> = waiting.iter().map(Vec::as_slice).collect();
        self.federation.raw_block(&slices);
    }

    fn say_as(&mut self, nodes: u8, payload: &impl dctrl_proto::action::Payload) {
        for (position, node) in NODES.into_iter().enumerate() {
            if nodes & (1 << position) != 0 {
                self.say(node, payload);
            }
        }
    }

    fn recent(&self, position: usize) -> Option<Vend> {
        let page = query::vends(&self.federation.state, 3, "", "").unwrap();
        page.rows.get(position).cloned()
    }

    /// The vend whose order was issued last, under the present incarnation.
    fn ordered(&self) -> Option<Vend> {
        let machine = query::machine(&self.federation.state, "m1").unwrap();
        let page = query::vends(&self.federation.state, 0, "", "").unwrap();
        page.rows.into_iter().find(|vend| {
            vend.incarnation == machine.incarnation && vend.sequence == machine.last_sequence
        })
    }

    fn receipt(&mut self, outcome: u8, contradict: bool) {
        let Some(vend) = self.ordered() else {
            return;
        };
        let machine = query::machine(&self.federation.state, "m1").unwrap();
        let mut receipt = self.federation.receipt(&vend, Outcome::Failed);
        receipt.outcome = outcome.into();
        if !contradict {
            let last = machine.last_receipt_hash.as_slice();
            receipt.previous_receipt_hash = last.to_vec();
        }
        self.say(MACHINE, &receipt);
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Quote { guest } => {
                let member_id = if guest { "" } else { "alice" }.to_owned();
                let (machine_id, slot) = ("m1".into(), "A1".into());
                let quote = VendQuote {
                    machine_id,
                    slot,
                    member_id,
                    ..VendQuote::default()
                };
                self.say(ALICE, &quote);
            }
            Step::See {
                vend,
                number,
                sats,
                view,
                nodes,
            } => {
                if let Some(vend) = self.recent(vend) {
                    let mut seen = payment(&vend, number, sats);
                    // One outpoint pays one address one amount.
                    let name = format!(
                        "{:>16}{sats:>16}",
                        vend.address_index * 3 + u32::from(number)
                    );
                    seen.outpoint.as_mut().unwrap().txid = name.into_bytes();
                    self.say_as(nodes, &viewed(&seen, view));
                }
            }
            Step::Tip { height, nodes } => self.say_as(nodes, &tip(height)),
            Step::Accept => {
                if let Some(vend) = self.ordered() {
                    let _ = self.federation.accept(&vend);
                }
            }
            Step::Receipt { outcome } => self.receipt(outcome, false),
            Step::Contradict { outcome } => self.receipt(outcome, true),
            Step::Resolve { vend, dispensed } => self.resolve(vend, dispensed),
            Step::Reset => {
                let (machine_id, key) = ("m1".into(), Vec::new());
                self.say(OPERATOR, &MachineReset { machine_id, key });
            }
            Step::Heartbeat => self.federation.heartbeat(true),
            Step::Restock { added, shrinkage } => {
                let restock = SlotRestock {
                    machine_id: "m1".into(),
                    slot: "A1".into(),
                    added,
                    shrinkage,
                    reason: "counted".into(),
                };
                self.say(STAFF, &restock);
            }
            Step::Wait { ms } => {
                self.flush();
                self.federation.now_ms += ms;
                self.say(NODES[0], &TimeTick {});
            }
            Step::Money(money) => self.money(money),
            Step::Garbage(bytes) => self.waiting.push(bytes),
        }
    }

    fn money(&mut self, money: Money) {
        match money {
            Money::Buy => {
                let quote = VendQuote {
                    machine_id: "m1".into(),
                    slot: "A1".into(),
                    member_id: "alice".into(),
                    from_tab: true,
                    ..VendQuote::default()
                };
                self.say(ALICE, &quote);
            }
            Money::Transfer { sats } => {
                let transfer = TabTransfer {
                    to_member_id: "olga".into(),
                    sats,
                    ..TabTransfer::default()
                };
                self.say(ALICE, &transfer);
            }
            Money::Cash { sats, paid_out } => {
                let cash = TabCash {
                    member_id: "alice".into(),
                    sats,
                    paid_out,
                    reason: "jar".into(),
                };
                self.say(STAFF, &cash);
            }
            Money::Limit { sats } => {
                let limit = TabLimit {
                    member_id: "alice".into(),
                    credit_limit_sats: sats,
                    ..TabLimit::default()
                };
                self.say(OPERATOR, &limit);
            }
            Money::TopUp => self.say(ALICE, &TabTopUp {}),
            Money::See {
                number,
                sats,
                view,
                nodes,
            } => self.see_top_up(number, sats, view, nodes),
            Money::Redeem { vend } => {
                if let Some(vend) = self.recent(vend) {
                    let (vend_id, signature) = (vend.id, Vec::new());
                    self.say(ALICE, &ClaimRedeem { vend_id, signature });
                }
            }
            Money::Refund { sats } => {
                let refund = RefundRequest {
                    sats,
                    address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
                    ..RefundRequest::default()
                };
                self.say(ALICE, &refund);
            }
            Money::Withdraw { refund } => {
                let refunds = query::refunds(&self.federation.state, 3, "").rows;
                if let Some(refund) = refunds.get(refund) {
                    let refund_id = refund.id.clone();
                    self.say(ALICE, &RefundWithdraw { refund_id });
                }
            }
        }
    }

    fn see_top_up(&mut self, number: u8, sats: u64, view: u8, nodes: u8) {
        let tab = query::tab(&self.federation.state, "alice").unwrap();
        let index = tab.tab.unwrap().address_index;
        if let Some(top_up) = query::top_up(&self.federation.state, index) {
            let mut seen = crate::tabs::paying(&top_up, number, sats);
            let name = format!("{:>32}", index * 3 + u32::from(number));
            seen.outpoint.as_mut().unwrap().txid = name.into_bytes();
            self.say_as(nodes, &viewed(&seen, view));
        }
    }

    fn resolve(&mut self, vend: usize, dispensed: bool) {
        let Some(vend) = self.recent(vend) else {
            return;
        };
        let mut resolve = VendResolve {
            vend_id: vend.id,
            reason: "looked inside".into(),
            ..VendResolve::default()
        };
        resolve.set_outcome(if dispensed {
            VendState::Dispensed
        } else {
            VendState::Credited
        });
        self.say(OPERATOR, &resolve);
    }
}

fn viewed(seen: &PaymentObserve, view: u8) -> PaymentObserve {
    match view {
        0 | 1 => seen.clone(),
        2 => absent(seen),
        other => in_block(seen, 98 + u32::from(other)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_the_books_balance_and_two_nodes_agree(
        steps in proptest::collection::vec((step(), any::<bool>()), 1..120)
    ) {
        let federation = Federation::with(trusting);
        let (begin, begun) = (federation.state.clone(), federation.told.len());
        let mut history = History { federation, waiting: Vec::new() };
        for (step, ends_block) in steps {
            history.happen(step);
            if ends_block {
                history.flush();
            }
        }
        history.flush();
        // Whoever begins with facts knows what those know who followed.
        let (state, told) = (&history.federation.state, &history.federation.told);
        crate::facts::assert_folds(&begin, &told[begun..], state);

        let mut genesis = genesis();
        trusting(&mut genesis);
        let mut replica = MemoryState::default();
        replica.apply(&dctrl_ledger::genesis(&genesis).unwrap().changes);
        for (height, (time_ms, transactions)) in (1..).zip(&history.federation.log) {
            let transactions: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
            let block = BlockInput { height, time_ms: *time_ms, transactions: &transactions };
            let applied = apply(&replica, &block);
            replica.apply(&applied.changes);
            prop_assert_eq!(applied.state_digest, query::state_digest(&replica));
        }
        prop_assert!(audit::full(&replica).is_ok());
        prop_assert!(replica == history.federation.state);
    }
}
