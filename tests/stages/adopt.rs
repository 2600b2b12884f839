//! Taking over what runs already: the shop from a real Helm release and from `kubectl apply`, without a pod restart.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::bench::{Project, Run, lab, text};
use crate::proxy::{Upstream, was_killed};

/// The shop's manifests as somebody has them who does not know windlass.
pub(crate) fn plain_manifests(project: &Project) -> String {
    project.windlass(&["pipeline"]).exits(0);
    let rendered = project.windlass(&["render", "staging", "--show-secrets"]).exits(0).stdout;
    let ours = |line: &&str| !line.contains("windlass.dev/") && !line.contains("managed-by: windlass");
    rendered.lines().filter(ours).collect::<Vec<_>>().join("\n") + "\n"
}

pub(crate) fn pods(project: &Project) -> Vec<String> {
    let listed = project.kubectl(&["get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.uid} {end}"]);
    let mut uids: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
    uids.sort();
    uids
}

pub(crate) fn wait_for_the_shop(project: &Project) {
    project.kubectl(&["rollout", "status", "deployment/web", "--timeout=180s"]);
    project.kubectl(&["wait", "--for=condition=complete", "job/migrate", "--timeout=120s"]);
}

/// Adopts the shop that runs, releases it, and goes back to what was adopted.
fn adopt_and_go_on(project: &Project, owner: &str, manager: &str) {
    let before = pods(project);
    let spec = project.object("deployment/web")["spec"].clone();
    // A release says what it would come upon.
    let planned = project.windlass(&["plan", "staging"]);
    assert!(planned.stderr.contains("windlass adopt"), "{planned}");

    let shown = project.windlass(&["adopt", "staging", "--dry-run"]).exits(0).says(owner);
    assert!(shown.stdout.contains("would be taken over"), "{shown}");
    assert_eq!(project.windlass(&["history", "staging", "-o", "json"]).stdout.lines().count(), 0);

    project.windlass(&["adopt", "staging"]).exits(0).says("release 0 is the state as it is");
    assert_eq!(pods(project), before, "no pod was restarted");
    let web = project.object("deployment/web");
    assert_eq!(web["spec"], spec);
    let fields = project.kubectl(&["get", "deployment/web", "-o", "json", "--show-managed-fields"]);
    assert!(!fields.contains(&format!("\"manager\": \"{manager}\"")), "{fields}");
    assert!(!fields.contains("last-applied-configuration"), "{fields}");
    project.windlass(&["adopt", "staging"]).exits(0).says("there is nothing to take over");
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!((history[0]["revision"].as_u64(), history[0]["kind"].as_str()), (Some(0), Some("adoption")));

    project.windlass(&["release", "staging"]).exits(0).says("release 1");
    let released = project.object("deployment/web");
    assert_eq!(released["metadata"]["labels"]["app.kubernetes.io/managed-by"], "windlass");
    assert!(released["metadata"]["annotations"].get("meta.helm.sh/release-name").is_none(), "{released}");
    project.windlass(&["rollback", "staging"]).exits(0).says("back to release 0");
    let back = project.object("deployment/web");
    assert_eq!(back["spec"], web["spec"], "as it was adopted");
    project.answer("Welcome to the shop");
}

#[test]
fn a_helm_release_is_taken_over_without_a_pod_restart() {
    let project = Project::shop("adopt-helm");
    let chart = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(chart.path().join(file), text).unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    write("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n");
    write("templates/all.yaml", &plain_manifests(&project));
    let helm = format!("{}/helm", lab("LAB_TOOLS"));
    let context = ["--kube-context", "lab-real", "-n", &project.namespace];
    let install = ["install", "the-shop", ".", "--create-namespace"];
    text(Command::new(helm).current_dir(chart.path()).args(install).args(context));
    wait_for_the_shop(&project);
    adopt_and_go_on(&project, "of Helm release the-shop", "helm");
}

#[test]
fn what_kubectl_applied_is_taken_over_without_a_pod_restart() {
    let project = Project::shop("adopt-kubectl");
    project.kubectl(&["create", "namespace", &project.namespace]);
    let manifests = plain_manifests(&project);
    project.pipe_to_kubectl(&manifests, &["apply", "-f", "-"]).exits(0);
    wait_for_the_shop(&project);
    adopt_and_go_on(&project, "of kubectl apply", "kubectl-client-side-apply");
}

const MANIFESTS: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {A: "1"}
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
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: registry.test/web, readinessProbe: {tcpSocket: {port: 80}}}]
"#;

/// What kubectl applied to the namespace of fake nodes.
fn applied(test: &str) -> Project {
    let project = Project::bare(test, "", MANIFESTS);
    project.kubectl(&["create", "namespace", &project.namespace]);
    project.pipe_to_kubectl(MANIFESTS, &["apply", "-f", "-"]).exits(0);
    project
}

