//! Many threads, each with one signature, share the work: whoever comes first
//! checks all that wait, and the others wait for the verdict.
//!
//! A thread that is alone checks its own at once and waits for nobody.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Unknown;

/// Signatures checked together at most; the rest waits for the next round.
const TOGETHER_MAX: usize = 256;

/// Where the threads meet.
#[derive(Default)]
pub(super) struct Combiner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of the next ticket.
    next: u64,
    waiting: Vec<(u64, Unknown)>,
    judged: Vec<(u64, bool)>,
    /// Somebody is checking.
    busy: bool,
}

impl Combiner {
    /// The verdict on `one`; `judge` gives those of many, in order.
    pub(super) fn judge(&self, one: Unknown, judge: impl Fn(&[Unknown]) -> Vec<bool>) -> bool {
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        state.waiting.push((ticket, one));
        loop {
            if let Some(at) = state.judged.iter().position(|(of, _)| *of == ticket) {
                return state.judged.swap_remove(at).1;
            }
            if state.busy {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.busy = true;
            let count = state.waiting.len().min(TOGETHER_MAX);
            let (tickets, together): (Vec<u64>, Vec<Unknown>) =
                state.waiting.drain(..count).unzip();
            drop(state);
            let verdicts = judge(&together);
            state = self.lock();
            state.judged.extend(tickets.into_iter().zip(verdicts));
            state.busy = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
