//! What one seed stands for in the whole world. All is decided before the run
//! begins. Times in nanoseconds of the world, unless a name says otherwise.

use super::grid::Blow;
use super::liars::Mouth;
use super::points::PAYOUT_POINTS;
use crate::prng::Prng;
use crate::scenario::{Cast, Failures, Links, MILLISECOND, SECOND, pick};

/// How many runs have copayers who pay out, in thousandths.
const PAYOUTS_CHANCE: u64 = 400;
/// Where they do, no deeper reorganisation loses transactions: here nothing shows
/// what has taken their place, and until nodes have looked, the ledger counts the
/// new blocks above the old ones.
const DROP_DEPTH_MAX: u32 = 2;

/// How much a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As many buyers as a site has, with every fault.
    Usual,
    /// The same, and customers at every machine all the time: many vends for
    /// what a run costs beside them.
    Busy,
    /// One machine and one buyer, and nothing goes wrong.
    One,
}

/// An error that a test plants, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// An agent pulses again after a start in FIRING.
    PulseAgain,
    /// A node's ledger credits a payment twice.
    CreditTwice,
    /// A node acknowledges a block as durable that it then forgets.
    ForgetFinal,
    /// A node comes to another state than the others.
    OtherState,
    /// A node's disk misses what a block changed.
    LoseOnDisk,
    /// A slot loses a unit that nobody bought.
    LoseUnit,
    /// An action of a suspended member is carried out.
    IgnoreSuspension,
    /// A machine's receipts never reach a node.
    LoseReceipts,
    /// A node keeps every frame that it ever told.
    UnboundedQueue,
    /// No node says that a payment is gone.
    NeverGone,
    /// A settled payout is booked with a satoshi more.
    MisbookPayout,
    /// Copayers approve and sign what nobody wants.
    PayUnwanted,
    /// No node says what it sees of payouts.
    MutePayouts,
}

/// A process is killed at a named place, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) point: &'static str,
    /// At which passing, counted from 1.
    pub(super) passing: u32,
}

/// Everything that the seed decides beforehand.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) size: Size,
    pub(super) nodes: usize,
    pub(super) machines: usize,
    pub(super) buyers: usize,
    /// Purchases that buyers begin.
    pub(super) purchases: usize,
    /// Until when they begin.
    pub(super) busy_until: u64,
    /// Faults end here; from here on all must come right.
    pub(super) heal_at: u64,
    pub(super) stormy: bool,
    pub(super) real_signatures: bool,
    pub(super) seal_layers: Option<u64>,
    pub(super) links: Links,
    pub(super) sync_max: u64,
    pub(super) cast: Cast,
    pub(super) failures: Failures,
    /// By seat, what the node says beside its gossip.
    pub(super) mouths: Vec<Mouth>,
    pub(super) quote_ms: u32,
    /// Between two blocks of the chain, on average.
    pub(super) block_every: u64,
    /// Frames of the bus that are lost, or come twice, in thousandths.
    pub(super) frames_lost: u64,
    pub(super) frames_doubled: u64,
    /// Pulses whose physics goes wrong, in thousandths.
    pub(super) trouble: u64,
    /// Kills of agents, at random times.
    pub(super) agent_kills: Vec<(u64, usize)>,
    pub(super) strikes: Vec<Strike>,
    /// Reorganisations of the chain: when, and how deep.
    pub(super) reorgs: Vec<(u64, u32, bool)>,
    /// One reorganisation, at one step of the first vend.
    pub(super) blow: Option<Blow>,
    /// Confirmations that a usual payment takes.
    pub(super) confirmations: u32,
    /// Payouts that copayers propose.
    pub(super) payouts: usize,
    /// Whether one copayer of three cheats.
    pub(super) cheats: bool,
    pub(super) planted: Option<Planted>,
}

