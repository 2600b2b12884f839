//! What can be known to be wrong with an object without asking a cluster: annotations of windlass that do not exist
//! or say what they cannot, and values that YAML read as a number where Kubernetes has only strings.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use crate::error::Error;
use crate::manifest::images::POD_SPECS;
use crate::manifest::sources::is_enough;
use crate::manifest::sources::read;
use crate::manifest::sources::substitute::is_settings;
use crate::manifest::yaml::node::{Entry, Node};
use crate::manifest::yaml::source::Spot;
use crate::model::labels;
use crate::project::{NAMESPACE_SHAPE, is_namespace};
use crate::text::{duration, nearest};

/// What the value of an annotation may be.
enum Takes {
    /// One of these words.
    Words(&'static [&'static str]),
    Duration,
    Number,
    /// A share, or one of these words.
    Share(&'static [&'static str]),
    /// Anything: windlass sets it itself, or its words are checked where they are used.
    Anything,
}

/// The annotations that an object may have.
const ANNOTATIONS: [(&str, Takes); 18] = [
    ("phase", Takes::Words(&["before", "after"])),
    ("overlay", Takes::Words(&["replace", "merge"])),
    ("substitute", Takes::Words(&["on", "off"])),
    ("recreate", Takes::Words(&["allowed"])),
    ("prune", Takes::Words(&["allowed", "never"])),
    ("sensitive", Takes::Anything),
    ("restart-on", Takes::Words(&["none"])),
    ("rollback", Takes::Words(&["refuse"])),
    ("timeout", Takes::Duration),
    ("stable-for", Takes::Duration),
    ("failures-allowed", Takes::Number),
    ("required-rollout", Takes::Share(&["maxUnavailable", "none"])),
    ("wait", Takes::Words(&["started", "address", "health", "none"])),
    ("endpoints", Takes::Words(&["optional"])),
    ("tier", Takes::Anything),
    ("revision", Takes::Anything),
    ("commit", Takes::Anything),
    ("shared", Takes::Anything),
];

/// The labels that windlass sets; a manifest may have them from an earlier release.
const OWN_LABELS: [&str; 2] = ["project", "tier"];

static SHARE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^([0-9]|[1-9][0-9]|100)%$").expect("the pattern is a constant"));

/// Finds the mistakes in an object.
pub(in crate::manifest) fn check(object: &Node, mistakes: &mut Vec<Error>) {
    let mut check = Check { mistakes };
    check.metadata(object);
    check.own_annotations(object);
    check.settings(object);
    for path in POD_SPECS {
        check.environment(object.at(path));
    }
    check.pod_template(object.at(&["spec", "template"]));
    check.pod_template(object.at(&["spec", "jobTemplate", "spec", "template"]));
}

/// Finds values of a Secret that are not base64, once everything is merged and replaced.
pub(in crate::manifest) fn check_base64(object: &Node, mistakes: &mut Vec<Error>) {
    if !is_settings(object) || object.text_at(&["kind"]) != Some("Secret") {
        return;
    }
    for entry in object.get("data").map(Node::entries).unwrap_or_default() {
        let text = entry.value.text().unwrap_or_default().replace(['\r', '\n'], "");
        if STANDARD.decode(text).is_err() {
            let message = format!("`{}` in the `data` of a Secret is not base64", entry.key);
            let error = entry.spot.secret_mistake(message);
            mistakes.push(error.with_hint("plain values belong under `stringData`"));
        }
    }
}

struct Check<'a> {
    mistakes: &'a mut Vec<Error>,
}

