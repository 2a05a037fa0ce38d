//! Alerts: raised once, cleared once, kept in a file of JSON lines, each with a
//! check of its own.
//!
//! A line that is damaged is passed over: what it raised is raised once more, what
//! it cleared is cleared once more, since what is open is told by the ledger.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::sealed;

/// The file begins anew, with the open alerts, beyond this size, bytes. The
/// one before it is kept beside it.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// No heartbeat for longer than the policy allows.
    Silent,
    /// The machine says why it cannot sell.
    NotReady(String),
    /// It signed two different receipts for one order.
    Quarantined,
    /// A sensor reports trouble.
    Sensor(String),
    /// Nobody knows whether a vend was carried out.
    UncertainVend {
        /// The vend.
        vend: String,
        /// What is known.
        reason: String,
    },
}

/// One thing that is wrong with one machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alert {
    /// The machine's id.
    pub machine: String,
    /// What is wrong with it.
    pub kind: AlertKind,
}

impl Alert {
    /// For people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let machine = &self.machine;
        match &self.kind {
            AlertKind::Silent => format!("{machine} is silent"),
            AlertKind::NotReady(detail) if detail.is_empty() => format!("{machine} is not ready"),
            AlertKind::NotReady(detail) => format!("{machine} is not ready: {detail}"),
            AlertKind::Quarantined => {
                format!("{machine} is quarantined: it signed two different receipts")
            }
            AlertKind::Sensor(sensor) => format!("{machine} reports {sensor}"),
            AlertKind::UncertainVend { vend, reason } if reason.is_empty() => {
                format!("vend {vend} on {machine} is uncertain")
            }
            AlertKind::UncertainVend { vend, reason } => {
                format!("vend {vend} on {machine} is uncertain: {reason}")
            }
        }
    }
}

/// The open alerts, shared with whoever shows them.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    open: Arc<Mutex<BTreeSet<Alert>>>,
}

impl Alerts {
    /// The open alerts, each as a sentence.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(Alert::sentence).collect()
    }

    pub(super) fn set(&self, alerts: BTreeSet<Alert>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = alerts;
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    time_ms: u64,
    raised: bool,
    #[serde(flatten)]
    alert: Alert,
    sentence: String,
}

/// The file of alerts.
#[derive(Debug)]
pub struct AlertFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    open: BTreeSet<Alert>,
}

impl AlertFile {
    /// Opens the file and learns which alerts it leaves open.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        let (mut open, mut bytes) = (BTreeSet::new(), 0);
        each_line(&file, |line, length| {
            bytes += length;
            match line {
                Some(line) if line.raised => drop(open.insert(line.alert)),
                Some(line) => drop(open.remove(&line.alert)),
                None => tracing::warn!(path = %path.display(), "a damaged line is passed over"),
            }
        })?;
        // A torn line was never told to anybody.
        file.set_len(bytes)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            open,
        })
    }

    /// The first line of a file that is not as it was written, from 1. What a
    /// crash leaves of the last one is no damage.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn damaged_line(path: &Path) -> io::Result<Option<usize>> {
        let (mut number, mut damaged) = (0, None);
        each_line(&File::open(path)?, |line, _| {
            number += 1;
            if line.is_none() {
                damaged = damaged.or(Some(number));
            }
        })?;
        Ok(damaged)
    }

    /// The alerts that were raised and not cleared.
    #[must_use]
    pub fn open_alerts(&self) -> &BTreeSet<Alert> {
        &self.open
    }

    /// Writes what has changed; raised alerts are warnings in the log too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn update(&mut self, now: &BTreeSet<Alert>, time_ms: u64) -> io::Result<()> {
        let raised: Vec<Alert> = now.difference(&self.open).cloned().collect();
        let cleared: Vec<Alert> = self.open.difference(now).cloned().collect();
        if raised.is_empty() && cleared.is_empty() {
            return Ok(());
        }
        for alert in raised {
            tracing::warn!(machine = alert.machine, "{}", alert.sentence());
            self.write(&alert, true, time_ms)?;
            self.open.insert(alert);
        }
        for alert in cleared {
            tracing::info!(machine = alert.machine, "over: {}", alert.sentence());
            self.write(&alert, false, time_ms)?;
            self.open.remove(&alert);
        }
        if self.bytes > FILE_BYTES_MAX {
            self.rotate(time_ms)?;
        }
        Ok(())
    }

    fn write(&mut self, alert: &Alert, raised: bool, time_ms: u64) -> io::Result<()> {
        let mut line = sealed::seal(&Line {
            time_ms,
            raised,
            alert: alert.clone(),
            sentence: alert.sentence(),
        })?;
        line.push(b'\n');
        dctrl_crash::torn("effects.alerts.half_written", || {
            let _ = self.file.write_all(&line[..line.len() / 2]);
        });
        self.file.write_all(&line)?;
        dctrl_crash::point("effects.alerts.written");
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, time_ms: u64) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("old"))?;
        dctrl_crash::point("effects.alerts.set_aside");
        self.file = File::create(&self.path)?;
        self.bytes = 0;
        for alert in self.open.clone() {
            self.write(&alert, true, time_ms)?;
        }
        Ok(())
    }
}