#[test]
fn an_adoption_killed_anywhere_is_said_again() {
    let upstream = Upstream::start("lab-fake");
    let adopt = |project: &Project, n: usize| -> (Run, usize) {
        upstream.kill_at("lab-fake", n, project.command(&project.path(), &["adopt", "staging"]))
    };
    let (whole, requests) = adopt(&applied("adopt-whole"), usize::MAX);
    whole.exits(0);
    assert!(requests > 12, "{requests}");
    let killed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in (1..=requests).step_by(3) {
            let (adopt, killed) = (&adopt, &killed);
            scope.spawn(move || {
                let project = applied(&format!("adopt-{n}"));
                let (dead, requests) = adopt(&project, n);
                killed.fetch_add(usize::from(was_killed(&dead, requests, n)), Ordering::SeqCst);
                let again = project.windlass(&["adopt", "staging", "--wait-lock", "60s"]);
                assert_eq!(again.code, 0, "killed at request {n}: {dead}\nthen: {again}");
                let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
                let ended: Vec<&Value> = history.iter().map(|one| &one["outcome"]).collect();
                assert_eq!(ended, ["good"], "killed at request {n}: {dead}\nthen: {again}");
                let plan = project.windlass(&["plan", "staging", "-o", "json"]).exits(0);
                assert!(
                    !plan.stderr.contains("windlass adopt"),
                    "killed at request {n}: {dead}\nthen: {plan}"
                );
            });
        }
    });
    assert!(killed.into_inner() > requests / 4, "of {requests} requests");
}

#[test]
fn what_is_another_projects_is_not_taken() {
    let project = applied("adopt-other");
    project.kubectl(&["label", "service/web", "windlass.dev/project=blog", "windlass.dev/tier=staging"]);
    let refused = project.windlass(&["adopt", "staging"]).exits(34);
    refused.says("Service/web is managed by windlass project blog, tier staging");
    assert_eq!(project.kubectl(&["get", "leases,secrets", "-o", "name"]).trim(), "", "nothing was written");
}

/// A project of two tiers in one namespace: `staging` and `other`.
fn two_tiers(test: &str, manifests: &str) -> Project {
    let project = Project::bare(test, "", manifests);
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    let other = format!("  other: {{context: lab-fake, namespace: {}}}\n", project.namespace);
    project.write("windlass.yaml", &(config + &other));
    project.commit("a second tier in the same namespace");
    project
}

#[test]
fn what_another_tier_released_is_not_taken_by_a_release() {
    let project = two_tiers("two-tiers", MANIFESTS);
    project.windlass(&["release", "staging"]).exits(0);
    let before = project.object("configmap/settings");
    let refused = project.windlass(&["release", "other", "-o", "json"]).exits(30);
    let causes = refused.finished()["causes"].clone();
    assert_eq!((causes.as_array().unwrap().len(), &causes[0]["cause"]), (3, &"conflict".into()), "{refused}");
    let tier = format!("managed by windlass project {}, tier staging", project.name);
    assert!(causes[0]["message"].as_str().unwrap().contains(&tier), "{refused}");
    assert_eq!(project.object("configmap/settings"), before, "nothing was changed");
    project.windlass(&["plan", "other"]).exits(30);
}

#[test]
fn what_tiers_share_outside_of_namespaces_they_may_share() {
    let name = format!("t-shared-{}", std::process::id());
    let class = format!(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: {name}}}\nvalue: 5\n"
    );
    let project = Project::bare("shared", "  other: {context: lab-fake, namespace: default}\n", &class);
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["release", "other"]).exits(0).says("tier staging");
    // Whoever goes first leaves it to the other.
    let removed = project.windlass(&["remove", "other", "--confirm", "other"]).exits(0);
    removed.says("another tier of the project released it as well");
    assert!(!project.object(&format!("priorityclass/{name}")).is_null());
    project.windlass(&["release", "staging"]).exits(0);
    project.kubectl(&["delete", "priorityclass", &name]);
}

#[test]
fn to_be_made_anew_is_no_leave_to_take_what_is_anothers() {
    let manifests = MANIFESTS
        .replace("metadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}", "metadata: {name: web, annotations: {windlass.dev/recreate: allowed}}\nspec:\n  selector: {matchLabels: {app: web, tier: \"${WINDLASS_TIER}\"}}")
        .replace("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: \"${WINDLASS_TIER}\"}}");
    let project = two_tiers("two-anew", &manifests);
    project.windlass(&["release", "staging"]).exits(0);
    let uid = project.object("deployment/web")["metadata"]["uid"].clone();
    project.windlass(&["release", "other"]).exits(30);
    assert_eq!(project.object("deployment/web")["metadata"]["uid"], uid);
}

#[test]
fn values_that_were_given_as_plain_text_come_back_too() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: \"first\"}\n";
    let project = Project::bare("adopt-plain", "", secret);
    project.kubectl(&["create", "namespace", &project.namespace]);
    let apply = ["apply", "--server-side", "--field-manager=helm", "-f", "-"];
    project.pipe_to_kubectl(secret, &apply).exits(0);
    let data = project.object("secret/db")["data"].clone();
    project.windlass(&["adopt", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "first", "second");
    project.commit("another password");
    project.windlass(&["release", "staging"]).exits(0);
    assert_ne!(project.object("secret/db")["data"], data);
    project.windlass(&["rollback", "staging"]).exits(0);
    assert_eq!(project.object("secret/db")["data"], data);
}
