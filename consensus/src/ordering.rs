//! Which rules turn the graph into an order: genesis parameters, equal on all
//! nodes of a federation.
//!
//! Both profiles and both orders work on one graph. What each rule is exactly
//! stands where it is built: `election` for the profiles, `order` for the orders.

/// How events that judge others are found and elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The published hashgraph: one election per round, and a round lasts until
    /// a quorum of its witnesses is strongly seen (two message delays).
    Classic,
    /// One election per layer, by the same virtual voting; a layer lasts one
    /// message delay.
    #[default]
    Layered,
}

/// When an event's place in the order is fixed, and by which times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderRule {
    /// As soon as all judges of a round or layer know it, by the median of the
    /// times at which the judges' chains first knew it. The fair order.
    #[default]
    Received,
    /// As soon as one judge knows it, by its own time within the bounds of the
    /// judges' median. One message delay less.
    Direct,
}

/// The ordering rules of a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordering {
    /// Rounds or layers.
    pub profile: Profile,
    /// Fair or fast.
    pub order: OrderRule,
    /// Whether a candidate is decided as soon as the first votes of (nearly) all
    /// nodes are known and agree, instead of one step later. Layered only: the
    /// classic profile is kept as published.
    pub unanimity: bool,
    /// Every how many voting steps the coin is tossed; above 2.
    pub coin_frequency: u32,
}

impl Default for Ordering {
    fn default() -> Self {
        Self::STANDARD
    }
}

impl Ordering {
    /// What a federation uses unless its genesis says otherwise.
    pub const STANDARD: Self = Self {
        profile: Profile::Layered,
        order: OrderRule::Received,
        unanimity: true,
        coin_frequency: 10,
    };
}
