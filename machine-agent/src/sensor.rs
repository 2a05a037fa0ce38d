//! Door, drop, tilt and coin: changes that are seen, debounced and passed on.
//!
//! Each source runs on its own thread and sends [`Report`]s; the state machine
//! numbers and journals them. A source is a GPIO line, or for tests and
//! drivers of other hardware a FIFO or file of lines `<sensor> <value>`.
//!
//! Deliberately absent: what a change means.

mod debounce;

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use debounce::Debouncer;

use crate::actuator::ActuatorError;
use crate::actuator::gpio_input;
use crate::clock;
use crate::machine::Report;

/// Pause between two looks at a GPIO line.
const LINE_LOOK: Duration = Duration::from_millis(1);
/// Pause between two looks at a file that had nothing new.
const FILE_LOOK: Duration = Duration::from_millis(5);
/// Longest line of a FIFO or file, bytes.
const LINE_BYTES_MAX: usize = 256;
/// Longest name of a sensor, bytes.
const NAME_BYTES_MAX: usize = 32;

/// Where changes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A line of a GPIO chip.
    Line {
        /// The sensor's name.
        sensor: String,
        /// The chip.
        chip: PathBuf,
        /// The line's offset.
        line: u32,
    },
    /// A FIFO or file of lines `<sensor> <value>`.
    Lines(PathBuf),
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The FIFO or file.
    #[error("sensor source {path}: {source}")]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The GPIO line.
    #[error(transparent)]
    Line(#[from] ActuatorError),
}

/// Takes a report; false where nobody wants any more.
pub type Deliver = Box<dyn Fn(Report) -> bool + Send>;

/// Reads a source on a thread of its own until `stop` is set.
///
/// # Errors
/// Where the source cannot be opened.
pub fn start(
    source: &Source,
    quiet_ms: u64,
    stop: Arc<AtomicBool>,
    deliver: Deliver,
) -> Result<JoinHandle<()>, SensorError> {
    let mut watch = Watch {
        debouncer: Debouncer::new(quiet_ms),
        stop,
        deliver,
    };
    match source {
        Source::Line { sensor, chip, line } => {
            let input = gpio_input(chip, *line)?;
            let sensor = sensor.clone();
            Ok(thread::spawn(move || {
                while watch.goes_on() {
                    match input.is_high() {
                        Ok(high) => watch.feed(&sensor, i64::from(high)),
                        Err(error) => {
                            tracing::error!(sensor, error, "the sensor's line is lost");
                            return;
                        }
                    }
                    thread::sleep(LINE_LOOK);
                }
            }))
        }
        Source::Lines(path) => {
            let mut file = open_lines(path)?;
            Ok(thread::spawn(move || watch.lines(&mut file)))
        }
    }
}

/// A file is read from its present end on, a FIFO from what is written to it.
fn open_lines(path: &Path) -> Result<std::fs::File, SensorError> {
    let io = |source| SensorError::Io {
        path: path.to_owned(),
        source,
    };
    let fifo = std::fs::metadata(path).map_err(io)?.file_type().is_fifo();
    let mut options = OpenOptions::new();
    // A FIFO that this process can write to never ends when a writer leaves.
    options.read(true).write(fifo);
    if fifo {
        options.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    }
    let mut file = options.open(path).map_err(io)?;
    if !fifo {
        file.seek(SeekFrom::End(0)).map_err(io)?;
    }
    Ok(file)
}

struct Watch {
    debouncer: Debouncer,
    stop: Arc<AtomicBool>,
    deliver: Deliver,
}

impl Watch {
    /// Passes on what has settled; false when it is time to stop.
    fn goes_on(&mut self) -> bool {
        let now = clock::now();
        for (sensor, value) in self.debouncer.settle(now.boot_ms) {
            if !self.pass(sensor, value) {
                return false;
            }
        }
        !self.stop.load(Ordering::Relaxed)
    }

    fn feed(&mut self, sensor: &str, value: i64) {
        if let Some(value) = self.debouncer.feed(sensor, value, clock::now().boot_ms) {
            self.pass(sensor.to_owned(), value);
        }
    }

    fn pass(&self, sensor: String, value: i64) -> bool {
        (self.deliver)(Report {
            sensor,
            value,
            observed_at_ms: clock::now().wall_ms,
        })
    }

    fn lines(&mut self, file: &mut impl Read) {
        let mut waiting = Vec::new();
        let mut chunk = [0; 4096];
        while self.goes_on() {
            match file.read(&mut chunk) {
                Ok(0) => thread::sleep(FILE_LOOK),
                Ok(length) => {
                    waiting.extend_from_slice(&chunk[..length]);
                    self.take_lines(&mut waiting);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    thread::sleep(FILE_LOOK);
                }
                Err(error) => {
                    tracing::error!(%error, "the sensor source is lost");
                    return;
                }
            }
        }
    }

    fn take_lines(&mut self, waiting: &mut Vec<u8>) {
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            match parse(&line) {
                Some((sensor, value)) => self.feed(&sensor, value),
                None => tracing::warn!("a line of the sensor source is malformed"),
            }
        }
        if waiting.len() > LINE_BYTES_MAX {
            tracing::warn!("a line of the sensor source is too long");
            waiting.clear();
        }
    }
}

/// `<sensor> <value>`, with a sensor of lower-case letters, digits and dashes.
fn parse(line: &[u8]) -> Option<(String, i64)> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (sensor, value) = line.split_once(' ')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let named = !sensor.is_empty() && sensor.len() <= NAME_BYTES_MAX && sensor.chars().all(plain);
    Some((sensor.to_owned(), value.parse().ok()?)).filter(|_| named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_line_of_a_source_is_no_report() {
        assert_eq!(parse(b"door 1\n"), Some(("door".to_owned(), 1)));
        assert_eq!(
            parse(b"temperature -12\r\n"),
            Some(("temperature".to_owned(), -12))
        );
        for bad in ["door\n", " 1\n", "door x\n", "Door 1\n", "\n", "d d 1\n"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse(&[0xff, b' ', b'1', b'\n']), None);
    }

    #[test]
    fn lines_written_to_a_file_become_reports_in_order() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "door 9\n").unwrap();
        let (to, from) = std::sync::mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let deliver: Deliver = Box::new(move |report| to.send(report).is_ok());
        let thread = start(&Source::Lines(path.clone()), 5, stop.clone(), deliver).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"door 1\ntilt").unwrap();
        file.write_all(b" 7\nnonsense\ncoin 2\n").unwrap();
        for expected in [("door", 1), ("tilt", 7), ("coin", 2)] {
            let report = from.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!((report.sensor.as_str(), report.value), expected);
        }
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        assert!(from.try_recv().is_err());
    }
}
