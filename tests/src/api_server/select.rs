//! Which objects a list or a watch is about.
//!
//! Owns: label selectors and the field selectors that we use.
//! Never: changes anything.

use serde_json::Value;

use super::refusal::Refusal;

/// A parsed pair of selectors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selection {
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels =
            split(labels).into_iter().map(|part| requirement(&part)).collect::<Result<Vec<_>, _>>()?;
        let mut parsed = Vec::new();
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            let (name, value, equal) = match part.split_once("!=") {
                Some((name, value)) => (name, value, false),
                None => {
                    let (name, value) = part
                        .split_once('=')
                        .ok_or_else(|| Refusal::bad_request(format!("invalid field selector `{part}`")))?;
                    (name, value.trim_start_matches('='), true)
                }
            };
            parsed.push((name.to_owned(), value.to_owned(), equal));
        }
        Ok(Self { labels, fields: parsed })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let fields = |(name, value, equal): &(String, String, bool)| {
            let found = object.pointer(&format!("/{}", name.replace('.', "/"))).and_then(Value::as_str);
            (found.unwrap_or_default() == value) == *equal
        };
        self.labels.iter().all(|requirement| requirement.holds(labels)) && self.fields.iter().all(fields)
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let found = |name: &str| labels.get(name).and_then(Value::as_str);
        let among = |name: &str, values: &[String]| {
            found(name).is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        match self {
            Self::In(name, values) => among(name, values),
            Self::NotIn(name, values) => !among(name, values),
            Self::Exists(name) => found(name).is_some(),
            Self::Absent(name) => found(name).is_none(),
        }
    }
}

/// At commas outside of brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is always a part").push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn requirement(part: &str) -> Result<Requirement, Refusal> {
    let values = |text: &str| -> Vec<String> {
        text.trim().trim_matches(['(', ')']).split(',').map(|value| value.trim().to_owned()).collect()
    };
    if let Some((name, list)) = part.split_once(" notin ") {
        return Ok(Requirement::NotIn(name.trim().to_owned(), values(list)));
    }
    if let Some((name, list)) = part.split_once(" in ") {
        return Ok(Requirement::In(name.trim().to_owned(), values(list)));
    }
    if let Some((name, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(name.trim().to_owned(), values(value)));
    }
    if let Some((name, value)) = part.split_once('=') {
        return Ok(Requirement::In(name.trim().to_owned(), values(value.trim_start_matches('='))));
    }
    if let Some(name) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(name.trim().to_owned()));
    }
    if part.contains(char::is_whitespace) {
        return Err(Refusal::bad_request(format!("unable to parse requirement `{part}`")));
    }
    Ok(Requirement::Exists(part.to_owned()))
}
