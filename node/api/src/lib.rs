//! Show state to people and programs.
