//! JSON pointers (RFC 6901): written, taken apart, and as paths that Kubernetes writes.

use std::borrow::Cow;

use serde_json::Value;

/// A name as a step of a pointer: `app.kubernetes.io/name` is `app.kubernetes.io~1name`.
pub(crate) fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        return Cow::Owned(name.replace('~', "~0").replace('/', "~1"));
    }
    Cow::Borrowed(name)
}

/// A step of a pointer as the name that it stands for.
pub(crate) fn unescape(step: &str) -> Cow<'_, str> {
    if step.contains('~') {
        return Cow::Owned(step.replace("~1", "/").replace("~0", "~"));
    }
    Cow::Borrowed(step)
}

/// The names and indices that a pointer leads through.
pub(crate) fn steps(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(unescape)
}

/// The value that a pointer leads to. [`Value::pointer`] makes two strings of each step, and this is asked millions of times.
pub(crate) fn value_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if !(pointer.is_empty() || pointer.starts_with('/')) {
        return None;
    }
    steps(pointer).try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(&*step),
        Value::Array(items) => items.get(index(&step)?),
        _ => None,
    })
}

/// The index that a step is; `01` is none.
fn index(step: &str) -> Option<usize> {
    (is_index(step) && (step == "0" || !step.starts_with('0'))).then(|| step.parse().ok())?
}

/// Whether a step counts items: `0`.
pub(crate) fn is_index(step: &str) -> bool {
    !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit())
}

/// A pointer as Kubernetes writes paths: `spec.containers[0].image`, `metadata.labels[app.kubernetes.io/name]`.
pub(crate) fn path(pointer: &str) -> String {
    let mut path = String::new();
    for step in steps(pointer) {
        if is_index(&step) || step.contains(['.', '/']) {
            path.extend(["[", &step, "]"]);
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(&step);
        }
    }
    path
}

/// Calls `found` with the pointer and the text of each string in a value; fields that `skips` names are left out with all below them.
pub(crate) fn each_text(value: &Value, skips: impl Fn(&str) -> bool, mut found: impl FnMut(&str, &str)) {
    walk(value, &mut String::new(), &skips, &mut found);
}

fn walk(value: &Value, at: &mut String, skips: &impl Fn(&str) -> bool, found: &mut impl FnMut(&str, &str)) {
    let length = at.len();
    match value {
        Value::String(text) => found(at, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.extend(["/", &index.to_string()]);
                walk(item, at, skips, found);
                at.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !skips(key)) {
                at.extend(["/", &escape(key)]);
                walk(value, at, skips, found);
                at.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_with_slashes_and_tildes_are_steps_and_back() {
        for name in ["app", "a.io/b~c", "~1", "/", ""] {
            assert_eq!(unescape(&escape(name)), name);
        }
        assert_eq!(escape("a.io/b~c"), "a.io~1b~0c");
    }

    #[test]
    fn a_value_is_found_as_serde_json_finds_it() {
        let value = json!({"a": [{"b/c": "x", "~": 1, "": 2}, "y"], "0": {"01": 3}, "": {"": 4}});
        for pointer in [
            "",
            "/",
            "//",
            "a",
            "/a",
            "/a/0",
            "/a/00",
            "/a/+0",
            "/a/-1",
            "/a/1",
            "/a/2",
            "/a/0/b~1c",
            "/a/0/~0",
            "/a/0/",
            "/0/01",
            "/a/x",
            "/a/1/y",
            "/a/99999999999999999999",
            "/b",
            "/a/",
        ] {
            assert_eq!(value_at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn a_path_is_written_as_kubernetes_does() {
        assert_eq!(path("/spec/containers/0/image"), "spec.containers[0].image");
        assert_eq!(
            path("/metadata/labels/app.kubernetes.io~1name"),
            "metadata.labels[app.kubernetes.io/name]"
        );
        assert_eq!(path(""), "");
    }

    #[test]
    fn each_text_has_its_pointer() {
        let value = json!({"a": [{"b/c": "x", "n": 1}, "y"], "data": {"d": "z"}});
        let mut found = Vec::new();
        each_text(&value, |key| key == "data", |pointer, text| found.push(format!("{pointer}={text}")));
        assert_eq!(found, ["/a/0/b~1c=x", "/a/1=y"]);
    }
}
