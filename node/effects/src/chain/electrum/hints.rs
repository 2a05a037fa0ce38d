//! A server's notices as hints, over a connection of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dctrl_follow::{Bell, Waker};
use serde_json::json;

use super::{
    super::{ChainError, Hint},
    session::{Notice, Session},
};

/// How long to wait before a lost connection is made again.
const REOPEN_DELAY: Duration = Duration::from_secs(2);
/// Silence after which the server is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(60);

/// The scripts to listen for, told by whoever asks about them.
#[derive(Debug, Default)]
pub(super) struct Interest(Mutex<Scripts>);

#[derive(Debug, Default)]
struct Scripts {
    hashes: Vec<String>,
    /// Those that something happened to since this was last asked.
    touched: BTreeSet<String>,
    waker: Option<Waker>,
}

impl Interest {
    pub(super) fn add(&self, hashes: &[String]) {
        let mut scripts = self.lock();
        let room = super::histories::SCRIPTS_MAX.saturating_sub(scripts.hashes.len());
        scripts.hashes.extend(hashes.iter().take(room).cloned());
        if let Some(waker) = &scripts.waker {
            waker.wake();
        }
    }

    /// Those that something happened to since this was last asked.
    pub(super) fn take_touched(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().touched)
    }

    /// Notes what notices tell; the hint in it. One hint is for all notices:
    /// whoever looks sees everything.
    fn note(&self, session: &mut Session) -> Option<Hint> {
        let (notices, lost) = session.take_notices();
        let news = !notices.is_empty();
        let mut scripts = self.lock();
        let mut touched = lost;
        // Bounded by the scripts: a server may name only those it was told.
        for notice in notices {
            if let Notice::Script(hash) = notice
                && scripts.touched.len() < scripts.hashes.len()
            {
                scripts.touched.insert(hash);
                touched = true;
            }
        }
        if touched {
            return Some(Hint::Gap { topic: "script" });
        }
        news.then_some(Hint::Block)
    }

    fn after(&self, known: usize) -> Vec<String> {
        self.lock().hashes.get(known..).unwrap_or_default().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Scripts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription to a server's notices.
#[derive(Debug)]
pub struct ElectrumHints {
    address: String,
    interest: Arc<Interest>,
    bell: Bell,
    session: Option<Session>,
    /// How many scripts are subscribed to.
    subscribed: usize,
}

impl ElectrumHints {
    pub(super) fn new(address: String, interest: Arc<Interest>) -> Result<Self, ChainError> {
        let bell = Bell::new()
            .map_err(|error| ChainError::Unreachable(format!("too many open files: {error}")))?;
        interest.lock().waker = Some(bell.waker());
        Ok(Self {
            address,
            interest,
            bell,
            session: None,
            subscribed: 0,
        })
    }

    pub(in crate::chain) fn waker(&self) -> Box<dyn Fn() + Send> {
        let waker = self.bell.waker();
        Box::new(move || waker.wake())
    }

    pub(in crate::chain) fn next(&mut self, timeout: Duration) -> Option<Hint> {
        let Some(session) = &mut self.session else {
            return self.open(timeout);
        };
        let heard = hear(
            session,
            &self.bell,
            &self.interest,
            &mut self.subscribed,
            timeout,
        );
        match heard {
            Ok(hint) => hint,
            Err(error) => {
                tracing::debug!(address = self.address, %error, "notices are made anew");
                self.session = None;
                None
            }
        }
    }

    /// Connects; what happened before is a gap.
    fn open(&mut self, timeout: Duration) -> Option<Hint> {
        self.subscribed = 0;
        let opened = Session::open(&self.address).and_then(|mut session| {
            session.call("blockchain.headers.subscribe", json!([]))?;
            Ok(session)
        });
        match opened {
            Ok(session) => {
                self.session = Some(session);
                Some(Hint::Gap { topic: "server" })
            }
            Err(error) => {
                tracing::debug!(address = self.address, %error, "no notices");
                let wait = REOPEN_DELAY.min(timeout);
                let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                zmq::poll(&mut [self.bell.poll_item()], millis).ok()?;
                self.bell.take();
                None
            }
        }
    }
}

/// Waits for a notice.
fn hear(
    session: &mut Session,
    bell: &Bell,
    interest: &Interest,
    subscribed: &mut usize,
    timeout: Duration,
) -> Result<Option<Hint>, ChainError> {
    let fresh = interest.after(*subscribed);
    if !fresh.is_empty() {
        let params = fresh.iter().map(|hash| json!([hash])).collect();
        for answer in session.batch("blockchain.scripthash.subscribe", params)? {
            answer?;
        }
        *subscribed += fresh.len();
    }
    // What came with the answers is no longer in the socket, which is waited for.
    session.listen()?;
    if let Some(hint) = interest.note(session) {
        return Ok(Some(hint));
    }
    let wait = timeout.min(PING_EVERY);
    let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    let stream = zmq::PollItem::from_fd(session.descriptor(), zmq::POLLIN);
    let mut items = [stream, bell.poll_item()];
    // A signal during the wait is no notice.
    let ready = zmq::poll(&mut items, millis).unwrap_or(0);
    if bell.take() {
        return Ok(None);
    }
    if ready == 0 {
        if wait == PING_EVERY {
            session.call("server.ping", json!([]))?;
        }
        return Ok(interest.note(session));
    }
    session.listen()?;
    Ok(interest.note(session))
}
