//! Fields that only an API server writes, as `kubectl get -o yaml` prints them: with a `resourceVersion` every later apply would
//! fail, with `managedFields` the first.

use std::collections::HashSet;

use crate::error::Error;
use crate::manifest::sources::is_enough;
use crate::manifest::yaml::node::{Content, Entry, Node};
use crate::manifest::yaml::source::Spot;
use crate::schema::Schemas;

/// Below `metadata`.
const METADATA: [&str; 8] = [
    "resourceVersion",
    "uid",
    "generation",
    "selfLink",
    "managedFields",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// What kubectl and other tools that apply note of the manifest, whatever stands before the slash.
const LAST_APPLIED: &str = "/last-applied-configuration";
/// What the controller of Deployments counts.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Where templates of other objects are. Go writes `creationTimestamp: null` into each.
const TEMPLATES: [&[&str]; 4] = [
    &["spec", "template"],
    &["spec", "jobTemplate"],
    &["spec", "jobTemplate", "spec", "template"],
    &["template"],
];

/// Leaves the fields out of the objects of the base and of the tier, and warns of those that hold something.
pub(crate) fn leave_out(
    base: &mut [Node],
    tier: &mut [Node],
    mistakes: &mut Vec<Error>,
    warnings: &mut Vec<Error>,
) {
    let defined = defined_with_status(base.iter().chain(&*tier));
    for object in base.iter_mut().chain(tier) {
        if is_enough(mistakes) {
            return;
        }
        mistakes.extend(owned(object));
        let mut left_out = Vec::new();
        take_metadata(object, &mut left_out);
        if object.get("status").is_some() && has_status(object, &defined) {
            left_out.extend(object.remove("status").map(|entry| ("status".to_owned(), entry)));
        }
        left_out.retain(|(_, entry)| !is_empty(&entry.value));
        left_out.sort_by_key(|(_, entry)| (entry.spot.line, entry.spot.column));
        warnings.extend(warning(object, &left_out));
    }
}

/// `apiVersion` and kind of the custom resources whose definition gives them the subresource.
fn defined_with_status<'a>(objects: impl Iterator<Item = &'a Node>) -> HashSet<(String, String)> {
    let mut defined = HashSet::new();
    for one in objects.filter(|one| one.text_at(&["kind"]) == Some("CustomResourceDefinition")) {
        let text = |path: &[&str]| one.text_at(path).unwrap_or_default();
        let (group, kind) = (text(&["spec", "group"]), text(&["spec", "names", "kind"]));
        for version in one.at(&["spec", "versions"]).map(Node::items).unwrap_or_default() {
            let status = version.at(&["subresources", "status"]);
            if let (Some(name), true) = (version.text_at(&["name"]), status.is_some_and(|one| !one.is_null()))
            {
                defined.insert((format!("{group}/{name}"), kind.to_owned()));
            }
        }
    }
    defined
}

/// Of a custom resource without a definition nobody knows; its status may be a field like any other.
fn has_status(object: &Node, defined: &HashSet<(String, String)>) -> bool {
    let text = |key: &str| object.text_at(&[key]).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    match Schemas::newest().kind(version, kind) {
        Some(known) => known.has_status,
        None => defined.contains(&(version.to_owned(), kind.to_owned())),
    }
}

/// An owner that is gone takes the object with it, and one that was exported with its object is gone sooner or later.
fn owned(object: &Node) -> Option<Error> {
    let owners = object.at(&["metadata", "ownerReferences"])?.items();
    let owner = owners.iter().find(|owner| owner.get("uid").is_some_and(|uid| !is_empty(uid)))?;
    let spot = owner.get("uid").map_or(&owner.spot, |uid| &uid.spot);
    let mistake = spot.mistake(
        "`metadata.ownerReferences` names an owner by its uid: the garbage collector deletes the object when the cluster has no \
         owner with this uid",
    );
    Some(mistake.with_hint(match (owner.text_at(&["kind"]), owner.text_at(&["name"])) {
        (Some(kind), Some(name)) => {
            format!("delete `ownerReferences`; if {kind}/{name} makes this object, delete the whole manifest")
        }
        _ => "delete `ownerReferences`".to_owned(),
    }))
}

