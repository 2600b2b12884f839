//! Credential programs and token files of a kubeconfig, real ones.

use super::*;

fn sh(script: &str) -> AuthInfo {
    let exec = ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".to_owned()),
        command: Some("sh".to_owned()),
        args: Some(vec!["-c".to_owned(), script.to_owned()]),
        interactive_mode: Some(ExecInteractiveMode::Never),
        ..ExecConfig::default()
    };
    AuthInfo { exec: Some(exec), ..AuthInfo::default() }
}

async fn sent(mut user: AuthInfo) -> Result<String> {
    let header =
        Authorization::take(&mut user, "lab", &Reporter::silent()).await?.header(&Reporter::silent()).await?;
    Ok(header.map(|header| header.to_str().expect("ASCII").to_owned()).unwrap_or_default())
}

async fn refused(user: AuthInfo) -> String {
    let error = sent(user).await.expect_err("it is refused");
    format!("{} {error}; {}", error.kind().exit_code(), error.hint().unwrap_or_default())
}

fn with_token(token: &str) -> AuthInfo {
    AuthInfo { token: Some(token.into()), ..AuthInfo::default() }
}

const CREDENTIAL: &str = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"s3cr3t-token"}}"#;

#[tokio::test]
async fn a_token_is_sent_without_the_line_end_that_stands_behind_it() {
    assert_eq!(sent(AuthInfo::default()).await.expect("nobody"), "");
    assert_eq!(sent(with_token("abc\n")).await.expect("a token"), "Bearer abc");
    assert_eq!(sent(with_token("")).await.expect("an empty field is none"), "");
    let error = refused(with_token("ab\ncd")).await;
    assert!(error.starts_with("3 ") && !error.contains("cd"), "{error}");
    let basic = AuthInfo {
        username: Some("ann".into()),
        password: Some("x\n".to_owned().into()),
        ..AuthInfo::default()
    };
    assert_eq!(sent(basic).await.expect("a password"), "Basic YW5uOngK");
}

#[tokio::test]
async fn a_token_file_is_read_as_editors_write_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token").to_string_lossy().into_owned();
    let with_file = || AuthInfo { token_file: Some(file.clone()), ..AuthInfo::default() };
    assert!(refused(with_file()).await.starts_with("6 the token file "));
    for bytes in [&b"abc\r\n"[..], b"\xef\xbb\xbfabc", b"\xff\xfea\0b\0c\0"] {
        std::fs::write(&file, bytes).expect("a file");
        assert_eq!(sent(with_file()).await.expect("a token"), "Bearer abc");
    }
    std::fs::write(&file, "one\ntwo\n").expect("a file");
    assert!(refused(with_file()).await.contains("holds more than one token"));
    std::fs::write(&file, b"\xff\xfea").expect("a file");
    assert!(refused(with_file()).await.contains("holds no token"));
}

