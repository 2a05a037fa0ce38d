//! `dctrl nodes`: who the nodes are, and how that changes.
//!
//! A change is proposed with the key of a node or of an operator and approved
//! with the keys of nodes, so that these commands take `--key` with a node's
//! key file. What is approved is the digest of the words that are shown: it is
//! computed here, never taken from the node that was asked.

mod change;
mod show;

use clap::{Args, Subcommand};
use dctrl_proto::{
    proposal::proposal_digest,
    v1::{
        ListNodesRequest, NodeApprove, NodeChange, NodeLeave, NodeList, NodeProposal, NodePropose,
        NodeWithdraw, RosterNode,
    },
};

pub(crate) use self::show::{proposal_event, roster_event};

use self::change::{IdentityArgs, PlaceArgs, UpdateArgs};
use crate::{
    args::PageArgs,
    commands::key::KeyArg,
    context::Context,
    failure::Failure,
    output::Answered,
    submit::{SubmitArgs, submit_and_show},
};

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Who the nodes are, and how that changes.
#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// The present nodes, and the proposals to change them
    List,
    /// Every roster there was, and who approved it
    History(PageArgs),
    /// Propose that a node joins
    ProposeAdd {
        /// The new node's name
        name: String,
        /// Its keys.
        #[command(flatten)]
        identity: IdentityArgs,
        /// Where it is reached.
        #[command(flatten)]
        place: PlaceArgs,
        /// How to propose.
        #[command(flatten)]
        propose: ProposeArgs,
    },
    /// Propose that a node goes
    ProposeRemove {
        /// The node's name, or its public key in hexadecimal
        #[arg(value_name = "NODE")]
        target: String,
        /// Digest of the proof that it forked: its key never comes back
        #[arg(long, value_name = "HEX", value_parser = change::parse_digest)]
        evidence: Option<[u8; 32]>,
        /// How to propose.
        #[command(flatten)]
        propose: ProposeArgs,
    },
    /// Propose that another node takes a node's place
    ProposeReplace {
        /// The name of the node that goes, or its public key in hexadecimal
        #[arg(value_name = "NODE")]
        target: String,
        /// The new node's name, where it is another one
        #[arg(long)]
        name: Option<String>,
        /// Its keys.
        #[command(flatten)]
        identity: IdentityArgs,
        /// Where it is reached.
        #[command(flatten)]
        place: PlaceArgs,
        /// Digest of the proof that the old one forked: its key never comes back
        #[arg(long, value_name = "HEX", value_parser = change::parse_digest)]
        evidence: Option<[u8; 32]>,
        /// How to propose.
        #[command(flatten)]
        propose: ProposeArgs,
    },
    /// Propose that a node is reached elsewhere; what is not named stays
    ProposeUpdate {
        /// The node's name, or its public key in hexadecimal
        #[arg(value_name = "NODE")]
        target: String,
        /// What changes.
        #[command(flatten)]
        update: UpdateArgs,
        /// How to propose.
        #[command(flatten)]
        propose: ProposeArgs,
    },
    /// Propose that a node that lost its log starts anew
    ProposeReincarnate {
        /// The node's name, or its public key in hexadecimal
        #[arg(value_name = "NODE")]
        target: String,
        /// Its new public key, where it lost that too; a key file brings its curve key
        #[arg(long, value_name = "HEX|KEYFILE")]
        public_key: Option<KeyArg>,
        /// Where it keeps its key: the number of the disk from which it speaks now,
        /// as the node says when it starts
        #[arg(
            long,
            value_name = "NUMBER",
            required_unless_present = "public_key",
            conflicts_with = "public_key"
        )]
        instance: Option<u64>,
        /// Its new curve key, where the public key is given in hexadecimal
        #[arg(long, value_name = "HEX|KEYFILE")]
        curve_key: Option<KeyArg>,
        /// How to propose.
        #[command(flatten)]
        propose: ProposeArgs,
    },
    /// Approve a proposal with a node's key; it takes effect with a quorum
    Approve(ProposalArgs),
    /// Take back a proposal, or the own approval of another's
    Withdraw(ProposalArgs),
    /// Leave with the own node; nobody needs to approve
    Leave {
        /// The node's name, so that no wrong key makes another one leave
        name: String,
        /// Why, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Leave even where too few of the others are known to work
        #[arg(long)]
        force: bool,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// How a change is proposed.
#[derive(Args, Clone, Debug)]
pub struct ProposeArgs {
    /// Why, for people
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Days in which it can be approved
    #[arg(long, value_name = "DAYS", default_value = "7",
          value_parser = clap::value_parser!(u64).range(1..=29))]
    valid: u64,
    /// Even where too few of the nodes afterwards are known to work: one that
    /// does not could stop them all
    #[arg(long)]
    force: bool,
    /// How to submit.
    #[command(flatten)]
    submit: SubmitArgs,
}

