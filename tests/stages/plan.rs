//! A release is seen before it is done, does what was seen, and touches nothing else.

use serde_json::{Value, json};

use crate::bench::{Project, Run, lab};

const SHOP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {LOG_LEVEL: info}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: \"registry.test/web:1\", envFrom: [{configMapRef: {name: web}}]}
";

/// The entry of an object in a plan of `-o json`.
fn entry(run: &Run, object: &str) -> Value {
    let line =
        run.stdout.lines().find(|line| line.contains("\"objects\"")).unwrap_or_else(|| panic!("{run}"));
    let plan: Value = serde_json::from_str(line).unwrap();
    let objects = plan["objects"].as_array().unwrap().iter();
    let name = |one: &Value| format!("{}/{}", one["kind"].as_str().unwrap(), one["name"].as_str().unwrap());
    let found = objects.clone().find(|one| name(one) == object);
    found.cloned().unwrap_or_else(|| panic!("no {object} in {plan}"))
}

fn released(test: &str) -> Project {
    let project = Project::bare(test, "", SHOP);
    project.windlass(&["release", "staging"]).exits(0);
    project
}

#[test]
fn a_plan_says_what_a_release_then_does() {
    let project = Project::bare("plan", "", SHOP);
    let plan = project.windlass(&["plan", "staging", "--exit-code"]).exits(4).says("3 to create");
    assert!(plan.stdout.contains("+ create   Deployment/web"), "{plan}");
    project.windlass(&["release", "staging"]).exits(0).says("3 created");
    let plan = project.windlass(&["plan", "staging", "--exit-code"]).exits(0).says("3 unchanged");
    assert_eq!(plan.stdout.trim(), "3 unchanged");

    project.edit(".kube/app.yaml", "LOG_LEVEL: info", "LOG_LEVEL: debug");
    project.edit(".kube/app.yaml", "port: 80", "port: 8080");
    let plan = project.windlass(&["plan", "staging"]).exits(0).says("3 to change");
    for line in ["data.LOG_LEVEL", "- info", "+ debug", "web restarts: ConfigMap/web LOG_LEVEL changed"] {
        assert!(plan.stdout.contains(line), "no {line:?}: {plan}");
    }
    let json = project.windlass(&["plan", "staging", "-o", "json"]).exits(0);
    assert_eq!(entry(&json, "Deployment/web")["restarts"], json!(["ConfigMap/web LOG_LEVEL changed"]));
    assert_eq!(entry(&json, "ConfigMap/web")["action"], "change");
    let versions = || {
        ["configmap/web", "service/web", "deployment/web"]
            .map(|name| project.object(name)["metadata"]["resourceVersion"].clone())
    };
    let before = project.object("configmap/web")["data"].clone();
    assert_eq!(before["LOG_LEVEL"], "info", "a plan changes nothing");
    project.commit("louder");
    project.windlass(&["release", "staging"]).exits(0).says("3 changed");
    assert_eq!(project.object("configmap/web")["data"]["LOG_LEVEL"], "debug");
    let after = versions();
    project.windlass(&["release", "staging"]).exits(0).says("3 unchanged");
    assert_eq!(versions(), after, "what is as it should be is not written");
}

