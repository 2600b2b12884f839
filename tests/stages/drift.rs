//! What a person adds by hand that no manifest mentions: it is seen, and removed when somebody says so.

use serde_json::{Value, json};

use crate::bench::{Project, Run};

const WEB: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {A: \"1\"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: \"registry.test/web:1\"
          env: [{name: A, value: \"1\"}]
          resources: {limits: {memory: 64Mi}}
";
const OVERRIDE: [&str; 4] = ["--override", "drift", "--reason", "INC-7 is over"];

fn released(test: &str) -> Project {
    let project = Project::bare(test, "", WEB);
    project.windlass(&["release", "staging"]).exits(0);
    project
}

/// Runs a command that removes drift.
fn overriding(project: &Project, arguments: &[&str]) -> Run {
    project.windlass(&[arguments, &OVERRIDE[..]].concat())
}

fn status(project: &Project) -> Value {
    project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0)
}

/// The fields in the drift of a status, with who added them.
fn drift(status: &Value) -> Vec<(String, String)> {
    let objects = status["drift"].as_array().unwrap_or_else(|| panic!("{status}")).iter();
    let fields = objects.flat_map(|object| object["fields"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    fields.map(|field| (text(&field["field"]), text(&field["manager"]))).collect()
}

/// What the pod template of the Deployment has in its only container, under this key.
fn of_container(project: &Project, key: &str) -> Value {
    project.object("deployment/web")["spec"]["template"]["spec"]["containers"][0][key].clone()
}

/// The entry of the Deployment in a plan of `-o json`.
fn entry(run: &Run) -> Value {
    let line = run.stdout.lines().find(|line| line.contains("\"objects\"")).unwrap();
    let plan: Value = serde_json::from_str(line).unwrap();
    plan["objects"].as_array().unwrap().iter().find(|one| one["kind"] == "Deployment").unwrap().clone()
}

#[test]
fn what_kubectl_set_env_added_is_seen_with_manager_and_time() {
    let project = released("drift-env");
    project.kubectl(&["set", "env", "deployment/web", "DEBUG=1"]);
    let debug = ("spec.template.spec.containers[web].env[DEBUG]".to_owned(), "kubectl-set".to_owned());
    let seen = status(&project);
    assert_eq!(drift(&seen), std::slice::from_ref(&debug), "{seen}");
    let object = &seen["drift"][0];
    assert_eq!(
        (&object["kind"], &object["name"], &object["by"]),
        (&json!("Deployment"), &json!("web"), &json!(["kubectl-set"]))
    );
    let field = &object["fields"][0];
    assert_eq!(
        (&field["live"], &field["released"]),
        (&json!("{\"name\":\"DEBUG\",\"value\":\"1\"}"), &Value::Null)
    );
    let time: jiff::Timestamp = field["time"].as_str().unwrap().parse().unwrap();
    assert!(time.duration_since(jiff::Timestamp::now()).as_secs().abs() < 300, "{seen}");
    project
        .windlass(&["status", "staging"])
        .exits(0)
        .says("Deployment/web was changed by kubectl-set")
        .says("env[DEBUG]");

    // A plan shows it; a release would not change it.
    let plan = project.windlass(&["plan", "staging", "--exit-code"]).exits(0).says("2 unchanged");
    assert!(
        plan.stdout.contains("drift      Deployment/web") && plan.stdout.contains("by kubectl-set at 20"),
        "{plan}"
    );
    let plan = project.windlass(&["plan", "staging", "-o", "json"]).exits(0);
    assert_eq!(entry(&plan)["action"], "keep", "{plan}");
    assert_eq!(entry(&plan)["drift"][0]["field"], debug.0, "{plan}");
}

#[test]
fn a_release_and_a_rollback_keep_what_was_added_and_say_so_until_somebody_has_it_removed() {
    let project = released("drift-kept");
    project.kubectl(&["set", "env", "deployment/web", "DEBUG=1"]);
    let both = json!([{"name": "A", "value": "1"}, {"name": "DEBUG", "value": "1"}]);
    project.edit(".kube/app.yaml", "web:1", "web:2");
    project.commit("another image");
    let run = project.windlass(&["release", "staging"]).exits(0).says("Deployment/web was changed by hand");
    run.says("--override drift");
    assert_eq!(of_container(&project, "env"), both);
    project.windlass(&["rollback", "staging"]).exits(0).says("Deployment/web was changed by hand");
    assert_eq!(
        (of_container(&project, "env"), of_container(&project, "image")),
        (both, json!("registry.test/web:1"))
    );

    // Nothing is removed without a reason.
    project.windlass(&["release", "staging", "--override", "drift"]).exits(2);
    project.edit(".kube/app.yaml", "web:2", "web:3");
    project.commit("a third image");
    let generation = || project.object("deployment/web")["metadata"]["generation"].as_u64().unwrap();
    let before = generation();
    overriding(&project, &["release", "staging"]).exits(0).says("removing it");
    assert_eq!(of_container(&project, "env"), json!([{"name": "A", "value": "1"}]));
    assert_eq!(of_container(&project, "image"), "registry.test/web:3");
    assert_eq!(generation(), before + 1, "the pods restart once for both");
    assert!(drift(&status(&project)).is_empty());
    let managed = project.kubectl(&["get", "deployment/web", "-o", "yaml", "--show-managed-fields"]);
    assert!(!managed.contains("kubectl-set"), "{managed}");
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(history[0]["overrides"], json!([{"rule": "drift", "reason": "INC-7 is over"}]));
    project.windlass(&["plan", "staging", "--exit-code"]).exits(0).says("2 unchanged");

    // Where there is none the override makes no difference, and is not on record.
    project.edit(".kube/app.yaml", "A: \"1\"", "A: \"2\"");
    project.commit("a setting");
    overriding(&project, &["release", "staging"]).exits(0);
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(history[0]["overrides"], json!([]));
}

#[test]
fn an_unchanged_release_and_a_rollback_remove_exactly_what_was_added_by_hand() {
    let project = released("drift-all");
    project.edit(".kube/app.yaml", "web:1", "web:2");
    project.commit("another image");
    project.windlass(&["release", "staging"]).exits(0);
    let by_hand = |project: &Project| {
        project.kubectl(&["set", "env", "deployment/web", "B=2", "C=3"]);
        let sidecar = json!({"spec": {"template": {
            "metadata": {"annotations": {"who": "ann"}},
            "spec": {"terminationGracePeriodSeconds": 7, "containers": [{"name": "shell", "image": "registry.test/shell:1"}]}}}});
        project.kubectl(&["patch", "deployment/web", "-p", &sidecar.to_string()]);
        // A controller's field, which is not a person's.
        let cpu = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "2"}}}]}}}});
        project.kubectl(&["patch", "deployment/web", "-p", &cpu.to_string(), "--field-manager=vpa-updater"]);
        project.kubectl(&["rollout", "restart", "deployment/web"]);
    };
    let is_clean = |project: &Project| {
        let template = project.object("deployment/web")["spec"]["template"].clone();
        assert_eq!(template["spec"]["containers"].as_array().unwrap().len(), 1, "{template}");
        assert_eq!(
            template["spec"]["containers"][0]["env"],
            json!([{"name": "A", "value": "1"}]),
            "{template}"
        );
        assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 30, "{template}");
        let annotations = &template["metadata"]["annotations"];
        assert!(annotations.get("who").is_none(), "{template}");
        assert!(annotations.get("kubectl.kubernetes.io/restartedAt").is_some(), "{template}");
        let limits = &template["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({"cpu": "2", "memory": "64Mi"}), "{template}");
    };
    by_hand(&project);
    let seen = status(&project);
    let mut fields: Vec<String> = drift(&seen).into_iter().map(|(field, _)| field).collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "spec.template.metadata.annotations.who",
            "spec.template.spec.containers[shell]",
            "spec.template.spec.containers[web].env[B]",
            "spec.template.spec.containers[web].env[C]",
            "spec.template.spec.terminationGracePeriodSeconds",
        ]
    );
    let others: Vec<&Value> =
        seen["others"][0]["fields"].as_array().unwrap().iter().map(|field| &field["manager"]).collect();
    assert!(others.contains(&&json!("vpa-updater")) && others.contains(&&json!("kubectl-rollout")), "{seen}");
    assert_eq!(others.len(), 2, "{seen}");

    overriding(&project, &["release", "staging"]).exits(0).says("1 changed");
    is_clean(&project);
    assert!(drift(&status(&project)).is_empty());
    assert_eq!(of_container(&project, "image"), "registry.test/web:2");

    by_hand(&project);
    overriding(&project, &["rollback", "staging", "--to", "1"]).exits(0).says("env[B]");
    is_clean(&project);
    assert_eq!(of_container(&project, "image"), "registry.test/web:1");
}

