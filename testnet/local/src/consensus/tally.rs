//! What the nodes report, put together: a transaction is committed when the
//! last node has executed its block and synced it.

use std::collections::BTreeMap;

use super::histogram::Histogram;

/// A report as `dctrl-node opaque` sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    Durable {
        height: u64,
        at_ns: u64,
        digest: [u8; 32],
        transactions: u32,
        labels: Vec<u64>,
    },
    Final {
        height: u64,
        at_ns: u64,
    },
    Refused(u64),
    Meters(Vec<u64>),
}

/// Reads one report from the front of `bytes`; gives it with its length, and
/// nothing where it is not whole yet.
pub(super) fn parse(bytes: &[u8]) -> Option<(Option<Report>, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let body = rest.get(..length)?;
    let number = |at: usize| {
        let bytes = body.get(at..at + 8).and_then(|it| it.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let numbers = |from: usize| (from..length).step_by(8).map(number).collect::<Vec<u64>>();
    let report = match kind {
        b'D' => body
            .get(16..48)
            .and_then(|digest| digest.first_chunk::<32>())
            .zip(body.get(48..52).and_then(|it| it.first_chunk::<4>()))
            .map(|(digest, count)| Report::Durable {
                height: number(0),
                at_ns: number(8),
                digest: *digest,
                transactions: u32::from_le_bytes(*count),
                labels: numbers(52),
            }),
        b'F' => Some(Report::Final {
            height: number(0),
            at_ns: number(8),
        }),
        b'R' => Some(Report::Refused(number(0))),
        b'M' => Some(Report::Meters(numbers(0))),
        _ => None,
    };
    Some((report, 5 + length))
}

/// One block, until all nodes have it.
#[derive(Debug, Default)]
struct Block {
    digest: Option<[u8; 32]>,
    reported: usize,
    last_ns: u64,
    transactions: u32,
    labels: Vec<u64>,
}

/// Everything that was reported.
#[derive(Debug)]
pub(super) struct Tally {
    nodes: usize,
    /// Only what is due between these times is measured.
    window_ns: (u64, u64),
    /// What is added to a label to have the time at which it is due.
    label_ns: u64,
    open: BTreeMap<u64, Block>,
    /// Committed everywhere, not final everywhere.
    unfinal: BTreeMap<u64, Vec<u64>>,
    finals: Vec<(u64, u64)>,
    pub(super) committed: Histogram,
    pub(super) finalised: Histogram,
    /// Committed by the last node within the window.
    pub(super) committed_in_window: u64,
    pub(super) blocks_in_window: u64,
    pub(super) committed_total: u64,
    pub(super) refused: u64,
    pub(super) digests_equal: bool,
    pub(super) meters: Vec<Vec<u64>>,
}

impl Tally {
    pub(super) fn new(nodes: usize, window_ns: (u64, u64), label_ns: u64) -> Self {
        Self {
            nodes,
            window_ns,
            label_ns,
            open: BTreeMap::new(),
            unfinal: BTreeMap::new(),
            finals: vec![(0, 0); nodes],
            committed: Histogram::default(),
            finalised: Histogram::default(),
            committed_in_window: 0,
            blocks_in_window: 0,
            committed_total: 0,
            refused: 0,
            digests_equal: true,
            meters: Vec::new(),
        }
    }

    /// Whether every node has reported what any node has.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn take(&mut self, node: usize, report: Report) {
        match report {
            Report::Durable {
                height,
                at_ns,
                digest,
                transactions,
                labels,
            } => {
                let block = self.open.entry(height).or_default();
                self.digests_equal &= *block.digest.get_or_insert(digest) == digest;
                block.reported += 1;
                block.last_ns = block.last_ns.max(at_ns);
                block.transactions = transactions;
                let due = labels.into_iter().map(|label| label + self.label_ns);
                block.labels.extend(due);
                if block.reported == self.nodes
                    && let Some(block) = self.open.remove(&height)
                {
                    self.committed_everywhere(height, block);
                }
            }
            Report::Final { height, at_ns } => {
                self.finals[node] = (height, at_ns);
                self.final_everywhere();
            }
            Report::Refused(count) => self.refused += count,
            Report::Meters(numbers) => self.meters.push(numbers),
        }
    }

    /// How long what this meter counts takes on average over all nodes and the
    /// whole run, microseconds.
    pub(super) fn meter_us(&self, meter: usize) -> f64 {
        let read = |numbers: &Vec<u64>, at: usize| numbers.get(at).copied().unwrap_or(0);
        let sum = |at: usize| self.meters.iter().map(|it| read(it, at)).sum::<u64>() as f64;
        sum(2 * meter + 1) / sum(2 * meter).max(1.0) / 1e3
    }

    fn measured(&self, due_ns: u64) -> bool {
        (self.window_ns.0..self.window_ns.1).contains(&due_ns)
    }

    fn committed_everywhere(&mut self, height: u64, block: Block) {
        self.committed_total += u64::from(block.transactions);
        if self.measured(block.last_ns) {
            self.committed_in_window += u64::from(block.transactions);
            self.blocks_in_window += 1;
        }
        let mut labels = block.labels;
        labels.retain(|due_ns| self.measured(*due_ns));
        for due_ns in &labels {
            self.committed.add(block.last_ns.saturating_sub(*due_ns));
        }
        self.unfinal.insert(height, labels);
    }

    fn final_everywhere(&mut self) {
        let through = self.finals.iter().map(|(height, _)| *height).min();
        let last_ns = self.finals.iter().map(|(_, at_ns)| *at_ns).max();
        let (Some(through), Some(last_ns)) = (through, last_ns) else {
            return;
        };
        let open = self.unfinal.split_off(&(through + 1));
        for due_ns in std::mem::replace(&mut self.unfinal, open)
            .into_values()
            .flatten()
        {
            self.finalised.add(last_ns.saturating_sub(due_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable(at_ns: u64, digest: u8, labels: &[u64]) -> Report {
        Report::Durable {
            height: 1,
            at_ns,
            digest: [digest; 32],
            transactions: 2,
            labels: labels.to_vec(),
        }
    }

    #[test]
    fn a_transaction_counts_when_the_last_node_has_it() {
        let mut tally = Tally::new(2, (0, 10_000_000), 0);
        tally.take(0, durable(1_000_000, 1, &[0]));
        assert_eq!(tally.committed.total(), 0);
        assert!(!tally.is_settled());
        tally.take(1, durable(4_000_000, 1, &[0]));
        assert_eq!(tally.committed.total(), 2);
        assert_eq!(tally.committed.max_ms(), 4.0);
        assert_eq!(tally.committed_in_window, 2);
        assert!(tally.digests_equal && tally.is_settled());
        tally.take(
            0,
            Report::Final {
                height: 1,
                at_ns: 5_000_000,
            },
        );
        assert_eq!(tally.finalised.total(), 0);
        tally.take(
            1,
            Report::Final {
                height: 1,
                at_ns: 6_000_000,
            },
        );
        assert_eq!(tally.finalised.max_ms(), 6.0);
    }

    #[test]
    fn two_digests_at_one_height_are_noticed() {
        let mut tally = Tally::new(2, (0, 1), 0);
        tally.take(0, durable(1, 1, &[]));
        tally.take(1, durable(1, 2, &[]));
        assert!(!tally.digests_equal);
    }

    #[test]
    fn a_report_is_read_once_it_is_whole() {
        let mut bytes = vec![b'R', 8, 0, 0, 0];
        bytes.extend_from_slice(&7u64.to_le_bytes());
        assert!(parse(&bytes[..12]).is_none());
        assert_eq!(parse(&bytes), Some((Some(Report::Refused(7)), 13)));
    }
}