/// Hands over each line that has an end, and its length with that, bytes; `None`
/// for one that is damaged.
fn each_line(file: &File, mut take: impl FnMut(Option<Line>, u64)) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        let Some(whole) = line.strip_suffix(b"\n") else {
            return Ok(());
        };
        take(sealed::open(whole), bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(machine: &str) -> Alert {
        Alert {
            machine: machine.to_owned(),
            kind: AlertKind::Sensor("tilt".to_owned()),
        }
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_alert_is_raised_once_and_cleared_once_even_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/alerts.jsonl");
        let tilted = BTreeSet::from([alert("m1")]);
        let mut file = AlertFile::open(&path).unwrap();
        file.update(&tilted, 1).unwrap();
        file.update(&tilted, 2).unwrap();
        let mut file = AlertFile::open(&path).unwrap();
        file.update(&tilted, 3).unwrap();
        assert_eq!(lines(&path).len(), 1);
        file.update(&BTreeSet::new(), 4).unwrap();
        let mut file = AlertFile::open(&path).unwrap();
        file.update(&BTreeSet::new(), 5).unwrap();
        let lines = lines(&path);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains(r#""raised":true"#) && lines[1].contains(r#""raised":false"#));
    }

    #[test]
    fn a_torn_line_is_skipped_and_the_next_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        fs::write(&path, br#"{"time_ms":1,"rai"#).unwrap();
        let mut file = AlertFile::open(&path).unwrap();
        file.update(&BTreeSet::from([alert("m1")]), 1).unwrap();
        assert_eq!(AlertFile::open(&path).unwrap().open.len(), 1);
    }

    #[test]
    fn a_damaged_line_is_named_and_no_other_alert_comes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let alerts = BTreeSet::from([alert("m1"), alert("m2")]);
        AlertFile::open(&path).unwrap().update(&alerts, 1).unwrap();
        assert_eq!(AlertFile::damaged_line(&path).unwrap(), None);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("m2", "m3", 1)).unwrap();
        assert_eq!(AlertFile::damaged_line(&path).unwrap(), Some(2));
        let mut file = AlertFile::open(&path).unwrap();
        assert_eq!(file.open_alerts(), &BTreeSet::from([alert("m1")]));
        file.update(&alerts, 2).unwrap();
        assert_eq!(AlertFile::open(&path).unwrap().open_alerts(), &alerts);
    }

    #[test]
    fn a_file_that_is_too_long_begins_anew_with_the_open_alerts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let mut file = AlertFile::open(&path).unwrap();
        file.update(&BTreeSet::from([alert("m1"), alert("m2")]), 1)
            .unwrap();
        file.bytes = FILE_BYTES_MAX + 1;
        file.update(&BTreeSet::from([alert("m2")]), 2).unwrap();
        assert_eq!(lines(&path).len(), 1);
        assert_eq!(
            AlertFile::open(&path).unwrap().open,
            BTreeSet::from([alert("m2")])
        );
        assert!(path.with_extension("old").exists());
    }
}
