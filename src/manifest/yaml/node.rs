//! The values of a manifest between reading and applying: JSON that still knows where each value was written and
//! whether it was quoted.

use serde_json::Value;

use crate::manifest::yaml::source::Spot;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) spot: Spot,
    pub(crate) content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A string, number, boolean or null.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) value: Value,
    /// It was written without quotes and without a tag, so that its text decided its type.
    pub(crate) plain: bool,
}

/// A key of a map and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) spot: Spot,
    pub(crate) value: Node,
}

impl Node {
    /// The value of a key; `None` where there is none or this is not a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The value of a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Content::Map(entries) = &mut self.content else { return None };
        entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The value at the end of a path of keys, to change it.
    pub(crate) fn at_mut(&mut self, path: &[&str]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, key| node.get_mut(key))
    }

    /// The string at the end of a path of keys.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.text()
    }

    /// The string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar()?.as_str()
    }

    /// The scalar's value, if it is one.
    pub(crate) fn scalar(&self) -> Option<&Value> {
        let Content::Scalar(scalar) = &self.content else { return None };
        Some(&scalar.value)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(Value::is_null)
    }

    /// The keys and values; empty where this is not a map.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Content::Map(entries) = &self.content { entries } else { &[] }
    }

    /// The items; empty where this is not a list.
    pub(crate) fn items(&self) -> &[Self] {
        if let Content::List(items) = &self.content { items } else { &[] }
    }

    /// The items, to change them.
    pub(crate) fn items_mut(&mut self) -> &mut [Self] {
        if let Content::List(items) = &mut self.content { items } else { &mut [] }
    }

    /// Takes a key out of a map.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let Content::Map(entries) = &mut self.content else { return None };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// The plain data.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }
}
