//! Which fields of an object are kept when it is read: the others are passed over without being built.

use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What is kept of a value. Of a list it is kept of each item; what is neither a map nor a list is kept as it is.
#[derive(Debug, Clone, Copy)]
pub enum Projection {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// Of a map only these fields.
    Only(&'static [(&'static str, Self)]),
    /// Of a map all fields, of these as much as they say.
    AllBut(&'static [(&'static str, Self)]),
}

/// Objects without what others wrote down about who wrote what.
pub const WITHOUT_MANAGED_FIELDS: Projection =
    Projection::AllBut(&[("metadata", Projection::AllBut(&[("managedFields", Projection::Nothing)]))]);

impl Projection {
    fn of_field(self, name: &str) -> Self {
        let (fields, otherwise) = match self {
            Self::All => return Self::All,
            Self::Nothing => return Self::Nothing,
            Self::Only(fields) => (fields, Self::Nothing),
            Self::AllBut(fields) => (fields, Self::All),
        };
        fields.iter().find(|(field, _)| *field == name).map_or(otherwise, |(_, projection)| *projection)
    }

    /// Reads JSON as far as it is kept.
    ///
    /// # Errors
    /// What is no JSON, or is nested too deeply.
    pub fn read(self, json: &str) -> serde_json::Result<Value> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// A copy of a value as far as it is kept.
    pub fn copy(self, value: &Value) -> Value {
        match (self, value) {
            (Self::All, value) => value.clone(),
            (_, Value::Array(items)) => Value::Array(items.iter().map(|item| self.copy(item)).collect()),
            (_, Value::Object(fields)) => {
                let kept = fields.iter().filter_map(|(name, field)| {
                    let projection = self.of_field(name);
                    (!projection.is_nothing()).then(|| (name.clone(), projection.copy(field)))
                });
                Value::Object(kept.collect())
            }
            (_, scalar) => scalar.clone(),
        }
    }

    fn is_nothing(self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl<'de> DeserializeSeed<'de> for Projection {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Self::All => Value::deserialize(deserializer),
            Self::Nothing => IgnoredAny::deserialize(deserializer).map(|_| Value::Null),
            Self::Only(_) | Self::AllBut(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Projection {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, projection)) = fields.next_key_seed(FieldName(self))? {
            let value = fields.next_value_seed(projection)?;
            if let Some(name) = name {
                map.insert(name, value);
            }
        }
        Ok(Value::Object(map))
    }
}

/// The name of a field: kept only where the field is.
struct FieldName(Projection);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = (Option<String>, Projection);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = (Option<String>, Projection);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let projection = self.0.of_field(name);
        Ok(((!projection.is_nothing()).then(|| name.to_owned()), projection))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SOME: Projection = Projection::Only(&[
        ("metadata", Projection::Only(&[("name", Projection::All)])),
        ("items", Projection::Only(&[("a", Projection::All)])),
    ]);

    #[test]
    fn only_what_is_asked_for_is_kept_and_odd_types_stay() {
        let object = json!({
            "metadata": {"name": {"odd": [1, -2, 0.5, null]}, "labels": {"deep": [[[1]]]}},
            "items": [{"a": 1, "b": 2}, 7, "x", [{"a": true}]],
            "status": {"a": 1},
        });
        let kept = json!({
            "metadata": {"name": {"odd": [1, -2, 0.5, null]}},
            "items": [{"a": 1}, 7, "x", [{"a": true}]],
        });
        assert_eq!(SOME.read(&object.to_string()).unwrap(), kept);
        assert_eq!(SOME.copy(&object), kept);
        assert_eq!(SOME.read("\"text\"").unwrap(), json!("text"));
        assert!(SOME.read("{\"metadata\":").is_err());
        assert!(SOME.read("{} {}").is_err());
    }

    #[test]
    fn managed_fields_are_passed_over() {
        let object = json!({"metadata": {"name": "web", "managedFields": [{"manager": "x"}]}, "spec": {"managedFields": 1}});
        let kept = json!({"metadata": {"name": "web"}, "spec": {"managedFields": 1}});
        assert_eq!(WITHOUT_MANAGED_FIELDS.read(&object.to_string()).unwrap(), kept);
        assert_eq!(WITHOUT_MANAGED_FIELDS.copy(&object), kept);
    }
}
