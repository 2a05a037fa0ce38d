//! The walk over a configuration: unknown keys, wrong values, missing ones.

use std::path::Path;

use toml::{Table, Value};

use crate::problem::Problem;
use crate::schema::{Key, Kind};
use crate::value;

/// Most rows of one table.
const ROWS_MAX: usize = 1000;

/// A name this alike (of 1) is offered as what was meant.
const LIKENESS_MIN: f64 = 0.6;

/// Checks every value that the file sets, in place. `at` is where `table`
/// stands within the paths of `schema`, empty or ending in a dot.
pub(crate) fn table(
    schema: &[Key],
    table: &mut Table,
    at: &str,
    folder: &Path,
    problems: &mut Vec<Problem>,
) {
    walk(schema, table, "", at, folder, problems);
}

fn walk(
    schema: &[Key],
    table: &mut Table,
    within: &str,
    shown: &str,
    folder: &Path,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in table.iter_mut() {
        let path = format!("{within}{name}");
        let shown_path = format!("{shown}{name}");
        if let Some(key) = schema.iter().find(|key| key.path == path) {
            match (key.kind, &mut *value) {
                (Kind::Tables(columns) | Kind::ChoiceOrTables(_, columns), Value::Array(rows)) => {
                    tables(columns, rows, &shown_path, folder, problems);
                }
                _ => match value::from_toml(key.kind, value, folder) {
                    Ok(checked) => *value = checked,
                    Err(message) => problems.push(Problem::new(&shown_path, message)),
                },
            }
            continue;
        }
        let prefix = format!("{path}.");
        let is_section = schema.iter().any(|key| key.path.starts_with(&prefix));
        match value {
            Value::Table(inner) if is_section => {
                walk(
                    schema,
                    inner,
                    &prefix,
                    &format!("{shown_path}."),
                    folder,
                    problems,
                );
            }
            _ if is_section => problems.push(Problem::new(&shown_path, "must be a section")),
            _ => {
                let names = schema.iter().map(|key| key.path);
                let row = shown.strip_suffix(within).unwrap_or("");
                problems.push(Problem::new(&shown_path, unknown(&path, names, row)));
            }
        }
    }
}

fn tables(
    columns: &[Key],
    rows: &mut [Value],
    shown: &str,
    folder: &Path,
    problems: &mut Vec<Problem>,
) {
    if rows.len() > ROWS_MAX {
        let message = format!("has {} rows, more than {ROWS_MAX}", rows.len());
        problems.push(Problem::new(shown, message));
        return;
    }
    for (index, row) in rows.iter_mut().enumerate() {
        let at = format!("{shown}[{index}].");
        match row {
            Value::Table(row) => {
                table(columns, row, &at, folder, problems);
                defaults(columns, row, &at, folder, problems);
            }
            _ => problems.push(Problem::new(
                &format!("{shown}[{index}]"),
                "must be a table",
            )),
        }
    }
}

/// Applies the variables of `env` that start with `prefix` and two underscores.
pub(crate) fn environment(
    schema: &[Key],
    settings: &mut Table,
    prefix: &str,
    env: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    let start = format!("{prefix}__");
    let mut variables: Vec<_> = env.filter(|(name, _)| name.starts_with(&start)).collect();
    variables.sort();
    for (variable, text) in variables {
        let path = variable
            .trim_start_matches(&start)
            .replace("__", ".")
            .to_lowercase();
        let Some(key) = schema.iter().find(|key| key.path == path) else {
            let names = schema.iter().map(|key| key.path);
            problems.push(Problem::new(&variable, unknown(&path, names, "")));
            continue;
        };
        match value::from_text(key.kind, &text) {
            Ok(value) => {
                // What the file said there no longer counts, right or wrong.
                problems.retain(|problem| problem.path != key.path);
                set(settings, key.path, value);
            }
            Err(message) => problems.push(Problem::new(&variable, message)),
        }
    }
}

/// Fills in defaults and names what is missing.
pub(crate) fn defaults(
    schema: &[Key],
    settings: &mut Table,
    at: &str,
    folder: &Path,
    problems: &mut Vec<Problem>,
) {
    for key in schema {
        if is_set(settings, key.path) {
            continue;
        }
        if let Some(text) = key.default {
            let read = value::from_text(key.kind, text)
                .and_then(|value| value::from_toml(key.kind, &value, folder));
            match read {
                Ok(value) => set(settings, key.path, value),
                Err(message) => panic!("the default of `{}` {message}", key.path),
            }
        } else if key.required {
            problems.push(Problem::missing(&format!("{at}{}", key.path), key.doc));
        } else if matches!(key.kind, Kind::Tables(_)) {
            set(settings, key.path, Value::Array(Vec::new()));
        }
    }
}

fn is_set(settings: &Table, path: &str) -> bool {
    match path.split_once('.') {
        None => settings.contains_key(path),
        Some((section, rest)) => match settings.get(section) {
            Some(Value::Table(inner)) => is_set(inner, rest),
            // Reported by the walk; a default would only hide it.
            Some(_) => true,
            None => false,
        },
    }
}

fn set(settings: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            settings.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = settings
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

fn unknown<'a>(path: &str, names: impl Iterator<Item = &'a str>, row: &str) -> String {
    let nearest = names
        .map(|name| (strsim::jaro_winkler(path, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, name)) => format!("is no setting; did you mean `{row}{name}`?"),
        None => "is no setting".to_owned(),
    }
}
