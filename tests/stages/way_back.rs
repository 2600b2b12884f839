//! The way back: by itself, by hand, from anywhere, out of whatever a bad release left.

use std::process::Command;

use crate::bench::{Project, Run, text};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"1000000\"]\n";

/// A Deployment that runs this shell line, and whatever else is given.
fn manifests(line: &str, rest: &str) -> String {
    format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {{name: web, image: app, command: [sh, -c, "{line}"], envFrom: [{{configMapRef: {{name: outside, optional: false}}}}]}}
{rest}"#
    )
}

const GOOD: &str = "sleep 1000000";
const BAD: &str = "echo no ledger; exit 3";

/// A project with a good release; its tier has this key, too.
fn released(test: &str, key: &str, rest: &str) -> Project {
    let project = Project::small(test, DOCKERFILE, &manifests(GOOD, rest));
    project.edit("windlass.yaml", "timeout: 3m", &format!("timeout: 3m{key}"));
    if !key.is_empty() {
        project.commit("the tier");
    }
    text(Command::new("kubectl").args(["--context", "lab-real", "create", "namespace", &project.namespace]));
    project.kubectl(&["create", "configmap", "outside", "--from-literal=A=1"]);
    project.windlass(&["pipeline", "staging"]).exits(0);
    project
}

/// Commits different manifests and releases them.
fn release(project: &Project, line: &str, rest: &str) -> Run {
    project.write(".kube/app.yaml", &manifests(line, rest));
    project.commit("different manifests");
    project.windlass(&["pipeline", "staging", "-o", "json"])
}

fn command_of_web(project: &Project) -> String {
    project.object("deployment/web")["spec"]["template"]["spec"]["containers"][0]["command"].to_string()
}

