//! Children that pay for their parents: who they pay, what they cost, and what
//! becomes of them when another version of the parent is mined.

use dctrl_ledger::audit;
use dctrl_proto::v1::{
    Outpoint, Payout, PayoutBump, PayoutCancel, PayoutKind, PayoutLift, PayoutObserve, PayoutState,
    Refusal,
};

use crate::common::nodes::rule;
use crate::common::payouts::{
    CAROL, DAVE, mined_at, newest, nowhere, signed, stranger, transaction, waiting,
};
use crate::common::{ALICE, Federation, NODES};

fn lift(federation: &mut Federation, payout: &Payout, fee_rate: u64) -> Result<Payout, Refusal> {
    let lift = PayoutLift {
        payout_id: payout.id.clone(),
        fee_rate,
    };
    let id = federation.submit(CAROL, &lift)?;
    Ok(federation.payout(&id))
}

fn bump(federation: &mut Federation, payout: &Payout, fee_rate: u64) -> Result<Payout, Refusal> {
    let bump = PayoutBump {
        payout_id: payout.id.clone(),
        fee_rate,
    };
    federation.submit(CAROL, &bump)?;
    Ok(federation.payout(&payout.id))
}

/// A payout whose transaction waits in the mempools.
fn waits(federation: &mut Federation) -> Payout {
    let payout = federation.ready(&[20_000]);
    let txid = newest(&payout).txid.clone();
    federation.see_payout(&NODES, &waiting(&payout, &txid))
}

/// The change that a payout's newest transaction makes.
fn change(payout: &Payout) -> Outpoint {
    Outpoint {
        txid: newest(payout).txid.clone(),
        vout: newest(payout).change_vout,
    }
}

/// The child's coin is gone: this transaction stands against its parent.
fn undone(child: &Payout, txid: &[u8], height: u32) -> PayoutObserve {
    PayoutObserve {
        gone: newest(child)
            .inputs
            .iter()
            .flat_map(|one| one.outpoint.clone())
            .collect(),
        ..mined_at(child, txid, height)
    }
}

#[test]
fn a_child_spends_the_change_back_to_the_wallet_and_lifts_both() {
    let mut federation = Federation::rich(&[60_000]);
    let parent = waits(&mut federation);
    let child = lift(&mut federation, &parent, 9_000).unwrap();
    assert_eq!(child.state(), PayoutState::Approved, "nobody approves anew");
    assert!(child.awaits.contains("signature"), "{}", child.awaits);
    assert_eq!((child.amount_sats, child.recipients.len()), (0, 0));
    let (old, new) = (newest(&parent), newest(&child));
    assert_eq!(new.kind(), PayoutKind::Child);
    assert_eq!(new.inputs.len(), 1);
    assert_eq!(new.inputs[0].outpoint, Some(change(&parent)));
    let size = u64::from(old.virtual_size + new.virtual_size);
    assert!((old.fee_sats + new.fee_sats) * 1_000 >= 9_000 * size);
    assert!(new.fee_sats * 1_000 >= 9_000 * u64::from(new.virtual_size));
    assert_eq!(new.change_sats + new.fee_sats, old.change_sats);
    let child = federation.signed_by(&child, &[0, 1]);
    assert_eq!(child.state(), PayoutState::Ready);
    let tx = transaction(newest(&child));
    assert_eq!(tx.output.len(), 1, "nobody but the wallet");
    assert!(
        new.change_index > old.change_index,
        "at an address of its own"
    );
}

