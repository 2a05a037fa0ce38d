//! What a payment's votes amount to. No state is read here.

use std::collections::BTreeMap;

use dctrl_proto::v1::PaymentState::{Confirmed, Final, Reorged, Replaced, Reported, Seen};
use dctrl_proto::v1::{Payment, PaymentDoubts, PaymentView, PaymentVote};

use crate::money::COINBASE_DEPTH;
use crate::votes::Federation;

/// Brings address, amount, state, block and confirmations in line with the
/// votes and the height of the agreed tip.
pub(super) fn update(payment: &mut Payment, federation: &Federation, tip_height: u32) {
    let enough = federation.one_honest();
    if payment.state() == Reported {
        let Some(output) = agreed_output(&payment.votes, enough) else {
            return;
        };
        (payment.address_index, payment.amount_sats) = (output.0, output.1);
        payment.coinbase = output.2;
    }
    let block = agreed_block(payment, enough);
    let seen = seen_by(payment);
    let state = payment.state();
    if let Some((height, hash)) = block {
        if state != Final || hash != payment.block_hash {
            payment.set_state(Confirmed);
        }
        payment.block_height = height;
        payment.block_hash = hash;
    } else if matches!(state, Confirmed | Final) {
        if count(payment, |vote| !is_in(vote, payment)) >= enough {
            let waits = seen >= enough || count(payment, is_absent) < enough;
            payment.set_state(if waits { Reorged } else { Replaced });
            payment.block_height = 0;
            payment.block_hash.clear();
        }
    } else if seen >= enough {
        // What the chain has dropped once waits under its own name.
        if state != Reorged {
            payment.set_state(Seen);
        }
    } else if matches!(state, Seen | Reorged) && count(payment, is_absent) >= enough {
        payment.set_state(Replaced);
    }
    payment.confirmations = match payment.state() {
        Confirmed | Final => tip_height
            .saturating_add(1)
            .saturating_sub(payment.block_height),
        _ => 0,
    };
}

/// A payment deep enough cannot be undone any more, for the books.
pub(super) fn clamp_final(payment: &mut Payment, final_depth: u32) {
    let final_depth = if payment.coinbase {
        final_depth.max(COINBASE_DEPTH)
    } else {
        final_depth
    };
    if payment.state() == Confirmed && payment.confirmations >= final_depth {
        payment.set_state(Final);
    }
}

/// Keeps since when a quorum has seen the payment without a doubt.
pub(super) fn trust(payment: &mut Payment, federation: &Federation, now_ms: u64) {
    let unconflicted = count(payment, is_absent) < federation.one_honest();
    let trusted = count(payment, is_undoubted) >= federation.quorum() && unconflicted;
    if !trusted || !matches!(payment.state(), Seen | Confirmed) {
        payment.trusted_since_ms = 0;
    } else if payment.trusted_since_ms == 0 {
        payment.trusted_since_ms = now_ms;
    }
}

/// Seen in a block, or in the mempool with nothing against it.
fn is_undoubted(vote: &PaymentVote) -> bool {
    let doubts = vote.doubts.unwrap_or_default();
    match vote.view() {
        PaymentView::InBlock => true,
        PaymentView::InMempool => doubts == PaymentDoubts::default(),
        _ => false,
    }
}

/// Whether nobody sees the payment any more.
pub(super) fn is_forgotten(payment: &Payment) -> bool {
    payment.votes.iter().all(is_absent)
}

/// Nodes that see the payment, in the mempool or in a block.
fn seen_by(payment: &Payment) -> usize {
    count(payment, |vote| {
        matches!(vote.view(), PaymentView::InMempool | PaymentView::InBlock)
    })
}

fn is_absent(vote: &PaymentVote) -> bool {
    vote.view() == PaymentView::Absent
}

fn is_in(vote: &PaymentVote, payment: &Payment) -> bool {
    vote.view() == PaymentView::InBlock
        && vote.block_height == payment.block_height
        && vote.block_hash == payment.block_hash
}

/// Votes for the payment's own address and amount; others are lies.
fn honest_votes(payment: &Payment) -> impl Iterator<Item = &PaymentVote> {
    payment.votes.iter().filter(|vote| {
        vote.address_index == payment.address_index
            && vote.amount_sats == payment.amount_sats
            && vote.coinbase == payment.coinbase
    })
}

fn count(payment: &Payment, holds: impl Fn(&PaymentVote) -> bool) -> usize {
    honest_votes(payment).filter(|vote| holds(vote)).count()
}

/// The address and amount that enough nodes see, and whether it is a reward.
fn agreed_output(votes: &[PaymentVote], enough: usize) -> Option<(u32, u64, bool)> {
    let mut outputs: BTreeMap<(u32, u64, bool), usize> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| !is_absent(vote)) {
        *outputs
            .entry((vote.address_index, vote.amount_sats, vote.coinbase))
            .or_default() += 1;
    }
    // At most one output can have an honest vote, so at most one has enough.
    outputs
        .into_iter()
        .find(|(_, votes)| *votes >= enough)
        .map(|(output, _)| output)
}

