//! Projects in directories and in temporary Git repositories.

use std::fs;

use std::path::PathBuf;

use super::tests::commit_all;
use super::*;
use crate::project::{Named, TierOverrides};

fn open(directory: &Path) -> Result<Project> {
    open_given(directory, Options::default())
}

fn open_given(directory: &Path, options: Options) -> Result<Project> {
    open_project_with(&Options { directory: directory.to_path_buf(), ..options }, &|_| None)
}

fn write(directory: &Path, path: &str, text: &str) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn an_empty_directory_needs_only_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let project = open(directory.path()).unwrap();
    assert!(project.config.images.is_empty() && project.revision.is_none());
    let overrides = TierOverrides {
        context: Some("lab".to_owned()),
        namespace: Some("shop".to_owned()),
        ..TierOverrides::default()
    };
    let error = project.tier("staging", &overrides).unwrap_err();
    assert!(error.hint().unwrap().contains("--project"), "{error}");
    assert_eq!(project.revision().unwrap_err().kind(), Kind::Invalid);
    let options = Options { project: Some("shop".to_owned()), ..Options::default() };
    let named = open_given(directory.path(), options).unwrap();
    assert_eq!(named.tier("staging", &overrides).unwrap().namespace, "shop");
    let error = open(&directory.path().join("none")).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[test]
fn conventions_hold_without_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "Dockerfile", "FROM scratch\n");
    write(directory.path(), ".kube/web.yaml", "");
    let repository = commit_all(directory.path());
    repository.remote("origin", "git@example.com:group/shop.git").unwrap();
    let project = open(&directory.path().join(".kube")).unwrap();
    assert_eq!(project.root, directory.path().canonicalize().unwrap());
    assert_eq!((project.name.as_str(), project.named), ("group-shop", Named::Remote));
    assert_eq!(project.config.images["app"].dockerfile, Path::new("Dockerfile"));
    assert_eq!(project.revision().unwrap().branch.as_deref(), Some("main"));
}

#[test]
fn a_repository_that_cannot_be_read_stops_no_command_on_records() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "windlass.yaml", "version: 1\nimages: {}\n");
    write(directory.path(), "below/file", "");
    let repository = commit_all(directory.path());
    repository.remote("origin", "git@example.com:group/shop.git").unwrap();
    let config = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefstorage = reftable\n\
                  [remote \"origin\"]\n\turl = git@example.com:group/shop.git\n";
    write(directory.path(), ".git/config", config);
    let below = directory.path().join("below");
    let error = open(&below).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let lenient = || Options { for_records: true, ..Options::default() };
    let project = open_given(&below, lenient()).unwrap();
    assert_eq!((project.name.as_str(), project.named), ("group-shop", Named::Remote));
    assert!(project.config_file.is_some(), "it lies above");
    assert_eq!(project.git_error.unwrap().message(), error.message());
    // A windlass.yaml that is broken is an error all the same.
    write(directory.path(), "windlass.yaml", "version: 1\nimges: {}\n");
    assert!(open_given(&below, lenient()).unwrap_err().message().contains("imges"));
}

#[test]
fn without_a_clone_gitlab_names_the_project() {
    let directory = tempfile::tempdir().unwrap();
    let ci = |name: &str| (name == "CI_PROJECT_PATH").then(|| "group/shop".to_owned());
    let options = Options { directory: directory.path().to_path_buf(), ..Options::default() };
    let project = open_project_with(&options, &ci).unwrap();
    assert_eq!((project.name.as_str(), project.named), ("group-shop", Named::Remote));
}

