//! Registry tags that nothing needs any more go, and nothing else.

use std::process::Command;

use serde_json::Value;

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
    let listed: Value = serde_json::from_str(&text(Command::new("curl").args(["-sf", &address]))).unwrap();
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
        "not built by windlass",
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
    assert_eq!(
        gone.len(),
        5,
        "its commit, its content, its layers, records of its build and its test: {gone:?}"
    );
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

/// Puts another tag on an image by hand.
fn tag(project: &Project, image: &str, tag: &str) {
    let manifests = format!("http://{}/v2/{}/app/manifests", lab("LAB_REGISTRY"), project.name);
    let media = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let file = project.path().join(".manifest");
    let get = ["-sf", "-H", media, "-w", "%{content_type}", "-o", file.to_str().unwrap()];
    let kind = text(Command::new("curl").args(get).arg(format!("{manifests}/{image}")));
    let (content, data) = (format!("Content-Type: {kind}"), format!("@{}", file.display()));
    let put = ["-sf", "-X", "PUT", "-H", &content, "--data-binary", &data];
    text(Command::new("curl").args(put).arg(format!("{manifests}/{tag}")));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_tag_of_somebody_else_and_a_tier_of_another_checkout_keep_an_image() {
    let manifests = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {a: x}\n";
    let mut project = Project::small("cleanup-others", DOCKERFILE, manifests);
    project.write(".dockerignore", ".git\n");
    project.edit("windlass.yaml", "tiers:\n", "tests: {unit: {image: app, run: [\"true\"]}}\ntiers:\n");
    let production = format!("  production: {{context: lab-real, namespace: {}-p}}\n", project.namespace);
    let with_production =
        std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap() + &production;
    project.write("windlass.yaml", &with_production);
    let elsewhere = version(&project, 1, &[&["release", "production"]]);
    let tagged = version(&project, 2, &[]);
    tag(&project, &tagged, "v1.0");
    let late = version(&project, 3, &[]);
    let forgotten = version(&project, 4, &[]);
    version(&project, 5, &[]);
    // Another checkout does not know the tier, and nobody here may look for records all over its cluster.
    project.edit("windlass.yaml", &production, "");
    project.edit("windlass.yaml", "context: lab-real", "context: elsewhere");
    project.edit("windlass.yaml", &format!("namespace: {}", project.namespace), "namespace: tenant");
    let view = ["config", "view", "--raw", "--minify", "--context", "lab-tenant", "-o", "json"];
    let mut good: Value = serde_json::from_str(&text(Command::new("kubectl").args(view))).unwrap();
    good["contexts"][0]["name"] = "elsewhere".into();
    let file = project.path().join(".git/kubeconfig");
    std::fs::write(&file, good.to_string()).unwrap();
    project.set("KUBECONFIG", file.display().to_string());
    version(&project, 6, &[]);
    let all = tags(&project);

    let shown = project.windlass(&["cleanup", "--dry-run", "--keep-for", "1s"]).exits(0);
    let shown = shown.says("good on production, which this windlass.yaml does not list");
    let shown = shown.says("its tag v1.0 is not from windlass").says("3 images would be deleted");
    assert!(!shown.stdout.contains("its tag main"), "{shown}");

    // Where the cluster or the registry cannot be asked, nothing is deleted.
    let mut down = good.clone();
    down["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9".into();
    std::fs::write(&file, down.to_string()).unwrap();
    project.windlass(&["cleanup", "--keep-for", "1s"]).exits(5);
    let mut refused = good.clone();
    refused["users"][0]["user"] = serde_json::json!({"token": "wrong"});
    std::fs::write(&file, refused.to_string()).unwrap();
    project.windlass(&["cleanup", "--keep-for", "1s"]).exits(6);
    std::fs::write(&file, good.to_string()).unwrap();
    project.windlass(&["cleanup", "--keep-for", "1s", "--registry", "127.0.0.1:9/shop"]).exits(5);
    assert_eq!(tags(&project), all, "nothing was deleted");

    tag(&project, &late, "stable");
    let swept = project.windlass(&["cleanup", "--keep-for", "1s"]).exits(0).says("2 images deleted");
    swept.says("its tag stable is not from windlass");
    let left = tags(&project);
    for tag in [&elsewhere, &tagged, &late, &"v1.0".to_owned(), &"stable".to_owned()] {
        assert!(left.contains(tag), "{tag} of {left:?}");
    }
    assert!(!left.contains(&forgotten), "{left:?}");
    project.drop_namespace(&format!("{}-p", project.namespace));
}

#[test]
fn the_layers_of_a_branch_that_is_no_more_go() {
    let mut project = Project::small(
        "cleanup-caches",
        DOCKERFILE,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\n",
    );
    project.on("lab-fake");
    project.edit("windlass.yaml", "images:", "builder: ${BUILDER}\nimages:");
    project.edit("windlass.yaml", "{app: {context: .,", "{app: {context: ., cache: {mode: max},");
    project.set("BUILDER", lab("LAB_BUILDER"));
    project.write("version", "1");
    project.commit("on main");
    project.windlass(&["build"]).exits(0);
    project.git(&["checkout", "-q", "-b", "feature/Login"]);
    project.write("version", "2");
    project.commit("on a branch");
    project.windlass(&["build"]).exits(0);
    let caches = || {
        let mut caches = tags(&project);
        caches.retain(|tag| tag.starts_with("windlass.cache-"));
        caches
    };
    let both = caches();
    assert_eq!(both.len(), 2, "{both:?}");
    project.windlass(&["cleanup"]).exits(0).says("0 images deleted");
    assert_eq!(caches(), both);
    project.git(&["checkout", "-q", "main"]);
    project.git(&["branch", "-D", "feature/Login"]);
    // The image itself is young.
    project.windlass(&["cleanup", "--dry-run"]).exits(0).says("1 image would be deleted");
    project.windlass(&["cleanup"]).exits(0).says("1 image deleted");
    assert_eq!(caches(), ["windlass.cache-main"]);
}
