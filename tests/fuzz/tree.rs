//! Changes of what has a structure: the tree of a YAML or JSON text, and how it is written again.

use serde_json::{Map, Value};

use crate::random::Random;
use crate::words;

/// No tree grows beyond so many values.
const LARGEST: usize = 20_000;

/// The documents of a text; `None` for what is neither YAML nor JSON.
pub(crate) fn read(text: &str) -> Option<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    (!documents.is_empty() && documents.iter().any(|one| one.is_object() || one.is_array()))
        .then_some(documents)
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// The value at this place of the tree, counted from its root.
fn at<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| at(item, place)),
        Value::Object(map) => map.values_mut().find_map(|item| at(item, place)),
        _ => None,
    }
}

/// A value of the tree by chance.
fn any<'a>(value: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let mut place = random.below(size(value));
    // `place` is below the size, so that there is one; the borrow checker is not told twice.
    at(value, &mut place).expect("the tree has so many values")
}

/// Changes the documents in one place.
pub(crate) fn change(documents: &mut Vec<Value>, other: &[Value], random: &mut Random) {
    let index = random.below(documents.len());
    if random.once_in(12) {
        return of_documents(documents, index, other, random);
    }
    let whole = documents[index].clone();
    let room = LARGEST.saturating_sub(size(&whole));
    let node = any(&mut documents[index], random);
    match random.below(12) {
        0..3 => *node = scalar(random),
        3 => *node = nested(node.take(), random),
        4 => *node = any(&mut whole.clone(), random).clone(),
        5 => {
            if let Some(mut other) = other.get(random.below(other.len())).cloned() {
                *node = any(&mut other, random).clone();
            }
        }
        6 => many(node, room, random),
        _ => of_node(node, &whole, random),
    }
}

fn of_documents(documents: &mut Vec<Value>, index: usize, other: &[Value], random: &mut Random) {
    match random.below(4) {
        0 if documents.len() > 1 => drop(documents.remove(index)),
        1 => documents.extend(other.iter().take(3).cloned()),
        2 => {
            let one = documents[index].clone();
            let times = random.count().min(LARGEST / size(&one));
            for number in 0..times {
                let mut one = one.clone();
                if let Some(name) = one.pointer_mut("/metadata/name").filter(|_| number % 2 == 1) {
                    *name = format!("n{number}").into();
                }
                documents.push(one);
            }
        }
        _ => {
            let items = std::mem::take(documents);
            let kind = *random.one(&["List", "PodList", "DeploymentList"]);
            documents.push(serde_json::json!({"apiVersion": "v1", "kind": kind, "items": items}));
        }
    }
}

/// Makes many of a node: items of a list, keys of a map.
fn many(node: &mut Value, room: usize, random: &mut Random) {
    let times = random.count();
    match node {
        Value::Array(items) if !items.is_empty() => {
            let one = items[random.below(items.len())].clone();
            let times = times.min(room / size(&one));
            for number in 0..times {
                let mut one = one.clone();
                if let Some(name) = one.get_mut("name").filter(|_| number % 3 > 0) {
                    *name = format!("n{number}").into();
                }
                items.push(one);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            let (key, one) = map
                .iter()
                .nth(random.below(map.len()))
                .map(|(key, one)| (key.clone(), one.clone()))
                .unwrap_or_default();
            for number in 0..times.min(room / size(&one)) {
                map.insert(format!("{key}{number}"), one.clone());
            }
        }
        other => *other = vec![other.clone(); times.min(room)].into(),
    }
}

fn of_node(node: &mut Value, whole: &Value, random: &mut Random) {
    match node {
        Value::Object(map) if !map.is_empty() => of_map(map, whole, random),
        Value::Array(items) if !items.is_empty() => {
            let index = random.below(items.len());
            match random.below(3) {
                0 => drop(items.remove(index)),
                1 => items.push(items[index].clone()),
                _ => items.swap(0, index),
            }
        }
        Value::String(text) => {
            let word = words::scalar(random);
            match random.below(3) {
                0 => *text = word,
                1 => text.push_str(&word),
                _ => text.insert_str(0, &word),
            }
        }
        Value::Number(number) => *node = number.to_string().into(),
        _ => *node = scalar(random),
    }
}

fn of_map(map: &mut Map<String, Value>, whole: &Value, random: &mut Random) {
    let key = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
    match random.below(4) {
        0 => drop(map.remove(&key)),
        1 => {
            let value = map.remove(&key).unwrap_or_default();
            map.insert(name(whole, random), value);
        }
        2 => {
            let value = map[&key].clone();
            map.insert(name(whole, random), value);
        }
        _ => {
            map.insert(key, scalar(random));
        }
    }
}

/// A key that stands elsewhere, or one that means something to somebody.
fn name(whole: &Value, random: &mut Random) -> String {
    const NAMES: [&str; 12] = [
        "$patch",
        "$retainKeys",
        "<<",
        "name",
        "kind",
        "metadata",
        "items",
        "status",
        "data",
        "windlass.dev/phase",
        "",
        "0",
    ];
    let mut keys = Vec::new();
    collect(whole, &mut keys);
    if keys.is_empty() || random.once_in(3) {
        (*random.one(&NAMES)).to_owned()
    } else {
        (*random.one(&keys)).to_owned()
    }
}

fn collect<'a>(value: &'a Value, keys: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            keys.push(key);
            collect(value, keys);
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        _ => {}
    }
}