#[test]
fn a_job_and_its_clone_agree_on_the_name() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "Dockerfile", "FROM scratch\n");
    let repository = commit_all(directory.path());
    repository.remote("origin", "https://example.com/gitlab/group/shop.git").unwrap();
    let options = || Options { directory: directory.path().to_path_buf(), ..Options::default() };
    let of = |path: &'static str| {
        open_project_with(&options(), &move |name: &str| (name == "CI_PROJECT_PATH").then(|| path.to_owned()))
    };
    assert_eq!(of("gitlab/group/shop").unwrap().name, "gitlab-group-shop");
    assert_eq!(of("").unwrap().name, "gitlab-group-shop");
    let error = of("group/shop").unwrap_err();
    assert_eq!(
        (error.kind(), error.hint().unwrap().contains("`project: group-shop`")),
        (Kind::Invalid, true)
    );
    write(directory.path(), "windlass.yaml", "version: 1\nproject: shop\nimages: {}\n");
    assert_eq!(of("group/shop").unwrap().name, "shop");
}

#[test]
fn a_configuration_that_leads_nowhere_is_not_taken_for_none() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("elsewhere.yaml", directory.path().join("windlass.yaml")).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(error.to_string().starts_with("windlass.yaml: the configuration cannot be read"), "{error}");
}

#[test]
fn the_nearest_configuration_inside_the_repository_counts() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "windlass.yaml", "version: 1\nproject: outside\n");
    write(directory.path(), "repository/a/b/file", "");
    write(directory.path(), "repository/a/windlass.yaml", "version: 1\nproject: inside\nimages: {}\n");
    write(directory.path(), "repository/other.yaml", "version: 1\nproject: other\n");
    commit_all(&directory.path().join("repository"));
    let inside = open(&directory.path().join("repository/a/b")).unwrap();
    assert_eq!((inside.name.as_str(), inside.root.ends_with("repository/a")), ("inside", true));
    let top = open(&directory.path().join("repository")).unwrap();
    assert_eq!((top.named, top.config_file), (Named::Directory, None));
    let options = Options { config: Some(PathBuf::from("../other.yaml")), ..Options::default() };
    let other = open_given(&directory.path().join("repository/a"), options).unwrap();
    assert_eq!((other.name.as_str(), other.root.ends_with("repository")), ("other", true));
    let options = Options { config: Some(PathBuf::from("none.yaml")), ..Options::default() };
    assert_eq!(open_given(directory.path(), options).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn the_registry_is_given_or_configured_or_that_of_ci() {
    let directory = tempfile::tempdir().unwrap();
    let ci = |name: &str| (name == "CI_REGISTRY_IMAGE").then(|| "ci.test/shop".to_owned());
    let open = |given: Option<&str>| {
        let registry = given.map(str::to_owned);
        let options = Options { directory: directory.path().to_path_buf(), registry, ..Options::default() };
        open_project_with(&options, &ci).and_then(|project| project.image_repository("web"))
    };
    assert_eq!(open(None).unwrap().to_string(), "ci.test/shop/web");
    assert_eq!(open(Some("127.0.0.1:5000/x/")).unwrap().to_string(), "127.0.0.1:5000/x/web");
    write(directory.path(), "windlass.yaml", "version: 1\nregistry: https://example.com/shop\n");
    let error = open(None).unwrap_err();
    assert_eq!(error.to_string(), "windlass.yaml:2:11: the registry `https://example.com/shop` has a scheme");
    write(directory.path(), "windlass.yaml", "version: 1\nregistry: ${NOBODY}\n");
    assert_eq!(
        open(None).unwrap_err().to_string(),
        "windlass.yaml:2:11: `NOBODY` has no value (in `registry`)"
    );
    assert_eq!(open(Some("r.test/x")).unwrap().to_string(), "r.test/x/web");
}

#[test]
fn a_name_that_kubernetes_would_refuse_is_refused_here() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "windlass.yaml", "version: 1\nproject: NAME\n");
    let error = open(directory.path()).unwrap_err();
    assert_eq!(error.to_string(), "windlass.yaml:2:10: `NAME` cannot be a project's name");
    fs::rename(directory.path().join("windlass.yaml"), directory.path().join("windlass.yml")).unwrap();
    assert_eq!(
        open(directory.path()).unwrap_err().message(),
        "the configuration must be named windlass.yaml"
    );
}
