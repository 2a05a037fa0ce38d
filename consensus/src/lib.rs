//! Order opaque payloads among equal nodes.
