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
