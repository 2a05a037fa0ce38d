//! The best block of the chain as the federation agrees on it.

use std::collections::BTreeMap;

use dctrl_proto::v1::{ChainTip, ChainVote, Outpoint};

use super::conclude;
use crate::scope::Scope;
use crate::votes::Federation;
use crate::{facts, keys, payouts, tables};

/// Takes in a node's best block.
pub(crate) fn observe_tip(scope: &mut Scope<'_>, vote: ChainVote) {
    let mut tip = tables::tip(scope);
    tip.votes.retain(|before| before.node != vote.node);
    tip.votes.push(vote);
    tip.votes.sort_by_key(|vote| vote.node);
    conclude_tip(scope, tip);
}

/// Drops the votes of nodes that have gone, and agrees anew.
pub(super) fn realign(scope: &mut Scope<'_>) {
    let mut tip = tables::tip(scope);
    tip.votes.retain(|vote| scope.federation().has(vote.node));
    conclude_tip(scope, tip);
}

fn conclude_tip(scope: &mut Scope<'_>, mut tip: ChainTip) {
    let before = (tip.height, tip.hash.clone());
    if let Some((height, hash)) = agree(&tip.votes, scope.federation()) {
        (tip.height, tip.hash) = (height, hash);
    }
    scope.put(keys::TIP.to_vec(), &tip);
    if (tip.height, &tip.hash) != (before.0, &before.1) {
        tell(scope, &tip);
    }
}

/// The height that a quorum of nodes has reached, and the hash that most of
/// those at exactly that height name.
fn agree(votes: &[ChainVote], federation: &Federation) -> Option<(u32, Vec<u8>)> {
    let mut heights: Vec<u32> = votes.iter().map(|vote| vote.height).collect();
    heights.sort_unstable_by(|a, b| b.cmp(a));
    let height = *heights.get(federation.quorum() - 1)?;
    let mut hashes: BTreeMap<&[u8], usize> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| vote.height == height) {
        *hashes.entry(&vote.hash).or_default() += 1;
    }
    let (hash, _) = hashes.into_iter().max_by_key(|(_, votes)| *votes)?;
    Some((height, hash.to_vec()))
}

/// A new tip changes the confirmations of all payments that are not final.
fn tell(scope: &mut Scope<'_>, tip: &ChainTip) {
    scope.tell(facts::tip(tip.clone()));
    let waiting: Vec<Outpoint> = tables::rows(scope, keys::CONFIRMING).collect();
    for outpoint in waiting {
        let payment = tables::payment(scope, &outpoint).expect("an indexed payment is there");
        conclude(scope, payment);
    }
    payouts::tip_moved(scope);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(heights: &[u32]) -> Option<u32> {
        let federation = Federation::of((0..4).collect());
        let votes: Vec<_> = (0..)
            .zip(heights)
            .map(|(node, height)| ChainVote {
                node,
                height: *height,
                hash: vec![1; 32],
            })
            .collect();
        agree(&votes, &federation).map(|(height, _)| height)
    }

    #[test]
    fn the_tip_is_where_a_quorum_of_nodes_has_arrived() {
        assert_eq!(agreed(&[7, 7]), None);
        assert_eq!(agreed(&[7, 7, 7]), Some(7));
        assert_eq!(agreed(&[900, 7, 7, 7]), Some(7));
        assert_eq!(agreed(&[0, 7, 7, 7]), Some(7));
        assert_eq!(agreed(&[9, 8, 7, 6]), Some(7));
    }
}
