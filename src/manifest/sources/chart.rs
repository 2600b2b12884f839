//! What is special about a chart: hooks, which become Jobs of the right phase, and templates that render something
//! else each time.

use serde_json::Value;

use crate::error::Error;
use crate::manifest::yaml::node::{Content, Entry, Node, Scalar};
use crate::manifest::yaml::source::Spot;
use crate::model::labels;

const HOOK: &str = "helm.sh/hook";
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";

/// When Helm would run a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Before the rest of the chart, or with it.
    Before,
    /// Once the rest of the chart is there.
    After,
    /// When somebody asks for the chart's tests.
    Test,
    /// When the release is deleted or rolled back.
    Other,
}

/// An object as it is released; `None` for a hook that no release runs.
pub(crate) fn released(mut object: Node, warnings: &mut Vec<Error>) -> Option<Node> {
    let Some(events) = take_hook(&mut object) else { return Some(object) };
    match moment(&events) {
        Moment::Test => return None,
        Moment::Other => {
            warnings.push(object.spot.mistake(format!(
                "a hook on `{events}` is skipped: windlass runs only install and upgrade hooks"
            )));
            return None;
        }
        Moment::Before | Moment::After if !runs(&object) => return Some(object),
        Moment::Before => {}
        Moment::After => annotate(&mut object, labels::PHASE, "after"),
    }
    Some(if object.text_at(&["kind"]) == Some("Pod") { as_job(object) } else { object })
}

/// Takes the annotations of a hook off an object; the weight stays, for it says in which order Jobs run.
fn take_hook(object: &mut Node) -> Option<String> {
    let annotations = object.at_mut(&["metadata", "annotations"])?;
    let hook = annotations.remove(HOOK)?;
    annotations.remove(DELETE_POLICY);
    hook.value.text().map(str::to_owned)
}

fn moment(events: &str) -> Moment {
    let is = |wanted: &[&str]| events.split(',').map(str::trim).any(|event| wanted.contains(&event));
    if is(&["pre-install", "pre-upgrade", "crd-install"]) {
        Moment::Before
    } else if is(&["post-install", "post-upgrade"]) {
        Moment::After
    } else if is(&["test", "test-success", "test-failure"]) {
        Moment::Test
    } else {
        Moment::Other
    }
}

/// Whether a hook does something; anything else is there for such a one, and applied with its like.
fn runs(object: &Node) -> bool {
    matches!(object.text_at(&["kind"]), Some("Job" | "Pod"))
}

/// The Job that runs a pod once.
fn as_job(mut pod: Node) -> Node {
    let spot = pod.spot.clone();
    let mut spec = take(&mut pod, "spec");
    if !matches!(spec.text_at(&["restartPolicy"]), Some("Never" | "OnFailure")) {
        spec.remove("restartPolicy");
        insert(&mut spec, "restartPolicy", text(&spot, "Never"));
    }
    let mut template = map(&spot, vec![("spec", spec)]);
    let metadata = take(&mut pod, "metadata");
    if let Some(labels) = metadata.get("labels") {
        insert(&mut template, "metadata", map(&spot, vec![("labels", labels.clone())]));
    }
    let once = Node { spot: spot.clone(), content: Content::Scalar(Scalar { value: 0.into(), plain: true }) };
    let spec = map(&spot, vec![("backoffLimit", once), ("template", template)]);
    let (version, kind) = (text(&spot, "batch/v1"), text(&spot, "Job"));
    map(&spot, vec![("apiVersion", version), ("kind", kind), ("metadata", metadata), ("spec", spec)])
}

fn take(object: &mut Node, key: &str) -> Node {
    let spot = object.spot.clone();
    object.remove(key).map_or_else(|| map(&spot, Vec::new()), |entry| entry.value)
}

fn annotate(object: &mut Node, key: &str, value: &str) {
    let value = text(&object.spot, value);
    if let Some(annotations) = object.at_mut(&["metadata", "annotations"]) {
        annotations.remove(key);
        insert(annotations, key, value);
    }
}

fn insert(node: &mut Node, key: &str, value: Node) {
    let spot = value.spot.clone();
    if let Content::Map(entries) = &mut node.content {
        entries.push(Entry { key: key.to_owned(), spot, value });
    }
}

fn map(spot: &Spot, entries: Vec<(&str, Node)>) -> Node {
    let entry = |(key, value): (&str, Node)| Entry { key: key.to_owned(), spot: spot.clone(), value };
    Node { spot: spot.clone(), content: Content::Map(entries.into_iter().map(entry).collect()) }
}

