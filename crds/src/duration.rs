//! Durations as the manifest writes them: `10s`, `1m30s`, `500ms`, `-2h` where a sign is allowed.
//!
//! Owns: reading and printing them (GEP-2257 of the Gateway API, <https://gateway-api.sigs.k8s.io/geps/gep-2257/>).
//! Never: rewrites what the user wrote; two spellings of one duration are equal but print as written.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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
        let millis = parse_millis(text)?;
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
        Ok(Self { text: text.to_owned(), millis: sign * parse_millis(rest)? })
    }
}

fn parse_millis(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "`{text}` is not a duration: write one to four numbers with a unit h, m, s or ms, such as `10s`, `1m30s` or `500ms`"
        )
    };
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
            _ => return Err(wrong()),
        };
        if digits == 0 || digits > 5 || parts == 4 {
            return Err(wrong());
        }
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        total += number * factor;
        parts += 1;
        rest = &rest[digits + unit..];
    }
    if parts == 0 { Err(wrong()) } else { Ok(total) }
}

macro_rules! as_text {
    ($type:ident, $expecting:literal) => {
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

as_text!(Duration, "a duration such as `10s`");
as_text!(SignedDuration, "a duration such as `10s` or `-2h`");