#[test]
fn of_an_object_that_kubectl_made_only_what_the_manifests_do_not_say_is_drift() {
    let project = Project::bare("drift-made", "", WEB);
    project.windlass(&["plan", "staging"]).exits(0);
    let made = WEB.replace("env: [", "env: [{name: OLD, value: \"0\"}, ");
    project.kubectl(&["create", "namespace", &project.namespace]);
    project.pipe_to_kubectl(&made, &["apply", "-f", "-"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0);
    let old = "spec.template.spec.containers[web].env[OLD]".to_owned();
    let seen = status(&project);
    assert_eq!(drift(&seen), [(old, "kubectl-client-side-apply".to_owned())], "no defaults: {seen}");
    // What the manifests mention by now is none.
    project.edit(".kube/app.yaml", "env: [", "env: [{name: OLD, value: \"0\"}, ");
    let plan = project.windlass(&["plan", "staging"]).exits(0);
    assert!(!plan.stdout.contains("drift   "), "{plan}");
}

#[test]
fn a_variable_that_was_given_another_source_is_in_the_way_until_it_is_removed() {
    let project = released("drift-source");
    let source = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [
        {"name": "A", "value": null, "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "A"}}}]}]}}}});
    project.kubectl(&["patch", "deployment/web", "-p", &source.to_string()]);
    let refused = project.windlass(&["release", "staging"]).exits(30).says("kubectl-patch added");
    refused.says("--override drift");
    overriding(&project, &["release", "staging"]).exits(0);
    assert_eq!(of_container(&project, "env"), json!([{"name": "A", "value": "1"}]));
    assert!(drift(&status(&project)).is_empty());
}

#[test]
fn replicas_that_a_person_set_are_drift_whether_or_not_the_manifests_mention_them() {
    let project = released("drift-scale");
    // The API server books `kubectl scale` to nobody where nobody owns the replicas; a patch it does.
    project.kubectl(&["patch", "deployment/web", "-p", r#"{"spec":{"replicas":4}}"#]);
    assert_eq!(drift(&status(&project)), [("spec.replicas".to_owned(), "kubectl-patch".to_owned())]);
    project.windlass(&["release", "staging"]).exits(0).says("spec.replicas (by kubectl-patch at ");
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 4);
    overriding(&project, &["release", "staging"]).exits(0);
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 1);

    project.edit(".kube/app.yaml", "spec:\n  selector", "spec:\n  replicas: 2\n  selector");
    project.commit("replicas");
    project.windlass(&["release", "staging"]).exits(0);
    project.kubectl(&["scale", "deployment/web", "--replicas=4"]);
    let seen = status(&project);
    assert_eq!(seen["drift"][0]["by"], json!(["kubectl"]), "{seen}");
    let plan = project.windlass(&["plan", "staging", "--exit-code"]).exits(4);
    plan.says("taken back from kubectl: spec.replicas");
}
