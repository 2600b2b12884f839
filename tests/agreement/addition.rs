//! Fields that the schema has, and the object has not.

use serde_json::{Map, Value, json};
use windlass::schema::{Field, Schemas, Shape};

use crate::random::Random;

/// Where a field stands: the kind of its object, and the keys that lead to it.
struct Place<'a> {
    schemas: &'a Schemas,
    api_version: &'a str,
    kind: &'a str,
    path: Vec<&'a str>,
}

/// Adds a field to what a pointer leads to; the pointer to the field, and what it holds. `None` where nothing is known that could
/// be added.
pub(crate) fn add(
    schemas: &Schemas,
    object: &mut Value,
    pointer: &str,
    random: &mut Random,
) -> Option<(String, String)> {
    let original = object.clone();
    let text = |name: &str| original[name].as_str().unwrap_or_default();
    let steps = pointer.split('/').skip(1).filter(|step| step.parse::<usize>().is_err());
    let place = Place { schemas, api_version: text("apiVersion"), kind: text("kind"), path: steps.collect() };
    let map = object.pointer_mut(pointer)?.as_object_mut()?;
    let is_missing = |field: &&Field| !map.contains_key(field.name) && field.name != "status";
    let fields: Vec<&Field> = place.fields().into_iter().filter(is_missing).collect();
    // Metadata is the server's own, and a definition's schema is drawn often enough.
    if fields.is_empty() || place.path.iter().any(|step| ["metadata", "openAPIV3Schema"].contains(step)) {
        return None;
    }
    let field = *random.one(&fields);
    let value = place.value(field, &field.shape, random);
    let what = value.to_string();
    map.insert(field.name.to_owned(), value);
    Some((format!("{pointer}/{}", field.name), what))
}

impl<'a> Place<'a> {
    fn fields(&self) -> Vec<&'static Field> {
        self.schemas.fields(self.api_version, self.kind, &self.path)
    }

    /// A value that has the right type, and is right or wrong.
    fn value(&self, field: &'a Field, shape: &Shape, random: &mut Random) -> Value {
        let choices = match shape {
            Shape::Text if !field.values.is_empty() => {
                field.values.iter().copied().chain(["Other", ""]).map(Value::from).collect()
            }
            Shape::Text => vec![json!("a"), json!("a.b/c"), json!("/a"), json!("A b"), json!("")],
            Shape::Flag => vec![json!(true), json!(false)],
            Shape::Int32 | Shape::Int64 | Shape::Number => vec![json!(-1), json!(0), json!(1), json!(70_000)],
            Shape::Quantity => vec![json!("1"), json!("-1"), json!("1Gi")],
            Shape::Time => vec![json!("2026-01-31T12:00:00Z")],
            Shape::MicroTime => vec![json!("2026-01-31T12:00:00.000000Z")],
            Shape::IntOrText => vec![json!(0), json!(1), json!(-1), json!("150%"), json!("a")],
            Shape::Bytes => vec![json!(""), json!("YQ=="), json!("a")],
            Shape::List(item) => vec![json!([]), json!([null]), json!([self.value(field, item, random)])],
            Shape::Map(item) => {
                let value = self.value(field, item, random);
                vec![json!({}), json!({"a": value}), json!({"A b": value})]
            }
            Shape::Type(_) => return self.inner(field, random),
            _ => vec![json!({}), json!({"a": 1})],
        };
        random.one(&choices).clone()
    }

    /// An object without a field, or with one.
    fn inner(&self, field: &'a Field, random: &mut Random) -> Value {
        let path = self.path.iter().copied().chain([field.name]).collect();
        let inner = Place { path, ..*self };
        let fields = inner.fields();
        if fields.is_empty() || random.once_in(3) {
            return json!({});
        }
        let one = *random.one(&fields);
        let value = match &one.shape {
            Shape::Type(_) => json!({}),
            shape => inner.value(one, shape, random),
        };
        Value::Object(Map::from_iter([(one.name.to_owned(), value)]))
    }
}
