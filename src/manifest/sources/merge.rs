//! The strategic merge patch: maps are merged, lists by the key that Kubernetes merges them by, null deletes.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::manifest::yaml::node::{Content, Entry, Node};
use crate::schema::{Field, ListKeys, Schemas};

/// Merges a patch into the object it is for.
pub(crate) fn object(object: &mut Node, patch: Node) -> Result<()> {
    let text = |key: &str| object.text_at(&[key]).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let schemas = Schemas::all().find(|one| one.kind(&api_version, &kind).is_some());
    Merge { schemas, api_version: &api_version, kind: &kind, keys: Vec::new() }.merge(object, patch)
}

/// How the items of a list find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    /// Maps, by the value of this key; where several have the same, by these others, too.
    Key(&'static str, Vec<&'static str>),
    /// Scalars, by themselves.
    Value,
}

/// Where in an object we are: keys of maps, without the places in lists.
struct Merge<'a> {
    /// Of the newest version that has the kind; `None` where none has it.
    schemas: Option<Schemas>,
    api_version: &'a str,
    kind: &'a str,
    keys: Vec<String>,
}

impl Merge<'_> {
    fn merge(&mut self, target: &mut Node, patch: Node) -> Result<()> {
        match (&mut target.content, patch.content) {
            (Content::Map(_), Content::Map(entries)) if !self.is_replaced() => {
                self.merge_map(target, entries)
            }
            (Content::List(items), Content::List(patches)) => match self.merge_key() {
                Some(By::Key(key, others)) => self.merge_items(items, patches, key, &others),
                Some(By::Value) => {
                    merge_values(items, patches);
                    Ok(())
                }
                None => {
                    *items = patches;
                    if self.schemas.is_some() { items.iter_mut().try_for_each(clean) } else { Ok(()) }
                }
            },
            (_, content) => {
                *target = Node { spot: patch.spot, content };
                clean(target)
            }
        }
    }

    fn merge_map(&mut self, target: &mut Node, entries: Vec<Entry>) -> Result<()> {
        let mut entries = entries;
        match take_directive(&mut entries)? {
            Directive::Merge => {}
            Directive::Delete => {
                target.content = Content::Map(Vec::new());
                return Ok(());
            }
            Directive::Replace => {
                target.content = Content::Map(entries);
                return Ok(());
            }
        }
        let retained = take_retained(&mut entries);
        for entry in entries {
            if entry.key.starts_with('$') {
                return Err(unbuilt(&entry));
            }
            self.keys.push(entry.key.clone());
            let result = self.merge_entry(target, entry);
            self.keys.pop();
            result?;
        }
        if let (Some(retained), Content::Map(entries)) = (retained, &mut target.content) {
            entries.retain(|entry| retained.contains(&entry.key));
        }
        Ok(())
    }

    fn merge_entry(&mut self, target: &mut Node, mut entry: Entry) -> Result<()> {
        if entry.value.is_null() || is_deletion(&entry.value) {
            target.remove(&entry.key);
            return Ok(());
        }
        if let Some(present) = target.get_mut(&entry.key) {
            return self.merge(present, entry.value);
        }
        clean(&mut entry.value)?;
        if let Content::Map(entries) = &mut target.content {
            entries.push(entry);
        }
        Ok(())
    }

    fn merge_items(
        &mut self,
        items: &mut Vec<Node>,
        patches: Vec<Node>,
        key: &str,
        others: &[&str],
    ) -> Result<()> {
        let (whole, patches): (Vec<Node>, Vec<Node>) = patches
            .into_iter()
            .partition(|patch| patch.entries().len() == 1 && patch.get("$patch").is_some());
        if let Some(whole) = whole.first() {
            if whole.text_at(&["$patch"]) != Some("replace") {
                return Err(whole.spot.mistake(format!("the item has no `{key}`")));
            }
            *items = patches;
            return items.iter_mut().try_for_each(clean);
        }
        let mut base = Items::new(std::mem::take(items), |item| item.get(key).and_then(Node::scalar));
        let mut merged_items = Vec::new();
        for mut patch in patches {
            let Some(value) = patch.get(key).and_then(Node::scalar).cloned() else {
                return Err(patch
                    .spot
                    .mistake(format!("the item has no `{key}`, by which it would be merged")));
            };
            match base.take(&value, |item, is_only| is_meant(item, &patch, others, is_only)) {
                _ if is_deletion(&patch) => {}
                Some((place, mut item)) => {
                    self.merge(&mut item, patch)?;
                    merged_items.push((Some(place), item));
                }
                None => {
                    clean(&mut patch)?;
                    merged_items.push((None, patch));
                }
            }
        }
        *items = in_order(base.rest(), merged_items);
        Ok(())
    }

    /// What the Kubernetes types say of the field where we are.
    fn field(&self) -> Option<&'static Field> {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        self.schemas?.field(self.api_version, self.kind, &keys)
    }

    /// Whether the map here is replaced as a whole, as the selector of a disruption budget is.
    fn is_replaced(&self) -> bool {
        self.field().is_some_and(|field| field.patch_strategy == "replace")
    }

    /// What the list here is merged by; `None` for a list that is replaced as a whole.
    fn merge_key(&self) -> Option<By> {
        let field = self.field().filter(|field| field.patch_strategy.split(',').any(|one| one == "merge"))?;
        if field.merge_key.is_empty() {
            return Some(By::Value);
        }
        let others = match &field.keys {
            ListKeys::Map(keys) => keys.iter().copied().filter(|key| *key != field.merge_key).collect(),
            ListKeys::Atomic | ListKeys::Set => Vec::new(),
        };
        Some(By::Key(field.merge_key, others))
    }
}

