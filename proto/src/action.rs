//! The signed action envelope: which bytes are signed, and an action's id.

use prost::Message;
use ring::digest::{SHA256, digest};

use crate::v1::{ActionBody, SignedAction};

/// What precedes the body in the bytes that are signed, so that a signature
/// for an action can never be taken for one over anything else.
pub const SIGNING_DOMAIN: &[u8] = b"dctrl/action/1\0";

/// Longest encoded [`SignedAction`], bytes.
pub const ACTION_BYTES_MAX: usize = 64 * 1024;

/// Length of a request id, bytes.
pub const REQUEST_ID_BYTES: usize = 16;

/// The bytes that an action's Ed25519 signature covers.
#[must_use]
pub fn signing_bytes(body: &[u8]) -> Vec<u8> {
    [SIGNING_DOMAIN, body].concat()
}

/// An action's id: SHA-256 of domain, key and body. The signature is left
/// out, so that a re-signed copy is the same action.
#[must_use]
pub fn action_id(action: &SignedAction) -> [u8; 32] {
    let bytes = [b"dctrl/action-id/1\0".as_slice(), &action.key, &action.body].concat();
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    id
}

/// A message that an action can carry, with its name in the action registry.
pub trait Payload: Message + Default {
    /// Such as `vend.quote`.
    const NAME: &'static str;
}

macro_rules! payloads {
    ($($message:ident = $name:literal),* $(,)?) => {
        $(impl Payload for crate::v1::$message {
            const NAME: &'static str = $name;
        })*
    };
}

payloads! {
    MemberSet = "member.set",
    MachineSet = "machine.set",
    MachineReset = "machine.reset",
    NodePropose = "node.propose",
    NodeApprove = "node.approve",
    NodeWithdraw = "node.withdraw",
    NodeLeave = "node.leave",
    NodeRenew = "node.renew",
    ProductSet = "product.set",
    SlotSet = "slot.set",
    SlotRestock = "slot.restock",
    VendQuote = "vend.quote",
    VendResolve = "vend.resolve",
    PaymentObserve = "payment.observe",
    ChainObserve = "chain.observe",
    PriceObserve = "price.observe",
    FeeObserve = "fee.observe",
    PayoutPropose = "payout.propose",
    PayoutApprove = "payout.approve",
    PayoutReject = "payout.reject",
    PayoutSign = "payout.sign",
    PayoutBump = "payout.bump",
    PayoutLift = "payout.lift",
    PayoutCancel = "payout.cancel",
    PayoutAllow = "payout.allow",
    PayoutObserve = "payout.observe",
    MachineHeartbeat = "machine.heartbeat",
    MachineAccept = "machine.accept",
    MachineReceipt = "machine.receipt",
    MachineReport = "machine.report",
    TimeTick = "time.tick",
    TabTopUp = "tab.top_up",
    TabTransfer = "tab.transfer",
    TabCash = "tab.cash",
    TabLimit = "tab.limit",
    ClaimRedeem = "claim.redeem",
    RefundRequest = "refund.request",
    RefundWithdraw = "refund.withdraw",
}

/// The body of an action, ready to be encoded and signed.
#[must_use]
pub fn body<P: Payload>(
    cluster: &[u8],
    request_id: [u8; REQUEST_ID_BYTES],
    expires_at_ms: u64,
    payload: &P,
) -> ActionBody {
    ActionBody {
        cluster: cluster.to_vec(),
        name: P::NAME.to_owned(),
        request_id: request_id.to_vec(),
        expires_at_ms,
        payload: payload.encode_to_vec(),
    }
}
