//! What processes take from the machine over time: memory, open files, disk.
//!
//! A process that is killed begins anew, so the slope of memory is that within
//! lives: each life has a level of its own, and all have one slope.

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

/// Bytes in a page on the platforms that DCTRL runs on.
const PAGE_BYTES: f64 = 4096.0;

/// A process is looked at from this age on, seconds: before, it fills its
/// caches.
const YOUNG_S: f64 = 15.0;

/// A life shorter than this, seconds after its youth, says nothing of a slope.
const LIFE_S_MIN: f64 = 30.0;

/// Resident memory of one process that is a finding, megabytes.
pub(super) const RESIDENT_MB_MAX: f64 = 1_500.0;

/// Open files of one process that are a finding.
pub(super) const FILES_MAX: usize = 1_024;

/// Disk of one node that is a finding, megabytes.
pub(super) const DISK_MB_MAX: f64 = 2_000.0;

/// Growth of memory over lives of half an hour and more that is a finding,
/// megabytes a minute.
pub(super) const SLOPE_MB_PER_MIN_MAX: f64 = 4.0;

/// The slope counts as measured where lives add up to this, seconds.
const MEASURED_S: f64 = 120.0;

/// All samples.
#[derive(Debug)]
pub(super) struct Watch {
    begun: Instant,
    /// By process id, which names a life: seconds and megabytes.
    lives: BTreeMap<u32, Vec<(f64, f64)>>,
    pub(super) resident_mb_max: f64,
    pub(super) files_max: usize,
    pub(super) disk_mb_max: f64,
    /// Of all nodes together, at the first and the last look.
    pub(super) disk_mb: Option<(f64, f64)>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            lives: BTreeMap::new(),
            resident_mb_max: 0.0,
            files_max: 0,
            disk_mb_max: 0.0,
            disk_mb: None,
        }
    }

    /// Looks at these processes.
    pub(super) fn processes(&mut self, ids: impl Iterator<Item = u32>) {
        let now = self.begun.elapsed().as_secs_f64();
        for id in ids {
            let Some(mb) = resident_mb(id) else { continue };
            self.resident_mb_max = self.resident_mb_max.max(mb);
            self.files_max = self.files_max.max(open_files(id));
            self.lives.entry(id).or_default().push((now, mb));
        }
    }

    /// Looks at these folders.
    pub(super) fn folders<'a>(&mut self, folders: impl Iterator<Item = &'a Path>) {
        let mut all = 0.0;
        for folder in folders {
            let mb = folder_bytes(folder) as f64 / 1e6;
            self.disk_mb_max = self.disk_mb_max.max(mb);
            all += mb;
        }
        let (first, _) = self.disk_mb.unwrap_or((all, all));
        self.disk_mb = Some((first, all));
    }

    /// Megabytes a minute within lives; none where no life was long enough.
    pub(super) fn slope_mb_per_min(&self) -> Option<f64> {
        slope(self.lives.values().map(Vec::as_slice))
    }
}

/// The common slope of several lines of samples (seconds, megabytes), each
/// with a level of its own.
fn slope<'a>(lives: impl Iterator<Item = &'a [(f64, f64)]>) -> Option<f64> {
    let (mut both, mut squared, mut measured) = (0.0, 0.0, 0.0);
    for life in lives {
        let Some((born, _)) = life.first() else {
            continue;
        };
        let grown: Vec<_> = life.iter().filter(|(at, _)| at - born >= YOUNG_S).collect();
        let (Some((from, _)), Some((until, _))) = (grown.first(), grown.last()) else {
            continue;
        };
        if until - from < LIFE_S_MIN {
            continue;
        }
        measured += until - from;
        let count = grown.len() as f64;
        let time = grown.iter().map(|(at, _)| at).sum::<f64>() / count;
        let level = grown.iter().map(|(_, mb)| mb).sum::<f64>() / count;
        for (at, mb) in grown {
            both += (at - time) * (mb - level);
            squared += (at - time) * (at - time);
        }
    }
    (measured >= MEASURED_S && squared > 0.0).then(|| both / squared * 60.0)
}

fn resident_mb(id: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let pages: f64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES / 1e6)
}

fn open_files(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

fn folder_bytes(folder: &Path) -> u64 {
    // Files come and go while we look.
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.filter_map(Result::ok).map(|entry| {
        let Ok(meta) = entry.metadata() else { return 0 };
        if meta.is_dir() {
            folder_bytes(&entry.path())
        } else {
            meta.len()
        }
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(begin: u32, level: f64, per_min: f64) -> Vec<(f64, f64)> {
        let at = |second: u32| f64::from(begin + second);
        (0..120)
            .map(|second| (at(second), level + per_min * f64::from(second) / 60.0))
            .collect()
    }

    #[test]
    fn the_slope_is_that_within_lives_whatever_their_levels_are() {
        let lives = [life(0, 500.0, 3.0), life(200, 50.0, 3.0)];
        let found = slope(lives.iter().map(Vec::as_slice)).expect("long enough");
        assert!((found - 3.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn short_lives_have_no_slope() {
        let short: Vec<_> = life(0, 1.0, 9.0).into_iter().take(40).collect();
        assert_eq!(slope([short.as_slice()].into_iter()), None);
    }

    #[test]
    fn this_process_has_memory_and_open_files_and_a_folder_its_bytes() {
        let mut watch = Watch::new();
        watch.processes([std::process::id()].into_iter());
        assert!(watch.resident_mb_max > 0.0 && watch.files_max > 0);
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("deeper")).expect("made");
        fs::write(folder.path().join("deeper/file"), [0; 1000]).expect("written");
        assert_eq!(folder_bytes(folder.path()), 1000);
    }
}
