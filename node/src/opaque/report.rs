//! What the load process is told. Each report is a kind byte, the length of
//! the rest as u32, and the rest; numbers are little-endian.

use std::time::{SystemTime, UNIX_EPOCH};

use dctrl_consensus::Digest;

/// One report.
pub(super) enum Report {
    /// A block is durable: height, time, digest, count of transactions, and
    /// the labels of this node's own ones.
    Durable {
        height: u64,
        at_ns: u64,
        digest: Digest,
        transactions: u32,
        labels: Vec<u8>,
    },
    /// The certificates up to this height are durable.
    Final { height: u64, at_ns: u64 },
    /// So many transactions were refused since the last such report.
    Refused(u64),
    /// The answer to an empty transaction.
    Meters(Vec<u64>),
}

/// Nanoseconds since the Unix epoch, as the load process counts them.
pub(super) fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

impl Report {
    /// Appends the report to what will be sent.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Durable {
                height,
                at_ns,
                digest,
                transactions,
                labels,
            } => {
                let parts: [&[u8]; 5] = [
                    &height.to_le_bytes(),
                    &at_ns.to_le_bytes(),
                    &digest.0,
                    &transactions.to_le_bytes(),
                    labels,
                ];
                frame(out, b'D', &parts);
            }
            Self::Final { height, at_ns } => {
                frame(out, b'F', &[&height.to_le_bytes(), &at_ns.to_le_bytes()]);
            }
            Self::Refused(count) => frame(out, b'R', &[&count.to_le_bytes()]),
            Self::Meters(numbers) => {
                let numbers: Vec<[u8; 8]> = numbers.iter().map(|it| it.to_le_bytes()).collect();
                let parts: Vec<&[u8]> = numbers.iter().map(<[u8; 8]>::as_slice).collect();
                frame(out, b'M', &parts);
            }
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}
