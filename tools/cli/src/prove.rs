//! That an action ended as a node says: checked, not believed.
//!
//! A certified receipt proves that the action was applied, or why not, and when.
//! A certified time behind the expiry proves that it can never be ordered any
//! more; that it was not ordered before is the node's word, because a state has
//! no proof of what it lacks: whoever doubts it asks another node.

use dctrl_proto::{
    receipt::{receipt_digest, receipts_digest},
    v1::{Receipt, ReceiptProof, Stage, SubmitReply, bus_body::Event},
};
use prost::Message;

use crate::{
    context::Context,
    failure::Failure,
    verify::{Signatures, Verifier},
};

/// Checks what `reply` brings for an end, and who signed; `None` where it is no
/// end, or the node has nothing to prove it with. What was checked is taken out.
///
/// # Errors
/// [`Failure::Unverified`] where something does not hold.
pub(crate) async fn check(
    context: &Context,
    reply: &mut SubmitReply,
    expires_at_ms: u64,
) -> Result<Option<Signatures>, Failure> {
    let (proof, certificate) = (reply.proof.take(), std::mem::take(&mut reply.certificate));
    match (reply.stage(), proof) {
        (Stage::Final | Stage::Refused, Some(proof)) => {
            let verifier = context.verifier()?;
            if let Some(block) = &proof.block {
                verifier.prepare(&context.nodes, &block.certificate).await;
            }
            let (receipt, signatures) = certified(&verifier, &reply.action_id, &proof)?;
            let refused = receipt.refusal.is_some();
            if reply.receipt.as_ref() != Some(&receipt)
                || refused != (reply.stage() == Stage::Refused)
            {
                return Err(wrong("the node says otherwise than the federation"));
            }
            Ok(Some(signatures))
        }
        (Stage::Expired, _) if !certificate.is_empty() => {
            let verifier = context.verifier()?;
            verifier.prepare(&context.nodes, &certificate).await;
            let (header, signatures) = verifier.certificate(&certificate)?;
            if header.time.as_millis() < expires_at_ms {
                return Err(wrong("its expiry has not passed"));
            }
            Ok(Some(signatures))
        }
        _ => Ok(None),
    }
}

/// The receipt that the federation signed for this action.
fn certified(
    verifier: &Verifier,
    action_id: &[u8],
    proof: &ReceiptProof,
) -> Result<(Receipt, Signatures), Failure> {
    let frame = proof.block.as_ref();
    let block = verifier.frame(frame.ok_or_else(|| wrong("there is no block"))?)?;
    let Some(Event::Block(said)) = &block.body.event else {
        return Err(wrong("the frame is not a block's"));
    };
    let digests = proof
        .digests
        .iter()
        .map(|one| <[u8; 32]>::try_from(&one[..]));
    let digests: Vec<[u8; 32]> = digests
        .collect::<Result<_, _>>()
        .map_err(|_| wrong("a digest has not 32 bytes"))?;
    let receipt = Receipt::decode(proof.receipt.as_slice())
        .map_err(|_| wrong("the receipt is not a message"))?;
    let holds = digests.contains(&receipt_digest(&proof.receipt))
        && said.receipts == receipts_digest(&digests)
        && receipt.action_id == action_id
        && receipt.height == block.body.height;
    if holds {
        Ok((receipt, block.signatures))
    } else {
        Err(wrong("the receipt is not among those that the block names"))
    }
}

fn wrong(message: &str) -> Failure {
    Failure::Unverified {
        rule: "action.receipt",
        message: message.to_owned(),
    }
}
