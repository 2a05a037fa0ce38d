//! What a node says counts as final only when the federation has signed it.
//!
//! The first roster comes from the genesis file and each later one from the one
//! before it, so a lying node can withhold but not invent.

use std::path::Path;

use dctrl_consensus::{
    ClusterId, Digest, PublicKey, Roster, RosterMember,
    certificate::{BlockHeader, Certificate},
    merkle,
};
use dctrl_proto::{
    genesis::cluster_id,
    v1::{BusBody, BusFrame, Genesis},
};
use prost::Message;
use serde::Serialize;

use crate::{failure::Failure, nodes::Nodes, rosters::Rosters};

/// Checks certificates and frames for one federation.
#[derive(Clone, Debug)]
pub struct Verifier {
    rosters: Rosters,
    cluster: ClusterId,
}

/// Who signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Signatures {
    /// Valid signatures of distinct nodes.
    pub signed: usize,
    /// Nodes in the roster.
    pub of: usize,
}

impl std::fmt::Display for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "final ({} of {} signatures)", self.signed, self.of)
    }
}

/// A frame that the federation has signed.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// What it says.
    #[serde(flatten)]
    pub body: BusBody,
    /// Who signed it.
    #[serde(rename = "final")]
    pub signatures: Signatures,
    /// As it came, for whoever checks it again elsewhere.
    #[serde(skip)]
    pub frame: BusFrame,
}

impl Verifier {
    /// A verifier for the federation of this genesis. Changes of membership
    /// that it learns of are kept in `file`.
    ///
    /// # Errors
    /// Where its nodes make no roster, or the file cannot be used.
    pub fn new(genesis: &Genesis, file: Option<&Path>) -> Result<Self, Failure> {
        let members = genesis
            .nodes
            .iter()
            .map(|node| {
                let key = <[u8; 32]>::try_from(node.key.as_slice()).map_err(|_| {
                    Failure::usage(
                        "genesis.nodes",
                        format!("node {}: a key has 32 bytes", node.name),
                    )
                })?;
                Ok(RosterMember::new(node.name.clone(), PublicKey(key)))
            })
            .collect::<Result<_, Failure>>()?;
        let roster = Roster::new(0, members)
            .map_err(|error| Failure::usage("genesis.nodes", error.to_string()))?;
        let cluster = ClusterId(Digest(cluster_id(genesis)));
        Ok(Self {
            rosters: Rosters::open(cluster, &roster, file)?,
            cluster,
        })
    }

    /// Asks the nodes who signs now, where a certificate names a roster that
    /// is not known yet. To be called before it is verified.
    pub async fn prepare(&self, nodes: &Nodes, certificate: &[u8]) {
        if let Ok(certificate) = Certificate::decode(certificate) {
            self.rosters.learn(nodes, certificate.header.roster).await;
        }
    }

    /// Decodes and verifies a certificate.
    ///
    /// # Errors
    /// [`Failure::Unverified`].
    pub fn certificate(&self, bytes: &[u8]) -> Result<(BlockHeader, Signatures), Failure> {
        let wrong = |message: String| Failure::Unverified {
            rule: "frame.certificate",
            message,
        };
        let certificate = Certificate::decode(bytes).map_err(|error| wrong(error.to_string()))?;
        let of = self
            .rosters
            .verify(&certificate)
            .map_err(|error| wrong(error.to_string()))?;
        let signatures = Signatures {
            signed: certificate.signatures.len(),
            of,
        };
        Ok((certificate.header, signatures))
    }

    /// Verifies a frame: its certificate, that its body is a leaf of the
    /// certified outputs, and that body and header agree.
    ///
    /// # Errors
    /// [`Failure::Unverified`].
    pub fn frame(&self, frame: &BusFrame) -> Result<Verified, Failure> {
        let wrong = |rule, message: &str| Failure::Unverified {
            rule,
            message: message.to_owned(),
        };
        let (header, signatures) = self.certificate(&frame.certificate)?;
        let body = BusBody::decode(frame.body.as_slice())
            .map_err(|_| wrong("frame.body", "the frame's body is not a message"))?;
        if body.height != header.index || body.cluster != self.cluster.0.0 {
            return Err(wrong(
                "frame.body",
                "the body belongs to another block than the certificate",
            ));
        }
        let proof = frame
            .proof
            .as_ref()
            .ok_or_else(|| wrong("frame.proof", "the frame has no proof"))?;
        let path = proof
            .path
            .iter()
            .map(|node| <[u8; 32]>::try_from(node.as_slice()).map(Digest))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong("frame.proof", "a node of the proof has not 32 bytes"))?;
        if !merkle::verify(
            &header.outputs_root,
            &frame.body,
            body.sub_index as usize,
            proof.leaf_count as usize,
            &path,
        ) {
            return Err(wrong(
                "frame.proof",
                "the body is not among the certified outputs",
            ));
        }
        Ok(Verified {
            body,
            signatures,
            frame: frame.clone(),
        })
    }
}
