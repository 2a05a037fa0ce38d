//! Many threads, each with one thing to do, share the work: whoever comes first
//! does all that waits, and the others wait for what came of theirs.
//!
//! A thread that is alone does its own at once and waits for nobody.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Things done together at most; the rest waits for the next round.
const TOGETHER_MAX: usize = 256;

/// Where the threads meet.
pub(super) struct Combiner<T, R> {
    state: Mutex<State<T, R>>,
    changed: Condvar,
}

struct State<T, R> {
    /// The number of the next ticket.
    next: u64,
    waiting: Vec<(u64, T)>,
    /// `None` where the work panicked.
    done: Vec<(u64, Option<R>)>,
    /// Somebody works.
    busy: bool,
}

impl<T, R> Default for Combiner<T, R> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                waiting: Vec::new(),
                done: Vec::new(),
                busy: false,
            }),
            changed: Condvar::new(),
        }
    }
}

impl<T, R> Combiner<T, R> {
    /// What comes of `one`; `work` does many, in order. `None` where it
    /// panicked in another thread.
    pub(super) fn run(&self, one: T, work: impl Fn(Vec<T>) -> Vec<R>) -> Option<R> {
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        state.waiting.push((ticket, one));
        loop {
            if let Some(at) = state.done.iter().position(|(of, _)| *of == ticket) {
                return state.done.swap_remove(at).1;
            }
            if state.busy {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.busy = true;
            let count = state.waiting.len().min(TOGETHER_MAX);
            let (tickets, together): (Vec<u64>, Vec<T>) = state.waiting.drain(..count).unzip();
            drop(state);
            let mut round = Round {
                combiner: self,
                own: ticket,
                tickets,
                results: Vec::new(),
            };
            round.results = work(together);
            drop(round);
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done now. Dropping it tells those who wait, however it ended.
struct Round<'c, T, R> {
    combiner: &'c Combiner<T, R>,
    /// Of the thread that works: where it panics, nobody asks for it.
    own: u64,
    tickets: Vec<u64>,
    results: Vec<R>,
}

impl<T, R> Drop for Round<'_, T, R> {
    fn drop(&mut self) {
        let results = std::mem::take(&mut self.results).into_iter().map(Some);
        let results = results.chain(std::iter::repeat_with(|| None));
        let done = self.tickets.drain(..).zip(results);
        let asked_for = done.filter(|(of, result)| *of != self.own || result.is_some());
        let mut state = self.combiner.lock();
        state.done.extend(asked_for);
        state.busy = false;
        drop(state);
        self.combiner.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{panic, sync::Barrier, thread};

    use super::*;

    #[test]
    fn each_thread_gets_what_came_of_its_own() {
        let combiner = Combiner::default();
        thread::scope(|scope| {
            for thread in 0..8 {
                let combiner = &combiner;
                scope.spawn(move || {
                    for number in 0..200 {
                        let one = thread * 1000 + number;
                        let double = |all: Vec<i32>| all.into_iter().map(|it| 2 * it).collect();
                        assert_eq!(combiner.run(one, double), Some(2 * one));
                    }
                });
            }
        });
        assert!(combiner.lock().done.is_empty());
    }

    #[test]
    fn what_waits_while_one_works_is_done_together() {
        let combiner = Combiner::default();
        let begun = Barrier::new(2);
        let together = Mutex::new(Vec::new());
        let note = |all: Vec<i32>| {
            together.lock().expect("no test panics").push(all.len());
            all
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                combiner.run(0, |all| {
                    begun.wait();
                    // Until the others have come.
                    while combiner.lock().waiting.len() < 3 {
                        thread::yield_now();
                    }
                    all
                })
            });
            begun.wait();
            for one in 1..4 {
                let (combiner, note) = (&combiner, &note);
                scope.spawn(move || assert_eq!(combiner.run(one, note), Some(one)));
            }
        });
        assert_eq!(*together.lock().expect("no test panics"), [3]);
    }

    #[test]
    fn a_panic_ends_the_waiting_of_all_and_the_next_one_finds_the_way_free() {
        let combiner: Combiner<i32, i32> = Combiner::default();
        let broken = panic::AssertUnwindSafe(|| combiner.run(1, |_| panic!("broken")));
        assert!(panic::catch_unwind(broken).is_err());
        assert_eq!(combiner.run(2, |all| all), Some(2));
        assert!(combiner.lock().done.is_empty(), "nothing is left behind");
    }
}
