//! What the store forgets when it is told to.

use dctrl_store::StoreError;

use crate::support::{certify, commit_block, open, with_blocks};

#[test]
fn pruned_blocks_are_gone_and_their_frames_refused() {
    let (folder, store) = with_blocks(&[&["a"], &["a"], &["a"], &["a"]]);
    store.prune_blocks(3).unwrap();
    store.prune_blocks(2).unwrap();
    let store = {
        drop(store);
        open(folder.path())
    };
    let snapshot = store.snapshot();
    assert_eq!(snapshot.first_block().unwrap(), 3);
    assert_eq!(snapshot.block(2).unwrap(), None);
    assert_eq!(snapshot.certificate(2).unwrap(), None);
    assert!(snapshot.block(3).unwrap().is_some());
    assert!(matches!(
        snapshot.frames((1, 0), &[], 10),
        Err(StoreError::Pruned { first: 3 })
    ));
    assert_eq!(snapshot.frames((2, 9), &[], 10).unwrap().frames.len(), 2);
    drop(snapshot);
    commit_block(&store, 5, &[]);
    certify(&store, 5, &[]);
    // The last final height stays, whatever is asked for.
    store.prune_blocks(u64::MAX).unwrap();
    assert_eq!(store.snapshot().first_block().unwrap(), 5);
    assert_eq!(store.snapshot().final_height().unwrap(), 5);
    commit_block(&store, 6, &[]);
}
