//! Alerts: raised once, cleared once, kept in a file of JSON lines.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

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
pub(super) struct AlertFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    open: BTreeSet<Alert>,
}

impl AlertFile {
    /// Opens the file and learns which alerts it leaves open.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        let bytes = file.metadata()?.len();
        let mut open = BTreeSet::new();
        for line in BufReader::new(&file).split(b'\n') {
            // A torn line was never told to anybody either.
            let Ok(line) = serde_json::from_slice::<Line>(&line?) else {
                continue;
            };
            if line.raised {
                open.insert(line.alert);
            } else {
                open.remove(&line.alert);
            }
        }
        let torn = bytes > 0 && !ends_with_newline(path, bytes)?;
        if torn {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes: bytes + u64::from(torn),
            open,
        })
    }

    /// The alerts that were raised and not cleared.
    pub(super) fn open_alerts(&self) -> &BTreeSet<Alert> {
        &self.open
    }

    /// Writes what has changed; raised alerts are warnings in the log too.
    pub(super) fn update(&mut self, now: &BTreeSet<Alert>, time_ms: u64) -> io::Result<()> {
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
        let mut line = serde_json::to_vec(&Line {
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

fn ends_with_newline(path: &Path, bytes: u64) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(bytes - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
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
