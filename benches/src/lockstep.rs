//! A graph in lock step: each layer names all events of the layer before.
//!
//! What a federation makes whose nodes are all up and equally far from each
//! other. It has the most parents per event, so it is the dearest graph for its
//! number of events.

use bytes::Bytes;
use dctrl_consensus::event::{EventHeader, ParentRef};
use dctrl_consensus::{Digest, Event, NodeIndex, NullSigner, PublicKey, Timestamp};

/// Nanoseconds between two layers.
const LAYER: u64 = 1_000_000;

/// `layers` layers of `nodes` events each, of one small transaction, in an order
/// in which each event follows its parents.
#[must_use]
pub fn graph(nodes: u16, layers: u64) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut before: Vec<ParentRef> = Vec::new();
    for layer in 0..layers {
        let made: Vec<Event> = (0..nodes)
            .map(|node| event(NodeIndex(node), layer, &before))
            .collect();
        before = made
            .iter()
            .map(|event| ParentRef {
                creator: event.header().creator,
                seq: layer,
                id: event.id(),
            })
            .collect();
        events.extend(made);
    }
    events
}

fn event(creator: NodeIndex, layer: u64, before: &[ParentRef]) -> Event {
    let own = before.iter().find(|parent| parent.creator == creator);
    let others = before.iter().filter(|parent| parent.creator != creator);
    let header = EventHeader {
        anchor: Digest::ZERO,
        epoch: 0,
        creator,
        seq: layer,
        timestamp: Timestamp(1 + layer * LAYER + u64::from(creator.0)),
        coin: 0,
        self_parent: own.map(|parent| parent.id),
        other_parents: others.copied().collect(),
        transaction_count: 0,
        payload_digest: Digest::ZERO,
    };
    let payload = [Bytes::from_static(b"a small transaction")];
    Event::create(header, &payload, &NullSigner(PublicKey([0; 32])))
}

#[cfg(test)]
mod tests {
    use dctrl_consensus::{Engine, Limits, Ordering};

    #[test]
    fn a_graph_in_lock_step_is_ordered_but_for_its_last_layers() {
        let limits = Limits::default();
        let mut engine = Engine::of(&[1; 4], &Ordering::default(), &limits).expect("weights");
        let progress = super::graph(4, 20)
            .into_iter()
            .map(|event| engine.feed(event).expect("valid").events);
        assert!(progress.sum::<usize>() >= 4 * 14);
    }
}
