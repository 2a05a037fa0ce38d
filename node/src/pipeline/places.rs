//! How much of peers' messages may wait for the pipeline: a number of places,
//! and bytes. A place is given back by dropping it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Messages of peers that may wait: a part of [`super::COMMANDS_MAX`].
const PLACES_MAX: usize = 1024;

/// Bytes of peers' messages that may wait. Decoded they take about as much.
const BYTES_MAX: usize = 16 << 20;

/// All places. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<Taken>,
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    places: usize,
    bytes: usize,
}

/// A place that one message holds.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Places {
    /// Waits until a message of this length has a place. One that is longer
    /// than all bytes together gets it when it is alone.
    pub(super) fn wait(&self, bytes: usize) -> Place {
        let taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .0
            .given_back
            .wait_while(taken, |taken| !taken.has_room(bytes));
        let mut taken = waited.unwrap_or_else(PoisonError::into_inner);
        taken.places += 1;
        taken.bytes += bytes;
        Place {
            shared: Arc::clone(&self.0),
            bytes,
        }
    }
}

impl Taken {
    fn has_room(&self, bytes: usize) -> bool {
        let room = self.places < PLACES_MAX && self.bytes + bytes <= BYTES_MAX;
        room || self.places == 0
    }
}

impl Place {
    /// The length of the message.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let lock = self.shared.taken.lock();
        let mut taken = lock.unwrap_or_else(PoisonError::into_inner);
        taken.places -= 1;
        taken.bytes -= self.bytes;
        drop(taken);
        self.shared.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread};

    use super::*;

    fn taken(places: usize, bytes: usize) -> Taken {
        Taken { places, bytes }
    }

    #[test]
    fn there_is_room_up_to_both_bounds_and_no_further() {
        assert!(taken(PLACES_MAX - 1, 0).has_room(1));
        assert!(!taken(PLACES_MAX, 0).has_room(1));
        assert!(taken(1, BYTES_MAX - 1).has_room(1));
        assert!(!taken(1, BYTES_MAX).has_room(1));
    }

    #[test]
    fn whoever_waits_gets_the_place_that_is_given_back() {
        let places = Places::default();
        let mut held: Vec<Place> = (0..PLACES_MAX).map(|_| places.wait(1)).collect();
        let (got, waiter) = channel();
        let shared = places.clone();
        let late = thread::spawn(move || {
            let _place = shared.wait(1);
            got.send(()).expect("the test waits");
        });
        held.pop();
        waiter.recv().expect("a place was given back");
        late.join().expect("the waiter ends");
        drop(held);
        assert!(
            places
                .0
                .taken
                .lock()
                .is_ok_and(|taken| taken.places == 0 && taken.bytes == 0)
        );
    }

    #[test]
    fn a_message_longer_than_all_bytes_gets_a_place_alone() {
        drop(Places::default().wait(2 * BYTES_MAX));
    }
}
