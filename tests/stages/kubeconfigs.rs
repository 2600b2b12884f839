//! Kubeconfigs as people have them: what kubectl takes works, what is wrong is said by its field, and no credential is printed.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::{Run, run, windlass};
use crate::fake_api::FakeApi;

/// Asks for the status of a tier of which nothing but the kubeconfig is known.
fn status(directory: &Path, cluster: &str, user: &str) -> Run {
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {cluster}}}]\nusers: [{{name: u, user: {user}}}]\n\
         contexts: [{{name: lab, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(directory.join("kubeconfig"), kubeconfig).unwrap();
    let arguments = ["status", "dev", "--project", "shop", "--context", "lab", "--namespace", "shop"];
    let mut windlass = windlass(directory, &arguments);
    windlass.env("KUBECONFIG", directory.join("kubeconfig"));
    for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        windlass.env_remove(name);
    }
    let began = Instant::now();
    run(&windlass.output().unwrap(), began.elapsed())
}

fn write(directory: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(directory.join(name), text).unwrap();
    std::fs::set_permissions(directory.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_server_without_a_scheme_and_a_token_file_with_a_line_end() {
    let (directory, api) = (tempfile::tempdir().unwrap(), FakeApi::start(&[]));
    write(directory.path(), "token", "\u{feff}abc123\r\n");
    let cluster = format!("{{server: '{}'}}", api.address());
    status(directory.path(), &cluster, "{tokenFile: token}").exits(0).says("nothing was released here yet");
    assert!(
        !api.seen().is_empty() && api.seen().iter().all(|seen| seen == "Bearer abc123"),
        "{:?}",
        api.seen()
    );
}

#[test]
fn a_credential_program_that_prints_a_word_beside_its_json() {
    let (directory, api) = (tempfile::tempdir().unwrap(), FakeApi::start(&[]));
    let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"s3cr3t-token"}}"#;
    let cluster = format!("{{server: 'http://{}'}}", api.address());
    let user = |program: &str| {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: ./{program}, installHint: 'apt install it', interactiveMode: IfAvailable}}}}"
        )
    };
    for (name, script) in [
        ("before", format!("echo 'expires soon{credential}'")),
        ("after", format!("echo '{credential}expires soon'")),
    ] {
        write(directory.path(), name, &format!("#!/bin/sh\n{script}\n"));
        status(directory.path(), &cluster, &user(name)).exits(0).says("nothing was released here yet");
    }
    assert!(api.seen().iter().all(|seen| seen == "Bearer s3cr3t-token"), "{:?}", api.seen());

    write(directory.path(), "broken", "#!/bin/sh\necho '{\"status\":{\"token\":\"s3cr3t-token\"'\n");
    write(
        directory.path(),
        "fails",
        "#!/bin/sh\necho s3cr3t-token; echo SSO session expired >&2; exit 255\n",
    );
    let broken =
        status(directory.path(), &cluster, &user("broken")).exits(6).says("printed no ExecCredential");
    let fails = status(directory.path(), &cluster, &user("fails"))
        .exits(6)
        .says("SSO session expired")
        .says("fails`");
    assert!(
        !broken.to_string().contains("s3cr3t") && !fails.to_string().contains("s3cr3t"),
        "{broken}{fails}"
    );
    status(directory.path(), &cluster, &user("missing"))
        .exits(6)
        .says("missing` of the kubeconfig is not installed")
        .says("apt install it");
}

#[test]
fn what_is_wrong_with_a_kubeconfig_is_said_by_its_field() {
    let directory = tempfile::tempdir().unwrap();
    for (cluster, user, words) in [
        ("{}", "{}", "`server`"),
        ("{server: 'https://'}", "{}", "`server`"),
        ("{server: 'https://127.0.0.1:1', proxy-url: 'ftp://x'}", "{}", "`proxy-url`"),
        ("{server: 'https://127.0.0.1:1', tls-server-name: 'a b'}", "{}", "`tls-server-name`"),
        ("{server: 'https://127.0.0.1:1', certificate-authority: no.crt}", "{}", "no.crt cannot be read"),
        (
            "{server: 'https://127.0.0.1:1', certificate-authority-data: '%%'}",
            "{}",
            "`certificate-authority-data`",
        ),
        (
            "{server: 'https://127.0.0.1:1', certificate-authority-data: bm8gUEVN}",
            "{}",
            "`certificate-authority`",
        ),
        ("{server: 'https://127.0.0.1:1'}", "{client-certificate-data: bm8gUEVN}", "no `client-key`"),
        ("{server: 'https://127.0.0.1:1'}", "{token: \"s3cr3t\\nx\"}", "token"),
        ("{server: 'https://127.0.0.1:1'}", "{exec: {apiVersion: v1}}", "`command`"),
        ("{server: 'https://127.0.0.1:1'}", "{auth-provider: {name: gcp}}", "gcp"),
        ("{server: 'https://127.0.0.1:1'}", "[s3cr3t]", "is not a kubeconfig (line"),
    ] {
        let run = status(directory.path(), cluster, user).exits(3).says(words);
        assert!(!run.to_string().contains("s3cr3t") && run.took < Duration::from_secs(5), "{run}");
    }
    std::fs::write(directory.path().join("odd"), b"\xff\xfea").unwrap();
    let arguments = [
        "status",
        "dev",
        "--project",
        "shop",
        "--context",
        "lab",
        "--namespace",
        "shop",
        "--kubeconfig",
        "odd",
    ];
    let output = windlass(directory.path(), &arguments).output().unwrap();
    run(&output, Duration::ZERO).exits(3).says("it is not text");
}

#[test]
fn a_proxy_that_is_not_there_is_worth_a_retry() {
    let directory = tempfile::tempdir().unwrap();
    for proxy in ["socks5://127.0.0.1:1", "socks5h://127.0.0.1:1", "http://127.0.0.1:1"] {
        let cluster = format!("{{server: 'https://api.test:6443', proxy-url: '{proxy}'}}");
        status(directory.path(), &cluster, "{}").exits(5);
    }
}
