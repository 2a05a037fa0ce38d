//! Tell the world and do what the ledger ordered.