/// Takes what is below `metadata`, and with it what templates have of it.
fn take_metadata(object: &mut Node, left_out: &mut Vec<(String, Entry)>) {
    if let Some(metadata) = object.get_mut("metadata") {
        if let Some(annotations) = metadata.get_mut("annotations") {
            let is_server = |key: &str| key.ends_with(LAST_APPLIED) || key == REVISION;
            left_out.extend(
                take(annotations, is_server)
                    .map(|entry| (format!("metadata.annotations[{}]", entry.key), entry)),
            );
        }
        let taken = take(metadata, |key| METADATA.contains(&key));
        left_out.extend(taken.map(|entry| (format!("metadata.{}", entry.key), entry)));
    }
    for path in TEMPLATES {
        if let Some(template) = object.at_mut(path) {
            take_created(template, &path.join("."), left_out);
        }
    }
    let claims = object.at_mut(&["spec", "volumeClaimTemplates"]).map(Node::items_mut).unwrap_or_default();
    for (index, claim) in claims.iter_mut().enumerate() {
        take_created(claim, &format!("spec.volumeClaimTemplates[{index}]"), left_out);
    }
}

fn take_created(template: &mut Node, path: &str, left_out: &mut Vec<(String, Entry)>) {
    let created = template.get_mut("metadata").and_then(|metadata| metadata.remove("creationTimestamp"));
    left_out.extend(created.map(|entry| (format!("{path}.metadata.creationTimestamp"), entry)));
}

/// Takes the keys out of a map that are meant.
fn take(node: &mut Node, is_meant: impl Fn(&str) -> bool) -> impl Iterator<Item = Entry> {
    let mut taken = Vec::new();
    if let Content::Map(entries) = &mut node.content {
        taken.extend(entries.extract_if(.., |entry| is_meant(&entry.key)));
    }
    taken.into_iter()
}

/// Null, or what Go writes of a field that nobody set: `""`, `0`, `false`, a list or map of nothing else.
fn is_empty(node: &Node) -> bool {
    match &node.content {
        Content::Scalar(scalar) => match &scalar.value {
            serde_json::Value::String(text) => text.is_empty(),
            serde_json::Value::Number(number) => number.as_f64() == Some(0.0),
            serde_json::Value::Bool(is_set) => !is_set,
            _ => true,
        },
        Content::List(items) => items.iter().all(is_empty),
        Content::Map(entries) => entries.iter().all(|entry| is_empty(&entry.value)),
    }
}

/// One sentence for all fields of an object.
fn warning(object: &Node, left_out: &[(String, Entry)]) -> Option<Error> {
    let (first, entry) = left_out.first()?;
    let mut fields = vec![format!("`{first}`")];
    fields.extend(left_out.iter().skip(1).map(|(path, entry)| format!("`{path}`{}", in_line(&entry.spot))));
    let last = fields.split_off(fields.len() - 1).concat();
    let (fields, them) = if fields.is_empty() {
        (last, "was dropped: only the API server writes it")
    } else {
        (format!("{} and {last}", fields.join(", ")), "were dropped: only the API server writes them")
    };
    let text = |path: &[&str]| object.text_at(path).unwrap_or_default();
    let name = format!("{}/{}", text(&["kind"]), text(&["metadata", "name"]));
    Some(entry.spot.mistake(format!("{fields} of {name} {them}")))
}

