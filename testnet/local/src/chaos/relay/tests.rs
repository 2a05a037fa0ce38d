use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const LINK: Link = (0, 1);

/// A server that sends back what it gets, and a relay before it.
async fn stage() -> (Relays, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("port");
    let target = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let mut relays = Relays::new(1, Ipv4Addr::LOCALHOST);
    let port = relays.open(LINK, target).await.expect("relay");
    (relays, port)
}

async fn dial(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .expect("accepts")
}

async fn echo(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn fair_weather_changes_nothing() {
    let (_relays, port) = stage().await;
    let mut stream = dial(port).await;
    assert_eq!(echo(&mut stream, b"hello").await.expect("echo"), b"hello");
}

#[tokio::test]
async fn a_flipped_bit_arrives_and_is_counted() {
    let (relays, port) = stage().await;
    let flips = Weather {
        flip_every: 1,
        ..Weather::default()
    };
    relays.set(LINK, flips);
    let mut stream = dial(port).await;
    // Once on the way there, once on the way back, of five bytes each time.
    let answer = echo(&mut stream, b"hello").await.expect("echo");
    assert_eq!(answer.len(), 5);
    assert_eq!(relays.deeds().flipped.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_stalled_link_lets_through_when_it_opens_and_loses_nothing() {
    let (relays, port) = stage().await;
    let mut stream = dial(port).await;
    echo(&mut stream, b"up").await.expect("echo");
    relays.set(LINK, Weather::closed(Passage::Stalled));
    let waiting = tokio::spawn(async move { echo(&mut stream, b"late").await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    relays.clear();
    let answer = waiting.await.expect("no panic").expect("echo");
    assert_eq!(answer, b"late");
}

#[tokio::test]
async fn a_reset_ends_connections_and_a_refusal_new_ones_too() {
    let (relays, port) = stage().await;
    let mut stream = dial(port).await;
    echo(&mut stream, b"up").await.expect("echo");
    relays.reset(LINK);
    assert!(echo(&mut stream, b"gone").await.is_err());
    relays.set(LINK, Weather::closed(Passage::Refused));
    let mut next = dial(port).await;
    assert!(echo(&mut next, b"no").await.is_err());
    relays.clear();
    let mut last = dial(port).await;
    assert_eq!(echo(&mut last, b"yes").await.expect("echo"), b"yes");
}

#[tokio::test]
async fn a_connection_whose_bytes_were_swallowed_ends_when_the_link_opens() {
    let (relays, port) = stage().await;
    let mut stream = dial(port).await;
    echo(&mut stream, b"up").await.expect("echo");
    relays.set(LINK, Weather::closed(Passage::Swallowed));
    stream.write_all(b"lost").await.expect("taken");
    while relays.deeds().swallowed.load(Ordering::Relaxed) < 4 {
        tokio::task::yield_now().await;
    }
    relays.clear();
    assert!(echo(&mut stream, b"torn").await.is_err());
}
