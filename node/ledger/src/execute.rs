//! One block, carried out.

use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BlockApplied, Receipt, Refusal, RefusalCode, SignedAction};
use prost::Message;

use crate::caller::{Caller, Principal};
use crate::envelope::{self, Envelope, Unverified};
use crate::refuse::ensure;
use crate::scope::Scope;
use crate::{
    Admitted, Applied, BlockInput, Claim, OneByOne, Signatures, StateRead, audit, digest, keys,
    payouts, receipts, registry, roster, tables, vends,
};

/// How one transaction of a block ended.
enum Ended {
    /// Nobody of the federation made it, or it came too late: it leaves no
    /// trace but a count.
    Void,
    /// It ended in this block or an earlier one already.
    Before,
    /// It ended now.
    Now(Receipt),
}

/// Whether `action` would be carried out on `state`. `now_ms` is the node's
/// own clock and serves for the expiry only, where consensus time is not later.
///
/// # Errors
/// The refusal that the action would end with.
pub fn admit(
    state: &dyn StateRead,
    now_ms: u64,
    action: &SignedAction,
) -> Result<Admitted, Refusal> {
    let mut all = admit_all(state, now_ms, std::slice::from_ref(action), &OneByOne);
    all.pop().expect("each action has a verdict")
}

/// [`admit`] for each of many, where `signatures` says which signatures hold:
/// it is asked once, and what the actions have in common is read once. Each is
/// judged as if it came alone.
#[must_use]
pub fn admit_all(
    state: &dyn StateRead,
    now_ms: u64,
    actions: &[SignedAction],
    signatures: &dyn Signatures,
) -> Vec<Result<Admitted, Refusal>> {
    let scope = Scope::present(state);
    open(scope.cluster(), actions, signatures)
        .into_iter()
        .map(|envelope| admit_opened(&scope, now_ms, &envelope?))
        .collect()
}

fn admit_opened(scope: &Scope<'_>, now_ms: u64, envelope: &Envelope) -> Result<Admitted, Refusal> {
    let id = envelope.id;
    let caller = Caller::identify(scope, id, &envelope.key)?;
    if let Some(receipt) = tables::receipt(scope, &id) {
        return Ok(Admitted {
            id,
            already: Some(receipt),
        });
    }
    let request = keys::request(&envelope.key, &envelope.body.request_id);
    fresh(
        scope.get(&request).is_none(),
        envelope,
        now_ms.max(scope.time_ms()),
    )?;
    let kind = registry::find(&envelope.body.name)?;
    kind.guard(&scope.view(), &caller, &envelope.body.payload)?;
    Ok(Admitted { id, already: None })
}

/// Refuses what came too late, and a request id that another action has used.
fn fresh(unused: bool, envelope: &Envelope, now_ms: u64) -> Result<(), Refusal> {
    ensure(unused, || {
        let message = "Another action of yours, with another body, has this request id.";
        Refusal::field(
            RefusalCode::Exists,
            "action.request_id",
            "request_id",
            message,
        )
    })?;
    envelope::in_time(envelope, now_ms)
}

/// Applies one block: what is due by its time, then its actions in order.
///
/// # Panics
/// When the books or the stock do not add up afterwards. No input can bring
/// that about; it means that this code is wrong, and a node that stops keeps
/// the state that was right.
#[must_use]
pub fn apply(state: &dyn StateRead, block: &BlockInput<'_>) -> Applied {
    apply_with(state, block, &OneByOne)
}

