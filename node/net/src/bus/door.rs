//! The thread that owns the door's ROUTER, and the workers behind it.

mod desk;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use dctrl_proto::v1::DoorRequest;

use self::desk::Desk;
use super::Answer;
use super::stats::{DoorCounters, DoorStats};
use crate::error::NetError;
use crate::limits;
use crate::socket::{self, Bounds};
use crate::wake::{self, Waker};
use crate::zap::{Domain, Zap};

/// A request on its way to a worker.
struct Job {
    routing_id: Vec<u8>,
    key: [u8; 32],
    request: DoorRequest,
}

/// An encoded reply on its way back.
struct Done {
    routing_id: Vec<u8>,
    key: [u8; 32],
    reply: Vec<u8>,
}

/// What all threads of the door share.
struct Shared {
    counters: DoorCounters,
    waker: Waker,
    stop: AtomicBool,
}

/// Handle of the door. Dropping it stops its threads.
pub(super) struct Door {
    shared: Arc<Shared>,
    endpoint: String,
    threads: Vec<JoinHandle<()>>,
}

impl Door {
    pub(super) fn start(
        zap: Zap,
        listen: &str,
        secret: &[u8; 32],
        answer: Answer,
    ) -> Result<Self, NetError> {
        let bounds = Bounds {
            part_bytes_max: limits::DOOR_REQUEST_BYTES_MAX,
            send_queue: limits::DOOR_SOCKET_QUEUE,
            receive_queue: limits::DOOR_SOCKET_QUEUE,
            curve: true,
        };
        let context = zap.context();
        let listener = socket::listen(context, zmq::ROUTER, Domain::Bus, secret, bounds, listen)?;
        let (waker, wake_end) = wake::pair()?;
        let (jobs, job_queue) = mpsc::sync_channel(limits::DOOR_QUEUE_MAX);
        let (done, done_queue) = mpsc::sync_channel(limits::DOOR_QUEUE_MAX);
        // From here on a failure drops the door, which ends what has started.
        let mut door = Self {
            shared: Arc::new(Shared {
                counters: DoorCounters::default(),
                waker,
                stop: AtomicBool::new(false),
            }),
            endpoint: listener.endpoint.clone(),
            threads: Vec::new(),
        };
        let shared = Arc::clone(&door.shared);
        let desk = Desk::new(zap, listener, wake_end, shared, jobs, done_queue);
        door.spawn("door".into(), move || desk.run())?;
        door.spawn_workers(job_queue, &done, answer)?;
        Ok(door)
    }

    fn spawn_workers(
        &mut self,
        jobs: Receiver<Job>,
        done: &SyncSender<Done>,
        answer: Answer,
    ) -> Result<(), NetError> {
        let jobs = Arc::new(Mutex::new(jobs));
        let answer = Arc::new(answer);
        for number in 0..limits::DOOR_WORKERS {
            let (jobs, answer) = (Arc::clone(&jobs), Arc::clone(&answer));
            let (done, shared) = (done.clone(), Arc::clone(&self.shared));
            self.spawn(format!("door-{number}"), move || {
                worker::run(&jobs, &done, &shared, &**answer);
            })?;
        }
        Ok(())
    }

    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), NetError> {
        self.threads
            .push(thread::Builder::new().name(name).spawn(run)?);
        Ok(())
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn stats(&self) -> DoorStats {
        self.shared.counters.read()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the door had panicked");
            }
        }
    }
}
