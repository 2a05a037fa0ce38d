//! Nodes whose core follows the rules and whose mouth does not: they lie about
//! the chain and the price, keep actions to themselves, and send machines
//! frames that nobody certified. They count among the faulty.

use dctrl_effects::chain::sight::Saying;
use dctrl_proto::v1::{BusBody, BusFrame, PaymentView, SignedAction};
use prost::Message;

use super::world::World;
use crate::engine::Seat;
use crate::prng::Prng;

/// What comes out of a node beside its gossip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mouth {
    Honest,
    /// Shows prices that nobody asks.
    Price,
    /// Shows payments that are not, and not those that are.
    Chain,
    /// Passes on nothing that this machine's or a buyer's key signed.
    Censor,
    /// Sends machines orders that nobody gave.
    Forger,
}

impl Mouth {
    pub(super) fn any(chance: &mut Prng) -> Self {
        match chance.below(4) {
            0 => Self::Price,
            1 => Self::Chain,
            2 => Self::Censor,
            _ => Self::Forger,
        }
    }
}

impl World {
    /// What this node says in place of what it sees.
    pub(super) fn twisted(&mut self, seat: Seat, saying: Saying) -> Saying {
        if self.plan.mouths[seat] != Mouth::Chain {
            return saying;
        }
        self.seen.hit("chain_lies");
        match saying {
            Saying::Tip(mut view) => {
                view.height += 500;
                view.hash = vec![0x66; 32];
                Saying::Tip(view)
            }
            Saying::Payment(mut view) => {
                match self.chance.below(3) {
                    0 => view.amount_sats *= 1_000,
                    1 => {
                        view.set_view(PaymentView::InBlock);
                        view.block_height = 7;
                        view.block_hash = vec![0x77; 32];
                    }
                    _ => {
                        view.set_view(PaymentView::InMempool);
                        view.block_height = 0;
                        view.block_hash.clear();
                        if let Some(outpoint) = &mut view.outpoint {
                            outpoint.vout += 1;
                        }
                    }
                }
                Saying::Payment(view)
            }
        }
    }

    /// The price that this node shows.
    pub(super) fn shown_price(&mut self, seat: Seat) -> u64 {
        let honest = self.market.cents + self.chance.below(20_000);
        if self.plan.mouths[seat] != Mouth::Price {
            return honest;
        }
        self.seen.hit("price_lies");
        match self.chance.below(3) {
            0 => 1,
            1 => u64::MAX / 2,
            _ => honest * 2,
        }
    }

    /// Whether the node keeps an action to itself.
    pub(super) fn censors(&mut self, seat: Seat, action: &SignedAction) -> bool {
        let censors = self.plan.mouths[seat] == Mouth::Censor
            && action.key.first().is_some_and(|byte| byte % 2 == 0);
        if censors {
            self.seen.hit("censored");
        }
        censors
    }

    /// The frames that this node sends a machine: an order among them may be
    /// one that nobody gave.
    pub(super) fn forged(&mut self, seat: Seat, mut frames: Vec<BusFrame>) -> Vec<BusFrame> {
        use dctrl_proto::v1::bus_body::Event;
        if self.plan.mouths[seat] != Mouth::Forger {
            return frames;
        }
        for frame in &mut frames {
            let Ok(mut body) = BusBody::decode(frame.body.as_slice()) else {
                continue;
            };
            if let Some(Event::Order(order)) = &mut body.event {
                self.seen.hit("forged_frames");
                order.sequence += 1;
                frame.body = body.encode_to_vec();
            } else if self.chance.chance(100) {
                self.seen.hit("forged_frames");
                frame.certificate.truncate(40);
            }
        }
        frames
    }
}
