//! One value against its kind: from TOML, and from text.

use std::net::SocketAddr;
use std::path::Path;

use toml::Value;

use crate::schema::Kind;

/// Checks a value of the file; relative paths are joined to `folder`.
pub(crate) fn from_toml(kind: Kind, value: &Value, folder: &Path) -> Result<Value, String> {
    match (kind, value) {
        (Kind::Integer { min, max }, Value::Integer(number)) => integer(min, max, *number),
        (Kind::Bool, Value::Boolean(_)) => Ok(value.clone()),
        (Kind::TextList, Value::Array(items)) if items.iter().all(Value::is_str) => {
            Ok(value.clone())
        }
        (Kind::Path, Value::String(text)) if !text.is_empty() => {
            let path = folder.join(text);
            Ok(Value::String(path.to_string_lossy().into_owned()))
        }
        (
            Kind::Text
            | Kind::Path
            | Kind::Choice(_)
            | Kind::ChoiceOrTables(..)
            | Kind::SocketAddress,
            Value::String(text),
        ) => from_text(kind, text),
        _ => Err(format!("must be {}, not {}", expected(kind), found(value))),
    }
}

/// Reads a value written as in the environment.
pub(crate) fn from_text(kind: Kind, text: &str) -> Result<Value, String> {
    let wrong = || format!("must be {}, not {text:?}", expected(kind));
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Path if text.is_empty() => Err(wrong()),
        Kind::Path => Ok(Value::String(text.to_owned())),
        Kind::Integer { min, max } => integer(min, max, text.parse().map_err(|_| wrong())?),
        Kind::Bool => text.parse().map(Value::Boolean).map_err(|_| wrong()),
        Kind::TextList => Ok(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        )),
        Kind::Choice(words) | Kind::ChoiceOrTables(words, _) if words.contains(&text) => {
            Ok(Value::String(text.to_owned()))
        }
        Kind::SocketAddress if text.parse::<SocketAddr>().is_ok() => {
            Ok(Value::String(text.to_owned()))
        }
        Kind::Choice(_) | Kind::ChoiceOrTables(..) | Kind::SocketAddress => Err(wrong()),
        Kind::Tables(_) => Err("cannot be set here: its rows belong in the file".to_owned()),
    }
}

fn integer(min: i64, max: i64, number: i64) -> Result<Value, String> {
    if (min..=max).contains(&number) {
        Ok(Value::Integer(number))
    } else {
        Err(format!("must be from {min} to {max}, not {number}"))
    }
}

/// The kind in words.
pub(crate) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Integer { min, max: i64::MAX } => format!("a whole number from {min}"),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Bool => "true or false".to_owned(),
        Kind::TextList => "a list of texts".to_owned(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::SocketAddress => "an address and port such as 127.0.0.1:7000".to_owned(),
        Kind::Tables(_) => "a table of rows".to_owned(),
        Kind::ChoiceOrTables(words, _) => {
            format!("one of {}, or a table of rows", words.join(", "))
        }
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
