//! `dctrl tab`

use clap::Subcommand;
use dctrl_proto::v1::{
    GetTabRequest, RefundRequest, RefundWithdraw, TabCash, TabLimit, TabList, TabReply, TabTopUp,
    TabTransfer, TabView,
};

use crate::{
    args::{PageArgs, more},
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit, submit_and_show},
    table::Table,
    text::{grouped, or_dash, sats, signed_sats},
    top_up,
};

/// Members' balances.
#[derive(Debug, Subcommand)]
pub enum TabCommand {
    /// One member's tab
    Show {
        /// The member's id
        member: String,
    },
    /// All tabs, by member
    List(PageArgs),
    /// Ask for an address of your own, whose payments are credited
    TopUp {
        /// Draw the QR code even where the output is no terminal
        #[arg(long)]
        qr: bool,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Give another member what you have
    Transfer {
        /// The other member
        #[arg(long, value_name = "ID")]
        to: String,
        /// How much
        #[arg(long)]
        sats: u64,
        /// What for, in the journal
        #[arg(long, default_value = "", hide_default_value = true)]
        text: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Record that a member has paid you in cash, or that you have paid them
    Cash {
        /// The member
        member: String,
        /// How much
        #[arg(long)]
        sats: u64,
        /// You gave the cash
        #[arg(long)]
        paid_out: bool,
        /// What happened
        #[arg(long)]
        reason: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Set what a member may owe, and risk with unconfirmed payments
    Limit {
        /// The member
        member: String,
        /// How far the balance may be below 0
        #[arg(long, value_name = "SATS")]
        credit: u64,
        /// Largest price on an unconfirmed payment; the site's without
        #[arg(long, value_name = "SATS")]
        zero_conf: Option<u64>,
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Ask to have some of it paid to an address
    Refund {
        /// How much
        #[arg(long)]
        sats: u64,
        /// Where to
        #[arg(long)]
        address: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Take back a refund that nobody has paid yet
    Withdraw {
        /// The refund's id
        refund: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// Runs `dctrl tab …`.
///
/// # Errors
/// A refusal, no node, or an answer that does not verify.
pub async fn run(context: &mut Context, command: TabCommand) -> Result<(), Failure> {
    match command {
        TabCommand::Show { member } => show(context, member).await,
        TabCommand::List(page) => list(context, &page).await,
        TabCommand::TopUp { qr, submit: args } => {
            let outcome = submit(context, &args, &TabTopUp {}).await?;
            top_up::show(context, &outcome, qr).await
        }
        TabCommand::Transfer {
            to,
            sats,
            text,
            submit,
        } => {
            let payload = TabTransfer {
                to_member_id: to,
                sats,
                text,
            };
            submit_and_show(context, &submit, &payload).await
        }
        TabCommand::Cash {
            member,
            sats,
            paid_out,
            reason,
            submit,
        } => {
            let payload = TabCash {
                member_id: member,
                sats,
                paid_out,
                reason,
            };
            submit_and_show(context, &submit, &payload).await
        }
        TabCommand::Limit {
            member,
            credit,
            zero_conf,
            reason,
            submit,
        } => {
            let payload = TabLimit {
                member_id: member,
                credit_limit_sats: credit,
                zero_conf_sats_max: zero_conf,
                reason,
            };
            submit_and_show(context, &submit, &payload).await
        }
        TabCommand::Refund {
            sats,
            address,
            submit,
        } => {
            let payload = RefundRequest {
                sats,
                address,
                ..RefundRequest::default()
            };
            submit_and_show(context, &submit, &payload).await
        }
        TabCommand::Withdraw { refund, submit } => {
            let payload = RefundWithdraw { refund_id: refund };
            submit_and_show(context, &submit, &payload).await
        }
    }
}

async fn list(context: &mut Context, page: &PageArgs) -> Result<(), Failure> {
    let answer = context
        .nodes
        .query(async |mut client| client.list_tabs(page.request()).await)
        .await?;
    context.out.answer(&answer, human)
}

async fn show(context: &mut Context, member: String) -> Result<(), Failure> {
    let request = GetTabRequest { member_id: member };
    let answer = context
        .nodes
        .query(async |mut client| client.get_tab(request.clone()).await)
        .await?;
    context.out.answer(&answer, describe)
}

fn describe(reply: &TabReply) -> String {
    let view = reply.tab.clone().unwrap_or_default();
    let tab = view.tab.clone().unwrap_or_default();
    let zero_conf = match tab.zero_conf_sats_max {
        _ if tab.zero_conf_withdrawn => "withdrawn".to_owned(),
        Some(most) => sats(most),
        None => "as the site allows".to_owned(),
    };
    format!(
        "member       {}\nbalance      {}\nowed         {}\ncredit limit {}\ncan spend    {}\n\
         unconfirmed  {zero_conf}\ntop-up       {}\nat height {}\n",
        tab.member_id,
        signed_sats(view.balance_sats),
        sats(view.debt_sats),
        sats(tab.credit_limit_sats),
        sats(view.available_sats),
        or_dash(&tab.address),
        reply.height,
    )
}

fn human(list: &TabList) -> String {
    let mut table = Table::new(&["MEMBER", ">BALANCE", ">OWED", ">LIMIT", ">CAN SPEND"]);
    let number = |sats: u64| grouped(i64::try_from(sats).unwrap_or(i64::MAX));
    for view in &list.tabs {
        let TabView {
            tab,
            balance_sats,
            debt_sats,
            available_sats,
        } = view;
        let tab = tab.clone().unwrap_or_default();
        table.row([
            tab.member_id,
            grouped(*balance_sats),
            number(*debt_sats),
            number(tab.credit_limit_sats),
            number(*available_sats),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::Tab;

    #[test]
    fn a_tab_says_what_is_there_and_what_can_be_spent() {
        let reply = TabReply {
            height: 7,
            tab: Some(TabView {
                tab: Some(Tab {
                    member_id: "alice".into(),
                    credit_limit_sats: 1000,
                    ..Tab::default()
                }),
                balance_sats: -400,
                debt_sats: 0,
                available_sats: 600,
            }),
        };
        let expected = "\
member       alice
balance      -400 sats
owed         0 sats
credit limit 1,000 sats
can spend    600 sats
unconfirmed  as the site allows
top-up       -
at height 7
";
        assert_eq!(describe(&reply), expected);
    }
}
