//! A map of `windlass.yaml` while it is read: each key is known, or the error says which one was meant.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Kind, Place, Result};
use crate::project::config::yaml::{ConfigNode, Key, Value};
use crate::text::{duration, nearest};

/// The keys that a map may have.
pub(crate) struct Keys {
    /// What is read.
    pub(crate) known: &'static [&'static str],
    /// Words of the contract that this version does not know yet.
    pub(crate) unbuilt: &'static [&'static str],
}

/// A map whose keys have been checked.
pub(crate) struct Table {
    /// The keys that lead here, for messages: `tests.unit`.
    path: String,
    place: Place,
    entries: Vec<(Key, ConfigNode)>,
}

impl Table {
    /// Takes a map and checks its keys.
    pub(crate) fn open(path: &str, node: ConfigNode, keys: &Keys) -> Result<Self> {
        let place = node.place.clone();
        let entries = entries(path, node)?;
        for (key, _) in &entries {
            check(key, keys)?;
        }
        Ok(Self { path: path.to_owned(), place, entries })
    }

    /// The value of a key; a key with nothing behind it is as good as none.
    pub(crate) fn take(&mut self, key: &str) -> Option<ConfigNode> {
        let index = self.entries.iter().position(|(one, _)| one.text == key)?;
        Some(self.entries.swap_remove(index).1).filter(|node| !matches!(node.value, Value::Null))
    }

    /// The value of a key, where it is a map.
    pub(crate) fn take_map(&mut self, key: &str) -> Option<ConfigNode> {
        let is_map = |(one, node): &(Key, ConfigNode)| one.text == key && matches!(node.value, Value::Map(_));
        let index = self.entries.iter().position(is_map)?;
        Some(self.entries.swap_remove(index).1)
    }

    /// Whether there is a value behind a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(one, node)| one.text == key && !matches!(node.value, Value::Null))
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&mut self, key: &str) -> Result<ConfigNode> {
        self.take(key).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("`{}` has no `{key}`", self.path)).at(self.place.clone())
        })
    }

    /// The path of a key in here.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.path == ROOT { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the map stands.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// A text, if the key is there.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>> {
        let path = self.path(key);
        self.take(key).map(|node| text(&path, &node)).transpose()
    }

    /// A map of texts; empty, if the key is missing.
    pub(crate) fn texts(&mut self, key: &str) -> Result<BTreeMap<String, String>> {
        let path = self.path(key);
        self.maps(key, |key, node| text(&format!("{path}.{}", key.text), &node))
    }

    /// A map of anything; empty, if the key is missing.
    pub(crate) fn maps<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&Key, ConfigNode) -> Result<T>,
    ) -> Result<BTreeMap<String, T>> {
        let path = self.path(key);
        let Some(node) = self.take(key) else { return Ok(BTreeMap::new()) };
        let entries = entries(&path, node)?;
        entries
            .into_iter()
            .map(|(key, node)| {
                let value = read(&key, node)?;
                Ok((key.text, value))
            })
            .collect()
    }

    /// A duration; the default, if the key is missing.
    pub(crate) fn duration(&mut self, key: &str, default: Duration) -> Result<Duration> {
        let path = self.path(key);
        let Some(node) = self.take(key) else { return Ok(default) };
        duration(&text(&path, &node)?)
            .map_err(|error| Error::from(error).at(node.place).context(format!("`{path}`")))
    }
}

/// The path of the whole file.
pub(crate) const ROOT: &str = "windlass.yaml";

/// The entries of a map.
pub(crate) fn entries(path: &str, node: ConfigNode) -> Result<Vec<(Key, ConfigNode)>> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong(path, "a map", &other, node.place)),
    }
}

/// A single value, with the letters of the file.
pub(crate) fn text(path: &str, node: &ConfigNode) -> Result<String> {
    match &node.value {
        Value::Scalar(text) => Ok(text.clone()),
        Value::Null => Err(Error::new(Kind::Invalid, format!("`{path}` has no value"))
            .at(node.place.clone())
            .with_hint("write \"\" for an empty string")),
        other => Err(wrong(path, "a single value", other, node.place.clone())),
    }
}

/// A list of single values.
pub(crate) fn list(path: &str, node: ConfigNode) -> Result<Vec<String>> {
    match node.value {
        Value::List(items) => items.iter().map(|item| text(path, item)).collect(),
        other => Err(wrong(path, "a list", &other, node.place)),
    }
}

fn wrong(path: &str, wanted: &str, found: &Value, place: Place) -> Error {
    Error::new(Kind::Invalid, format!("`{path}` must be {wanted}, not {}", found.describe())).at(place)
}

fn check(key: &Key, keys: &Keys) -> Result<()> {
    let word = key.text.as_str();
    if keys.unbuilt.contains(&word) {
        return Err(unbuilt(&format!("the key `{word}`"), key.place.clone()));
    }
    if keys.known.contains(&word) {
        return Ok(());
    }
    let near = nearest(word, keys.known.iter().chain(keys.unbuilt).copied());
    let hint = near.map_or_else(
        || format!("the keys here are {}", keys.known.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Error::new(Kind::Invalid, format!("unknown key `{word}`")).at(key.place.clone()).with_hint(hint))
}

/// The error for a word of the contract that this version does not know yet.
pub(crate) fn unbuilt(what: &str, place: Place) -> Error {
    Error::new(Kind::Usage, format!("{what} is not implemented")).at(place).with_hint("remove it")
}
