//! What is kept of releases, for how long, and who may read it.

use std::process::Command;

use crate::bench::{Project, text};

/// A project without images: its ConfigMap says which version it is.
fn project(test: &str) -> Project {
    let project = Project::small(
        test,
        "",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: \"0\"}\n",
    );
    project.git(&["rm", "-q", "-f", "Dockerfile"]);
    project.edit("windlass.yaml", "images: {app: {context: ., args: {BASE: \"${BASE}\"}}}", "images: {}");
    project.commit("no images");
    project
}

fn record_secrets(project: &Project) -> Vec<String> {
    let selector = format!("windlass.dev/record-of-project={}", project.name);
    let shown = project.kubectl(&["get", "secrets", "-l", &selector, "-o", "name"]);
    let is_record = |name: &&str| !name.ends_with(".key");
    shown.lines().filter(is_record).map(|name| name.rsplit('.').next().unwrap().to_owned()).collect()
}

#[test]
fn after_twelve_releases_it_is_known_what_ran_when_and_who_released_it() {
    let mut project = project("audit");
    let mut commits = Vec::new();
    for version in 1..=12 {
        project.edit(".kube/app.yaml", &format!("\"{}\"", version - 1), &format!("\"{version}\""));
        project.commit(&format!("version {version}"));
        commits.push(project.git(&["rev-parse", "HEAD"]).trim().to_owned());
        project.set("GITLAB_USER_LOGIN", if version == 5 { "eve" } else { "ann" });
        project.set("GITLAB_CI", "true");
        project.windlass(&["release", "staging"]).exits(0);
        if version == 5 {
            // The API server tells the time in whole seconds.
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
    }
    let mut kept: Vec<u32> =
        record_secrets(&project).iter().map(|revision| revision.parse().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, (3..=12).collect::<Vec<_>>(), "the last ten full sets");
    let all = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(all.len(), 12, "and every line");
    assert_eq!(all[0]["commit"], commits[11].as_str());
    assert_eq!(all[7]["by"], "eve");

    let when = all[7]["finished"].as_str().unwrap();
    let then = project.windlass(&["history", "staging", "--at", when, "-o", "json"]).exits(0).events();
    assert_eq!(
        (then.len(), then[0]["revision"].as_u64(), then[0]["then"].as_str()),
        (1, Some(5), Some("ran"))
    );
    project.windlass(&["history", "staging", "--at", when]).exits(0).says("eve").says(&commits[4][..8]);
    project.windlass(&["history", "staging", "--at", "2020-01-01T00:00Z"]).exits(0);
    project.windlass(&["rollback", "staging", "--to", "2"]).exits(34).says("no longer recorded");

    // A release of the same again is on record, and pushes no other set out.
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0);
    let mut kept = record_secrets(&project);
    kept.sort();
    assert!(kept.contains(&"3".to_owned()) && kept.len() <= 11, "{kept:?}");

    without_the_right_to_read_secrets(&project);
}

