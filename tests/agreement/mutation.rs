//! One change of one object.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::random::Random;

/// Kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Another key.
    Renamed,
    /// A value of another type.
    Type,
    /// The field is left out.
    Dropped,
    /// A value of the same type, out of range or of another form.
    Value,
    /// An item stands twice in a list.
    Duplicate,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Renamed, Self::Type, Self::Dropped, Self::Value, Self::Duplicate];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Renamed => "renamed",
            Self::Type => "type changed",
            Self::Dropped => "dropped",
            Self::Value => "value changed",
            Self::Duplicate => "duplicate",
        })
    }
}

/// An object with one change.
#[derive(Debug)]
pub(crate) struct Mutation {
    /// Which object of the corpus.
    pub(crate) object: usize,
    pub(crate) kind: Kind,
    /// Where, as a JSON pointer.
    pub(crate) pointer: String,
    /// What is there now.
    pub(crate) what: String,
    pub(crate) changed: Value,
}

/// Draws so many changes: a field of any object, each as likely as any other, then what happens to it.
pub(crate) fn draw(objects: &[Value], count: usize, random: &mut Random) -> Vec<Mutation> {
    let mut fields = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let mut pointers = Vec::new();
        collect(object, "", &mut pointers);
        fields.extend(pointers.into_iter().map(|pointer| (index, pointer)));
    }
    let texts = texts(objects);
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let (object, pointer) = random.one(&fields).clone();
        let kinds = kinds(&objects[object], &pointer);
        let kind = *random.one(&kinds);
        let mut changed = objects[object].clone();
        let what = change(&mut changed, &pointer, kind, &texts, random);
        if changed != objects[object] {
            drawn.push(Mutation { object, kind, pointer, what, changed });
        }
    }
    drawn
}

/// The pointers to all fields and items.
fn collect(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let mut one = |step: String, inner: &Value| {
        let pointer = format!("{pointer}/{step}");
        found.push(pointer.clone());
        collect(inner, &pointer, found);
    };
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| one(key.replace('~', "~0").replace('/', "~1"), inner));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| one(index.to_string(), inner));
        }
        _ => {}
    }
}

/// Every string of the corpus: what is right in one place may be wrong in another.
fn texts(objects: &[Value]) -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|inner| walk(inner, found)),
            Value::Object(map) => map.values().for_each(|inner| walk(inner, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for object in objects {
        walk(object, &mut found);
    }
    found
}

/// What may happen to a field.
fn kinds(object: &Value, pointer: &str) -> Vec<Kind> {
    let mut kinds = vec![Kind::Type, Kind::Dropped, Kind::Value];
    if parent(object, pointer).is_object() {
        kinds.push(Kind::Renamed);
    }
    if object.pointer(pointer).and_then(Value::as_array).is_some_and(|items| !items.is_empty()) {
        kinds.push(Kind::Duplicate);
    }
    kinds
}

fn parent<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer.rsplit_once('/').unwrap().0).unwrap()
}

/// Changes the object; what is there afterwards, in words.
fn change(object: &mut Value, pointer: &str, kind: Kind, texts: &[String], random: &mut Random) -> String {
    match kind {
        Kind::Renamed => rename(object, pointer, random),
        Kind::Dropped => {
            drop_field(object, pointer);
            String::new()
        }
        Kind::Duplicate => duplicate(object, pointer, texts, random),
        Kind::Type | Kind::Value => {
            let value = object.pointer_mut(pointer).unwrap();
            *value = if kind == Kind::Type {
                other_type(value, random)
            } else {
                other_value(value, texts, random)
            };
            value.to_string()
        }
    }
}

fn split(pointer: &str) -> (&str, String) {
    let (parent, step) = pointer.rsplit_once('/').unwrap();
    (parent, step.replace("~1", "/").replace("~0", "~"))
}

fn drop_field(object: &mut Value, pointer: &str) {
    let (parent, step) = split(pointer);
    match object.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.shift_remove(&step)),
        Value::Array(items) => drop(items.remove(step.parse().unwrap())),
        _ => {}
    }
}

/// Gives the field another key in the same place.
fn rename(object: &mut Value, pointer: &str, random: &mut Random) -> String {
    let (parent, step) = split(pointer);
    let renamed = misspell(&step, random);
    let map = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    let entries = std::mem::take(map).into_iter();
    *map = entries
        .map(|(key, value)| if key == step { (renamed.clone(), value) } else { (key, value) })
        .collect();
    renamed
}

