//! The genesis of a state, decoded: every block and every admission looks at
//! it, and hardly anything changes it.
//!
//! Each thread remembers the last one by its bytes, with the wallet that
//! follows from it. What is remembered follows from the bytes alone, so that
//! nobody can tell whether it was remembered.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use dctrl_proto::v1::Genesis;
use dctrl_wallet::Wallet;

use crate::{StateRead, address, keys, tables};

thread_local! {
    static LAST: RefCell<Option<(Vec<u8>, Rc<Founded>)>> = const { RefCell::new(None) };
}

/// A genesis and what follows from it.
pub(crate) struct Founded {
    pub(crate) genesis: Genesis,
    /// Read when somebody asks for the first address.
    wallet: OnceCell<Wallet>,
}

impl Founded {
    pub(crate) fn new(genesis: Genesis) -> Rc<Self> {
        let wallet = OnceCell::new();
        Rc::new(Self { genesis, wallet })
    }

    /// That of a state.
    pub(crate) fn of(state: &dyn StateRead) -> Rc<Self> {
        let bytes = state.get(keys::GENESIS);
        let bytes = bytes.expect("a state begins with its genesis");
        LAST.with_borrow_mut(|last| {
            if let Some((known, founded)) = last
                && *known == bytes
            {
                return Rc::clone(founded);
            }
            let founded = Self::new(tables::decode(keys::GENESIS, &bytes));
            *last = Some((bytes, Rc::clone(&founded)));
            founded
        })
    }

    pub(crate) fn wallet(&self) -> &Wallet {
        self.wallet.get_or_init(|| address::wallet(&self.genesis))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::MemoryState;

    fn state(name: &str) -> MemoryState {
        let genesis = Genesis {
            name: name.to_owned(),
            ..Genesis::default()
        };
        let mut state = MemoryState::default();
        let row = (keys::GENESIS.to_vec(), Some(genesis.encode_to_vec()));
        state.apply(&[row].into());
        state
    }

    #[test]
    fn a_state_with_another_genesis_is_never_shown_the_remembered_one() {
        let (one, other) = (state("one"), state("other"));
        for _ in 0..2 {
            assert_eq!(Founded::of(&one).genesis.name, "one");
            assert_eq!(Founded::of(&other).genesis.name, "other");
        }
        let again = Founded::of(&other);
        assert!(Rc::ptr_eq(&again, &Founded::of(&other)));
    }
}
