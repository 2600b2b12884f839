//! Custom resources: which kinds a definition defines, and which objects a resource may create that the pods need.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::object;

/// `(apiVersion, kind)` of every version that a definition serves.
pub(crate) fn defined(definition: &Value) -> Vec<(String, String)> {
    let group = object::text(definition, "/spec/group");
    let kind = object::text(definition, "/spec/names/kind");
    object::list(definition, "/spec/versions")
        .iter()
        .filter(|version| object::is_true(version, "/served"))
        .map(|version| (format!("{group}/{}", object::text(version, "/name")), kind.to_owned()))
        .collect()
}

/// Kind and name of the Secrets and `ConfigMaps` that custom resources among these objects may create: those with the
/// resource's own name, and those that the resource names.
pub fn made_by<'a>(objects: impl Iterator<Item = &'a Value>) -> Vec<(String, String)> {
    let custom = objects.filter(|object| {
        let group = object::group(object::api_version(object));
        group.contains('.') && !group.ends_with(".k8s.io")
    });
    let mut names = BTreeSet::new();
    for object in custom {
        names.insert(object::name(object).to_owned());
        gather_texts(&object["spec"], &mut names);
    }
    let kinds = ["Secret", "ConfigMap"];
    names.into_iter().flat_map(|name| kinds.map(|kind| (kind.to_owned(), name.clone()))).collect()
}

fn gather_texts(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_name(text) => drop(texts.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| gather_texts(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| gather_texts(field, texts)),
        _ => {}
    }
}

fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_custom_resource_may_make_what_it_names() {
        let certificate = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
            "metadata": {"name": "web"}, "spec": {"secretName": "web-tls", "text": "Not a name"}});
        let made = made_by(std::iter::once(&certificate));
        let secrets: Vec<&str> =
            made.iter().filter(|one| one.0 == "Secret").map(|one| one.1.as_str()).collect();
        assert_eq!(secrets, ["web", "web-tls"]);
    }

    #[test]
    fn every_served_version_of_a_definition_counts() {
        let version = |name: &str, served: bool| json!({"name": name, "served": served});
        let definition = json!({"spec": {"group": "example.com", "names": {"kind": "Widget"},
            "versions": [version("v1", true), version("v1alpha1", false)]}});
        assert_eq!(defined(&definition), [("example.com/v1".to_owned(), "Widget".to_owned())]);
    }
}
