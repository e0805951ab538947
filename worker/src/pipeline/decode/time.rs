//! Dates and instants in text.
//!
//! Owns: `YYYY-MM-DD` and RFC 3339 (<https://www.rfc-editor.org/rfc/rfc3339>), years 0001 to 9999.
//! Never: knows columns.

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// 9999-12-31 as days since the epoch.
const DAY_MAX: i64 = 2_932_896;
/// 0001-01-01 as days since the epoch.
const DAY_MIN: i64 = -719_162;

/// Days since the epoch of `YYYY-MM-DD`.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let text: &[u8; 10] = text.try_into().ok()?;
    let day = day(text)?;
    Some(i32::try_from(day).expect("four-digit years fit"))
}

/// UTC microseconds of `2026-01-31T08:00:00.123Z` or with an offset such as `+05:30`. Digits of the fraction beyond the
/// sixth are cut off. `t`, `z` and a space instead of `T` are allowed; a leap second (`:60`) is not.
pub(super) fn rfc3339(text: &[u8]) -> Option<i64> {
    let day = day(text.first_chunk()?)?;
    if !matches!(text[10..].first()?, b'T' | b't' | b' ') {
        return None;
    }
    let [hour, minute, second] = clock(text[11..].first_chunk()?)?;
    let mut rest = &text[19..];
    let mut micros = ((hour * 60 + minute) * 60 + second) * 1_000_000;
    if let [b'.', fraction @ ..] = rest {
        let (value, tail) = fraction_micros(fraction)?;
        micros += value;
        rest = tail;
    }
    let utc = day * MICROS_PER_DAY + micros - offset_micros(rest)?;
    (DAY_MIN * MICROS_PER_DAY..(DAY_MAX + 1) * MICROS_PER_DAY).contains(&utc).then_some(utc)
}

/// Subtracts the pattern's zeros and separators; `None` if a separator differs or a digit is none.
fn digits(text: u64, pattern: &[u8; 8], separators: u64) -> Option<u64> {
    let values = text ^ u64::from_le_bytes(*pattern);
    let beyond_nine = (values | values.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    (beyond_nine | (values & separators) == 0).then_some(values)
}

/// Byte i becomes the number that the digits at i and i + 1 make.
fn pairs(values: u64) -> u64 {
    values.wrapping_mul(10).wrapping_add(values >> 8)
}

fn byte(word: u64, index: u32) -> i64 {
    ((word >> (8 * index)) & 0xFF) as i64
}

fn day(text: &[u8; 10]) -> Option<i64> {
    let [y0, y1, y2, y3, dash, m0, m1, dash_too, d0, d1] = *text;
    let word = u64::from_le_bytes([y0, y1, y2, y3, dash, m0, m1, dash_too]);
    let pairs = pairs(digits(word, b"0000-00-", 0xFF00_00FF_0000_0000)?);
    let (tens, ones) = (d0 ^ b'0', d1 ^ b'0');
    if tens > 9 || ones > 9 {
        return None;
    }
    let (year, month) = (byte(pairs, 0) * 100 + byte(pairs, 2), byte(pairs, 5));
    let day = i64::from(tens * 10 + ones);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    Some(days_since_epoch(year, month, day))
}

/// Hour, minute and second of `HH:MM:SS`.
fn clock(text: &[u8; 8]) -> Option<[i64; 3]> {
    let pairs = pairs(digits(u64::from_le_bytes(*text), b"00:00:00", 0x0000_FF00_00FF_0000)?);
    let [hour, minute, second] = [byte(pairs, 0), byte(pairs, 3), byte(pairs, 6)];
    (hour < 24 && minute < 60 && second < 60).then_some([hour, minute, second])
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    const DAYS: [i64; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    DAYS[month as usize] + i64::from(month == 2 && is_leap(year))
}

fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE: [i64; 13] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let years = year - 1;
    let leap_day = i64::from(month > 2 && is_leap(year));
    years * 365 + years / 4 - years / 100 + years / 400 + BEFORE[month as usize] + leap_day + day - 1
        + DAY_MIN
}

fn fraction_micros(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (fraction, rest) = text.split_at(length);
    let kept = &fraction[..length.min(6)];
    let value = kept.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    const SCALE: [i64; 7] = [1_000_000, 100_000, 10_000, 1000, 100, 10, 1];
    Some((value * SCALE[kept.len()], rest))
}

fn offset_micros(text: &[u8]) -> Option<i64> {
    let (sign, h0, h1, m0, m1) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h0, h1, b':', m0, m1] => (1, h0, h1, m0, m1),
        [b'-', h0, h1, b':', m0, m1] => (-1, h0, h1, m0, m1),
        _ => return None,
    };
    if ![h0, h1, m0, m1].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |tens: u8, ones: u8| i64::from((tens - b'0') * 10 + (ones - b'0'));
    let (hours, minutes) = (number(h0, h1), number(m0, m1));
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000_000)
}
