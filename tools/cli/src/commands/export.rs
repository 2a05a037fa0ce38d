//! `dctrl export`: the books for other programs, every satoshi of them.
//!
//! All pages are read from one node. The export ends with an error where money
//! moved meanwhile, where a list is longer than can be read, or where the lists
//! do not reconcile.

mod reconcile;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use dctrl_proto::{
    status::to_status,
    v1::{
        Account, GetBalancesRequest, JournalEntry, ListRequest, Payment, Payout, PayoutKind,
        Refusal, RefusalCode,
    },
};
use serde::Serialize;
use tokio::time::timeout;
use tonic::Status;

use crate::{
    commands::payout,
    context::Context,
    failure::Failure,
    nodes::{Client, QUERY_TIMEOUT},
    text::{payment_state, time},
};

/// How long one node may take to show all its books.
const PATIENCE: Duration = Duration::from_secs(600);
/// Pages of one list at most: all of them are in memory at once.
const PAGES_MAX: usize = 10_000;
/// Rows of a page.
const PAGE_ROWS: u32 = 1000;
/// Rows of a page of payouts, each with up to eight transactions.
const PAYOUT_PAGE_ROWS: u32 = 50;

/// What to export.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// All accounts with their balances
    Balances(ExportArgs),
    /// All payments, each with where it stands in the books
    Payments(ExportArgs),
    /// All payouts, each with what the books count of it
    Payouts(ExportArgs),
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
    payouts: Vec<Payout>,
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
        ExportCommand::Payouts(args) => ("payouts", args),
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
        "payouts" => serde_json::json!({ "height": height, "payouts": books.payouts }),
        _ => serde_json::json!({ "height": height, "journal": books.journal }),
    }
}

/// Balances are read before and after the rest; where they are equal, no money
/// moved between.
async fn read(context: &mut Context) -> Result<Books, Failure> {
    let read = async |mut client: Client| {
        let request = GetBalancesRequest::default();
        let before = in_time("balances", client.get_balances(request.clone())).await?;
        let mut books = lists(&client).await?;
        let after = in_time("balances", client.get_balances(request)).await?;
        let (before, after) = (before.into_inner(), after.into_inner());
        let moved = before.accounts != after.accounts;
        (books.height, books.accounts) = (after.height, after.accounts);
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

/// The journal, payments and payouts of one node.
async fn lists(client: &Client) -> Result<Books, Status> {
    let journal = all("journal entries", PAGE_ROWS, async |request| {
        let page = client.clone().list_journal(request).await?.into_inner();
        Ok((page.entries, page.next))
    });
    let journal = journal.await?;
    let payments = all("payments", PAGE_ROWS, async |request| {
        let page = client.clone().list_payments(request).await?.into_inner();
        Ok((page.payments, page.next))
    });
    let payments = payments.await?;
    let payouts = all("payouts", PAYOUT_PAGE_ROWS, async |request| {
        let page = client.clone().list_payouts(request).await?.into_inner();
        Ok((page.payouts, page.next))
    });
    Ok(Books {
        journal,
        payments,
        payouts: payouts.await?,
        ..Books::default()
    })
}

/// Every row of a list. `page` gives the rows of a page and the next cursor.
///
/// # Errors
/// EXHAUSTED for a list longer than [`PAGES_MAX`], and what `page` suffers from.
async fn all<T>(
    list: &str,
    limit: u32,
    page: impl AsyncFn(ListRequest) -> Result<(Vec<T>, String), Status>,
) -> Result<Vec<T>, Status> {
    let mut all = Vec::new();
    let mut after = String::new();
    for _ in 0..PAGES_MAX {
        let request = ListRequest {
            limit,
            after,
            machine_id: String::new(),
        };
        let (rows, next) = in_time(list, page(request)).await?;
        all.extend(rows);
        if next.is_empty() {
            return Ok(all);
        }
        after = next;
    }
    let message =
        format!("An export reads {PAGES_MAX} pages of {limit} rows; there are more {list}.");
    let refusal = Refusal::rule(RefusalCode::Exhausted, "export.pages", message);
    Err(to_status(&refusal))
}

/// One answer, with the patience of a question: a silent node is passed over.
async fn in_time<T>(
    what: &str,
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    timeout(QUERY_TIMEOUT, answer)
        .await
        .map_err(|_| Status::unavailable(format!("no {what} in {QUERY_TIMEOUT:?}")))?
}

fn reconcile(books: &Books) -> Result<(), Failure> {
    let Books {
        accounts,
        journal,
        payments,
        payouts,
        ..
    } = books;
    reconcile::reconcile(accounts, journal, payments, payouts).map_err(|message| {
        Failure::Unverified {
            rule: "export.reconcile",
            message,
        }
    })
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
        "payouts" => rows(
            &[
                "id",
                "state",
                "proposed",
                "kind",
                "source",
                "amount_sats",
                "reserved_sats",
                "fee_sats",
                "lost_sats",
                "settled",
                "settled_txid",
                "frozen",
                "purpose",
            ],
            books.payouts.iter().map(payout_row),
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
        reconcile::account(payment).to_owned(),
        payment.vend_id.clone(),
        payment.member_id.clone(),
    ]
}

fn payout_row(payout: &Payout) -> Vec<String> {
    let newest = payout.versions.last();
    vec![
        payout.id.clone(),
        payout::state(payout.state()),
        time(payout.proposed_at_ms),
        payout::kind(newest.map_or(PayoutKind::Unspecified, |version| version.kind())),
        source(payout).to_owned(),
        payout.amount_sats.to_string(),
        payout.reserved_sats.to_string(),
        payout.reserved_fee_sats.to_string(),
        payout.lost_sats.to_string(),
        payout.settled.to_string(),
        hex::encode(&payout.settled_txid),
        payout.frozen.to_string(),
        payout.purpose.clone(),
    ]
}

/// What a payout was proposed as.
fn source(payout: &Payout) -> &'static str {
    match payout.accounts.first() {
        _ if payout.parent.is_some() => "child",
        Some(account) if account.starts_with("liability:refund:") => "refunds",
        Some(_) => "split",
        None => "recipients",
    }
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
mod tests;
