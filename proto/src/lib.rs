//! Define the wire messages.
//!
//! The `.proto` files under `proto/` are the contract; this crate holds the
//! generated types ([`v1`]) and the few rules about bytes that every party
//! shares: what is signed ([`action`], [`claim`]), how topics match
//! ([`topic`]), which digests a machine's answers, an approval and a block name
//! ([`order`], [`proposal`], [`receipt`]) and how messages look in JSON.
//!
//! Deliberately absent: any decision. Nothing here verifies a signature or
//! knows a state.

pub mod action;
pub mod claim;
pub mod genesis;
mod json;
pub mod order;
pub mod proposal;
pub mod receipt;
#[cfg(feature = "rpc")]
pub mod status;
pub mod topic;

/// Generated messages of package `dctrl.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated from the .proto files, which carry the documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/dctrl.v1.rs"));
}

/// The encoded `FileDescriptorSet`, for gRPC reflection.
#[cfg(feature = "rpc")]
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

mod refusal;
