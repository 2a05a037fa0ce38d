//! What is wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the setting, or the environment variable; empty for the
    /// file as a whole.
    pub path: String,
    /// A sentence without its subject, such as `is required`.
    pub message: String,
    pub(crate) missing: bool,
}

impl Problem {
    pub(crate) fn new(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            message: message.into(),
            missing: false,
        }
    }

    pub(crate) fn missing(path: &str, doc: &str) -> Self {
        Self {
            path: path.to_owned(),
            message: format!("is required: {doc}"),
            missing: true,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "the file {}", self.message)
        } else {
            write!(f, "`{}` {}", self.path, self.message)
        }
    }
}

/// Everything that is wrong with a configuration, at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The configuration file.
    pub file: PathBuf,
    /// In the order of the file, then of the environment, then of the schema.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "configuration {}: {count} {noun}", self.file.display())?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}
