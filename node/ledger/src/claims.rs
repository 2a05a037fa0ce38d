//! Who may dispose of a guest's credit: whoever asked for the quote, and
//! whoever holds the claim code, never the next buyer.

use dctrl_proto::v1::{Refusal, Vend};
use ed25519_zebra::{Signature, VerificationKey};

use crate::caller::Caller;
use crate::refuse::{denied, ensure, exists, precond};

/// Refuses a vend whose credit is nobody's claim.
pub(crate) fn is_claim(vend: &Vend) -> Result<(), Refusal> {
    ensure(vend.member_id.is_empty(), || {
        let message = "The vend is a member's; its credit is on the tab.";
        precond("claim.member", message)
    })?;
    ensure(vend.redeemed_by.is_empty(), || {
        exists("claim.redeemed", "The claim was redeemed before.")
    })
}

/// Refuses who can show no right to the claim.
pub(crate) fn is_theirs(
    vend: &Vend,
    caller: &Caller,
    bytes: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    let quoted = caller.member.is_some() && vend.quoted_by == caller.principal.encode();
    ensure(quoted || holds(&vend.claim_key, bytes, signature), || {
        let message = "The claim code is not that of this vend.";
        denied("claim.proof", message)
    })
}

fn holds(key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (<[u8; 32]>::try_from(key), <[u8; 64]>::try_from(signature))
    else {
        return false;
    };
    VerificationKey::try_from(key)
        .and_then(|key| key.verify(&Signature::from(signature), bytes))
        .is_ok()
}
