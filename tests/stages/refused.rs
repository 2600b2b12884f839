//! Attempts that change nothing are no releases, and a rollback shows what it would do before it does it.

use crate::bench::Project;
use crate::proxy::{KILLED, Upstream};

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: \"1\"}\n";

/// A database with its Service, on fake nodes.
fn database(service: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: db}}\nspec: {{{service}selector: {{app: db}}, ports: [{{port: 5432}}]}}\n---\n\
         apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  serviceName: db\n  selector: {{matchLabels: {{app: db}}}}\n  \
         template: {{metadata: {{labels: {{app: db}}}}, spec: {{containers: [{{name: db, image: busybox}}]}}}}\n"
    )
}

/// A good release of the settings, and one that adds the database.
fn released(test: &str, config: &str) -> Project {
    let project = Project::bare(test, "", SETTINGS);
    if !config.is_empty() {
        project.edit("windlass.yaml", "timeout: 1m", &format!("timeout: 1m{config}"));
        project.commit("the tier");
    }
    project.windlass(&["release", "staging"]).exits(0);
    project.write(".kube/db.yaml", &database(""));
    project.commit("a database");
    project.windlass(&["release", "staging"]).exits(0);
    project
}

fn revisions(project: &Project) -> Vec<String> {
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    let name = |line: &serde_json::Value| match line["revision"].as_u64() {
        Some(revision) => format!("{revision} {}", line["outcome"].as_str().unwrap()),
        None => format!("attempt {}", line["exit_code"]),
    };
    history.iter().map(name).collect()
}

#[test]
fn a_release_that_the_cluster_refuses_takes_nothing_away() {
    let project = released("refused", "");
    let uid = project.object("statefulset/db")["metadata"]["uid"].clone();
    project.write(".kube/db.yaml", &database("clusterIP: None, "));
    project.commit("headless");
    let refused = project.windlass(&["release", "staging", "-o", "json"]).exits(30);
    let finished = refused.finished();
    assert_eq!((&finished["changed"], &finished["still_runs"]), (&false.into(), &2.into()), "{refused}");
    assert!(finished.get("revision").is_none() && finished.get("next").is_none(), "{refused}");
    let refused = project.windlass(&["release", "staging"]).exits(30);
    let refused = refused.says("nothing was changed: release 2 still runs");
    assert!(!refused.stderr.contains("windlass rollback"), "{refused}");
    assert_eq!(revisions(&project), ["attempt 30", "attempt 30", "2 good", "1 good"]);
    project.windlass(&["history", "staging"]).exits(0).says("nothing was changed: .kube/db.yaml:");
    project.windlass(&["status", "staging"]).exits(0).says("the last attempt changed nothing");

    for _ in 0..2 {
        let back = project.windlass(&["rollback", "staging", "-o", "json"]).exits(0);
        let back =
            back.says("nothing was rolled back: release 2 is good and runs; to go back further: --to 1");
        assert_eq!((&back.finished()["changed"], &back.finished()["revision"]), (&false.into(), &2.into()));
    }
    project
        .windlass(&["rollback", "staging", "--dry-run"])
        .exits(0)
        .says("nothing was rolled back: release 2");
    assert_eq!(project.object("statefulset/db")["metadata"]["uid"], uid);

    project.git(&["revert", "--no-edit", "HEAD"]);
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(revisions(&project)[0], "3 good");
    assert_eq!(project.object("statefulset/db")["metadata"]["uid"], uid);
    // What is good since then is what a rollback leads back from.
    project.edit(".kube/app.yaml", "\"1\"", "\"2\"");
    project.commit("another value");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["rollback", "staging"]).exits(0).says("rollback 5: back to ");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
}

