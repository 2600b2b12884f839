//! A value of YAML or JSON in which a key may stand more than once: the last one wins, and it is remembered.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// No object that etcd takes comes near it.
const MOST_FIELDS: usize = 1_000_000;

/// A value in which a key may stand more than once.
#[derive(Debug)]
pub(crate) struct Loose {
    pub(crate) value: Value,
    /// The paths of the keys that stood there before.
    pub(crate) repeated: Vec<String>,
}

impl Loose {
    fn plain(value: impl Into<Value>) -> Self {
        Self { value: value.into(), repeated: Vec::new() }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Loose, E> {
        Ok(Loose::plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose, D::Error> {
        Loose::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::plain(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose::plain(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::plain(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Loose, E> {
        Ok(Loose::plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Loose, E> {
        Ok(Loose::plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::plain(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Loose, E> {
        Ok(Loose::plain(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Loose, E> {
        Ok(Loose::plain(value))
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<Loose, E> {
        std::str::from_utf8(value).map(Loose::plain).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        let (mut values, mut repeated) = (Vec::new(), Vec::new());
        while let Some(item) = list.next_element::<Loose>()? {
            let index = values.len();
            let join = |path: String| {
                if path.starts_with('[') { format!("[{index}]{path}") } else { format!("[{index}].{path}") }
            };
            repeated.extend(item.repeated.into_iter().map(join));
            values.push(item.value);
        }
        Ok(Loose { value: Value::Array(values), repeated })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let (mut fields, mut repeated) = (Map::new(), Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            if fields.len() > MOST_FIELDS {
                return Err(A::Error::custom("this map has too many keys for a Kubernetes object"));
            }
            let Loose { value, repeated: within } = map.next_value()?;
            let join = |path: String| {
                if path.starts_with('[') { format!("{key}{path}") } else { format!("{key}.{path}") }
            };
            repeated.extend(within.into_iter().map(join));
            if fields.insert(key.clone(), value).is_some() {
                repeated.push(key);
            }
        }
        Ok(Loose { value: Value::Object(fields), repeated })
    }
}
