use super::*;
use dctrl_proto::v1::{
    Outpoint, PaymentState, PayoutParent, PayoutRecipient, PayoutState, Posting,
};

fn entry(reference: &str, text: &str, postings: &[(&str, i64)]) -> JournalEntry {
    let posting = |&(account, amount_sats): &(&str, i64)| Posting {
        account: account.into(),
        amount_sats,
    };
    JournalEntry {
        reference: reference.into(),
        text: text.into(),
        postings: postings.iter().map(posting).collect(),
        ..JournalEntry::default()
    }
}

fn books() -> Books {
    let account = |name: &str, balance_sats| Account {
        name: name.into(),
        balance_sats,
    };
    let mut payment = Payment {
        outpoint: Some(Outpoint {
            txid: vec![0xab],
            vout: 0,
        }),
        amount_sats: 1500,
        booked: true,
        ..Payment::default()
    };
    payment.set_state(PaymentState::Final);
    let mut payout = Payout {
        id: "p1".into(),
        purpose: "-rent, 5".into(),
        proposed_at_ms: 951_782_400_123,
        recipients: vec![PayoutRecipient {
            amount_sats: 1000,
            ..PayoutRecipient::default()
        }],
        amount_sats: 1000,
        reserved_sats: 1000,
        reserved_fee_sats: 20,
        settled: true,
        settled_txid: vec![0xcd],
        ..Payout::default()
    };
    payout.set_state(PayoutState::Confirmed);
    let sale = [("asset:bitcoin", 1500), ("income:sales", -1500)];
    let paid = [
        ("expense:payouts", 1000),
        ("expense:network-fees", 20),
        ("asset:bitcoin", -1020),
    ];
    Books {
        height: 3,
        accounts: vec![
            account("asset:bitcoin", 480),
            account("expense:network-fees", 20),
            account("expense:payouts", 1000),
            account("income:sales", -1500),
        ],
        payments: vec![payment],
        payouts: vec![payout],
        journal: vec![
            entry("ab:0", "=cmd, \"quoted\"", &sale),
            entry("p1", "settled", &paid),
        ],
    }
}

#[test]
fn an_export_says_the_same_in_every_form() {
    reconcile(&books()).unwrap();
    assert!(
        csv("balances", &books()).starts_with(
            "account,balance_sats\r\nasset:bitcoin,480\r\nexpense:network-fees,20\r\n"
        )
    );
    assert!(csv("journal", &books()).contains("\"'=cmd, \"\"quoted\"\"\",asset:bitcoin,1500"));
    assert_eq!(
        chosen("balances", &books())["accounts"][3]["balance_sats"],
        -1500
    );
    assert_eq!(
        csv("payouts", &books()),
        "id,state,proposed,kind,source,amount_sats,reserved_sats,fee_sats,lost_sats,settled,\
         settled_txid,frozen,purpose\r\n\
         p1,Confirmed,2000-02-29T00:00:00.123Z,Unspecified,recipients,1000,1000,20,0,true,\
         cd,false,\"'-rent, 5\"\r\n"
    );
    assert_eq!(
        chosen("payouts", &books())["payouts"][0]["reserved_fee_sats"],
        20
    );
}

#[test]
fn books_that_are_a_satoshi_apart_are_not_exported() {
    let changes: [fn(&mut Books); 3] = [
        |books| books.accounts[0].balance_sats += 1,
        |books| books.payments[0].amount_sats += 1,
        |books| books.payouts[0].reserved_fee_sats += 1,
    ];
    for change in changes {
        let mut wrong = books();
        change(&mut wrong);
        assert!(matches!(
            reconcile(&wrong),
            Err(Failure::Unverified {
                rule: "export.reconcile",
                ..
            })
        ));
    }
}

#[test]
fn a_payouts_source_is_what_it_was_proposed_as() {
    let of = |account: &str| {
        source(&Payout {
            accounts: vec![account.into()],
            ..Payout::default()
        })
    };
    assert_eq!(of("liability:refund:r1"), "refunds");
    assert_eq!(of("liability:share:alice"), "split");
    let child = Payout {
        parent: Some(PayoutParent::default()),
        ..Payout::default()
    };
    assert_eq!(source(&child), "child");
}

/// A list of `pages` pages with one row each, as a node shows it.
async fn read_all(pages: usize) -> Result<Vec<usize>, Status> {
    all("numbers", 1, async |request| {
        let number: usize = request.after.parse().unwrap_or_default();
        let next = number + 1;
        let more = if next < pages {
            next.to_string()
        } else {
            String::new()
        };
        Ok((vec![number], more))
    })
    .await
}

#[tokio::test]
async fn a_list_is_read_to_its_end_or_refused_by_the_bound_that_it_is_over() {
    let rows = read_all(PAGES_MAX).await.unwrap();
    assert_eq!(rows, Vec::from_iter(0..PAGES_MAX));
    let failure = Failure::from(read_all(PAGES_MAX + 1).await.unwrap_err());
    assert_eq!(
        failure.to_string(),
        "EXHAUSTED (export.pages): An export reads 10000 pages of 1 rows; there are more numbers."
    );
}
