//! Drive real processes, a real bitcoind and faults.
