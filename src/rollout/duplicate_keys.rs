//! A value of YAML or JSON that may have duplicate keys: the last one wins, and the duplicates are remembered.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// More than any object that fits into etcd.
const MOST_FIELDS: usize = 1_000_000;

/// A value that may have duplicate keys.
#[derive(Debug)]
pub(crate) struct LastOfDuplicates {
    pub(crate) value: Value,
    /// The paths of the duplicate keys.
    pub(crate) repeated: Vec<String>,
}

impl LastOfDuplicates {
    fn plain(value: impl Into<Value>) -> Self {
        Self { value: value.into(), repeated: Vec::new() }
    }
}

impl<'de> Deserialize<'de> for LastOfDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LastOfDuplicatesVisitor)
    }
}

struct LastOfDuplicatesVisitor;

impl<'de> Visitor<'de> for LastOfDuplicatesVisitor {
    type Value = LastOfDuplicates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<LastOfDuplicates, D::Error> {
        LastOfDuplicates::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value))
    }

    fn visit_string<E>(self, value: String) -> Result<LastOfDuplicates, E> {
        Ok(LastOfDuplicates::plain(value))
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<LastOfDuplicates, E> {
        std::str::from_utf8(value).map(LastOfDuplicates::plain).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LastOfDuplicates, A::Error> {
        let (mut values, mut repeated) = (Vec::new(), Vec::new());
        while let Some(item) = list.next_element::<LastOfDuplicates>()? {
            let index = values.len();
            let join = |path: String| {
                if path.starts_with('[') { format!("[{index}]{path}") } else { format!("[{index}].{path}") }
            };
            repeated.extend(item.repeated.into_iter().map(join));
            values.push(item.value);
        }
        Ok(LastOfDuplicates { value: Value::Array(values), repeated })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LastOfDuplicates, A::Error> {
        let (mut fields, mut repeated) = (Map::new(), Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            if fields.len() > MOST_FIELDS {
                return Err(A::Error::custom("this map has too many keys for a Kubernetes object"));
            }
            let LastOfDuplicates { value, repeated: within } = map.next_value()?;
            let join = |path: String| {
                if path.starts_with('[') { format!("{key}{path}") } else { format!("{key}.{path}") }
            };
            repeated.extend(within.into_iter().map(join));
            if fields.insert(key.clone(), value).is_some() {
                repeated.push(key);
            }
        }
        Ok(LastOfDuplicates { value: Value::Object(fields), repeated })
    }
}
