//! Values that never stand in Git: they reach the pods, and nobody finds them anywhere else.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bench::{Project, Run, lab, text};

const PASSWORD: &str = "p@ss w/rd+42?";
const CHANGED: &str = "n3w&p@ss=w/rd";

const READER: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: \"registry.test/web:1\", envFrom: [{secretRef: {name: db}}]}
";

fn reader(test: &str) -> Project {
    let config = "secrets: {db: {password: {env: DB_PASSWORD}, token: {command: [sh, -c, \"echo tok-$WINDLASS_TIER\"]}}}\n";
    let mut project = Project::bare(test, config, READER);
    project.set("DB_PASSWORD", PASSWORD);
    project
}

fn value(project: &Project, key: &str) -> String {
    let encoded = project.object("secret/db")["data"][key].as_str().unwrap_or_default().to_owned();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

/// Everything that records of releases hold, unpacked.
fn records(project: &Project, kinds: &str) -> String {
    let listed = project.kubectl(&["get", kinds, "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut found = String::new();
    for item in listed["items"].as_array().unwrap() {
        if ["db", "own", "registry"].iter().any(|name| item["metadata"]["name"] == *name) {
            continue;
        }
        found += &item.to_string();
        if let Some(packed) = item["data"]["record"].as_str() {
            let bytes = STANDARD.decode(packed).unwrap();
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut found).unwrap();
        }
    }
    found
}

/// Everything below a directory.
fn files(directory: &Path) -> String {
    text(Command::new("grep").args(["-rah", ""]).arg(directory))
}

/// The value as it is, base64-encoded wherever it begins, URL-encoded, in hexadecimal digits, and as JSON, HTML and shells
/// write it.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let json = Value::from(secret).to_string();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;");
    let shell = secret.replace('\'', r"'\''");
    let url: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let alone = STANDARD.encode(secret);
    let inside = STANDARD.encode(format!("me:{secret}"))[6..16].to_owned();
    let json = json[1..json.len() - 1].to_owned();
    vec![secret.to_owned(), url, alone.trim_end_matches('=').to_owned(), inside, hex, json, html, shell]
}

#[track_caller]
fn holds_none(what: &str, haystack: &str, secrets: &[&str]) {
    assert!(!haystack.is_empty(), "{what} is empty");
    for form in secrets.iter().flat_map(|secret| forms(secret)) {
        let found = haystack.lines().find(|line| line.contains(&form));
        assert_eq!(found, None, "{what} holds {form}");
    }
}

fn said(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

#[test]
fn a_value_reaches_the_pods_and_is_found_nowhere_else() {
    let project = reader("secret-search");
    let mut seen = Vec::new();
    for arguments in [
        &["plan", "staging"][..],
        &["release", "staging", "-v", "--report", "report"],
        &["plan", "staging", "-o", "json"],
        &["release", "staging", "-o", "json"],
        &["render", "staging"],
        &["status", "staging"],
        &["history", "staging", "-o", "json"],
        &["doctor", "staging"],
    ] {
        let run = project.windlass(arguments).exits(0);
        seen.push((arguments.join(" "), said(&run)));
    }
    assert!(seen.last().is_some_and(|(_, checks)| checks.contains("db: 2 values")), "{seen:?}");
    assert_eq!(value(&project, "password"), PASSWORD);
    assert_eq!(value(&project, "token"), "tok-staging");
    seen.push(("the report".to_owned(), files(&project.path().join("report"))));
    seen.push(("a record".to_owned(), records(&project, "secrets,configmaps")));
    for (what, text) in &seen {
        holds_none(what, text, &[PASSWORD, "tok-staging"]);
    }
    assert!(
        records(&project, "secrets,configmaps").contains("hmac-sha256:"),
        "a record has a hash of each value"
    );
    let shown = project.windlass(&["render", "staging", "--show-secrets"]).exits(0);
    assert!(shown.stdout.contains(&STANDARD.encode(PASSWORD)), "{shown}");
}

/// A value that comes to a Secret of the manifests from the environment.
const OWN: &str = "c4n&ry<'é>/v4lue";

/// A pod that says its secrets in every way it can, and dies.
const LOUD: &str = r#"apiVersion: v1
kind: Secret
metadata: {name: own, annotations: {windlass.dev/substitute: "on"}}
stringData: {token: "${OWN}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: app
          envFrom: [{secretRef: {name: db}}, {secretRef: {name: own}}]
          command:
            - sh
            - -c
            - |
              for value in "$password" "$token"; do
                echo "plain $value"
                printf '\033[31mpart\033[0m of %s\r\n' "$value"
                printf %s "user:$value" | base64
                printf %s "$value" | hexdump -v -e '/1 "%02x"'; echo
                printf %s "$value" | sed 's/%/%25/g; s/ /%20/g; s/&/%26/g; s/@/%40/g'; echo
              done
              printf 'cannot log in as %s, %s' "$password" "$token" > /dev/termination-log
              exit 3
"#;

#[test]
fn a_failing_release_gives_nothing_away_in_any_output() {
    let mut project = Project::small("secret-loud", "ARG BASE\nFROM ${BASE}/busybox\n", LOUD);
    project.set("DB_PASSWORD", PASSWORD);
    project.set("OWN_VALUE", OWN);
    project.edit("windlass.yaml", "timeout: 3m", "timeout: 3m, vars: {OWN: \"${OWN_VALUE}\"}");
    project.edit("windlass.yaml", "tiers:", "secrets: {db: {password: {env: DB_PASSWORD}}}\ntiers:");
    project.commit("loud");
    let mut seen = Vec::new();
    for output in ["plain", "gitlab", "json"] {
        let directory = format!("report-{output}");
        let arguments = ["pipeline", "staging", "-v", "-o", output, "--report", &directory];
        let run = project.windlass(&arguments);
        assert!([31, 32].contains(&run.code), "{run}");
        assert!(said(&run).contains("[MASKED]"), "the pod is heard: {run}");
        seen.push((output.to_owned(), said(&run)));
        seen.push((format!("the report of {output}"), files(&project.path().join(directory))));
    }
    for arguments in [
        &["explain", "staging"][..],
        &["explain", "staging", "-o", "json"],
        &["status", "staging", "--color", "always"],
        &["status", "staging", "-o", "json"],
        &["history", "staging", "-o", "json"],
        &["logs", "staging"],
        &["plan", "staging", "-o", "json"],
        &["render", "staging"],
    ] {
        let run = project.windlass(arguments);
        assert!(!said(&run).contains("\u{1b}[31mpart"), "{run}");
        seen.push((arguments.join(" "), said(&run)));
    }
    for (what, text) in &seen {
        holds_none(what, text, &[PASSWORD, OWN]);
    }
    holds_none("a record", &records(&project, "secrets,configmaps"), &[PASSWORD]);
    // The record must be able to bring a Secret of the manifests back; the history must not.
    holds_none("the history", &records(&project, "configmaps"), &[PASSWORD, OWN]);
}

#[test]
fn a_mistake_in_a_secret_is_told_without_its_value() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData:\n";
    for wrong in [
        "  token: hunter22-canary: x\n",
        "  token: \"hunter22-canary\n",
        "  token: !!int hunter22-canary\n",
        "  token: [hunter22-canary]\n",
    ] {
        let project = Project::bare("secret-wrong", "", &format!("{READER}---\n{secret}{wrong}"));
        let run = project.windlass(&["validate"]).exits(3).says(".kube/app.yaml:");
        holds_none("the mistake", &said(&run), &["hunter22-canary"]);
        let run = project.windlass(&["release", "staging", "-o", "json"]).exits(3);
        holds_none("the mistake", &said(&run), &["hunter22-canary"]);
    }
}

#[test]
fn a_changed_value_restarts_the_pods_and_stays_on_a_rollback() {
    let mut project = reader("secret-change");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0).says("2 unchanged");

    project.set("DB_PASSWORD", CHANGED);
    let plan = project.windlass(&["plan", "staging"]).exits(0);
    holds_none("the plan", &said(&plan), &[PASSWORD, CHANGED]);
    assert!(plan.stdout.contains("data.password"), "{plan}");
    assert!(plan.stdout.contains("web restarts: Secret/db password changed"), "{plan}");
    assert_eq!(plan.stdout.matches("[MASKED ").count(), 2, "{plan}");
    project.windlass(&["release", "staging"]).exits(0).says("2 changed");
    only_the_value_differs(&project);

    project.edit(".kube/app.yaml", "web:1", "web:2");
    project.commit("another image");
    project.windlass(&["release", "staging"]).exits(0).says("1 changed");
    let back = project.windlass(&["rollback", "staging", "--to", "1"]).exits(0);
    back.says("values changed since release 1 are kept: Secret/db (password)");
    assert_eq!(value(&project, "password"), CHANGED, "the live value is kept");
    let running = project.object("deployment/web");
    assert_eq!(running["spec"]["template"]["spec"]["containers"][0]["image"], "registry.test/web:1");

    // The pods know the value that is there: a release of the same has nothing to restart.
    let hash =
        |object: &Value| object["spec"]["template"]["metadata"]["annotations"]["windlass.dev/config"].clone();
    project.edit(".kube/app.yaml", "web:2", "web:1");
    project.commit("back");
    project.windlass(&["release", "staging"]).exits(0).says("2 unchanged");
    assert_eq!(hash(&project.object("deployment/web")), hash(&running));

    // And the value of before comes back when the environment has it again.
    project.set("DB_PASSWORD", PASSWORD);
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(value(&project, "password"), PASSWORD);
}

/// No record has the value of before, so that a rollback could do nothing.
fn only_the_value_differs(project: &Project) {
    project
        .windlass(&["status", "staging"])
        .exits(0)
        .says("would keep the changed values of Secret/db (password)");
    for rollback in [&["rollback", "staging", "--dry-run"][..], &["rollback", "staging"]] {
        let refused = project.windlass(rollback).exits(34);
        refused
            .says("only values of Secrets differ from release")
            .says("no record has them: Secret/db (password)");
    }
    project.windlass(&["release", "staging"]).exits(0).says("2 unchanged");
}

#[test]
fn a_secret_that_a_failed_release_no_longer_had_is_there_after_the_way_back() {
    let project = reader("secret-renamed");
    project.windlass(&["release", "staging"]).exits(0);
    let edit = |file: &str, from: &str, to: &str| project.edit(file, from, to);
    edit("windlass.yaml", "secrets: {db:", "secrets: {database:");
    edit(".kube/app.yaml", "name: db", "name: database");
    // The fake nodes pull whatever they are told to: the cluster's own word ends it.
    edit(".kube/app.yaml", "spec:\n  selector", "spec:\n  progressDeadlineSeconds: 3\n  selector");
    edit(".kube/app.yaml", "    spec:\n", "    spec:\n      nodeSelector: {no: where}\n");
    project.commit("another name");
    let failed = project.windlass(&["release", "staging", "--timeout", "20s"]);
    assert!([31, 32].contains(&failed.code), "{failed}");
    let status = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0);
    assert_eq!(status["ready"], false, "{status}");
    let back = project.windlass(&["rollback", "staging"]).exits(0);
    assert!(!back.stderr.contains("no record has its values"), "{back}");
    assert_eq!(value(&project, "password"), PASSWORD, "{back}");
    assert!(!project.object("secret/database").is_null(), "no record has its value: {back}");

    // What somebody does to it by hand is seen, and not shown.
    let patch = format!(r#"{{"data":{{"password":"{}"}}}}"#, STANDARD.encode(CHANGED));
    project.kubectl(&["patch", "secret/db", "--type=merge", "-p", &patch]);
    let drifted = project.windlass(&["status", "staging"]).exits(0).says("data.password");
    holds_none("the status", &said(&drifted), &[PASSWORD, CHANGED]);
    project.kubectl(&["delete", "secret/db"]);
    project.windlass(&["status", "staging"]).exits(0).says("Secret/db was deleted");
    let gone = project.windlass(&["status", "staging", "-o", "json"]).exits(0).events().remove(0);
    assert_eq!(gone["ready"], false, "{gone}");
}

#[test]
fn what_cannot_be_had_is_known_before_anything_is_changed() {
    let config = "secrets: {db: {password: {env: DB_PASSWORD_THAT_NOBODY_SET}}}\n";
    let project = Project::bare("secret-missing", config, READER);
    let run = project.windlass(&["release", "staging"]).exits(3);
    let run = run.says("`DB_PASSWORD_THAT_NOBODY_SET` is not set (in `secrets.db.password`)");
    assert!(run.stderr.contains("windlass.yaml:6:"), "{run}");
    project.windlass(&["doctor", "staging"]).says("`DB_PASSWORD_THAT_NOBODY_SET` is not set");
    project.windlass(&["validate"]).exits(0);
    project.windlass(&["render", "staging"]).exits(0).says("name: db");

    let config = "registry: registry.test/shop\nsecrets: {registry: {pull: {user: {env: CI_REGISTRY_USER}, password: {env: CI_REGISTRY_PASSWORD}}}}\n";
    let project = Project::bare("secret-token", config, READER);
    project.windlass(&["validate"]).exits(3).says("CI_DEPLOY_USER");
    let config =
        "registry: registry.test/shop\nsecrets: {registry: {pull: {user: bot, password: {env: TOKEN}}}}\n";
    let mut project = Project::bare("secret-token-2", config, READER);
    project.set("TOKEN", "glcbt-64-abcdefgh");
    project.set("CI_JOB_TOKEN", "glcbt-64-abcdefgh");
    let run = project.windlass(&["release", "staging"]).exits(3).says("the job's own token");
    holds_none("the refusal", &said(&run), &["glcbt-64-abcdefgh"]);
}

#[test]
fn nodes_pull_with_the_pull_secret() {
    let dockerfile = "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sleep\", \"3600\"]\n";
    let manifests = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: app}]}
