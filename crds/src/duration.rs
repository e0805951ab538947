//! Durations as the manifest writes them: `10s`, `1m30s`, `500ms`, `-2h` where a sign is allowed.
//!
//! Owns: reading and printing them (GEP-2257 of the Gateway API, <https://gateway-api.sigs.k8s.io/geps/gep-2257/>).
//! Never: rewrites what the user wrote; two spellings of one duration are equal but print as written.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest text: a sign and four parts of seven characters.
const LENGTH_MAX: u32 = 32;

/// A length of time of zero or more, in whole milliseconds, that remembers how it was written.
#[derive(Clone, Debug)]
pub struct Duration {
    text: String,
    millis: i64,
}

/// Like [`Duration`], but may begin with `-`: offsets go both ways.
#[derive(Clone, Debug)]
pub struct SignedDuration {
    text: String,
    millis: i64,
}

impl Duration {
    /// The length in milliseconds, zero or more.
    pub fn millis(&self) -> i64 {
        self.millis
    }

    /// Reads `10s`, `1m30s`, `250ms`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let millis = parse_millis(text).ok_or_else(|| not_a_duration(text, ""))?;
        Ok(Self { text: text.to_owned(), millis })
    }
}

impl SignedDuration {
    /// The length in milliseconds; negative when written with a leading `-`.
    pub fn millis(&self) -> i64 {
        self.millis
    }

    /// Reads what [`Duration::parse`] reads, with an optional leading `-`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let millis = parse_millis(rest).ok_or_else(|| not_a_duration(text, " or `-2h`"))?;
        Ok(Self { text: text.to_owned(), millis: sign * millis })
    }
}

fn not_a_duration(text: &str, also: &str) -> String {
    format!(
        "`{text}` is not a duration: write one to four whole numbers with the unit h, m, s or ms, such as `10s`, `1m30s`{also}"
    )
}

fn parse_millis(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let factor = match &rest[digits..digits + unit] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if digits == 0 || digits > 5 || parts == 4 {
            return None;
        }
        let number: i64 = rest[..digits].parse().ok()?;
        total += number * factor;
        parts += 1;
        rest = &rest[digits + unit..];
    }
    (parts > 0).then_some(total)
}

macro_rules! as_text {
    ($type:ident, $expecting:literal, $pattern:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "maxLength": LENGTH_MAX})
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.millis == other.millis
            }
        }

        impl Eq for $type {}

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

as_text!(Duration, "a duration such as `10s`", "^([0-9]{1,5}(h|m|s|ms)){1,4}$");
as_text!(SignedDuration, "a duration such as `10s` or `-2h`", "^-?([0-9]{1,5}(h|m|s|ms)){1,4}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_gep_2257_has_them_and_print_as_written() {
        let table = [
            ("0s", 0),
            ("1ms", 1),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("90s", 90_000),
            ("30s1m", 90_000),
            ("1h1m1s1ms", 3_661_001),
            ("99999h", 359_996_400_000),
            ("00010s", 10_000),
        ];

        for (text, millis) in table {
            let duration = Duration::parse(text).expect(text);
            assert_eq!((duration.millis(), duration.to_string()), (millis, text.to_owned()));
            let negative = SignedDuration::parse(&format!("-{text}")).expect(text);
            assert_eq!((negative.millis(), negative.to_string()), (-millis, format!("-{text}")));
        }
        assert_eq!(Duration::parse("90s"), Duration::parse("1m30s"));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_text() {
        for text in
            ["", "s", "10", "10 s", "1d", "1.5s", "+1s", "100000s", "1s1s1s1s1s", "10S", "1m30", "10µs", "é"]
        {
            let error = Duration::parse(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is not a duration")), "{error}");
        }
        for text in ["-", "--1s", "- 1s", "1s-1s"] {
            let error = SignedDuration::parse(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is not a duration")), "{error}");
        }
        assert!(Duration::parse("-1s").is_err());
    }
}
