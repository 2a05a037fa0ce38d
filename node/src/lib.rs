//! Run one node by wiring the rooms together.
