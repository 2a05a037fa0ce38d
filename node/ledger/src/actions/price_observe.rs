//! `price.observe`: a node's present view of the price of a bitcoin.

use dctrl_proto::v1::{PriceObserve, PriceVote, PriceVotes, Refusal};

use crate::caller::Caller;
use crate::refuse::{ensure, exhausted, invalid};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, rates, tables};

/// Currencies that one node may report.
const CURRENCIES_PER_NODE_MAX: usize = 32;

impl Action for PriceObserve {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        ids::currency("currency", &self.currency)?;
        ensure(self.minor_per_bitcoin > 0, || {
            let message = "A bitcoin costs more than nothing.";
            invalid("price.positive", "minor_per_bitcoin", message)
        })?;
        ensure(self.sources > 0, || {
            invalid("price.sources", "sources", "No source stands behind it.")
        })
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
        let node = caller.node();
        let own = |votes: &PriceVotes| votes.votes.iter().any(|vote| vote.node == node);
        let known = tables::read(view.state, &keys::price_votes(&self.currency));
        if known.as_ref().is_some_and(own) {
            return Ok(());
        }
        let reported = tables::rows(view.state, keys::PRICE_VOTES).filter(own);
        ensure(reported.count() < CURRENCIES_PER_NODE_MAX, || {
            exhausted("price.currencies", "Too many currencies.")
        })
    }

    fn execute(self, (): (), scope: &mut Scope<'_>, caller: &Caller) -> String {
        let key = keys::price_votes(&self.currency);
        let mut votes: PriceVotes = tables::read(scope, &key).unwrap_or_default();
        votes.votes.retain(|vote| vote.node != caller.node());
        votes.votes.push(PriceVote {
            node: caller.node(),
            minor_per_bitcoin: self.minor_per_bitcoin,
            at_ms: scope.time_ms(),
        });
        votes.votes.sort_by_key(|vote| vote.node);
        scope.put(key, &votes);
        rates::agree(scope, &self.currency);
        self.currency
    }
}