fn text(spot: &Spot, value: &str) -> Node {
    Node { spot: spot.clone(), content: Content::Scalar(Scalar { value: value.into(), plain: false }) }
}

/// What a chart renders differently each time: every release would change it, and the plan would be another one than
/// what is then done.
pub(crate) fn unsteady(first: &[Node], second: &[Node]) -> Vec<Error> {
    let mut mistakes = Vec::new();
    for (one, other) in first.iter().zip(second) {
        let (a, b) = (one.to_json(), other.to_json());
        if let Some(field) = difference(&a, &b, "") {
            let name = |object: &Value| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
            };
            let sentence = format!("`{field}` of {} changes each time the chart is rendered", name(&a));
            mistakes.push(one.spot.secret_mistake(sentence).with_hint(
                "give the value in `values`, or take it from `secrets:`: what a template generates (a \
                 password, a certificate, the time) changes with every release",
            ));
        }
    }
    if let (true, Some(first)) = (mistakes.is_empty() && first.len() != second.len(), first.first()) {
        mistakes.push(first.spot.secret_mistake("the chart renders different objects each time"));
    }
    mistakes
}

/// The first field in which two values differ.
fn difference(one: &Value, other: &Value, path: &str) -> Option<String> {
    match (one, other) {
        _ if one == other => None,
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let key =
                |key: &str| if key.contains(['.', '/']) { format!("[{key}]") } else { format!(".{key}") };
            a.iter().find_map(|(name, value)| difference(value, &b[name], &format!("{path}{}", key(name))))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(index, (one, other))| difference(one, other, &format!("{path}[{index}]")))
        }
        _ => Some(path.trim_start_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    fn nodes(text: &str) -> Vec<Node> {
        let source = Source { path: ".kube/templates/x.yaml".into(), text: text.to_owned(), rendered: true };
        compose::documents(&Arc::new(source)).expect("it is YAML")
    }

    fn hook(kind: &str, events: &str) -> (Option<Value>, Vec<Error>) {
        let text = format!(
            "{{kind: {kind}, metadata: {{name: a, labels: {{x: z}}, annotations: {{helm.sh/hook: \"{events}\", \
             helm.sh/hook-weight: \"2\", helm.sh/hook-delete-policy: hook-succeeded}}}}, spec: {{containers: []}}}}\n"
        );
        let mut warnings = Vec::new();
        (released(nodes(&text).remove(0), &mut warnings).map(|node| node.to_json()), warnings)
    }

    #[test]
    fn hooks_become_jobs_of_the_right_phase() {
        let annotations =
            |events: &str| hook("Job", events).0.expect("it is released")["metadata"]["annotations"].clone();
        let weight = json!({"helm.sh/hook-weight": "2"});
        assert_eq!(annotations("pre-install,pre-upgrade"), weight);
        let after = json!({"helm.sh/hook-weight": "2", "windlass.dev/phase": "after"});
        assert_eq!(annotations("post-install, post-upgrade"), after);
        let map = hook("ConfigMap", "post-install").0.expect("it is released");
        assert_eq!(map["metadata"]["annotations"], weight, "configuration is there before the Jobs");
    }

    #[test]
    fn tests_and_hooks_of_other_moments_are_left_out() {
        let (object, warnings) = hook("Pod", "test");
        assert!(object.is_none() && warnings.is_empty());
        let (object, warnings) = hook("Job", "pre-delete");
        assert_eq!(object, None);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_pod_that_is_a_hook_is_run_by_a_job() {
        let job = hook("Pod", "pre-upgrade").0.expect("it is released");
        assert_eq!(job["kind"], "Job");
        assert_eq!(job["apiVersion"], "batch/v1");
        assert_eq!(job["spec"]["template"]["spec"], json!({"containers": [], "restartPolicy": "Never"}));
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], json!({"x": "z"}));
        assert_eq!(job["spec"]["backoffLimit"], 0);
    }

    #[test]
    fn what_is_made_up_is_named() {
        let object = |password: &str| {
            nodes(&format!(
                "{{kind: Secret, metadata: {{name: db}}, data: {{a: x, the.password: {password}}}}}\n"
            ))
        };
        let mistakes = unsteady(&object("hunter22"), &object("hunter23"));
        let words: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [".kube/templates/x.yaml: `data[the.password]` of Secret/db changes each time the chart \
                 is rendered"]
        );
        assert_eq!(mistakes[0].snippet(), None);
        assert!(unsteady(&object("a"), &object("a")).is_empty());
    }
}
