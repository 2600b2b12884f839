//! What differs between two versions of an object, field by field, in the words of the manifest.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::model::{FieldChange, labels};
use crate::record::content::STAMPS;
use crate::text::hex;

/// Fields that the server sets itself: they never count as a difference.
const SERVER_OWNED: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Replaces values that must not be shown with a keyed hash: an equal value has an equal hash, so changes are visible,
/// but without the tier's own key nobody can guess the value.
#[derive(Clone)]
pub(crate) struct Mask(Vec<u8>);

impl Mask {
    /// A mask with this key.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    /// The masked form of a value.
    pub(crate) fn of(&self, value: &Value) -> String {
        let mut hasher = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        hasher.update(value.to_string().as_bytes());
        format!("[MASKED {}]", &hex::encode(hasher.finalize().into_bytes())[..6])
    }
}

/// The fields of an object whose values must not be shown.
struct Hidden<'a> {
    paths: Vec<&'a str>,
    mask: &'a Mask,
}

impl<'a> Hidden<'a> {
    fn of(objects: [&'a Value; 2], mask: &'a Mask) -> Self {
        let mut paths = Vec::new();
        for object in objects {
            if object["kind"] == "Secret" {
                paths.extend(["data", "stringData"]);
            }
            let named = object["metadata"]["annotations"][labels::SENSITIVE].as_str().unwrap_or_default();
            paths.extend(named.split(',').map(str::trim).filter(|path| !path.is_empty()));
        }
        Self { paths, mask }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|hidden| {
            path.strip_prefix(hidden).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether a field below this one is hidden, so that this one cannot be shown as a whole.
    fn has_below(&self, path: &str) -> bool {
        self.paths.iter().any(|hidden| {
            path.is_empty() || hidden.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
        })
    }
}

/// The fields in which `after` differs from `before`, both as returned by the server. The values of Secrets, and of the
/// fields that an object declares as sensitive, are masked.
pub(crate) fn fields(before: &Value, after: &Value, mask: &Mask) -> Vec<FieldChange> {
    let hidden = Hidden::of([before, after], mask);
    let mut changes = Vec::new();
    compare(&mut changes, "", Some(before), Some(after), &hidden);
    changes
}

/// A value of this object as it is shown: masked if it must not be seen.
pub(crate) fn value_shown(object: &Value, path: &str, value: &Value, mask: &Mask) -> String {
    shown(path, value, &Hidden::of([object, &Value::Null], mask))
}

fn compare(
    changes: &mut Vec<FieldChange>,
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    hidden: &Hidden<'_>,
) {
    if before == after || ignored(path) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
                compare(changes, &child(path, key), old.get(key), new.get(key), hidden);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => arrays(changes, path, old, new, hidden),
        _ => changes.push(FieldChange {
            field: path.to_owned(),
            before: before.map(|value| shown(path, value, hidden)),
            after: after.map(|value| shown(path, value, hidden)),
        }),
    }
}

/// Compares lists: by key and then by order if the items have unique keys, otherwise as a whole.
fn arrays(changes: &mut Vec<FieldChange>, path: &str, old: &[Value], new: &[Value], hidden: &Hidden<'_>) {
    let is_unique = |key: &str, items: &[Value]| {
        items.iter().enumerate().all(|(at, item)| {
            item.get(key).is_some_and(|name| items[..at].iter().all(|other| other.get(key) != Some(name)))
        })
    };
    let Some(key) = ["name", "mountPath", "containerPort", "port", "ip", "key"]
        .into_iter()
        .find(|key| is_unique(key, old) && is_unique(key, new))
    else {
        changes.push(FieldChange {
            field: path.to_owned(),
            before: Some(shown(path, &Value::Array(old.to_vec()), hidden)),
            after: Some(shown(path, &Value::Array(new.to_vec()), hidden)),
        });
        return;
    };
    let name = |item: &Value| match item.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let in_old: Vec<String> = old.iter().map(name).collect();
    for item in old {
        let same = new.iter().find(|other| name(other) == name(item));
        compare(changes, &format!("{path}[{}]", name(item)), Some(item), same, hidden);
    }
    for item in new.iter().filter(|item| !in_old.contains(&name(item))) {
        compare(changes, &format!("{path}[{}]", name(item)), None, Some(item), hidden);
    }
    let order = |items: &[Value], others: &[Value]| {
        let others: Vec<String> = others.iter().map(name).collect();
        items.iter().map(name).filter(|name| others.contains(name)).collect::<Vec<_>>().join(", ")
    };
    let (before, after) = (order(old, new), order(new, old));
    if before != after {
        let field = format!("{path} (order)");
        changes.push(FieldChange { field, before: Some(before), after: Some(after) });
    }
}

/// The path of a field below another.
pub(crate) fn child(path: &str, key: &str) -> String {
    let key = if key.contains('.') || key.contains('/') { format!("[{key}]") } else { key.to_owned() };
    match path {
        "" => key,
        path if key.starts_with('[') => format!("{path}{key}"),
        path => format!("{path}.{key}"),
    }
}

fn ignored(path: &str) -> bool {
    path == "status"
        || SERVER_OWNED.iter().any(|field| path.strip_prefix("metadata.") == Some(*field))
        || STAMPS.iter().any(|stamp| path == format!("metadata.annotations[{stamp}]"))
}

fn shown(path: &str, value: &Value, hidden: &Hidden<'_>) -> String {
    if hidden.has(path) || hidden.has_below(path) {
        return hidden.mask.of(value);
    }
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_lists_are_compared_by_name() {
        let before = json!({"spec": {"containers": [{"name": "app", "image": "a:1"}, {"name": "log", "image": "l:1"}]}});
        let after = json!({"spec": {"containers": [{"name": "log", "image": "l:1"}, {"name": "app", "image": "a:2"}]}});
        let changes = fields(&before, &after, &Mask::new(b"k"));
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0].field, "spec.containers[app].image");
        assert_eq!((changes[0].before.as_deref(), changes[0].after.as_deref()), (Some("a:1"), Some("a:2")));
        assert_eq!(changes[1].field, "spec.containers (order)");
        assert_eq!(changes[1].after.as_deref(), Some("log, app"));
    }

