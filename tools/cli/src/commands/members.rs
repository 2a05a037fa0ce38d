//! `dctrl members`

use clap::{Subcommand, ValueEnum};
use dctrl_proto::v1::{Member, MemberList, MemberSet, MemberStatus};

use super::find_row;
use crate::{
    args::{PageArgs, more},
    commands::key::KeyArg,
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
    table::Table,
    text::{or_dash, short, words},
};

/// Members and their roles.
#[derive(Debug, Subcommand)]
pub enum MembersCommand {
    /// Members in order of their ids
    List(PageArgs),
    /// Register a member, or change what is named here and keep the rest
    Set {
        /// The member's id
        id: String,
        /// Name for people
        #[arg(long)]
        name: Option<String>,
        /// The member's public key
        #[arg(long, value_name = "HEX|KEYFILE")]
        public_key: Option<KeyArg>,
        /// All the member's roles, each once
        #[arg(long, value_enum)]
        role: Vec<Role>,
        /// Whether the member may act
        #[arg(long, value_enum)]
        status: Option<StatusArg>,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// What a member may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[expect(missing_docs, reason = "the names are the roles of the ledger")]
pub enum Role {
    Operator,
    Copayer,
    Staff,
    Member,
    Auditor,
}

/// Whether a member may act.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[expect(missing_docs, reason = "the names are the states of the ledger")]
pub enum StatusArg {
    Active,
    Suspended,
    Left,
}

impl From<StatusArg> for MemberStatus {
    fn from(arg: StatusArg) -> Self {
        match arg {
            StatusArg::Active => Self::Active,
            StatusArg::Suspended => Self::Suspended,
            StatusArg::Left => Self::Left,
        }
    }
}

/// Runs `dctrl members …`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, command: MembersCommand) -> Result<(), Failure> {
    match command {
        MembersCommand::List(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_members(page.request()).await)
                .await?;
            context.out.answer(&answer, human)
        }
        MembersCommand::Set {
            id,
            name,
            public_key,
            role,
            status,
            submit,
        } => {
            let known = find_row!(context.nodes, list_members, members, |one| one.id == id);
            let mut member = known.unwrap_or_else(|| Member {
                id: id.clone(),
                name: id.clone(),
                roles: vec!["member".to_owned()],
                status: MemberStatus::Active.into(),
                ..Member::default()
            });
            member.name = name.unwrap_or(member.name);
            member.key = public_key.map_or(member.key, |key| key.public.to_vec());
            if !role.is_empty() {
                member.roles = role
                    .iter()
                    .map(|one| format!("{one:?}").to_lowercase())
                    .collect();
            }
            if let Some(status) = status {
                member.set_status(status.into());
            }
            submit_and_show(
                context,
                &submit,
                &MemberSet {
                    member: Some(member),
                },
            )
            .await
        }
    }
}

fn human(list: &MemberList) -> String {
    let mut table = Table::new(&["ID", "NAME", "ROLES", "STATUS", "KEY"]);
    for member in &list.members {
        table.row([
            member.id.clone(),
            or_dash(&member.name).to_owned(),
            or_dash(&member.roles.join(",")).to_owned(),
            words(member.status().as_str_name()),
            short(&member.key),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}
