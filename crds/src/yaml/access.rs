//! Lists and mappings of the tree, one element after the other.
//!
//! Owns: serde's access to the elements of a node.
//! Never: judges a value; the reader does.

use serde::de::{self, DeserializeSeed, IntoDeserializer};

use super::read::{Reader, Stop};
use super::tree::{Entry, Node};

/// The entries of a list.
pub(super) struct Elements<'a> {
    pub(super) nodes: std::slice::Iter<'a, Node>,
    pub(super) key: &'a str,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        let reader = Reader { node, key: self.key, in_list: true };
        seed.deserialize(reader).map(Some).map_err(|stop| stop.at(node))
    }
}

/// The members of a mapping.
pub(super) struct Members<'a> {
    pub(super) entries: std::slice::Iter<'a, Entry>,
    pub(super) current: Option<&'a Entry>,
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        self.current = self.entries.next();
        self.current.map(|entry| seed.deserialize(entry.key.as_str().into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let entry = self.current.take().expect("serde asks for a value after its key");
        let reader = Reader { node: &entry.node, key: &entry.key, in_list: false };
        seed.deserialize(reader).map_err(|stop| stop.at(&entry.node))
    }
}
