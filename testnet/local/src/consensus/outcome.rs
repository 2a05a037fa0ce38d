//! What one run came to.

use std::fmt;

use serde_json::{Value, json};

use super::{tally::Tally, usage::Memory, work::Snapshot};

/// Of what was offered, this much must be committed for a rate to be kept up.
const KEPT_UP: f64 = 0.99;

/// Places of the nodes' meters in their reports.
const SIGN: usize = 0;
const SYNC: usize = 1;
const VERIFY: usize = 2;
const ARRIVAL: usize = 3;
const LAYER: usize = 4;

/// Where a layer's time goes, microseconds.
struct Parts {
    /// From one own event to the next.
    layer: f64,
    /// One signature.
    sign: f64,
    /// One batch, until it is durable.
    sync: f64,
    /// One batch of signatures.
    verify: f64,
    /// What is left of an event's way from its making to a peer's core: frames,
    /// ciphers, sockets, and the threads between them.
    wire: f64,
    /// What is left of a layer: for the last peer's event, for a processor.
    wait: f64,
}

/// What the measured span cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// All nodes together.
    cpu_us: f64,
    load_cpu_us: f64,
    disk_bytes: f64,
    loopback_bytes: f64,
    seconds: f64,
}

impl Cost {
    pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let sum = |of: fn(&super::usage::Usage) -> f64| {
            let total = |at: &Snapshot| at.nodes.iter().map(of).sum::<f64>();
            total(after) - total(before)
        };
        Self {
            cpu_us: sum(|usage| usage.cpu_us),
            disk_bytes: sum(|usage| usage.disk_bytes),
            load_cpu_us: after.load.cpu_us - before.load.cpu_us,
            loopback_bytes: after.loopback_bytes - before.loopback_bytes,
            seconds: after.at.duration_since(before.at).as_secs_f64(),
        }
    }
}

/// One run.
pub(super) struct Outcome {
    pub(super) nodes: u16,
    pub(super) payload: u32,
    pub(super) offered: f64,
    pub(super) seconds: f64,
    pub(super) sent: u64,
    pub(super) cost: Cost,
    pub(super) memory: Memory,
    pub(super) tally: Tally,
}

impl Outcome {
    pub(super) fn committed_tx_per_s(&self) -> f64 {
        self.tally.committed_in_window as f64 / self.seconds
    }

    /// Whether what was offered was committed.
    pub(super) fn keeps_up(&self) -> bool {
        self.committed_tx_per_s() >= self.offered * KEPT_UP
    }

    pub(super) fn digests_equal(&self) -> bool {
        self.tally.digests_equal
    }

    /// Whether everything that was sent is accounted for.
    pub(super) fn is_sound(&self) -> bool {
        self.tally.digests_equal && self.lost() == 0
    }

    /// Sent, not refused, and not committed everywhere.
    fn lost(&self) -> u64 {
        let answered = self.tally.committed_total + self.tally.refused;
        self.sent.saturating_sub(answered)
    }

    /// A cost of all nodes, for one committed transaction and one node.
    fn per_tx_node(&self, cost: f64) -> f64 {
        let committed = self.tally.committed_in_window as f64 * f64::from(self.nodes);
        if committed > 0.0 {
            cost / committed
        } else {
            0.0
        }
    }

    /// What nodes sent to each other: the loopback without the load.
    fn wire_bytes(&self) -> f64 {
        let load = self.offered * self.seconds * f64::from(self.payload + 4);
        (self.cost.loopback_bytes - load).max(0.0)
    }

    fn parts(&self) -> Parts {
        let us = |meter| self.tally.meter_us(meter);
        let (sign, sync, verify, layer) = (us(SIGN), us(SYNC), us(VERIFY), us(LAYER));
        let wire = (us(ARRIVAL) - sign - sync - verify).max(0.0);
        Parts {
            layer,
            sign,
            sync,
            verify,
            wire,
            wait: (layer - sign - sync - verify - wire).max(0.0),
        }
    }

