//! Refusals as errors.

use std::fmt;

use crate::v1::{Refusal, RefusalCode};

impl Refusal {
    /// A refusal by `rule`, which names no field.
    #[must_use]
    pub fn rule(code: RefusalCode, rule: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            rule: rule.to_owned(),
            field: String::new(),
            message: message.into(),
        }
    }

    /// A refusal by `rule` for what stands at `field`.
    #[must_use]
    pub fn field(
        code: RefusalCode,
        rule: &str,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            ..Self::rule(code, rule, message)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code().as_str_name();
        if self.field.is_empty() {
            write!(f, "{code} ({}): {}", self.rule, self.message)
        } else {
            write!(
                f,
                "{code} ({} at {}): {}",
                self.rule, self.field, self.message
            )
        }
    }
}

impl std::error::Error for Refusal {}
