//! From a path in an object to the place where the user wrote it: a JSON pointer, or a path as the API server writes it.

use serde_json::Value;

use crate::manifest::yaml::node::{Content, Entry, Node};
use crate::manifest::yaml::source::Spot;
use crate::text::pointer;

impl Node {
    /// Where the value at a JSON pointer was written. Where there is none, the last value on the way
    /// to it.
    pub(crate) fn place_of(&self, pointer: &str) -> &Spot {
        self.follow(pointer).value
    }

    /// Where the key of the value at a JSON pointer was written: for a field that is not known, or that lacks something. Where
    /// there is no such key, the last one on the way to it; of an item of a list, the item itself.
    pub(crate) fn key_place_of(&self, pointer: &str) -> &Spot {
        self.follow(pointer).key
    }

    fn follow(&self, pointer: &str) -> Found<'_> {
        let mut found = Found { node: self, key: &self.spot, value: &self.spot };
        for name in pointer::steps(pointer) {
            match found.node.step(&name) {
                Some(next) => found = next,
                None => break,
            }
        }
        found
    }

    fn step(&self, name: &str) -> Option<Found<'_>> {
        match &self.content {
            Content::Map(entries) => {
                let Entry { spot, value, .. } = entries.iter().find(|entry| entry.key == name)?;
                Some(Found { node: value, key: spot, value: &value.spot })
            }
            Content::List(items) => {
                let is_named = |item: &&Self| {
                    [&["name"][..], &["metadata", "name"]].iter().any(|path| item.text_at(path) == Some(name))
                };
                let node = match name.parse::<usize>() {
                    Ok(index) => items.get(index),
                    Err(_) => items.iter().find(is_named),
                }?;
                Some(Found { node, key: &node.spot, value: &node.spot })
            }
            Content::Scalar(_) => None,
        }
    }

    /// The JSON pointer of a path as the API server writes it: `spec.containers[0].image`,
    /// `.spec.containers[name="web"].imagePullPolice`, `metadata.labels[app.kubernetes.io/name]`; or as changes are shown:
    /// `spec.containers[web].image`. Of a path that this object has
    /// only a part of, that part and the first step that it lacks; `None` where not even its first step is there.
    pub(crate) fn pointer_of(&self, path: &str) -> Option<String> {
        let (mut node, mut pointer) = (Some(self), String::new());
        for step in steps(path) {
            let Some(here) = node else { break };
            let name = match &step {
                PathStep::Key(name) => name.clone(),
                PathStep::Keys(keys) => here.item_with(keys)?.to_string(),
            };
            node = here.step(&name).map(|found| found.node);
            pointer.extend(["/", &pointer::escape(&name)]);
            if node.is_none() && std::ptr::eq(here, self) {
                return None;
            }
        }
        (!pointer.is_empty()).then_some(pointer)
    }

    /// The index of the item that has these keys; one that a server would give a default may be left out.
    fn item_with(&self, keys: &[(String, Value)]) -> Option<usize> {
        let matches = |item: &Self| {
            keys.iter().all(|(key, wanted)| match (key.is_empty(), item.get(key)) {
                (true, _) => item.scalar() == Some(wanted),
                (false, Some(value)) => value.scalar() == Some(wanted),
                (false, None) => key == "protocol" && wanted == "TCP",
            })
        };
        self.items().iter().position(matches)
    }
}

/// A value on the way, and where its key and itself were written.
struct Found<'a> {
    node: &'a Node,
    key: &'a Spot,
    value: &'a Spot,
}

/// A step of a path of the API server.
#[derive(Debug, PartialEq)]
enum PathStep {
    /// A field, the key of a map, or the index of an item.
    Key(String),
    /// The fields that tell an item of a list from the others; an empty one is the item itself.
    Keys(Vec<(String, Value)>),
}

/// The steps of `.spec.ports[port=80,protocol="TCP"].name`; what cannot be read ends them.
fn steps(path: &str) -> Vec<PathStep> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    loop {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(inner) = rest.strip_prefix('[') {
            let Some(end) = closing(inner) else { return steps };
            let (content, after) = inner.split_at(end);
            steps.push(in_brackets(content));
            rest = after.get(1..).unwrap_or_default();
        } else if rest.is_empty() {
            return steps;
        } else {
            let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
            steps.push(PathStep::Key(name.to_owned()));
            rest = after;
        }
    }
}

/// Where the bracket ends; one in quotes does not end it.
fn closing(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        if letter == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = letter == '\\' && !is_escaped;
        (letter == ']' && !is_quoted).then_some(at)
    })
}

