//! Telling a person what happens, step by step.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::Instant,
};

use serde::Serialize;

/// Prints numbered steps. With a machine-readable result on standard output,
/// the story goes to standard error.
#[derive(Debug)]
pub struct Story {
    to_error: bool,
    styled: bool,
    step: u32,
    begun: Instant,
}

impl Story {
    /// A story on standard output, or on standard error where `json` is asked for.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let styled = if json {
            io::stderr().is_terminal()
        } else {
            io::stdout().is_terminal()
        };
        Self {
            to_error: json,
            styled,
            step: 0,
            begun: Instant::now(),
        }
    }

    /// Begins a step.
    pub fn step(&mut self, text: impl Display) {
        self.step += 1;
        let step = self.step;
        let seconds = self.begun.elapsed().as_secs_f64();
        if self.styled {
            self.write(&format!(
                "\n\u{1b}[1m{step}. {text}\u{1b}[0m  \u{1b}[2m{seconds:.1} s\u{1b}[0m\n"
            ));
        } else {
            self.write(&format!("\n{step}. {text}  ({seconds:.1} s)\n"));
        }
    }

    /// Tells a detail of the present step.
    pub fn tell(&self, text: impl Display) {
        let indented: String = text
            .to_string()
            .lines()
            .map(|line| format!("   {line}\n"))
            .collect();
        self.write(&indented);
    }

    /// The result for machines: always on standard output.
    pub fn result(&self, result: &impl Serialize) {
        let mut line = serde_json::to_vec(result).unwrap_or_default();
        line.push(b'\n');
        // A reader that has gone away is no reason to fail.
        let _ = io::stdout().write_all(&line);
    }

    fn write(&self, text: &str) {
        let _ = if self.to_error {
            io::stderr().write_all(text.as_bytes())
        } else {
            io::stdout().write_all(text.as_bytes())
        };
    }
}