fn scalar(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::Null,
        1 => Value::Bool(random.once_in(2)),
        2 => Value::Array(Vec::new()),
        3 => Value::Object(Map::new()),
        4 => [i64::MAX, i64::MIN, -1, 0, 1, 4_294_967_296][random.below(6)].into(),
        _ => words::scalar(random).into(),
    }
}

/// The value inside of lists and maps of so many levels.
fn nested(mut value: Value, random: &mut Random) -> Value {
    let levels = *random.one(&[1, 1, 2, 10, 60, 99, 127, 300]);
    let is_list = random.once_in(2);
    for _ in 0..levels {
        value = if is_list { vec![value].into() } else { serde_json::json!({"a": value}) };
    }
    value
}

/// The documents as text, in a style by chance.
pub(crate) fn write(documents: &[Value], json: bool, random: &mut Random) -> String {
    if json || random.once_in(6) {
        let pretty = random.once_in(4);
        let one = |value: &Value| {
            if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }
        };
        let texts: Vec<String> = documents.iter().filter_map(|one_value| one(one_value).ok()).collect();
        return texts.join(if json { "\n" } else { "\n---\n" });
    }
    let mut writer = Writer { text: String::new(), anchors: 0, spice: random.once_in(4), random };
    for document in documents {
        writer.text.push_str("---\n");
        writer.anchors = 0;
        writer.block(document, 0);
        writer.text.push('\n');
    }
    writer.text
}

/// Writes YAML. With spice it has anchors, aliases, merge keys, tags and repeated keys.
struct Writer<'a> {
    text: String,
    anchors: usize,
    spice: bool,
    random: &'a mut Random,
}

impl Writer<'_> {
    fn block(&mut self, value: &Value, indent: usize) {
        if self.spiced() {
            return;
        }
        match value {
            Value::Object(map) if !map.is_empty() && indent < 400 => {
                for (key, value) in map {
                    self.entry(key, value, indent);
                    if self.spice && self.random.once_in(60) {
                        self.entry(key, value, indent);
                    }
                }
                if self.spice && self.anchors > 0 && self.random.once_in(20) {
                    let anchor = self.random.below(self.anchors);
                    self.line(&format!("<<: *a{anchor}"), indent);
                }
            }
            Value::Array(items) if !items.is_empty() && indent < 400 => {
                for item in items {
                    self.line("- ", indent);
                    self.block(item, indent + 2);
                }
            }
            other => self.flow(other),
        }
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) {
        self.line("", indent);
        self.string(key);
        self.text.push_str(": ");
        self.block(value, indent + 2);
    }

    /// Begins a line.
    fn line(&mut self, text: &str, indent: usize) {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(text);
    }

    fn flow(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.string(text),
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str) {
        let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
        if is_plain && !text.is_empty() && !self.random.once_in(4) {
            self.text.push_str(text);
        } else {
            self.text.push_str(&Value::from(text).to_string());
        }
    }

    /// Sometimes an anchor or a tag before the value; `true` for an alias in its place.
    fn spiced(&mut self) -> bool {
        if !self.spice || !self.random.once_in(15) {
            return false;
        }
        match self.random.below(3) {
            0 if self.anchors > 0 => {
                let anchor = self.random.below(self.anchors);
                self.text.push_str(&format!("*a{anchor}"));
                return true;
            }
            1 => {
                let tag =
                    *self.random.one(&["!!str ", "!!int ", "!!binary ", "!!null ", "!x ", "!!set ", "! "]);
                self.text.push_str(tag);
            }
            _ => {
                self.text.push_str(&format!("&a{} ", self.anchors));
                self.anchors += 1;
            }
        }
        false
    }
}
