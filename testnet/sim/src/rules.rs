//! Which ordering rules a run is made under.

use dctrl_consensus::{OrderRule, Ordering, Profile};

use crate::prng::Prng;

/// Rules that are fixed for all runs; what is `None` each seed decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Rounds or layers.
    pub profile: Option<Profile>,
    /// Fair or fast.
    pub order: Option<OrderRule>,
    /// The unanimity shortcut, which the layered profile has.
    pub shortcut: Option<bool>,
}

impl Rules {
    /// The rules of one seed. Every seed draws alike, fixed rules or not, so
    /// that a run is the same but for its rules.
    #[must_use]
    pub fn of(self, seed: u64) -> Ordering {
        let mut chance = Prng::new(seed ^ 0x0d0e_0b0e);
        let layered = chance.chance(700);
        let direct = chance.chance(400);
        let shortcut = chance.chance(500);
        let profile = self.profile.unwrap_or(if layered {
            Profile::Layered
        } else {
            Profile::Classic
        });
        Ordering {
            profile,
            order: self.order.unwrap_or(if direct {
                OrderRule::Direct
            } else {
                OrderRule::Received
            }),
            unanimity: profile == Profile::Layered && self.shortcut.unwrap_or(shortcut),
            // Coins are rare: tossed often, they are at least tossed sometimes.
            coin_frequency: u32::try_from(chance.between(3, 10)).unwrap_or(3),
        }
    }

    /// The arguments that fix these rules.
    #[must_use]
    pub fn arguments(self) -> String {
        let mut text = String::new();
        match self.profile {
            Some(Profile::Classic) => text.push_str(" --profile classic"),
            Some(Profile::Layered) => text.push_str(" --profile layered"),
            None => {}
        }
        match self.order {
            Some(OrderRule::Received) => text.push_str(" --order received"),
            Some(OrderRule::Direct) => text.push_str(" --order direct"),
            None => {}
        }
        if let Some(shortcut) = self.shortcut {
            text.push_str(if shortcut {
                " --shortcut on"
            } else {
                " --shortcut off"
            });
        }
        text
    }
}