#[test]
fn what_somebody_edited_by_hand_is_taken_back() {
    let project = released("plan-by-hand");
    project.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    project.kubectl(&["patch", "configmap/web", "--type=merge", "-p", r#"{"data":{"LOG_LEVEL":"trace"}}"#]);
    project.kubectl(&["annotate", "service/web", "note=mine"]);
    let plan = project.windlass(&["plan", "staging"]).exits(0).says("2 to change, 1 unchanged");
    assert!(plan.stdout.contains("taken back from kubectl: spec.replicas"), "{plan}");
    assert!(plan.stdout.contains("taken back from kubectl-patch: data.LOG_LEVEL"), "{plan}");
    let json = project.windlass(&["plan", "staging", "-o", "json"]).exits(0);
    let taken = json!([{"manager": "kubectl-patch", "field": "data.LOG_LEVEL"}]);
    assert_eq!(entry(&json, "ConfigMap/web")["takenBack"], taken);

    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 2);
    assert_eq!(project.object("configmap/web")["data"]["LOG_LEVEL"], "info");
    let note = &project.object("service/web")["metadata"]["annotations"]["note"];
    assert_eq!(note, "mine", "what no manifest speaks of is left alone");
}

#[test]
fn a_conflict_names_the_other_manager_and_the_field() {
    let project = released("plan-conflict");
    let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n";
    let apply = ["apply", "--server-side", "--field-manager=tuner", "--force-conflicts", "-f", "-"];
    project.pipe_to_kubectl(other, &apply).exits(0);
    let run = project.windlass(&["release", "staging", "-o", "json"]).exits(30);
    let finished = run.finished();
    assert_eq!(finished["causes"][0]["cause"], "conflict", "{run}");
    assert_eq!(finished["causes"][0]["object"], "Deployment/web", "{run}");
    let message = finished["causes"][0]["message"].as_str().unwrap();
    assert!(message.contains("`tuner` owns spec.replicas"), "{run}");
    assert!(finished["hint"].as_str().unwrap().contains("--override conflict"), "{run}");
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 7, "nothing was changed");
    // The hint is followed.
    let taken = ["release", "staging", "--override", "conflict", "--reason", "nobody tunes it any more"];
    project.windlass(&taken).exits(0);
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 2);
    project.windlass(&["release", "staging"]).exits(0).says("3 unchanged");
}

#[test]
fn what_was_tried_and_does_not_differ_is_unchanged() {
    let project = released("plan-same");
    // Somebody takes a field of ours and sets it to what it was: it is ours no more, and asked about.
    for replicas in ["5", "2"] {
        let patch = format!(r#"{{"spec":{{"replicas":{replicas}}}}}"#);
        let arguments = ["patch", "deployment/web", "--subresource=scale", "--type=merge", "-p", &patch];
        project.kubectl(&[&arguments[..], &["--field-manager=keda"]].concat());
    }
    let scale = r#"{"spec":{"replicas":6}}"#;
    project.kubectl(&[
        "patch",
        "deployment/web",
        "--subresource=scale",
        "--type=merge",
        "-p",
        scale,
        "--field-manager=keda",
    ]);
    let revision =
        || project.object("deployment/web")["metadata"]["annotations"]["windlass.dev/revision"].clone();
    project.windlass(&["release", "staging"]).exits(0);
    let first = revision();
    project.windlass(&["plan", "staging", "--exit-code"]).exits(0).says("3 unchanged");
    let status = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0);
    assert_eq!(status["drift"].to_string(), "[]");
    project.windlass(&["release", "staging"]).exits(0).says("3 unchanged");
    assert_eq!((revision(), &project.object("deployment/web")["spec"]["replicas"]), (first, &json!(6)));
}

#[test]
fn another_order_is_a_change_that_is_seen() {
    let project = Project::bare(
        "plan-order",
        "",
        &SHOP.replace(
            "containers:\n",
            "initContainers: [{name: one, image: a}, {name: two, image: b}]\n      containers:\n",
        ),
    );
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(
        ".kube/app.yaml",
        "[{name: one, image: a}, {name: two, image: b}]",
        "[{name: two, image: b}, {name: one, image: a}]",
    );
    let plan = project.windlass(&["plan", "staging"]).exits(0).says("1 to change").says("web restarts");
    assert!(plan.stdout.contains("initContainers (order)"), "{plan}");
    project.commit("order");
    project.windlass(&["release", "staging"]).exits(0);
    let containers = project.object("deployment/web")["spec"]["template"]["spec"]["initContainers"].clone();
    assert_eq!(containers[0]["name"], "two");
}

