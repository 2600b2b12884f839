//! Secrets fetched from real files and programs, and never shown.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::project::{Options, TierOverrides};

fn opened(secrets: &str, files: &[(&str, &str)]) -> (TempDir, Project, Tier) {
    let root = TempDir::new().expect("a directory");
    let config = format!(
        "version: 1\nproject: shop\nregistry: registry.test:5000/shop\nimages: {{}}\nvars: {{LEVEL: verbose}}\n\
         secrets:\n{secrets}\ntiers:\n  staging: {{context: lab, namespace: shop-staging}}\n"
    );
    for (path, text) in files.iter().chain(&[("windlass.yaml", config.as_str())]) {
        fs::write(root.path().join(path), text).expect("a file");
    }
    let options = Options { directory: root.path().to_path_buf(), ..Options::default() };
    let project = Project::open(&options).expect("the project can be read");
    let tier = project.tier("staging", &TierOverrides::default()).expect("the tier exists");
    (root, project, tier)
}

fn fetched(secrets: &str, files: &[(&str, &str)]) -> (Result<Vec<Secret>>, Reporter) {
    let (_root, project, tier) = opened(secrets, files);
    let reporter = Reporter::silent();
    (fetch(&project, &tier, &reporter), reporter)
}

#[test]
fn values_come_from_files_programs_and_the_environment() {
    let secrets = "  db: {home: {env: HOME}, cert: {file: 'ca-${WINDLASS_TIER}.crt'}, token: {command: [sh, -c, 'echo $WINDLASS_TIER-tok']}}\n";
    let (secrets, reporter) = fetched(secrets, &[("ca-staging.crt", "BEGIN CERTIFICATE\n")]);
    let data = &secrets.expect("all values are there")[0].data;
    assert_eq!(data["token"], b"staging-tok");
    assert_eq!(data["cert"], b"BEGIN CERTIFICATE\n", "a file is taken as it is");
    assert_eq!(data["home"], std::env::var("HOME").expect("it is set").into_bytes());
    assert_eq!(reporter.masked("the token staging-tok ends"), "the token [MASKED] ends");
}

#[test]
fn a_whole_secret_comes_from_one_program() {
    let (secrets, reporter) = fetched(
        "  app: {command: [cat, all.env]}\n",
        &[("all.env", "A=correct-horse\nB=8080\nC=verbose\nD=shop\n")],
    );
    let data = &secrets.expect("all values are there")[0].data;
    assert_eq!(data.keys().map(String::as_str).collect::<Vec<_>>(), ["A", "B", "C", "D"]);
    let shown = "correct-horse shop/web:8080 verbose";
    assert_eq!(reporter.masked(shown), "[MASKED] shop/web:8080 verbose", "what stands in Git is no secret");
}

#[test]
fn what_cannot_be_had_is_named_with_its_place() {
    for (secrets, words) in [
        (
            "  db: {a: {env: NO_SUCH_VARIABLE_HERE}}\n",
            "`NO_SUCH_VARIABLE_HERE` is not set (in `secrets.db.a`)",
        ),
        ("  db: {a: {file: missing}}\n", "the file `missing` of `secrets.db.a` cannot be read"),
        (
            "  db: {a: {command: [sh, -c, 'echo no key >&2; exit 2']}}\n",
            "`sh` failed (exit status: 2): no key",
        ),
        ("  db: {a: {command: [no-such-program]}}\n", "`no-such-program` is not installed"),
        ("  db: {a: {command: ['true']}}\n", "`secrets.db.a` is empty"),
        ("  db: {command: [echo, hunter22]}\n", "is neither a map in YAML or JSON nor lines of NAME=value"),
        ("  db: {a: {command: ['${NOWHERE_TO_BE_FOUND}']}}\n", "`NOWHERE_TO_BE_FOUND` has no value"),
    ] {
        let error = fetched(secrets, &[]).0.expect_err(secrets);
        assert!(error.message().contains(words), "{error}");
        assert_eq!(error.place().and_then(|place| place.line), Some(7), "{error}");
        assert!(!error.to_string().contains("hunter22"), "{error}");
    }
}

#[test]
fn a_pull_secret_is_what_kubelet_reads() {
    let secrets = "  registry: {pull: {user: bot, password: {command: [echo, s3cret-token]}}}\n";
    let (secrets, reporter) = fetched(secrets, &[]);
    let secret = secrets.expect("it is there").remove(0);
    assert_eq!((secret.kind.as_str(), secret.pulls.as_deref()), (pull::KIND, Some("registry.test:5000")));
    let document: serde_json::Value = serde_json::from_slice(&secret.data[pull::KEY]).expect("it is JSON");
    let entry = &document["auths"]["registry.test:5000"];
    assert_eq!((entry["username"].as_str(), entry["password"].as_str()), (Some("bot"), Some("s3cret-token")));
    assert_eq!(entry["auth"], STANDARD.encode("bot:s3cret-token"));
    assert_eq!(reporter.masked("s3cret-token"), "[MASKED]");
}

#[test]
fn the_token_of_the_job_is_no_pull_secret() {
    let secrets = "  registry: {pull: {user: gitlab-ci-token, password: {command: [echo, abcdef]}}}\n";
    let error = fetched(secrets, &[]).0.expect_err("it is refused");
    assert!(error.message().contains("the job's own token"), "{error}");
    assert!(error.advice().is_some_and(|hint| hint.contains("CI_DEPLOY_USER")), "{error}");
}

#[test]
fn without_values_the_keys_are_known() {
    let (_root, project, _) = opened("  db: {a: {env: NO_SUCH_VARIABLE_HERE}}\n", &[]);
    let secret = unfetched(&project).remove(0);
    assert_eq!(secret.data.keys().collect::<Vec<_>>(), ["a"]);
    assert!(!format!("{secret:?}").contains("{}"));
}
