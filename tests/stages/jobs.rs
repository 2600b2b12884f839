//! The shop's own pipeline, run as GitLab jobs by gitlab-ci-local.

use std::process::Command;

use crate::bench::{Project, text};

/// The last release for Node 20.
const GITLAB_CI_LOCAL: &str = "gitlab-ci-local@4.73.0";

#[test]
fn the_shops_gitlab_pipeline_builds_tests_and_releases() {
    let shop = Project::shop("gitlab");
    let origin = tempfile::tempdir().unwrap();
    shop.git(&["clone", "-q", "--bare", ".", origin.path().to_str().unwrap()]);
    shop.git(&["remote", "add", "origin", "https://gitlab.test/group/shop.git"]);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_windlass")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = text(
        Command::new("npx")
            .args(["--yes", GITLAB_CI_LOCAL, "--no-color"])
            .args(["--variable", &format!("CI_REGISTRY_IMAGE={}", shop.repository("").trim_end_matches('/'))])
            .args(["--variable", "CI_COMMIT_BRANCH=main", "--variable", "CI_DEFAULT_BRANCH=main"])
            .env("PATH", path)
            .env("BASE", format!("{}/base", crate::bench::lab("LAB_REGISTRY")))
            .current_dir(shop.path()),
    );
    for job in ["build", "test", "staging"] {
        assert!(output.contains(job), "no job {job}: {output}");
    }
    shop.answer("has taken");
}
