//! What survives a power cut, and the records that change it.

use std::collections::VecDeque;

use dctrl_proto::order;
use dctrl_proto::v1::{BusFrame, Order, Outcome, SignedAction};
use prost::Message;
use serde::{Deserialize, Serialize};

/// Receipts that wait to be applied.
pub(super) const RECEIPTS_MAX: usize = 64;
/// Sensor reports that wait to be forwarded: days of a busy door.
pub(super) const REPORTS_MAX: usize = 4096;

/// A certified order with the frame that certifies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderInHand {
    /// What is ordered.
    pub order: Order,
    /// The frame, kept as evidence.
    pub frame: BusFrame,
    /// A later roster than the one that certified it was known when it came,
    /// so it is not carried out.
    #[serde(default)]
    pub superseded: bool,
}

impl OrderInHand {
    /// The digest that receipts name.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        order::order_hash(&self.order.encode_to_vec())
    }
}

/// Where the order in hand stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Stage {
    /// There is none.
    #[default]
    Idle,
    /// Taken on; certainly not pulsed.
    Armed(Box<OrderInHand>),
    /// Perhaps pulsed; never to be pulsed again.
    Firing(Box<OrderInHand>),
}

/// When an incarnation began for this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Begin {
    /// Nobody knows: adopted before first beacons were recorded.
    #[default]
    Unrecorded,
    /// Adopted; its first beacon has not come yet.
    Awaited,
    /// The time of its first beacon, consensus milliseconds.
    At(u64),
    /// It had another journal before, which is lost.
    Lost,
}

/// The machine's present incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Its number.
    pub incarnation: u32,
    /// The last sequence that is settled.
    pub sequence: u64,
    /// Digest of the last receipt.
    pub receipt_hash: [u8; 32],
    /// When it began; absent in older journals.
    #[serde(default)]
    pub begin: Begin,
}

/// An order that is settled, with the receipt as it was signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettledOrder {
    /// The order.
    pub held: OrderInHand,
    /// How it ended, by the name of [`Outcome`].
    pub outcome: String,
    /// Digest of the receipt's payload.
    pub receipt_hash: [u8; 32],
    /// The receipt.
    pub receipt: SignedAction,
    /// When `receipt` is void, consensus milliseconds.
    pub expires_at_ms: u64,
}

/// A change of a sensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Such as `door`.
    pub sensor: String,
    /// Its new value.
    pub value: i64,
    /// By the wall clock, milliseconds since the Unix epoch.
    pub observed_at_ms: u64,
}

/// A position in the order of the federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Height of the block.
    pub height: u64,
    /// Position in the block.
    pub sub_index: u32,
}

/// Blocks that were never read, because the nodes had forgotten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// The last one.
    pub to: Place,
    /// The present incarnation was adopted without them: orders of it may stand in
    /// them that were meant for a journal that is lost.
    pub blind: bool,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A new incarnation begins.
    Adopted {
        /// The incarnation.
        life: Life,
        /// The last report that the federation knows.
        reports_done: u64,
    },
    /// The first beacon after an adoption came.
    Begun {
        /// Its consensus time, milliseconds.
        time_ms: u64,
    },
    /// An order is older than the journal, so another journal is lost.
    Lost {
        /// Its sequence.
        sequence: u64,
    },
    /// An order is taken on.
    Armed(Box<OrderInHand>),
    /// The order's pulse may begin.
    Firing {
        /// Its sequence.
        sequence: u64,
    },
    /// The order ended.
    Settled(Box<SettledOrder>),
    /// The first receipt that waits was signed again, with a later expiry.
    Resigned {
        /// The receipt.
        receipt: SignedAction,
        /// When it is void, consensus milliseconds.
        expires_at_ms: u64,
    },
    /// The federation has applied a receipt, and so those before it.
    Applied {
        /// Digest of the receipt's payload.
        receipt_hash: [u8; 32],
    },
    /// A sensor changed.
    Sensed(Report),
    /// The federation knows all reports up to this one.
    Forwarded {
        /// The report's number.
        number: u64,
    },
    /// Everything up to here has been dealt with.
    Followed(Place),
    /// What was not read up to here is never read: the nodes have forgotten it.
    Skipped(Place),
    /// The federation has told how the machine is behind what was skipped.
    Rejoined {
        /// No order up to this one is carried out any more.
        sequence: u64,
        /// The last report that the federation knows.
        reports_done: u64,
    },
}

