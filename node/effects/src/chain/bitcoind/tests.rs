//! A bitcoind made of a few lines: what it answers is written in the test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
};

use super::*;

/// Answers each connection with one HTTP answer, in order.
fn fake(answers: Vec<String>) -> (Bitcoind, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            requests.push(head + &String::from_utf8(body).unwrap());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    let config = BitcoindConfig {
        key: "chain".to_owned(),
        url,
        credentials: Credentials::Password {
            user: "u".to_owned(),
            password: "p".to_owned(),
        },
        zmq_rawtx: None,
        zmq_hashblock: None,
        zmq_sequence: None,
    };
    (Bitcoind::new(&config).unwrap(), server)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn rpc_error(code: i32, message: &str) -> String {
    let body = json!({"jsonrpc": "2.0", "result": null, "id": 1,
        "error": {"code": code, "message": message}});
    http("500 Internal Server Error", &body.to_string())
}

fn chain_info(chain: &str, blocks: u64, headers: u64, downloading: bool) -> String {
    let result = json!({"chain": chain, "blocks": blocks, "headers": headers,
        "bestblockhash": "11".repeat(32), "initialblockdownload": downloading,
        "warnings": ["a", "b"]});
    http(
        "200 OK",
        &json!({"jsonrpc": "2.0", "id": 1, "result": result, "error": null}).to_string(),
    )
}

#[test]
fn warming_up_bad_credentials_and_overload_are_told_apart() {
    let (bitcoind, server) = fake(vec![
        rpc_error(-28, "Loading block index…"),
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        http("503 Service Unavailable", "Work queue depth exceeded"),
        rpc_error(-8, "Block height out of range"),
        rpc_error(-1, "Block not available (pruned data)"),
        rpc_error(-32601, "Method not found"),
        http("200 OK", "<html>hello</html>"),
    ]);
    assert!(matches!(bitcoind.tip(), Err(ChainError::WarmingUp(_))));
    assert!(matches!(bitcoind.tip(), Err(ChainError::Unauthorised(_))));
    assert!(matches!(bitcoind.tip(), Err(ChainError::Unreachable(_))));
    assert!(matches!(bitcoind.hash_at(9), Err(ChainError::NotFound(_))));
    let hash = Hash([1; 32]);
    assert!(matches!(
        bitcoind.block(9, hash),
        Err(ChainError::Pruned(_))
    ));
    assert!(matches!(
        bitcoind.mempool(),
        Err(ChainError::Refused { code: -32601, .. })
    ));
    assert!(matches!(
        bitcoind.mempool(),
        Err(ChainError::Malformed { .. })
    ));
    let requests = server.join().unwrap();
    assert!(requests[0].contains("Basic dTpw"), "{}", requests[0]);
    // Nobody listens any more.
    assert!(matches!(bitcoind.tip(), Err(ChainError::Unreachable(_))));
}

#[test]
fn a_backend_that_has_not_caught_up_says_so_but_an_old_regtest_is_no_lag() {
    let (bitcoind, server) = fake(vec![
        chain_info("main", 100, 200, false),
        chain_info("main", 100, 100, true),
        chain_info("regtest", 0, 0, true),
        chain_info("main", 100, 101, false),
    ]);
    let lagging = Err(ChainError::Lagging {
        blocks: 100,
        headers: 200,
    });
    assert_eq!(bitcoind.tip(), lagging);
    assert!(matches!(bitcoind.tip(), Err(ChainError::Lagging { .. })));
    assert_eq!(bitcoind.tip().unwrap().height, 0);
    assert_eq!(bitcoind.tip().unwrap().height, 100);
    server.join().unwrap();
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let chunk = vec![b' '; 1 << 20];
        while stream.write_all(&chunk).is_ok() {}
    });
    let config = BitcoindConfig {
        key: "chain".to_owned(),
        url,
        credentials: Credentials::Password {
            user: String::new(),
            password: String::new(),
        },
        zmq_rawtx: None,
        zmq_hashblock: None,
        zmq_sequence: None,
    };
    let bitcoind = Bitcoind::new(&config).unwrap();
    assert!(matches!(
        bitcoind.mempool(),
        Err(ChainError::Malformed { .. })
    ));
    drop(bitcoind);
    server.join().unwrap();
}

#[test]
fn a_missing_cookie_means_that_bitcoind_is_not_running() {
    let config = BitcoindConfig {
        key: "chain".to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
        credentials: Credentials::Cookie("/nonexistent/.cookie".into()),
        zmq_rawtx: None,
        zmq_hashblock: None,
        zmq_sequence: None,
    };
    let error = Bitcoind::new(&config).unwrap().tip().unwrap_err();
    assert!(
        matches!(&error, ChainError::Unreachable(why) if why.contains(".cookie")),
        "{error}"
    );
}
