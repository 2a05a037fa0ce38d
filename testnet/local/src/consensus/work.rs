//! One run: load goes out, reports come in, the kernel is asked what it cost.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Arguments,
    load::{Stream, now_ns},
    nodes::Nodes,
    outcome::{Cost, Outcome},
    signed::Signed,
    tally::{Report, Tally, parse},
    usage::{self, Memory, Usage},
};

/// Until the first transaction is due: the nodes have met by then.
const LEAD: Duration = Duration::from_secs(1);

/// How long the last transactions may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// An empty transaction.
const ASK_FOR_METERS: [u8; 4] = [0; 4];

/// Between two looks at the memory.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// Reports that may wait to be counted.
const REPORTS_MAX: usize = 65_536;

/// Sends `rate` transactions a second and measures for `span`.
///
/// # Errors
/// Where a node ends.
pub(super) fn run(
    arguments: &Arguments,
    nodes: &mut Nodes,
    signed: Option<&Signed>,
    rate: f64,
    span: Duration,
) -> Result<Outcome> {
    let warmup = Duration::from_secs(arguments.warmup.into());
    let streams = streams(arguments, rate, nanoseconds(warmup + span));
    // Made before the clock starts, with times that count from its start.
    let made = signed.map(|signed| signed.actions(&streams, 0));
    let start_ns = now_ns() + nanoseconds(LEAD);
    let window_ns = (
        start_ns + nanoseconds(warmup),
        start_ns + nanoseconds(warmup + span),
    );
    let label_ns = if made.is_some() { start_ns } else { 0 };
    let (sender, reports) = sync_channel(REPORTS_MAX);
    for (node, socket) in nodes.sockets.iter().enumerate() {
        let (socket, sender) = (socket.try_clone()?, sender.clone());
        thread::spawn(move || read(node, socket, &sender));
    }
    drop(sender);
    let mut made = made.map(Vec::into_iter);
    let mut senders = Vec::new();
    for (stream, socket) in streams.into_iter().zip(&nodes.sockets) {
        let stream = stream.from(start_ns);
        let mut socket = socket.try_clone()?;
        let made = made.as_mut().and_then(Iterator::next);
        senders.push(thread::spawn(move || {
            stream.send(&mut socket, made.as_deref())
        }));
    }
    let mut watch = Watch {
        nodes,
        reports,
        tally: Tally::new(usize::from(arguments.nodes), window_ns, label_ns),
        memory: Memory::default(),
        sampled: Instant::now(),
    };
    watch.until(window_ns.0)?;
    let before = Snapshot::take(watch.nodes)?;
    watch.memory = Memory::default();
    watch.until(window_ns.1)?;
    let after = Snapshot::take(watch.nodes)?;
    let memory = watch.memory.clone();
    let mut sent = 0;
    for sender in senders {
        let sender = sender.join();
        sent += sender.ok().context("a thread of the load panicked")??;
    }
    watch.drain(sent)?;
    Ok(Outcome {
        nodes: arguments.nodes,
        payload: arguments.payload,
        offered: rate,
        seconds: span.as_secs_f64(),
        sent,
        cost: Cost::between(&before, &after),
        memory,
        tally: watch.tally,
    })
}

/// The load of each node, from time 0 on; none where nothing is offered.
fn streams(arguments: &Arguments, rate: f64, span_ns: u64) -> Vec<Stream> {
    if rate <= 0.0 {
        return Vec::new();
    }
    let stream = |node: u16| Stream {
        start_ns: (f64::from(node) * 1e9 / rate) as u64,
        end_ns: span_ns,
        interval_ns: 1e9 * f64::from(arguments.nodes) / rate,
        payload: arguments.payload as usize,
        seed: now_ns() ^ (u64::from(node) << 48),
    };
    (0..arguments.nodes).map(stream).collect()
}

fn nanoseconds(span: Duration) -> u64 {
    span.as_nanos() as u64
}

/// Looks after the nodes while time passes.
struct Watch<'n> {
    nodes: &'n mut Nodes,
    reports: Receiver<(usize, Report)>,
    tally: Tally,
    memory: Memory,
    sampled: Instant,
}

impl Watch<'_> {
    /// Counts reports until this time.
    fn until(&mut self, end_ns: u64) -> Result<()> {
        loop {
            let now = now_ns();
            if now >= end_ns {
                return Ok(());
            }
            self.look(Duration::from_nanos(end_ns - now).min(SAMPLE_EVERY))?;
        }
    }

    fn look(&mut self, patience: Duration) -> Result<()> {
        match self.reports.recv_timeout(patience) {
            Ok((node, report)) => self.tally.take(node, report),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(patience),
        }
        if self.sampled.elapsed() >= SAMPLE_EVERY {
            self.sampled = Instant::now();
            self.nodes.must_live()?;
            let seconds = now_ns() as f64 / 1e9;
            self.memory.sample(seconds, &self.nodes.ids());
        }
        Ok(())
    }

    /// Waits until all that was sent is committed or refused, and then for the
    /// meters.
    fn drain(&mut self, sent: u64) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < DRAIN_LIMIT {
            let answered = self.tally.committed_total + self.tally.refused;
            if answered >= sent && self.tally.is_settled() {
                break;
            }
            self.look(SAMPLE_EVERY)?;
        }
        for mut socket in &self.nodes.sockets {
            socket.write_all(&ASK_FOR_METERS)?;
        }
        while begun.elapsed() < DRAIN_LIMIT && self.tally.meters.len() < self.nodes.sockets.len() {
            self.look(SAMPLE_EVERY)?;
        }
        for socket in &self.nodes.sockets {
            // The reader ends; a closed socket ends it too.
            let _ = socket.shutdown(Shutdown::Both);
        }
        Ok(())
    }
}

/// Hands on what a node reports until its socket closes.
fn read(node: usize, mut socket: TcpStream, reports: &SyncSender<(usize, Report)>) {
    let mut waiting = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = socket.read(&mut buffer) {
        if count == 0 {
            break;
        }
        waiting.extend_from_slice(&buffer[..count]);
        let mut taken = 0;
        while let Some((report, length)) = parse(&waiting[taken..]) {
            taken += length;
            if let Some(report) = report
                && reports.send((node, report)).is_err()
            {
                return;
            }
        }
        waiting.drain(..taken);
    }
}

/// What everything had used at one moment.
pub(super) struct Snapshot {
    pub(super) nodes: Vec<Usage>,
    pub(super) load: Usage,
    /// Over the loopback device, everything of this machine.
    pub(super) loopback_bytes: f64,
    pub(super) at: Instant,
}

impl Snapshot {
    fn take(nodes: &Nodes) -> Result<Self> {
        Ok(Self {
            nodes: nodes
                .ids()
                .into_iter()
                .map(usage::of)
                .collect::<Result<_>>()?,
            load: usage::of(std::process::id())?,
            loopback_bytes: loopback_bytes().unwrap_or(0.0),
            at: Instant::now(),
        })
    }
}

fn loopback_bytes() -> Option<f64> {
    let devices = fs::read_to_string("/proc/net/dev").ok()?;
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))?;
    line.split_whitespace().next()?.parse().ok()
}
