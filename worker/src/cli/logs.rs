//! Logs on standard error, above the live block.
//!
//! Owns: their format and filter.
//! Never: fails the job because nobody reads.

use std::fmt::Display;
use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::args::LogFormat;
use crate::progress::Screen;

/// A store over HTTP says what it tries again itself; what matters of that is said by whoever asked it.
const DEFAULT: &str = "info,object_store=warn";

/// Begins to write logs. A filter on the command line goes before `RUST_LOG`; without both it is [`DEFAULT`].
pub(crate) fn start(filter: Option<&str>, format: LogFormat, screen: Screen) -> Result<(), ParseError> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(filter.or(from_environment.as_deref()).unwrap_or(DEFAULT))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || screen.clone());
    // A standard error that its reader has closed ends the log, not the job.
    let subscriber = subscriber.log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.with_target(false).with_ansi(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Prints to standard error. One that its reader has closed ends the printing, not the job.
pub(crate) fn say(text: impl Display) {
    let _closed = writeln!(std::io::stderr(), "{text}");
}
