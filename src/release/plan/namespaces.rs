//! Custom resources without a namespace: only the cluster, or the definition in the same manifests, can tell whether
//! their kind is namespaced. Built-in kinds have their namespace from the manifests already.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Cluster, ErrorClass};
use crate::error::Result;
use crate::model::group;
use crate::release::plan::Wanted;

/// Sets the tier's namespace on every namespaced object that names none.
///
/// # Errors
/// [`Kind::Unreachable`](crate::error::Kind::Unreachable) and [`Kind::Denied`](crate::error::Kind::Denied); a kind that
/// is not served is left to the dry run to refuse.
pub(crate) async fn placed(cluster: &Cluster, mut wanted: Vec<Wanted>) -> Result<Vec<Wanted>> {
    let defined = scopes(&wanted);
    for one in &mut wanted {
        if is_placed(&one.object) {
            continue;
        }
        let (api_version, kind) = names(&one.object);
        let namespaced = match defined.get(&(group(&api_version).to_owned(), kind.clone())) {
            Some(namespaced) => *namespaced,
            None => match cluster.resource(&api_version, &kind).await {
                Ok(resource) => resource.namespaced,
                Err(error) if ErrorClass::of(&error).is_some_and(ErrorClass::is_refusal) => false,
                Err(error) => return Err(error),
            },
        };
        if namespaced {
            Arc::make_mut(&mut one.object)["metadata"]["namespace"] = Value::from(cluster.namespace());
        }
    }
    Ok(wanted)
}

fn is_placed(object: &Value) -> bool {
    object.pointer("/metadata/namespace").and_then(Value::as_str).is_some_and(|name| !name.is_empty())
}

fn names(object: &Value) -> (String, String) {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}

/// The scope in each definition of the manifests: by group and kind, whether objects are namespaced.
fn scopes(wanted: &[Wanted]) -> BTreeMap<(String, String), bool> {
    let definitions = wanted.iter().filter(|one| one.object["kind"] == "CustomResourceDefinition");
    definitions
        .map(|one| {
            let spec = &one.object["spec"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            ((text(&spec["group"]), text(&spec["names"]["kind"])), spec["scope"] == "Namespaced")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_of_the_set_says_where_its_objects_lie() {
        let definition = json!({"kind": "CustomResourceDefinition", "spec": {
            "group": "example.com", "names": {"kind": "Database"}, "scope": "Namespaced"}});
        let phase = crate::manifest::Phase::Definitions;
        let scopes = scopes(&[Wanted { object: definition.into(), origin: None, phase, values: None }]);
        assert!(scopes[&("example.com".to_owned(), "Database".to_owned())]);
    }
}