";
    let mut project = Project::small("secret-pull", dockerfile, manifests);
    project.set("REGISTRY", format!("{}/{}", lab("LAB_REGISTRY_TLS"), project.name));
    project.set("DEPLOY_PASSWORD", lab("LAB_REGISTRY_PASSWORD"));
    let auth = STANDARD.encode(format!("{}:{}", lab("LAB_REGISTRY_USER"), lab("LAB_REGISTRY_PASSWORD")));
    project
        .set("DOCKER_AUTH_CONFIG", json!({"auths": {lab("LAB_REGISTRY_TLS"): {"auth": auth}}}).to_string());
    let config = format!(
        "ca: {}\nsecrets: {{registry: {{pull: {{user: {}, password: {{env: DEPLOY_PASSWORD}}}}}}}}\ntiers:",
        lab("LAB_REGISTRY_CA"),
        lab("LAB_REGISTRY_USER")
    );
    project.edit("windlass.yaml", "tiers:", &config);
    project.commit("with a password");
    let run = project.windlass(&["pipeline", "staging"]).exits(0);
    holds_none("the pipeline", &said(&run), &[&lab("LAB_REGISTRY_PASSWORD")]);
    let pod = &project.object("deployment/web")["spec"]["template"]["spec"];
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_eq!(project.object("secret/registry")["type"], "kubernetes.io/dockerconfigjson");
    holds_none("a record", &records(&project, "secrets,configmaps"), &[&lab("LAB_REGISTRY_PASSWORD")]);
}

