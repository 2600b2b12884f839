//! What a tier adds to the base: new objects, and changes to objects that stand in the base.
//!
//! A change is a strategic merge patch, as in `kubectl patch`; kinds that are not built in have no merge keys, so
//! their lists are replaced as a JSON merge patch does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::manifest::sources::is_enough;
use crate::manifest::sources::merge;
use crate::manifest::yaml::identity::Identity;
use crate::manifest::yaml::node::{Content, Entry, Node};
use crate::model::labels;

/// The directory of what is for one tier only: `.kube/tiers/staging`, `.kube/tiers/review` for `review/*`.
pub(crate) fn directory(kube: &Path, pattern: &str) -> PathBuf {
    let fixed = pattern.split('*').next().unwrap_or(pattern);
    kube.join("tiers").join(fixed.trim_matches('/'))
}

/// The annotation that says in what variables are replaced.
const SUBSTITUTE: [&str; 3] = ["metadata", "annotations", labels::SUBSTITUTE];

/// Gives an object that is to be left alone and what a tier lays over it the annotation that they will have once they are one:
/// variables are replaced before that, and in both of them or in neither. They are told by their names as they are written.
pub(crate) fn agree_on_substitution(base: &mut [Node], overlay: &mut [Node], namespace: &str) {
    let mut places: BTreeMap<Identity, usize> = BTreeMap::new();
    for (index, object) in base.iter().enumerate() {
        places.entry(Identity::of(object, namespace)).or_insert(index);
    }
    for object in overlay.iter_mut().filter(|object| !replaces(object)) {
        let Some(of_base) = places.get(&Identity::of(object, namespace)).and_then(|at| base.get_mut(*at))
        else {
            continue;
        };
        let words = [object.at(&SUBSTITUTE), of_base.at(&SUBSTITUTE)];
        if !words.into_iter().flatten().any(|word| word.text() == Some("off")) {
            continue;
        }
        match words.map(Option::<&Node>::cloned) {
            [Some(own), _] => set(of_base, &SUBSTITUTE, own),
            [None, Some(inherited)] => set(object, &SUBSTITUTE, inherited),
            [None, None] => {}
        }
    }
}

/// Sets the value at the end of a path, with the maps that lead to it. Where something else than a map is on the way, it is left.
fn set(node: &mut Node, path: &[&str], value: Node) {
    let [key, rest @ ..] = path else {
        *node = value;
        return;
    };
    let Content::Map(entries) = &mut node.content else { return };
    let place = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        let (spot, empty) = (value.spot.clone(), Content::Map(Vec::new()));
        let inner = Node { spot: spot.clone(), content: empty };
        entries.push(Entry { key: (*key).to_owned(), spot, value: inner });
        entries.len() - 1
    });
    let found = &mut entries[place].value;
    if found.is_null() && !rest.is_empty() {
        found.content = Content::Map(Vec::new());
    }
    set(found, rest, value);
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
            None if deletes(&object) => {
                Err(object.spot.mistake(format!("`$patch: delete` for {id}, which is not in the base")))
            }
            None if replaces => Err(object
                .spot
                .mistake(format!("{id} replaces an object of the base, but the base has none of that name"))),
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

/// Whether the object replaces that of the base.
fn replaces(object: &Node) -> bool {
    object.text_at(&["metadata", "annotations", labels::OVERLAY]) == Some("replace")
        || object.text_at(&["$patch"]) == Some("replace")
}

/// As [`replaces`], and takes the annotation off, which is for the reader of the files alone.
fn take_replace(object: &mut Node) -> bool {
    let replaces = replaces(object);
    if let Some(annotations) = object.at_mut(&["metadata", "annotations"]) {
        annotations.remove(labels::OVERLAY);
    }
    replaces
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

    /// What the base and the overlay say of `windlass.dev/substitute` once they agree, `None` for nothing.
    fn agreed(base: &str, overlay: &str) -> [Option<String>; 2] {
        let object = |metadata: &str| {
            nodes(
                "a.yaml",
                &format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a{metadata}}}}}\n"),
            )
        };
        let (mut base, mut overlay) = (object(base), object(overlay));
        agree_on_substitution(&mut base, &mut overlay, "shop");
        [base, overlay].map(|nodes| nodes[0].text_at(&SUBSTITUTE).map(str::to_owned))
    }

    #[test]
    fn an_object_and_its_overlay_are_left_alone_together() {
        let says = |word: &str| format!(", annotations: {{windlass.dev/substitute: {word}}}");
        let off = Some("off".to_owned());
        let on = Some("on".to_owned());
        assert_eq!(agreed(&says("\"off\""), ""), [off.clone(), off.clone()]);
        assert_eq!(agreed(&says("\"off\""), ", annotations: null"), [off.clone(), off.clone()]);
        assert_eq!(agreed(", annotations: {x: z}", &says("\"off\"")), [off.clone(), off.clone()]);
        assert_eq!(agreed(&says("\"off\""), &says("\"on\"")), [on.clone(), on.clone()]);
        assert_eq!(agreed(&says("\"off\""), &says("null")), [None, None]);
        assert_eq!(agreed("", ""), [None, None]);
        assert_eq!(agreed(&says("\"on\""), ""), [on, None], "that is asked once they are merged");
        let replaces = ", annotations: {windlass.dev/overlay: replace}";
        assert_eq!(agreed(&says("\"off\""), replaces), [off, None]);
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
        assert_eq!(mistakes, ["tier.yaml:1:1: `$patch: delete` for Secret/a, which is not in the base"]);
    }
}
