//! One event for one touch of a contact that bounces.
//!
//! The first change counts at once, because a falling can may be seen for a
//! few milliseconds only. Then the sensor is not listened to for a while; if
//! it rests at another value afterwards, that is a second event.

use std::collections::BTreeMap;

/// Most sensors of one source.
const SENSORS_MAX: usize = 32;

#[derive(Debug, Clone, Copy)]
struct Contact {
    /// What was last passed on; nothing before the first look.
    passed: Option<i64>,
    /// What it showed last.
    seen: i64,
    /// Changes before this do not count.
    quiet_until_ms: u64,
}

/// Debounces the sensors of one source. Time is an argument.
#[derive(Debug)]
pub struct Debouncer {
    quiet_ms: u64,
    contacts: BTreeMap<String, Contact>,
}

impl Debouncer {
    /// A contact is not listened to for `quiet_ms` after a change.
    #[must_use]
    pub fn new(quiet_ms: u64) -> Self {
        Self {
            quiet_ms,
            contacts: BTreeMap::new(),
        }
    }

    /// A sensor shows `value`; returns it where that is an event.
    pub fn feed(&mut self, sensor: &str, value: i64, now_ms: u64) -> Option<i64> {
        if self.contacts.len() >= SENSORS_MAX && !self.contacts.contains_key(sensor) {
            return None;
        }
        let contact = self.contacts.entry(sensor.to_owned()).or_insert(Contact {
            passed: None,
            seen: value,
            quiet_until_ms: 0,
        });
        contact.seen = value;
        contact.settle(now_ms, self.quiet_ms)
    }

    /// The sensors that rest at another value now that they are listened to again.
    pub fn settle(&mut self, now_ms: u64) -> Vec<(String, i64)> {
        let quiet_ms = self.quiet_ms;
        self.contacts
            .iter_mut()
            .filter_map(|(sensor, contact)| {
                let value = contact.settle(now_ms, quiet_ms)?;
                Some((sensor.clone(), value))
            })
            .collect()
    }
}

impl Contact {
    fn settle(&mut self, now_ms: u64, quiet_ms: u64) -> Option<i64> {
        if now_ms < self.quiet_until_ms || self.passed == Some(self.seen) {
            return None;
        }
        self.passed = Some(self.seen);
        self.quiet_until_ms = now_ms + quiet_ms;
        Some(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bounces_in_five_milliseconds_are_one_event() {
        let mut debouncer = Debouncer::new(20);
        assert_eq!(debouncer.feed("door", 0, 0), Some(0));
        let mut events = Vec::new();
        for bounce in 0..10 {
            let value = i64::from(bounce % 2 == 0);
            events.extend(debouncer.feed("door", value, 1_000 + bounce / 2));
        }
        events.extend(debouncer.feed("door", 1, 1_005));
        for now in 1_006..2_000 {
            assert!(debouncer.settle(now).is_empty());
        }
        assert_eq!(events, [1]);
    }

    #[test]
    fn a_short_touch_is_two_events_and_its_end_is_not_lost() {
        let mut debouncer = Debouncer::new(20);
        debouncer.feed("drop", 0, 0);
        assert_eq!(debouncer.feed("drop", 1, 100), Some(1));
        assert_eq!(debouncer.feed("drop", 0, 103), None);
        assert!(debouncer.settle(119).is_empty());
        assert_eq!(debouncer.settle(120), [("drop".to_owned(), 0)]);
        assert!(debouncer.settle(200).is_empty());
    }

    #[test]
    fn sensors_do_not_hush_each_other() {
        let mut debouncer = Debouncer::new(20);
        assert_eq!(debouncer.feed("door", 1, 5), Some(1));
        assert_eq!(debouncer.feed("tilt", 1, 6), Some(1));
    }

    #[test]
    fn no_more_sensors_are_kept_than_the_limit() {
        let mut debouncer = Debouncer::new(1);
        for number in 0..SENSORS_MAX {
            debouncer.feed(&format!("s{number}"), 1, 0);
        }
        assert_eq!(debouncer.feed("one-more", 1, 0), None);
    }
}
