//! The threads that check what is long or much.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use dctrl_consensus::ROSTER_MEMBERS_MAX;

use super::{Decoded, Desk, Sink};
use crate::inbox::Letters;

/// Threads that check: more than this many cores are better used by the
/// pipeline and the store.
const THREADS_MAX: usize = 8;

/// Signatures of one peer's letters that are checked with those of others. More
/// of them, up to a millisecond's work, are checked apart.
const SHORT_SIGNATURES_MAX: usize = 64;

/// Jobs that wait: each peer has one set of letters out at most.
const JOBS_MAX: usize = 2 * ROSTER_MEMBERS_MAX;

enum Job {
    Letters(Vec<Letters>),
    Decoded(Vec<Decoded>),
}

/// The threads. Dropping it ends them.
pub(super) struct Pool {
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// What each of them needs.
struct Worker<S, W> {
    desk: Desk,
    sink: Arc<S>,
    wake: Arc<W>,
}

impl Pool {
    pub(super) fn start(
        desk: &Desk,
        threads: usize,
        sink: impl Sink + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (sink, wake) = (Arc::new(sink), Arc::new(wake));
        let worker = || Worker {
            desk: desk.clone(),
            sink: Arc::clone(&sink),
            wake: Arc::clone(&wake),
        };
        let (to_threads, jobs) = sync_channel(JOBS_MAX);
        let (to_long, long) = sync_channel(JOBS_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut pool = Self {
            jobs: Some(to_threads),
            threads: Vec::new(),
        };
        for number in 0..thread_count(threads) {
            let (worker, jobs, to_long) = (worker(), Arc::clone(&jobs), to_long.clone());
            pool.spawn(format!("checker-{number}"), move || {
                worker.short(&jobs, &to_long);
            })?;
        }
        let worker = worker();
        pool.spawn("checker-long".to_owned(), move || worker.long(&long))?;
        Ok(pool)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let builder = thread::Builder::new().name(name);
        self.threads.push(builder.spawn(work)?);
        Ok(())
    }

    pub(super) fn take(&self, letters: Vec<Letters>) {
        self.give(Job::Letters(letters));
    }

    pub(super) fn take_decoded(&self, decoded: Vec<Decoded>) {
        self.give(Job::Decoded(decoded));
    }

    /// Never blocks, because there is room for a job of each peer.
    fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // An error means that a thread panicked, which is logged.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the checker panicked");
            }
        }
    }
}

fn thread_count(wanted: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = if wanted == 0 { cores } else { wanted };
    wanted.min(cores).min(THREADS_MAX)
}

impl<S: Sink, W: Fn()> Worker<S, W> {
    fn short(&self, jobs: &Mutex<Receiver<Job>>, to_long: &SyncSender<Decoded>) {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let rules = self.desk.rules.present();
            let decoded = match job {
                Job::Decoded(decoded) => decoded,
                Job::Letters(letters) => {
                    let letters = letters.into_iter();
                    letters
                        .map(|of| self.desk.decode(of, &rules.limits))
                        .collect()
                }
            };
            let (short, long): (Vec<_>, Vec<_>) = decoded
                .into_iter()
                .partition(|of| of.signatures <= SHORT_SIGNATURES_MAX);
            for decoded in long {
                // The other end ends after this one.
                let _ = to_long.send(decoded);
            }
            self.check(short);
        }
    }

    fn long(&self, queue: &Receiver<Decoded>) {
        while let Ok(decoded) = queue.recv() {
            self.check(vec![decoded]);
        }
    }

    fn check(&self, decoded: Vec<Decoded>) {
        let rules = self.desk.rules.present();
        let mut sink = |from, message, bytes| (self.sink)(from, message, bytes);
        if self.desk.check(decoded, &rules, &mut sink) {
            (self.wake)();
        }
    }
}