#[tokio::test]
async fn words_around_the_credential_are_left_out_and_never_quoted() {
    for around in ["", "Session expires soon", "{warning} {\"kind\": \"Other\"}"] {
        for script in [format!("echo '{CREDENTIAL}{around}'"), format!("echo '{around}{CREDENTIAL}'")] {
            assert_eq!(sent(sh(&script)).await.expect(&script), "Bearer s3cr3t-token");
        }
    }
    let yaml = "printf 'kind: ExecCredential\nstatus:\n  token: abc\n'";
    assert_eq!(sent(sh(yaml)).await.expect(yaml), "Bearer abc");
    for broken in [
        "echo s3cr3t-token".to_owned(),
        "echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"s3cr3t-token\"'".to_owned(),
        "echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": [\"s3cr3t-token\"]}}'".to_owned(),
        "printf %s '{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"s3cr3t\\nx\"}}'".to_owned(),
        "echo s3cr3t-token; echo not s3cr3t-token >&2; exit 1".to_owned(),
    ] {
        let error = refused(sh(&broken)).await;
        assert!(
            error.starts_with("6 the credential program `sh`") && !error.contains("s3cr3t"),
            "{broken}: {error}"
        );
    }
}

#[tokio::test]
async fn a_program_that_fails_or_is_missing_is_named_with_what_helps() {
    let error = refused(sh("echo SSO session expired >&2; exit 255")).await;
    assert!(
        error.contains("`sh` of the kubeconfig failed (exit status: 255): SSO session expired"),
        "{error}"
    );
    let mut missing = sh("");
    let exec = missing.exec.as_mut().expect("it has one");
    exec.command = Some("no-such-authenticator".to_owned());
    exec.install_hint = Some("brew install authenticator\n".to_owned());
    let error = refused(missing).await;
    assert_eq!(
        error,
        "6 the credential program `no-such-authenticator` of the kubeconfig is not installed; brew install authenticator"
    );
    let mut nameless = sh("");
    nameless.exec.as_mut().expect("it has one").command = None;
    assert!(refused(nameless).await.starts_with("3 "));
}

#[tokio::test]
async fn a_slow_program_goes_on_without_its_request_and_one_that_fails_leaves_the_old_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let (count, go) = (directory.path().join("count"), directory.path().join("go"));
    let script = format!(
        "echo x >> {0}; n=$(grep -c x {0}); if [ $n = 2 ]; then while [ ! -e {1} ]; do sleep 0.05; done; fi; [ $n != 3 ] || exit 1; \
         printf '{{\"kind\": \"ExecCredential\", \"status\": {{\"token\": \"t%s\", \"expirationTimestamp\": \"9999-12-31T23:59:59Z\"}}}}' $n",
        count.display(),
        go.display()
    );
    let authorization =
        Authorization::take(&mut sh(&script), "lab", &Reporter::silent()).await.expect("a token");
    let reporter = Reporter::silent();
    let sent = async || authorization.header(&reporter).await.expect("a token").expect("a header");
    let grow_old = async || {
        authorization.current.lock().await.as_mut().expect("it has one").until = Timestamp::MIN;
    };
    grow_old().await;
    assert!(timeout(Duration::from_millis(200), sent()).await.is_err(), "it gives up");
    std::fs::write(&go, "").expect("it can be written");
    while sent().await != "Bearer t2" {}
    assert_eq!(std::fs::read_to_string(&count).expect("it was written"), "x\nx\n");
    grow_old().await;
    assert_eq!(sent().await, "Bearer t2");
    assert_eq!(std::fs::read_to_string(&count).expect("it was written"), "x\nx\nx\n");
}

#[tokio::test]
async fn a_program_gives_a_new_token_before_the_old_one_expires_and_is_told_the_cluster() {
    let directory = tempfile::tempdir().expect("a directory");
    let count = directory.path().join("count");
    let script = format!(
        "echo x >> {0}; printf '{{\"kind\": \"ExecCredential\", \"status\": {{\"token\": \"t%s\", \"expirationTimestamp\": \"9999-12-31T23:59:59Z\"}}}}' $(grep -c x {0})",
        count.display()
    );
    let mut user = sh(&script);
    let authorization = Authorization::take(&mut user, "lab", &Reporter::silent()).await.expect("a token");
    let sent = async || authorization.header(&Reporter::silent()).await.expect("a token").expect("a header");
    assert_eq!((sent().await, sent().await), ("Bearer t1".parse().unwrap(), "Bearer t1".parse().unwrap()));
    authorization.current.lock().await.as_mut().expect("it has one").until = Timestamp::MIN;
    assert_eq!(sent().await, "Bearer t2");
    let exec = user.exec.unwrap_or_default();
    let told: Value = serde_json::from_str(&info(&exec, false)).expect("JSON");
    assert_eq!((&told["kind"], &told["spec"]["interactive"]), (&json!("ExecCredential"), &json!(false)));
}

#[tokio::test]
async fn a_certificate_of_a_program_becomes_the_users() {
    let script = r#"echo '{"kind": "ExecCredential", "status": {"clientCertificateData": "C", "clientKeyData": "K"}}'"#;
    let mut user = sh(script);
    let authorization =
        Authorization::take(&mut user, "lab", &Reporter::silent()).await.expect("it gives a certificate");
    assert!(authorization.header(&Reporter::silent()).await.expect("no fault").is_none());
    assert_eq!(user.client_certificate_data, Some(STANDARD.encode("C")));
}

#[tokio::test]
async fn an_old_provider_is_refused_with_what_took_its_place() {
    let provider = kube::config::AuthProviderConfig { name: "gcp".into(), ..Default::default() };
    let user = AuthInfo { auth_provider: Some(provider), ..AuthInfo::default() };
    assert!(refused(user).await.starts_with("3 "));
}