#[test]
fn an_autoscalers_target_keeps_its_replicas() {
    let autoscaler = "\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 9
";
    let project = Project::bare("plan-autoscaler", "", &format!("{SHOP}{autoscaler}"));
    project.windlass(&["release", "staging"]).exits(0);
    project.kubectl(&["scale", "deployment/web", "--replicas=4"]);
    project.windlass(&["plan", "staging"]).exits(0).says("4 unchanged");
    project.edit(".kube/app.yaml", "web:1", "web:2");
    let plan = project.windlass(&["plan", "staging"]).exits(0).says("1 to change");
    assert!(!plan.stdout.contains("replicas"), "{plan}");
    project.commit("another image");
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 4);

    // One that no manifest has, as far as anybody can tell: what scaled it wrote through `scale`.
    let project = released("plan-scaled");
    let scale = json!({"spec": {"replicas": 6}}).to_string();
    let arguments = ["patch", "deployment/web", "--subresource=scale", "--type=merge", "-p", &scale];
    project.kubectl(&[&arguments[..], &["--field-manager=keda"]].concat());
    project.edit(".kube/app.yaml", "web:1", "web:2");
    project.commit("another image");
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("deployment/web")["spec"]["replicas"], 6);
}

#[test]
fn what_cannot_be_changed_is_recreated_only_where_that_is_allowed() {
    let project = released("plan-immutable");
    project.edit(".kube/app.yaml", "matchLabels: {app: web}", "matchLabels: {app: web, tier: front}");
    project.edit(".kube/app.yaml", "labels: {app: web}", "labels: {app: web, tier: front}");
    project.commit("another selector");
    let run = project.windlass(&["release", "staging"]).exits(30);
    let run = run.says("spec.selector").says("windlass.dev/recreate: allowed");
    assert!(run.stderr.contains(".kube/app.yaml:16:13: "), "{run}");
    let uid = project.object("deployment/web")["metadata"]["uid"].clone();

    project.edit(
        ".kube/app.yaml",
        "kind: Deployment\nmetadata: {name: web}",
        "kind: Deployment\nmetadata: {name: web, annotations: {windlass.dev/recreate: allowed}}",
    );
    project.commit("recreate it");
    let plan = project.windlass(&["plan", "staging"]).exits(0).says("1 to recreate");
    assert!(plan.stdout.contains("spec.selector cannot be changed"), "{plan}");
    project.windlass(&["release", "staging"]).exits(0);
    assert_ne!(project.object("deployment/web")["metadata"]["uid"], uid);
}

#[test]
fn every_object_that_the_server_refuses_is_named_at_once() {
    let project = released("plan-refused");
    project.edit(".kube/app.yaml", "replicas: 2", "replcias: 2");
    project.edit(".kube/app.yaml", "ports: [{port: 80}]", "ports: [{port: 99999}]");
    let run = project.windlass(&["plan", "staging", "-o", "json"]).exits(3);
    let causes = run.finished()["causes"].as_array().unwrap().clone();
    assert_eq!(causes.len(), 2, "{run}");
    assert!(causes.iter().all(|cause| cause["cause"] == "invalid-manifest"), "{run}");
}

fn maps(count: usize) -> String {
    (0..count)
        .map(|index| {
            format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{index}}}\ndata: {{a: b}}\n")
        })
        .collect()
}

#[test]
fn what_the_manifests_no_longer_have_goes_last_and_data_stays() {
    let project = Project::bare("plan-prune", "", &format!("{SHOP}{}", maps(2)));
    project.write(".kube/data.yaml", &maps(3));
    project.edit(".kube/data.yaml", "name: m0", "name: kept");
    project.edit(".kube/data.yaml", "name: m1", "name: protected, annotations: {windlass.dev/prune: never}");
    project.edit(".kube/data.yaml", "name: m2", "name: gone");
    project.commit("more");
    project.windlass(&["release", "staging"]).exits(0).says("8 created");
    project
        .write(".kube/data.yaml", &maps(3).split("---\n").take(2).collect::<String>().replace("m0", "kept"));
    project.edit(".kube/app.yaml", "name: m1", "name: m3");
    project.commit("less");
    let plan = project.windlass(&["plan", "staging"]).exits(0);
    let plan = plan.says("1 to create, 2 to prune, 1 no longer in the manifests, kept, 5 unchanged");
    assert!(plan.stdout.contains("- prune    ConfigMap/gone"), "{plan}");
    assert!(plan.stdout.contains("leave      ConfigMap/protected"), "{plan}");
    let run = project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("configmap/gone"), Value::Null);
    assert_eq!(project.object("configmap/m1"), Value::Null);
    assert_ne!(project.object("configmap/protected"), Value::Null, "{run}");
    assert_ne!(project.object("configmap/kept"), Value::Null);
    // What was left is still known, and goes when somebody lets it.
    project.windlass(&["plan", "staging"]).exits(0).says("1 no longer in the manifests, kept");
    project.kubectl(&["annotate", "configmap/protected", "windlass.dev/prune-", "--overwrite"]);
    project.windlass(&["plan", "staging"]).exits(0).says("1 to prune");
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("configmap/protected"), Value::Null);
}

