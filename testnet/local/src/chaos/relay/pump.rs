//! The bytes of one connection on their way.

use std::{io, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Deeds, Sky};
use crate::{chaos::weather::Passage, random::Random};

/// Bytes that travel as one piece.
const PIECE_BYTES: usize = 16 << 10;

/// Pieces on their way through one direction of a connection; the sender waits
/// when they are more.
const PIECES_MAX: usize = 64;

/// A piece, and when it may arrive.
type Piece = (Instant, Vec<u8>);

/// Hands bytes on in both directions until one side ends.
pub(super) async fn both(
    client: TcpStream,
    server: TcpStream,
    sky: &watch::Receiver<Sky>,
    deeds: &Deeds,
    mut random: Random,
) {
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let back = Random::new(random.next());
    // An end with an error ends both; an orderly one waits for the other.
    let _ = tokio::try_join!(
        one_way(client_in, server_out, sky.clone(), deeds, random),
        one_way(server_in, client_out, sky.clone(), deeds, back),
    );
}

/// Takes bytes and answers nothing, until the link opens: then the connection
/// is of no use any more.
pub(super) async fn swallow(mut client: TcpStream, mut sky: watch::Receiver<Sky>, deeds: &Deeds) {
    let mut bytes = vec![0; PIECE_BYTES];
    let taken = async {
        while let Ok(count @ 1..) = client.read(&mut bytes).await {
            deeds.swallowed.fetch_add(count as u64, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = taken => {}
        _ = sky.wait_for(|sky| sky.weather.passage != Passage::Swallowed) => {}
    }
}

/// Waits until bytes may pass.
pub(super) async fn opened(sky: &mut watch::Receiver<Sky>) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::NotConnected);
    let open = |sky: &Sky| sky.weather.passage != Passage::Stalled;
    sky.wait_for(open).await.map(drop).map_err(gone)
}

async fn one_way(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    sky: watch::Receiver<Sky>,
    deeds: &Deeds,
    random: Random,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let read = take(from, sender, sky.clone(), deeds, random);
    tokio::try_join!(read, give(to, receiver, sky)).map(drop)
}

async fn take(
    mut from: OwnedReadHalf,
    sender: mpsc::Sender<Piece>,
    sky: watch::Receiver<Sky>,
    deeds: &Deeds,
    mut random: Random,
) -> io::Result<()> {
    let mut last = Instant::now();
    let mut lost = false;
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        piece.truncate(count);
        let weather = sky.borrow().weather;
        if weather.passage == Passage::Swallowed {
            deeds.swallowed.fetch_add(count as u64, Ordering::Relaxed);
            lost = true;
            continue;
        }
        if lost {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if weather.flip_every > 0 && random.below(weather.flip_every) < count as u64 {
            let at = random.index(count);
            piece[at] ^= 1 << random.below(8);
            deeds.flipped.fetch_add(1, Ordering::Relaxed);
        }
        let late = weather.delay_ms + random.below(weather.jitter_ms + 1);
        last = last.max(Instant::now() + Duration::from_millis(late));
        if sender.send((last, piece)).await.is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

async fn give(
    mut to: OwnedWriteHalf,
    mut pieces: mpsc::Receiver<Piece>,
    mut sky: watch::Receiver<Sky>,
) -> io::Result<()> {
    while let Some((due, piece)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        opened(&mut sky).await?;
        let rate = sky.borrow().weather.rate;
        if rate > 0 {
            let span = piece.len() as f64 / rate as f64;
            tokio::time::sleep(Duration::from_secs_f64(span)).await;
        }
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}
