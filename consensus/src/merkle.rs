//! Merkle trees in the shape of RFC 6962, with domains of our own.
//!
//! Leaves and inner nodes are hashed under different prefixes, so a proof for
//! an inner node never passes for a leaf. A list of n leaves splits at the
//! largest power of two below n; nothing is duplicated or padded.

use crate::crypto::sha256;
use crate::id::Digest;

const EMPTY: &[u8] = b"dctrl/merkle/empty/1\0";
const LEAF: &[u8] = b"\0";
const INNER: &[u8] = b"\x01";

fn inner(left: &Digest, right: &Digest) -> Digest {
    sha256(INNER, &[&left.0, &right.0])
}

/// All digests over a list of leaves: hashed once, for any number of proofs.
/// Memory: about two digests for each leaf.
#[derive(Debug, Clone)]
pub struct Tree {
    /// From the leaves' digests up to the root; empty where there is no leaf.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// Hashes the leaves and all that is above them.
    #[must_use]
    pub fn new(leaves: &[impl AsRef<[u8]>]) -> Self {
        let mut levels = Vec::new();
        if !leaves.is_empty() {
            levels.push(hash_leaves(leaves));
        }
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(raise(level));
        }
        Self { levels }
    }

    /// As [`root`].
    #[must_use]
    pub fn root(&self) -> Digest {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or_else(empty_root)
    }

    /// As [`proof`], without hashing anything.
    #[must_use]
    pub fn proof(&self, index: usize) -> Vec<Digest> {
        let is_leaf = self.levels.first().is_some_and(|level| index < level.len());
        if !is_leaf {
            return Vec::new();
        }
        let siblings = self.levels.iter().enumerate();
        siblings
            .filter_map(|(height, level)| level.get((index >> height) ^ 1).copied())
            .collect()
    }
}

/// The root of the leaves; of no leaves, the digest of a domain of its own.
#[must_use]
pub fn root(leaves: &[impl AsRef<[u8]>]) -> Digest {
    let mut level = hash_leaves(leaves);
    while level.len() > 1 {
        level = raise(&level);
    }
    level.first().copied().unwrap_or_else(empty_root)
}

/// The sibling digests from the leaf at `index` up to the root. Empty where
/// there is one leaf, or where `index` is no leaf. Hashes all leaves: for more
/// than one proof, make a [`Tree`].
#[must_use]
pub fn proof(leaves: &[impl AsRef<[u8]>], index: usize) -> Vec<Digest> {
    Tree::new(leaves).proof(index)
}

/// Whether `leaf` is the leaf at `index` of the `leaf_count` leaves under `root`.
#[must_use]
pub fn verify(
    root: &Digest,
    leaf: &[u8],
    index: usize,
    leaf_count: usize,
    path: &[Digest],
) -> bool {
    if index >= leaf_count {
        return false;
    }
    let mut hash = sha256(LEAF, &[leaf]);
    let (mut position, mut width) = (index, leaf_count);
    let mut path = path.iter();
    while width > 1 {
        // The last node of an odd level has no sibling and rises as it is.
        if position ^ 1 < width {
            let Some(sibling) = path.next() else {
                return false;
            };
            hash = if position % 2 == 0 {
                inner(&hash, sibling)
            } else {
                inner(sibling, &hash)
            };
        }
        position /= 2;
        width = width.div_ceil(2);
    }
    path.next().is_none() && hash == *root
}

fn empty_root() -> Digest {
    sha256(EMPTY, &[])
}

fn hash_leaves(leaves: &[impl AsRef<[u8]>]) -> Vec<Digest> {
    leaves
        .iter()
        .map(|leaf| sha256(LEAF, &[leaf.as_ref()]))
        .collect()
}

fn raise(level: &[Digest]) -> Vec<Digest> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => inner(left, right),
            _ => pair[0],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|i| format!("leaf {i}").into_bytes())
            .collect()
    }

    /// RFC 6962, section 2.1, word for word.
    fn defined_root(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => sha256(EMPTY, &[]),
            [leaf] => sha256(LEAF, &[leaf]),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                inner(
                    &defined_root(&leaves[..split]),
                    &defined_root(&leaves[split..]),
                )
            }
        }
    }

    #[test]
    fn the_root_is_the_one_rfc_6962_defines() {
        for count in 0..40 {
            assert_eq!(
                root(&leaves(count)),
                defined_root(&leaves(count)),
                "{count} leaves"
            );
        }
    }

    #[test]
    fn a_tree_has_the_root_and_proves_each_leaf_and_nothing_else() {
        for count in 0..40 {
            let leaves = leaves(count);
            let tree = Tree::new(&leaves);
            assert_eq!(tree.root(), root(&leaves), "{count} leaves");
            for (index, leaf) in leaves.iter().enumerate() {
                let path = tree.proof(index);
                assert!(verify(&tree.root(), leaf, index, count, &path));
            }
            assert!(tree.proof(count).is_empty());
        }
    }

    #[test]
    fn a_proof_holds_for_its_leaf_and_place_only() {
        for count in 1..20 {
            let leaves = leaves(count);
            let root = root(&leaves);
            for index in 0..count {
                let path = proof(&leaves, index);
                assert!(verify(&root, &leaves[index], index, count, &path));
                assert!(!verify(&root, b"another", index, count, &path));
                assert!(!verify(&root, &leaves[index], index + count, count, &path));
                for other in (0..count).filter(|&other| other != index) {
                    assert!(!verify(&root, &leaves[index], other, count, &path));
                }
                let mut longer = path.clone();
                longer.push(Digest::ZERO);
                assert!(!verify(&root, &leaves[index], index, count, &longer));
            }
        }
    }

    #[test]
    fn an_inner_node_never_passes_for_a_leaf() {
        let leaves = leaves(4);
        let hashes = hash_leaves(&leaves);
        let forged = [hashes[0].0, hashes[1].0].concat();
        let path = [inner(&hashes[2], &hashes[3])];
        assert!(!verify(&root(&leaves), &forged, 0, 2, &path));
    }
}