/// Which proposal.
#[derive(Args, Clone, Debug)]
pub struct ProposalArgs {
    /// The proposal's digest: 64 hexadecimal digits
    #[arg(value_name = "PROPOSAL", value_parser = change::parse_digest)]
    digest: [u8; 32],
    /// How to submit.
    #[command(flatten)]
    submit: SubmitArgs,
}

/// Runs `dctrl nodes …`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, command: NodesCommand) -> Result<(), Failure> {
    match command {
        NodesCommand::List => {
            let answer = ask(context).await?;
            context.out.answer(&answer, show::list)
        }
        NodesCommand::History(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_rosters(page.request()).await)
                .await?;
            context.out.answer(&answer, show::history)
        }
        NodesCommand::Approve(args) => {
            let proposal = known(context, &args.digest).await?;
            eprint!("{}", show::words(&proposal));
            let approve = NodeApprove {
                proposal: proposal.digest,
            };
            submit_and_show(context, &args.submit, &approve).await
        }
        NodesCommand::Withdraw(args) => {
            let withdraw = NodeWithdraw {
                proposal: args.digest.to_vec(),
            };
            submit_and_show(context, &args.submit, &withdraw).await
        }
        NodesCommand::Leave {
            name,
            reason,
            force,
            submit,
        } => {
            let leave = NodeLeave {
                name,
                reason,
                force,
            };
            submit_and_show(context, &submit, &leave).await
        }
        proposed => propose(context, proposed).await,
    }
}

/// The commands that propose.
async fn propose(context: &mut Context, command: NodesCommand) -> Result<(), Failure> {
    let (kind, args) = match command {
        NodesCommand::ProposeAdd {
            name,
            identity,
            place,
            propose,
        } => (change::add(identity.node(name, place)?), propose),
        NodesCommand::ProposeRemove {
            target,
            evidence,
            propose,
        } => {
            let old = find(context, &target).await?;
            (change::remove(&old, evidence), propose)
        }
        NodesCommand::ProposeReplace {
            target,
            name,
            identity,
            place,
            evidence,
            propose,
        } => {
            let old = find(context, &target).await?;
            let name = name.unwrap_or_else(|| change::row(&old).name);
            let new = identity.node(name, place)?;
            (change::replace(&old, new, evidence), propose)
        }
        NodesCommand::ProposeUpdate {
            target,
            update,
            propose,
        } => {
            let old = find(context, &target).await?;
            (change::update(&old, update), propose)
        }
        NodesCommand::ProposeReincarnate {
            target,
            public_key,
            instance,
            curve_key,
            propose,
        } => {
            let old = find(context, &target).await?;
            let kind = change::reincarnate(&old, public_key, instance, curve_key);
            (kind, propose)
        }
        _ => return Ok(()),
    };
    let (submit, made_at_ms) = args.submit.pinned();
    let change = NodeChange {
        kind: Some(kind),
        reason: args.reason,
        // Counted from the request id, so that a repeated request is the same.
        expires_at_ms: made_at_ms + args.valid * DAY_MS,
        force: args.force,
    };
    let digest = proposal_digest(&cluster(context)?, &change);
    eprintln!("proposal {}", hex::encode(digest));
    let propose = NodePropose {
        change: Some(change),
    };
    submit_and_show(context, &submit, &propose).await
}

async fn ask(context: &Context) -> Result<Answered<NodeList>, Failure> {
    context
        .nodes
        .query(async |mut client| client.list_nodes(ListNodesRequest {}).await)
        .await
}

fn cluster(context: &Context) -> Result<[u8; 32], Failure> {
    Ok(dctrl_proto::genesis::cluster_id(context.genesis()?))
}

/// The present node of this name or key.
async fn find(context: &Context, wanted: &str) -> Result<RosterNode, Failure> {
    let nodes = ask(context).await?.reply.roster.unwrap_or_default().nodes;
    let is = |one: &RosterNode| {
        let node = change::row(one);
        node.name == wanted || hex::encode(&node.key) == wanted
    };
    nodes.into_iter().find(is).ok_or_else(|| {
        Failure::not_found("node.name", format!("no present node is called {wanted}"))
    })
}

/// The open proposal with this digest, which is that of its words.
async fn known(context: &Context, digest: &[u8; 32]) -> Result<NodeProposal, Failure> {
    let cluster = cluster(context)?;
    let proposals = ask(context).await?.reply.proposals;
    let proposal = proposals
        .into_iter()
        .filter_map(|view| view.proposal)
        .find(|proposal| proposal.digest == digest)
        .ok_or_else(|| {
            let message = format!("no proposal {} is open", hex::encode(digest));
            Failure::not_found("node.proposal", message)
        })?;
    let change = proposal.change.clone().unwrap_or_default();
    if proposal_digest(&cluster, &change) != *digest {
        return Err(Failure::Unverified {
            rule: "proposal.digest",
            message: "the node shows another change than this digest is of".to_owned(),
        });
    }
    Ok(proposal)
}
