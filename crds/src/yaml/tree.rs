//! A YAML document as a tree in which every node knows its line and column.
//!
//! Owns: positions; duplicate keys, aliases, tags, merge keys, the number of documents in a file.
//! Never: knows which fields a manifest has.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::errors::{ManifestError, Position};

const DEPTH_MAX: usize = 64;
const NODES_MAX: u32 = 100_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Unique in its tree.
    pub(crate) id: u32,
    /// Where the value begins.
    pub(crate) at: Position,
    /// Where its key begins, if it is a member of a mapping.
    pub(crate) key_at: Option<Position>,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `quoted` also stands for block scalars: text whatever it looks like.
    Scalar {
        text: String,
        quoted: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Takes the place of a value that is missing or wrong and has been reported; reads as whatever is asked for.
    StandIn,
}

/// A member of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) node: Node,
}

impl Node {
    /// Where a reader looks for this node: scalars at the value, anything larger at its key.
    pub(crate) fn position(&self) -> Position {
        match &self.value {
            Value::Scalar { text, quoted } if *quoted || !text.is_empty() => self.at,
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) | Value::StandIn => {
                self.key_at.unwrap_or(self.at)
            }
        }
    }

    /// The node with this id below (or at) this one, and the path that leads there from `path`.
    pub(crate) fn find_mut(&mut self, id: u32, path: &str) -> Option<(&mut Node, String)> {
        if self.id == id {
            return Some((self, path.to_owned()));
        }
        match &mut self.value {
            Value::Sequence(nodes) => {
                nodes.iter_mut().enumerate().find_map(|(i, node)| node.find_mut(id, &format!("{path}[{i}]")))
            }
            Value::Mapping(entries) => {
                entries.iter_mut().find_map(|entry| entry.node.find_mut(id, &join(path, &entry.key)))
            }
            Value::Scalar { .. } | Value::StandIn => None,
        }
    }

    /// Where a field path such as `spec.pipeline.keyBy[1]` stands, or as much of it as exists.
    pub(crate) fn locate(&self, path: &str) -> Position {
        let mut node = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match &node.value {
                Value::Mapping(entries) => {
                    entries.iter().find(|entry| entry.key == step).map(|entry| &entry.node)
                }
                Value::Sequence(nodes) => {
                    step.trim_end_matches(']').parse().ok().and_then(|i: usize| nodes.get(i))
                }
                Value::Scalar { .. } | Value::StandIn => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.position()
    }
}

/// The path of a member of the mapping at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Reads the one document in `text`. Mistakes that leave a usable tree are added to `mistakes`.
pub(crate) fn read(text: &str, mistakes: &mut Vec<ManifestError>) -> Result<Node, ManifestError> {
    let mut builder =
        Builder { text, parser: Parser::new_from_str(text), nodes: 0, anchors: HashMap::new(), mistakes };
    let mut root = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(_) => {
                let node = builder.document()?;
                if is_empty(&node) {
                    continue;
                }
                if root.is_some() {
                    let message = "a second document begins here: write one job a file".to_owned();
                    return Err(ManifestError::new(Some(position(&span)), "", message));
                }
                root = Some(node);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::DocumentEnd
            | Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => {}
        }
    }
    root.ok_or_else(|| {
        let message = "the document is empty: a manifest begins with `apiVersion: streamjob.dev/v1alpha1`";
        ManifestError::new(Some(Position { line: 1, column: 1 }), "", message.to_owned())
    })
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, quoted: false } if super::scalar::classify(text) == super::scalar::Plain::Null)
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

struct Builder<'a, 'm> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    nodes: u32,
    anchors: HashMap<usize, Node>,
    mistakes: &'m mut Vec<ManifestError>,
}

