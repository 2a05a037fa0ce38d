//! The schema as an annotated example file.

use std::fmt::Write;

use crate::schema::{Key, Kind};
use crate::value;

/// An example configuration file with a comment for every setting.
///
/// Settings without a default are shown as comments, so that the text loads
/// once the required ones are filled in.
#[must_use]
pub fn document(schema: &[Key]) -> String {
    let mut text = String::new();
    // Settings of the top level must come before the first section of TOML.
    for key in schema.iter().filter(|key| is_top(key)) {
        setting(&mut text, key, key.path);
    }
    let mut sections: Vec<&str> = Vec::new();
    for key in schema.iter().filter(|key| !is_rows(key)) {
        if let Some((section, _)) = key.path.rsplit_once('.')
            && !sections.contains(&section)
        {
            sections.push(section);
        }
    }
    for section in sections {
        let _ = write!(text, "[{section}]\n\n");
        for key in schema.iter().filter(|key| !is_rows(key)) {
            if let Some((of, name)) = key.path.rsplit_once('.')
                && of == section
            {
                setting(&mut text, key, name);
            }
        }
    }
    for key in schema {
        if let Kind::Tables(columns) | Kind::ChoiceOrTables(_, columns) = key.kind {
            let _ = writeln!(text, "# {}", key.doc);
            let _ = writeln!(text, "# [[{}]]", key.path);
            for column in columns {
                let _ = writeln!(
                    text,
                    "# {} = …  # {} ({})",
                    column.path,
                    column.doc,
                    value::expected(column.kind)
                );
            }
            text.push('\n');
        }
    }
    text
}

fn is_rows(key: &Key) -> bool {
    matches!(key.kind, Kind::Tables(_))
}

fn is_top(key: &Key) -> bool {
    !key.path.contains('.') && !is_rows(key)
}

fn setting(text: &mut String, key: &Key, name: &str) {
    let need = if key.required { "required, " } else { "" };
    let _ = writeln!(text, "# {} ({need}{})", key.doc, value::expected(key.kind));
    match key.default.map(|text| value::from_text(key.kind, text)) {
        Some(Ok(value)) => {
            let _ = writeln!(text, "{name} = {value}\n");
        }
        _ => {
            let _ = writeln!(text, "# {name} = …\n");
        }
    }
}
