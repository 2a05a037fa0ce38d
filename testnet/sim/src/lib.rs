//! Simulate a whole federation deterministically.
