//! Against a server of a few lines that says what it is told to say.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
};

use super::*;

/// A server that answers the handshake and then each line with what `answer`
/// makes of its number.
fn server(answer: impl Fn(u64) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for (number, line) in (0..).zip(lines) {
            if line.is_err() {
                return;
            }
            let text = if number == 0 {
                r#"{"id":0,"result":["test","1.4"]}"#.to_owned()
            } else {
                answer(number)
            };
            if stream.write_all(format!("{text}\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    address
}

#[test]
fn answers_are_told_apart_by_number_and_notices_are_kept() {
    let address = server(|number| {
        let other = 3 - number;
        let notice = r#"{"method":"blockchain.scripthash.subscribe","params":["ab","cd"]}"#;
        format!("{notice}\n{{\"id\":{other},\"result\":{other}}}")
    });
    let mut session = Session::open(&address).unwrap();
    let answers = session.batch("test", vec![json!([]), json!([])]).unwrap();
    assert_eq!(answers, [Ok(json!(1)), Ok(json!(2))]);
    let (notices, lost) = session.take_notices();
    assert_eq!(notices, [Notice::Script("ab".to_owned())], "the same once");
    assert!(!lost);
}

#[test]
fn a_refusal_is_sorted_by_who_must_mend_it() {
    let of = |words: &str| {
        let error = json!({"code": 1, "message": words});
        let answer = json!({"id": 1, "error": error});
        result("test", serde_json::from_value(answer).unwrap()).unwrap_err()
    };
    assert!(matches!(
        of("Loading block index"),
        ChainError::WarmingUp(_)
    ));
    assert!(matches!(
        of("excessive resource usage"),
        ChainError::Unreachable(_)
    ));
    assert!(matches!(of("Unauthorized"), ChainError::Unauthorised(_)));
    assert!(matches!(
        of("height 9 out of range"),
        ChainError::Refused { .. }
    ));
}

#[test]
fn nonsense_and_silence_end_the_session_with_a_reason() {
    let address = server(|_| "not json".to_owned());
    let mut session = Session::open(&address).unwrap();
    let said = session.call("test", json!([]));
    assert!(matches!(said, Err(ChainError::Malformed { .. })));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let refused = Session::open(&address);
    assert!(matches!(refused.err(), Some(ChainError::Unreachable(_))));
}

#[test]
fn a_line_without_end_is_cut_off() {
    let address = server(|_| "x".repeat(LINE_BYTES_MAX + CHUNK_BYTES));
    let mut session = Session::open(&address).unwrap();
    let said = session.call("test", json!([]));
    assert!(matches!(
        said,
        Err(ChainError::Malformed { what: "line", .. })
    ));
}

#[test]
fn a_server_that_pads_its_answers_is_asked_for_enough_to_send_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut next = || lines.next().unwrap().unwrap();
        next();
        stream.write_all(b"{\"id\":0,\"result\":[]}\n").unwrap();
        // The short answer is kept back until the long one is asked for.
        let asked = [next(), next()];
        stream
            .write_all(b"{\"id\":1,\"result\":7}\n{\"id\":2,\"result\":8}\n")
            .unwrap();
        asked
    });
    let mut session = Session::open(&address).unwrap();
    assert_eq!(session.call("test", json!([])), Ok(json!(7)));
    let asked = server.join().unwrap();
    assert!(asked[1].contains("blockchain.block.headers"), "{asked:?}");
}
