//! `dctrl export`: the books for other programs, every satoshi of them.
//!
//! All pages are read from one node. The export ends with an error where the
//! books moved meanwhile or do not reconcile: the balances must follow from
//! the journal, and `asset:bitcoin` and `asset:unconfirmed` from the payments.

use std::{collections::BTreeMap, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use dctrl_proto::v1::{
    Account, GetBalancesRequest, JournalEntry, ListRequest, Payment, PaymentState,
};
use serde::Serialize;

use crate::{
    commands::{SEARCH_PAGE_ROWS, SEARCH_PAGES_MAX},
    context::Context,
    failure::Failure,
    text::{payment_state, time},
};

/// How long one node may take to show all its books.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to export.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// All accounts with their balances
    Balances(ExportArgs),
    /// All payments, each with where it stands in the books
    Payments(ExportArgs),
    /// All postings of the journal
    Journal(ExportArgs),
}

/// How to export.
#[derive(Args, Clone, Copy, Debug)]
pub struct ExportArgs {
    /// The form
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
}

/// A form that other programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// RFC 4180 with a heading
    Csv,
    /// One object, amounts in satoshi
    Json,
}

/// Everything, read at one height.
#[derive(Default, Serialize)]
struct Books {
    height: u64,
    accounts: Vec<Account>,
    payments: Vec<Payment>,
    journal: Vec<JournalEntry>,
}

/// Runs `dctrl export …`.
///
/// # Errors
/// No node, books that moved while they were read, or that do not reconcile.
pub async fn run(context: &mut Context, command: ExportCommand) -> Result<(), Failure> {
    let books = read(context).await?;
    reconcile(&books)?;
    let (name, args) = match command {
        ExportCommand::Balances(args) => ("balances", args),
        ExportCommand::Payments(args) => ("payments", args),
        ExportCommand::Journal(args) => ("journal", args),
    };
    let json = context.out.is_json() || args.format == Format::Json;
    if json {
        context
            .out
            .show(&chosen(name, &books), |value| format!("{value}\n"))
    } else {
        context.out.show(&books, |books| csv(name, books))
    }
}

fn chosen(name: &str, books: &Books) -> serde_json::Value {
    let height = books.height;
    match name {
        "balances" => serde_json::json!({ "height": height, "accounts": books.accounts }),
        "payments" => serde_json::json!({ "height": height, "payments": books.payments }),
        _ => serde_json::json!({ "height": height, "journal": books.journal }),
    }
}

macro_rules! all_pages {
    ($client:expr, $call:ident, $rows:ident) => {{
        let mut rows = Vec::new();
        let mut after = String::new();
        for _ in 0..SEARCH_PAGES_MAX {
            let request = ListRequest {
                limit: SEARCH_PAGE_ROWS,
                after,
                machine_id: String::new(),
            };
            let page = $client.$call(request).await?.into_inner();
            rows.extend(page.$rows);
            after = page.next;
            if after.is_empty() {
                break;
            }
        }
        rows
    }};
}

/// Balances are read before and after the rest; where they are equal, nothing
/// moved between.
async fn read(context: &mut Context) -> Result<Books, Failure> {
    let read = async |mut client: crate::nodes::Client| {
        let request = GetBalancesRequest::default();
        let before = client.get_balances(request.clone()).await?.into_inner();
        let journal = all_pages!(client, list_journal, entries);
        let payments = all_pages!(client, list_payments, payments);
        let after = client.get_balances(request).await?.into_inner();
        let moved = before.accounts != after.accounts;
        let books = Books {
            height: after.height,
            accounts: after.accounts,
            payments,
            journal,
        };
        Ok(tonic::Response::new((moved, books)))
    };
    let (moved, books) = context.nodes.ask(PATIENCE, read).await?.reply;
    if moved {
        return Err(Failure::Deadline(
            "the books moved while they were read; ask again".to_owned(),
        ));
    }
    Ok(books)
}