/// A mistake of typing.
fn misspell(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.is_empty() {
        return "x".to_owned();
    }
    let at = random.below(letters.len());
    let letter = letters[at];
    match random.below(8) {
        0 if letters.len() > 1 => drop(letters.remove(at)),
        1 => letters.insert(at, letter),
        2 if at > 0 => letters.swap(at - 1, at),
        3 if letter.is_ascii_uppercase() => letters[at] = letter.to_ascii_lowercase(),
        3 => letters[at] = letter.to_ascii_uppercase(),
        4 => letters[at] = 'q',
        5 => letters.push('s'),
        6 => letters.insert(at, '_'),
        _ => letters.insert(at, '-'),
    }
    letters.into_iter().collect()
}

/// Appends an item of the list to it: as it is, or with one thing in it changed.
fn duplicate(object: &mut Value, pointer: &str, texts: &[String], random: &mut Random) -> String {
    let items = object.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
    let mut item = random.one(&items[..]).clone();
    let mut pointers = Vec::new();
    collect(&item, "", &mut pointers);
    let leaves: Vec<String> =
        pointers.into_iter().filter(|pointer| !item.pointer(pointer).unwrap().is_object()).collect();
    if !leaves.is_empty() && random.once_in(2) {
        let leaf = item.pointer_mut(random.one::<String>(&leaves)).unwrap();
        *leaf = other_value(leaf, texts, random);
    }
    items.push(item.clone());
    item.to_string()
}

/// A value of another type.
fn other_type(value: &Value, random: &mut Random) -> Value {
    let in_map = || Value::Object(Map::from_iter([("name".to_owned(), value.clone())]));
    let choices = match value {
        Value::String(text) => {
            vec![json!(5), json!(1.5), json!(true), json!([text]), in_map(), Value::Null, json!([])]
        }
        Value::Number(number) => {
            let fraction = number.as_f64().unwrap() + 0.5;
            let as_float = json!(number.as_f64().unwrap());
            vec![
                json!(number.to_string()),
                json!("many"),
                json!(fraction),
                as_float,
                json!(true),
                json!([number]),
                in_map(),
                Value::Null,
            ]
        }
        Value::Bool(flag) => {
            vec![
                json!(flag.to_string()),
                json!("yes"),
                json!(i32::from(*flag)),
                json!([flag]),
                in_map(),
                Value::Null,
            ]
        }
        Value::Array(items) => {
            let first = items.first().cloned().unwrap_or(json!("a"));
            vec![first, json!("a,b"), json!(3), json!(false), in_map(), Value::Null]
        }
        Value::Object(map) => {
            let keys: Vec<&String> = map.keys().collect();
            vec![json!([value]), json!(keys), json!("text"), json!(7), json!(true), Value::Null]
        }
        Value::Null => vec![json!("text"), json!(0), json!({})],
    };
    random.one(&choices).clone()
}

/// A value of the same type.
fn other_value(value: &Value, texts: &[String], random: &mut Random) -> Value {
    match value {
        Value::String(text) => other_text(text, texts, random).into(),
        Value::Number(number) => other_number(number.as_i64().unwrap_or_default(), random),
        Value::Bool(flag) => (!flag).into(),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
        Value::Null => json!(null),
    }
}

fn other_number(number: i64, random: &mut Random) -> Value {
    let choices = [
        json!(-1),
        json!(0),
        json!(1),
        json!(number + 1),
        json!(-number),
        json!(number.saturating_mul(1000)),
        json!(101),
        json!(65_536),
        json!(i64::from(i32::MAX) + 1),
        json!(i64::MIN),
        json!(u64::MAX),
    ];
    random.one(&choices).clone()
}

fn other_text(text: &str, texts: &[String], random: &mut Random) -> String {
    match random.below(16) {
        0 => String::new(),
        1 => text.to_uppercase(),
        2 => format!("{text}-"),
        3 => format!("-{text}"),
        4 => format!("{text} x"),
        5 => format!("{text}/x"),
        6 => format!("../{text}"),
        7 => "a".repeat(64),
        8 => "a".repeat(300),
        9 => format!("{text}ü"),
        10 => "99999".to_owned(),
        11 => "Worker_1".to_owned(),
        12 => format!("{text}.{text}"),
        13 => misspell(text, random),
        _ => random.one(texts).clone(),
    }
}
