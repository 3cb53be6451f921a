//! Converts serde's messages to field errors without the caller's values, because
//! values can be long or secret.

use chat_core::error::FieldError;

/// Maximum length of a detail, in characters.
const MAX_DETAIL: usize = 300;

/// Turns a message of serde about the field at `path` into an error that a client
/// can use.
pub fn field_error(path: String, message: &str) -> FieldError {
    let detail = expectation(message.split(" at line ").next().unwrap_or(message));
    let quoted = || detail.split('`').nth(1).map(str::to_owned);
    let (field, code) = match detail.as_str() {
        text if text.starts_with("missing field") => (quoted(), "missing"),
        text if text.starts_with("unknown field") => (quoted(), "unknown"),
        _ => (None, "invalid"),
    };
    let field = match (field, path.as_str()) {
        (Some(name), "." | "" | "query") => name,
        (Some(name), path) if path.ends_with(&name) => path.to_owned(),
        (Some(name), path) => format!("{path}.{name}"),
        (None, "." | "") => "body".into(),
        (None, path) => path.to_owned(),
    };
    let detail = if code == "invalid" { format!("{field}: {detail}") } else { detail };
    FieldError { field, code, detail }
}

/// Returns what was expected, in terms of JSON instead of Rust.
fn expectation(message: &str) -> String {
    let expected = match message.rsplit_once("expected ") {
        Some((_, expected)) if !message.starts_with("missing") && !message.starts_with("unknown field") => expected,
        _ if message.contains("invalid digit") || message.contains("parse integer") => "an integer",
        _ => return message.chars().take(MAX_DETAIL).collect(),
    };
    let expected = match expected {
        "i64" => "an integer",
        "a sequence" => "a list",
        structure if structure.starts_with("struct ") => "an object",
        other => other,
    };
    format!("expected {expected}")
}
