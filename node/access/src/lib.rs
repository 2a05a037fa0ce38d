//! Decide who holds which right.
