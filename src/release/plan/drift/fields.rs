//! Fields of pod templates that no manifest mentions, read from the managed fields of a live object. Server-side apply
//! never removes them, because we never owned them.
//!
//! Paths are those of `fieldsV1`: `f:env` is a field, `k:{"name":"A"}` an item by its keys, `v:1` an item by its value,
//! and `.` means that the map or list itself is owned.

#[cfg(test)]
pub(crate) mod tests;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cluster::ownership::{entries, is_named, keys_of};
use crate::cluster::{FIELD_MANAGER, is_person};
use crate::release::plan::difference::child;

/// Written by `kubectl rollout restart`: once the restart is over, it has no effect.
const RESTARTED_AT: &str = "f:kubectl.kubernetes.io/restartedAt";

/// A field that another manager added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Added {
    /// `spec.template.spec.containers[web].env[A]`
    pub field: String,
    /// Its value.
    pub value: Value,
    /// Its value as shown to the user, if it may be seen; empty until that is known.
    pub shown: String,
    /// The manager that added it: `kubectl-set`.
    pub manager: String,
    /// When that manager last wrote to the object, by the API server's clock.
    pub time: Option<Timestamp>,
    /// Whether it is drift: added with a tool that people use.
    pub by_hand: bool,
    operation: String,
    subresource: String,
    steps: Vec<String>,
}

impl Added {
    /// Whether it only records when `kubectl rollout restart` was run.
    pub(crate) fn is_restart(&self) -> bool {
        self.steps.last().is_some_and(|last| last == RESTARTED_AT)
    }

    /// Its value in this version of the object.
    pub(crate) fn value_in<'v>(&self, object: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(object, |here, step| below(here, step))
    }

    fn is_of(&self, entry: &Value) -> bool {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        (text("manager"), text("operation"), text("subresource"))
            == (self.manager.as_str(), self.operation.as_str(), self.subresource.as_str())
    }
}

/// The fields that others added to the pod template of an object of ours, and the replicas that a person set; `scaled`
/// if an autoscaler of the release scales it.
pub(crate) fn added(live: &Value, scaled: bool) -> Vec<Added> {
    let Some(ours) = entries(live).find(|entry| is_our_apply(entry)) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries(live).filter(|entry| !is_ours(entry)) {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let is_a_person = is_person(&text("manager"));
        for root in roots(live) {
            let is_replicas = root.last() == Some(&"f:replicas");
            // Any other manager that writes replicas is an autoscaler or similar.
            if (is_replicas && (scaled || !is_a_person))
                || (!is_replicas && entry.get("subresource").is_some())
            {
                continue;
            }
            let mut walk = FieldWalk { found: Vec::new() };
            walk.down(&root, &entry["fieldsV1"], Some(&ours["fieldsV1"]), live);
            found.extend(walk.found.into_iter().map(|(field, steps, value)| Added {
                field,
                value,
                shown: String::new(),
                by_hand: is_a_person && steps.last().is_none_or(|last| last != RESTARTED_AT),
                manager: text("manager"),
                time: entry["time"].as_str().and_then(|time| time.parse().ok()),
                operation: text("operation"),
                subresource: text("subresource"),
                steps,
            }));
        }
    }
    found
}

fn is_our_apply(entry: &Value) -> bool {
    entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply" && entry.get("subresource").is_none()
}

/// Whether the entry is ours: what we applied, what webhooks made of it (which the server records as our update), and
/// what `restart` wrote.
fn is_ours(entry: &Value) -> bool {
    entry["manager"].as_str().is_some_and(|name| name == FIELD_MANAGER || name.starts_with("windlass-"))
}

/// The fields to search: the pod template, and the replicas.
fn roots(live: &Value) -> Vec<Vec<&'static str>> {
    let has = |pointer: &str| live.pointer(pointer).is_some();
    if live["kind"] == "Job" {
        return Vec::new();
    }
    if has("/spec/jobTemplate/spec/template/spec/containers") {
        return vec![vec!["f:spec", "f:jobTemplate", "f:spec", "f:template"]];
    }
    if has("/spec/template/spec/containers") {
        return vec![vec!["f:spec", "f:template"], vec!["f:spec", "f:replicas"]];
    }
    Vec::new()
}

/// One walk through the fields of another manager, with ours in parallel.
struct FieldWalk {
    found: Vec<(String, Vec<String>, Value)>,
}

impl FieldWalk {
    /// Descends to a root, and walks from there.
    fn down(&mut self, root: &[&str], theirs: &Value, ours: Option<&Value>, live: &Value) {
        let (mut theirs, mut ours, mut here) = (theirs, ours, live);
        let (last, way) = root.split_last().expect("a root has a name");
        let (mut path, mut steps) = (String::new(), Vec::new());
        for step in way {
            let (Some(next), Some(value)) = (theirs.get(step), below(here, step)) else { return };
            (theirs, ours, here) = (next, ours.and_then(|ours| ours.get(step)), value);
            path = longer(&path, step);
            steps.push((*step).to_owned());
        }
        if let Some(theirs) = theirs.get(last) {
            self.one(last, theirs, ours, here, &path, &steps);
        }
    }

