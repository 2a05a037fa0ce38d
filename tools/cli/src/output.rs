//! Everything a command prints on standard output goes through here.

use std::{
    fmt,
    io::{self, Write},
};

use serde::Serialize;

use crate::failure::Failure;

/// Standard output, for people or as one JSON object a line.
pub struct Output {
    json: bool,
    to: Box<dyn Write>,
}

/// A reply with the node that gave it.
#[derive(Debug, Serialize)]
pub struct Answered<T> {
    /// The reply as the node sent it.
    #[serde(flatten)]
    pub reply: T,
    /// URL of the node.
    pub answered_by: String,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// The process's standard output.
    #[must_use]
    pub fn stdout(json: bool) -> Self {
        Self {
            json,
            to: Box::new(io::stdout()),
        }
    }

    /// An output to somewhere else, for tests.
    #[must_use]
    pub fn to(json: bool, to: Box<dyn Write>) -> Self {
        Self { json, to }
    }

    /// Whether programs read it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints one result: `value` as JSON, or the text that `human` makes.
    ///
    /// # Errors
    /// Where the output cannot be written; [`Failure::PipeClosed`] where its
    /// reader went away.
    pub fn show<T: Serialize>(
        &mut self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let line = serde_json::to_string(value).map_err(anyhow::Error::from)?;
            writeln!(self.to, "{line}")?;
        } else {
            self.to.write_all(human(value).as_bytes())?;
        }
        // A stream's reader sees each line when it happens.
        self.to.flush()?;
        Ok(())
    }

    /// Prints a reply and which node gave it.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn answer<T: Serialize>(
        &mut self,
        answered: &Answered<T>,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        self.show(answered, |answered| {
            human(&answered.reply) + &format!("from {}\n", answered.answered_by)
        })
    }
}
