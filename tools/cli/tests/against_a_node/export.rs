//! `dctrl export` against a pretended node.

use dctrl_cli::testnet::wallet::Wallet;
use dctrl_proto::v1::{
    Account, JournalEntry, Outpoint, Payment, PaymentState, Payout, PayoutRecipient, PayoutState,
    Posting,
};
use serde_json::Value;

use crate::support::{Books, Federation, HEIGHT, Script, dctrl, folder, serve};

fn entry(number: u64, reference: &str, postings: &[(&str, i64)]) -> JournalEntry {
    let posting = |&(account, amount_sats): &(&str, i64)| Posting {
        account: account.to_owned(),
        amount_sats,
    };
    JournalEntry {
        number,
        reference: reference.to_owned(),
        postings: postings.iter().map(posting).collect(),
        ..JournalEntry::default()
    }
}

fn payment(vout: u32, amount_sats: u64) -> Payment {
    Payment {
        outpoint: Some(Outpoint {
            txid: vec![0xab; 32],
            vout,
        }),
        amount_sats,
        booked: true,
        state: PaymentState::Final.into(),
        ..Payment::default()
    }
}

fn payout(id: &str, state: PayoutState) -> Payout {
    Payout {
        id: id.to_owned(),
        state: state.into(),
        proposed_at_ms: 951_782_400_123,
        recipients: vec![PayoutRecipient {
            amount_sats: 1_000,
            ..PayoutRecipient::default()
        }],
        amount_sats: 1_000,
        ..Payout::default()
    }
}

/// Two payments, a settled payout and one that was rejected.
fn books() -> Books {
    let outpoint = |vout| format!("{}:{vout}", "ab".repeat(32));
    let accounts = [
        ("asset:bitcoin", 1_180),
        ("expense:network-fees", 20),
        ("expense:payouts", 1_000),
        ("income:sales", -2_200),
    ];
    let account = |(name, balance_sats): (&str, i64)| Account {
        name: name.to_owned(),
        balance_sats,
    };
    let sale = |sats: i64| [("asset:bitcoin", sats), ("income:sales", -sats)];
    let reserved = [
        ("expense:payouts", 1_000),
        ("expense:network-fees", 20),
        ("liability:payout:p1", -1_020),
    ];
    let settled = [("liability:payout:p1", 1_020), ("asset:bitcoin", -1_020)];
    Books {
        accounts: accounts.map(account).into(),
        journal: vec![
            entry(1, &outpoint(0), &sale(1_500)),
            entry(2, &outpoint(1), &sale(700)),
            entry(3, "p1", &reserved),
            entry(4, "p1", &settled),
        ],
        payments: vec![payment(0, 1_500), payment(1, 700)],
        payouts: vec![
            payout("p2", PayoutState::Rejected),
            Payout {
                settled: true,
                settled_txid: vec![0xcd; 32],
                reserved_sats: 1_000,
                reserved_fee_sats: 20,
                ..payout("p1", PayoutState::Confirmed)
            },
        ],
    }
}

/// What `dctrl export …` says about these books, on either stream.
fn export(books: Books, arguments: &[&str]) -> (Option<i32>, String, String) {
    let script = Script {
        books,
        ..Script::default()
    };
    let wallet = Wallet::from_seeds(&[[1; 32], [2; 32], [3; 32]]).unwrap();
    let genesis = Federation::new(wallet.descriptor).genesis;
    let folder = folder(&genesis, &[format!("http://{}", serve(script))]);
    let shown = dctrl(folder.path(), &[&["export"], arguments].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (shown.status.code(), text(shown.stdout), text(shown.stderr))
}

#[test]
fn payouts_are_exported_with_what_the_books_count_of_them() {
    let (code, csv, trouble) = export(books(), &["payouts"]);
    assert_eq!(code, Some(0), "{trouble}");
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("id,state,proposed,kind,source,amount_sats,reserved_sats,"));
    assert!(lines[1].starts_with("p2,Rejected,2000-02-29T00:00:00.123Z,"));
    assert!(lines[1].contains(",recipients,1000,0,0,0,false,,false,"));
    let txid = "cd".repeat(32);
    assert!(lines[2].contains(&format!(",1000,1000,20,0,true,{txid},false,")));

    let (_, json, _) = export(books(), &["payouts", "--format", "json"]);
    let shown: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(shown["height"], HEIGHT);
    assert_eq!(shown["payouts"][1]["reserved_fee_sats"], 20);
}

#[test]
fn nothing_is_exported_of_books_that_a_list_does_not_explain() {
    let mut wrong = books();
    wrong.payouts.pop();
    for list in ["balances", "payments", "payouts", "journal"] {
        let (code, shown, trouble) = export(wrong.clone(), &[list]);
        assert_eq!((code, shown.as_str()), (Some(1), ""), "{list}");
        let expected = "UNVERIFIED (export.reconcile): asset:bitcoin holds -1020 sats for p1";
        assert!(trouble.contains(expected), "{trouble}");
    }
}