impl Check<'_> {
    fn metadata(&mut self, object: &Node) {
        if object.text_at(&["metadata", "name"]).is_none_or(str::is_empty) {
            let spot = object.at(&["metadata", "name"]).map_or(&object.spot, |name| &name.spot);
            self.mistakes.push(spot.mistake("`metadata.name` is empty"));
        }
        if let Some(namespace) = object.at(&["metadata", "namespace"]).filter(|one| !one.is_null()) {
            self.namespace(namespace);
        }
        self.labels_and_annotations(object.get("metadata"));
        self.own_labels(object.get("metadata"));
    }

    fn namespace(&mut self, namespace: &Node) {
        let Some(text) = namespace.text() else {
            let error = namespace.spot.mistake("`metadata.namespace` must be a string");
            self.mistakes.push(read::in_quotes(error, namespace));
            return;
        };
        if !text.is_empty() && !is_namespace(text) {
            self.mistakes.push(
                namespace.spot.mistake(format!("`{text}` cannot be a namespace")).with_hint(NAMESPACE_SHAPE),
            );
        }
    }

    /// Labels of windlass are set by windlass; what tells it something is an annotation.
    fn own_labels(&mut self, metadata: Option<&Node>) {
        let labels = metadata.and_then(|metadata| metadata.get("labels")).map(Node::entries);
        for entry in labels.into_iter().flatten() {
            let Some(name) = entry.key.strip_prefix(labels::PREFIX) else { continue };
            if OWN_LABELS.contains(&name) || is_enough(self.mistakes) {
                continue;
            }
            let error = entry.spot.mistake(format!("unknown label `{}`", entry.key));
            let is_annotation = ANNOTATIONS.iter().any(|(known, _)| *known == name);
            self.mistakes.push(error.with_hint(if is_annotation {
                "it is an annotation: move it to `metadata.annotations`"
            } else {
                "only windlass sets labels that begin with `windlass.dev/`"
            }));
        }
    }

    fn labels_and_annotations(&mut self, metadata: Option<&Node>) {
        for (section, what) in [("labels", "a label"), ("annotations", "an annotation")] {
            let entries = metadata.and_then(|metadata| metadata.get(section)).map(Node::entries);
            for entry in entries.into_iter().flatten() {
                self.string(&entry.value, |spot| spot.mistake(format!("{what} is a string")));
            }
        }
    }

    fn settings(&mut self, object: &Node) {
        if !is_settings(object) {
            return;
        }
        let kind = object.text_at(&["kind"]).unwrap_or_default();
        for section in ["data", "stringData"] {
            let entries = object.get(section).map(Node::entries);
            for entry in entries.into_iter().flatten() {
                self.string(&entry.value, |spot| match kind {
                    "Secret" => spot.secret_mistake("the data of a Secret is strings"),
                    _ => spot.mistake("the data of a ConfigMap is strings"),
                });
            }
        }
    }

    fn environment(&mut self, pod: Option<&Node>) {
        let Some(pod) = pod else { return };
        for container in
            ["initContainers", "containers"].iter().filter_map(|list| pod.get(list)).flat_map(Node::items)
        {
            let variables = container.get("env").map(Node::items).unwrap_or_default();
            for value in variables.iter().filter_map(|variable| variable.get("value")) {
                self.string(value, |spot| spot.mistake("the value of an environment variable is a string"));
            }
        }
    }

    /// Null counts as an empty string: the server reads it so.
    fn string(&mut self, value: &Node, mistake: impl FnOnce(&Spot) -> Error) {
        if value.text().is_some() || value.is_null() || is_enough(self.mistakes) {
            return;
        }
        let error = mistake(&value.spot);
        self.mistakes.push(read::in_quotes(error, value));
    }

    fn own_annotations(&mut self, object: &Node) {
        let annotations = object.at(&["metadata", "annotations"]).map(Node::entries).unwrap_or_default();
        for entry in annotations {
            if let Some(name) = entry.key.strip_prefix(labels::PREFIX).filter(|_| !is_enough(self.mistakes)) {
                self.mistakes.extend(annotation(entry, name));
            }
        }
    }

    /// A pod template has no annotation of windlass but the one that windlass makes.
    fn pod_template(&mut self, template: Option<&Node>) {
        let metadata = template.and_then(|template| template.get("metadata"));
        self.labels_and_annotations(metadata);
        let annotations = metadata.and_then(|metadata| metadata.get("annotations")).map(Node::entries);
        for entry in annotations.into_iter().flatten().filter(|entry| entry.key.starts_with(labels::PREFIX)) {
            if is_enough(self.mistakes) {
                return;
            }
            self.mistakes.push(
                entry
                    .spot
                    .mistake(format!("`{}` has no effect on a pod template", entry.key))
                    .with_hint("move it to the annotations of the object itself"),
            );
        }
    }
}

fn annotation(entry: &Entry, name: &str) -> Option<Error> {
    let Some((_, takes)) = ANNOTATIONS.iter().find(|(known, _)| *known == name) else {
        let error = entry.spot.mistake(format!("unknown annotation `{}`", entry.key));
        return Some(match nearest(name, ANNOTATIONS.iter().map(|(known, _)| *known)) {
            Some(near) => error.with_hint(format!("did you mean `{}{near}`?", labels::PREFIX)),
            None => error,
        });
    };
    let value = entry.value.text()?;
    let wanted = match takes {
        Takes::Words(words) if !words.contains(&value) => one_of(words),
        Takes::Duration if duration(value).is_err() => "a duration such as `90s`, `5m` or `1h30m`".to_owned(),
        Takes::Number if value.parse::<u32>().is_err() => "a number".to_owned(),
        Takes::Share(words) if !words.contains(&value) && !SHARE.is_match(value) => {
            format!("a share such as `50%`, {}", one_of(words))
        }
        _ => return None,
    };
    Some(entry.value.spot.mistake(format!("`{}` is {wanted}, not `{value}`", entry.key)))
}

