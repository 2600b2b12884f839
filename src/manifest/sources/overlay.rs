//! What a tier adds to the base: new objects, and changes to objects that stand in the base.
//!
//! A change is a strategic merge patch, as in `kubectl patch`; kinds that are not built in have no merge keys, so
//! their lists are replaced as a JSON merge patch does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::manifest::load::is_enough;
use crate::manifest::sources::merge;
use crate::manifest::yaml::identity::Identity;
use crate::manifest::yaml::node::Node;
use crate::model::labels;

/// The directory of what is for one tier only: `.kube/tiers/staging`, `.kube/tiers/review` for `review/*`.
pub(crate) fn directory(kube: &Path, pattern: &str) -> PathBuf {
    let fixed = pattern.split('*').next().unwrap_or(pattern);
    kube.join("tiers").join(fixed.trim_matches('/'))
}

/// Lays a tier's objects over those of the base.
pub(crate) fn lay(base: &mut Vec<Node>, overlay: Vec<Node>, namespace: &str, mistakes: &mut Vec<Error>) {
    let mut places: BTreeMap<Identity, usize> = BTreeMap::new();
    for (index, object) in base.iter().enumerate() {
        places.entry(Identity::of(object, namespace)).or_insert(index);
    }
    let mut deleted = BTreeSet::new();
    for mut object in overlay {
        let id = Identity::of(&object, namespace);
        let replaces = take_replace(&mut object);
        let result = match places.get(&id).copied() {
            Some(index) if deletes(&object) => {
                places.remove(&id);
                deleted.insert(index);
                Ok(())
            }
            Some(index) if replaces => merge::clean(&mut object).map(|()| base[index] = object),
            Some(index) => {
                reveal(&mut base[index], &object);
                merge::object(&mut base[index], object)
            }
            None if deletes(&object) => Err(object
                .spot
                .mistake(format!("`$patch: delete` for {id}, which does not stand in the base"))),
            None if replaces => Err(object
                .spot
                .mistake(format!("{id} is to replace an object of the base, which has none of that name"))),
            None => merge::clean(&mut object).map(|()| {
                places.insert(id, base.len());
                base.push(object);
            }),
        };
        mistakes.extend(result.err());
        if is_enough(mistakes) {
            break;
        }
    }
    let mut index = 0..;
    base.retain(|_| index.next().is_none_or(|index| !deleted.contains(&index)));
}

/// What a tier says of a key in a Secret's `data` counts also where the base has it as text, which would win.
fn reveal(base: &mut Node, overlay: &Node) {
    let is_secret = base.text_at(&["kind"]) == Some("Secret");
    let Some(data) = overlay.at(&["data"]).filter(|_| is_secret) else { return };
    let keys: Vec<String> = data.entries().iter().map(|entry| entry.key.clone()).collect();
    if let Some(plain) = base.at_mut(&["stringData"]) {
        for key in keys {
            plain.remove(&key);
        }
    }
}

fn deletes(object: &Node) -> bool {
    object.text_at(&["$patch"]) == Some("delete")
}

/// Whether the object replaces that of the base. The annotation is for the reader of the files alone.
fn take_replace(object: &mut Node) -> bool {
    let annotations = object.at_mut(&["metadata", "annotations"]);
    let taken = annotations.and_then(|annotations| annotations.remove(labels::OVERLAY));
    taken.is_some_and(|entry| entry.value.text() == Some("replace"))
        || object.text_at(&["$patch"]) == Some("replace")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    fn nodes(file: &str, text: &str) -> Vec<Node> {
        compose::documents(&Arc::new(Source { path: file.into(), text: text.to_owned(), rendered: false }))
            .expect("it is YAML")
    }

    fn laid(overlay: &str) -> (Vec<Value>, Vec<String>) {
        let base = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: one, z: two}}\n";
        let mut objects = nodes("base.yaml", base);
        let mut mistakes = Vec::new();
        lay(&mut objects, nodes("tier.yaml", overlay), "shop", &mut mistakes);
        (objects.iter().map(Node::to_json).collect(), mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_tier_has_its_directory() {
        let kube = Path::new(".kube");
        assert_eq!(directory(kube, "staging"), Path::new(".kube/tiers/staging"));
        assert_eq!(directory(kube, "review/*"), Path::new(".kube/tiers/review"));
        assert_eq!(directory(kube, "eu/production"), Path::new(".kube/tiers/eu/production"));
    }

    #[test]
    fn what_stands_in_the_base_is_merged_and_the_rest_added() {
        let (objects, mistakes) = laid(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {x: null, w: three}}\n---\n\
             {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {v: null}}\n",
        );
        assert!(mistakes.is_empty());
        assert_eq!(objects[0]["data"], json!({"z": "two", "w": "three"}));
        assert_eq!(objects[1]["data"], json!({}));
    }

    #[test]
    fn the_data_of_a_tier_wins_over_the_text_of_the_base() {
        let secret =
            |rest: &str| format!("{{apiVersion: v1, kind: Secret, metadata: {{name: db}}, {rest}}}\n");
        let mut objects = nodes("base.yaml", &secret("stringData: {PASSWORD: dev, USER: shop, OLD: x}"));
        let mut mistakes = Vec::new();
        let tier = nodes("tier.yaml", &secret("data: {PASSWORD: cHJvZA==, OLD: null}"));
        lay(&mut objects, tier, "shop", &mut mistakes);
        assert!(mistakes.is_empty());
        let object = objects[0].to_json();
        assert_eq!(object["stringData"], json!({"USER": "shop"}));
        assert_eq!(object["data"], json!({"PASSWORD": "cHJvZA=="}));
    }

    #[test]
    fn an_object_can_be_replaced_or_deleted() {
        let replace = "metadata: {name: a, annotations: {windlass.dev/overlay: replace}}";
        let (objects, _) = laid(&format!("{{apiVersion: v1, kind: ConfigMap, {replace}, data: {{k: v}}}}\n"));
        assert_eq!(objects[0]["data"], json!({"k": "v"}));
        assert_eq!(objects[0]["metadata"]["annotations"], json!({}));
        let (objects, _) = laid("{$patch: delete, apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n");
        assert!(objects.is_empty());
    }

    #[test]
    fn there_must_be_something_to_replace_or_delete() {
        let (_, mistakes) = laid("{$patch: delete, apiVersion: v1, kind: Secret, metadata: {name: a}}\n");
        assert_eq!(
            mistakes,
            ["tier.yaml:1:1: `$patch: delete` for Secret/a, which does not stand in the base"]
        );
    }
}
