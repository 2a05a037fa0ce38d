//! Copayers' signatures: taken in, and made into the transaction.

use std::collections::BTreeMap;

use bitcoin::{Psbt, consensus};
use dctrl_proto::v1::{Copayer, Payout, PayoutSigner, PayoutState, PayoutVersion, Refusal};
use dctrl_wallet::{PartialSignature, check_returned, finish};

use super::rules::rules;
use super::{current, is_over};
use crate::refuse::{ensure, exists, invalid, precond};
use crate::scope::{Scope, View};

/// The signers whose signatures in `returned` are new, where nothing else in
/// it deviates from what was ordered.
///
/// # Errors
/// The first deviation, by name; or it is not the time to sign.
pub(crate) fn signers(
    view: &View<'_>,
    payout: &Payout,
    returned: &[u8],
) -> Result<Vec<PayoutSigner>, Refusal> {
    let version = current(payout);
    let buried = matches!(
        payout.state(),
        PayoutState::Confirmed | PayoutState::Invalidated
    );
    ensure(!is_over(payout) && !buried, || {
        let state = payout.state().as_str_name();
        precond(
            "payout.state",
            format!("Nothing is signed in state {state}."),
        )
    })?;
    ensure(payout.sign_from_ms > 0, || {
        precond("payout.approved", "The payout is not approved yet.")
    })?;
    ensure(payout.sign_from_ms <= view.time_ms, || {
        let wait_ms = payout.sign_from_ms - view.time_ms;
        precond("payout.delay", format!("It may be signed in {wait_ms} ms."))
    })?;
    ensure(version.transaction.is_empty(), || {
        exists("payout.complete", "The transaction has all its signatures.")
    })?;
    let found = check_returned(&ordered(version), returned)
        .map_err(|deviation| invalid(deviation.rule(), "psbt", deviation.to_string()))?;
    let copayers = rules(view.genesis).copayers;
    let mut signers: BTreeMap<usize, PayoutSigner> = BTreeMap::new();
    for one in &found {
        let (position, copayer) = copayer(&copayers, one)?;
        let signer = signers.entry(position).or_insert_with(|| PayoutSigner {
            member_id: copayer.member_id.clone(),
            fingerprint: copayer.fingerprint.clone(),
            ..PayoutSigner::default()
        });
        signer.signatures.push(one.signature.to_vec());
    }
    let has_signed = |signer: &PayoutSigner| {
        version
            .signers
            .iter()
            .any(|one| one.member_id == signer.member_id)
    };
    let fresh: Vec<PayoutSigner> = signers
        .into_values()
        .filter(|signer| !has_signed(signer))
        .collect();
    ensure(!fresh.is_empty(), || {
        exists("payout.signed", "Whoever signed this has signed already.")
    })?;
    Ok(fresh)
}

fn copayer<'c>(
    copayers: &'c [Copayer],
    one: &PartialSignature,
) -> Result<(usize, &'c Copayer), Refusal> {
    let mut all = copayers.iter().enumerate();
    let is = |copayer: &Copayer| copayer.fingerprint == one.fingerprint.as_bytes();
    all.find(|(_, copayer)| is(copayer)).ok_or_else(|| {
        let message = format!("{} is no copayer's key.", one.fingerprint);
        invalid("psbt.key", "psbt", message)
    })
}

/// The PSBT that was ordered.
fn ordered(version: &PayoutVersion) -> Psbt {
    Psbt::deserialize(&version.psbt).expect("the ledger has written this PSBT")
}

/// Adds signatures to the newest version; with enough of them it becomes a
/// transaction, and nodes are named to broadcast it.
pub(crate) fn complete(scope: &mut Scope<'_>, payout: &mut Payout, fresh: Vec<PayoutSigner>) {
    let rules = rules(scope.view().genesis);
    let needed = usize::try_from(payout.signatures_needed).unwrap_or(usize::MAX);
    let (height, time_ms) = (scope.height(), scope.time_ms());
    let id = payout.id.clone();
    let version = payout
        .versions
        .last_mut()
        .expect("a payout begins with a transaction");
    version
        .signers
        .extend(fresh.into_iter().map(|signer| PayoutSigner {
            height,
            time_ms,
            ..signer
        }));
    let place = |signer: &PayoutSigner| {
        let mut all = rules.copayers.iter();
        all.position(|one| one.member_id == signer.member_id)
    };
    version.signers.sort_by_key(place);
    if version.signers.len() < needed {
        return;
    }
    let psbt = ordered(version);
    let signatures = signatures(&psbt, &version.signers);
    let transaction = finish(&psbt, &signatures, needed)
        .expect("enough copayers have signed every input, and it was checked");
    version.transaction = consensus::serialize(&transaction);
    version.ready_at_ms = time_ms;
    version.executors = executors(scope, &id, version.number);
}

/// What is kept of the signers, with the keys to which it belongs.
fn signatures(psbt: &Psbt, signers: &[PayoutSigner]) -> Vec<PartialSignature> {
    let mut all = Vec::new();
    for signer in signers {
        for (input, bytes) in signer.signatures.iter().enumerate() {
            let mut keys = psbt.inputs[input].bip32_derivation.iter();
            let (key, (fingerprint, _)) = keys
                .find(|(_, (print, _))| print.as_bytes()[..] == signer.fingerprint[..])
                .expect("a signature was checked for its key");
            all.push(PartialSignature {
                input,
                fingerprint: *fingerprint,
                key: bitcoin::PublicKey::new(*key),
                signature: bitcoin::ecdsa::Signature::from_slice(bytes)
                    .expect("a signature was checked"),
            });
        }
    }
    all
}

/// The present nodes in the order in which they broadcast: drawn for each
/// transaction, so that nobody is always first, and nobody can choose.
fn executors(scope: &Scope<'_>, id: &str, version: u32) -> Vec<u32> {
    let mut ranked: Vec<([u8; 32], u32)> = scope
        .federation()
        .seats()
        .iter()
        .map(|seat| {
            let mut hasher = blake3::Hasher::new_derive_key("dctrl 2026 payout executor");
            hasher.update(id.as_bytes());
            hasher.update(&version.to_be_bytes());
            hasher.update(&scope.height().to_be_bytes());
            hasher.update(&seat.to_be_bytes());
            (*hasher.finalize().as_bytes(), *seat)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, seat)| seat).collect()
}
