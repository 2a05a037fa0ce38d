//! `dctrl action`

use std::time::Duration;

use clap::Args;
use dctrl_proto::v1::{GetActionRequest, SubmitReply};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    output::Answered,
    prove,
    submit::{RequestId, TRANSIT, Wait, describe_end, parse_request_id},
    verify::Signatures,
};

/// One action that was handed in, here or elsewhere.
#[derive(Args, Debug)]
pub struct ActionArgs {
    /// Its id, as it was printed: 64 hexadecimal digits
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: ActionId,
    /// The request id that was printed with it. It tells when the action
    /// expires, so that a node which never saw it can say that it has
    #[arg(long, value_name = "HEX", value_parser = parse_request_id)]
    request_id: Option<RequestId>,
    /// When it expires, milliseconds since 1970, where no request id is at hand
    #[arg(long, value_name = "MS", conflicts_with = "request_id")]
    expires_at: Option<u64>,
    /// What it is, such as `vend.quote`: some kinds are forgotten a while after
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    kind: String,
    /// Stage to wait for; an end of another kind ends the wait too
    #[arg(long, value_enum, default_value = "received")]
    wait: Wait,
    /// Seconds to wait for that stage
    #[arg(long, value_name = "SECONDS", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=120))]
    timeout: u32,
}

type ActionId = [u8; 32];

fn parse_id(text: &str) -> Result<ActionId, String> {
    let mut id = [0; 32];
    hex::decode_to_slice(text, &mut id)
        .map_err(|error| format!("an action's id is 64 hexadecimal digits: {error}"))?;
    Ok(id)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    reply: SubmitReply,
    /// Who signed its end; absent where that is not proven.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    signatures: Option<Signatures>,
}

/// Runs `dctrl action`.
///
/// # Errors
/// Where no node knows the action, the stage is not reached in time, or what a
/// node says does not hold.
pub async fn run(context: &mut Context, args: ActionArgs) -> Result<(), Failure> {
    let of_request = args.request_id.map(RequestId::expires_at_ms);
    let expires_at_ms = args.expires_at.or(of_request).unwrap_or(0);
    let request = GetActionRequest {
        action_id: args.id.to_vec(),
        wait_for: dctrl_proto::v1::Stage::from(args.wait).into(),
        timeout_ms: args.timeout * 1000,
        expires_at_ms,
        name: args.kind,
        prove: true,
    };
    let patience = Duration::from_secs(args.timeout.into()) + TRANSIT;
    let answer = context
        .nodes
        .ask(patience, async |mut client| {
            client.get_action(request.clone()).await
        })
        .await?;
    let mut reply = answer.reply;
    if reply.action_id != args.id {
        return Err(Failure::Unverified {
            rule: "action.id",
            message: format!("{} answered about another action", answer.answered_by),
        });
    }
    let signatures = prove::check(context, &mut reply, expires_at_ms).await?;
    let shown = Answered {
        reply: Shown { reply, signatures },
        answered_by: answer.answered_by,
    };
    context.out.answer(&shown, |shown| {
        let name = shown
            .reply
            .receipt
            .as_ref()
            .map_or("action", |one| &one.name);
        let end = describe_end(&shown.reply, shown.signatures);
        format!(
            "{name} {end}\naction {}\n",
            hex::encode(&shown.reply.action_id)
        )
    })
}