    pub(super) fn json(&self) -> Value {
        let parts = self.parts();
        let (tally, nodes) = (&self.tally, f64::from(self.nodes));
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        json!({
            "ok": self.is_sound(),
            "bench": "consensus",
            "nodes": self.nodes,
            "payload": self.payload,
            "offered_tx_per_s": rounded(self.offered),
            "committed_tx_per_s": rounded(self.committed_tx_per_s()),
            "measured_tx": tally.committed.total(),
            "p50_ms": rounded(tally.committed.percentile_ms(50)),
            "p90_ms": rounded(tally.committed.percentile_ms(90)),
            "p99_ms": rounded(tally.committed.percentile_ms(99)),
            "max_ms": rounded(tally.committed.max_ms()),
            "final_p50_ms": rounded(tally.finalised.percentile_ms(50)),
            "final_p99_ms": rounded(tally.finalised.percentile_ms(99)),
            "blocks_per_s": rounded(tally.blocks_in_window as f64 / self.seconds),
            "cpu_us_per_tx_node": rounded(self.per_tx_node(self.cost.cpu_us)),
            "wire_bytes_per_tx_node": rounded(self.per_tx_node(self.wire_bytes())),
            "disk_bytes_per_tx_node": rounded(self.per_tx_node(self.cost.disk_bytes)),
            "cpu_share_per_node": rounded(self.cost.cpu_us / self.cost.seconds / 1e6 / nodes),
            "load_cpu_share": rounded(self.cost.load_cpu_us / self.cost.seconds / 1e6),
            "wire_bytes_per_s_node": rounded(self.wire_bytes() / self.cost.seconds / nodes),
            "layer_us": rounded(parts.layer),
            "sign_us": rounded(parts.sign),
            "sync_us": rounded(parts.sync),
            "verify_us": rounded(parts.verify),
            "wire_us": rounded(parts.wire),
            "wait_us": rounded(parts.wait),
            "rss_mb_total": rounded(self.memory.peak_mb()),
            "rss_slope_mb_per_min": rounded(self.memory.slope_mb_per_min()),
            "sent_tx": self.sent,
            "refused_tx": tally.refused,
            "lost_tx": self.lost(),
            "state_digests_equal": tally.digests_equal,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "committed by all {} nodes: {:.0} tx/s of {:.0} offered, {} refused, {} lost",
            self.nodes,
            self.committed_tx_per_s(),
            self.offered,
            tally.refused,
            self.lost()
        )?;
        writeln!(
            f,
            "committed after p50 {:.2} ms   p90 {:.2} ms   p99 {:.2} ms   max {:.2} ms; final p50 {:.2} ms",
            tally.committed.percentile_ms(50),
            tally.committed.percentile_ms(90),
            tally.committed.percentile_ms(99),
            tally.committed.max_ms(),
            tally.finalised.percentile_ms(50)
        )?;
        let parts = self.parts();
        writeln!(
            f,
            "a layer takes {:.2} ms: sign {:.2}, sync {:.2}, verify {:.2}, wire {:.2}, wait {:.2}",
            parts.layer / 1e3,
            parts.sign / 1e3,
            parts.sync / 1e3,
            parts.verify / 1e3,
            parts.wire / 1e3,
            parts.wait / 1e3
        )?;
        writeln!(
            f,
            "a transaction costs each node {:.2} us of processor, {:.0} bytes on the wire, {:.0} on disk; \
             a node takes {:.1} % of a core",
            self.per_tx_node(self.cost.cpu_us),
            self.per_tx_node(self.wire_bytes()),
            self.per_tx_node(self.cost.disk_bytes),
            self.cost.cpu_us / self.cost.seconds / 1e4 / f64::from(self.nodes)
        )?;
        write!(
            f,
            "memory of all nodes: {:.0} MB at most, {:+.1} MB a minute; state digests {}",
            self.memory.peak_mb(),
            self.memory.slope_mb_per_min(),
            if tally.digests_equal {
                "equal"
            } else {
                "DIFFER"
            }
        )
    }
}
