//! The pod templates of a set: the labels of its pods, even if none runs yet or none should run.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::rollout::endpoints::creators;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::snapshot::identity::Identified as _;
use crate::rollout::snapshot::subject::Subject;
use crate::text::nearest::distance;

/// Kinds with a pod template, and its path.
const KINDS: &[(&str, &str, &str)] = &[
    ("apps", "Deployment", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("", "ReplicationController", "/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("argoproj.io", "Rollout", "/spec/template"),
];

/// The labels of the pods that an object creates.
pub(crate) struct Template<'a> {
    owner: Subject<'a>,
    labels: Cow<'a, Map<String, Value>>,
}

/// All pod templates in this object's namespace, those inside custom resources included.
pub(crate) fn beside<'a>(object: &'a Value, snapshot: &'a ClusterSnapshot) -> Vec<Template<'a>> {
    let mut templates = Vec::new();
    for (group, kind, pointer) in KINDS {
        for owner in snapshot.all_beside(object, group, kind).filter(|one| !is_revision(*one, snapshot)) {
            templates.extend(labels(owner, pointer).map(|labels| Template { owner, labels }));
        }
    }
    for owner in creators::all(object, snapshot) {
        gather(owner, &owner["spec"], &mut templates);
    }
    templates
}

/// The labels in the template at this JSON pointer.
fn labels<'a>(owner: Subject<'a>, pointer: &str) -> Option<Cow<'a, Map<String, Value>>> {
    match (owner.whole(), owner) {
        (Some(object), _) => {
            object.pointer(pointer)?.pointer("/metadata/labels")?.as_object().map(Cow::Borrowed)
        }
        (None, Subject::ReplicaSet(set)) => Some(Cow::Owned(set.template_labels.to_map())),
        (None, _) => None,
    }
}

/// Objects that a controller created from another template, which counts instead: a `ReplicaSet` of a Deployment, a Job of a
/// `CronJob`.
fn is_revision(owner: Subject<'_>, snapshot: &ClusterSnapshot) -> bool {
    match owner {
        Subject::ReplicaSet(set) => {
            !snapshot.owners(set).is_empty() || !set.owners.is_empty() && set.wanted == 0
        }
        owner => owner.kind() == "Job" && !snapshot.owners(owner).is_empty(),
    }
}

/// Whatever a custom resource calls labels may be those of its pods.
fn gather<'a>(owner: &'a Value, value: &'a Value, templates: &mut Vec<Template<'a>>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_object() {
                    Some(labels) if key == "labels" || key == "podLabels" => {
                        let labels = Cow::Borrowed(labels);
                        templates.push(Template { owner: owner.into(), labels });
                    }
                    _ => gather(owner, value, templates),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(owner, item, templates)),
        _ => {}
    }
}

impl Template<'_> {
    /// Whether its pods have all these labels.
    pub(crate) fn has(&self, selector: &Map<String, Value>) -> bool {
        selector.iter().all(|(key, value)| {
            self.labels.get(key) == Some(value) || self.gets(key, value.as_str().unwrap_or_default())
        })
    }

    /// Whether the controller itself gives its pods this label.
    fn gets(&self, key: &str, value: &str) -> bool {
        let name = self.owner.name();
        let after_name = || value.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        match (self.owner.kind(), key) {
            ("StatefulSet", "statefulset.kubernetes.io/pod-name") => {
                after_name().is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            }
            ("Job", "job-name" | "batch.kubernetes.io/job-name") => value == name,
            ("CronJob", "job-name" | "batch.kubernetes.io/job-name") => after_name().is_some(),
            ("StatefulSet", "apps.kubernetes.io/pod-index")
            | ("Job" | "CronJob", "batch.kubernetes.io/job-completion-index")
            // Argo Rollouts writes it into the Services that it switches over.
            | ("Rollout", "rollouts-pod-template-hash") => true,
            _ => false,
        }
    }

    /// How similar it is to the selector; more is closer.
    fn likeness(&self, selector: &Map<String, Value>) -> (usize, usize, std::cmp::Reverse<usize>) {
        let pairs = selector
            .iter()
            .filter_map(|(key, value)| Some((value.as_str()?, self.labels.get(key)?.as_str()?)));
        let (mut same, mut known, mut apart) = (0, 0, 0);
        for (wanted, found) in pairs {
            same += usize::from(wanted == found);
            known += 1;
            apart += distance(wanted, found);
        }
        (same, known, std::cmp::Reverse(apart))
    }

    /// `the pods of Deployment/web have app=web and no label tier`
    fn words(&self, selector: &Map<String, Value>) -> String {
        /// The most labels that are compared.
        const SHOWN: usize = 3;
        let pair = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
        let common = |key: &&String| self.labels.contains_key(*key);
        let (known, unknown): (Vec<&String>, Vec<&String>) = selector.keys().partition(common);
        let shown: Vec<String> = if known.is_empty() {
            self.labels.iter().take(SHOWN).map(pair).collect()
        } else {
            self.labels.iter().filter(|(key, _)| known.contains(key)).map(pair).collect()
        };
        let title = self.owner.title();
        if shown.is_empty() {
            return format!("the pods of {title} have no label");
        }
        let unknown: Vec<String> = unknown.into_iter().map(|key| format!(" and no label {key}")).collect();
        let unknown = if known.is_empty() { String::new() } else { unknown.concat() };
        format!("the pods of {title} have {}{unknown}", shown.join(","))
    }
}

/// The labels of the template that are most similar to the selector.
pub(crate) fn nearest(templates: &[Template<'_>], selector: &Map<String, Value>) -> Option<String> {
    let nearest = templates.iter().max_by_key(|template| template.likeness(selector))?;
    Some(nearest.words(selector))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Item;
    use crate::rollout::snapshot::Mark;
    use crate::rollout::snapshot::decode::Decoder;

    #[test]
    fn the_replica_set_of_an_unknown_deployment_counts_while_it_has_pods() {
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}});
        let selector = json!({"app": "shop"});
        let selector = selector.as_object().expect("labels");
        let said = |replicas: u8| {
            let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
            let set = json!({"metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": [owner]},
                "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": "web"}}}}});
            let json = set.to_string();
            let cached =
                Decoder::default().read(Item::of("apps/v1", "ReplicaSet", &json)).expect("it is JSON");
            let mut snapshot = ClusterSnapshot::default();
            snapshot.insert(cached, Mark::default());
            nearest(&beside(&service, &snapshot), selector)
        };
        assert_eq!(said(2).as_deref(), Some("the pods of ReplicaSet/web-1 have app=web"));
        assert_eq!(said(0), None);
    }
}
