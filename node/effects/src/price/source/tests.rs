use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use super::*;
use crate::price::{Shape, TimeUnit};

/// One price from a server that gives one answer.
fn price(answer: String, pointer: &str) -> Result<u64, SourceError> {
    let quote = quote(answer, pointer, None)?;
    assert_eq!(quote.at_ms, None);
    Ok(quote.minor_per_bitcoin)
}

/// One quote from a server that gives one answer.
fn quote(answer: String, pointer: &str, time: Option<TimeAt>) -> Result<Quote, SourceError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ticker", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = BufReader::new(stream.try_clone().unwrap());
        let end = request
            .lines()
            .find(|line| line.as_ref().unwrap().is_empty());
        assert!(end.is_some());
        // A client that has read enough may hang up.
        let _ = stream.write_all(answer.as_bytes());
    });
    let source = Source {
        name: "test".to_owned(),
        url,
        pointer: pointer.to_owned(),
        expects: Vec::new(),
        time,
        currency: "EUR".to_owned(),
        decimals: 2,
    };
    let quote = fetch(&agent(), &source);
    server.join().unwrap();
    quote
}

fn ok(body: &str) -> String {
    http("200 OK", "", body)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn three_shapes_of_public_exchanges_are_read() {
    let kraken = r#"{"error":[],"result":{"XXBTZEUR":{"a":["62350.10000","1","1.000"],"b":["62350.00000","5","5.000"],"c":["62345.10000","0.00012"],"v":["1","2"]}}}"#;
    assert_eq!(price(ok(kraken), "/result/XXBTZEUR/c/0"), Ok(6_234_510));
    let coinbase = r#"{"data":{"amount":"62345.105","base":"BTC","currency":"EUR"}}"#;
    assert_eq!(price(ok(coinbase), "/data/amount"), Ok(6_234_510));
    let bitstamp = r#"{"timestamp":"1700000000","open":62000,"last":62345.1,"vwap":"62100"}"#;
    assert_eq!(price(ok(bitstamp), "/last"), Ok(6_234_510));
}

#[test]
fn what_is_no_price_is_refused_with_its_reason() {
    let last = |value: &str| price(ok(&format!("{{\"last\": {value}}}")), "/last");
    assert!(matches!(
        last("0"),
        Err(SourceError::Decimal(DecimalError::NotPositive(_)))
    ));
    assert!(matches!(
        last("-1"),
        Err(SourceError::Decimal(DecimalError::NotPositive(_)))
    ));
    assert!(matches!(
        last("\"NaN\""),
        Err(SourceError::Decimal(DecimalError::NotANumber(_)))
    ));
    assert!(matches!(last("NaN"), Err(SourceError::NotJson(_))));
    assert!(matches!(last("null"), Err(SourceError::NoNumber(_))));
    let html = ok("<html><body>Just a moment…</body></html>");
    assert!(matches!(price(html, "/last"), Err(SourceError::NotJson(_))));
    let wrong_pair = ok(r#"{"error":["EQuery:Unknown asset pair"]}"#);
    assert!(matches!(
        price(wrong_pair, "/result/X/c/0"),
        Err(SourceError::NoNumber(_))
    ));
}

#[test]
fn what_is_no_good_answer_is_refused_with_its_reason() {
    let limited = http("429 Too Many Requests", "Retry-After: 60\r\n", "slow down");
    assert_eq!(
        price(limited, "/last"),
        Err(SourceError::RateLimited {
            retry_after_s: Some(60)
        })
    );
    let broken = http("503 Service Unavailable", "", "{\"last\": 62345}");
    assert_eq!(price(broken, "/last"), Err(SourceError::Status(503)));
    let long = ok(&format!("{{\"last\": {}}}", " ".repeat(300 * 1024)));
    assert_eq!(price(long, "/last"), Err(SourceError::TooLong));
    assert!(matches!(
        price("garbage\r\n\r\n".to_owned(), "/"),
        Err(SourceError::Unreachable(_))
    ));
}

/// A server that answers every call the same way until it is dropped.
fn serving(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ticker", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let request = BufReader::new(stream.try_clone().unwrap());
            let mut lines = request.lines();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn at(pointer: &str, unit: TimeUnit) -> TimeAt {
    TimeAt {
        pointer: pointer.to_owned(),
        unit,
    }
}

fn shaped(shape: Shape, url: String) -> Source {
    Source {
        name: "test".to_owned(),
        url,
        pointer: shape.pointer("EUR", "/price"),
        expects: shape.expects("EUR"),
        time: shape.time(at("", TimeUnit::Seconds)).unwrap(),
        currency: "EUR".to_owned(),
        decimals: 2,
    }
}

#[test]
fn the_price_of_another_pair_is_not_taken_for_this_one() {
    let dollars = r#"{"data":{"amount":"67345.10","base":"BTC","currency":"USD"}}"#;
    let ether = r#"{"data":{"amount":"2345.10","base":"ETH","currency":"EUR"}}"#;
    for (answer, found) in [(dollars, "USD"), (ether, "ETH")] {
        let source = shaped(Shape::Coinbase, serving(ok(answer)));
        let error = fetch(&agent(), &source).unwrap_err();
        assert!(
            matches!(&error, SourceError::WrongPair { found: text, .. } if text == found),
            "{error}"
        );
    }
    let dollars = r#"{"error":[],"result":{"XXBTZUSD":{"c":["67345.1","1"]}}}"#;
    let source = shaped(Shape::Kraken, serving(ok(dollars)));
    assert!(matches!(
        fetch(&agent(), &source),
        Err(SourceError::NoNumber(_))
    ));
    let euros = r#"{"data":{"amount":"62345.10","base":"BTC","currency":"EUR"}}"#;
    let source = shaped(Shape::Coinbase, serving(ok(euros)));
    let quote = Quote {
        minor_per_bitcoin: 6_234_510,
        at_ms: None,
    };
    assert_eq!(fetch(&agent(), &source), Ok(quote));
}

#[test]
fn bitstamps_answer_says_of_when_its_price_is() {
    let answer = r#"{"timestamp":"1700000000","open":62000,"last":"62345.1","vwap":"62100"}"#;
    let source = shaped(Shape::Bitstamp, serving(ok(answer)));
    let quote = Quote {
        minor_per_bitcoin: 6_234_510,
        at_ms: Some(1_700_000_000_000),
    };
    assert_eq!(fetch(&agent(), &source), Ok(quote));
    let undated = r#"{"open":62000,"last":"62345.1"}"#;
    let source = shaped(Shape::Bitstamp, serving(ok(undated)));
    let missing = SourceError::NoTime("/timestamp".to_owned());
    assert_eq!(fetch(&agent(), &source), Err(missing));
}

#[test]
fn a_time_is_read_in_its_unit_and_what_is_none_is_refused() {
    let dated = |time: &str, unit: TimeUnit| {
        let body = format!(r#"{{"last": 62345.1, "at": {time}}}"#);
        quote(ok(&body), "/last", Some(at("/at", unit))).map(|quote| quote.at_ms)
    };
    let second = Ok(Some(1_700_000_000_000));
    assert_eq!(dated("1700000000", TimeUnit::Seconds), second);
    assert_eq!(dated("\"1700000000\"", TimeUnit::Seconds), second);
    assert_eq!(dated("1700000000000", TimeUnit::Milliseconds), second);
    let exact = Ok(Some(1_700_000_000_123));
    assert_eq!(dated("1700000000.123456", TimeUnit::Seconds), exact);
    for none in ["-1", "\"2023-11-14\"", "\"NaN\"", "0"] {
        let refused = dated(none, TimeUnit::Seconds);
        assert!(matches!(refused, Err(SourceError::Time(_))), "{none}");
    }
    let null = dated("null", TimeUnit::Seconds);
    assert_eq!(null, Err(SourceError::NoTime("/at".to_owned())));
}

#[test]
fn a_source_that_never_answers_is_given_up() {
    // The kernel takes the connection; nobody ever reads it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ticker", listener.local_addr().unwrap());
    let source = shaped(Shape::Bitstamp, url);
    let impatient = agent_with(Duration::from_millis(200));
    assert!(matches!(
        fetch(&impatient, &source),
        Err(SourceError::Unreachable(_))
    ));
}