/// As somebody who may read ConfigMaps and nothing else.
fn without_the_right_to_read_secrets(project: &Project) {
    let namespace = &project.namespace;
    project.kubectl(&["create", "serviceaccount", "reader"]);
    project.kubectl(&["create", "role", "reader", "--verb=get", "--resource=configmaps"]);
    project.kubectl(&[
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        &format!("--serviceaccount={namespace}:reader"),
    ]);
    let token = project.kubectl(&["create", "token", "reader"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    std::fs::copy(crate::bench::lab("KUBECONFIG"), &file).unwrap();
    let kubectl = |arguments: &[&str]| {
        text(Command::new("kubectl").env("KUBECONFIG", &file).args(["config"]).args(arguments))
    };
    let cluster = kubectl(&["view", "-o", "jsonpath={.contexts[?(@.name==\"lab-real\")].context.cluster}"]);
    kubectl(&["set-credentials", "reader", &format!("--token={}", token.trim())]);
    kubectl(&["set-context", "reader", &format!("--cluster={}", cluster.trim()), "--user=reader"]);
    let mut command = project.command(
        directory.path(),
        &["history", "staging", "--project", &project.name, "--context", "reader", "--namespace", namespace],
    );
    let read =
        crate::bench::run(&command.env("KUBECONFIG", &file).output().unwrap(), std::time::Duration::ZERO);
    read.exits(0).says("eve");
}

#[test]
fn a_set_of_more_than_a_secret_holds_is_kept_and_comes_back() {
    let project = project("large");
    let noise = |bytes: usize| {
        let mut random = vec![0; bytes];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        random.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    // Two hexadecimal digits are one byte of noise: three maps of 450 KiB, 1.3 MiB that do not compress.
    let write = || {
        let maps: String = (0..3)
            .map(|map| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: noise-{map}}}\ndata: {{A: \"{}\"}}\n", noise(450 * 1024)))
            .collect();
        project.write(".kube/app.yaml", &maps);
        project.commit("noise");
    };
    write();
    project.windlass(&["release", "staging"]).exits(0);
    let before = project.object("configmap/noise-2")["data"].clone();
    assert!(record_secrets(&project).len() >= 2, "{:?}", record_secrets(&project));
    write();
    project.windlass(&["release", "staging"]).exits(0);
    assert_ne!(project.object("configmap/noise-2")["data"], before);
    project.windlass(&["rollback", "staging"]).exits(0);
    assert_eq!(project.object("configmap/noise-2")["data"], before);
}

#[test]
fn status_says_what_was_changed_by_hand_and_whether_a_rollback_could_be() {
    let manifests = |value: &str, job: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{A: \"{value}\"}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: other}}\n{job}"
        )
    };
    let project = Project::bare("drift", "", &manifests("1", ""));
    project.windlass(&["status", "staging"]).exits(0).says("nothing was released here yet");
    project.windlass(&["release", "staging"]).exits(0);
    let job = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {windlass.dev/rollback: refuse}}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: busybox}]}}}\n";
    project.write(".kube/app.yaml", &manifests("2", job));
    project.commit("second");
    project.windlass(&["release", "staging"]).exits(0);
    let status = || project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0);
    let fresh = status();
    assert_eq!(
        (fresh["ready"].as_bool(), fresh["drift"].to_string().as_str()),
        (Some(true), "[]"),
        "{fresh}"
    );
    let rollback = &fresh["rollback"];
    assert_eq!((rollback["to"].as_u64(), rollback["ready"].as_bool()), (Some(1), Some(false)), "{fresh}");
    assert_eq!(rollback["jobs"][0]["refuses"], true, "{fresh}");
    project.windlass(&["status", "staging"]).exits(0).says("Job/migrate of release 2 ran in between");

    project.kubectl(&["patch", "configmap", "settings", "--type=merge", "-p", "{\"data\":{\"A\":\"mine\"}}"]);
    project.kubectl(&["delete", "configmap", "other"]);
    let drifted = status();
    let of = |name: &str| {
        let all = drifted["drift"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{drifted}")).clone()
    };
    assert_eq!(of("settings")["fields"][0]["live"], "mine");
    assert_eq!(of("settings")["fields"][0]["released"], "2");
    assert_eq!((of("other")["gone"].as_bool(), drifted["ready"].as_bool()), (Some(true), Some(false)));
    project.windlass(&["status", "staging"]).exits(0).says("ConfigMap/settings was changed by kubectl-patch");
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(status()["drift"].to_string(), "[]");
}

#[test]
fn what_no_commit_has_is_on_record_as_such() {
    let project = project("dirty");
    project.windlass(&["release", "staging"]).exits(0);
    let clean = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(clean[0]["dirty"], false);
    project.edit(".kube/app.yaml", "\"0\"", "\"7\"");
    project.windlass(&["release", "staging"]).exits(0);
    let commit = project.git(&["rev-parse", "HEAD"]).trim()[..8].to_owned();
    project.windlass(&["history", "staging"]).exits(0).says(&format!("{commit}-dirty"));
    project.windlass(&["status", "staging"]).exits(0).says(&format!("{commit}-dirty"));
}