/// [`apply`], where `signatures` says which signatures hold: it is asked once,
/// for all actions of the block.
///
/// # Panics
/// As [`apply`].
#[must_use]
pub fn apply_with(
    state: &dyn StateRead,
    block: &BlockInput<'_>,
    signatures: &dyn Signatures,
) -> Applied {
    let mut scope = Scope::open(state, block.height, block.time_ms);
    roster::realign(&mut scope);
    vends::fire_due(&mut scope);
    payouts::fire_due(&mut scope);
    receipts::forget(&mut scope, block.transactions.len());
    let decode = |bytes: &&[u8]| SignedAction::decode(*bytes).ok();
    let actions: Vec<SignedAction> = block.transactions.iter().filter_map(decode).collect();
    let mut receipts = Vec::with_capacity(actions.len());
    let mut refused = block.transactions.len() - actions.len();
    for envelope in open(scope.cluster(), &actions, signatures) {
        match envelope.map_or(Ended::Void, |envelope| transaction(&mut scope, envelope)) {
            Ended::Void => refused += 1,
            Ended::Before => {}
            Ended::Now(receipt) => {
                refused += usize::from(receipt.refusal.is_some());
                receipts.push(receipt);
            }
        }
    }
    let next_roster = roster::settle(&mut scope);
    let applied = BlockApplied {
        actions: u32::try_from(block.transactions.len()).unwrap_or(u32::MAX),
        refused: u32::try_from(refused).unwrap_or(u32::MAX),
        receipts: receipts::digest(&receipts),
    };
    scope.emit("block", Event::Block(applied));
    audit::block(&scope);
    let next_deadline_ms = next_deadline_ms(&scope);
    let (overlay, outputs) = scope.close();
    let (changes, state_digest) = digest::close(overlay);
    Applied {
        changes,
        outputs,
        receipts,
        next_roster,
        state_digest,
        next_deadline_ms,
    }
}

/// When consensus time alone changes something next.
pub(crate) fn next_deadline_ms(state: &dyn StateRead) -> Option<u64> {
    let vends = vends::next_deadline_ms(state);
    let payouts = payouts::next_deadline_ms(state);
    vends.into_iter().chain(payouts).min()
}

/// Opens the envelopes; a refusal where one is not for this federation or not
/// genuine. Their signatures are judged together.
fn open(
    cluster: &[u8],
    actions: &[SignedAction],
    signatures: &dyn Signatures,
) -> Vec<Result<Envelope, Refusal>> {
    let read = |action| envelope::read(action, cluster);
    let unverified: Vec<Result<Unverified<'_>, Refusal>> = actions.iter().map(read).collect();
    let claims: Vec<Claim<'_>> = unverified.iter().flatten().map(Unverified::claim).collect();
    let verdicts = signatures.hold(&claims);
    assert_eq!(verdicts.len(), claims.len(), "each claim has a verdict");
    let mut verdicts = verdicts.into_iter();
    let mut next = || verdicts.next().expect("each claim has a verdict");
    unverified
        .into_iter()
        .map(|unverified| unverified?.judged(next()))
        .collect()
}

fn transaction(scope: &mut Scope<'_>, envelope: Envelope) -> Ended {
    let Ok(caller) = Caller::identify(scope, envelope.id, &envelope.key) else {
        return Ended::Void;
    };
    if tables::receipt(scope, &envelope.id).is_some() {
        return Ended::Before;
    }
    if envelope::leaves_no_row(&envelope, scope.time_ms()) {
        return Ended::Void;
    }
    let request = keys::request(&envelope.key, &envelope.body.request_id);
    let unused = scope.get(&request).is_none();
    let result = run(scope, &envelope, &caller, unused);
    if let (Ok(_), Principal::Node(seat)) = (&result, &caller.principal) {
        roster::heard(scope, *seat);
    }
    let (subject, refusal) = match result {
        Ok(subject) => (subject, None),
        Err(refusal) => (String::new(), Some(refusal)),
    };
    let receipt = Receipt {
        action_id: envelope.id.to_vec(),
        name: envelope.body.name.clone(),
        height: scope.height(),
        time_ms: scope.time_ms(),
        refusal,
        subject,
    };
    let expires_at_ms = envelope.body.expires_at_ms;
    receipts::keep(scope, &receipt, expires_at_ms, unused.then_some(request));
    Ended::Now(receipt)
}

fn run(
    scope: &mut Scope<'_>,
    envelope: &Envelope,
    caller: &Caller,
    unused: bool,
) -> Result<String, Refusal> {
    fresh(unused, envelope, scope.time_ms())?;
    let kind = registry::find(&envelope.body.name)?;
    kind.run(scope, caller, &envelope.body.payload)
}