fn in_brackets(content: &str) -> PathStep {
    match keys(content) {
        Some(keys) => PathStep::Keys(keys),
        None => PathStep::Key(content.trim_matches('"').to_owned()),
    }
}

/// `name="web",port=80`; `None` for what is no list of keys.
fn keys(content: &str) -> Option<Vec<(String, Value)>> {
    let mut keys = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
        let value = values.next()?.ok()?;
        keys.push((name.to_owned(), value));
        rest = after.get(values.byte_offset()..)?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    const TEXT: &str = "\
kind: Deployment
metadata:
  labels: {app.kubernetes.io/name: web}
spec:
  template:
    spec:
      containers:
      - name: init
      - name: web
        args: [a, b]
        ports:
        - {containerPort: 80}
        - {containerPort: 80, protocol: UDP}
";

    fn node() -> Node {
        let source = Source { path: "a.yaml".into(), text: TEXT.to_owned(), rendered: false };
        compose::documents(&Arc::new(source)).expect("it is YAML").remove(0)
    }

    fn at(spot: &Spot) -> (u32, u32) {
        (spot.line, spot.column)
    }

    #[test]
    fn a_pointer_leads_to_the_value_and_to_its_key() {
        let node = node();
        for (pointer, value, key) in [
            ("", (1, 1), (1, 1)),
            ("/kind", (1, 7), (1, 1)),
            ("/metadata/labels/app.kubernetes.io~1name", (3, 36), (3, 12)),
            ("/spec/template/spec/containers/1/name", (9, 15), (9, 9)),
            ("/spec/template/spec/containers/1", (9, 9), (9, 9)),
            ("/spec/template/spec/containers/1/args/1", (10, 19), (10, 19)),
            ("/spec/template/spec/containers/1/ports/1/protocol", (13, 41), (13, 31)),
            ("/spec/template/spec/containers/web/args/1", (10, 19), (10, 19)),
        ] {
            assert_eq!(
                (at(node.place_of(pointer)), at(node.key_place_of(pointer))),
                (value, key),
                "{pointer}"
            );
        }
    }

    #[test]
    fn what_is_not_there_has_the_place_of_what_lacks_it() {
        let node = node();
        for (pointer, key) in [
            ("/metadata/name", (2, 1)),
            ("/spec/template/spec/containers/1/image", (9, 9)),
            ("/spec/template/spec/containers/7/image", (7, 7)),
            ("/status/x", (1, 1)),
            ("/kind/x", (1, 1)),
        ] {
            assert_eq!(at(node.key_place_of(pointer)), key, "{pointer}");
        }
    }

    #[test]
    fn paths_of_the_server_become_pointers() {
        let node = node();
        let containers = "/spec/template/spec/containers";
        for (path, pointer) in [
            ("spec.template.spec.containers[1].name", Some(format!("{containers}/1/name"))),
            (
                ".spec.template.spec.containers[name=\"web\"].imagePullPolice",
                Some(format!("{containers}/1/imagePullPolice")),
            ),
            (
                ".spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"UDP\"].x",
                Some(format!("{containers}/1/ports/1/x")),
            ),
            (
                ".spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]",
                Some(format!("{containers}/1/ports/0")),
            ),
            (".spec.template.spec.containers[1].args[=\"b\"]", Some(format!("{containers}/1/args/1"))),
            (
                "metadata.labels[app.kubernetes.io/name]",
                Some("/metadata/labels/app.kubernetes.io~1name".to_owned()),
            ),
            ("metadata.name", Some("/metadata/name".to_owned())),
            ("spec.template.spec.containers[web].ports", Some(format!("{containers}/web/ports"))),
            (".spec.template.spec.containers[name=\"gone\"].image", None),
            ("data[a.b]", None),
            ("", None),
            ("spec.template[", Some("/spec/template".to_owned())),
        ] {
            assert_eq!(node.pointer_of(path), pointer, "{path}");
        }
    }

    #[test]
    fn brackets_hold_keys_or_a_name() {
        assert_eq!(
            steps("a[\"b]\"].c"),
            [PathStep::Key("a".into()), PathStep::Key("b]".into()), PathStep::Key("c".into())]
        );
        assert_eq!(keys("name=\"a,b=]\",port=80").map(|keys| keys.len()), Some(2));
        assert_eq!(keys("app.kubernetes.io/name=x"), None);
        assert_eq!(keys(""), None);
    }
}
