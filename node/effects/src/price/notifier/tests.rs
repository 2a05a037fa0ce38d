use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dctrl_follow::DoorError;
use dctrl_proto::v1::{ActionBody, Rate, RateAgreed, Receipt, SignedAction};
use prost::Message;

use super::*;

const MINUTE_MS: u64 = 60_000;

/// A door that applies everything and keeps the prices.
#[derive(Default)]
struct Ledger(RefCell<Vec<(String, u64)>>);

impl Desk for Ledger {
    fn submit(&self, action: &SignedAction) -> Result<Option<Receipt>, DoorError> {
        let body = ActionBody::decode(action.body.as_slice()).unwrap();
        let price = PriceObserve::decode(body.payload.as_slice()).unwrap();
        let mut prices = self.0.borrow_mut();
        prices.push((price.currency, price.minor_per_bitcoin));
        Ok(Some(Receipt::default()))
    }

    fn receipt(&self, _: &[u8; 32]) -> Result<Option<Receipt>, DoorError> {
        Ok(None)
    }
}

fn config(fixed: &[&str]) -> PriceNotifierConfig {
    PriceNotifierConfig {
        fixed: fixed.iter().map(|rate| rate.parse().unwrap()).collect(),
        sources: Vec::new(),
        poll_every: Duration::from_secs(30),
        limits: Limits {
            age_ms_max: MINUTE_MS,
            spread_bps_max: 200,
        },
        agreed_age_ms_max: 10 * MINUTE_MS,
    }
}

struct Scene {
    now_ms: Arc<AtomicU64>,
    speaker: Speaker,
    ledger: Ledger,
}

impl Scene {
    fn new(fixed: &[&str]) -> Self {
        let now_ms = Arc::new(AtomicU64::new(0));
        let clock = now_ms.clone();
        let common = crate::common::tests::common(Arc::new(move || clock.load(Ordering::SeqCst)));
        Self {
            now_ms,
            speaker: Speaker::new(common, config(fixed), Health::default(), Said::new()),
            ledger: Ledger::default(),
        }
    }

    /// How many prices were said by then, looking once a second.
    fn said_until(&mut self, until_ms: u64) -> usize {
        while self.now_ms.load(Ordering::SeqCst) < until_ms {
            self.now_ms.fetch_add(1_000, Ordering::SeqCst);
            self.speaker.turn(&self.ledger);
        }
        self.ledger.0.borrow().len()
    }

    fn agree(&mut self, minor_per_bitcoin: u64) {
        let rate = Rate {
            currency: "EUR".to_owned(),
            minor_per_bitcoin,
            height: 1,
            agreed_at_ms: self.now_ms.load(Ordering::SeqCst),
        };
        let event = Event::Rate(RateAgreed { rate: Some(rate) });
        self.speaker.agreed(Some(&event));
    }
}

#[test]
fn a_fixed_rate_is_said_at_once_and_then_only_at_half_of_the_age() {
    let mut scene = Scene::new(&["EUR=6000000"]);
    assert_eq!(scene.said_until(1_000), 1);
    scene.agree(6_000_000);
    assert_eq!(scene.said_until(5 * MINUTE_MS), 1, "quiet");
    assert_eq!(scene.said_until(5 * MINUTE_MS + 2_000), 2);
    scene.agree(6_000_000);
    assert_eq!(scene.said_until(10 * MINUTE_MS), 2);
    assert_eq!(scene.ledger.0.borrow()[1], ("EUR".to_owned(), 6_000_000));
}

#[test]
fn a_price_that_moves_more_than_a_thousandth_is_said_and_a_smaller_move_is_not() {
    let mut scene = Scene::new(&[]);
    scene
        .speaker
        .prices
        .insert("EUR".to_owned(), (6_000_000, 3));
    assert_eq!(scene.said_until(1_000), 1);
    scene.agree(6_000_000);
    scene
        .speaker
        .prices
        .insert("EUR".to_owned(), (6_006_000, 3));
    assert_eq!(scene.said_until(2_000), 1);
    scene
        .speaker
        .prices
        .insert("EUR".to_owned(), (6_006_001, 3));
    assert_eq!(scene.said_until(3_000), 2);
}

#[test]
fn a_price_that_the_others_do_not_agree_on_is_not_repeated_every_second() {
    let mut scene = Scene::new(&["EUR=6000000"]);
    assert!(scene.said_until(10 * MINUTE_MS) <= 5);
}

/// An answer that does not say of when it is.
fn quote(minor_per_bitcoin: u64) -> Result<Quote, SourceError> {
    Ok(Quote {
        minor_per_bitcoin,
        at_ms: None,
    })
}

