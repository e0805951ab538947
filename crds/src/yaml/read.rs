//! Reads Rust values from the tree: the serde side of the loader.
//!
//! Owns: which YAML value fits which Rust type, and what is said when it does not.
//! Never: guesses. A value that YAML readers understand differently is refused.

use std::fmt;

use serde::de::{self, IntoDeserializer, Visitor};

use super::{
    access::{Elements, Members},
    scalar::{Plain, classify, got},
    stand_in::StandIn,
    tree::{Node, Value},
};
use crate::suggest;

/// Structs that have secrets in them or say where one is. What stands in their place by mistake may be the secret.
const SECRET: [&str; 4] = ["SecretSource", "KafkaSasl", "KafkaTls", "KafkaClientCertificate"];

/// Why reading stopped.
#[derive(Debug)]
pub(super) struct Stop {
    /// The node that is to blame; the innermost reader fills it in.
    pub(super) node: Option<u32>,
    pub(super) fault: Fault,
}

#[derive(Debug)]
pub(super) enum Fault {
    /// The node itself is wrong.
    Value(String),
    /// The node, a mapping, lacks a field.
    Missing { owner: &'static str, field: &'static str },
    /// The node, a mapping, has a field too many.
    Unknown { key: String, known: &'static [&'static str] },
}

impl Stop {
    fn value(message: String) -> Self {
        Self { node: None, fault: Fault::Value(message) }
    }

    pub(super) fn at(mut self, node: &Node) -> Self {
        self.node = self.node.or(Some(node.id));
        self
    }