fn one_of(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    fn mistakes(text: &str) -> Vec<Error> {
        let source = Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false });
        let object = compose::documents(&source).expect("it is YAML").remove(0);
        let mut mistakes = Vec::new();
        check(&object, &mut mistakes);
        mistakes
    }

    #[test]
    fn a_map_full_of_mistakes_is_not_read_to_its_end() {
        let keys: String = (0..5000).map(|key| format!("  k{key}: 1\n")).collect();
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{keys}");
        assert_eq!(mistakes(&text).len(), 200);
    }

    #[test]
    fn every_annotation_is_documented() {
        let documentation = include_str!("../../../docs/manifests.md");
        let set_by_windlass = ["tier", "revision", "commit", "shared"];
        for (name, _) in ANNOTATIONS.iter().filter(|(name, _)| !set_by_windlass.contains(name)) {
            assert!(documentation.contains(&format!("| `windlass.dev/{name}` |")), "{name}");
        }
    }

    #[test]
    fn labels_of_windlass_are_windlasss_own() {
        let labelled = |label: &str| mistakes(&format!("{{metadata: {{name: a, labels: {{{label}}}}}}}\n"));
        assert!(labelled("windlass.dev/project: shop, windlass.dev/tier: staging").is_empty());
        let phase = &labelled("windlass.dev/phase: before")[0];
        assert_eq!(phase.to_string(), "a.yaml:1:31: unknown label `windlass.dev/phase`");
        assert!(phase.hint().is_some_and(|hint| hint.starts_with("it is an annotation")));
    }

    #[test]
    fn a_namespace_is_a_name_that_kubernetes_takes() {
        let of = |namespace: &str| mistakes(&format!("{{metadata: {{name: a, namespace: {namespace}}}}}\n"));
        assert!(of("shop-2").is_empty() && of("").is_empty());
        assert_eq!(of("5")[0].to_string(), "a.yaml:1:33: `metadata.namespace` must be a string");
        assert_eq!(of("Bad_NS")[0].to_string(), "a.yaml:1:33: `Bad_NS` cannot be a namespace");
    }

    fn annotated(annotation: &str) -> Vec<String> {
        let metadata = format!("{{name: a, annotations: {{{annotation}}}}}");
        mistakes(&format!("{{kind: Deployment, metadata: {metadata}}}\n"))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn annotations_of_windlass_exist_and_fit() {
        for good in [
            "windlass.dev/phase: before",
            "windlass.dev/substitute: \"on\"",
            "windlass.dev/timeout: 1h30m",
            "windlass.dev/failures-allowed: \"0\"",
            "windlass.dev/required-rollout: 50%",
            "windlass.dev/required-rollout: none",
            "windlass.dev/rollback: refuse",
            "windlass.dev/phase: null",
            "example.com/phase: anything",
        ] {
            assert_eq!(annotated(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(
            annotated("windlass.dev/phase: first"),
            ["a.yaml:1:74: `windlass.dev/phase` is `before` or `after`, not `first`"]
        );
        for bad in [
            "windlass.dev/timeout: 5x",
            "windlass.dev/required-rollout: 101%",
            "windlass.dev/failures-allowed: many",
        ] {
            assert_eq!(annotated(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn an_unknown_annotation_has_a_neighbour() {
        let found =
            mistakes("{kind: Service, metadata: {name: a, annotations: {windlass.dev/fase: after}}}\n");
        assert_eq!(found[0].to_string(), "a.yaml:1:51: unknown annotation `windlass.dev/fase`");
        let found =
            mistakes("{kind: Service, metadata: {name: a, annotations: {windlass.dev/phse: after}}}\n");
        assert_eq!(found[0].hint(), Some("did you mean `windlass.dev/phase`?"));
    }

    #[test]
    fn what_must_be_a_string_is_one() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {x: yes}}\ndata: {a: 1, b: \"1\", c: ~}\n";
        let found = mistakes(text);
        let words: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            ["a.yaml:3:33: a label is a string", "a.yaml:4:11: the data of a ConfigMap is strings"]
        );
        assert_eq!(found[0].hint(), Some("put it in quotes: YAML reads it as a boolean"));
        let pod = "{containers: [{env: [{name: A, value: 8080}, {name: B, value: x}]}]}";
        assert_eq!(
            mistakes(&format!("metadata: {{name: a}}\nspec: {{template: {{spec: {pod}}}}}\n")).len(),
            1
        );
    }

    #[test]
    fn the_data_of_a_secret_is_base64() {
        let text = "apiVersion: v1\nkind: Secret\ndata: {a: hunter2!, b: eA==, c: \"\"}\n";
        let source = Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false });
        let mut mistakes = Vec::new();
        check_base64(&compose::documents(&source).expect("it is YAML")[0], &mut mistakes);
        let words: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["a.yaml:3:8: `a` in the `data` of a Secret is not base64"]);
        // The excerpt would show the value.
        assert_eq!(mistakes[0].snippet(), None);
    }

    #[test]
    fn a_misplaced_annotation_is_not_ignored() {
        let text =
            "metadata: {name: a}\nspec: {template: {metadata: {annotations: {windlass.dev/phase: after}}}}\n";
        assert_eq!(
            mistakes(text)[0].to_string(),
            "a.yaml:2:44: `windlass.dev/phase` has no effect on a pod template"
        );
    }
}
