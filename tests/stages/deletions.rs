//! A deletion is of the object that was seen: what somebody creates meanwhile under the same name stays.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::bench::{Project, run, text};
use crate::proxy::{Proxy, Upstream, Verdict};

const TWO: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: \"1\"}\n---\n\
                   apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {A: \"1\"}\n";

/// Runs windlass; right before its first deletion of `old` arrives, somebody else deletes and creates that.
fn replaced_meanwhile(project: &Project, arguments: &[&str]) -> crate::bench::Run {
    let (upstream, namespace) = (Upstream::start("lab-fake"), project.namespace.clone());
    let is_done = AtomicBool::new(false);
    let decide = move |_, line: &str| {
        let is_it = line.starts_with("DELETE") && line.contains("/configmaps/old");
        if is_it && !is_done.swap(true, Ordering::SeqCst) {
            for words in [&["delete"][..], &["create", "--from-literal=of=others"]] {
                let subject = ["configmap", "old"];
                let place = ["--context", "lab-fake", "-n", &namespace];
                text(Command::new("kubectl").args(place).arg(words[0]).args(subject).args(&words[1..]));
            }
        }
        Verdict::Pass
    };
    let proxy = Proxy::start(&upstream, "lab-fake", Arc::new(decide), Arc::new(|| {}));
    let mut command = project.command(&project.path(), arguments);
    run(&command.env("KUBECONFIG", proxy.kubeconfig()).output().unwrap(), Duration::ZERO)
}

#[test]
fn what_somebody_created_again_meanwhile_is_not_deleted() {
    let project = Project::bare("replaced", "", TWO);
    project.windlass(&["release", "staging"]).exits(0);
    let words = "ConfigMap/old was created again in the meantime: the new one was not deleted";
    project.write(".kube/app.yaml", TWO.split("---").next().unwrap());
    project.commit("one is enough");
    replaced_meanwhile(&project, &["release", "staging"]).exits(0).says(words);
    assert_eq!(project.object("configmap/old")["data"]["of"], "others");

    let project = Project::bare("replaced-too", "", TWO);
    project.windlass(&["release", "staging"]).exits(0);
    replaced_meanwhile(&project, &["remove", "staging", "--confirm", "staging", "--yes"]).exits(0);
    assert_eq!(project.object("configmap/old")["data"]["of"], "others");
    assert!(project.object("configmap/settings").is_null());
}

/// Runs `release staging` while that namespace is being deleted, which something holds up for a while.
fn released_while_deleted(project: &Project, namespace: &str) -> crate::bench::Run {
    let held = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: held, namespace: {namespace}, finalizers: [windlass.test/hold]}}\n"
    );
    project.pipe_to_kubectl(&held, &["create", "-n", namespace, "-f", "-"]).exits(0);
    project.kubectl(&["delete", "namespace", namespace, "--wait=false"]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(3));
            let free = r#"{"metadata":{"finalizers":null}}"#;
            project.kubectl(&["patch", "configmap", "held", "-n", namespace, "--type", "merge", "-p", free]);
        });
        project.windlass(&["release", "staging"])
    })
}

#[test]
fn a_namespace_that_is_being_deleted_is_waited_for() {
    let project = Project::bare("terminating", "", TWO);
    project.windlass(&["release", "staging"]).exits(0);
    let own = &project.namespace;
    released_while_deleted(&project, own)
        .exits(0)
        .says(&format!("the namespace `{own}` is terminating"))
        .says(&format!("`{own}` was deleted"));
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1");

    // One of the set, besides the tier's own.
    let beside = format!("{own}-beside");
    let there = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {beside}}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: there, namespace: {beside}}}\ndata: {{A: \"1\"}}\n"
    );
    project.write(".kube/beside.yaml", &there);
    project.commit("another namespace");
    project.windlass(&["release", "staging"]).exits(0);
    let released = released_while_deleted(&project, &beside);
    let found = project.kubectl(&["get", "configmap", "there", "-n", &beside, "-o", "name"]);
    project.kubectl(&["delete", "namespace", &beside, "--wait=false"]);
    released.exits(0).says(&format!("the namespace `{beside}` is terminating"));
    assert_eq!(found.trim(), "configmap/there");
}
