//! The first files of repositories of several sorts (`fixtures/init`): from nothing to a release that answers, without an edit.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::{Project, Run, lab};

/// A copy of a repository with a remote, so that it has a name.
fn repository(fixture: &str) -> Project {
    repository_for(&format!("init-{fixture}"), fixture)
}

/// The same for another test.
pub(crate) fn repository_for(test: &str, fixture: &str) -> Project {
    let mut project = Project::empty(test);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/init").join(fixture);
    let copied =
        Command::new("cp").arg("-r").arg(format!("{}/.", from.display())).arg(project.path()).status();
    assert!(copied.unwrap().success());
    let origin = format!("git@gitlab.example.com:{}.git", project.name);
    project.git(&["remote", "add", "origin", &origin]);
    project.namespace = format!("{}-staging", project.name);
    project.commit("as it was");
    project
}

/// `windlass init` in it, with the cluster and the registry of the lab.
fn begin(project: &Project, arguments: &[&str]) -> Run {
    let registry = format!("{}/{}", lab("LAB_REGISTRY"), project.name);
    let whole = [&["init", "--context", "lab-real", "--registry", &registry], arguments].concat();
    let begun = project.windlass(&whole).exits(0);
    project.commit("windlass");
    begun
}

/// Nothing of what was written is wrong or doubtful: all that `--strict` may refuse is that a base image has no digest.
#[track_caller]
fn is_valid(project: &Project) {
    project.windlass(&["validate"]).exits(0);
    let strict = project.windlass(&["validate", "--strict", "-o", "json"]);
    let answer = strict.events().remove(0);
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{strict}"));
    let of_base = |error: &serde_json::Value| error["message"].as_str().unwrap().contains("has no digest");
    assert!(!errors.is_empty() && errors.iter().all(of_base), "{strict}");
}

