//! After the rollout: addresses that answer, a test against the tier, objects that stay well.

use crate::bench::{Project, lab};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nRUN mkdir /w && echo fine > /w/health\n";

/// A web server behind an Ingress.
fn web(project: &str) -> String {
    format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: app
          command: [httpd, -f, -p, "8080", -h, /w]
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  rules:
    - host: {project}.shop.test
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
"#
    )
}

/// A project whose tier verifies so.
fn verified(test: &str, manifests: &str, verify: &str) -> Project {
    let mut project = Project::small(test, DOCKERFILE, manifests);
    project.set("INGRESS", lab("LAB_INGRESS"));
    project.edit(
        "windlass.yaml",
        "timeout: 3m",
        &format!("timeout: 3m, vars: {{GREETING: hello}}, verify: {verify}"),
    );
    project
}

#[test]
fn a_release_is_good_only_once_its_address_answers() {
    let name = format!("t-verify-http-{}", std::process::id());
    let verify = format!(
        r#"{{http: "http://${{INGRESS}}/health", headers: {{Host: {name}.shop.test}}, for: 2s}}, rollback: auto"#
    );
    let project = verified("verify-http", &web(&name), &verify);
    assert_eq!(project.name, name);
    project.commit("verify");
    project.windlass(&["validate"]).exits(0);
    project.windlass(&["pipeline", "staging"]).exits(0).says("answered 200 OK for 2 s");
    // Nothing has changed: it was verified.
    let again = project.windlass(&["release", "staging"]).exits(0);
    assert!(!again.stderr.contains("answered 200"), "{again}");

    project.edit("windlass.yaml", "for: 2s", "for: 8s, within: 4s");
    project.edit("Dockerfile", "/w/health", "/w/healthy");
    project.commit("nobody is well");
    let failed = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(35);
    let cause = failed.finished()["causes"][0].clone();
    assert_eq!(cause["cause"], "verify-failed", "{failed}");
    assert!(cause["message"].as_str().unwrap().contains("answered 404 Not Found"), "{failed}");
    assert_eq!(failed.finished()["rolled_back_to"], 2, "{failed}");
    project.windlass(&["history", "staging"]).exits(0).says("verify-failed");
}

#[test]
fn a_test_is_run_against_the_tier() {
    let project = verified("verify-test", &web("nobody"), "{test: smoke}");
    let line = r#"test "$WINDLASS_TIER $GREETING $WINDLASS_URL" = "staging hello http://nobody.shop.test" && test "$MODE" = good"#;
    let tests = |mode: &str| {
        format!(
            "tests: {{smoke: {{image: app, run: [sh, -c, '{line} || {{ echo no greeting; exit 4; }}'], env: {{MODE: {mode}}}}}}}\n"
        )
    };
    let text = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    project.write("windlass.yaml", &format!("{text}{}", tests("good")));
    project.commit("verify");
    let good = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(0);
    assert_eq!(good.stages(), ["build ok", "release ok"], "no test runs before the release: {good}");
    let ran = good.events().iter().filter(|event| event["step"] == "test smoke").count();
    assert!(ran > 0, "{good}");

    project.write("windlass.yaml", &format!("{text}{}", tests("bad")));
    project.edit(".kube/app.yaml", "port: 80,", "port: 80, name: http,");
    project.edit(".kube/app.yaml", "port: {number: 80}", "port: {name: http}");
    project.commit("another Service");
    let failed = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(31);
    let cause = failed.finished()["causes"][0].clone();
    assert_eq!(
        (cause["test"].as_str(), cause["cause"].as_str()),
        (Some("smoke"), Some("verify-failed")),
        "{failed}"
    );
    assert!(cause["evidence"].to_string().contains("no greeting"), "{failed}");
    // Nothing changes now, but it was never verified.
    project.windlass(&["release", "staging"]).exits(31).says("verify-failed");
}

#[test]
fn what_dies_a_little_later_is_seen_by_looking_on() {
    let manifests = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: app, command: [sh, -c, "sleep 12; echo out of ideas; exit 3"]}]
"#;
    let project = verified("verify-soak", manifests, "{soak: 1m30s}");
    project.commit("soak");
    let failed = project.windlass(&["pipeline", "staging", "-o", "json"]).exits(31);
    let cause = failed.finished()["causes"][0].clone();
    assert_eq!(
        (cause["object"].as_str(), cause["cause"].as_str()),
        (Some("Deployment/web"), Some("verify-failed"))
    );
    assert!(cause["message"].as_str().unwrap().contains("exit-code: container web exited 3"), "{failed}");
    assert!(cause["evidence"].to_string().contains("out of ideas"), "{failed}");

    project.edit(".kube/app.yaml", "sleep 12; echo out of ideas; exit 3", "sleep 100000");
    project.edit("windlass.yaml", "1m30s", "3s");
    project.commit("it stays");
    let good = project.windlass(&["pipeline", "staging"]).exits(0);
    good.says("everything stays ready");
}

#[test]
fn a_check_that_is_new_is_made_though_nothing_changed() {
    let manifests = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    let project = Project::bare("verify-new", "", manifests);
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(
        "windlass.yaml",
        "timeout: 1m",
        r#"timeout: 1m, verify: {http: "http://127.0.0.1:1/", within: 2s}"#,
    );
    project.commit("nobody answers there");
    project.windlass(&["release", "staging"]).exits(31).says("could not be verified");
    assert_eq!(project.windlass(&["history", "staging", "-o", "json"]).events()[0]["outcome"], "failed");
    // Somebody answers now; the same checks in another place of the file are the same.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::{Read, Write};
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    project.edit("windlass.yaml", "127.0.0.1:1/", &format!("127.0.0.1:{port}/"));
    project.edit("windlass.yaml", "within: 2s", "within: 2s, for: 1s");
    project.commit("somebody answers");
    project.windlass(&["release", "staging"]).exits(0).says("answered 200 OK");
    project.edit("windlass.yaml", "version: 1\n", "version: 1\n# A line more.\n");
    project.commit("a line more");
    let again = project.windlass(&["release", "staging"]).exits(0);
    assert!(!again.stderr.contains("answered 200"), "{again}");
}
