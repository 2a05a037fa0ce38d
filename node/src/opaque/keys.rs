//! Keys that protect nothing: everyone who knows the seed derives them.

use dctrl_consensus::{
    ClusterId, Digest, Ed25519Signer, PublicKey, Roster, RosterError, RosterMember, Signer,
    crypto::sha256,
};

fn derive(domain: &[u8], seed: u64, node: u16) -> [u8; 32] {
    sha256(domain, &[&seed.to_be_bytes(), &node.to_be_bytes()]).0
}

pub(super) fn cluster(seed: u64) -> ClusterId {
    ClusterId(Digest(derive(b"dctrl/opaque/cluster\0", seed, 0)))
}

pub(super) fn coin_seed(seed: u64, node: u16) -> [u8; 32] {
    derive(b"dctrl/opaque/coin\0", seed, node)
}

pub(super) fn signer(seed: u64, node: u16) -> Ed25519Signer {
    Ed25519Signer::from_seed(&derive(b"dctrl/opaque/sign\0", seed, node))
}

pub(super) fn public(seed: u64, node: u16) -> PublicKey {
    signer(seed, node).public_key()
}

pub(super) fn curve_secret(seed: u64, node: u16) -> [u8; 32] {
    derive(b"dctrl/opaque/curve\0", seed, node)
}

pub(super) fn curve_public(seed: u64, node: u16) -> [u8; 32] {
    dctrl_net::curve_public(&curve_secret(seed, node))
}

pub(super) fn roster(seed: u64, nodes: u16) -> Result<Roster, RosterError> {
    let member = |node: u16| RosterMember::new(format!("node-{node}"), public(seed, node));
    Roster::new(0, (0..nodes).map(member).collect())
}