#[test]
fn whatever_refuses_an_attempt_the_good_release_stays() {
    let project = released("refusals", ", branches: [main]");
    let unchanged = || {
        let back = project.windlass(&["rollback", "staging"]).exits(0);
        back.says("nothing was rolled back: release 2 is good and runs");
    };
    project.write(".kube/app.yaml", "kind: [");
    project.commit("no YAML");
    project.windlass(&["release", "staging"]).exits(3).says("nothing was changed: release 2 still runs");
    unchanged();
    project.git(&["revert", "--no-edit", "HEAD"]);
    project.git(&["checkout", "-q", "-b", "feature"]);
    project.windlass(&["release", "staging"]).exits(34).says("nothing was changed: release 2 still runs");
    project.windlass(&["pipeline", "staging"]).exits(34).says("nothing was changed: release 2 still runs");
    unchanged();
    project.git(&["checkout", "-q", "main"]);
    project.windlass(&["lock", "staging", "--message", "not now"]).exits(0);
    project.windlass(&["release", "staging"]).exits(33).says("nothing was changed: release 2 still runs");
    project.windlass(&["unlock", "staging", "--yes"]).exits(0);
    unchanged();
    assert_eq!(revisions(&project)[..4], ["attempt 33", "attempt 34", "attempt 34", "attempt 3"]);
    // A person who wants to go back all the same names the release.
    project.windlass(&["rollback", "staging", "--to", "1", "--yes"]).exits(0);
    assert!(project.object("statefulset/db").is_null());
}

#[test]
fn what_is_refused_at_its_first_object_is_withdrawn() {
    let project = released("withdrawn", "");
    let secrets = project.kubectl(&["get", "secrets", "-o", "name"]).lines().count();
    // The trial of the Secret passes; then the record of the release takes the last place.
    let hard = format!("count/secrets={}", secrets + 1);
    project.kubectl(&["create", "quota", "few", &format!("--hard={hard}")]);
    // With a value: without one, older clients refuse it.
    let enforced = format!("--for=jsonpath={{.status.hard.count/secrets}}={}", secrets + 1);
    project.kubectl(&["wait", "quota/few", &enforced, "--timeout=30s"]);
    let extra = "apiVersion: v1\nkind: Secret\nmetadata: {name: extra}\nstringData: {A: abcdefgh}\n";
    project.write(".kube/extra.yaml", extra);
    project.commit("a secret");
    let refused = project.windlass(&["release", "staging"]).exits(30);
    refused.says("exceeds the quota few").says("nothing was changed: release 2 still runs");
    assert_eq!(revisions(&project), ["attempt 30", "2 good", "1 good"]);
    assert_eq!(project.kubectl(&["get", "secrets", "-o", "name"]).lines().count(), secrets);
    project.kubectl(&["delete", "quota", "few"]);
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(revisions(&project)[0], "3 good");
}

#[test]
fn a_release_killed_before_its_first_change_takes_nothing_away() {
    let project = released("killed-early", "");
    project.edit(".kube/app.yaml", "\"1\"", "\"2\"");
    project.commit("another value");
    let upstream = Upstream::start("lab-fake");
    let killed_at = |method: &'static str, what: String| {
        let release = project.command(&project.path(), &["release", "staging"]);
        let fits = move |_, line: &str| line.starts_with(method) && line.contains(&what);
        let (dead, _) = upstream.kill_where("lab-fake", release, fits);
        assert_eq!(dead.code, KILLED, "{dead}");
        let unchanged = "nothing was rolled back: release 2 is good and runs; to go back further: --to 1";
        for arguments in [&["--dry-run"][..], &[], &[]] {
            project.windlass(&[&["rollback", "staging"], arguments].concat()).exits(0).says("nothing");
        }
        project.windlass(&["rollback", "staging"]).exits(0).says(unchanged);
        assert!(!project.object("statefulset/db").is_null());
        assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
    };
    // While it plans: only its lock tells.
    killed_at("GET", format!("/secrets/windlass.{}.staging.2", project.name));
    assert_eq!(revisions(&project)[0], "attempt 137");
    // The line in the history is written, and nothing after it.
    killed_at("PATCH", format!("/configmaps/windlass.{}.staging?", project.name));
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("configmap/settings")["data"]["A"], "2");
}