#[test]
fn parent_and_child_settle_in_either_order_and_both_fees_are_booked() {
    for child_first in [true, false] {
        let mut federation = Federation::rich(&[60_000]);
        let before = federation.balance("asset:bitcoin");
        let parent = waits(&mut federation);
        let child = lift(&mut federation, &parent, 9_000).unwrap();
        let child = federation.signed_by(&child, &[1, 2]);
        let both = if child_first {
            [&child, &parent]
        } else {
            [&parent, &child]
        };
        federation.tip(116);
        for payout in both {
            let txid = newest(payout).txid.clone();
            let payout = federation.see_payout(&NODES, &mined_at(payout, &txid, 111));
            assert!(payout.settled);
            assert_eq!(payout.state(), PayoutState::Confirmed);
        }
        let fees = newest(&parent).fee_sats + newest(&child).fee_sats;
        let fees = i64::try_from(fees).unwrap();
        assert_eq!(federation.balance("expense:network-fees"), fees);
        assert_eq!(federation.balance("expense:payouts"), 20_000);
        assert_eq!(federation.balance("asset:bitcoin"), before - 20_000 - fees);
        audit::full(&federation.state).unwrap();
        // What is left is the child's output, and not the parent's change.
        let next = federation.propose_payout(DAVE, &[5_000]).unwrap();
        let coins: Vec<_> = newest(&next)
            .inputs
            .iter()
            .flat_map(|one| one.outpoint.clone())
            .collect();
        assert_eq!(coins, [change(&child)]);
    }
}

#[test]
fn another_version_of_the_parent_ends_the_child_without_a_loss() {
    let mut federation = Federation::rich(&[60_000]);
    let parent = waits(&mut federation);
    let child = lift(&mut federation, &parent, 9_000).unwrap();
    let child = federation.signed_by(&child, &[0, 1]);
    let origin = child
        .origins
        .iter()
        .find(|one| one.txid == newest(&parent).txid);
    assert_eq!(origin.unwrap().spends.len(), newest(&parent).inputs.len());
    let parent = bump(&mut federation, &parent, 30_000).unwrap();
    let outbids = newest(&child).fee_sats + parent.versions[0].fee_sats;
    assert!(
        newest(&parent).fee_sats > outbids,
        "the child goes with what it replaces"
    );
    let parent = federation.signed_by(&parent, &[0, 1]);
    let txid = newest(&parent).txid.clone();
    let child = federation.see_payout(&NODES, &undone(&child, &txid, 111));
    assert_eq!(child.state(), PayoutState::Invalidated);
    let parent = federation.mined(&parent, &txid, 111, 116);
    assert!(parent.settled);
    let child = federation.payout(&child.id);
    assert!(child.settled && !child.frozen);
    assert_eq!(
        (child.state(), child.lost_sats),
        (PayoutState::Invalidated, 0)
    );
    assert_eq!(
        child.settled_txid, txid,
        "the conflicting transaction is named"
    );
    let fee = i64::try_from(newest(&parent).fee_sats).unwrap();
    assert_eq!(federation.balance("expense:network-fees"), fee);
    audit::full(&federation.state).unwrap();
    federation.propose_payout(DAVE, &[5_000]).unwrap();
}

#[test]
fn a_reorganisation_takes_a_child_back_and_on_again() {
    let mut federation = Federation::rich(&[60_000]);
    let parent = waits(&mut federation);
    let child = lift(&mut federation, &parent, 9_000).unwrap();
    let child = federation.signed_by(&child, &[0, 1]);
    let txid = newest(&child).txid.clone();
    let child = federation.mined(&child, &txid, 111, 113);
    assert_eq!(child.state(), PayoutState::Confirmed);
    let child = federation.see_payout(&NODES, &nowhere(&child));
    assert_eq!(child.state(), PayoutState::Ready, "it is sent again");
    let child = federation.mined(&child, &txid, 112, 117);
    assert!(child.settled);
}

