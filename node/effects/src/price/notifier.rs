//! PriceNotifier: polls the sources and says this node's price.

use std::{collections::BTreeMap, time::Duration};

use dctrl_follow::Door;
use dctrl_proto::v1::{PriceObserve, bus_body::Event};

use super::{
    agree::{Answers, Limits, Quote, within},
    fixed::{FixedRate, is_currency},
    source::{self, Source, SourceError},
};
use crate::{
    Common, Health, Running, StartError,
    common::Stop,
    frames::{Feed, Lost},
    outbox::{Desk, Ended, Outbox},
};

/// Most sources and currencies; each costs a call at every poll.
const SOURCES_MAX: usize = 64;
/// How often prices are looked through: what was said may have become old.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A smaller move than this is not news, basis points.
const MOVE_BPS: u32 = 10;
/// Turns without a door after which it is said.
const DOOR_FAILURES: u32 = 3;

/// How the notifier works.
#[derive(Clone, Debug)]
pub struct PriceNotifierConfig {
    /// Rates that never change.
    pub fixed: Vec<FixedRate>,
    /// Sources that are polled.
    pub sources: Vec<Source>,
    /// How often they are polled.
    pub poll_every: Duration,
    /// What is believed of them.
    pub limits: Limits,
    /// The policy's `price_age_ms_max`: an agreed price is void after it.
    pub agreed_age_ms_max: u64,
}

/// Starts the notifier.
///
/// # Errors
/// The configuration contradicts itself, or the bus cannot be followed.
pub fn start(common: Common, config: PriceNotifierConfig) -> Result<Running, StartError> {
    check(&config)?;
    let door = common.door();
    let health = Health::default();
    let mut running = Running::new("price-notifier", health.clone());
    let stop = running.stop_flag();
    let feed = common.feed(&["price."], &health, &stop)?;
    let (prices, said) = (Prices::default(), Said::default());
    if config.sources.is_empty() {
        let speaker = Speaker::new(common, config, health, said);
        running.spawn(move || speaker.run(feed, &door, &stop, None))?;
        return Ok(running);
    }
    let speaker = Speaker::new(common.clone(), config.clone(), health.clone(), said);
    let (prices_in, prices_out) = std::sync::mpsc::sync_channel(SOURCES_MAX);
    let waker = feed.waker();
    let out = move |price| {
        let taken = prices_in.send(price).is_ok();
        waker.wake();
        taken
    };
    running.spawn({
        let stop = stop.clone();
        move || poll(&common, &config, prices, &health, out, &stop)
    })?;
    running.spawn(move || speaker.run(feed, &door, &stop, Some(&prices_out)))?;
    Ok(running)
}

fn check(config: &PriceNotifierConfig) -> Result<(), StartError> {
    let wrong = |field, problem: String| Err(StartError::Config { field, problem });
    if config.sources.len() + config.fixed.len() > SOURCES_MAX {
        return wrong("price.source", format!("more than {SOURCES_MAX}"));
    }
    let mut names = std::collections::BTreeSet::new();
    for source in &config.sources {
        if !is_currency(&source.currency) {
            return wrong("price.source.currency", source.currency.clone());
        }
        if !names.insert(&source.name) {
            return wrong(
                "price.source.name",
                format!("{} is there twice", source.name),
            );
        }
        if config
            .fixed
            .iter()
            .any(|fixed| fixed.currency == source.currency)
        {
            let problem = format!("{} is both fixed and asked for", source.currency);
            return wrong("price.fixed", problem);
        }
    }
    Ok(())
}

/// A price and how many sources stand behind it, by currency.
type Price = (String, Option<(u64, u32)>);

/// Polls all sources, each currency's verdict after each round.
fn poll(
    common: &Common,
    config: &PriceNotifierConfig,
    mut prices: Prices,
    health: &Health,
    out: impl Fn(Price) -> bool,
    stop: &Stop,
) {
    let agent = source::agent();
    loop {
        for source in &config.sources {
            if stop.is_set() {
                return;
            }
            let now_ms = (common.clock)();
            if prices.paused(&source.name, now_ms) {
                continue;
            }
            let answer = source::fetch(&agent, source);
            prices.take(source, answer, now_ms, config.limits, health);
        }
        for verdict in prices.verdicts((common.clock)(), config.limits, health) {
            if !out(verdict) {
                return;
            }
        }
        if stop.wait(config.poll_every) {
            return;
        }
    }
}

/// What the sources of all currencies have answered.
#[derive(Default)]
struct Prices {
    currencies: BTreeMap<String, Answers>,
    /// Sources that asked to be left alone, until when.
    paused_until_ms: BTreeMap<String, u64>,
}

impl Prices {
    fn paused(&self, source: &str, now_ms: u64) -> bool {
        let until_ms = self.paused_until_ms.get(source);
        until_ms.is_some_and(|until_ms| now_ms < *until_ms)
    }

    fn take(
        &mut self,
        source: &Source,
        answer: Result<Quote, SourceError>,
        now_ms: u64,
        limits: Limits,
        health: &Health,
    ) {
        let cause = format!("source {}", source.name);
        let answers = self.currencies.entry(source.currency.clone()).or_default();
        let problem = match answer {
            Ok(quote) => match answers.add(&source.name, quote, now_ms, limits) {
                Ok(()) => None,
                Err(excluded) => Some(excluded.to_string()),
            },
            Err(error) => {
                if let SourceError::RateLimited { retry_after_s } = error {
                    // An hour at most, whatever the source says.
                    let pause_ms = retry_after_s.unwrap_or(60).min(3_600) * 1_000;
                    self.paused_until_ms
                        .insert(source.name.clone(), now_ms + pause_ms);
                }
                Some(error.to_string())
            }
        };
        match problem {
            Some(problem) => health.raise(&cause, format!("{}: {problem}", source.name)),
            None => health.clear(&cause),
        }
    }