fn job(name: &str, note: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{{note}}}}}\nspec:\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers: [{{name: a, image: app, command: [\"true\"]}}]\n"
    )
}

#[test]
fn a_failed_release_is_rolled_back_by_itself_where_the_tier_says_so() {
    let project = released("auto", ", rollback: auto", "");
    let failed = release(&project, BAD, "").exits(35);
    let finished = failed.finished();
    assert_eq!(finished["outcome"], "failed", "{failed}");
    assert_eq!((finished["revision"].as_u64(), finished["rolled_back_to"].as_u64()), (Some(2), Some(1)));
    assert_eq!(finished["stage"], "release", "{failed}");
    assert_eq!(finished["causes"][0]["cause"], "exit-code", "{failed}");
    assert!(finished["causes"][0]["evidence"].to_string().contains("no ledger"), "{failed}");
    assert_eq!(failed.stages().last().unwrap(), "rollback ok");
    assert!(command_of_web(&project).contains(GOOD));
    let history = project.windlass(&["history", "staging"]).exits(0).says("automatic rollback of 2 to 1");
    assert!(history.stdout.contains("exit-code"), "the cause is kept: {history}");

    project.windlass(&["release", "staging"]).exits(34).says("release 2 (same content) was rolled back on ");
    project.windlass(&["rollback", "staging"]).exits(0).says("release 3 is already the rollback of 2 to 1");
    let forced = ["release", "staging", "--override", "rolled-back", "--reason", "INC-7"];
    project.windlass(&forced).exits(35);
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(history[1]["overrides"][0]["reason"], "INC-7", "{history:?}");
}

#[test]
fn a_failed_release_names_what_it_did_not_reach() {
    let project = released("untouched", "", "");
    let failing = job("migrate", "").replace("spec:\n  template", "spec:\n  backoffLimit: 0\n  template");
    let failing = failing.replace("\"true\"", "\"false\"");
    let failed = release(&project, "echo 2; sleep 1000000", &failing).exits(31);
    let finished = failed.finished();
    assert_eq!(finished["untouched"], serde_json::json!(["Deployment/web"]), "{failed}");
    assert_eq!((&finished["still_runs"], &finished["changed"]), (&1.into(), &true.into()), "{failed}");
    let failed = project.windlass(&["release", "staging"]).exits(31);
    failed.says("nothing was rolled back; web untouched, still release 1").says("windlass rollback staging");
    assert!(command_of_web(&project).contains(GOOD));
}

#[test]
fn the_first_release_has_nothing_to_go_back_to() {
    let project = Project::small("auto-first", DOCKERFILE, &manifests(BAD, ""));
    project.edit("windlass.yaml", "timeout: 3m", "timeout: 3m, rollback: auto");
    project.edit(".kube/app.yaml", "optional: false", "optional: true");
    project.commit("auto");
    project.windlass(&["pipeline", "staging"]).exits(31).says("not rolled back");
}

#[test]
fn a_rollback_that_fails_too_says_both() {
    let project = released("auto-fails", ", rollback: auto", "");
    project.kubectl(&["delete", "configmap", "outside"]);
    project.write(".kube/app.yaml", &manifests(BAD, "").replace("optional: false", "optional: true"));
    project.commit("bad");
    let failed = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(40);
    let causes = failed.finished()["causes"].clone();
    assert_eq!(causes[0]["cause"], "exit-code", "{failed}");
    assert_eq!(causes[1]["cause"], "config-missing", "{failed}");
    assert!(causes[1]["message"].as_str().unwrap().starts_with("in the rollback to 1: "), "{failed}");
}

#[test]
fn what_a_job_did_that_refuses_rollback_is_said_first() {
    let rest = job("migrate", "");
    let project = released("refuse", ", rollback: auto", &rest);
    let refusing = job("migrate", "windlass.dev/rollback: refuse");
    let failed = release(&project, BAD, &refusing).exits(31);
    let failed = failed.says("not rolled back: Job/migrate ran, and it has windlass.dev/rollback: refuse");
    assert_eq!(failed.stages().last().unwrap(), "release failed");
    let refused = project.windlass(&["rollback", "staging"]).exits(34).says("its effects remain");
    refused.says("--yes");
    assert!(command_of_web(&project).contains("no ledger"), "a refused rollback changes nothing");
    // Also a release later, for which the Job had nothing to do.
    let again = release(&project, "echo still no ledger; exit 4", &refusing).exits(31);
    again.says("not rolled back: Job/migrate ran");
    let uid = project.object("job/migrate")["metadata"]["uid"].clone();
    // Nor as GitLab's own Rollback, which runs the old job again.
    project.git(&["checkout", "-q", "HEAD~2"]);
    project.windlass(&["release", "staging"]).exits(34).says("its effects remain");
    project.windlass(&["rollback", "staging", "--yes"]).exits(0).says("its effects remain");
    assert!(command_of_web(&project).contains(GOOD));
    assert_eq!(project.object("job/migrate")["metadata"]["uid"], uid, "no Job runs");
}

#[test]
fn a_rollback_says_what_it_changes_takes_away_what_came_and_leads_where_it_is_told() {
    let settings = |value| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{A: \"{value}\"}}\n"
        )
    };
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: new}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n";
    let project = released("details", "", &settings(1));
    release(&project, GOOD, &settings(2)).exits(0);
    let added = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: added}\n".to_owned() + claim;
    release(&project, GOOD, &(settings(3) + &added + &job("added", ""))).exits(0);
    assert!(!project.object("configmap/added").is_null());

    let back = project.windlass(&["rollback", "staging"]).exits(0);
    for line in ["~ change   ConfigMap/settings", "- prune    ConfigMap/added", "- prune    Job/added"] {
        assert!(back.stderr.contains(line), "{line}: {back}");
    }
    let shown = back.stderr.find("~ change").unwrap();
    assert!(shown < back.stderr.find("apply settings").unwrap(), "first said, then done: {back}");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "2");
    assert!(project.object("configmap/added").is_null() && project.object("job/added").is_null());
    assert!(!project.object("pvc/new").is_null(), "no claim is touched");

    project
        .windlass(&["rollback", "staging", "--to", "2"])
        .exits(0)
        .says("release 4 is already the rollback of 3 to 2");
    project.windlass(&["rollback", "staging", "--to", "9"]).exits(3).says("there is no release 9");
    let elsewhere = tempfile::tempdir().unwrap();
    let place = ["--project", &project.name, "--context", "lab-real", "--namespace", &project.namespace];
    let arguments = [&["rollback", "staging", "--to", "1"][..], &place[..]].concat();
    project.windlass_in(elsewhere.path(), &arguments).exits(0);
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
}

#[test]
fn an_image_that_is_gone_is_known_before_anything_is_changed() {
    let project = released("gone", "", "");
    let image = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events()[0]["release"]["images"]["app"].clone();
    project.write("Dockerfile", &(DOCKERFILE.to_owned() + "ENV SECOND=1\n"));
    release(&project, BAD, "").exits(31);
    let digest = image.as_str().unwrap().split('@').nth(1).unwrap().to_owned();
    let address =
        format!("http://{}/v2/{}/app/manifests/{digest}", crate::bench::lab("LAB_REGISTRY"), project.name);
    text(Command::new("curl").args(["-sf", "-X", "DELETE", &address]));
    let refused = project.windlass(&["rollback", "staging"]).exits(34).says("is no longer in its registry");
    refused.says("--override images");
    assert!(command_of_web(&project).contains("no ledger"));
    let forced = ["rollback", "staging", "--override", "images", "--reason", "the node has it"];
    project.windlass(&forced).exits(0).says("is no longer in its registry");
}

