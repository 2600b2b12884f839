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
    let project = Project::open(&options, crate::project::GitFacts::default(), &crate::project::variable)
        .expect("the project can be read");
    let tier = project.tier("staging", &TierOverrides::default()).expect("the tier exists");
    (root, project, tier)
}

fn fetched(secrets: &str, files: &[(&str, &str)]) -> (Result<Vec<Secret>>, Reporter) {
    let (_root, project, tier) = opened(secrets, files);
    let reporter = Reporter::silent();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    (runtime.block_on(fetch(&project, &tier, &reporter)), reporter)
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
    assert!(error.hint().is_some_and(|hint| hint.contains("CI_DEPLOY_USER")), "{error}");
}

#[test]
fn without_values_the_keys_are_known() {
    let (_root, project, tier) = opened("  db: {a: {env: NO_SUCH_VARIABLE_HERE}}\n", &[]);
    let secret = unfetched(&project, &tier).remove(0);
    assert_eq!(secret.data.keys().collect::<Vec<_>>(), ["a"]);
    assert!(!format!("{secret:?}").contains("{}"));
}

#[tokio::test]
async fn what_a_person_wrote_as_a_name_is_shown_and_what_came_from_elsewhere_is_not() {
    let (_root, project, tier) = opened(
        "  app: {command: [cat, all.env]}\n",
        &[("all.env", "USER=registry\nSPACE=shop-staging\nPASSWORD=staging1\nLEVEL=verbose-and-more\n")],
    );
    let reporter = Reporter::silent();
    fetch(&project, &tier, &reporter).await.expect("all values are there");
    let text = "registry.test:5000/shop in shop-staging, staging1, verbose-and-more";
    assert_eq!(reporter.masked(text), "registry.test:5000/shop in shop-staging, [MASKED], [MASKED]");
}

#[test]
fn the_parts_of_a_value_are_secrets_too() {
    let reporter = Reporter::silent();
    hide(&reporter, b"postgres://shopuser:s3cr%40t-pass@db.test/shop");
    let auth = STANDARD.encode("robot-of-shop:t0ken-of-robot");
    hide(
        &reporter,
        format!(r#"{{"auths": {{"registry.of-another-team.test": {{"auth": "{auth}"}}}}, "apiToken": "0123456789"}}"#)
            .as_bytes(),
    );
    hide_header(&reporter, "Bearer bearer-of-news");
    hide_header(&reporter, &format!("Basic {}", STANDARD.encode("watcher-of-shop:p@ss-of-watcher")));
    for (text, shown) in [
        ("who is bearer-of-news", "who is [MASKED]"),
        ("watcher-of-shop:p@ss-of-watcher", "watcher-of-shop:[MASKED]"),
        ("login failed: s3cr%40t-pass", "login failed: [MASKED]"),
        ("with t0ken-of-robot", "with [MASKED]"),
        ("0123456789", "[MASKED]"),
        ("pull registry.of-another-team.test/web", "pull registry.of-another-team.test/web"),
        ("postgres is not ready", "postgres is not ready"),
    ] {
        assert_eq!(reporter.masked(text), shown);
    }
}

#[test]
fn values_of_secrets_in_manifests_are_hidden_and_names_are_not() {
    let reporter = Reporter::silent();
    let secret = serde_json::json!({
        "kind": "Secret", "metadata": {"name": "database"},
        "data": {"password": STANDARD.encode("correct-horse"), "binary": STANDARD.encode([255; 12])},
        "stringData": {"username": "username", "owner": "webserver", "token": "tok-en-of-it"},
    });
    let workload = serde_json::json!({"kind": "Deployment", "metadata": {"name": "webserver"}});
    hide_objects([&secret, &workload], &reporter);
    let text =
        format!("correct-horse {} tok-en-of-it username webserver database", STANDARD.encode([255; 12]));
    assert_eq!(reporter.masked(&text), "[MASKED] [MASKED] [MASKED] username webserver database");
}

#[test]
fn names_of_variables_tell_what_is_secret() {
    for name in
        ["CI_JOB_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "apiToken", "client-secret", "DEPLOY_KEY"]
    {
        assert!(tells(name), "{name}");
    }
    for name in ["AWS_WEB_IDENTITY_TOKEN_FILE", "TOKEN_URL", "KEYBOARD", "HOME", "SECRET_NAME", "MONKEY"] {
        assert!(!tells(name), "{name}");
    }
}

#[test]
fn names_say_whether_a_value_is_a_secret() {
    for name in [
        "DB_PASSWORD",
        "MYSQL_PWD",
        "SSH_KEY_PASSPHRASE",
        "VAULT_SECRET_ID",
        "AWS_SECRET_ACCESS_KEY",
        "api-key",
    ] {
        assert!(tells(name), "{name}");
    }
    for name in [
        "PWD",
        "OLDPWD",
        "SSH_ASKPASS",
        "CACHE_FALLBACK_KEY",
        "TOKEN_URL",
        "AWS_ACCESS_KEY_ID",
        "SECRET_NAME",
    ] {
        assert!(!tells(name), "{name}");
    }
}