    fn verdicts(&self, now_ms: u64, limits: Limits, health: &Health) -> Vec<Price> {
        let mut prices = Vec::new();
        for (currency, answers) in &self.currencies {
            let verdict = answers.verdict(now_ms, limits);
            for (source, reason) in &verdict.excluded {
                let sentence = format!("{source} is excluded from {currency}: {reason}");
                health.raise(&format!("source {source}"), sentence);
            }
            let cause = format!("price {currency}");
            match verdict.price {
                Some(_) => health.clear(&cause),
                None => health.raise(&cause, format!("there is no price for {currency}")),
            }
            prices.push((currency.clone(), verdict.price));
        }
        prices
    }
}

/// What was said and agreed of one currency.
#[derive(Clone, Copy, Debug, Default)]
struct Spoken {
    own: Option<(u64, u64)>,
    agreed: Option<(u64, u64)>,
}

impl Spoken {
    /// Whether `price` is worth saying at `now_ms`.
    fn is_news(&self, price: u64, now_ms: u64, agreed_age_ms_max: u64) -> bool {
        let half_ms = agreed_age_ms_max / 2;
        let Some((own, said_ms)) = self.own else {
            return true;
        };
        if !within(price, own, MOVE_BPS) {
            return true;
        }
        let own_ms = now_ms.saturating_sub(said_ms);
        // Agreed in time by the others, but our own vote would soon be void;
        // or not agreed in time, and our vote is not of just now either.
        let agreed_in_time = self
            .agreed
            .is_some_and(|(_, agreed_ms)| now_ms.saturating_sub(agreed_ms) < half_ms);
        own_ms >= half_ms || (!agreed_in_time && own_ms >= half_ms / 2)
    }
}

type Said = BTreeMap<String, Spoken>;

/// Says prices; owns the bus and the door.
struct Speaker {
    common: Common,
    config: PriceNotifierConfig,
    health: Health,
    said: Said,
    prices: BTreeMap<String, (u64, u32)>,
    outbox: Outbox<String>,
}

impl Speaker {
    fn new(common: Common, config: PriceNotifierConfig, health: Health, said: Said) -> Self {
        let fixed = config.fixed.iter();
        let prices = fixed
            .map(|rate| (rate.currency.clone(), (rate.minor_per_bitcoin, 1)))
            .collect();
        Self {
            common,
            config,
            health,
            said,
            prices,
            outbox: Outbox::default(),
        }
    }

    fn run(
        mut self,
        mut feed: Feed,
        door: &Door,
        stop: &Stop,
        prices: Option<&std::sync::mpsc::Receiver<Price>>,
    ) {
        while !stop.is_set() {
            match feed.next(self.rest()) {
                Ok(Some(told)) => {
                    self.agreed(told.body().event.as_ref());
                    continue;
                }
                Ok(None) => {}
                Err(Lost) => return,
            }
            for (currency, price) in prices.into_iter().flat_map(|it| it.try_iter()) {
                match price {
                    Some(price) => self.prices.insert(currency, price),
                    None => self.prices.remove(&currency),
                };
            }
            if feed.is_caught_up() {
                self.turn(door);
            }
        }
    }

    /// How long nothing needs to be said unless something happens.
    fn rest(&self) -> Duration {
        let now_ms = (self.common.clock)();
        let due_ms = self.outbox.due_ms();
        due_ms.map_or(LOOK_EVERY, |due_ms| {
            LOOK_EVERY.min(Duration::from_millis(due_ms.saturating_sub(now_ms)))
        })
    }

    fn agreed(&mut self, event: Option<&Event>) {
        if let Some(Event::Rate(agreed)) = event
            && let Some(rate) = &agreed.rate
        {
            let spoken = self.said.entry(rate.currency.clone()).or_default();
            spoken.agreed = Some((rate.minor_per_bitcoin, rate.agreed_at_ms));
        }
    }

    /// Says what is news and hands it in.
    fn turn(&mut self, desk: &dyn Desk) {
        let now_ms = (self.common.clock)();
        for (currency, (price, sources)) in &self.prices {
            let spoken = self.said.entry(currency.clone()).or_default();
            if !spoken.is_news(*price, now_ms, self.config.agreed_age_ms_max) {
                continue;
            }
            let observation = PriceObserve {
                currency: currency.clone(),
                minor_per_bitcoin: *price,
                sources: *sources,
            };
            if self
                .outbox
                .put(&self.common, currency.clone(), &observation)
            {
                spoken.own = Some((*price, now_ms));
            }
        }
        for (currency, ended) in self.outbox.work(now_ms, desk) {
            match ended {
                Ended::Applied => {}
                Ended::Refused(refusal) => {
                    tracing::warn!(currency, %refusal, "a price was refused");
                }
                Ended::Expired => self.said.entry(currency).or_default().own = None,
            }
        }
        if self.outbox.failures() >= DOOR_FAILURES {
            self.health.raise("door", "no node takes prices");
        } else {
            self.health.clear("door");
        }
    }
}

#[cfg(test)]
mod tests;
