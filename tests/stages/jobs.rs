//! Jobs as GitLab runs them: the shop's own pipeline by gitlab-ci-local, GitLab's Rollback, and a job that stops an environment.

use std::process::Command;

use crate::bench::{Project, text};
use crate::gitlab::gitlab_ci_local;

#[test]
fn the_shops_gitlab_pipeline_builds_tests_and_releases() {
    let shop = Project::shop("gitlab");
    let pipeline = std::fs::read_to_string(shop.path().join(".gitlab-ci.yml")).unwrap();
    shop.write(".gitlab-ci.yml", &(pipeline + ".windlass: {services: []}\n"));
    shop.commit("a runner on the machine itself, which has an Engine");
    shop.git(&["remote", "add", "origin", "https://gitlab.test/group/shop.git"]);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_windlass")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = text(
        gitlab_ci_local(&shop)
            .args(["--force-shell-executor", "--shell-isolation"])
            .args(["--variable", &format!("CI_REGISTRY_IMAGE={}", shop.repository("").trim_end_matches('/'))])
            .args(["--variable", "CI_COMMIT_BRANCH=main", "--variable", "CI_DEFAULT_BRANCH=main"])
            .env("PATH", path)
            .env("BASE", format!("{}/base", crate::bench::lab("LAB_REGISTRY"))),
    );
    for job in ["build", "test", "staging"] {
        assert!(output.contains(&format!(" PASS  {job}")), "no job {job}: {output}");
    }
    shop.answer("has taken");
}

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCOPY version /\nCMD [\"sleep\", \"1000000\"]\n";
const WEB: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
    - host: web.shop.test
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
";

/// A clone as the runner makes one: of one commit, without a branch.
fn checkout(project: &Project, origin: &std::path::Path, commit: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let origin = format!("file://{}", origin.display());
    let git = |arguments: &[&str]| text(Command::new("git").arg("-C").arg(directory.path()).args(arguments));
    git(&["init", "-q"]);
    git(&["remote", "add", "origin", &origin]);
    git(&["fetch", "-q", "--depth", "1", "origin", commit]);
    git(&["checkout", "-q", "-f", commit]);
    assert!(directory.path().join("windlass.yaml").exists(), "{}", project.name);
    directory
}

/// From now on windlass runs in a job of this pipeline, for a commit of `main` and the environment `staging`.
fn in_job(project: &mut Project, pipeline: &str, commit: &str) {
    for (name, value) in [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_SERVER_URL", "https://gitlab.test"),
        ("CI_PIPELINE_ID", pipeline),
        ("CI_COMMIT_SHA", commit),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_COMMIT_TAG", ""),
        ("CI_MERGE_REQUEST_IID", ""),
        ("CI_ENVIRONMENT_NAME", "staging"),
        ("CI_ENVIRONMENT_ACTION", "start"),
        ("GITLAB_USER_LOGIN", "nora"),
    ] {
        project.set(name, value);
    }
}

#[test]
fn gitlab_s_rollback_runs_the_old_job_again_and_brings_its_image_back() {
    let mut project = Project::small("rollback-job", DOCKERFILE, WEB);
    project.write("version", "1");
    project.commit("first");
    project.write("version", "2");
    project.commit("second");
    let origin = tempfile::tempdir().unwrap();
    project.git(&["clone", "-q", "--bare", ".", origin.path().to_str().unwrap()]);
    text(Command::new("git").arg("-C").arg(origin.path()).args([
        "config",
        "uploadpack.allowAnySHA1InWant",
        "true",
    ]));
    let commits = ["HEAD~1", "HEAD"].map(|one| project.git(&["rev-parse", one]).trim().to_owned());
    let image = |project: &Project| {
        let container = &project.object("deployment/web")["spec"]["template"]["spec"]["containers"][0];
        container["image"].as_str().unwrap().to_owned()
    };
    let mut images = Vec::new();
    for (pipeline, commit) in ["17", "18"].iter().zip(&commits) {
        let clone = checkout(&project, origin.path(), commit);
        in_job(&mut project, pipeline, commit);
        project.windlass_in(clone.path(), &["pipeline", "staging"]).exits(0).says("section_start:");
        images.push(image(&project));
    }
    assert_ne!(images[0], images[1]);

    // Environments > Rollback: the old pipeline's job again. Whatever built the image is gone; only the registry has it.
    project.set("DOCKER_HOST", "unix:///nowhere.sock");
    let clone = checkout(&project, origin.path(), &commits[0]);
    in_job(&mut project, "17", &commits[0]);
    let again = ["release", "staging", "--report", "report"];
    project.windlass_in(clone.path(), &again).exits(0).says("this pipeline made release 1");
    assert_eq!(image(&project), images[0]);
    let variables = std::fs::read_to_string(clone.path().join("report/windlass.env")).unwrap();
    assert_eq!(
        variables.lines().next(),
        Some(format!("WINDLASS_APP_IMAGE={}", images[0]).as_str()),
        "{variables}"
    );
    assert!(variables.ends_with("\nWINDLASS_REVISION=3\nWINDLASS_URL=http://web.shop.test\n"), "{variables}");
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(
        (&history[0]["rolled_back_to"], &history[0]["by"]),
        (&1.into(), &"nora".into()),
        "{}",
        history[0]
    );

    // Re-deploy of the newer one goes forward again; a job of another pipeline for the old commit does not go back.
    let clone = checkout(&project, origin.path(), &commits[1]);
    in_job(&mut project, "18", &commits[1]);
    project.windlass_in(clone.path(), &again).exits(0);
    assert_eq!(image(&project), images[1]);
    let clone = checkout(&project, origin.path(), &commits[0]);
    in_job(&mut project, "19", &commits[0]);
    project.windlass_in(clone.path(), &again).exits(34).says("is older");
    assert_eq!(image(&project), images[1]);

    rolls_back_with_its_address(&project, clone.path());
    assert_eq!(image(&project), images[0]);
}

/// A rollback job links to its environment, too, whether it changes anything or not.
fn rolls_back_with_its_address(project: &Project, clone: &std::path::Path) {
    for _ in 0..2 {
        let back = ["rollback", "staging", "--to", "1", "--yes", "--report", "back"];
        project.windlass_in(clone, &back).exits(0);
        let variables = std::fs::read_to_string(clone.join("back/windlass.env")).unwrap();
        assert!(variables.contains("WINDLASS_URL=http://web.shop.test\n"), "{variables}");
    }
}

#[test]
fn a_job_that_stops_an_environment_needs_no_checkout() {
    let mut project =
        Project::bare("stop", "", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n");
    let namespace = format!("{}-feature-x", project.namespace);
    let pattern = format!(
        "  review/*: {{context: lab-fake, namespace: \"{}-${{WINDLASS_SLUG}}\"}}\n",
        project.namespace
    );
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap() + &pattern;
    project.write("windlass.yaml", &config);
    project.commit("review apps");
    let commit = project.git(&["rev-parse", "HEAD"]).trim().to_owned();
    in_job(&mut project, "17", &commit);
    project.set("CI_ENVIRONMENT_NAME", "review/feature-x");
    project.windlass(&["release", "review/feature-x"]).exits(0);

    // `GIT_STRATEGY: none`, after the branch was deleted.
    project.set("CI_ENVIRONMENT_ACTION", "stop");
    project.set("CI_COMMIT_SHA", "1f3c9a0b".repeat(5));
    let empty = tempfile::tempdir().unwrap();
    let tier = ["--project", &project.name, "--context", "lab-fake", "--namespace", &namespace];
    let remove = ["remove", "review/feature-x", "--confirm", "review/feature-x"];
    project.windlass_in(empty.path(), &[&remove[..], &tier].concat()).exits(0);
    let left = project.kubectl(&[
        "get",
        "namespace",
        &namespace,
        "--ignore-not-found",
        "-o",
        "jsonpath={.status.phase}",
    ]);
    assert!(left.is_empty() || left == "Terminating", "{left}");
    // Run again, it has nothing to do.
    project.windlass_in(empty.path(), &[&remove[..], &tier].concat()).exits(0);
}

/// GitLab sets many variables to nothing where they have no value; so do scripts.
#[test]
fn an_empty_variable_is_as_if_it_were_not_there() {
    let web = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n";
    let mut project = Project::bare("empty", "", web);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/environment.md"))
        .unwrap();
    let tables = page.split("## What windlass sets").next().unwrap();
    let names = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = names.flat_map(|names| names.split(['`', ',', ' '])).filter(|name| !name.is_empty());
    let names: Vec<String> =
        names.filter(|name| !["KUBECONFIG", "TERM"].contains(name)).map(str::to_owned).collect();
    assert!(names.len() > 50 && names.contains(&"CI_COMMIT_SHA".to_owned()), "{names:?}");
    for name in &names {
        project.set(name, "");
    }
    let home = tempfile::tempdir().unwrap();
    project.set("HOME", home.path().display().to_string());
    project.windlass(&["release", "staging"]).exits(0);
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert!(history[0]["by"].as_str().unwrap().starts_with("root@"), "{}", history[0]);
    assert_eq!(history[0]["branch"], "main");

    // An empty DOCKER_CONFIG hides no password that `docker login` has left.
    std::fs::create_dir(home.path().join(".docker")).unwrap();
    let login = r#"{"auths": {"registry.test": {"auth": "bm9yYTpjb3JyZWN0aG9yc2ViYXR0ZXJ5"}}}"#; // nora:correcthorsebattery
    std::fs::write(home.path().join(".docker/config.json"), login).unwrap();
    project.write(".kube/app.yaml", &web.replace("\ndata:", "\ncorrecthorsebattery:"));
    let refused = project.windlass(&["validate"]).exits(3).says("[MASKED]");
    assert!(!format!("{refused}").contains("horse"), "{refused}");
}
