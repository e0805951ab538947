//! Single values as text, the same in JSON and CSV but for quotes around text.
//!
//! Owns: shortest floats, decimals with all their digits, dates and instants.
//! Never: writes a quote, a delimiter or a null.

use super::text::TextBuffer;

const SECONDS_PER_DAY: i64 = 86_400;

/// A whole number.
#[inline]
pub(super) fn put_int(value: impl itoa::Integer, out: &mut TextBuffer) {
    out.put(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest text that reads back as the same float; the caller has sorted out NaN and infinities.
#[inline]
pub(super) fn put_float(value: impl zmij::Float, out: &mut TextBuffer) {
    out.put(zmij::Buffer::new().format_finite(value).as_bytes());
}

/// `true` or `false`.
pub(super) fn put_bool(value: bool, out: &mut TextBuffer) {
    out.put(if value { b"true" } else { b"false" });
}

/// A fixed-point number with exactly `scale` digits after the point.
pub(super) fn put_decimal(value: i128, scale: i8, out: &mut TextBuffer) {
    if value < 0 {
        out.put_byte(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    let Ok(scale) = usize::try_from(scale) else {
        out.put(digits);
        if value != 0 {
            (0..scale.unsigned_abs()).for_each(|_| out.put_byte(b'0'));
        }
        return;
    };
    if scale == 0 {
        return out.put(digits);
    }
    let whole = digits.len().saturating_sub(scale);
    out.put(if whole == 0 { b"0" } else { &digits[..whole] });
    out.put_byte(b'.');
    (digits.len()..scale).for_each(|_| out.put_byte(b'0'));
    out.put(&digits[whole..]);
}

/// `YYYY-MM-DD`, days counted from 1970-01-01.
pub(super) fn put_date(days: i64, out: &mut TextBuffer) {
    let (year, month, day) = civil(days);
    if (0..=9_999).contains(&year) {
        put_digits(year.unsigned_abs(), 4, out);
    } else {
        // As ISO 8601 has it: years beyond four digits carry a sign.
        out.put_byte(if year < 0 { b'-' } else { b'+' });
        put_digits(year.unsigned_abs(), 6, out);
    }
    out.put_byte(b'-');
    put_digits(month, 2, out);
    out.put_byte(b'-');
    put_digits(day, 2, out);
}

/// An instant as RFC 3339 text in UTC; milliseconds, microseconds or nanoseconds only where they are not zero.
pub(super) fn put_instant(value: i64, per_second: i64, out: &mut TextBuffer) {
    let seconds = value.div_euclid(per_second);
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    put_date(seconds.div_euclid(SECONDS_PER_DAY), out);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY).unsigned_abs();
    for (mark, number) in [(b'T', of_day / 3_600), (b':', of_day / 60 % 60), (b':', of_day % 60)] {
        out.put_byte(mark);
        put_digits(number, 2, out);
    }
    let nanos = nanos.unsigned_abs();
    if nanos != 0 {
        out.put_byte(b'.');
        if nanos.is_multiple_of(1_000_000) {
            put_digits(nanos / 1_000_000, 3, out);
        } else if nanos.is_multiple_of(1_000) {
            put_digits(nanos / 1_000, 6, out);
        } else {
            put_digits(nanos, 9, out);
        }
    }
    out.put_byte(b'Z');
}

/// A number with zeros in front.
fn put_digits(number: u64, digits: usize, out: &mut TextBuffer) {
    let mut text = [b'0'; 20];
    let mut rest = number;
    let mut at = text.len();
    while rest > 0 {
        at -= 1;
        text[at] += u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    out.put(&text[at.min(text.len() - digits)..]);
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year; 400 years have 146,097 days.
fn civil(days: i64) -> (i64, u64, u64) {
    const DAYS_TO_EPOCH: i64 = 719_468; // from 0000-03-01
    const DAYS_OF_ERA: i64 = 146_097;
    let days = days + DAYS_TO_EPOCH;
    let era = days.div_euclid(DAYS_OF_ERA);
    let day_of_era = days.rem_euclid(DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}