#[test]
fn a_rollback_shows_what_it_deletes_and_asks() {
    let project = released("shows", "");
    let first = project.git(&["rev-parse", "HEAD~1"])[..8].to_owned();
    let shown = project.windlass(&["rollback", "staging", "--dry-run"]).exits(0);
    let shown = shown.says(&format!("back to {first}, release 1")).says("- prune    StatefulSet/db");
    assert!(!shown.stdout.is_empty(), "it is an answer: {shown}");
    let json = project.windlass(&["rollback", "staging", "--dry-run", "-o", "json"]).exits(0).events();
    assert_eq!((json.len(), &json[0]["rolled_back_to"], &json[0]["changes"]), (1, &1.into(), &true.into()));
    let refused = project.windlass(&["rollback", "staging"]).exits(34);
    refused.says("rolling back to release 1 deletes StatefulSet/db").says("--yes");
    assert!(!project.object("statefulset/db").is_null());
    assert_eq!(revisions(&project), ["2 good", "1 good"]);
    let back = project.windlass(&["rollback", "staging", "--yes"]).exits(0);
    back.says(&format!("revision 3, back to {first}, release 1"));
    assert!(project.object("statefulset/db").is_null());
}

#[test]
fn an_automatic_rollback_deletes_no_stateful_set() {
    let verify = ", rollback: auto, verify: {http: \"http://127.0.0.1:9/\", for: 1s}";
    let project = Project::bare("auto-data", "", SETTINGS);
    project.windlass(&["release", "staging"]).exits(0);
    project.edit("windlass.yaml", "timeout: 1m", &format!("timeout: 1m{verify}"));
    project.edit(".kube/app.yaml", "\"1\"", "\"2\"");
    project.write(".kube/db.yaml", &database(""));
    project.commit("a database");
    let failed = project.windlass(&["release", "staging"]).exits(35);
    failed.says("StatefulSet/db was not rolled back: that would delete it");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
    assert!(!project.object("statefulset/db").is_null());
    // It is still the tier's: the next release without it deletes it.
    project.git(&["rm", "-q", ".kube/db.yaml"]);
    project.edit("windlass.yaml", verify, "");
    project.commit("no database");
    project.windlass(&["release", "staging"]).exits(0);
    assert!(project.object("statefulset/db").is_null());
}

#[test]
fn a_rollback_grants_no_rights_by_itself() {
    let role = |verbs: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: web}}\nrules: [{{apiGroups: [\"\"], resources: [pods], verbs: [{verbs}]}}]\n---\n{SETTINGS}"
        )
    };
    let project = Project::bare("rights-back", "", &role("get, delete"));
    project.windlass(&["release", "staging"]).exits(0);
    project.write(".kube/app.yaml", &role("get").replace("\"1\"", "\"2\""));
    project.commit("fewer rights");
    project.windlass(&["release", "staging"]).exits(0);
    let back = project.windlass(&["rollback", "staging"]).exits(0);
    let back = back.says("Role/web differs from release 1 and was not changed, because it grants rights");
    back.says("--allow Role/web");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
    assert_eq!(project.object("role/web")["rules"][0]["verbs"], serde_json::json!(["get"]));
    project.windlass(&["rollback", "staging"]).exits(0).says("already the rollback of 2 to 1");
    project.windlass(&["rollback", "staging", "--to", "1", "--allow", "role/web"]).exits(0);
    assert_eq!(project.object("role/web")["rules"][0]["verbs"], serde_json::json!(["get", "delete"]));
}

#[test]
fn records_of_a_newer_windlass_are_neither_read_nor_rewritten() {
    let project = released("newer", "");
    let history = format!("configmap/windlass.{}.staging", project.name);
    project.kubectl(&[
        "annotate",
        "--overwrite",
        &history,
        "windlass.dev/format=99",
        "windlass.dev/version=9.9.9",
    ]);
    let before = project.object(&history);
    project.edit(".kube/app.yaml", "\"1\"", "\"2\"");
    project.commit("another value");
    for command in [
        &["release"][..],
        &["rollback"],
        &["status"],
        &["history"],
        &["plan"],
        &["remove", "--confirm", "staging"],
    ] {
        let arguments = [&command[..1], &["staging"], &command[1..]].concat();
        project.windlass(&arguments).exits(3).says("written by windlass 9.9.9");
    }
    assert_eq!(
        project.object(&history)["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");
}