    fn of(mut self, name: &'static str) -> Self {
        if let (None, Fault::Missing { owner, .. }) = (self.node, &mut self.fault) {
            *owner = name;
        }
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::value(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self { node: None, fault: Fault::Missing { owner: "", field } }
    }
}

/// A node that is to be read.
pub(super) struct Reader<'a> {
    pub(super) node: &'a Node,
    /// Its key, or the key of the list that it is in.
    pub(super) key: &'a str,
    pub(super) in_list: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, key: "the manifest", in_list: false }
    }

    fn stands_in(&self) -> bool {
        matches!(self.node.value, Value::StandIn)
    }

    fn plain(&self) -> Option<(&'a str, Plain)> {
        match &self.node.value {
            Value::Scalar { text, quoted: false } => Some((text, classify(text))),
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) | Value::StandIn => None,
        }
    }

    /// `expected …, got …`, with what to do if that is known.
    fn wrong(&self, expected: &str, remedy: Option<String>) -> Stop {
        let got = got(&self.node.value);
        let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        Stop::value(format!("expected {expected}, {got}{remedy}")).at(self.node)
    }

    /// The same without what stands there.
    fn hidden(&self, name: &'static str, expected: &str) -> Stop {
        let remedy = match name {
            "SecretSource" => {
                format!(": write where that is, such as `{key}: {{file: {key}.txt}}`", key = self.key)
            }
            _ => String::new(),
        };
        let hidden = "what is here instead is not shown, as it may be a secret";
        Stop::value(format!("expected {expected}; {hidden}{remedy}")).at(self.node)
    }

    fn whole(&self, min: i128, max: i128) -> Result<i128, Stop> {
        let remedy = match (&self.node.value, self.plain()) {
            (_, Some((text, Plain::Integer))) => {
                let number: i128 =
                    text.parse().unwrap_or(if text.starts_with('-') { i128::MIN } else { i128::MAX });
                return match number {
                    _ if number < min && min == 0 => {
                        Err(Stop::value(format!("{text} is negative: write 0 or more")))
                    }
                    _ if number < min => {
                        Err(Stop::value(format!("{text} is too small: write {min} or more")))
                    }
                    _ if number > max => {
                        Err(Stop::value(format!("{text} is too large: write {max} or less")))
                    }
                    _ => Ok(number),
                }
                .map_err(|stop| stop.at(self.node));
            }
            (_, Some((_, Plain::OddNumber))) => Some("write plain decimal digits".to_owned()),
            (Value::Scalar { text, quoted: true }, _) if classify(text) == Plain::Integer => {
                Some("remove the quotes".to_owned())
            }
            (Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) | Value::StandIn, _) => None,
        };
        Err(self.wrong("a whole number", remedy))
    }

    fn text(&self, expected: &str) -> Result<&'a str, Stop> {
        let is_string = expected == "a string";
        let expected = if is_string { "text" } else { expected };
        let Value::Scalar { text, quoted } = &self.node.value else { return Err(self.wrong(expected, None)) };
        match classify(text) {
            _ if *quoted => Ok(text),
            Plain::Text => Ok(text),
            Plain::Null if is_string => {
                Err(self.wrong(expected, Some("write \"\" for empty text, or remove the field".to_owned())))
            }
            Plain::Null => Err(self.wrong(expected, None)),
            Plain::YesNo(_) if is_string => Err(Stop::value(format!(
                "`{text}` is a boolean to some YAML readers and text to others: put it in quotes, \"{text}\""
            ))
            .at(self.node)),
            Plain::Boolean(_) | Plain::Integer | Plain::Float | Plain::OddNumber if is_string => {
                Err(self.wrong(expected, Some(format!("put it in quotes, \"{text}\""))))
            }
            Plain::Integer => Err(self.wrong(expected, Some(format!("give it a unit, such as `{text}s`")))),
            Plain::Boolean(_) | Plain::YesNo(_) | Plain::Float | Plain::OddNumber => {
                Err(self.wrong(expected, None))
            }
        }
    }

    /// What to write instead of a bare value where a mapping belongs: `format: json` means `format: {json: {}}`.
    fn as_mapping(&self, fields: &[&str]) -> Option<String> {
        match &self.node.value {
            Value::Scalar { text, quoted: false } if classify(text) == Plain::Null && fields.is_empty() => {
                Some(format!("write `{}: {{}}`", self.key))
            }
            Value::Scalar { text, .. } if fields.contains(&text.as_str()) => {
                Some(format!("write `{}: {{{text}: {{}}}}`", self.key))
            }
            Value::Sequence(_) => Some("remove the dash or the brackets".to_owned()),
            Value::Scalar { .. } | Value::Mapping(_) | Value::StandIn => None,
        }
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            if self.stands_in() {
                return StandIn.$method(visitor);
            }
            let number = self.whole(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            visitor.$visit(<$type>::try_from(number).expect("the range was checked"))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Stop;

    whole_numbers!(
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    );

    /// Asked for by types that take any number.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.stands_in() {
            return StandIn.deserialize_any(visitor);
        }
        if let Some((_, Plain::Float)) = self.plain() {
            return self.deserialize_f64(visitor);
        }
        let remedy = || Some("write plain decimal digits".to_owned());
        match self.plain() {
            Some((_, Plain::Integer)) => {
                let number = self.whole(i128::from(i64::MIN), i128::from(i64::MAX))?;
                visitor.visit_i64(i64::try_from(number).expect("the range was checked"))
            }
            Some((_, Plain::OddNumber)) => Err(self.wrong("a finite number", remedy())),
            Some(_) | None => Err(self.wrong("a number", None)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.stands_in() {
            return StandIn.deserialize_f64(visitor);
        }
        let number = match self.plain() {
            Some((text, Plain::Integer | Plain::Float)) => text.parse().ok().filter(|n: &f64| n.is_finite()),
            Some(_) | None => None,
        };
        visitor.visit_f64(number.ok_or_else(|| self.wrong("a finite number", None))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.stands_in() {
            return StandIn.deserialize_bool(visitor);
        }
        match self.plain() {
            Some((_, Plain::Boolean(value))) => visitor.visit_bool(value),
            Some((_, Plain::YesNo(value))) => {
                Err(self.wrong("true or false", Some(format!("write `{value}`"))))
            }
            Some(_) | None => Err(self.wrong("true or false", None)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.stands_in() {
            return StandIn.deserialize_str(visitor);
        }
        let expected = format!("{}", &visitor as &dyn de::Expected);
        let text = self.text(&expected)?;
        visitor.visit_str(text).map_err(|stop: Stop| stop.at(self.node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.stands_in() {
            return StandIn.deserialize_option(visitor);
        }
        // In a list null is a value. As a field it is a forgotten value more often than not: the type inside says so.
        match self.plain() {
            Some((_, Plain::Null)) if self.in_list => visitor.visit_none(),
            Some(_) | None => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::StandIn => StandIn.deserialize_seq(visitor),
            Value::Sequence(nodes) => visitor
                .visit_seq(Elements { nodes: nodes.iter(), key: self.key })
                .map_err(|stop: Stop| stop.at(self.node)),
            Value::Scalar { text, .. } if !text.is_empty() => {
                Err(self.wrong("a list", Some(format!("write `{}: [{text:?}]`", self.key))))
            }
            Value::Scalar { .. } => Err(self.wrong("a list", None)),
            Value::Mapping(_) => Err(self.wrong("a list", Some("begin each entry with `- `".to_owned()))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::StandIn => StandIn.deserialize_map(visitor),
            Value::Mapping(entries) => visitor
                .visit_map(Members { entries: entries.iter(), current: None })
                .map_err(|stop: Stop| stop.at(self.node)),
            Value::Scalar { .. } | Value::Sequence(_) => {
                Err(self.wrong("a mapping of names to text", self.as_mapping(&[])))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let entries = match &self.node.value {
            Value::StandIn => return StandIn.deserialize_struct(name, fields, visitor),
            Value::Mapping(entries) => entries,
            Value::Scalar { .. } | Value::Sequence(_) => {
                let expected = match fields {
                    [] => "a mapping without fields".to_owned(),
                    [..] => format!("a mapping with the fields {}", fields.join(", ")),
                };
                if SECRET.contains(&name) {
                    return Err(self.hidden(name, &expected));
                }
                return Err(self.wrong(&expected, self.as_mapping(fields)));
            }
        };
        if let Some(entry) = entries.iter().find(|entry| !fields.contains(&entry.key.as_str())) {
            if name == "SecretSource" && suggest::nearest(&entry.key, fields).is_none() {
                return Err(self.hidden(name, &format!("nothing but {}", fields.join(", "))));
            }
            let fault = Fault::Unknown { key: entry.key.clone(), known: fields };
            return Err(Stop { node: Some(self.node.id), fault });
        }
        visitor
            .visit_map(Members { entries: entries.iter(), current: None })
            .map_err(|stop: Stop| stop.of(name).at(self.node))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if self.stands_in() {
            return StandIn.deserialize_enum(name, variants, visitor);
        }
        let Value::Scalar { text, .. } = &self.node.value else {
            return Err(self.wrong(&format!("one of {}", variants.join(", ")), None));
        };
        if text.is_empty() {
            return Err(self.wrong(&format!("one of {}", variants.join(", ")), None));
        }
        // By its text, quoted or not: `overflow: Null` is a name here, not the null of YAML.
        match variants.iter().find(|variant| *variant == text) {
            Some(&variant) => visitor.visit_enum(variant.into_deserializer()),
            None => {
                Err(Stop::value(format!("unknown value `{text}`{}", suggest::hint(text, variants)))
                    .at(self.node))
            }
        }
    }

    /// Asked for by quantities, where a bare number is text.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        match self.plain() {
            Some((text, Plain::Integer | Plain::Float)) => {
                visitor.visit_str(text).map_err(|stop: Stop| stop.at(self.node))
            }
            Some(_) | None if self.stands_in() => StandIn.deserialize_newtype_struct("", visitor),
            Some(_) | None => self.deserialize_str(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
