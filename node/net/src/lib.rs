//! Carry bytes: gossip and the pub/sub bus over ZeroMQ with CURVE.
