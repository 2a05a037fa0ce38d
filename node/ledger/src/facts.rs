//! How things are now, as the events that tell of them.
//!
//! A change is told once, in the block that makes it. Who begins to follow, or
//! was away for longer than blocks are kept, needs no history: [`page`] renders
//! the present state as the very events that its last changes were told with.
//! Both the telling and the pages are made by the functions here, so that they
//! cannot drift apart; a test folds both and compares.
//!
//! Every vend and top-up is among the facts, also those that have ended: what is
//! paid to their addresses counts for ever. Payments are from the moment that the
//! federation believes in them.
//!
//! Deliberately absent: what happens and does not last (orders, beacons,
//! reports, evidence, the ends of blocks), and proofs: whoever trusts no single
//! node follows the certified frames instead.

mod told;

use dctrl_proto::topic::matches_any;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{
    BusBody, ChainTip, Machine, Member, NodeProposal, NodeRoster, Payment, PaymentState, Payout,
    Product, ProposalState, Rate, Refund, Refusal, Slot, TopUp, Vend,
};
use prost::Message;

use crate::refuse::invalid;
use crate::{StateRead, keys, tables, tabs};

pub(crate) use told::{
    Fact, machine, member, payment, payout, product, proposal, rate, refund, roster, slot, tab,
    tip, top_up, vend,
};

/// Most events of a page.
pub const PAGE_EVENTS_MAX: usize = 1000;
/// Bytes of a page, but for one with a single event: a message may have 1 MiB, and
/// a payout with many transactions of many coins half of that.
const PAGE_BYTES_MAX: usize = 512 * 1024;
/// Rows that are looked at for one page, wanted or not.
const PAGE_ROWS_MAX: usize = 10_000;
/// Rows read together.
const STEP_ROWS: usize = 128;

/// One page of facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Height of the state that was read.
    pub height: u64,
    /// Without a position in a block; their height and time are the state's.
    pub events: Vec<BusBody>,
    /// Where the next page begins; empty after the last.
    pub next: Vec<u8>,
}

/// A table of things that are told of.
struct Source {
    /// Their topic; one that ends in `.` is followed by whose they are.
    topic: &'static str,
    table: &'static [u8],
    /// What is told of a row, if anything.
    fact: fn(&dyn StateRead, &[u8], &[u8]) -> Option<Fact>,
}

/// Everything that is told of and lasts. A cursor begins with a place in here.
const SOURCES: [Source; 14] = [
    source("chain", keys::TIP, |_, key, value| {
        let agreed: ChainTip = tables::decode(key, value);
        (!agreed.hash.is_empty()).then(|| tip(agreed))
    }),
    source("price.", keys::RATES, |_, key, value| {
        Some(rate(tables::decode::<Rate>(key, value)))
    }),
    source("roster", keys::ROSTERS, |state, key, value| {
        let one: NodeRoster = tables::decode(key, value);
        (one.number == tables::meta(state).roster_number).then(|| roster(one))
    }),
    source("proposal", keys::NODE_PROPOSALS, |_, key, value| {
        let open: NodeProposal = tables::decode(key, value);
        Some(proposal(open, ProposalState::Open, ""))
    }),
    source("member", keys::MEMBERS, |_, key, value| {
        Some(member(tables::decode::<Member>(key, value)))
    }),
    source("tab", keys::MEMBERS, |state, key, value| {
        let holder: Member = tables::decode(key, value);
        Some(tab(tabs::view(state, &holder.id)))
    }),
    source("product", keys::PRODUCTS, |_, key, value| {
        Some(product(tables::decode::<Product>(key, value)))
    }),
    source("machine.", keys::MACHINES, |_, key, value| {
        Some(machine(tables::decode::<Machine>(key, value)))
    }),
    source("slot.", keys::SLOTS, |_, key, value| {
        Some(slot(tables::decode::<Slot>(key, value)))
    }),
    source("vend.", keys::VENDS, |_, key, value| {
        Some(vend(tables::decode::<Vend>(key, value)))
    }),
    source("topup", keys::TOP_UPS, |_, key, value| {
        Some(top_up(tables::decode::<TopUp>(key, value)))
    }),
    source("payment", keys::PAYMENTS, |_, key, value| {
        let seen: Payment = tables::decode(key, value);
        (seen.state() != PaymentState::Reported).then(|| payment(seen))
    }),
    source("payout", keys::PAYOUTS, |_, key, value| {
        Some(payout(tables::decode::<Payout>(key, value)))
    }),
    source("refund", keys::REFUNDS, |_, key, value| {
        Some(refund(tables::decode::<Refund>(key, value)))
    }),
];

const fn source(
    topic: &'static str,
    table: &'static [u8],
    fact: fn(&dyn StateRead, &[u8], &[u8]) -> Option<Fact>,
) -> Source {
    Source { topic, table, fact }
}

impl Source {
    /// Whether something in the table may have one of these topics.
    fn is_wanted(&self, topics: &[String]) -> bool {
        let family = |one: &String| self.topic.ends_with('.') && one.starts_with(self.topic);
        matches_any(topics, self.topic) || topics.iter().any(family)
    }
}