    fn one(
        &mut self,
        step: &str,
        theirs: &Value,
        ours: Option<&Value>,
        parent: &Value,
        path: &str,
        steps: &[String],
    ) {
        let Some(value) = below(parent, step) else { return };
        let path = longer(path, step);
        let steps: Vec<String> = steps.iter().cloned().chain([step.to_owned()]).collect();
        match ours.and_then(|ours| ours.get(step)) {
            // We own it as well, as a whole, or the other manager owns only the map itself.
            Some(ours) if is_leaf(ours) || is_leaf(theirs) => {}
            None if is_whole(step, theirs, value) => self.found.push((path, steps, value.clone())),
            ours => {
                for (name, theirs) in
                    theirs.as_object().into_iter().flatten().filter(|(name, _)| *name != ".")
                {
                    self.one(name, theirs, ours, value, &path, &steps);
                }
            }
        }
    }
}

/// Whether a field is shown and removed as one: a scalar, an item of a list, a structure that did not exist before. The
/// entries of string maps (annotations, labels, limits) count one by one.
fn is_whole(step: &str, theirs: &Value, value: &Value) -> bool {
    let is_item = !step.starts_with("f:");
    let (is_structure, is_empty) = match value {
        Value::Object(map) => (!map.values().all(Value::is_string), map.is_empty()),
        Value::Array(items) => (false, items.is_empty()),
        _ => (false, true),
    };
    // If the manager owns nothing else of a map or list, the rest belongs to others.
    let has_itself = theirs.get(".").is_some();
    is_item
        || (is_leaf(theirs) && (is_empty || !has_itself))
        || (is_structure && has_itself && !is_leaf(theirs))
}

/// Whether no field below is owned.
fn is_leaf(fields: &Value) -> bool {
    fields.as_object().is_none_or(|names| names.keys().all(|name| name == "."))
}

/// The value at one step of a path.
fn below<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    if let Some(name) = step.strip_prefix("f:") {
        return value.get(name);
    }
    let items = value.as_array()?;
    match step.strip_prefix("i:") {
        Some(index) => items.get(index.parse::<usize>().ok()?),
        None => items.iter().find(|item| is_named(item, step)),
    }
}

/// Appends a step to a path in its readable form.
fn longer(path: &str, step: &str) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    if let Some(name) = step.strip_prefix("f:") {
        return child(path, name);
    }
    let Some(keys) = keys_of(step) else { return format!("{path}[{}]", step.get(2..).unwrap_or(step)) };
    // As in other messages: `ports[80]`, with the protocol only if it is not TCP.
    let words: Vec<String> = keys.values().map(text).filter(|word| word != "TCP").collect();
    format!("{path}[{}]", words.join("/"))
}

/// The object without these fields.
pub(crate) fn without(object: &Value, fields: &[Added]) -> Value {
    let mut object = object.clone();
    for field in fields {
        remove(&mut object, &field.steps);
    }
    object
}

fn remove(value: &mut Value, steps: &[String]) {
    let Some((step, rest)) = steps.split_first() else { return };
    if !rest.is_empty() {
        if let Some(next) = below_mut(value, step) {
            remove(next, rest);
        }
        return;
    }
    match (value, step.strip_prefix("f:")) {
        (Value::Object(map), Some(name)) => drop(map.shift_remove(name)),
        (Value::Array(items), None) => items.retain(|item| !is_named(item, step)),
        _ => {}
    }
}

fn below_mut<'v>(value: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match (value, step.strip_prefix("f:")) {
        (Value::Object(map), Some(name)) => map.get_mut(name),
        (Value::Array(items), None) => items.iter_mut().find(|item| is_named(item, step)),
        _ => None,
    }
}

/// The managed fields of the live object, with these fields moved from other managers' entries to ours: the next apply,
/// which does not have them, then removes them. `None` if nobody owns any of them any more.
pub(crate) fn taken_over(live: &Value, fields: &[Added]) -> Option<Vec<Value>> {
    let mut all: Vec<Value> = entries(live).cloned().collect();
    let ours = all.iter().position(is_our_apply)?;
    let version = all[ours]["apiVersion"].clone();
    let mut taken = Map::new();
    for field in fields {
        // Another version of the kind may have other fields.
        let theirs = all.iter_mut().find(|entry| field.is_of(entry) && entry["apiVersion"] == version);
        let theirs = theirs.and_then(|entry| entry["fieldsV1"].as_object_mut());
        if let Some(part) = theirs.and_then(|theirs| take(theirs, &field.steps)) {
            add(&mut taken, part);
        }
    }
    if taken.is_empty() {
        return None;
    }
    add(all[ours]["fieldsV1"].as_object_mut()?, taken);
    all.retain(|entry| entry["fieldsV1"].as_object().is_none_or(|fields| !fields.is_empty()));
    Some(all)
}

/// Removes one path from a tree and returns the tree of that path alone. Parents that become empty are removed as well.
fn take(tree: &mut Map<String, Value>, steps: &[String]) -> Option<Map<String, Value>> {
    let (step, rest) = steps.split_first()?;
    if rest.is_empty() {
        let leaf = tree.shift_remove(step)?;
        return Some(Map::from_iter([(step.clone(), leaf)]));
    }
    let below = tree.get_mut(step)?.as_object_mut()?;
    let mut taken = take(below, rest)?;
    if below.keys().all(|name| name == ".") {
        if let Some(itself) = below.get(".") {
            taken.insert(".".to_owned(), itself.clone());
        }
        tree.shift_remove(step);
    }
    Some(Map::from_iter([(step.clone(), Value::Object(taken))]))
}

fn add(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name).and_then(Value::as_object_mut), &value) {
            (Some(known), Value::Object(new)) => add(known, new.clone()),
            _ => drop(into.insert(name, value)),
        }
    }
}