/// Whether an item of the base, which has the merge key of a patch, is the one that the patch is for. What a patch says of the
/// other keys decides, as in server-side apply; one that says nothing means the only item there is, or that with the default.
fn is_meant(item: &Node, patch: &Node, others: &[&str], is_only: bool) -> bool {
    others.iter().all(|key| {
        let value = |node: &Node| node.get(key).and_then(Node::scalar).cloned().or_else(|| default(key));
        is_only && patch.get(key).is_none() || value(item) == value(patch)
    })
}

/// What the server fills in for a key of a list.
fn default(key: &str) -> Option<Value> {
    (key == "protocol").then(|| "TCP".into())
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn take_directive(entries: &mut Vec<Entry>) -> Result<Directive> {
    let Some(index) = entries.iter().position(|entry| entry.key == "$patch") else {
        return Ok(Directive::Merge);
    };
    let entry = entries.remove(index);
    match entry.value.text() {
        Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        _ => Err(entry.value.spot.mistake("`$patch` is `merge`, `replace` or `delete`")),
    }
}

/// `$retainKeys`: the keys that may be there after the merge.
fn take_retained(entries: &mut Vec<Entry>) -> Option<HashSet<String>> {
    let index = entries.iter().position(|entry| entry.key == "$retainKeys")?;
    let list = entries.remove(index).value;
    Some(list.items().iter().filter_map(Node::text).map(str::to_owned).collect())
}

fn is_deletion(node: &Node) -> bool {
    node.text_at(&["$patch"]) == Some("delete")
}

fn unbuilt(entry: &Entry) -> Error {
    entry.spot.mistake(format!("`{}` in an overlay is not implemented", entry.key)).into_kind(Kind::Usage)
}

/// The items of a list, found by the value that they are merged by however many they are.
struct Items {
    nodes: Vec<Option<Node>>,
    /// The places of each value, the first one last.
    places: HashMap<Value, Vec<usize>>,
}

impl Items {
    fn new(items: Vec<Node>, value: impl Fn(&Node) -> Option<&Value>) -> Self {
        let mut places: HashMap<Value, Vec<usize>> = HashMap::new();
        for (index, item) in items.iter().enumerate().rev() {
            if let Some(value) = value(item) {
                places.entry(value.clone()).or_default().push(index);
            }
        }
        Self { nodes: items.into_iter().map(Some).collect(), places }
    }

    /// Takes out the first item of this value that is meant, with its place; `is_meant` is told whether it is the only one of
    /// this value.
    fn take(&mut self, value: &Value, is_meant: impl Fn(&Node, bool) -> bool) -> Option<(usize, Node)> {
        let Self { nodes, places } = self;
        let places = places.get_mut(value)?;
        let is_only = places.len() == 1;
        let meant = |index: &usize| nodes[*index].as_ref().is_some_and(|node| is_meant(node, is_only));
        let found = places.iter().rposition(meant)?;
        let index = places.remove(found);
        Some((index, nodes[index].take()?))
    }

    /// What was not taken out.
    fn rest(self) -> Vec<(usize, Node)> {
        self.nodes.into_iter().enumerate().filter_map(|(index, node)| Some((index, node?))).collect()
    }
}

fn merge_values(items: &mut Vec<Node>, patches: Vec<Node>) {
    let mut base = Items::new(std::mem::take(items), Node::scalar);
    let mut merged_items = Vec::new();
    for patch in patches {
        let found = patch.scalar().and_then(|value| base.take(value, |_, _| true));
        merged_items.push((found.map(|(index, _)| index), patch));
    }
    *items = in_order(base.rest(), merged_items);
}

/// The order of a merged list as kubectl makes it: the items of the patch in the patch's order, and the others
/// before the item of the patch that they stood before.
fn in_order(base: Vec<(usize, Node)>, merged_items: Vec<(Option<usize>, Node)>) -> Vec<Node> {
    let mut ordered = Vec::with_capacity(base.len() + merged_items.len());
    let mut base = base.into_iter().peekable();
    for (place, patch) in merged_items {
        while let Some((_, item)) = base.next_if(|(index, _)| place.is_some_and(|place| *index < place)) {
            ordered.push(item);
        }
        ordered.push(patch);
    }
    ordered.extend(base.map(|(_, item)| item));
    ordered
}

/// What a patch adds has neither directives nor keys to delete.
pub(crate) fn clean(node: &mut Node) -> Result<()> {
    match &mut node.content {
        Content::Scalar(_) => Ok(()),
        Content::List(items) => {
            items.retain(|item| {
                !is_deletion(item) && item.get("$patch").is_none_or(|_| item.entries().len() > 1)
            });
            items.iter_mut().try_for_each(clean)
        }
        Content::Map(entries) => {
            take_directive(entries)?;
            take_retained(entries);
            entries.retain(|entry| !entry.value.is_null() && !is_deletion(&entry.value));
            entries.iter_mut().try_for_each(|entry| {
                if entry.key.starts_with('$') { Err(unbuilt(entry)) } else { clean(&mut entry.value) }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    fn node(text: &str) -> Node {
        let source = Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false });
        compose::documents(&source).expect("it is YAML").remove(0)
    }

    fn merged(base: &str, patch: &str) -> Result<Value> {
        let mut base = node(base);
        object(&mut base, node(patch)).map(|()| base.to_json())
    }

    const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: x, finalizers: [a], labels: {a: "1", b: "2"}}
spec:
  replicas: 1
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}
  template:
    spec:
      tolerations: [{key: a}]
      imagePullSecrets: [{name: p}]
      containers:
      - name: one
        image: a
        args: [x, y]
        env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: E, value: "5"}]
        ports: [{containerPort: 80, name: http}]
        volumeMounts: [{name: v, mountPath: /v}]
      - {name: two, image: b}
      volumes: [{name: v, emptyDir: {}}, {name: w, emptyDir: {}}]