#[test]
fn a_stateful_set_stuck_on_a_broken_pod_comes_back() {
    let set = |line: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  replicas: 2\n  serviceName: db\n  selector: {{matchLabels: {{app: db}}}}\n  \
             template:\n    metadata: {{labels: {{app: db}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n        - name: db\n          image: app\n          \
             # Never ready before it dies, however slow the machine is.\n          \
             readinessProbe: {{exec: {{command: [pidof, sleep]}}, periodSeconds: 1}}\n          \
             command: [sh, -c, \"{line}\"]\n"
        )
    };
    let project = Project::small("stuck", DOCKERFILE, &set(GOOD));
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.write(".kube/app.yaml", &set(BAD));
    project.commit("bad");
    project.windlass(&["pipeline", "staging"]).exits(31);
    let back = project.windlass(&["rollback", "staging"]).exits(0).says("deleted Pod/db-1");
    assert!(back.took.as_secs() < 60, "{:?}", back.took);
    let set_now = project.object("statefulset/db");
    assert_eq!(
        (set_now["status"]["readyReplicas"].as_i64(), set_now["status"]["updatedReplicas"].as_i64()),
        (Some(2), Some(2))
    );

    project.write(".kube/app.yaml", &set("echo still bad; exit 4"));
    project.commit("still bad");
    project.windlass(&["pipeline", "staging"]).exits(31);
    project.write(".kube/app.yaml", &set("echo fixed; sleep 1000000"));
    project.commit("fixed");
    project.windlass(&["pipeline", "staging"]).exits(0);
}

#[test]
fn a_stateful_set_that_broke_after_its_release_comes_back_too() {
    let set = |version: u32| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  replicas: 2\n  serviceName: db\n  selector: {{matchLabels: {{app: db}}}}\n  \
             template:\n    metadata: {{labels: {{app: db}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n        - name: db\n          image: app\n          \
             command: [sh, -c, \"touch /well; echo {version}; sleep 1000000\"]\n          \
             readinessProbe: {{exec: {{command: [cat, /well]}}, periodSeconds: 1, failureThreshold: 1}}\n"
        )
    };
    let project = Project::small("broke", DOCKERFILE, &set(1));
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.write(".kube/app.yaml", &set(2));
    project.commit("second");
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.kubectl(&["exec", "db-0", "--", "rm", "/well"]);
    let wait = ["wait", "--for=condition=Ready=false", "pod/db-0", "--timeout=30s"];
    project.kubectl(&wait);
    let back = project.windlass(&["rollback", "staging"]).exits(0).says("deleted Pod/db-0");
    assert!(back.took.as_secs() < 60, "{:?}", back.took);
}

#[test]
fn what_had_to_be_made_anew_goes_back_the_same_way() {
    let project = released("anew", "", "");
    let other = manifests(BAD, "").replace("app: web", "app: other");
    project.write(".kube/app.yaml", &other);
    project.commit("another selector");
    project.windlass(&["pipeline", "staging"]).exits(30).says("windlass.dev/recreate: allowed");
    let allowed = "{name: web, annotations: {windlass.dev/recreate: allowed}}";
    project.write(".kube/app.yaml", &other.replacen("{name: web}", allowed, 1));
    project.commit("allowed");
    project.windlass(&["pipeline", "staging"]).exits(31);
    project.windlass(&["rollback", "staging"]).exits(0);
    assert!(command_of_web(&project).contains(GOOD));
    assert_eq!(project.object("deployment/web")["spec"]["selector"]["matchLabels"]["app"], "web");
}

#[test]
fn what_takes_its_time_to_go_does_not_make_a_good_release_bad() {
    let held =
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/slow]}\n";
    let project = released("held", ", rollback: auto", held);
    let good = release(&project, "echo 2; sleep 1000000", "").exits(0);
    good.says("ConfigMap/held is still being deleted after 60 s");
    project.windlass(&["status", "staging"]).exits(0).says("(good)");
    project.kubectl(&[
        "patch",
        "configmap/held",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ]);
    project.windlass(&["release", "staging"]).exits(0);
}

#[test]
fn a_rollback_that_does_not_hold_is_made_again() {
    let set = |value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{A: \"{value}\"}}\n")
    };
    let project = Project::bare("holds", "", &set("1"));
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "\"1\"", "\"2\"");
    project.commit("another value");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["rollback", "staging"]).exits(0);
    project.windlass(&["rollback", "staging"]).exits(0).says("release 3 is already the rollback of 2 to 1");

    project.kubectl(&["patch", "configmap/settings", "--type=merge", "-p", r#"{"data":{"A":"9"}}"#]);
    project.windlass(&["rollback", "staging"]).exits(0).says("ConfigMap/settings was changed");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
    project.kubectl(&["delete", "configmap/settings"]);
    project.windlass(&["rollback", "staging", "--to", "1"]).exits(0).says("ConfigMap/settings was deleted");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
    // What was brought back is not what was rolled back from.
    project.edit(".kube/app.yaml", "\"2\"", "\"1\"");
    project.commit("the first value");
    project.windlass(&["release", "staging"]).exits(0);
}
