//! The load process's socket: transactions come in, reports go out.
//!
//! A transaction is its length as u32, little-endian, and its bytes. An empty
//! one asks for the meters. One load process at a time; another one waits.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use dctrl_proto::v1::SignedAction;
use prost::Message;

use super::{meters::Meters, report::Report};
use crate::{admission::Admission, pipeline::PipelineHandle};

/// Where transactions go.
#[derive(Clone)]
pub(super) enum Door {
    /// To consensus, whatever they are.
    Opaque(PipelineHandle),
    /// Through the ledger's guard, as in a node; those that came together are
    /// guarded together.
    Ledger(Admission),
}

impl Door {
    /// Hands in what came together; gives how many were refused.
    fn submit(&self, transactions: Vec<Bytes>) -> u64 {
        let count = transactions.len();
        let taken = match self {
            Self::Opaque(pipeline) => {
                let all = transactions.into_iter();
                // What comes together is refused together once one is.
                let taken = all.take_while(|it| pipeline.submit(it.clone()).is_ok());
                return (count - taken.count()) as u64;
            }
            Self::Ledger(admission) => {
                let actions: Vec<SignedAction> = transactions
                    .iter()
                    .filter_map(|bytes| SignedAction::decode(bytes.clone()).ok())
                    .collect();
                let outcomes = admission.submit_all(&actions).into_iter();
                outcomes.filter(Result::is_ok).count()
            }
        };
        (count - taken) as u64
    }
}

/// Reports that may wait for the load process.
const REPORTS_MAX: usize = 65_536;

/// Between two writes of reports at least.
const TELL_EVERY: Duration = Duration::from_millis(5);

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Longest transaction taken, bytes.
const TRANSACTION_BYTES_MAX: usize = 128 << 10;

/// The running ingress.
pub(super) struct Ingress {
    stopping: Arc<AtomicBool>,
    address: SocketAddr,
    connection: Connection,
}

/// The present load process, where there is one.
type Connection = Arc<Mutex<Option<TcpStream>>>;

impl Ingress {
    /// Listens; gives the way for reports.
    pub(super) fn start(
        listen: SocketAddr,
        door: Door,
        meters: Meters,
    ) -> io::Result<(Self, SyncSender<Report>)> {
        let listener = TcpListener::bind(listen)?;
        let (sender, reports) = sync_channel(REPORTS_MAX);
        let stopping = Arc::new(AtomicBool::new(false));
        let connection = Connection::default();
        let (stop, current, own) = (stopping.clone(), connection.clone(), sender.clone());
        thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let served = stream.and_then(|stream| {
                        stream.set_nodelay(true)?;
                        *lock(&current) = Some(stream.try_clone()?);
                        serve(stream, &door, &meters, &own)
                    });
                    *lock(&current) = None;
                    if let Err(error) = served {
                        tracing::info!(%error, "the load process has gone");
                    }
                }
            })?;
        let current = connection.clone();
        thread::Builder::new()
            .name("reports".to_owned())
            .spawn(move || tell(&reports, &current))?;
        let ingress = Self {
            stopping,
            address: listen,
            connection,
        };
        Ok((ingress, sender))
    }

    /// Takes nothing more.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(stream) = &*lock(&self.connection) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Read);
        }
        // Wakes whoever waits for the next load process.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock(connection: &Connection) -> std::sync::MutexGuard<'_, Option<TcpStream>> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes transactions until the stream ends.
fn serve(
    mut stream: TcpStream,
    door: &Door,
    meters: &Meters,
    reports: &SyncSender<Report>,
) -> io::Result<()> {
    let mut rest = Bytes::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut joined = BytesMut::with_capacity(rest.len() + count);
        joined.extend_from_slice(&rest);
        joined.extend_from_slice(&buffer[..count]);
        let mut bytes = joined.freeze();
        let mut transactions = Vec::new();
        while let Some(transaction) = next(&mut bytes)? {
            if transaction.is_empty() {
                let _ = reports.try_send(Report::Meters(meters.numbers()));
            } else {
                transactions.push(transaction);
            }
        }
        let refused = door.submit(transactions);
        rest = Bytes::copy_from_slice(&bytes);
        if refused > 0 {
            let _ = reports.try_send(Report::Refused(refused));
        }
    }
}

/// The next whole transaction; shares the memory of what was read.
fn next(bytes: &mut Bytes) -> io::Result<Option<Bytes>> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > TRANSACTION_BYTES_MAX {
        return Err(io::Error::other("a transaction is too long"));
    }
    if rest.len() < length {
        return Ok(None);
    }
    let mut transaction = bytes.split_to(4 + length);
    Ok(Some(transaction.split_off(4)))
}

/// Sends what there is to tell, many reports at once. Each says when it
/// happened, so nobody measures how late it comes; but telling each at once
/// would take a good part of a core from what is measured.
fn tell(reports: &Receiver<Report>, connection: &Connection) {
    let mut out = Vec::new();
    while let Ok(report) = reports.recv() {
        thread::sleep(TELL_EVERY);
        out.clear();
        report.write(&mut out);
        while let Ok(report) = reports.try_recv() {
            report.write(&mut out);
            if out.len() > READ_BYTES {
                break;
            }
        }
        let stream = lock(connection)
            .as_ref()
            .and_then(|stream| stream.try_clone().ok());
        if let Some(mut stream) = stream {
            // A load process that has gone needs no reports.
            let _ = stream.write_all(&out);
        }
    }
}
