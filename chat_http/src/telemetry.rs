//! Logs, as text or as JSON. No log line contains the text of a message, an email
//! address, a password or a token.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// The filter if `RUST_LOG` is not set. sqlx's own log lines are off, because the
/// caller logs a broken connection once and in context; rmcp would log each mistake of a client.
const DEFAULT_FILTER: &str = "info,sqlx=off,rmcp=off";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text per entry.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging to standard error, filtered by `RUST_LOG`.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let has_colors = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(has_colors);
    let registry = tracing_subscriber::registry().with(filter);
    // A second call, for example from several tests in one process, has no effect.
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
}