impl Record {
    /// Name of the kind, as crash points use it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Adopted { .. } => "adopted",
            Self::Begun { .. } => "begun",
            Self::Lost { .. } => "lost",
            Self::Armed(_) => "armed",
            Self::Firing { .. } => "firing",
            Self::Settled(_) => "settled",
            Self::Resigned { .. } => "resigned",
            Self::Applied { .. } => "applied",
            Self::Sensed(_) => "sensed",
            Self::Forwarded { .. } => "forwarded",
            Self::Followed(_) => "followed",
            Self::Skipped(_) => "skipped",
            Self::Rejoined { .. } => "rejoined",
        }
    }
}

/// Everything that the journal remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Durable {
    /// The incarnation; none before the first contact with the federation.
    pub life: Option<Life>,
    /// The order in hand.
    pub stage: Stage,
    /// The last settled order.
    pub last: Option<SettledOrder>,
    /// Settled orders whose receipts are not yet known to be applied.
    pub receipts: VecDeque<SettledOrder>,
    /// Number of the last report that the federation knows.
    pub reports_done: u64,
    /// Reports after it, in order.
    pub reports: VecDeque<Report>,
    /// Where to follow on after a start.
    pub followed: Place,
    /// Blocks were skipped, and how the machine is behind them is not known yet.
    #[serde(default)]
    pub skipped: Option<Skip>,
}

impl Durable {
    /// The state after one more record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Adopted { life, reports_done } => {
                self.life = Some(life.clone());
                self.stage = Stage::Idle;
                self.last = None;
                self.receipts.clear();
                self.reports_done = *reports_done;
                if let Some(skip) = &mut self.skipped {
                    skip.blind = true;
                }
            }
            Record::Begun { time_ms } => self.begin(Begin::At(*time_ms)),
            Record::Lost { .. } => self.begin(Begin::Lost),
            Record::Armed(held) => self.stage = Stage::Armed(held.clone()),
            Record::Firing { .. } => {
                if let Stage::Armed(held) = &self.stage {
                    self.stage = Stage::Firing(held.clone());
                }
            }
            Record::Settled(settled) => {
                self.stage = Stage::Idle;
                if let Some(life) = &mut self.life {
                    life.sequence = settled.held.order.sequence;
                    life.receipt_hash = settled.receipt_hash;
                }
                self.last = Some((**settled).clone());
                if self.receipts.len() >= RECEIPTS_MAX {
                    self.receipts.pop_front();
                }
                self.receipts.push_back((**settled).clone());
            }
            Record::Resigned {
                receipt,
                expires_at_ms,
            } => {
                if let Some(first) = self.receipts.front_mut() {
                    first.receipt = receipt.clone();
                    first.expires_at_ms = *expires_at_ms;
                }
            }
            Record::Applied { receipt_hash } => {
                let applied = |one: &SettledOrder| one.receipt_hash == *receipt_hash;
                if let Some(position) = self.receipts.iter().position(applied) {
                    self.receipts.drain(..=position);
                }
            }
            Record::Sensed(report) => self.reports.push_back(report.clone()),
            Record::Forwarded { number } => {
                while self.reports_done < *number && self.reports.pop_front().is_some() {
                    self.reports_done += 1;
                }
            }
            Record::Followed(place) => self.followed = *place,
            Record::Skipped(to) => {
                self.followed = *to;
                let blind = self.skipped.is_some_and(|skip| skip.blind);
                self.skipped = Some(Skip { to: *to, blind });
            }
            Record::Rejoined {
                sequence,
                reports_done,
            } => self.rejoin(*sequence, *reports_done),
        }
    }

    fn rejoin(&mut self, sequence: u64, reports_done: u64) {
        if let Some(life) = &mut self.life {
            life.sequence = life.sequence.max(sequence);
        }
        if self.skipped.take().is_some_and(|skip| skip.blind) {
            self.reports_done = reports_done;
        }
    }

    fn begin(&mut self, begin: Begin) {
        if let Some(life) = &mut self.life {
            life.begin = begin;
        }
    }
}

/// The outcome's name, for the journal and the log.
pub(super) fn outcome_name(outcome: Outcome) -> String {
    outcome
        .as_str_name()
        .trim_start_matches("OUTCOME_")
        .to_owned()
}