impl<'a> Builder<'a, '_> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ManifestError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&self, error: &ScanError) -> ManifestError {
        let marker = error.marker();
        // The scanner stumbles over a tab at the tab or some lines after it.
        let tab = self.text.lines().take(marker.line()).enumerate().find_map(|(i, line)| {
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            line[..indent].find('\t').map(|column| Position { line: i + 1, column: column + 1 })
        });
        match tab {
            Some(at) => ManifestError::new(
                Some(at),
                "",
                "a tab indents this line: YAML allows only spaces there".to_owned(),
            ),
            None => {
                let at = Position { line: marker.line(), column: marker.col() + 1 };
                let remedy = "check quotes, brackets and indentation here and just before";
                ManifestError::new(Some(at), "", format!("not valid YAML: {}; {remedy}", error.info()))
            }
        }
    }

    fn document(&mut self) -> Result<Node, ManifestError> {
        self.anchors.clear();
        let first = self.next()?;
        self.node(first, "", 0)
    }

    fn node(
        &mut self,
        (event, span): (Event<'a>, Span),
        path: &str,
        depth: usize,
    ) -> Result<Node, ManifestError> {
        let at = position(&span);
        if depth > DEPTH_MAX {
            let message = format!("nested more than {DEPTH_MAX} levels deep");
            return Err(ManifestError::new(Some(at), path, message));
        }
        let (anchor, tag, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = Value::Scalar { text: text.into_owned(), quoted: style != ScalarStyle::Plain };
                (anchor, tag, value)
            }
            Event::SequenceStart(anchor, tag) => (anchor, tag, self.sequence(path, depth)?),
            Event::MappingStart(anchor, tag) => (anchor, tag, self.mapping(path, depth)?),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(ManifestError::new(Some(at), path, "this alias contains itself".to_owned()));
                };
                return self.renumbered(node, at, path);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => unreachable!("the parser balances its events"),
        };
        if let Some(tag) = tag {
            // Any other may be a password that begins with an exclamation mark.
            let message = match tag.handle.as_str() {
                "tag:yaml.org,2002:" => format!("the tag `!!{}` is not supported: remove it", tag.suffix),
                _ => "what begins with `!` is a tag to YAML, and tags are not supported: put text in quotes"
                    .to_owned(),
            };
            self.mistakes.push(ManifestError::new(Some(at), path, message));
        }
        let node = Node { id: self.new_id(at, path)?, at, key_at: None, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn new_id(&mut self, at: Position, path: &str) -> Result<u32, ManifestError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values: is this a manifest?");
            return Err(ManifestError::new(Some(at), path, message));
        }
        Ok(self.nodes)
    }

    fn renumbered(&mut self, mut node: Node, at: Position, path: &str) -> Result<Node, ManifestError> {
        node.id = self.new_id(at, path)?;
        match &mut node.value {
            Value::Sequence(nodes) => {
                for child in nodes {
                    *child = self.renumbered(child.clone(), at, path)?;
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    entry.node = self.renumbered(entry.node.clone(), at, path)?;
                }
            }
            Value::Scalar { .. } | Value::StandIn => {}
        }
        Ok(node)
    }

    fn sequence(&mut self, path: &str, depth: usize) -> Result<Value, ManifestError> {
        let mut nodes = Vec::new();
        loop {
            let event = self.next()?;
            if event.0 == Event::SequenceEnd {
                return Ok(Value::Sequence(nodes));
            }
            let child = format!("{path}[{}]", nodes.len());
            nodes.push(self.node(event, &child, depth + 1)?);
        }
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Result<Value, ManifestError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let event = self.next()?;
            if event.0 == Event::MappingEnd {
                return Ok(Value::Mapping(entries));
            }
            let key = self.node(event, path, depth + 1)?;
            let name = match &key.value {
                Value::Scalar { text, .. } => text.clone(),
                Value::Sequence(_) | Value::Mapping(_) | Value::StandIn => {
                    let message = "a field name must be text: a list or a mapping stands here".to_owned();
                    return Err(ManifestError::new(Some(key.at), path, message));
                }
            };
            let child = join(path, &name);
            let event = self.next()?;
            let mut node = self.node(event, &child, depth + 1)?;
            node.key_at = Some(key.at);
            if let Some(message) = refused(&name, &entries) {
                self.mistakes.push(ManifestError::new(Some(key.at), &child, message));
            } else {
                entries.push(Entry { key: name, node });
            }
        }
    }
}

/// Why a mapping may not have this key.
fn refused(key: &str, before: &[Entry]) -> Option<String> {
    if key == "<<" {
        return Some("merge keys are not supported: write the fields out".to_owned());
    }
    let first = before.iter().find(|entry| entry.key == key)?;
    let line = first.node.key_at.unwrap_or(first.node.at).line;
    Some(format!("given twice: first in line {line}; keep one"))
}