"#;

    const PATCH: &str = r#"
metadata: {finalizers: [b, a], labels: {a: null, c: "3"}}
spec:
  replicas: 3
  strategy: {$retainKeys: [type], type: Recreate}
  template:
    spec:
      tolerations: [{key: b}]
      imagePullSecrets: [{name: q}]
      nodeSelector: {p: null, q: "1"}
      containers:
      - {name: zero, image: z}
      - {name: two, $patch: delete}
      - name: one
        args: [z]
        env: [{name: C, value: "3"}, {name: E, value: "9"}, {name: B, $patch: delete}]
        ports: [{containerPort: 81}]
        volumeMounts: [{name: w, mountPath: /w}, {mountPath: /v, readOnly: true}]
      volumes: [{$patch: replace}, {name: w, configMap: {name: c}}]
"#;

    /// The outcome is that of `kubectl patch --local --type strategic` for the same two texts.
    #[test]
    fn a_patch_does_what_kubectl_does() {
        let json = merged(DEPLOYMENT, PATCH).expect("it can be merged");
        assert_eq!(json["metadata"]["finalizers"], json!(["b", "a"]));
        assert_eq!(json["metadata"]["labels"], json!({"b": "2", "c": "3"}));
        assert_eq!(json["spec"]["replicas"], 3);
        assert_eq!(json["spec"]["strategy"], json!({"type": "Recreate"}));
        let pod = &json["spec"]["template"]["spec"];
        assert_eq!(pod["tolerations"], json!([{"key": "b"}]));
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "q"}, {"name": "p"}]));
        assert_eq!(pod["nodeSelector"], json!({"q": "1"}));
        assert_eq!(pod["volumes"], json!([{"name": "w", "configMap": {"name": "c"}}]));
        assert_eq!(
            pod["containers"],
            json!([{"name": "zero", "image": "z"}, {
                "name": "one",
                "image": "a",
                "args": ["z"],
                "env": [{"name": "C", "value": "3"}, {"name": "A", "value": "1"}, {"name": "E", "value": "9"}],
                "ports": [{"containerPort": 81}, {"containerPort": 80, "name": "http"}],
                "volumeMounts": [{"name": "w", "mountPath": "/w"}, {"name": "v", "mountPath": "/v", "readOnly": true}],
            }])
        );
    }

    #[test]
    fn lists_of_other_kinds_are_replaced() {
        let base = "apiVersion: example.com/v1\nkind: Deployment\nspec: {containers: [{name: a}], x: {k: 1, z: 2}}\n";
        let json = merged(base, "spec: {containers: [{name: b}], x: {z: null}}\n").expect("it can be merged");
        assert_eq!(json["spec"], json!({"containers": [{"name": "b"}], "x": {"k": 1}}));
    }

    #[test]
    fn the_ports_of_a_service_are_merged_by_port() {
        let base = "apiVersion: v1\nkind: Service\nspec: {ports: [{port: 80, targetPort: http}]}\n";
        let json = merged(base, "spec: {ports: [{port: 80, nodePort: 30080}]}\n").expect("it can be merged");
        assert_eq!(json["spec"]["ports"], json!([{"port": 80, "targetPort": "http", "nodePort": 30080}]));
    }

    #[test]
    fn ports_are_told_apart_by_their_protocol() {
        let ports = |base: &str, patch: &str| {
            let base = format!("apiVersion: v1\nkind: Service\nspec: {{ports: [{base}]}}\n");
            let json = merged(&base, &format!("spec: {{ports: [{patch}]}}\n")).expect("it can be merged");
            json["spec"]["ports"].clone()
        };
        let both = "{port: 443}, {port: 443, protocol: UDP}";
        let udp = json!({"port": 443, "protocol": "UDP", "nodePort": 30443});
        assert_eq!(
            ports(both, "{port: 443, protocol: UDP, nodePort: 30443}"),
            json!([{"port": 443}, udp.clone()])
        );
        assert_eq!(
            ports(both, "{port: 443, nodePort: 30443}"),
            json!([{"port": 443, "nodePort": 30443}, {"port": 443, "protocol": "UDP"}])
        );
        assert_eq!(ports("{port: 443, protocol: UDP}", "{port: 443, nodePort: 30443}"), json!([udp]));
    }

    #[test]
    fn a_selector_is_replaced_where_kubernetes_replaces_it() {
        let of = |kind: &str, version: &str| {
            let base = format!(
                "apiVersion: {version}\nkind: {kind}\nspec: {{selector: {{matchLabels: {{app: a}}}}}}\n"
            );
            let json = merged(&base, "spec: {selector: {matchLabels: {b: c}}}\n").expect("it can be merged");
            json["spec"]["selector"]["matchLabels"].clone()
        };
        assert_eq!(of("PodDisruptionBudget", "policy/v1"), json!({"b": "c"}));
        assert_eq!(of("Deployment", "apps/v1"), json!({"app": "a", "b": "c"}));
    }

    #[test]
    fn an_item_without_its_key_is_a_mistake() {
        let error =
            merged(DEPLOYMENT, "spec:\n  template:\n    spec:\n      containers:\n      - image: z\n");
        let error = error.expect_err("it cannot be merged").to_string();
        assert_eq!(error, "a.yaml:5:9: the item has no `name`, by which it would be merged");
        let error = merged(DEPLOYMENT, "spec: {$setElementOrder/x: []}\n").expect_err("it is not built");
        assert_eq!(error.kind(), Kind::Usage);
    }
}