#[test]
fn a_thief_of_the_parents_change_leaves_it_lost_whichever_settles_first() {
    for child_first in [true, false] {
        let mut federation = Federation::rich(&[60_000]);
        let parent = waits(&mut federation);
        let child = lift(&mut federation, &parent, 9_000).unwrap();
        let theft = PayoutObserve {
            spends: vec![change(&parent)],
            ..mined_at(&child, &[0xcc; 32], 111)
        };
        let mined = mined_at(&parent, &newest(&parent).txid, 111);
        let both = if child_first {
            [&theft, &mined]
        } else {
            [&mined, &theft]
        };
        federation.tip(116);
        for said in both {
            federation.see_payout(&NODES, said);
        }
        let lost = newest(&parent).change_sats;
        assert_eq!(federation.payout(&child.id).lost_sats, lost);
        assert_eq!(federation.balance("asset:bitcoin"), 0);
        audit::full(&federation.state).unwrap();
        assert_eq!(
            rule(federation.propose_payout(DAVE, &[5_000])),
            "payout.funds"
        );
    }
}

#[test]
fn a_childs_fee_can_be_raised_and_is_bounded() {
    let mut federation = Federation::rich(&[600_000]);
    let parent = waits(&mut federation);
    let child = lift(&mut federation, &parent, 5_000).unwrap();
    assert_eq!(rule(lift(&mut federation, &parent, 6_000)), "payout.child");
    assert_eq!(rule(lift(&mut federation, &child, 6_000)), "payout.child");
    let raised = bump(&mut federation, &child, 20_000).unwrap();
    assert_eq!(newest(&raised).kind(), PayoutKind::Child);
    assert_eq!(newest(&raised).inputs, newest(&child).inputs);
    let (old, new) = (newest(&parent), newest(&raised));
    let size = u64::from(old.virtual_size + new.virtual_size);
    assert!(
        (old.fee_sats + new.fee_sats) * 1_000 >= 20_000 * size,
        "still for both"
    );
    assert_eq!(
        rule(bump(&mut federation, &raised, 100_001)),
        "payout.fee_rate"
    );
    let cancel = PayoutCancel {
        payout_id: child.id.clone(),
        reason: String::new(),
    };
    assert_eq!(rule(federation.submit(CAROL, &cancel)), "payout.child");
}

#[test]
fn only_what_waits_and_has_change_is_lifted_and_by_more_than_it_pays() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    assert_eq!(rule(lift(&mut federation, &payout, 9_000)), "payout.state");
    let txid = newest(&payout).txid.clone();
    let payout = federation.see_payout(&NODES, &waiting(&payout, &txid));
    assert_eq!(rule(lift(&mut federation, &payout, 900)), "payout.fee_rate");
    assert_eq!(
        rule(lift(&mut federation, &payout, 100_001)),
        "payout.fee_rate"
    );
    assert_eq!(rule(lift(&mut federation, &payout, 99_000)), "payout.funds");
    let by_alice = PayoutLift {
        payout_id: payout.id.clone(),
        fee_rate: 9_000,
    };
    assert_eq!(rule(federation.submit(ALICE, &by_alice)), "action.role");
    federation.mined(&payout, &txid, 111, 112);
    assert_eq!(rule(lift(&mut federation, &payout, 9_000)), "payout.state");

    let mut federation = Federation::rich(&[20_400]);
    let payout = federation.ready(&[20_100]);
    let txid = newest(&payout).txid.clone();
    let payout = federation.see_payout(&NODES, &waiting(&payout, &txid));
    assert_eq!(newest(&payout).change_sats, 0);
    assert_eq!(rule(lift(&mut federation, &payout, 9_000)), "payout.change");
}

#[test]
fn a_signature_for_a_child_that_pays_somebody_is_refused() {
    let mut federation = Federation::rich(&[60_000]);
    let parent = waits(&mut federation);
    let child = lift(&mut federation, &parent, 9_000).unwrap();
    let mut psbt = bitcoin::Psbt::deserialize(&signed(newest(&child), 0)).unwrap();
    let to: bitcoin::Address<bitcoin::address::NetworkUnchecked> = stranger(9).parse().unwrap();
    psbt.unsigned_tx.output[0].script_pubkey = to.assume_checked().script_pubkey();
    assert_eq!(
        rule(federation.hand_in(&child, psbt.serialize())),
        "psbt.output"
    );
    assert!(newest(&federation.payout(&child.id)).signers.is_empty());
}
