//! Taking an event into the graph.
//!
//! Validity depends on the event and its ancestry only, so all honest nodes
//! agree about it whenever they learn of the event:
//! - parents are what the event says, and it is later than its self-parent;
//! - it does not know of a fork by its own creator;
//! - it names no parent by a creator whose fork its self-parent knows;
//! - it is not one too many of its creator in one layer.
//!
//! The second and third bound what a forker can do: on any path each creator's events
//! form one chain, so an honest event meets a few branches per node at most.

use super::{Branch, Dag, Slot, Vertex};
use crate::event::Event;
use crate::id::{Digest, NodeIndex, Timestamp};
use crate::interface::RefusalReason;
use crate::node_set::NodeSet;

impl Dag {
    /// The parents that are not in the graph yet, as (creator, seq, id).
    pub(crate) fn missing_parents(&self, event: &Event) -> Vec<(NodeIndex, u64, Digest)> {
        let header = event.header();
        let self_parent = header
            .self_parent
            .map(|id| (header.creator, header.seq - 1, id));
        let others = header
            .other_parents
            .iter()
            .map(|parent| (parent.creator, parent.seq, parent.id));
        self_parent
            .into_iter()
            .chain(others)
            .filter(|(_, _, id)| self.find(id).is_none())
            .collect()
    }

    /// An event that this one excludes: same creator, same sequence number.
    pub(crate) fn twin_of(&self, event: &Event) -> Option<Slot> {
        let header = event.header();
        self.all_at(header.creator, header.seq)
            .find(|&slot| self.vertex(slot).event.id() != event.id())
    }

    /// Whether the event would open a branch: its place in the chain is taken.
    pub(crate) fn would_branch(&self, event: &Event) -> bool {
        self.column_for(event).is_none()
    }

    /// Inserts an event whose parents are all there.
    pub(crate) fn insert(&mut self, event: Event) -> Result<Slot, RefusalReason> {
        let vertex = self.derive(event)?;
        let slot = Slot::try_from(self.vertices.len()).map_err(|_| RefusalReason::OrphansFull)?;
        if vertex.branch == self.branches.len() {
            let start = vertex.seq();
            self.branches.push(Branch {
                start,
                events: Vec::new(),
            });
            self.branches_of[vertex.creator().position()].push(vertex.branch);
        }
        self.branches[vertex.branch].events.push(slot);
        self.by_id.insert(vertex.event.id(), slot);
        self.encoded_bytes += vertex.event.encoded().len();
        self.vertices.push(vertex);
        Ok(slot)
    }

    /// The existing column that the event continues.
    fn column_for(&self, event: &Event) -> Option<usize> {
        let header = event.header();
        match header.self_parent.and_then(|id| self.find(&id)) {
            None => {
                let main = header.creator.position();
                self.branches[main].events.is_empty().then_some(main)
            }
            Some(parent) => {
                let column = self.vertex(parent).branch;
                (self.branches[column].events.last() == Some(&parent)).then_some(column)
            }
        }
    }

    fn derive(&self, event: Event) -> Result<Vertex, RefusalReason> {
        let header = event.header();
        let self_parent = self.check_self_parent(&event)?;
        let other_parents = self.check_other_parents(&event, self_parent)?;
        let branch = self.column_for(&event).unwrap_or(self.branches.len());
        if self.branches_of[header.creator.position()].len() >= self.branches_max
            && branch == self.branches.len()
        {
            return Err(RefusalReason::BranchesFull);
        }
        let parents = || {
            self_parent
                .iter()
                .chain(other_parents.iter())
                .map(|&slot| self.vertex(slot))
        };
        let mut heads = vec![0; self.branches.len().max(branch + 1)];
        let mut forked = NodeSet::default();
        for parent in parents() {
            forked = forked.union(parent.forked);
            for (head, of_parent) in heads.iter_mut().zip(parent.heads.iter()) {
                *head = (*head).max(*of_parent);
            }
        }
        heads[branch] = u32::try_from(header.seq + 1).map_err(|_| RefusalReason::ParentMismatch)?;
        self.mark_forks(&heads, header.creator, branch, &mut forked);
        if forked.contains(header.creator) {
            return Err(RefusalReason::OwnFork);
        }
        let lamport = parents()
            .map(|parent| parent.lamport + 1)
            .max()
            .unwrap_or(0);
        let (layer, mut layer_support) =
            self.layer_over(self_parent.iter().chain(other_parents.iter()));
        layer_support.insert(header.creator);
        let before = self_parent
            .map(|slot| self.vertex(slot))
            .filter(|parent| parent.layer == layer);
        let layer_repeats = before.map_or(0, |parent| parent.layer_repeats + 1);
        if layer_repeats >= self.layer_events_max {
            return Err(RefusalReason::LayerFull);
        }
        let heads = heads.into_boxed_slice();
        Ok(Vertex {
            self_parent,
            other_parents,
            branch,
            heads,
            forked,
            lamport,
            layer,
            layer_support,
            layer_repeats,
            event,
        })
    }

