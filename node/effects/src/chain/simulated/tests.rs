use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use bitcoin::{Txid, hashes::Hash as _};
use tokio::net::{TcpListener, TcpStream};

use super::{super::server, *};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// So short that the test is.
const SHORT: Duration = Duration::from_millis(300);

/// For each connection, whether it is silent.
type Open = Arc<Mutex<Vec<Arc<AtomicBool>>>>;

/// Connections to a served chain that can be left half open: those that there are
/// carry nothing any more, and new ones do.
struct Path {
    runtime: tokio::runtime::Runtime,
    url: String,
    open: Open,
}

impl Path {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let open: Open = Arc::default();
        let url = runtime.block_on(async {
            let chain = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let behind = chain.local_addr().unwrap();
            tokio::spawn(server::serve_on(chain, None, std::future::pending()));
            let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", front.local_addr().unwrap());
            tokio::spawn(accept(front, behind, Arc::clone(&open)));
            url
        });
        Self { runtime, url, open }
    }

    fn goes_silent(&self) {
        for one in self.open.lock().unwrap().iter() {
            one.store(true, Ordering::SeqCst);
        }
    }
}

async fn accept(front: TcpListener, behind: SocketAddr, open: Open) {
    while let Ok((client, _)) = front.accept().await {
        let server = TcpStream::connect(behind).await.unwrap();
        let silent = Arc::new(AtomicBool::new(false));
        open.lock().unwrap().push(silent.clone());
        let (client, server) = (client.into_split(), server.into_split());
        tokio::spawn(carry(client.0, server.1, silent.clone()));
        tokio::spawn(carry(server.0, client.1, silent));
    }
}

/// Carries bytes one way; swallows them once the connection is silent.
async fn carry(
    from: tokio::net::tcp::OwnedReadHalf,
    to: tokio::net::tcp::OwnedWriteHalf,
    silent: Arc<AtomicBool>,
) {
    let mut bytes = [0; 4096];
    while from.readable().await.is_ok() {
        let read = match from.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(_) => continue,
        };
        let mut rest = &bytes[..read];
        while !silent.load(Ordering::SeqCst) && !rest.is_empty() {
            to.writable().await.unwrap();
            if let Ok(written) = to.try_write(rest) {
                rest = &rest[written..];
            }
        }
    }
}

#[test]
fn a_half_open_connection_is_given_up_for_a_new_one() {
    let path = Path::start();
    let client = Simulated::with_times(&path.url, SHORT, PATIENCE).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // On a busy machine a sound connection may take longer than it is given, too.
    let answers = || {
        while client.tip().is_err() {
            assert!(Instant::now() < deadline, "no new connection was made");
        }
    };
    answers();
    path.goes_silent();
    assert!(matches!(client.tip(), Err(ChainError::Unreachable(_))));
    answers();
    drop(client);
    path.runtime.shutdown_background();
}

#[test]
fn a_stream_of_notices_that_is_half_open_is_opened_anew() {
    let path = Path::start();
    let client = Simulated::with_times(&path.url, PATIENCE, SHORT).unwrap();
    let Ok(Hints::Simulated(mut hints)) = client::Client::hints(&client, &zmq::Context::new())
    else {
        panic!("no hints");
    };
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..2 {
        while !matches!(hints.next(SHORT), Some(Hint::Gap { .. })) {
            assert!(Instant::now() < deadline, "no stream was opened");
        }
        path.goes_silent();
    }
    path.runtime.shutdown_background();
}

/// A transaction that spends so many coins, none of which is there.
fn spends_nothing(inputs: u32) -> Vec<u8> {
    let input = |vout| bitcoin::TxIn {
        previous_output: bitcoin::OutPoint::new(Txid::from_byte_array([7; 32]), vout),
        witness: bitcoin::Witness::from_slice(&[vec![7; 72], vec![7; 72], vec![7; 105]]),
        ..bitcoin::TxIn::default()
    };
    bitcoin::consensus::serialize(&bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: (0..inputs).map(input).collect(),
        output: Vec::new(),
    })
}

#[test]
fn a_transaction_of_the_most_coins_is_judged_like_a_small_one() {
    let path = Path::start();
    let client = Simulated::with_times(&path.url, PATIENCE, PATIENCE).unwrap();
    for inputs in [1, 100] {
        let raw = spends_nothing(inputs);
        let sent = client::Client::broadcast(&client, &raw).unwrap();
        assert!(matches!(sent, Sent::Conflict(_)), "{inputs}: {sent:?}");
    }
    drop(client);
    path.runtime.shutdown_background();
}