#[test]
fn much_goes_only_when_somebody_says_so() {
    let project = Project::bare("plan-mass", "", &maps(5));
    project.windlass(&["release", "staging"]).exits(0).says("5 created");
    project.write(".kube/app.yaml", &maps(2));
    project.commit("three less");
    project.windlass(&["plan", "staging"]).exits(0).says("3 to prune").says("--override mass-deletion");
    let run = project.windlass(&["release", "staging"]).exits(34);
    run.says("it would delete 3 of the 5 objects").says("--override mass-deletion");
    assert_ne!(project.object("configmap/m4"), Value::Null);
    project.windlass(&["release", "staging", "--override", "mass-deletion"]).exits(2);
    let all = ["release", "staging", "--override", "mass-deletion", "--reason", "INC-1"];
    project.windlass(&all).exits(0).says("3 pruned");
    assert_eq!(project.object("configmap/m4"), Value::Null);
    project.windlass(&["history", "staging", "-o", "json"]).exits(0).says("INC-1");
}

#[test]
fn a_definition_and_a_namespace_come_before_what_needs_them() {
    let test = "plan-definitions";
    let group = format!("d{}.example.com", std::process::id());
    let elsewhere = format!("t-{test}-{}-other", std::process::id());
    let manifests = format!(
        "apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: 1}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: far, namespace: {elsewhere}}}\ndata: {{a: b}}\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {{name: {elsewhere}}}\n---\n\
         apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\n\
         spec:\n  group: {group}\n  scope: Namespaced\n  names: {{kind: Widget, plural: widgets}}\n  versions:\n  \
         - name: v1\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        \
         properties:\n          spec: {{type: object, properties: {{size: {{type: integer}}}}}}\n"
    );
    let project = Project::bare(test, "", &manifests);
    project.windlass(&["plan", "staging"]).exits(0).says("4 to create");
    project.windlass(&["release", "staging"]).exits(0).says("4 created");
    project.windlass(&["release", "staging"]).exits(0).says("4 unchanged");
    // A field that only the new definition has.
    project.edit(".kube/app.yaml", "size: {type: integer}", "size: {type: integer}, colour: {type: string}");
    project.edit(".kube/app.yaml", "spec: {size: 1}", "spec: {size: 1, colour: red}");
    project.commit("colours");
    project.windlass(&["release", "staging"]).exits(0).says("2 changed");
    let widget = project.object(&format!("widgets.{group}/w"));
    assert_eq!(widget["spec"]["colour"], "red");
    project.kubectl(&["delete", "crd", &format!("widgets.{group}"), "--wait=false"]);
    project.kubectl(&["delete", "namespace", &elsewhere, "--wait=false"]);
}

fn job(name: &str, script: &str, more: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}{more}}}\nspec:\n  backoffLimit: 0\n  template:\n    \
         spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 0\n      \
         containers: [{{name: run, image: {}/base/busybox, command: [sh, -c, {script:?}]}}]\n",
        lab("LAB_REGISTRY")
    )
}

