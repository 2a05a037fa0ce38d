//! The numbers that the rules of the election are made of, so that each of
//! them can be lowered and the error that follows be found.
//!
//! Units: creators (all weights are 1). Absent: nothing here is used by the
//! product, whose own numbers are in `dctrl-consensus`.

/// The layered election's parameters for a federation of equal weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Number of creators, n.
    pub nodes: usize,
    /// Creators of a layer (or of V_k) that a quorum needs: floor(2n/3) + 1.
    pub quorum: usize,
    /// Creators through which an event must be seen to be seen strongly.
    pub strongly: usize,
    /// Equal votes among those an event strongly sees that decide.
    pub tally: usize,
    /// Creators whose first votes, all YES, decide at once; `None` where the
    /// unanimity shortcut is off.
    pub shortcut_yes: Option<usize>,
    /// The same for NO.
    pub shortcut_no: Option<usize>,
    /// Creators whose first votes must be known before an unknown candidate
    /// counts as NO, beside the rule that any second vote closes the layer.
    /// `None` where only a second vote closes.
    pub closing: Option<usize>,
    /// Every so many steps an undecided voter takes its coin; 0 for never.
    pub coin_every: u32,
    /// Whether an event that knows a creator's fork sees nothing of it.
    pub fork_aware: bool,
    /// Whether an event counts for its layer only creators that it sees, and
    /// so none of whom it knows a fork. The product counts every creator that
    /// it has an event of; agreement needs neither.
    pub layer_sees: bool,
}

impl Rules {
    /// The rules as the design states them, with or without the shortcut in
    /// its general form: first votes of weight u may be unknown if
    /// 2(f + u) <= Q for YES, and if 2(f + u) < Q for NO.
    #[must_use]
    pub fn design(nodes: usize, shortcut: bool) -> Self {
        let quorum = nodes * 2 / 3 + 1;
        let faulty = (nodes - 1) / 3;
        let yes = nodes + faulty - quorum / 2;
        let no = nodes + faulty - (quorum - 1) / 2;
        Self {
            nodes,
            quorum,
            strongly: quorum,
            tally: quorum,
            shortcut_yes: shortcut.then_some(yes),
            shortcut_no: shortcut.then_some(no),
            closing: shortcut.then_some(no),
            coin_every: 6,
            fork_aware: true,
            layer_sees: false,
        }
    }

    /// How many creators may lie.
    #[must_use]
    pub fn faulty(&self) -> usize {
        (self.nodes - 1) / 3
    }

    /// Whether no two events can strongly see different twins: any two sets of
    /// creators to be seen through share an honest one.
    #[must_use]
    pub fn keeps_twins_apart(&self) -> bool {
        self.fork_aware && 2 * self.strongly > self.nodes + self.faulty()
    }

    /// Whether the `step`-th vote is a coin step.
    #[must_use]
    pub fn is_coin_step(&self, step: usize) -> bool {
        self.coin_every != 0 && step.is_multiple_of(self.coin_every as usize)
    }
}

/// An error that is planted into the rules, which the checker has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Planted {
    /// The shortcut is taken with the first votes of one creator fewer: of 3
    /// of 4.
    Shortcut,
    /// An event is strongly seen through one creator fewer.
    StronglySee,
    /// One equal vote fewer decides.
    Tally,
    /// A layer is closed with a quorum of first votes, without a second one.
    Closing,
    /// An event that knows a fork still sees both twins.
    ForkBlind,
    /// Second votes may be coins, as with a coin in every second step.
    EarlyCoin,
}

impl Planted {
    /// Every planted error.
    pub const ALL: [Self; 6] = [
        Self::Shortcut,
        Self::StronglySee,
        Self::Tally,
        Self::Closing,
        Self::ForkBlind,
        Self::EarlyCoin,
    ];

    /// The rules with this error in them.
    #[must_use]
    pub fn into_rules(self, mut rules: Rules) -> Rules {
        match self {
            Self::Shortcut => {
                rules.shortcut_yes = rules.shortcut_yes.map(|known| known - 1);
                rules.shortcut_no = rules.shortcut_no.map(|known| known - 1);
            }
            Self::StronglySee => rules.strongly -= 1,
            Self::Tally => rules.tally -= 1,
            Self::Closing => rules.closing = Some(rules.quorum),
            Self::ForkBlind => rules.fork_aware = false,
            Self::EarlyCoin => rules.coin_every = 2,
        }
        rules
    }
}
