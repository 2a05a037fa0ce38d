//! `dctrl balance`

use clap::Args;
use dctrl_proto::v1::{Balances, GetBalancesRequest};

use crate::{context::Context, failure::Failure, table::Table, text::grouped};

/// The books.
#[derive(Args, Debug)]
pub struct BalanceArgs {
    /// Only accounts whose name starts with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
}

/// Runs `dctrl balance`.
///
/// # Errors
/// No node.
pub async fn run(context: &mut Context, args: BalanceArgs) -> Result<(), Failure> {
    let request = GetBalancesRequest {
        prefix: args.prefix,
    };
    let answer = context
        .nodes
        .query(async |mut client| client.get_balances(request.clone()).await)
        .await?;
    context.out.answer(&answer, human)
}

fn human(balances: &Balances) -> String {
    let mut table = Table::new(&["ACCOUNT", ">SATS"]);
    for account in &balances.accounts {
        table.row([account.name.clone(), grouped(account.balance_sats)]);
    }
    table.row(["sum of these".to_owned(), grouped(balances.sum_sats)]);
    format!("{table}at height {}\n", balances.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::Account;

    #[test]
    fn the_books_end_with_their_sum() {
        let account = |name: &str, balance_sats| Account {
            name: name.into(),
            balance_sats,
        };
        let balances = Balances {
            height: 5,
            accounts: vec![
                account("assets:bitcoin", 1500),
                account("income:vends", -1500),
            ],
            sum_sats: 0,
        };
        let expected = "\
ACCOUNT           SATS
assets:bitcoin   1,500
income:vends    -1,500
sum of these         0
at height 5
";
        assert_eq!(human(&balances), expected);
    }
}
