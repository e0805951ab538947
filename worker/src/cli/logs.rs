//! Logs on standard error, above the live block.
//!
//! Owns: their format and filter.
//! Never: logs.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::args::LogFormat;
use crate::progress::Screen;

/// Begins to write logs. A filter on the command line goes before `RUST_LOG`; without both it is `info`.
pub(super) fn start(filter: Option<&str>, format: LogFormat, screen: Screen) -> Result<(), ParseError> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(filter.or(from_environment.as_deref()).unwrap_or("info"))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || screen.clone());
    match format {
        LogFormat::Text => subscriber.with_target(false).with_ansi(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
