//! Quantities as Kubernetes writes them: `500m`, `2`, `1Gi`.
//!
//! Owns: reading them, as text or as a whole number, and their value.
//! Never: rewrites what the user wrote.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A quantity of zero or more that remembers how it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quantity(String);

const WANTED: &str = "write a number with or without a unit, such as `500m`, `2` or `4Gi`";

impl Quantity {
    /// Reads `500m`, `2`, `1.5`, `4Gi`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match millis(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(format!("`{text}` is not a quantity: {WANTED}")),
        }
    }

    /// Thousandths, rounded up.
    pub fn millis(&self) -> i128 {
        millis(&self.0).expect("it was read")
    }

    /// Whole units, rounded up: bytes of memory.
    pub fn whole(&self) -> i64 {
        i64::try_from((self.millis() + 999) / 1_000).unwrap_or(i64::MAX)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn millis(text: &str) -> Option<i128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: i128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fits = whole.len() + fraction.len() <= 15 && fraction.len() <= 9;
    if !fits || whole.is_empty() || fraction.contains('.') {
        return None;
    }
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let parts: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((parts * factor + scale - 1) / scale)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Quantity> for k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    fn from(quantity: &Quantity) -> Self {
        Self(quantity.0.clone())
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": "^[0-9]+([.][0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
        })
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as `500m` or `4Gi`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Quantity, D::Error> {
                deserializer.deserialize_any(Visitor)
            }
        }
        // By this name the loader of manifests knows that a bare number is text here.
        deserializer.deserialize_newtype_struct("Quantity", Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_has_them_and_print_as_written() {
        let table = [
            ("0", 0),
            ("500m", 500),
            ("2", 2_000),
            ("1.5", 1_500),
            ("0.0001", 1),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("4Ti", 4_398_046_511_104_000),
        ];

        for (text, millis) in table {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!((quantity.millis(), quantity.to_string()), (millis, text.to_owned()));
        }
        assert_eq!(Quantity::parse("1500m").expect("it is one").whole(), 2);
        assert_eq!(serde_json::from_str::<Quantity>("4").expect("it is one").as_str(), "4");
        assert_eq!(serde_json::from_str::<Quantity>("\"4Gi\"").expect("it is one").as_str(), "4Gi");
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_its_text() {
        for text in
            ["", "m", "-1", "1 Gi", "1gi", "1..5", ".5", "1e3", "1.0000000001", "1234567890123456", "é"]
        {
            let error = Quantity::parse(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is not a quantity")), "{error}");
        }
    }
}
