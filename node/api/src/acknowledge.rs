//! How far an action has come, from one look at the store: the same answer on
//! gRPC and at the door, and on every node that has the block.
//!
//! ORDERED means that its receipt is in this node's synced state. FINAL, or
//! REFUSED, means that this node also holds a certificate for that height or a
//! later one, whose header vouches for all before it. EXPIRED means that a final
//! block's time is not before the expiry and that there is no receipt: the
//! ledger lets nothing take effect from then on, so it stays like that.
//!
//! What a node cannot know is said as such: where only the id is asked for it
//! cannot tell an action that expired from one that never was.

use dctrl_consensus::certificate::Certificate;
use dctrl_ledger::{query, receipts};
use dctrl_proto::{
    receipt::{receipt_digest, receipts_digest},
    v1::{
        BlockPayload, BusBody, GetActionRequest, Receipt, ReceiptProof, Stage, SubmitReply,
        bus_body::Event,
    },
};
use dctrl_store::Snapshot;
use prost::Message;

use crate::{block, read::ReadError, refusal};

/// An action's id.
pub type ActionId = [u8; 32];

/// The topic of the frame that vouches for a block's receipts.
const BLOCK_TOPIC: &str = "block";

/// What is asked about an action, and what the asker knows of it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its id.
    pub id: ActionId,
    /// When it becomes void, consensus milliseconds; 0 where that is not known.
    pub expires_at_ms: u64,
    /// Its name in the registry; empty where that is not known.
    pub name: String,
    /// Add what proves the end.
    pub prove: bool,
}

impl TryFrom<&GetActionRequest> for Question {
    type Error = dctrl_proto::v1::Refusal;

    fn try_from(request: &GetActionRequest) -> Result<Self, Self::Error> {
        let id = request.action_id.as_slice().try_into().map_err(|_| {
            refusal::wrong_field("action.id", "action_id", "An action's id has 32 bytes.")
        })?;
        Ok(Self {
            id,
            expires_at_ms: request.expires_at_ms,
            name: request.name.clone(),
            prove: request.prove,
        })
    }
}

/// The answer from `snapshot`; `None` where this node knows nothing of the
/// action. `waits` says that the action was waiting here before the snapshot
/// was taken.
///
/// # Errors
/// A disk that cannot be read; an answer that has been forgotten.
pub fn acknowledge(
    snapshot: &Snapshot<'_>,
    question: &Question,
    waits: bool,
) -> Result<Option<SubmitReply>, ReadError> {
    let reply = SubmitReply {
        action_id: question.id.to_vec(),
        ..SubmitReply::default()
    };
    let Some(receipt) = query::receipt(snapshot, &question.id) else {
        return without_receipt(snapshot, question, waits, reply);
    };
    let is_final = snapshot.final_height()? >= receipt.height;
    let stage = match (is_final, &receipt.refusal) {
        (false, _) => Stage::Ordered,
        (true, None) => Stage::Final,
        (true, Some(_)) => Stage::Refused,
    };
    let proof = if is_final && question.prove {
        proof(snapshot, &receipt)?
    } else {
        None
    };
    Ok(Some(SubmitReply {
        stage: stage.into(),
        receipt: Some(receipt),
        proof,
        ..reply
    }))
}

fn without_receipt(
    snapshot: &Snapshot<'_>,
    question: &Question,
    waits: bool,
    reply: SubmitReply,
) -> Result<Option<SubmitReply>, ReadError> {
    let expires_at_ms = question.expires_at_ms;
    let now_ms = query::meta(snapshot).time_ms;
    if expires_at_ms != 0
        && expires_at_ms <= now_ms
        && let Some((time_ms, certificate)) = last_certificate(snapshot)?
        && expires_at_ms <= time_ms
    {
        if !receipts::is_kept(&question.name, expires_at_ms, now_ms) {
            let message = "The answers to actions of this kind are kept for an hour behind their \
                 expiry; name the action's kind where it is another one.";
            return Err(refusal::not_found("action.forgotten", "name", message).into());
        }
        return Ok(Some(SubmitReply {
            stage: Stage::Expired.into(),
            certificate: if question.prove {
                certificate
            } else {
                Vec::new()
            },
            ..reply
        }));
    }
    Ok(waits.then(|| SubmitReply {
        stage: Stage::Received.into(),
        ..reply
    }))
}

/// The latest certificate, and the time of its block in milliseconds.
fn last_certificate(snapshot: &Snapshot<'_>) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
    let Some(bytes) = snapshot.certificate(snapshot.final_height()?)? else {
        return Ok(None);
    };
    let time = Certificate::decode(&bytes)?.header.time;
    Ok(Some((time.as_millis(), bytes)))
}

/// What proves the receipt without trust in this node; nothing where its block
/// is not kept here, or does not vouch for receipts of this kind.
fn proof(snapshot: &Snapshot<'_>, receipt: &Receipt) -> Result<Option<ReceiptProof>, ReadError> {
    let height = receipt.height;
    if height < snapshot.first_block()? {
        return Ok(None);
    }
    let Some(payload) = snapshot.block(height)? else {
        return Ok(None);
    };
    let payload = BlockPayload::decode(payload.as_slice())?;
    let kept = receipts::of_block(snapshot, height, block::action_ids(&payload));
    let digests: Vec<[u8; 32]> = kept.iter().map(|one| receipt_digest(one)).collect();
    let encoded = receipt.encode_to_vec();
    let frames = snapshot.frames((height - 1, u32::MAX), &[BLOCK_TOPIC.to_owned()], 1)?;
    let Some(frame) = frames.frames.into_iter().next() else {
        return Ok(None);
    };
    let body = BusBody::decode(frame.body.as_slice())?;
    let vouches = matches!(&body.event, Some(Event::Block(said))
        if body.height == height && said.receipts == receipts_digest(&digests));
    if !vouches || !kept.contains(&encoded) {
        return Ok(None);
    }
    Ok(Some(ReceiptProof {
        receipt: encoded,
        digests: digests.iter().map(|digest| digest.to_vec()).collect(),
        block: Some(frame),
    }))
}
