//! What a plain (unquoted) YAML scalar is.
//!
//! Owns: the rules of YAML 1.2's core schema, and the list of spellings on which YAML readers disagree.
//! Never: knows which field the scalar belongs to.

use super::tree::Value;

/// What a plain scalar is. Quoted and block scalars are always text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plain {
    /// Empty, `~` or `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// `yes`, `off` …: text to YAML 1.2, a boolean to YAML 1.1, Kubernetes' included.
    YesNo(bool),
    /// A decimal integer.
    Integer,
    /// A decimal number with a point or an exponent.
    Float,
    /// `0x1F`, `0o17`, `010`, `1_000`, `+1`, `.inf`: a number to some readers only, or not a finite one.
    OddNumber,
    /// Anything else.
    Text,
}

/// Classifies the text of a plain scalar.
pub(crate) fn classify(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Boolean(true),
        "false" | "False" | "FALSE" => Plain::Boolean(false),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Plain::YesNo(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Plain::YesNo(false),
        _ => classify_number(text),
    }
}

fn classify_number(text: &str) -> Plain {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Plain::OddNumber;
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Plain::Text;
    }
    if let Some(digits) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        return odd_if(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_'));
    }
    if let Some(digits) = unsigned.strip_prefix("0o").or_else(|| unsigned.strip_prefix("0b")) {
        return odd_if(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_'));
    }
    let plain = unsigned.replace('_', "");
    let Some(kind) = decimal(&plain) else { return Plain::Text };
    let leading_zero = plain.len() > 1 && plain.starts_with('0') && plain.as_bytes()[1].is_ascii_digit();
    if plain.len() < unsigned.len() || text.starts_with('+') || leading_zero {
        Plain::OddNumber
    } else {
        kind
    }
}

fn odd_if(condition: bool) -> Plain {
    if condition { Plain::OddNumber } else { Plain::Text }
}

/// `[digits][.digits][e[sign]digits]` with at least one digit in front of the exponent.
fn decimal(text: &str) -> Option<Plain> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let all_digits =
        digits(whole) && fraction.is_none_or(digits) && exponent.is_none_or(|e| !e.is_empty() && digits(e));
    if !all_digits || (whole.is_empty() && fraction.unwrap_or_default().is_empty()) {
        return None;
    }
    Some(if fraction.is_none() && exponent.is_none() { Plain::Integer } else { Plain::Float })
}

/// What a value is, where another kind is expected.
pub(super) fn got(value: &Value) -> String {
    match value {
        Value::Scalar { text, quoted: true } => format!("got the text {text:?}"),
        Value::Scalar { text, .. } => match classify(text) {
            Plain::Null => "but there is no value".to_owned(),
            Plain::Boolean(_) => format!("got the boolean `{text}`"),
            Plain::Integer | Plain::Float | Plain::OddNumber => format!("got the number `{text}`"),
            Plain::Text | Plain::YesNo(_) => format!("got the text `{text}`"),
        },
        Value::Sequence(_) => "got a list".to_owned(),
        Value::Mapping(_) | Value::StandIn => "got a mapping of fields".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_classified_as_yaml_1_2_does_and_doubtful_ones_are_told_apart() {
        let table = [
            (Plain::Null, "~ null Null NULL"),
            (Plain::Boolean(true), "true True"),
            (Plain::YesNo(false), "no No off"),
            (Plain::Integer, "0 -1 12345678901234567890123"),
            (Plain::Float, "1.5 -.5 1. 1e3 2.5E-7 0.1"),
            (Plain::OddNumber, "0x1F 0o17 010 1_000 +1 .inf -.INF .nan 0b11"),
            (Plain::Text, "10s abc n Y 1.2.3 - . e3 1e 0x 2013-01-01 12:30 _1 1-2 ../a"),
        ];

        for (kind, texts) in table {
            for text in texts.split(' ') {
                assert_eq!(classify(text), kind, "{text}");
            }
        }
    }
}