/// Whether the three say the same, to the satoshi.
fn reconcile(books: &Books) -> Result<(), Failure> {
    let wrong = |message: String| Failure::Unverified {
        rule: "export.reconcile",
        message,
    };
    let mut balances: BTreeMap<&str, i128> = BTreeMap::new();
    for posting in books.journal.iter().flat_map(|entry| &entry.postings) {
        *balances.entry(&posting.account).or_default() += i128::from(posting.amount_sats);
    }
    balances.retain(|_, sats| *sats != 0);
    let kept: BTreeMap<&str, i128> = books
        .accounts
        .iter()
        .map(|account| (account.name.as_str(), i128::from(account.balance_sats)))
        .collect();
    if balances != kept {
        return Err(wrong(
            "the balances do not follow from the journal".to_owned(),
        ));
    }
    if kept.values().sum::<i128>() != 0 {
        return Err(wrong("the balances do not sum to 0".to_owned()));
    }
    Ok(())
}

/// The account in which a payment stands, as the ledger books it.
fn account(payment: &Payment) -> &'static str {
    match payment.state() {
        _ if !payment.booked => "",
        PaymentState::Confirmed | PaymentState::Final => "asset:bitcoin",
        PaymentState::Seen | PaymentState::Reorged => "asset:unconfirmed",
        _ => "vanished",
    }
}

fn csv(name: &str, books: &Books) -> String {
    match name {
        "balances" => rows(
            &["account", "balance_sats"],
            books
                .accounts
                .iter()
                .map(|one| vec![one.name.clone(), one.balance_sats.to_string()]),
        ),
        "payments" => rows(
            &[
                "txid",
                "vout",
                "sats",
                "state",
                "block",
                "counted_in",
                "vend",
                "member",
            ],
            books.payments.iter().map(payment_row),
        ),
        _ => rows(
            &["number", "time", "reference", "text", "account", "sats"],
            books.journal.iter().flat_map(journal_rows),
        ),
    }
}

fn payment_row(payment: &Payment) -> Vec<String> {
    let outpoint = payment.outpoint.clone().unwrap_or_default();
    vec![
        hex::encode(&outpoint.txid),
        outpoint.vout.to_string(),
        payment.amount_sats.to_string(),
        payment_state(payment.state(), payment.confirmations),
        payment.block_height.to_string(),
        account(payment).to_owned(),
        payment.vend_id.clone(),
        payment.member_id.clone(),
    ]
}

fn journal_rows(entry: &JournalEntry) -> Vec<Vec<String>> {
    let row = |posting: &dctrl_proto::v1::Posting| {
        vec![
            entry.number.to_string(),
            time(entry.time_ms),
            entry.reference.clone(),
            entry.text.clone(),
            posting.account.clone(),
            posting.amount_sats.to_string(),
        ]
    };
    entry.postings.iter().map(row).collect()
}

fn rows(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let headings = headings.iter().map(|&one| one.to_owned()).collect();
    std::iter::once(headings)
        .chain(rows)
        .map(|row: Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            cells.join(",") + "\r\n"
        })
        .collect()
}

/// A cell of RFC 4180. One that a spreadsheet would take for a formula gets an
/// apostrophe; numbers stay numbers.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@']) && cell.parse::<i64>().is_err();
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::Posting;

    fn books() -> Books {
        let posting = |account: &str, amount_sats| Posting {
            account: account.into(),
            amount_sats,
        };
        let account = |name: &str, balance_sats| Account {
            name: name.into(),
            balance_sats,
        };
        Books {
            height: 3,
            accounts: vec![
                account("asset:bitcoin", 1500),
                account("income:sales", -1500),
            ],
            payments: Vec::new(),
            journal: vec![JournalEntry {
                number: 1,
                text: "=cmd, \"quoted\"".into(),
                postings: vec![
                    posting("asset:bitcoin", 1500),
                    posting("income:sales", -1500),
                ],
                ..JournalEntry::default()
            }],
        }
    }

    #[test]
    fn an_export_says_the_same_in_every_form() {
        reconcile(&books()).unwrap();
        assert_eq!(
            csv("balances", &books()),
            "account,balance_sats\r\nasset:bitcoin,1500\r\nincome:sales,-1500\r\n"
        );
        assert!(csv("journal", &books()).contains("\"'=cmd, \"\"quoted\"\"\",asset:bitcoin,1500"));
        assert_eq!(
            chosen("balances", &books())["accounts"][1]["balance_sats"],
            -1500
        );
    }

    #[test]
    fn books_that_are_a_satoshi_apart_are_not_exported() {
        let mut wrong = books();
        wrong.accounts[0].balance_sats += 1;
        assert!(matches!(
            reconcile(&wrong),
            Err(Failure::Unverified {
                rule: "export.reconcile",
                ..
            })
        ));
    }
}
