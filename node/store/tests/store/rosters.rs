//! What the store keeps of changes of membership.

use dctrl_store::limits::ROSTER_STEPS_MAX;
use dctrl_store::{Store, StoreError};

use crate::support::{fresh, open};

fn keep(store: &Store, numbers: &[u64]) -> Result<(), StoreError> {
    let mut batch = store.begin();
    for number in numbers {
        batch.roster_step(*number, format!("step {number}").as_bytes());
    }
    store.commit(batch)
}

#[test]
fn changes_of_membership_have_no_gaps_and_survive_a_restart() {
    let (folder, store) = fresh();
    assert!(store.snapshot().roster_steps(0).unwrap().steps.is_empty());
    keep(&store, &[1, 2]).unwrap();
    for wrong in [0, 4] {
        let refused = keep(&store, &[wrong]);
        assert!(matches!(
            refused,
            Err(StoreError::Order { what: "roster", .. })
        ));
    }
    drop(store);
    let store = open(folder.path());
    // After a restart consensus repeats the last one.
    keep(&store, &[2, 3]).unwrap();
    let after = store.snapshot().roster_steps(1).unwrap();
    assert_eq!(after.steps, [b"step 2".to_vec(), b"step 3".to_vec()]);
    assert!(!after.more);
    assert!(store.snapshot().roster_steps(3).unwrap().steps.is_empty());
    let none = store.snapshot().roster_steps(u64::MAX).unwrap();
    assert!(none.steps.is_empty() && !none.more);
}

#[test]
fn a_long_chain_of_rosters_is_answered_in_parts() {
    let (_folder, store) = fresh();
    let last = ROSTER_STEPS_MAX as u64 + 1;
    keep(&store, &(1..=last).collect::<Vec<_>>()).unwrap();
    let first = store.snapshot().roster_steps(0).unwrap();
    assert_eq!((first.steps.len(), first.more), (ROSTER_STEPS_MAX, true));
    let rest = store.snapshot().roster_steps(last - 1).unwrap();
    assert_eq!((rest.steps.len(), rest.more), (1, false));
}