const MAP: &str = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: late}\nspec: {containers: [{name: a, image: IMAGE, command: [sleep, \"600\"]}], terminationGracePeriodSeconds: 0}\n";

#[test]
fn a_job_that_fails_ends_the_release_before_a_workload_is_touched() {
    let pod = MAP.replace("IMAGE", &format!("{}/base/busybox", lab("LAB_REGISTRY")));
    let manifests = format!("{}{pod}", job("migrate", "echo no such table; exit 4", ""));
    let project = Project::bare_on("lab-real", "plan-job-fails", "", &manifests);
    let run = project.windlass(&["release", "staging", "-o", "json"]).exits(31);
    assert_eq!(run.finished()["causes"][0]["cause"], "job-failed", "{run}");
    assert!(run.stdout.contains("no such table"), "its log is told: {run}");
    assert_eq!(project.object("pod/late"), Value::Null);

    project.edit(".kube/app.yaml", "exit 4", "exit 0");
    project.commit("the table is there");
    project.windlass(&["release", "staging"]).exits(0).says("1 created, 1 run");
    project.kubectl(&["delete", "job/migrate"]);
    project.windlass(&["release", "staging"]).exits(0).says("2 unchanged");
    assert_eq!(project.object("job/migrate"), Value::Null, "its content has run, wherever it is now");
}

#[test]
fn a_jobs_own_time_ends_it() {
    let project = Project::bare_on(
        "lab-real",
        "plan-job-time",
        "",
        &job("slow", "sleep 60", ", annotations: {windlass.dev/timeout: 4s}"),
    );
    let run = project.windlass(&["release", "staging"]).exits(32).says("Job/slow");
    assert!(run.took.as_secs() < 30, "{:?}", run.took);
    let run = project.windlass(&["release", "staging"]).exits(32);
    assert!(run.took.as_secs() < 30, "it is joined: {:?}", run.took);
}

#[test]
fn a_job_of_other_content_stands_in_the_way_while_it_runs() {
    let project = Project::bare_on("lab-real", "plan-job-runs", "", &job("migrate", "sleep 12", ""));
    project.windlass(&["release", "staging", "--timeout", "3s"]).exits(32);
    let uid = project.object("job/migrate")["metadata"]["uid"].clone();

    // The same content is joined.
    project.windlass(&["release", "staging", "--timeout", "2s"]).exits(32);
    assert_eq!(project.object("job/migrate")["metadata"]["uid"], uid);

    project.edit(".kube/app.yaml", "sleep 12", "sleep 60; true");
    project.commit("another migration");
    let run = project.windlass(&["release", "staging"]).exits(34).says("Job/migrate of release 2");
    run.says("still runs").says("--wait-jobs waits for it, --kill-jobs deletes it");
    project.windlass(&["plan", "staging"]).exits(0).says("still runs");
    project.windlass(&["release", "staging", "--wait-jobs", "--timeout", "20s"]).exits(32);
    assert_ne!(project.object("job/migrate")["metadata"]["uid"], uid, "the old one ended, the new one ran");

    project.edit(".kube/app.yaml", "sleep 60; true", "true");
    project.commit("a quick one");
    project.windlass(&["release", "staging", "--kill-jobs"]).exits(0).says("1 run");
    project.windlass(&["release", "staging", "--kill-jobs", "--wait-jobs"]).exits(2);
}

#[test]
fn jobs_have_phases() {
    let pod = MAP.replace("IMAGE", &format!("{}/base/busybox", lab("LAB_REGISTRY")));
    let manifests = [
        job("last", "true", ", annotations: {windlass.dev/phase: after}"),
        job("first", "true", ", annotations: {windlass.dev/phase: before}"),
        job("heavy", "true", ", annotations: {helm.sh/hook-weight: \"5\"}"),
        job("light", "true", ", annotations: {helm.sh/hook-weight: \"-5\"}"),
        pod,
    ];
    let project = Project::bare_on("lab-real", "plan-job-phases", "", &manifests.concat());
    project.windlass(&["release", "staging"]).exits(0).says("1 created, 4 run");
    let time = |name: &str, pointer: &str| {
        project.object(name).pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let begun = |name: &str| time(name, "/metadata/creationTimestamp");
    let ended = |name: &str| time(name, "/status/completionTime");
    for (one, other) in [
        ("job/first", "job/light"),
        ("job/light", "job/heavy"),
        ("job/heavy", "pod/late"),
        ("job/first", "job/last"),
    ] {
        assert!(ended(one) <= begun(other), "{one} ended {}, {other} began {}", ended(one), begun(other));
    }
    assert!(time("pod/late", "/status/startTime") <= begun("job/last"));
}

#[test]
fn what_is_rendered_kubectl_accepts() {
    let config = "secrets: {db: {password: {env: DB_PASSWORD}}, pull: {pull: {user: u, password: {env: DB_PASSWORD}, host: registry.test}}}\n";
    let mut project = Project::bare("plan-render", config, SHOP);
    project.set("DB_PASSWORD", "correct horse");
    project.windlass(&["release", "staging"]).exits(0);
    for arguments in [&["render", "staging"][..], &["render", "staging", "--show-secrets"]] {
        let rendered = project.windlass(arguments).exits(0).stdout;
        let dry_run = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        let run =
            project.pipe_to_kubectl(&rendered, &[&dry_run[..], &["--force-conflicts"]].concat()).exits(0);
        assert_eq!(run.stdout.lines().count(), 5, "{run}");
    }
    // With the values it means the same: nobody else's field would be another one.
    let rendered = project.windlass(&["render", "staging", "--show-secrets"]).exits(0).stdout;
    project.pipe_to_kubectl(&rendered, &["apply", "--server-side", "--dry-run=server", "-f", "-"]).exits(0);
    let diff = project.pipe_to_kubectl(&rendered, &["diff", "--server-side", "-f", "-"]);
    let changed: Vec<&str> = diff
        .stdout
        .lines()
        .filter(|line| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---"))
        .collect();
    assert!(changed.is_empty(), "{changed:?}");

    let certificate = "apiVersion: example.com/v1\nkind: Certificate\nmetadata: {name: shop}\n";
    project.write(".kube/certificate.yaml", certificate);
    project.commit("a kind of others");
    let rendered = project.windlass(&["render", "staging"]).exits(0);
    rendered.says("Certificate/shop").says(&format!("kubectl -n {} apply", project.namespace));
    let kept = ["render", "staging", "--show-secrets", "-o", "json", "--report", "out"];
    project.windlass(&kept).exits(2).says("--report would store the values");
}

#[test]
fn a_job_that_cannot_come_to_run_stands_in_nobodys_way() {
    let manifests = job("migrate", "true", "").replace("/busybox", "/busybox:nope");
    let project = Project::bare_on("lab-real", "plan-job-stuck", "", &manifests);
    project.windlass(&["release", "staging"]).exits(31).says("image-not-found");
    project.edit(".kube/app.yaml", "/busybox:nope", "/busybox");
    project.commit("an image that exists");
    project.windlass(&["release", "staging"]).exits(0).says("1 run");
}

/// What a definition refuses is known before anything is changed, once the definition is there.
#[test]
fn a_custom_resource_is_tried_by_the_definition_that_is_there() {
    let group = format!("t{}.example.com", std::process::id());
    let manifests = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\nspec:\n  \
         group: {group}\n  scope: Namespaced\n  names: {{plural: widgets, kind: Widget}}\n  versions:\n  - name: v1\n    \
         served: true\n    storage: true\n    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, \
         properties: {{size: {{type: integer}}}}}}}}}}}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: aa}}\n\
         data: {{A: \"1\"}}\n---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: 3}}\n"
    );
    let project = Project::bare("plan-widgets", "", &manifests);
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "\"1\"", "\"2\"");
    project.edit(".kube/app.yaml", "size: 3}", "sise: 3}");
    project.commit("a slip");
    project.windlass(&["plan", "staging"]).exits(3).says("sise");
    project.windlass(&["release", "staging"]).exits(3);
    assert_eq!(project.object("configmap/aa")["data"]["A"], "1", "nothing was changed");
    project.kubectl(&["delete", "crd", &format!("widgets.{group}")]);
}