impl Planted {
    /// Each error, whether it needs a storm to show, and words of the
    /// violation that it must lead to.
    pub const ALL: [(Self, bool, &'static str); 13] = [
        (Self::PulseAgain, true, "was pulsed 2 times"),
        (Self::CreditTwice, false, "all accounts come to"),
        (Self::LoseUnit, false, "stock is not conserved"),
        (Self::ForgetFinal, false, "lost an action that was final"),
        (Self::OtherState, false, "differ in block"),
        (Self::LoseOnDisk, false, "leads elsewhere"),
        (Self::IgnoreSuspension, true, "of a member suspended since"),
        (Self::LoseReceipts, false, "not settled"),
        (Self::UnboundedQueue, false, "blocks to publish"),
        (Self::NeverGone, true, "not settled"),
        (Self::MisbookPayout, false, "bitcoin come to"),
        (Self::PayUnwanted, false, "was never wanted"),
        (Self::MutePayouts, false, "not settled"),
    ];

    /// Payouts that a run must have for it to show.
    fn payouts(self) -> usize {
        match self {
            Self::MisbookPayout | Self::MutePayouts => 1,
            Self::PayUnwanted => 8,
            _ => 0,
        }
    }
}

impl Size {
    /// Machines, purchases, and until when these begin.
    fn crowd(self, chance: &mut Prng) -> (usize, usize, u64) {
        let (each, seconds) = match self {
            Self::One => return (1, 1, 2 * SECOND),
            Self::Usual => ((8, 16), (20, 60)),
            Self::Busy => ((30, 60), (40, 80)),
        };
        let machines = between(chance, 6, 24);
        let purchases = machines * between(chance, each.0, each.1);
        let busy_until = chance.between(seconds.0, seconds.1) * SECOND;
        (machines, purchases, busy_until)
    }
}

impl Plan {
    pub(super) fn of(seed: u64, nodes: usize, size: Size) -> Self {
        let mut chance = Prng::new(seed ^ 0xf011 ^ (nodes as u64) << 48);
        let stormy = size != Size::One && chance.chance(900);
        let (machines, purchases, busy_until) = size.crowd(&mut chance);
        let heal_at = busy_until;
        let faulty = if stormy { (nodes - 1) / 3 } else { 0 };
        let cast = Cast::followers(&mut chance, nodes, faulty);
        let mouths = mouths(&mut chance, &cast, faulty);
        let failures = if stormy {
            Failures::storm(&mut chance, &cast, heal_at)
        } else {
            Failures::default()
        };
        let mut links = Links::of(&mut chance, nodes, stormy, heal_at);
        links.slow_down(4 * MILLISECOND);
        let often = |chance: &mut Prng, worst: u64| if stormy { chance.below(worst) } else { 0 };
        let kills = if stormy {
            chance.below(machines as u64 * 2)
        } else {
            0
        };
        let agent_kills = (0..kills)
            .map(|_| (chance.below(heal_at), pick(&mut chance, machines)))
            .collect();
        let reorgs = (0..often(&mut chance, 4))
            .map(|_| {
                let deep = if chance.chance(100) { 100 } else { 6 };
                let depth = u32::try_from(chance.between(1, deep)).unwrap_or(1);
                (chance.below(heal_at), depth, chance.chance(300))
            })
            .collect();
        let mut plan = Self {
            size,
            nodes,
            machines,
            buyers: match size {
                // Each may have a few open quotes only.
                Size::Busy => 2 * machines,
                Size::Usual | Size::One => 2 + machines / 2,
            },
            purchases,
            busy_until,
            heal_at,
            stormy,
            real_signatures: chance.chance(20),
            seal_layers: (chance.chance(500) && stormy).then(|| chance.between(40, 400)),
            sync_max: chance.between(MILLISECOND / 10, 6 * MILLISECOND),
            quote_ms: u32::try_from(chance.between(20, 60) * 1000).unwrap_or(60_000),
            block_every: chance.between(3, 12) * SECOND,
            frames_lost: often(&mut chance, 300),
            frames_doubled: often(&mut chance, 200),
            trouble: often(&mut chance, 300),
            agent_kills,
            strikes: Vec::new(),
            reorgs,
            blow: None,
            confirmations: 1,
            payouts: 0,
            cheats: false,
            planted: None,
            links,
            cast,
            failures,
            mouths,
        };
        if size != Size::One && chance.chance(PAYOUTS_CHANCE) {
            plan.pay_out(between(&mut chance, 1, 6), chance.chance(300));
        }
        plan
    }

    /// With an error that must be found.
    pub(super) fn plant(&mut self, planted: Planted) {
        self.planted = Some(planted);
        if planted.payouts() > 0 {
            self.pay_out(planted.payouts(), false);
        }
    }

    /// Copayers propose so many payouts.
    fn pay_out(&mut self, payouts: usize, cheats: bool) {
        self.payouts = payouts;
        self.cheats = cheats && self.stormy;
        // So that coins are deep, and payouts settled, within the storm.
        self.block_every /= 3;
        for (_, depth, drop) in &mut self.reorgs {
            // Coins may be spent from six confirmations on. Where one of them is
            // gone for good, people must look; the world of payouts has that.
            if *drop {
                *depth = DROP_DEPTH_MAX.min(*depth);
            }
        }
    }

    /// Nothing goes wrong but what is struck.
    pub(super) fn struck(seed: u64, nodes: usize, strike: Strike) -> Self {
        let mut plan = Self::calm(seed, nodes);
        if PAYOUT_POINTS.contains(&strike.point) {
            plan.pay_out(1 + strike.passing as usize, false);
        }
        plan.strikes.push(strike);
        plan
    }

    /// A few machines and purchases, and nothing goes wrong.
    pub(super) fn calm(seed: u64, nodes: usize) -> Self {
        let mut plan = Self::of(seed, nodes, Size::One);
        plan.machines = 2;
        plan.buyers = 2;
        plan.purchases = 8;
        plan.busy_until = 8 * SECOND;
        plan.heal_at = 8 * SECOND;
        plan
    }
}

/// Who lies beside its gossip: as many as may be faulty beside the others.
fn mouths(chance: &mut Prng, cast: &Cast, faulty: usize) -> Vec<Mouth> {
    let mut mouths = vec![Mouth::Honest; cast.parts.len()];
    let left = faulty.saturating_sub(cast.faulty().count_ones() as usize);
    for _ in 0..left {
        let seat = pick(chance, mouths.len());
        if cast.sound(seat) && chance.chance(800) {
            mouths[seat] = Mouth::any(chance);
        }
    }
    mouths
}

fn between(chance: &mut Prng, least: u64, most: u64) -> usize {
    usize::try_from(chance.between(least, most)).unwrap_or(1)
}
