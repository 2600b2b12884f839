//! Whole repositories (`fixtures/init`), and all that is written for each; what is written must be valid without a warning.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::project::{GitFacts, Options};
use crate::report::Reporter;
use crate::report::view::View as _;
use crate::schema::Schemas;
use crate::{manifest, report};

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of a repository, as if it had been cloned from GitLab.
pub(super) struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    pub(super) fn of(name: &str) -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/init").join(name);
        let directory = tempfile::tempdir().unwrap();
        copy(&fixture, directory.path());
        Self { directory }
    }

    fn project(&self, registry: Option<&str>) -> Project {
        let options = Options {
            directory: self.directory.path().to_path_buf(),
            registry: registry.map(str::to_owned),
            ..Options::default()
        };
        let origin = Some("git@gitlab.example.com:nora/shop.git".to_owned());
        Project::open(&options, GitFacts { origin, ..GitFacts::default() }, &|_| None).unwrap()
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        let path = self.directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) async fn init(&self, request: Request) -> Result<FirstFiles> {
        let session = Session::new(Reporter::silent());
        let request = Request {
            context: Some("lab".to_owned()),
            from: request.from.map(|from| self.directory.path().join(from)),
            ..request
        };
        init(&session, &self.project(Some("registry.test/nora/shop")), &request).await
    }

    /// What was said and what was written.
    fn shown(&self, report: &FirstFiles) -> String {
        let mut text = report::view::tests::shown(report);
        for (file, _) in report.files.iter().filter(|(_, written)| *written) {
            let path = self.directory.path().join(file);
            let content = match std::fs::read_link(&path) {
                Ok(target) => format!("-> {}\n", target.display()),
                Err(_) => std::fs::read_to_string(&path).unwrap(),
            };
            if !file.starts_with(".gitlab") && file != Path::new(".gitlab-ci.yml") {
                write!(text, "\n=== {}\n{content}", file.display()).unwrap();
            }
        }
        text
    }

    /// What `validate --strict` refuses in what was written.
    async fn mistakes(&self) -> Vec<String> {
        let found = manifest::validate(&self.project(None), Schemas::newest()).await;
        found.errors.iter().chain(&found.warnings).map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn a_repository_with_one_dockerfile() {
    let repository = Repository::of("one-dockerfile");
    let report =
        repository.init(Request { host: Some("shop.test".to_owned()), ..Request::default() }).await.unwrap();
    insta::assert_snapshot!("one-dockerfile", repository.shown(&report));
    assert_eq!(repository.mistakes().await, [""; 0]);
    let again = repository.init(Request::default()).await.unwrap();
    assert!(again.files.iter().all(|(_, written)| !written), "{:?}", again.files);
    assert!(again.to_json()["written"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn dockerfiles_in_directories_are_images_and_workloads_of_their_own() {
    let repository = Repository::of("two-dockerfiles");
    let report = repository.init(Request::default()).await.unwrap();
    insta::assert_snapshot!("two-dockerfiles", repository.shown(&report));
    assert_eq!(repository.mistakes().await, [""; 0]);
    // What the hint for a workload without a port says works.
    let dockerfile = std::fs::read_to_string(repository.directory.path().join("worker/Dockerfile")).unwrap();
    repository.write("worker/Dockerfile", &format!("{dockerfile}\nEXPOSE 9000\n"));
    std::fs::remove_dir_all(repository.directory.path().join(".kube")).unwrap();
    let again = repository.init(Request::default()).await.unwrap();
    assert!(again.files.contains(&(".kube/tiers/production/worker.yaml".into(), true)), "{:?}", again.files);
}

#[tokio::test]
async fn a_compose_file_is_taken_over_when_it_is_named() {
    let repository = Repository::of("compose");
    let report = repository
        .init(Request { from: Some("docker-compose.yml".into()), ..Request::default() })
        .await
        .unwrap();
    insta::assert_snapshot!("compose", repository.shown(&report));
    assert_eq!(repository.mistakes().await, [""; 0]);
    let written = repository.shown(&report);
    assert!(!written.contains("example@") && !written.contains(": example"), "a password");
}

#[tokio::test]
async fn manifests_elsewhere_are_copied() {
    let repository = Repository::of("manifests");
    let report = repository.init(Request::default()).await.unwrap();
    insta::assert_snapshot!("manifests", repository.shown(&report));
    assert_eq!(repository.mistakes().await, [""; 0]);
}

#[tokio::test]
async fn a_kustomization_and_a_chart_are_read_where_they_are() {
    for name in ["kustomization", "chart"] {
        let repository = Repository::of(name);
        let report = repository.init(Request::default()).await.unwrap();
        insta::assert_snapshot!(name, repository.shown(&report));
        assert!(repository.project(None).config_file.is_some());
    }
}

/// Nobody but the values file can say it, so each `init` does until it is there.
#[tokio::test]
async fn a_chart_without_a_registry_needs_a_values_file() {
    let repository = Repository::of("chart");
    repository.write("charts/shop/values.yaml", "image: {repository: nginx}\n");
    let ask = async || {
        let session = Session::new(Reporter::silent());
        let request = Request { context: Some("lab".to_owned()), ..Request::default() };
        let report = init(&session, &repository.project(None), &request).await.unwrap();
        report.needed.iter().any(|one| one.contains("`image: {repository: HOST/PATH/app}`"))
    };
    assert!(ask().await && ask().await);
    let ignored = std::fs::read_to_string(repository.directory.path().join(".dockerignore")).unwrap();
    assert!(ignored.contains("\ncharts/shop\nwindlass-values.yaml\n"), "{ignored}");
    repository.write("values.yaml", "image: {repository: registry.test/x/app}\n");
    let file = repository.directory.path().join("windlass.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("[charts/shop/values-production.yaml]", "[values.yaml]");
    std::fs::write(file, text).unwrap();
    assert!(!ask().await);
}

#[tokio::test]
async fn what_is_there_stays_and_is_used() {
    let repository = Repository::of("only-kube");
    let report = repository.init(Request::default()).await.unwrap();
    insta::assert_snapshot!("only-kube", repository.shown(&report));
    assert_eq!(repository.mistakes().await, [""; 0]);
    let repository = Repository::of("pipeline");
    let report = repository.init(Request::default()).await.unwrap();
    insta::assert_snapshot!("pipeline", repository.shown(&report));
}

#[tokio::test]
async fn the_jobs_have_the_names_that_the_project_has() {
    let begin = |fixture: &'static str, name: &str| {
        let request = Request {
            pipeline: Pipeline::named(name),
            host: Some("shop.test".to_owned()),
            ..Request::default()
        };
        async move {
            let repository = Repository::of(fixture);
            repository.init(request).await.unwrap();
            assert_eq!(repository.mistakes().await, [""; 0]);
            let read = |file: &str| std::fs::read_to_string(repository.directory.path().join(file)).unwrap();
            (read("windlass.yaml"), read(".gitlab-ci.yml"))
        }
    };
    let (config, jobs) = begin("one-dockerfile", "review-apps").await;
    assert!(
        config.contains(
            "  \"review/*\":\n    context: lab\n    namespace: \"nora-shop-review-${WINDLASS_SLUG}\""
        ),
        "{config}"
    );
    assert!(config.contains("HOST: \"${WINDLASS_SLUG}.review.shop.test\""), "{config}");
    assert!(config.contains("after: staging"), "{config}");
    let stop = "--project 'nora-shop' --context 'lab' --namespace 'nora-shop-review-${WINDLASS_SLUG}'";
    assert!(jobs.contains(stop), "{jobs}");
    let (_, jobs) = begin("two-dockerfiles", "several-images").await;
    assert!(jobs.contains("- IMAGE: [api, worker]"), "{jobs}");
}

/// A project that has its tiers already: the one that asks for another is released to by hand.
#[tokio::test]
async fn the_jobs_name_the_tiers_that_there_are() {
    let repository = Repository::of("one-dockerfile");
    let config = "version: 1\nproject: shop\nimages: {app: {context: ., args: {BASE: base}}}\ntiers:\n  test: {context: lab, namespace: a}\n  \
                  live: {context: lab, namespace: b, after: test}\n";
    std::fs::write(repository.directory.path().join("windlass.yaml"), config).unwrap();
    let report = repository.init(Request::default()).await.unwrap();
    assert!(!report.needed.iter().any(|sentence| sentence.contains("name the tiers")), "{:?}", report.needed);
    let jobs = std::fs::read_to_string(repository.directory.path().join(".gitlab-ci.yml")).unwrap();
    for line in ["\ntest:\n", "windlass release test", "\nlive:\n", "windlass rollback live"] {
        assert!(jobs.contains(line), "{line:?}: {jobs}");
    }
}

#[tokio::test]
async fn where_nothing_is_known_nothing_is_written() {
    let error = |name: &'static str, request: Request| async move {
        let repository = Repository::of(name);
        let before = walkdir::WalkDir::new(repository.directory.path()).into_iter().count();
        let error = repository.init(request).await.unwrap_err();
        assert_eq!(walkdir::WalkDir::new(repository.directory.path()).into_iter().count(), before, "{name}");
        format!("{error}\n{}", error.hint().unwrap_or_default())
    };
    let from = |path: &str| Request { from: Some(path.into()), ..Request::default() };
    let named = error("compose", from("gone")).await;
    assert!(named.contains("no such file"), "{named}");
    let outside = error("compose", from("..")).await;
    assert!(outside.contains("outside"), "{outside}");
    let kept = error("only-kube", from(".kube")).await;
    assert!(kept.contains("already has manifests"), "{kept}");
    let repository = Repository::of("compose");
    std::fs::write(repository.directory.path().join("windlass.yaml"), "version: 1\nproject: shop\n").unwrap();
    let configured = repository.init(from("docker-compose.yml")).await.unwrap_err();
    assert!(configured.message().contains("windlass.yaml already exists"), "{configured}");
    std::fs::create_dir(repository.directory.path().join(".kube")).unwrap();
    std::fs::write(repository.directory.path().join(".kube/web.yaml"), "").unwrap();
    let obstacles = repository.init(from("docker-compose.yml")).await.unwrap_err();
    assert!(obstacles.message().contains("and `.kube` already has manifests"), "{obstacles}");
}

#[tokio::test]
async fn several_directories_of_manifests_are_asked_about() {
    let repository = Repository::of("manifests");
    copy(&repository.directory.path().join("k8s"), &repository.directory.path().join("deploy"));
    let error = repository.init(Request::default()).await.unwrap_err();
    assert!(error.message().contains("k8s and in deploy"), "{error}");
    let report =
        repository.init(Request { from: Some("Dockerfile".into()), ..Request::default() }).await.unwrap();
    assert!(report.files.contains(&(".kube/app.yaml".into(), true)), "{:?}", report.files);
}
