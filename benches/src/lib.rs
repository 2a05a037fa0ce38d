//! Measure what the design promises.
