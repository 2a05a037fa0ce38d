//! What consensus time alone does, to many vends at once.

use std::cell::Cell;

use crate::common::{ALICE, Federation, MACHINE, NODES, OPERATOR, STAFF};
use dctrl_ledger::{BlockInput, MemoryState, StateRead, apply};
use dctrl_proto::v1::{VendQuote, VendState};

/// A state that counts the rows that scans read.
struct Counted<'s> {
    state: &'s MemoryState,
    rows: Cell<usize>,
}

impl StateRead for Counted<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.state.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.state.scan(prefix, after, limit);
        self.rows.set(self.rows.get() + rows.len());
        rows
    }
}

#[test]
fn many_deadlines_of_one_block_all_fire_and_cost_a_row_each() {
    let mut federation = Federation::with(|genesis| {
        let slot = &mut genesis.slots[0];
        (slot.capacity, slot.stock) = (100, 100);
    });
    let quote = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: String::new(),
        ..VendQuote::default()
    };
    let mut vends = Vec::new();
    for seed in [ALICE, STAFF, OPERATOR, MACHINE].into_iter().chain(NODES) {
        for _ in 0..8 {
            vends.push(federation.submit(seed, &quote).unwrap());
        }
    }
    let counted = Counted {
        state: &federation.state,
        rows: Cell::new(0),
    };
    let block = BlockInput {
        height: federation.height + 1,
        time_ms: federation.now_ms + 700_000,
        transactions: &[],
    };
    let applied = apply(&counted, &block);
    // One more for the answer that is forgotten next.
    assert!(
        counted.rows.get() <= 2 * vends.len() + 1,
        "{} rows for {} deadlines",
        counted.rows.get(),
        vends.len()
    );
    assert_eq!(applied.next_deadline_ms, None);
    federation.state.apply(&applied.changes);
    for vend in vends {
        assert_eq!(federation.vend(&vend).state(), VendState::Expired);
    }
}
