//! What the machine's pin did: the trace of the agent's fake actuator.

use std::{
    fs,
    io::ErrorKind,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

/// One time that the pin was high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When it went high, nanoseconds since the Unix epoch.
    pub high_at_ns: u64,
    /// When it went low again, where it did.
    pub low_at_ns: Option<u64>,
}

impl Pulse {
    /// How long after `since_ns` the pin went high, nanoseconds.
    #[must_use]
    pub fn after_ns(&self, since_ns: u64) -> u64 {
        self.high_at_ns.saturating_sub(since_ns)
    }
}

/// The present time on the clock of the trace.
#[must_use]
pub fn now_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The file that the agent's fake actuator writes: one line for each edge,
/// `<nanoseconds since the Unix epoch> <high|low> …`.
#[derive(Debug, Clone)]
pub struct Trace {
    file: PathBuf,
}

impl Trace {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Every pulse up to now, oldest first.
    ///
    /// # Errors
    /// Where the file cannot be read or a line is not an edge.
    pub fn pulses(&self) -> Result<Vec<Pulse>> {
        match fs::read_to_string(&self.file) {
            Ok(text) => parse(&text),
            // The agent makes the file with its first edge.
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
        let mut words = line.split_whitespace();
        let at_ns = words
            .next()
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("the trace has a line without a time: {line}"))?;
        match words.next() {
            Some("high") => pulses.push(Pulse {
                high_at_ns: at_ns,
                low_at_ns: None,
            }),
            Some("low") => {
                // The agent sets the pin low at its start too.
                if let Some(pulse) = pulses.last_mut() {
                    pulse.low_at_ns.get_or_insert(at_ns);
                }
            }
            _ => anyhow::bail!("the trace has a line without a level: {line}"),
        }
    }
    Ok(pulses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_a_rising_edge_and_a_safe_start_is_none() {
        let pulses =
            parse("5 low boot\n10 high A1\n30 low A1\n40 low boot\n50 high A1\n6").expect("edges");
        assert_eq!(
            pulses,
            [
                Pulse {
                    high_at_ns: 10,
                    low_at_ns: Some(30)
                },
                Pulse {
                    high_at_ns: 50,
                    low_at_ns: None
                }
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_edge_is_an_error() {
        assert!(parse("10 sideways\n").is_err());
        assert!(parse("high\n").is_err());
    }
}