#[test]
fn a_rate_limited_source_is_left_alone_and_named() {
    let (mut prices, health) = (Prices::default(), Health::default());
    let source = Source {
        name: "kraken".to_owned(),
        url: String::new(),
        pointer: String::new(),
        expects: Vec::new(),
        time: None,
        currency: "EUR".to_owned(),
        decimals: 2,
    };
    let limited = Err(SourceError::RateLimited {
        retry_after_s: Some(90),
    });
    let limits = config(&[]).limits;
    prices.take(&source, limited, 0, limits, &health);
    assert!(prices.paused("kraken", 89_999) && !prices.paused("kraken", 90_000));
    assert!(health.troubles()[0].starts_with("kraken: rate limited"));
    assert_eq!(
        prices.verdicts(0, limits, &health),
        [("EUR".to_owned(), None)]
    );
    prices.take(&source, quote(6_000_000), 90_000, limits, &health);
    let verdicts = prices.verdicts(90_000, limits, &health);
    assert_eq!(verdicts, [("EUR".to_owned(), Some((6_000_000, 1)))]);
    assert!(health.is_ok());
}

#[test]
fn a_currency_is_either_fixed_or_asked_for() {
    let mut config = config(&["EUR=6000000"]);
    config.sources.push(Source {
        name: "a".to_owned(),
        url: String::new(),
        pointer: String::new(),
        expects: Vec::new(),
        time: None,
        currency: "EUR".to_owned(),
        decimals: 2,
    });
    let common = crate::common::tests::common(Arc::new(|| 0));
    assert!(matches!(
        start(common, config),
        Err(StartError::Config {
            field: "price.fixed",
            ..
        })
    ));
}

#[test]
fn bad_sources_are_named_and_the_good_ones_make_the_price() {
    let (mut prices, health) = (Prices::default(), Health::default());
    let limits = config(&[]).limits;
    let source = |name: &str| Source {
        name: name.to_owned(),
        url: String::new(),
        pointer: String::new(),
        expects: Vec::new(),
        time: None,
        currency: "EUR".to_owned(),
        decimals: 2,
    };
    for (name, price) in [("a", 6_000_000), ("b", 6_010_000), ("jumps", 6_005_000)] {
        prices.take(&source(name), quote(price), 0, limits, &health);
    }
    let silent = || Err(SourceError::Unreachable("timeout".to_owned()));
    for answer in [quote(60_050_000), Err(SourceError::Status(503)), silent()] {
        prices.take(&source("jumps"), answer, 1_000, limits, &health);
        assert!(health.troubles()[0].starts_with("jumps: "), "it is named");
    }
    let verdicts = prices.verdicts(1_000, limits, &health);
    let eur = |price| vec![("EUR".to_owned(), price)];
    assert_eq!(
        verdicts,
        eur(Some((6_005_000, 3))),
        "the last good one counts"
    );
    for name in ["a", "b"] {
        prices.take(
            &source(name),
            quote(6_008_000),
            MINUTE_MS + 500,
            limits,
            &health,
        );
    }
    let later = MINUTE_MS + 1_000;
    let verdicts = prices.verdicts(later, limits, &health);
    assert_eq!(verdicts, eur(Some((6_008_000, 2))), "without the stale one");
    let verdicts = prices.verdicts(3 * MINUTE_MS, limits, &health);
    assert_eq!(verdicts, eur(None), "all are stale");
    assert!(
        health
            .troubles()
            .iter()
            .any(|trouble| trouble.contains("there is no price for EUR"))
    );
}

#[test]
fn a_source_whose_quote_is_old_or_of_the_future_is_named_with_its_age() {
    let (mut prices, health) = (Prices::default(), Health::default());
    let limits = config(&[]).limits;
    let source = Source {
        name: "bitstamp".to_owned(),
        url: String::new(),
        pointer: String::new(),
        expects: Vec::new(),
        time: None,
        currency: "EUR".to_owned(),
        decimals: 2,
    };
    let mut told = |at_ms, now_ms| {
        let quote = Quote {
            minor_per_bitcoin: 6_000_000,
            at_ms: Some(at_ms),
        };
        prices.take(&source, Ok(quote), now_ms, limits, &health);
        health.troubles()
    };
    let now_ms = 10 * MINUTE_MS;
    assert_eq!(
        told(now_ms - MINUTE_MS - 1, now_ms),
        ["bitstamp: by its own time the quote is 60001 ms old"]
    );
    assert_eq!(
        told(now_ms + MINUTE_MS, now_ms),
        ["bitstamp: by its own time the quote is 60000 ms in the future"]
    );
    assert_eq!(told(now_ms - MINUTE_MS, now_ms), [""; 0]);
}
