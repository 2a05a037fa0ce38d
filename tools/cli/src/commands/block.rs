//! `dctrl block`

use clap::Args;
use dctrl_proto::v1::{BlockReply, GetBlockRequest};
use serde::Serialize;

use crate::{context::Context, failure::Failure, output::Answered, text::time, verify::Signatures};

/// One block.
#[derive(Args, Debug)]
pub struct BlockArgs {
    /// Height of the block; the first is 1
    height: u64,
}

#[derive(Serialize)]
struct CheckedBlock {
    #[serde(flatten)]
    block: BlockReply,
    /// None while signatures are missing.
    #[serde(rename = "final")]
    signatures: Option<Signatures>,
}

/// Runs `dctrl block`.
///
/// # Errors
/// Where no node answers, or its certificate does not hold.
pub async fn run(context: &mut Context, args: BlockArgs) -> Result<(), Failure> {
    let request = GetBlockRequest {
        height: args.height,
    };
    let answer = context
        .nodes
        .query(async |mut client| client.get_block(request).await)
        .await?;
    let signatures = check(context, &answer.reply).await?;
    let checked = Answered {
        reply: CheckedBlock {
            block: answer.reply,
            signatures,
        },
        answered_by: answer.answered_by,
    };
    context.out.answer(&checked, human)
}

/// The certificate must hold, and certify what the node says of the block.
async fn check(context: &Context, block: &BlockReply) -> Result<Option<Signatures>, Failure> {
    if block.certificate.is_empty() {
        return Ok(None);
    }
    let verifier = context.verifier()?;
    verifier.prepare(&context.nodes, &block.certificate).await;
    let (header, signatures) = verifier.certificate(&block.certificate)?;
    let same = header.index == block.height
        && header.state_digest.0.as_slice() == block.state_digest
        && header.payload_root.0.as_slice() == block.payload_root
        && header.outputs_root.0.as_slice() == block.outputs_root;
    if same {
        Ok(Some(signatures))
    } else {
        Err(Failure::Unverified {
            rule: "block.header",
            message: "the certificate belongs to another block".to_owned(),
        })
    }
}

fn human(checked: &CheckedBlock) -> String {
    let block = &checked.block;
    let fate = checked.signatures.map_or_else(
        || "not final: signatures are missing".to_owned(),
        |s| s.to_string(),
    );
    let mut text = format!(
        "block {} of round {}, {}\n{fate}\n",
        block.height,
        block.round,
        time(block.time_ms)
    );
    for (name, hash) in [
        ("previous", &block.previous),
        ("payload root", &block.payload_root),
        ("state digest", &block.state_digest),
        ("outputs root", &block.outputs_root),
    ] {
        text += &format!("{name:<13} {}\n", hex::encode(hash));
    }
    text += &format!("{} actions\n", block.action_ids.len());
    for id in &block.action_ids {
        text += &format!("  {}\n", hex::encode(id));
    }
    text
}
