use dctrl_proto::v1::{Outpoint, PayoutParent, PayoutRecipient, Posting};

use super::*;

struct Books {
    accounts: Vec<Account>,
    journal: Vec<JournalEntry>,
    payments: Vec<Payment>,
    payouts: Vec<Payout>,
}

impl Books {
    fn check(&self) -> Result<(), String> {
        reconcile(&self.accounts, &self.journal, &self.payments, &self.payouts)
    }

    /// Posts an entry, and balances the accounts with it.
    fn post(&mut self, reference: &str, postings: &[(&str, i64)]) {
        for (name, sats) in postings {
            match self.accounts.iter_mut().find(|one| one.name == *name) {
                Some(account) => account.balance_sats += sats,
                None => self.accounts.push(Account {
                    name: (*name).to_owned(),
                    balance_sats: *sats,
                }),
            }
        }
        self.accounts.retain(|one| one.balance_sats != 0);
        let posting = |(account, amount_sats): &(&str, i64)| Posting {
            account: (*account).to_owned(),
            amount_sats: *amount_sats,
        };
        self.journal.push(JournalEntry {
            reference: reference.to_owned(),
            postings: postings.iter().map(posting).collect(),
            ..JournalEntry::default()
        });
    }

    fn payout(&mut self, id: &str) -> &mut Payout {
        self.payouts.iter_mut().find(|one| one.id == id).unwrap()
    }
}

fn payment(vout: u32, amount_sats: u64, state: PaymentState) -> Payment {
    let mut payment = Payment {
        outpoint: Some(Outpoint {
            txid: vec![0xab],
            vout,
        }),
        amount_sats,
        booked: true,
        ..Payment::default()
    };
    payment.set_state(state);
    payment
}

fn payout(id: &str, recipients: &[u64], reserved_fee_sats: u64) -> Payout {
    let recipient = |sats: &u64| PayoutRecipient {
        amount_sats: *sats,
        ..PayoutRecipient::default()
    };
    let amount_sats = recipients.iter().sum();
    Payout {
        id: id.to_owned(),
        recipients: recipients.iter().map(recipient).collect(),
        amount_sats,
        reserved_sats: amount_sats,
        reserved_fee_sats,
        ..Payout::default()
    }
}

/// Books in which a payout of each kind stands as the ledger books it.
fn books() -> Books {
    let mut books = Books {
        accounts: Vec::new(),
        journal: Vec::new(),
        payments: vec![
            payment(0, 10_000, PaymentState::Confirmed),
            payment(1, 700, PaymentState::Reorged),
            payment(2, 900, PaymentState::Replaced),
            Payment {
                booked: false,
                ..payment(3, 5, PaymentState::Final)
            },
        ],
        payouts: vec![
            Payout {
                settled: true,
                ..payout("paid", &[3_000], 100)
            },
            Payout {
                parent: Some(PayoutParent::default()),
                ..payout("child", &[], 50)
            },
            Payout {
                reserved_sats: 0,
                settled: true,
                ..payout("cancelled", &[2_000], 80)
            },
            Payout {
                accounts: vec!["liability:share:a".into(), "liability:refund:r1".into()],
                ..payout("owed", &[300, 200], 10)
            },
            Payout {
                reserved_sats: 0,
                settled: true,
                lost_sats: 500,
                ..payout("stolen", &[400], 0)
            },
            Payout {
                reserved_sats: 0,
                ..payout("rejected", &[60], 0)
            },
        ],
    };
    received(&mut books);
    paid(&mut books);
    books
}

fn received(books: &mut Books) {
    books.post("ab:0", &[(BITCOIN, 10_000), ("income:sales", -10_000)]);
    books.post("ab:1", &[(BITCOIN, 700), ("liability:tab:al", -700)]);
    books.post("ab:1", &[(UNCONFIRMED, 700), (BITCOIN, -700)]);
    books.post("ab:2", &[(UNCONFIRMED, 900), ("liability:tab:al", -900)]);
    books.post("ab:2", &[("liability:tab:al", 900), (UNCONFIRMED, -900)]);
    books.post(
        "al",
        &[("asset:cash:olga", 400), ("liability:tab:al", -400)],
    );
    let shares = [("expense:shares", 350), ("liability:share:a", -350)];
    books.post("vend-1", &shares);
    let refund = [("liability:tab:al", 200), ("liability:refund:r1", -200)];
    books.post("r1", &refund);
}

