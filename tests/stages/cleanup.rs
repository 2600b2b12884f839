//! Registry tags that nothing needs any more go, and nothing else.

use std::process::Command;

use crate::bench::{Project, lab, text};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"1000000\"]\nCOPY version /\n";

/// Another version, built and tested, and what else is to be done with it.
fn version(project: &Project, number: u32, commands: &[&[&str]]) -> String {
    project.write("version", &number.to_string());
    project.commit(&format!("version {number}"));
    for command in [&[&["build"][..], &["test"]], commands].concat() {
        project.windlass(command).exits(0);
    }
    project.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

fn tags(project: &Project) -> Vec<String> {
    let address = format!("http://{}/v2/{}/app/tags/list", lab("LAB_REGISTRY"), project.name);
    let listed: serde_json::Value =
        serde_json::from_str(&text(Command::new("curl").args(["-sf", &address]))).unwrap();
    listed["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_nothing_needs_goes_and_nothing_else() {
    let manifests =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {IMAGE: \"${WINDLASS_IMAGE_APP}\"}\n";
    let manifests = manifests.replace(
        "metadata: {name: app}",
        "metadata: {name: app, annotations: {windlass.dev/substitute: \"on\"}}",
    );
    let mut project = Project::small("cleanup", DOCKERFILE, &manifests);
    project.on("lab-fake");
    let review = format!("{}-review", project.namespace);
    project.write(
        "windlass.yaml",
        &format!(
            "version: 1\nproject: {0}\nregistry: ${{REGISTRY}}\nimages: {{app: {{context: ., args: {{BASE: \"${{BASE}}\"}}}}}}\n\
             tests: {{unit: {{image: app, run: [\"true\"]}}}}\n\
             tiers:\n  staging: {{context: lab-fake, namespace: {0}}}\n  review/*: {{context: lab-fake, namespace: {review}}}\n",
            project.name
        ),
    );
    project.write(".dockerignore", ".git\n");
    let released = version(&project, 1, &[&["release", "staging"]]);
    let before = version(&project, 2, &[&["release", "staging"]]);
    let reviewed = version(&project, 3, &[&["release", "review/x"]]);
    let forgotten = version(&project, 4, &[]);
    let head = version(&project, 5, &[]);
    let by_hand = format!("{}:by-hand", project.repository("app"));
    let busybox = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    for arguments in [&["tag", &busybox, &by_hand][..], &["push", "-q", &by_hand]] {
        text(Command::new("docker").args(arguments));
    }
    let all = tags(&project);

    let young = project.windlass(&["cleanup"]).exits(0).says("0 images deleted");
    assert!(young.stdout.contains("young"), "{young}");
    let shown = project.windlass(&["cleanup", "--dry-run", "--keep-for", "1s"]).exits(0);
    assert!(shown.stdout.contains("1 image would be deleted"), "{shown}");
    for why in [
        "release 1 of staging",
        "release 2 of staging",
        "release 1 of review/x",
        "the commit of main",
        "windlass did not make it",
    ] {
        assert!(shown.stdout.contains(why), "{why}: {shown}");
    }
    assert_eq!(tags(&project), all, "nothing was deleted");

    // What cannot be known is not taken for unneeded.
    project.edit("windlass.yaml", "  review/*: {context: lab-fake", "  review/*: {context: lab-nowhere");
    project.windlass(&["cleanup", "--keep-for", "1s"]).exits(3).says("lab-nowhere");
    assert_eq!(tags(&project), all, "nothing was deleted");
    project.edit("windlass.yaml", "lab-nowhere", "lab-fake");

    project.windlass(&["cleanup", "--keep-for", "1s"]).exits(0).says("1 image deleted");
    let left = tags(&project);
    for commit in [&released, &before, &reviewed, &head, &"by-hand".to_owned()] {
        assert!(left.contains(commit), "{commit} of {left:?}");
    }
    assert!(!left.contains(&forgotten), "{left:?}");
    let gone: Vec<&String> = all.iter().filter(|tag| !left.contains(tag)).collect();
    assert_eq!(gone.len(), 3, "its commit, its content, the record of its test: {gone:?}");
    project.windlass(&["rollback", "staging"]).exits(0);
    project.windlass(&["cleanup", "--keep-for", "1s"]).exits(0).says("0 images deleted");
    text(Command::new("kubectl").args([
        "--context",
        "lab-fake",
        "delete",
        "namespace",
        &review,
        "--wait=false",
    ]));
}
