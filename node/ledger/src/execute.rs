//! One block, carried out.

use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BlockApplied, Receipt, Refusal, SignedAction};
use prost::Message;

use crate::caller::Caller;
use crate::envelope::{self, Envelope};
use crate::refuse::exists;
use crate::scope::Scope;
use crate::{
    Admitted, Applied, BlockInput, StateRead, audit, digest, keys, registry, tables, vends,
};

/// How one transaction of a block ended.
enum Ended {
    /// Nobody of the federation made it: it leaves no trace but a count.
    Foreign,
    /// It ended in this block or an earlier one already.
    Before,
    /// It ended now.
    Now(Receipt),
}

/// Whether `action` would be carried out on `state`. `now_ms` is the node's
/// own clock and serves for the expiry only.
///
/// # Errors
/// The refusal that the action would end with.
pub fn admit(
    state: &dyn StateRead,
    now_ms: u64,
    action: &SignedAction,
) -> Result<Admitted, Refusal> {
    let meta = tables::meta(state);
    let envelope = envelope::verify(action, &meta.cluster)?;
    let caller = Caller::identify(state, envelope.id, &envelope.key)?;
    let id = envelope.id;
    if let Some(receipt) = tables::receipt(state, &id) {
        return Ok(Admitted {
            id,
            already: Some(receipt),
        });
    }
    fresh(state, &envelope, now_ms)?;
    let scope = Scope::open(state, meta.height, meta.time_ms);
    let kind = registry::find(&envelope.body.name)?;
    kind.guard(&scope.view(), &caller, &envelope.body.payload)?;
    Ok(Admitted { id, already: None })
}

/// Refuses what came too late, and a request id that another action has used.
fn fresh(state: &dyn StateRead, envelope: &Envelope, now_ms: u64) -> Result<(), Refusal> {
    let request = keys::request(&envelope.key, &envelope.body.request_id);
    if state.get(&request).is_some() {
        let message = "Another action of yours has this request id.";
        return Err(exists("action.request_id", message));
    }
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
    let mut scope = Scope::open(state, block.height, block.time_ms);
    vends::fire_due(&mut scope);
    let mut receipts = Vec::new();
    let mut refused = 0;
    for bytes in block.transactions {
        match transaction(&mut scope, bytes) {
            Ended::Foreign => refused += 1,
            Ended::Before => {}
            Ended::Now(receipt) => {
                refused += u32::from(receipt.refusal.is_some());
                receipts.push(receipt);
            }
        }
    }
    let applied = BlockApplied {
        actions: u32::try_from(block.transactions.len()).unwrap_or(u32::MAX),
        refused,
    };
    scope.emit("block", Event::Block(applied));
    audit::block(&scope);
    let next_deadline_ms = vends::next_deadline_ms(&scope);
    let (mut changes, outputs) = scope.close();
    let state_digest = digest::advance(state, &mut changes);
    Applied {
        changes,
        outputs,
        receipts,
        state_digest,
        next_deadline_ms,
    }
}

fn transaction(scope: &mut Scope<'_>, bytes: &[u8]) -> Ended {
    let Ok(action) = SignedAction::decode(bytes) else {
        return Ended::Foreign;
    };
    let Ok(envelope) = envelope::verify(&action, scope.cluster()) else {
        return Ended::Foreign;
    };
    let Ok(caller) = Caller::identify(scope, envelope.id, &envelope.key) else {
        return Ended::Foreign;
    };
    if tables::receipt(scope, &envelope.id).is_some() {
        return Ended::Before;
    }
    let result = run(scope, &envelope, &caller);
    let (subject, refusal) = match result {
        Ok(subject) => (subject, None),
        Err(refusal) => (String::new(), Some(refusal)),
    };
    let receipt = Receipt {
        action_id: envelope.id.to_vec(),
        name: envelope.body.name,
        height: scope.height(),
        time_ms: scope.time_ms(),
        refusal,
        subject,
    };
    scope.put(keys::receipt(&envelope.id), &receipt);
    let request = keys::request(&envelope.key, &envelope.body.request_id);
    if scope.get(&request).is_none() {
        scope.put_bytes(request, &envelope.id);
    }
    Ended::Now(receipt)
}

fn run(scope: &mut Scope<'_>, envelope: &Envelope, caller: &Caller) -> Result<String, Refusal> {
    fresh(scope, envelope, scope.time_ms())?;
    let kind = registry::find(&envelope.body.name)?;
    kind.run(scope, caller, &envelope.body.payload)
}
