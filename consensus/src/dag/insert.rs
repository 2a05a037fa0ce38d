//! Taking an event into the graph.
//!
//! Validity depends on the event and its ancestry only, so all honest nodes
//! agree about it whenever they learn of the event:
//! - parents are what the event says;
//! - it is later than its self-parent;
//! - it does not know of a fork by its own creator;
//! - it names no parent by a creator whose fork its self-parent knows;
//! - it is not one too many of its creator in one layer.
//!
//! The third and fourth bound what a forker can do: on any path each creator's events
//! form one chain, so an honest event meets a few branches per node at most.

use super::{Branch, Dag, Slot, Vertex};
use crate::event::Event;
use crate::id::{Digest, NodeIndex};
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

    /// Inserts a valid event whose parents are all there.
    pub(crate) fn insert(&mut self, event: Event) -> Result<Slot, RefusalReason> {
        let vertex = self.derive(event)?;
        self.check(&vertex)?;
        Ok(self.push(vertex))
    }

    /// Inserts an event whose parents are all there, and asks no more of it:
    /// graphs made elsewhere know other rules of validity than ours. The graph,
    /// elections and order hold up against any such event.
    pub(crate) fn insert_unchecked(&mut self, event: Event) -> Result<Slot, RefusalReason> {
        let vertex = self.derive(event)?;
        Ok(self.push(vertex))
    }

    fn push(&mut self, vertex: Vertex) -> Slot {
        // An event takes hundreds of bytes, so slots outlast the memory.
        let slot = Slot::try_from(self.vertices.len()).unwrap_or(Slot::MAX);
        if vertex.branch == self.branches.len() {
            let start = vertex.seq();
            self.branches.push(Branch {
                start,
                events: Vec::new(),
            });
            self.branches_of[vertex.creator().position()].push(vertex.branch);
            self.branched.insert(vertex.creator());
        }
        self.branches[vertex.branch].events.push(slot);
        let vertices = &self.vertices;
        self.by_id.insert(&vertex.event.id(), slot, |slot| {
            vertices[slot as usize].event.id()
        });
        self.encoded_bytes += vertex.event.encoded().len();
        self.vertices.push(vertex);
        slot
    }

    /// The rules of validity, beyond that the parents are what the event says.
    fn check(&self, vertex: &Vertex) -> Result<(), RefusalReason> {
        let creator = vertex.creator();
        let before = vertex.self_parent.map(|slot| self.vertex(slot));
        let time = vertex.event.header().timestamp;
        if before.is_some_and(|before| time <= before.event.header().timestamp) {
            return Err(RefusalReason::NotLater);
        }
        let known = before.map_or(NodeSet::default(), |before| before.forked);
        let parents = vertex.other_parents.iter();
        if parents
            .map(|&slot| self.vertex(slot).creator())
            .any(|creator| known.contains(creator))
        {
            return Err(RefusalReason::KnownForker);
        }
        if vertex.branch == self.branches.len()
            && self.branches_of[creator.position()].len() >= self.branches_max
        {
            return Err(RefusalReason::BranchesFull);
        }
        if vertex.forked.contains(creator) {
            return Err(RefusalReason::OwnFork);
        }
        if vertex.layer_repeats >= self.layer_events_max {
            return Err(RefusalReason::LayerFull);
        }
        Ok(())
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

    /// What follows from the event's ancestry. Fails where a parent is missing
    /// or not what the event says.
    fn derive(&self, event: Event) -> Result<Vertex, RefusalReason> {
        let header = event.header();
        let self_parent = self.resolve_self_parent(&event)?;
        let other_parents = self.resolve_other_parents(&event)?;
        let branch = self.column_for(&event).unwrap_or(self.branches.len());
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
        self.mark_forks(&heads, &event, branch, &mut forked);
        heads[branch] = u32::try_from(self.vertices.len() + 1).unwrap_or(u32::MAX);
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
        let layer_repeats = before.map_or(0, |parent| parent.layer_repeats.saturating_add(1));
        Ok(Vertex {
            self_parent,
            other_parents,
            branch,
            heads: heads.into_boxed_slice(),
            forked,
            lamport,
            layer,
            layer_support,
            layer_repeats,
            record: 0,
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

    fn resolve_self_parent(&self, event: &Event) -> Result<Option<Slot>, RefusalReason> {
        let header = event.header();
        let Some(id) = header.self_parent else {
            return Ok(None);
        };
        let slot = self.find(&id).ok_or(RefusalReason::ParentMismatch)?;
        let parent = self.vertex(slot);
        if parent.creator() == header.creator && parent.seq() + 1 == header.seq {
            Ok(Some(slot))
        } else {
            Err(RefusalReason::ParentMismatch)
        }
    }

    fn resolve_other_parents(&self, event: &Event) -> Result<Box<[Slot]>, RefusalReason> {
        let resolve = |parent: &crate::event::ParentRef| {
            let slot = self.find(&parent.id).ok_or(RefusalReason::ParentMismatch)?;
            let vertex = self.vertex(slot);
            if vertex.creator() == parent.creator && vertex.seq() == parent.seq {
                Ok(slot)
            } else {
                Err(RefusalReason::ParentMismatch)
            }
        };
        event.header().other_parents.iter().map(resolve).collect()
    }

    /// Adds the creators of whom the parents' `heads` and the new event, which
    /// goes to the column `branch`, hold more than one chain. A chain of k
    /// events ends at seq k - 1; with a fork, more events than that are there.
    /// Only creators with several branches need a look.
    fn mark_forks(&self, heads: &[u32], event: &Event, branch: usize, forked: &mut NodeSet) {
        let (creator, seq) = (event.header().creator, event.header().seq);
        let opened = (branch == self.branches.len()).then_some(branch);
        let mut suspects = self.branched;
        if opened.is_some() {
            suspects.insert(creator);
        }
        for node in suspects.without(*forked).iter() {
            let (mut events, mut end) = (0, 0);
            let columns = self.branches_of[node.position()].iter().copied();
            for column in columns.chain(opened.filter(|_| node == creator)) {
                let start = self.branches.get(column).map_or(seq, |branch| branch.start);
                let above = if column == branch {
                    seq + 1
                } else {
                    let top = heads[column].checked_sub(1);
                    top.map_or(0, |top| self.vertex(top).seq() + 1)
                };
                if above > 0 {
                    events += above - start;
                    end = end.max(above);
                }
            }
            if events != end {
                forked.insert(node);
            }
        }
    }
}
