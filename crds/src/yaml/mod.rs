//! Reads the API's types from YAML so that every mistake is found at once, each with its place.
//!
//! Owns: the loop read, report, mend, read again.
//! Never: knows a rule that spans several fields.

mod access;
mod read;
mod scalar;
mod stand_in;
mod tree;

use serde::de::DeserializeOwned;

pub(crate) use self::tree::Node;
use self::{
    read::{Fault, Reader, Stop},
    tree::{Entry, Value},
};
use crate::{errors::ManifestError, suggest};

const MISTAKES_MAX: usize = 100;

/// A value that was read, perhaps with stand-ins for what is wrong.
pub(crate) struct Document<T> {
    pub(crate) value: T,
    pub(crate) root: Node,
    /// Paths that were wrong or missing: what a later check says about them or their neighbours is not reliable.
    pub(crate) doubtful: Vec<String>,
}

/// Reads the one document in `text`. `Err` if nothing can be read at all; other mistakes are added to `mistakes`.
pub(crate) fn read<T: DeserializeOwned>(
    text: &str,
    mistakes: &mut Vec<ManifestError>,
) -> Result<Document<T>, ManifestError> {
    let mut root = tree::read(text, mistakes)?;
    let mut doubtful = Vec::new();
    loop {
        let stop = match T::deserialize(Reader::root(&root)) {
            Ok(value) => return Ok(Document { value, root, doubtful }),
            Err(stop) => stop,
        };
        let mistake = mend(&mut root, stop, &mut doubtful);
        if mistakes.len() >= MISTAKES_MAX {
            return Err(mistake);
        }
        mistakes.push(mistake);
    }
}

/// Changes the tree so that the next reading gets past the mistake, and describes it.
fn mend(root: &mut Node, stop: Stop, doubtful: &mut Vec<String>) -> ManifestError {
    let id = stop.node.unwrap_or(root.id);
    let (node, path) = root.find_mut(id, "").expect("a mistake names a node of the tree");
    match stop.fault {
        Fault::Value(message) => {
            let at = node.position();
            node.value = Value::StandIn;
            doubtful.push(path.clone());
            ManifestError::new(Some(at), &path, message)
        }
        Fault::Missing { owner, field } => {
            let (at, stand_in) = (node.position(), stand_in(node));
            let Value::Mapping(entries) = &mut node.value else {
                unreachable!("only a mapping misses a field")
            };
            entries.push(Entry { key: field.to_owned(), node: stand_in });
            doubtful.push(tree::join(&path, field));
            let remedy =
                suggest::example(owner, field).map(|example| format!("; add it, such as `{example}`"));
            let message = format!("`{field}` is missing{}", remedy.unwrap_or_default());
            ManifestError::new(Some(at), &path, message)
        }
        Fault::Unknown { key, known } => {
            let Value::Mapping(entries) = &mut node.value else { unreachable!("only a mapping has fields") };
            let index =
                entries.iter().position(|entry| entry.key == key).expect("the unknown field is there");
            let at = entries[index].node.key_at.unwrap_or(entries[index].node.at);
            match suggest::nearest(&key, known) {
                // Read on as if it had been written right: what is inside may hold more mistakes.
                Some(meant) if entries.iter().all(|entry| entry.key != meant) => {
                    entries[index].key = meant.to_owned()
                }
                Some(_) | None => {
                    entries.remove(index);
                    doubtful.push(tree::join(&path, &key));
                }
            }
            let message = match known {
                [] => "unknown field: none is known here; remove it".to_owned(),
                [..] => format!("unknown field{}", suggest::hint(&key, known)),
            };
            ManifestError::new(Some(at), &tree::join(&path, &key), message)
        }
    }
}

fn stand_in(parent: &Node) -> Node {
    // Stand-ins read as anything, so they never are the node of a mistake and need no id of their own.
    Node { id: 0, at: parent.at, key_at: parent.key_at, value: Value::StandIn }
}
