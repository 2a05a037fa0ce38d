//! Apply ordered actions to state.