    /// The layer an event with these parents has, and the creators that
    /// already have an event of that layer among its ancestors.
    pub(crate) fn layer_over<'a>(
        &self,
        parents: impl Iterator<Item = &'a Slot> + Clone,
    ) -> (u64, NodeSet) {
        let parents = parents.map(|&slot| self.vertex(slot));
        let Some(highest) = parents.clone().map(|parent| parent.layer).max() else {
            return (0, NodeSet::default());
        };
        let support = parents
            .filter(|parent| parent.layer == highest)
            .fold(NodeSet::default(), |set, parent| {
                set.union(parent.layer_support)
            });
        if self.weights.set(support) >= self.weights.quorum() {
            (highest + 1, NodeSet::default())
        } else {
            (highest, support)
        }
    }

    fn check_self_parent(&self, event: &Event) -> Result<Option<Slot>, RefusalReason> {
        let header = event.header();
        let Some(id) = header.self_parent else {
            return Ok(None);
        };
        let slot = self.find(&id).ok_or(RefusalReason::ParentMismatch)?;
        let parent = self.vertex(slot);
        if parent.creator() != header.creator || parent.seq() + 1 != header.seq {
            return Err(RefusalReason::ParentMismatch);
        }
        let later: Timestamp = parent.event.header().timestamp;
        if header.timestamp <= later {
            Err(RefusalReason::NotLater)
        } else {
            Ok(Some(slot))
        }
    }

    fn check_other_parents(
        &self,
        event: &Event,
        self_parent: Option<Slot>,
    ) -> Result<Box<[Slot]>, RefusalReason> {
        let known_forkers = self_parent.map_or(NodeSet::default(), |slot| self.vertex(slot).forked);
        let check = |parent: &crate::event::ParentRef| {
            let slot = self.find(&parent.id).ok_or(RefusalReason::ParentMismatch)?;
            let vertex = self.vertex(slot);
            if vertex.creator() != parent.creator || vertex.seq() != parent.seq {
                return Err(RefusalReason::ParentMismatch);
            }
            if known_forkers.contains(parent.creator) {
                return Err(RefusalReason::KnownForker);
            }
            Ok(slot)
        };
        event.header().other_parents.iter().map(check).collect()
    }

    /// Adds the creators whose events under these heads are no single chain.
    /// A chain of k events ends at seq k - 1; with a fork, more events than
    /// that are there. Only creators with several branches need a look.
    fn mark_forks(&self, heads: &[u32], creator: NodeIndex, branch: usize, forked: &mut NodeSet) {
        for node in 0..self.members() {
            let Ok(node) = u16::try_from(node).map(NodeIndex) else {
                continue;
            };
            let columns = &self.branches_of[node.position()];
            let opens = node == creator && branch == self.branches.len();
            if columns.len() == 1 && !opens {
                continue;
            }
            let (mut events, mut end) = (0, 0);
            for &column in columns {
                let head = u64::from(heads[column]);
                if head > 0 {
                    events += head - self.branches[column].start;
                    end = end.max(head);
                }
            }
            if opens {
                // A new branch holds this event alone.
                events += 1;
                end = end.max(u64::from(heads[branch]));
            }
            if events != end {
                forked.insert(node);
            }
        }
    }
}
