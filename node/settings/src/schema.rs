//! How a program describes its settings.

/// One setting, or one table of rows.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path, such as `gossip.listen`; within a table of rows the name
    /// of the column.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether the file or the environment must set it.
    pub required: bool,
    /// Used where nobody sets it, written as in the environment.
    pub default: Option<&'static str>,
    /// One sentence for people.
    pub doc: &'static str,
}

impl Key {
    /// A setting that must be set.
    #[must_use]
    pub const fn required(path: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            path,
            kind,
            required: true,
            default: None,
            doc,
        }
    }

    /// A setting that may be left out.
    #[must_use]
    pub const fn optional(path: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            path,
            kind,
            required: false,
            default: None,
            doc,
        }
    }

    /// A setting with a default.
    #[must_use]
    pub const fn with_default(
        path: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            path,
            kind,
            required: false,
            default: Some(default),
            doc,
        }
    }
}

/// The values a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path of a file or folder.
    Path,
    /// A whole number within bounds, both included.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// A list of texts; in the environment separated by commas.
    TextList,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IP address and a port, such as `127.0.0.1:7000`.
    SocketAddress,
    /// Rows of a table, `[[path]]`, with these columns.
    Tables(&'static [Key]),
    /// One of these words, or rows of a table with these columns.
    ChoiceOrTables(&'static [&'static str], &'static [Key]),
}
