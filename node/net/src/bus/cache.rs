//! The last frame of each topic that says what is now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::limits::{CACHE_REPEAT_MS, CACHED_BYTES_MAX, CACHED_TOPICS_MAX};

/// The last-value cache. Keys are topics in their wire form.
#[derive(Default)]
pub(super) struct LastValues {
    values: BTreeMap<Vec<u8>, Value>,
    bytes: usize,
}

struct Value {
    frame: Bytes,
    /// Somebody subscribed since the frame was last repeated.
    due: bool,
    repeated_at: Option<Instant>,
}

/// Whether the last frame of `topic` is worth repeating: it replaces the
/// frames before it, while an event of any other topic stands for itself.
pub(super) fn is_state(topic: &str) -> bool {
    let machine_status = || {
        topic
            .strip_prefix("machine.")
            .and_then(|rest| rest.strip_suffix(".status"))
            .is_some_and(|id| !id.is_empty() && !id.contains('.'))
    };
    topic == "chain" || topic.starts_with("price.") || machine_status()
}

impl LastValues {
    /// Keeps `frame` as the last of its topic; false where the cache is full.
    pub(super) fn put(&mut self, wire_topic: &[u8], frame: Bytes) -> bool {
        let old = self.values.get(wire_topic).map(|value| value.frame.len());
        let bytes = self.bytes - old.unwrap_or(0) + frame.len();
        let full = old.is_none() && self.values.len() >= CACHED_TOPICS_MAX;
        if full || bytes > CACHED_BYTES_MAX {
            // A stale value must not be repeated as if it were the last.
            if let Some(stale) = self.values.remove(wire_topic) {
                self.bytes -= stale.frame.len();
            }
            return false;
        }
        self.bytes = bytes;
        match self.values.get_mut(wire_topic) {
            Some(value) => value.frame = frame,
            None => {
                let value = Value {
                    frame,
                    due: false,
                    repeated_at: None,
                };
                self.values.insert(wire_topic.to_vec(), value);
            }
        }
        true
    }

    /// Somebody subscribed to `prefix`: its frames are to be repeated.
    pub(super) fn subscribed(&mut self, prefix: &[u8]) {
        let matching = self.values.range_mut(prefix.to_vec()..);
        for (_, value) in matching.take_while(|(topic, _)| topic.starts_with(prefix)) {
            value.due = true;
        }
    }

    /// The frames that are due and were not repeated a moment ago.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Vec<u8>, Bytes)> {
        let mut frames = Vec::new();
        for (topic, value) in &mut self.values {
            if value.due && value.wait(now).is_zero() {
                value.due = false;
                value.repeated_at = Some(now);
                frames.push((topic.clone(), value.frame.clone()));
            }
        }
        frames
    }

    /// How long until [`LastValues::take_due`] has something, if ever.
    pub(super) fn next_due(&self, now: Instant) -> Option<Duration> {
        let due = self.values.values().filter(|value| value.due);
        due.map(|value| value.wait(now)).min()
    }
}

impl Value {
    fn wait(&self, now: Instant) -> Duration {
        let pause = Duration::from_millis(CACHE_REPEAT_MS);
        self.repeated_at.map_or(Duration::ZERO, |at| {
            (at + pause).saturating_duration_since(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use dctrl_proto::topic;

    use super::*;

    fn cached(topics: &[&str]) -> LastValues {
        let mut cache = LastValues::default();
        for name in topics {
            assert!(cache.put(&topic::wire(name), Bytes::from(name.to_string())));
        }
        cache
    }

    fn names(frames: Vec<(Vec<u8>, Bytes)>) -> Vec<String> {
        let text = |frame: Bytes| String::from_utf8(frame.to_vec()).unwrap();
        frames.into_iter().map(|(_, frame)| text(frame)).collect()
    }

    #[test]
    fn only_topics_that_replace_their_past_are_cached() {
        for topic in ["chain", "price.EUR", "machine.m1.status"] {
            assert!(is_state(topic), "{topic}");
        }
        for topic in [
            "machine.m1.order",
            "vend.m1",
            "machine..status",
            "block",
            "chains",
        ] {
            assert!(!is_state(topic), "{topic}");
        }
    }

    #[test]
    fn a_subscription_makes_exactly_its_topics_due() {
        let now = Instant::now();
        let mut cache = cached(&["machine.m1.status", "machine.m10.status", "price.EUR"]);
        assert!(cache.take_due(now).is_empty());
        cache.subscribed(&topic::wire_subscription("machine.m1."));
        assert_eq!(names(cache.take_due(now)), ["machine.m1.status"]);
        cache.subscribed(b"");
        let late = now + Duration::from_secs(1);
        assert_eq!(cache.take_due(late).len(), 3);
    }

    #[test]
    fn whoever_subscribes_in_a_loop_is_served_after_the_pause() {
        let now = Instant::now();
        let mut cache = cached(&["chain"]);
        cache.subscribed(b"");
        assert_eq!(cache.take_due(now).len(), 1);
        cache.subscribed(b"");
        assert!(cache.take_due(now).is_empty());
        let wait = cache.next_due(now).unwrap();
        assert_eq!(wait, Duration::from_millis(CACHE_REPEAT_MS));
        assert_eq!(cache.take_due(now + wait).len(), 1);
        assert_eq!(cache.next_due(now), None);
    }

    #[test]
    fn the_cache_is_bounded_and_never_keeps_a_stale_value() {
        let mut cache = LastValues::default();
        for number in 0..CACHED_TOPICS_MAX {
            assert!(cache.put(&topic::wire(&format!("price.{number}")), Bytes::new()));
        }
        assert!(!cache.put(b"price.more\0", Bytes::new()));
        let huge = Bytes::from(vec![0; CACHED_BYTES_MAX + 1]);
        assert!(!cache.put(&topic::wire("price.0"), huge));
        assert!(!cache.values.contains_key(&topic::wire("price.0")));
    }
}