    #[test]
    fn items_of_one_name_are_compared_as_a_whole() {
        let tolerations = |effects: &[&str]| {
            let all: Vec<Value> =
                effects.iter().map(|effect| json!({"key": "dedicated", "effect": effect})).collect();
            json!({"spec": {"tolerations": all}})
        };
        let (before, after) = (tolerations(&["NoSchedule"]), tolerations(&["NoSchedule", "NoExecute"]));
        let changes = fields(&before, &after, &Mask::new(b"k"));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].field, "spec.tolerations");
    }

    #[test]
    fn what_the_server_keeps_does_not_count() {
        let before = json!({"metadata": {"generation": 1, "annotations": {"windlass.dev/revision": "1"}}, "status": 1});
        let after = json!({"metadata": {"generation": 2, "annotations": {"windlass.dev/revision": "2"}}});
        assert_eq!(fields(&before, &after, &Mask::new(b"k")), Vec::new());
    }

    #[test]
    fn values_of_secrets_are_masked_and_still_differ() {
        let secret = |value: &str| json!({"kind": "Secret", "data": {"password": value}});
        let changes = fields(&secret("aHVudGVy"), &secret("c2VjcmV0"), &Mask::new(b"k"));
        assert_eq!(changes[0].field, "data.password");
        let (before, after) = (changes[0].before.clone().unwrap(), changes[0].after.clone().unwrap());
        assert!(before.starts_with("[MASKED ") && after.starts_with("[MASKED ") && before != after);
    }

    #[test]
    fn keys_with_dots_are_bracketed() {
        let before = json!({"metadata": {"labels": {}}});
        let after = json!({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}});
        assert_eq!(
            fields(&before, &after, &Mask::new(b"k"))[0].field,
            "metadata.labels[app.kubernetes.io/name]"
        );
    }
}
