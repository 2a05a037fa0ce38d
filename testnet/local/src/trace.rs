//! What the machine's pin did: the trace of the agent's fake actuator.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::Deserialize;

/// One time that the pin was high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When it went high, milliseconds since the Unix epoch.
    pub high_at_ms: u64,
    /// When it went low again, where it did.
    pub low_at_ms: Option<u64>,
    /// The order that asked for it, which has its number within the
    /// incarnation.
    pub sequence: u64,
    /// The machine's incarnation.
    pub incarnation: u32,
}

impl Pulse {
    /// How long after `since_ms` the pin went high, milliseconds.
    #[must_use]
    pub fn after_ms(&self, since_ms: u64) -> u64 {
        self.high_at_ms.saturating_sub(since_ms)
    }
}

/// The present time on the clock of the trace, milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The file that the agent's fake actuator writes: one line of JSON for each
/// edge of a line.
#[derive(Debug, Clone)]
pub struct Trace {
    file: PathBuf,
}

/// What of an edge matters here.
#[derive(Debug, Deserialize)]
struct Edge {
    at_ms: u64,
    level: u8,
    sequence: u64,
    incarnation: u32,
}

impl Trace {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Length of the file, bytes: it grows by each edge, and a look at it costs
    /// less than the edges.
    pub(crate) fn length(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |found| found.len())
    }

    /// Adds a rising edge that no machine made, to see that it is found.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn plant(&self, pulse: Pulse) -> Result<()> {
        let Pulse {
            high_at_ms,
            sequence,
            incarnation,
            ..
        } = pulse;
        let edge = serde_json::json!({
            "at_ms": high_at_ms, "line": 0, "level": 1,
            "sequence": sequence, "incarnation": incarnation,
        });
        let mut file = fs::File::options().append(true).open(&self.file)?;
        writeln!(file, "{edge}").with_context(|| self.file.display().to_string())
    }

    /// Every pulse up to now, oldest first.
    ///
    /// # Errors
    /// Where the file cannot be read or a line is not an edge.
    pub fn pulses(&self) -> Result<Vec<Pulse>> {
        match fs::read_to_string(&self.file) {
            Ok(text) => parse(&text),
            // The agent has not opened it yet.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| self.file.display().to_string()),
        }
    }
}

fn parse(text: &str) -> Result<Vec<Pulse>> {
    let mut pulses: Vec<Pulse> = Vec::new();
    // A last line without its end is still being written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let edge: Edge =
            serde_json::from_str(line).with_context(|| format!("no edge of a pin: {line}"))?;
        if edge.level == 0 {
            // The agent may set a line low that was low already.
            if let Some(pulse) = pulses.last_mut() {
                pulse.low_at_ms.get_or_insert(edge.at_ms);
            }
        } else {
            pulses.push(Pulse {
                high_at_ms: edge.at_ms,
                low_at_ms: None,
                sequence: edge.sequence,
                incarnation: edge.incarnation,
            });
        }
    }
    Ok(pulses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(at_ms: u64, level: u8, sequence: u64) -> String {
        format!(
            "{{\"at_ms\":{at_ms},\"line\":0,\"level\":{level},\"sequence\":{sequence},\"incarnation\":1}}\n"
        )
    }

    #[test]
    fn a_pulse_is_a_rising_edge_and_a_safe_start_is_none() {
        let edges = [
            edge(5, 0, 0),
            edge(10, 1, 1),
            edge(30, 0, 1),
            edge(40, 0, 1),
            edge(50, 1, 2),
        ];
        let pulses = parse(&edges.concat()).expect("edges");
        assert_eq!(
            pulses,
            [
                Pulse {
                    high_at_ms: 10,
                    low_at_ms: Some(30),
                    sequence: 1,
                    incarnation: 1
                },
                Pulse {
                    high_at_ms: 50,
                    low_at_ms: None,
                    sequence: 2,
                    incarnation: 1
                },
            ]
        );
    }

    #[test]
    fn a_line_that_is_being_written_is_not_read_yet() {
        let text = edge(10, 1, 1) + "{\"at_ms\":2";
        assert_eq!(parse(&text).expect("whole lines only").len(), 1);
    }

    #[test]
    fn a_line_that_is_no_edge_is_an_error() {
        assert!(parse("10 high\n").is_err());
    }
}