/// What a Service of the tier answers to the API server, once it says these words.
#[track_caller]
pub(crate) fn answers(project: &Project, service: &str, words: &str) {
    let path = format!("/api/v1/namespaces/{}/services/{service}/proxy/", project.namespace);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer =
            Command::new("kubectl").args(["--context", "lab-real", "get", "--raw", &path]).output().unwrap();
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        if text.contains(words) {
            return;
        }
        assert!(Instant::now() < end, "{service} does not say {words:?} but {text:?}: {answer:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn from_a_dockerfile_to_a_first_release() {
    let project = Project::empty("init");
    let nothing = project.windlass(&["init"]).exits(3).says("found no Dockerfile");
    assert!(nothing.stderr.contains("--from"), "{nothing}");
    assert!(!project.path().join("windlass.yaml").exists());
    let project = repository("one-dockerfile");
    let unknown =
        project.windlass(&["init", "--pipeline", "several-image"]).exits(2).says("plan-then-approve");
    assert!(unknown.stderr.contains("a similar value exists: 'several-images'"), "{unknown}");
    project.windlass(&["init"]).exits(3).says("--context NAME; it has: lab-");
    let begun = project.windlass(&["init", "--project", "init-shop"]);
    assert_eq!(begun.code, 2, "the name is the configuration's to say: {begun}");
    let host = format!("{}.shop.test", project.name);
    let begun = begin(&project, &["--host", &host]);
    for file in ["windlass.yaml", ".kube/app.yaml", ".gitlab-ci.yml", ".dockerignore"] {
        assert!(begun.stdout.contains(&format!("wrote  {file}")), "{begun}");
    }
    let ignored = std::fs::read_to_string(project.path().join(".dockerignore")).unwrap();
    assert_eq!(ignored, ".git\n.kube\nwindlass.yaml\n.gitlab-ci.yml\n.dockerignore\n.gitlab\nreport/\n");
    is_valid(&project);
    let released = project.windlass(&["pipeline", "staging"]).exits(0);
    assert!(released.stderr.contains("Deployment/app"), "{released}");
    answers(&project, "app:80", "the shop");
    let host = format!("Host: staging.{host}");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let address = format!("http://{}/", lab("LAB_INGRESS"));
        let answer = Command::new("curl").args(["-s", "-m", "5", "-H", &host, &address]).output().unwrap();
        if String::from_utf8_lossy(&answer.stdout).contains("the shop") {
            break;
        }
        assert!(Instant::now() < end, "the Ingress does not respond: {answer:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
    let again = project.windlass(&["init", "--context", "lab-real"]).exits(0);
    assert!(!again.stdout.contains("wrote"), "what is there stays: {again}");
    // A pipeline without tests has nothing to run, and says so.
    project.windlass(&["test"]).exits(0);
}

#[test]
fn from_two_dockerfiles_to_a_first_release() {
    let project = repository("two-dockerfiles");
    // A compose file is there, too.
    let begun = begin(&project, &[]);
    assert!(begun.stdout.contains("`windlass init --from compose.yaml`"), "{begun}");
    assert!(begun.stdout.contains("image `worker`: no port"), "{begun}");
    is_valid(&project);
    project.windlass(&["pipeline", "staging"]).exits(0);
    answers(&project, "api:80", "the api");
    assert_eq!(project.object("deployment/worker")["status"]["readyReplicas"], 1);
    assert_eq!(project.object("persistentvolumeclaim/api-data")["status"]["phase"], "Bound");
}

#[test]
fn from_a_compose_file_with_a_database_to_a_first_release() {
    let mut project = repository("compose");
    begin(&project, &["--from", "docker-compose.yml"]);
    project.windlass(&["pipeline", "staging"]).exits(3).says("POSTGRES_PASSWORD");
    project.set("POSTGRES_PASSWORD", "a-good-one");
    is_valid(&project);
    project.windlass(&["pipeline", "staging"]).exits(0);
    answers(&project, "web:3000", "postgres://shop:…@db:5432/shop");
    let query = "psql postgres://shop:a-good-one@db:5432/shop -tc 'select 40 + 2'";
    let answer = project.kubectl(&["exec", "db-0", "--", "sh", "-c", query]);
    assert_eq!(answer.trim(), "42");
}

#[test]
fn from_manifests_a_kustomization_and_a_chart_to_a_first_release() {
    for (fixture, words, namespace) in [
        ("manifests", "the shop of k8s", "shop-staging"),
        ("kustomization", "the shop of deploy", "a-name-for-staging"),
        ("chart", "the shop of a chart", ""),
    ] {
        let mut project = repository(fixture);
        // helm is there.
        project.set("PATH", format!("{}:{}", lab("LAB_TOOLS"), std::env::var("PATH").unwrap()));
        // Namespaces of the fixtures are everybody's.
        for file in ["k8s/web.yaml", "deploy/overlays/staging/kustomization.yaml"] {
            if project.path().join(file).exists() {
                let own = project.name.clone();
                let (old, new) = match fixture {
                    "manifests" => ("namespace: shop\n".to_owned(), format!("namespace: {own}\n")),
                    _ => (format!("namespace: {namespace}\n"), format!("namespace: {own}-staging\n")),
                };
                project.edit(file, &old, &new);
            }
        }
        project.git(&["add", "-A"]);
        project.git(&["commit", "-q", "--allow-empty", "-m", "in a namespace of its own"]);
        // The repository of the image is known by the project's name.
        project.git(&[
            "remote",
            "set-url",
            "origin",
            &format!("git@gitlab.example.com:{}/shop.git", project.name),
        ]);
        let begun = begin(&project, &[]);
        let name = format!("{}-shop", project.name);
        let staging = match fixture {
            "chart" => format!("{name}-staging"),
            _ => format!("{}-staging", project.name),
        };
        project.namespace = staging;
        is_valid(&project);
        let released = project.windlass(&["pipeline", "staging"]).exits(0);
        assert!(released.stderr.contains("Deployment/"), "{released}\n{begun}");
        answers(&project, "web:80", words);
    }
}
