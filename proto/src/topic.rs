//! Topics of the bus: segments joined by `.`, and how a subscription matches.
//!
//! A subscription is an exact topic, or a prefix that ends in `.`, or empty
//! for everything. Matching is by whole segments: `site1` never matches
//! `site10`.

/// Longest topic, bytes.
pub const TOPIC_BYTES_MAX: usize = 64;

/// Topic of the uncertified hint that names the last final height.
pub const TIP_HINT: &str = "_tip";

/// Whether `subscription` covers `topic`.
#[must_use]
pub fn matches(subscription: &str, topic: &str) -> bool {
    if subscription.is_empty() {
        return !topic.starts_with('_');
    }
    if subscription.ends_with('.') {
        topic.starts_with(subscription)
    } else {
        topic == subscription
    }
}

/// Whether any of `subscriptions` covers `topic`; no subscription means all.
#[must_use]
pub fn matches_any(subscriptions: &[String], topic: &str) -> bool {
    subscriptions.is_empty() || subscriptions.iter().any(|one| matches(one, topic))
}

/// ZeroMQ part 0 of a frame: the topic and a zero byte, so that ZeroMQ's
/// prefix matching cannot confuse `machine.m1` with `machine.m10`.
#[must_use]
pub fn wire(topic: &str) -> Vec<u8> {
    let mut bytes = topic.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The ZeroMQ subscription prefix of a subscription.
#[must_use]
pub fn wire_subscription(subscription: &str) -> Vec<u8> {
    if subscription.is_empty() || subscription.ends_with('.') {
        subscription.as_bytes().to_vec()
    } else {
        wire(subscription)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_matches_whole_segments_only() {
        assert!(matches("machine.m1.order", "machine.m1.order"));
        assert!(matches("machine.m1.", "machine.m1.order"));
        assert!(!matches("machine.m1", "machine.m10"));
        assert!(!matches("machine.m1.", "machine.m10.order"));
        assert!(!matches("auth", "authx"));
        assert!(matches("", "vend.m1"));
        assert!(!matches("", TIP_HINT));
    }

    #[test]
    fn the_wire_form_keeps_zeromq_from_matching_a_longer_topic() {
        assert!(!wire("machine.m10").starts_with(&wire_subscription("machine.m1")));
        assert!(wire("machine.m1.order").starts_with(&wire_subscription("machine.m1.")));
    }
}