/// The block that enough nodes name: the one believed before where it still
/// has enough votes, otherwise the one with most, then the highest.
fn agreed_block(payment: &Payment, enough: usize) -> Option<(u32, Vec<u8>)> {
    let mut blocks: BTreeMap<(u32, Vec<u8>), usize> = BTreeMap::new();
    for vote in honest_votes(payment).filter(|vote| vote.view() == PaymentView::InBlock) {
        let block = (vote.block_height, vote.block_hash.clone());
        *blocks.entry(block).or_default() += 1;
    }
    blocks.retain(|_, votes| *votes >= enough);
    let before = (payment.block_height, payment.block_hash.clone());
    if blocks.contains_key(&before) {
        return Some(before);
    }
    let best = blocks
        .into_iter()
        .max_by(|(a, m), (b, n)| (m, a).cmp(&(n, b)));
    best.map(|(block, _)| block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> Federation {
        Federation::of((0..4).collect())
    }

    /// Votes as drawn: one character per node. `m` mempool, `a` absent,
    /// `1`–`9` in the block of that height, `-` no vote, `!` a lie about the amount.
    fn votes(drawing: &str) -> Vec<PaymentVote> {
        let vote = |(node, mark): (usize, char)| {
            let mut vote = PaymentVote {
                node: u32::try_from(node).unwrap(),
                amount_sats: 500,
                ..PaymentVote::default()
            };
            match mark {
                '-' => return None,
                'm' => vote.set_view(PaymentView::InMempool),
                'a' => vote.set_view(PaymentView::Absent),
                '!' => {
                    vote.set_view(PaymentView::InMempool);
                    vote.amount_sats = 5_000_000;
                }
                height => {
                    vote.set_view(PaymentView::InBlock);
                    vote.block_height = height.to_digit(10).unwrap();
                    vote.block_hash = vec![u8::try_from(vote.block_height).unwrap(); 32];
                }
            }
            Some(vote)
        };
        drawing.chars().enumerate().filter_map(vote).collect()
    }

    fn after(drawings: &[&str]) -> Payment {
        let mut payment = Payment::default();
        payment.set_state(Reported);
        for drawing in drawings {
            payment.votes = votes(drawing);
            update(&mut payment, &four(), 9);
        }
        payment
    }

    #[test]
    fn one_node_alone_is_not_believed() {
        assert_eq!(after(&["m---"]).state(), Reported);
        assert_eq!(after(&["5---"]).state(), Reported);
        assert_eq!(after(&["m!--"]).state(), Reported);
        assert_eq!(after(&["m-m-"]).state(), Seen);
        assert_eq!(after(&["!m-m"]).amount_sats, 500);
    }

    #[test]
    fn a_block_needs_two_nodes_that_name_the_same_one() {
        assert_eq!(after(&["5m--"]).state(), Seen);
        assert_eq!(after(&["56--"]).state(), Seen);
        let confirmed = after(&["55--"]);
        assert_eq!((confirmed.state(), confirmed.confirmations), (Confirmed, 5));
    }

    #[test]
    fn one_node_that_changes_its_mind_undoes_nothing() {
        assert_eq!(after(&["mm--", "ma--"]).state(), Seen);
        assert_eq!(after(&["55--", "5a--"]).state(), Confirmed);
    }

    #[test]
    fn a_payment_is_replaced_when_enough_nodes_miss_it() {
        assert_eq!(after(&["mmmm", "mmaa"]).state(), Seen);
        assert_eq!(after(&["mmmm", "maaa"]).state(), Replaced);
        assert_eq!(after(&["mmmm", "aaaa", "mmaa"]).state(), Seen);
    }

    #[test]
    fn a_reorganised_payment_that_nobody_finds_any_more_is_replaced() {
        assert_eq!(after(&["5555", "aaa5"]).state(), Replaced);
        assert_eq!(after(&["5555", "mmmm", "aaam"]).state(), Replaced);
        assert_eq!(after(&["5555", "mmaa"]).state(), Reorged);
        assert_eq!(after(&["5555", "aaaa", "mmmm"]).state(), Seen);
        assert_eq!(after(&["5555", "aaaa", "6666"]).state(), Confirmed);
    }

    #[test]
    fn an_unconfirmed_payment_is_trusted_while_a_quorum_sees_it_without_a_doubt() {
        let since = |drawing: &str, doubted: usize| {
            let mut payment = after(&[drawing]);
            for vote in payment.votes.iter_mut().take(doubted) {
                vote.doubts = Some(PaymentDoubts {
                    unconfirmed_parent: true,
                    ..PaymentDoubts::default()
                });
            }
            trust(&mut payment, &four(), 77);
            payment.trusted_since_ms
        };
        assert_eq!(since("mm--", 0), 0);
        assert_eq!(since("mmm-", 0), 77);
        assert_eq!(since("mmm-", 1), 0);
        assert_eq!(since("mmmm", 1), 77);
        assert_eq!(since("mmma", 0), 77);
        assert_eq!(since("mmaa", 0), 0);
    }

    #[test]
    fn a_reorganised_payment_comes_back_with_a_block_only() {
        assert_eq!(after(&["5555", "5mmm"]).state(), Reorged);
        assert_eq!(after(&["5555", "mmmm", "mmmm"]).state(), Reorged);
        let again = after(&["5555", "mmmm", "66mm"]);
        assert_eq!((again.state(), again.block_height), (Confirmed, 6));
        assert_eq!(after(&["5555", "5566"]).block_height, 5);
        assert_eq!(after(&["5555", "5666"]).block_height, 6);
    }
}