#[test]
fn what_others_make_is_checked_before_the_first_change() {
    let manifests = READER.replace(
        "envFrom: [{secretRef: {name: db}}]",
        "env: [{name: A, valueFrom: {secretKeyRef: {name: made, key: password}}}]",
    );
    let project = Project::bare("secret-external", "external: [Secret/made]\n", &manifests);
    let run = project.windlass(&["release", "staging", "-o", "json"]).exits(30);
    assert_eq!(run.finished()["causes"][0]["object"], "Secret/made", "{run}");
    assert_eq!(run.finished()["causes"][0]["cause"], "config-missing", "{run}");
    let namespace =
        project.kubectl(&["get", "namespace", &project.namespace, "--ignore-not-found", "-o", "name"]);
    assert_eq!(namespace, "", "nothing was changed, not even the namespace was made");

    project.kubectl(&["create", "namespace", &project.namespace]);
    project.kubectl(&["create", "secret", "generic", "made", "--from-literal=other=x"]);
    let run = project.windlass(&["release", "staging"]).exits(30).says("lacks the key `password`");
    assert!(run.stderr.contains("windlass.yaml:6:"), "{run}");
    project.kubectl(&["delete", "secret", "made"]);
    project.kubectl(&["create", "secret", "generic", "made", "--from-literal=password=x"]);
    project.windlass(&["release", "staging"]).exits(0);
    let made = project.object("secret/made");
    assert_eq!(made["metadata"]["labels"], Value::Null, "it is left as it is");
}