fn paid(books: &mut Books) {
    let [paid, child, cancelled, owed, stolen, rejected] =
        ["paid", "child", "cancelled", "owed", "stolen", "rejected"]
            .map(|id| format!("{RESERVED}{id}"));
    books.post("paid", &[(PAYOUTS, 3_000), (FEES, 90), (&paid, -3_090)]);
    books.post("paid", &[(FEES, 10), (&paid, -10)]);
    books.post("paid", &[(&paid, 3_100), (BITCOIN, -3_100)]);
    books.post("child", &[(FEES, 50), (&child, -50)]);
    let ordered = [(PAYOUTS, 2_000), (FEES, 70), (&*cancelled, -2_070)];
    books.post("cancelled", &ordered);
    let back = [(PAYOUTS, -2_000), (FEES, 10), (&*cancelled, 1_990)];
    books.post("cancelled", &back);
    books.post("cancelled", &[(&cancelled, 80), (BITCOIN, -80)]);
    let owes = [
        ("liability:share:a", 300),
        ("liability:refund:r1", 200),
        (FEES, 10),
        (&*owed, -510),
    ];
    books.post("owed", &owes);
    books.post("stolen", &[(PAYOUTS, 400), (&stolen, -400)]);
    books.post("stolen", &[(UNEXPLAINED, 500), (BITCOIN, -500)]);
    books.post("stolen", &[(PAYOUTS, -400), (&stolen, 400)]);
    books.post("rejected", &[(PAYOUTS, 60), (&rejected, -60)]);
    books.post("rejected", &[(PAYOUTS, -60), (&rejected, 60)]);
}

#[test]
fn payments_and_payouts_explain_what_the_chain_and_the_payouts_hold() {
    let books = books();
    books.check().unwrap();
    let of = |name: &str| books.accounts.iter().find(|one| one.name == name).unwrap();
    assert_eq!(of(BITCOIN).balance_sats, 10_000 - 3_100 - 80 - 500);
    assert_eq!(of(FEES).balance_sats, 100 + 50 + 80 + 10);
}

#[test]
fn a_list_that_is_a_satoshi_off_is_found_and_named() {
    type Change = fn(&mut Books);
    let changes: [(&str, Change); 12] = [
        ("ab:0", |books| books.payments[0].amount_sats += 1),
        ("ab:0", |books| drop(books.payments.remove(0))),
        ("ab:1", |books| books.payments[1].booked = false),
        ("ab:1", |books| {
            books.payments[1].set_state(PaymentState::Final);
        }),
        ("ab:3", |books| books.payments[3].booked = true),
        ("paid", |books| books.payout("paid").settled = false),
        ("paid", |books| books.payout("paid").reserved_sats -= 1),
        ("child", |books| {
            books.payout("child").reserved_fee_sats += 1;
        }),
        ("stolen", |books| books.payout("stolen").lost_sats -= 1),
        // The sum is as before.
        ("owed", |books| {
            books.payout("owed").recipients[0].amount_sats -= 1;
            books.payout("owed").recipients[1].amount_sats += 1;
        }),
        ("owed", |books| drop(books.payouts.remove(3))),
        ("cancelled", |books| {
            books.payout("cancelled").reserved_sats = 2_000;
        }),
    ];
    for (position, (name, change)) in changes.into_iter().enumerate() {
        let mut wrong = books();
        change(&mut wrong);
        let said = wrong.check().unwrap_err();
        assert!(said.contains(name), "{position}: {said}");
    }
}

#[test]
fn a_posting_that_no_payment_or_payout_explains_is_found() {
    for account in [BITCOIN, UNCONFIRMED, PAYOUTS, FEES, UNEXPLAINED] {
        let mut wrong = books();
        wrong.post("paid", &[(account, 1), ("income:sales", -1)]);
        assert!(wrong.check().unwrap_err().contains(account));
        let mut wrong = books();
        wrong.post("nobody", &[(account, 1), ("income:sales", -1)]);
        assert!(wrong.check().unwrap_err().contains("nobody"));
    }
    let mut others = books();
    let tip = [("liability:share:a", 1), ("asset:cash:olga", -1)];
    others.post("nobody", &tip);
    others.check().unwrap();
}