fn in_line(spot: &Spot) -> String {
    if spot.source.rendered { String::new() } else { format!(" (line {})", spot.line) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    #[derive(Debug, Default)]
    struct Left {
        objects: Vec<Value>,
        mistakes: Vec<Error>,
        warnings: Vec<String>,
    }

    fn nodes(text: &str) -> Vec<Node> {
        let source = Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false };
        compose::documents(&Arc::new(source)).expect("it is YAML")
    }

    fn left(base: &str, tier: &str) -> Left {
        let (mut base, mut tier, mut left) = (nodes(base), nodes(tier), Left::default());
        let mut warnings = Vec::new();
        leave_out(&mut base, &mut tier, &mut left.mistakes, &mut warnings);
        left.warnings = warnings.iter().map(ToString::to_string).collect();
        left.objects = base.iter().chain(&tier).map(Node::to_json).collect();
        left
    }

    const EXPORTED: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    deployment.kubernetes.io/revision: \"1\"
    example.com/last-applied-configuration: |
      {\"a\": \"${HOST}\"}
    example.com/kept: x
  creationTimestamp: \"2026-10-03T14:00:00Z\"
  generation: 1
  name: web
  managedFields: [{manager: kubectl}]
  resourceVersion: \"123\"
  selfLink: \"\"
  uid: 3f0c
spec:
  template:
    metadata: {creationTimestamp: null, labels: {app: web}}
status: {replicas: 1}
";

    #[test]
    fn an_exported_object_is_left_with_what_a_person_writes() {
        let left = left(EXPORTED, "");
        assert_eq!(
            left.objects,
            [json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"annotations": {"example.com/kept": "x"}, "name": "web"},
                "spec": {"template": {"metadata": {"labels": {"app": "web"}}}},
            })]
        );
        assert_eq!(
            left.warnings,
            ["a.yaml:5:5: `metadata.annotations[deployment.kubernetes.io/revision]`, \
              `metadata.annotations[example.com/last-applied-configuration]` (line 6), \
              `metadata.creationTimestamp` (line 9), `metadata.generation` (line 10), \
              `metadata.managedFields` (line 12), `metadata.resourceVersion` (line 13), `metadata.uid` (line 15) and \
              `status` (line 19) of Deployment/web were dropped: only the API server writes them"]
        );
        assert!(left.mistakes.is_empty());
    }

    #[test]
    fn what_a_dry_run_prints_is_left_out_without_a_word() {
        let template = "{metadata: {creationTimestamp: null}, spec: {}}";
        let left = left(
            &format!(
                "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: a, creationTimestamp: null}}, spec: {{jobTemplate: \
                 {{metadata: {{creationTimestamp: null}}, spec: {{template: {template}}}}}}}, status: {{}}}}\n---\n\
                 {{apiVersion: v1, kind: PodTemplate, metadata: {{name: a, uid: \"\"}}, template: {template}}}\n---\n\
                 {{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: a}}, spec: {{volumeClaimTemplates: [{template}]}}, \
                 status: {{replicas: 0, availableReplicas: 0}}}}\n---\n\
                 {{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: a}}, status: \
                 {{acceptedNames: {{kind: \"\", plural: \"\"}}, conditions: [], storedVersions: null}}}}\n"
            ),
            "",
        );
        assert_eq!(left.warnings, Vec::<String>::new());
        let text = Value::from(left.objects).to_string();
        assert!(
            !text.contains("creationTimestamp") && !text.contains("status") && !text.contains("uid"),
            "{text}"
        );
    }

    #[test]
    fn a_status_is_the_servers_only_where_the_kind_has_the_subresource() {
        let definition = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: w}, spec: \
                          {group: example.com, names: {kind: Widget}, versions: [{name: v1, subresources: {status: {}}}, \
                          {name: v2, subresources: {}}]}}\n---\n";
        let status = |version: &str, kind: &str, tier: &str| {
            let object = format!(
                "{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}, status: {{x: ok}}}}\n"
            );
            let left = left(&object, tier);
            assert_eq!(left.warnings.len(), usize::from(left.objects[0].get("status").is_none()));
            left.objects[0].get("status").is_some()
        };
        assert!(!status("v1", "Service", "") && !status("policy/v1", "PodDisruptionBudget", ""));
        assert!(status("v1", "ConfigMap", "") && status("rbac.authorization.k8s.io/v1", "Role", ""));
        assert!(status("example.com/v1", "Widget", ""), "without a definition nobody knows");
        assert!(!status("example.com/v1", "Widget", definition));
        assert!(
            status("example.com/v2", "Widget", definition) && status("example.com/v1", "Gadget", definition)
        );
    }

    #[test]
    fn what_a_tier_lays_over_the_base_is_left_out_too() {
        let left = left("", "{apiVersion: v1, kind: Service, metadata: {name: a, uid: x}, status: {}}\n");
        assert_eq!(left.objects, [json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})]);
        assert_eq!(
            left.warnings,
            ["a.yaml:1:53: `metadata.uid` of Service/a was dropped: only the API server writes it"]
        );
    }

    #[test]
    fn an_owner_that_the_garbage_collector_looks_for_is_a_mistake() {
        let of = |owners: &str| {
            left(&format!("{{kind: Pod, metadata: {{name: a, ownerReferences: {owners}}}}}\n"), "").mistakes
        };
        let found = of("[{kind: Node, name: n}, {kind: ReplicaSet, name: web-5d, uid: 3f0c}]");
        assert_eq!(found.len(), 1);
        let place = found[0].place().map(|place| (place.line, place.column));
        assert_eq!(place, Some((Some(1), Some(112))));
        assert_eq!(
            found[0].hint(),
            Some(
                "delete `ownerReferences`; if ReplicaSet/web-5d makes this object, delete the whole manifest"
            )
        );
        for none in ["null", "[]", "[{kind: Node, name: n}]", "[{kind: Node, name: n, uid: \"\"}]", "x"] {
            assert!(of(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn of_a_rendered_object_no_line_is_named() {
        let source = Source { path: ".kube/Chart.yaml".into(), text: EXPORTED.to_owned(), rendered: true };
        let mut base = compose::documents(&Arc::new(source)).expect("it is YAML");
        let mut warnings = Vec::new();
        leave_out(&mut base, &mut [], &mut Vec::new(), &mut warnings);
        let warning = warnings[0].to_string();
        assert!(warning.starts_with(".kube/Chart.yaml: `metadata.") && !warning.contains("(line"));
    }
}
