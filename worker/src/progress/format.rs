//! Numbers, durations and instants as people read them.
//!
//! Owns: how they are rounded.
//! Never: decides what is shown.

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.9 M`, `12.0 k`, `7`: three digits or so, and the power of a thousand.
pub(crate) fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.1} G", n / 1e9),
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// `34.5 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e4 => format!("{:.1} kB", b / 1e3),
        b => format!("{b:.0} B"),
    }
}

/// `2h03m`, `1m05s`, `12.3s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        3_600.. => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        60.. => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{:.1}s", duration.as_secs_f64()),
    }
}

/// An instant of event time, in UTC; what lies outside the calendar is said in words.
pub(crate) fn instant(epoch_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(epoch_ms) {
        Ok(instant) => instant.to_string(),
        Err(_) if epoch_ms == i64::MIN => "none yet".to_owned(),
        Err(_) if epoch_ms == i64::MAX => "end of input".to_owned(),
        Err(_) => format!("{epoch_ms} ms since 1970"),
    }
}