/// The facts of these topics (see [`dctrl_proto::topic`]; none means all), at
/// most `events_max` and [`PAGE_EVENTS_MAX`], from behind the page that ended
/// with `cursor`. A page may be empty and have a next one.
///
/// # Errors
/// INVALID for a cursor that is none.
pub fn page(
    state: &dyn StateRead,
    topics: &[String],
    cursor: &[u8],
    events_max: usize,
) -> Result<Page, Refusal> {
    let (mut place, mut after) = parse(cursor)?;
    let mut page = Growing::new(state, topics, events_max);
    let mut reached = cursor.to_vec();
    while let Some(source) = SOURCES.get(place) {
        while source.is_wanted(topics) {
            let rows = state.scan(source.table, after.as_deref(), STEP_ROWS);
            for (key, value) in &rows {
                if !page.takes((source.fact)(state, key, value)) {
                    return Ok(page.ends(reached));
                }
                reached = next(place, key);
                if page.is_full() {
                    return Ok(page.ends(reached));
                }
            }
            if rows.len() < STEP_ROWS {
                break;
            }
            after = rows.into_iter().last().map(|(key, _)| key);
        }
        (place, after) = (place + 1, None);
    }
    Ok(page.ends(Vec::new()))
}

struct Growing<'q> {
    topics: &'q [String],
    events_max: usize,
    bytes: usize,
    rows: usize,
    /// What all events have in common.
    form: BusBody,
    events: Vec<BusBody>,
}

impl<'q> Growing<'q> {
    fn new(state: &dyn StateRead, topics: &'q [String], events_max: usize) -> Self {
        let meta = tables::meta(state);
        Self {
            topics,
            events_max: match events_max {
                0 => PAGE_EVENTS_MAX,
                asked => asked.min(PAGE_EVENTS_MAX),
            },
            bytes: 0,
            rows: 0,
            form: BusBody {
                cluster: meta.cluster,
                height: meta.height,
                time_ms: meta.time_ms,
                ..BusBody::default()
            },
            events: Vec::new(),
        }
    }

    /// Takes a fact, where it is wanted; false where it belongs on the next page.
    fn takes(&mut self, fact: Option<Fact>) -> bool {
        self.rows += 1;
        let Some(fact) = fact.filter(|fact| matches_any(self.topics, &fact.topic)) else {
            return true;
        };
        let body = BusBody {
            topic: fact.topic,
            event: Some(fact.event),
            ..self.form.clone()
        };
        let bytes = self.bytes + body.encoded_len();
        if bytes > PAGE_BYTES_MAX && !self.events.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.events.push(body);
        true
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.events_max
            || self.bytes >= PAGE_BYTES_MAX
            || self.rows >= PAGE_ROWS_MAX
    }

    fn ends(self, next: Vec<u8>) -> Page {
        Page {
            height: self.form.height,
            events: self.events,
            next,
        }
    }
}

/// The cursor behind the row of a source.
fn next(place: usize, key: &[u8]) -> Vec<u8> {
    let place = u8::try_from(place).expect("there are few sources");
    [&[place], key].concat()
}

fn parse(cursor: &[u8]) -> Result<(usize, Option<Vec<u8>>), Refusal> {
    let Some((place, key)) = cursor.split_first() else {
        return Ok((0, None));
    };
    let place = usize::from(*place);
    match SOURCES.get(place) {
        Some(source) if key.starts_with(source.table) => Ok((place, Some(key.to_vec()))),
        _ => {
            let message = "The cursor is not from these facts.";
            Err(invalid("facts.cursor", "cursor", message))
        }
    }
}

/// Whether things of this kind last, so that facts tell of them: what only
/// happens is told once, in its frame.
#[must_use]
pub fn lasts(event: &Event) -> bool {
    match event {
        Event::Vend(_)
        | Event::Payment(_)
        | Event::Rate(_)
        | Event::Tip(_)
        | Event::Machine(_)
        | Event::Member(_)
        | Event::Product(_)
        | Event::Slot(_)
        | Event::Roster(_)
        | Event::Proposal(_)
        | Event::Payout(_)
        | Event::Tab(_)
        | Event::TopUp(_)
        | Event::Refund(_) => true,
        Event::Order(_)
        | Event::Beacon(_)
        | Event::Report(_)
        | Event::Block(_)
        | Event::Evidence(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Growing<'static> {
        Growing {
            topics: &[],
            events_max: PAGE_EVENTS_MAX,
            bytes: 0,
            rows: 0,
            form: BusBody::default(),
            events: Vec::new(),
        }
    }

    #[test]
    fn a_page_ends_before_the_event_that_makes_it_too_long() {
        let long = |parts: usize| {
            let name = "x".repeat(PAGE_BYTES_MAX / 4 * parts);
            Some(member(Member {
                name,
                ..Member::default()
            }))
        };
        let mut page_of_two = page();
        assert!(page_of_two.takes(long(1)) && page_of_two.takes(long(2)));
        assert!(!page_of_two.takes(long(1)) && !page_of_two.takes(long(9)));
        assert_eq!(page_of_two.events.len(), 2);
        // One alone goes, however long it is.
        let mut page_of_one = page();
        assert!(page_of_one.takes(long(5)) && page_of_one.is_full());
        assert!(!page_of_one.takes(long(1)));
    }
}
