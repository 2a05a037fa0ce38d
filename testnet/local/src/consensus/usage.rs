//! What processes use, as the kernel tells.

use std::fs;

use anyhow::{Context, Result};

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu_us: f64,
    pub(super) disk_bytes: f64,
}

/// Kernel clock ticks in a second, as `/proc` counts on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields of `/proc/<id>/stat` behind the command, from 0: time in user and in
/// system mode.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// Bytes in a page on the platforms that DCTRL runs on.
const PAGE_BYTES: f64 = 4096.0;

pub(super) fn of(id: u32) -> Result<Usage> {
    let stat = read(&format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("an unknown form of stat")?;
    let fields: Vec<f64> = fields
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let ticks = |at: usize| fields.get(at).copied().unwrap_or(0.0);
    let io = read(&format!("/proc/{id}/io"))?;
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(Usage {
        cpu_us: (ticks(USER_TICKS) + ticks(SYSTEM_TICKS)) / TICKS_PER_SECOND * 1e6,
        disk_bytes: written.and_then(|bytes| bytes.parse().ok()).unwrap_or(0.0),
    })
}

/// Resident memory now, bytes.
pub(super) fn resident_bytes(id: u32) -> f64 {
    let pages = read(&format!("/proc/{id}/statm"))
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * PAGE_BYTES
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// Resident memory of all nodes over time.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Seconds and megabytes.
    samples: Vec<(f64, f64)>,
}

impl Memory {
    pub(super) fn sample(&mut self, seconds: f64, ids: &[u32]) {
        let bytes: f64 = ids.iter().map(|id| resident_bytes(*id)).sum();
        self.samples.push((seconds, bytes / 1e6));
    }

    pub(super) fn peak_mb(&self) -> f64 {
        self.samples.iter().map(|(_, mb)| *mb).fold(0.0, f64::max)
    }

    /// The slope of the line with the least squares, megabytes a minute.
    pub(super) fn slope_mb_per_min(&self) -> f64 {
        let count = self.samples.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| self.samples.iter().map(of).sum::<f64>() / count;
        let (time, memory) = (mean(|it| it.0), mean(|it| it.1));
        let deviation = |(at, mb): &(f64, f64)| ((at - time) * (mb - memory), (at - time).powi(2));
        let sums = self.samples.iter().map(deviation);
        let (both, squared) = sums.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        if squared > 0.0 {
            both / squared * 60.0
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_the_slope_is_that_of_the_line() {
        let own = std::process::id();
        assert!(resident_bytes(own) > 0.0);
        assert!(of(own).is_ok());
        let samples = (0..10).map(|second| (f64::from(second), 100.0 + f64::from(second)));
        let memory = Memory {
            samples: samples.collect(),
        };
        assert!((memory.slope_mb_per_min() - 60.0).abs() < 1e-6);
        assert_eq!(memory.peak_mb(), 109.0);
        assert_eq!(Memory::default().slope_mb_per_min(), 0.0);
    }
}
