//! Which coins to spend: branch and bound for a sum without change, else the
//! largest first. No randomness: the same coins give the same choice.

use crate::Coin;

/// Steps of the search, a fixed number so that every node stops at the same.
const STEPS_MAX: u32 = 20_000;

/// A coin and what it is worth after its own input is paid for.
#[derive(Clone, Copy, Debug)]
struct Worth {
    coin: Coin,
    sats: u64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// What outputs and the transaction's frame cost.
    pub(crate) sats: u64,
    /// What change would cost: a surplus up to here is better given as fee.
    pub(crate) change_cost: u64,
    /// What one input costs.
    pub(crate) input_fee: u64,
    /// Most inputs.
    pub(crate) inputs_max: usize,
}

/// Which choice is taken where there are both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One without change.
    ExactFirst,
    /// The fewest coins.
    LargestFirst,
}

/// The coins to spend; `None` where they do not suffice. With `must`, those are
/// spent in any case, and more only where they do not suffice.
pub(crate) fn select(
    must: &[Coin],
    coins: &[Coin],
    target: Target,
    order: Order,
) -> Option<Vec<Coin>> {
    let worth = |coin: &Coin| {
        let sats = coin.sats.checked_sub(target.input_fee)?;
        (sats > 0).then_some(Worth { coin: *coin, sats })
    };
    let given: u64 = must
        .iter()
        .map(|coin| coin.sats.saturating_sub(target.input_fee))
        .sum();
    if !must.is_empty() && given >= target.sats {
        return Some(must.to_vec());
    }
    let mut rest: Vec<Worth> = coins
        .iter()
        .filter(|coin| !must.contains(coin))
        .filter_map(worth)
        .collect();
    rest.sort_by_key(|one| (std::cmp::Reverse(one.coin.sats), one.coin.place()));
    let room = target.inputs_max.checked_sub(must.len())?;
    let missing = target.sats - given;
    let exact = match order {
        Order::ExactFirst => branch_and_bound(&rest, missing, target.change_cost, room),
        Order::LargestFirst => None,
    };
    let chosen = exact.or_else(|| largest_first(&rest, missing, target.change_cost, room))?;
    Some([must, &chosen].concat())
}

/// The choice whose sum is nearest above `target` and at most `slack` above,
/// the first such found.
fn branch_and_bound(coins: &[Worth], target: u64, slack: u64, room: usize) -> Option<Vec<Coin>> {
    let mut left: u64 = coins.iter().map(|one| one.sats).sum();
    let limit = target.saturating_add(slack);
    let mut best: Option<(u64, Vec<usize>)> = None;
    let mut chosen: Vec<usize> = Vec::new();
    let mut sum: u64 = 0;
    let mut at = 0;
    for _ in 0..STEPS_MAX {
        let hopeless = sum + left < target || sum > limit || chosen.len() > room;
        let reached = sum >= target;
        if !hopeless && reached && best.as_ref().is_none_or(|(least, _)| sum < *least) {
            best = Some((sum, chosen.clone()));
        }
        if hopeless || reached || at == coins.len() {
            // Back to the last coin taken, and on without it.
            while at > chosen.last().map_or(0, |last| last + 1) {
                at -= 1;
                left += coins[at].sats;
            }
            let Some(last) = chosen.pop() else {
                break;
            };
            sum -= coins[last].sats;
            at = last + 1;
        } else {
            left -= coins[at].sats;
            sum += coins[at].sats;
            chosen.push(at);
            at += 1;
        }
    }
    best.map(|(_, chosen)| chosen.iter().map(|at| coins[*at].coin).collect())
}

/// The largest coins until there is enough, change included where the room
/// allows.
fn largest_first(coins: &[Worth], target: u64, change: u64, room: usize) -> Option<Vec<Coin>> {
    let comfortable = target.saturating_add(change);
    let mut sum: u64 = 0;
    let mut chosen = Vec::new();
    for one in coins.iter().take(room) {
        if sum >= comfortable {
            break;
        }
        sum += one.sats;
        chosen.push(one.coin);
    }
    (sum >= target).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chain;
    use bitcoin::hashes::Hash;
    use bitcoin::{OutPoint, Txid};

    fn coins(sats: &[u64]) -> Vec<Coin> {
        let coin = |(vout, sats): (u32, &u64)| Coin {
            outpoint: OutPoint::new(Txid::from_byte_array([7; 32]), vout),
            sats: *sats,
            chain: Chain::Payments,
            index: vout,
        };
        (0..).zip(sats).map(coin).collect()
    }

    fn chosen(sats: &[u64], target: u64, change_cost: u64) -> Option<Vec<u64>> {
        let target = Target {
            sats: target,
            change_cost,
            input_fee: 10,
            inputs_max: 20,
        };
        let chosen = select(&[], &coins(sats), target, Order::ExactFirst)?;
        Some(chosen.iter().map(|coin| coin.sats).collect())
    }

    #[test]
    fn an_exact_sum_needs_no_change() {
        assert_eq!(chosen(&[110, 210, 510, 1010], 700, 5), Some(vec![510, 210]));
        assert_eq!(chosen(&[110, 210, 510, 1010], 600, 5), Some(vec![510, 110]));
        assert_eq!(chosen(&[110, 210, 510, 1010], 703, 5), Some(vec![1010]));
    }

    #[test]
    fn else_the_largest_come_first() {
        assert_eq!(
            chosen(&[110, 210, 510, 1010], 1100, 20),
            Some(vec![1010, 110])
        );
        assert_eq!(
            chosen(&[300, 400, 500], 1000, 20),
            Some(vec![500, 400, 300])
        );
    }

    #[test]
    fn too_little_is_nothing_and_coins_below_their_own_cost_do_not_count() {
        assert_eq!(chosen(&[110, 210], 301, 5), None);
        assert_eq!(chosen(&[10, 10, 10], 1, 5), None);
    }

    #[test]
    fn the_order_in_which_coins_come_does_not_matter() {
        let target = Target {
            sats: 777,
            change_cost: 30,
            input_fee: 10,
            inputs_max: 20,
        };
        let all = coins(&[500, 90, 90, 320, 320, 41, 610]);
        let mut turned = all.clone();
        turned.reverse();
        let chosen = |coins: &[Coin]| select(&[], coins, target, Order::ExactFirst);
        assert_eq!(chosen(&all), chosen(&turned));
    }
}
