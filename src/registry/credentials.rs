//! Who we are to a registry: the credentials that Docker's own tools would find, in Docker's order, then GitLab's.
//!
//! 1. `DOCKER_AUTH_CONFIG` (a `config.json` in a variable, as GitLab hands it over),
//! 2. `config.json` (`$DOCKER_CONFIG`, else `~/.docker`): `credHelpers`, `credsStore`, `auths`,
//! 3. `CI_REGISTRY_USER`/`CI_REGISTRY_PASSWORD` for the host `CI_REGISTRY`,
//! 4. `CI_DEPENDENCY_PROXY_USER`/`_PASSWORD` for `CI_DEPENDENCY_PROXY_SERVER`,
//! 5. nobody.
//!
//! Nothing is written to disk and nothing is ever printed but the name of the source. They are read anew for each
//! try, because a job's token may be replaced while a long push runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::error::{Error, Kind, Result};

/// How long a credential helper may take: a keychain that asks a person would otherwise hang the run.
const HELPER_LIMIT: Duration = Duration::from_secs(10);

/// User and password, or an identity token, and where they came from.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user; `<token>` where a helper gave an identity token.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// A refresh token that is exchanged for access tokens, instead of a password.
    pub identity_token: Option<SecretString>,
    /// In words: `auths in ~/.docker/config.json`, `CI_REGISTRY_PASSWORD`.
    pub source: String,
}

/// Where credentials are looked for.
#[derive(Debug, Clone)]
pub struct Keychain {
    environment: BTreeMap<&'static str, String>,
    directory: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, AuthEntry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

const VARIABLES: [&str; 8] = [
    "DOCKER_AUTH_CONFIG",
    "DOCKER_CONFIG",
    "CI_REGISTRY",
    "CI_REGISTRY_USER",
    "CI_REGISTRY_PASSWORD",
    "CI_DEPENDENCY_PROXY_SERVER",
    "CI_DEPENDENCY_PROXY_USER",
    "CI_DEPENDENCY_PROXY_PASSWORD",
];

impl Keychain {
    /// Looks where Docker's tools of this process would look.
    pub fn from_environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// As [`Keychain::from_environment`], with the variables taken from a function. A variable that is set but
    /// empty is as good as unset.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &'static str| Some((name, variable(name).filter(|value| !value.is_empty())?));
        let environment: BTreeMap<_, _> = VARIABLES.into_iter().filter_map(read).collect();
        let directory = match environment.get("DOCKER_CONFIG") {
            Some(directory) => Some(PathBuf::from(directory)),
            None => variable("HOME").map(|home| PathBuf::from(home).join(".docker")),
        };
        Self { environment, directory }
    }

    /// The credentials for this host (`registry.example.com:5000`), or `None` for an anonymous visit.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a configuration that cannot be read, [`Kind::Denied`] for a helper that fails.
    pub async fn find(&self, host: &str) -> Result<Option<Credentials>> {
        if let Some(text) = self.environment.get("DOCKER_AUTH_CONFIG") {
            let config = parse(text, "DOCKER_AUTH_CONFIG")?;
            if let Some(found) = from_config(&config, host, "DOCKER_AUTH_CONFIG").await? {
                return Ok(Some(found));
            }
        }
        if let Some((config, name)) = self.file()?
            && let Some(found) = from_config(&config, host, &name).await?
        {
            return Ok(Some(found));
        }
        Ok(self.of_gitlab(host))
    }

    fn file(&self) -> Result<Option<(DockerConfig, String)>> {
        let Some(path) = self.directory.as_ref().map(|directory| directory.join("config.json")) else {
            return Ok(None);
        };
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some((parse(&text, &name)?, name))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Kind::Invalid, format!("{name} cannot be read: {error}"))
                .hint("it holds the registry passwords of `docker login`")),
        }
    }

    fn of_gitlab(&self, host: &str) -> Option<Credentials> {
        [
            ("CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"),
            ("CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY_USER", "CI_DEPENDENCY_PROXY_PASSWORD"),
        ]
        .into_iter()
        .find_map(|(server, user, password)| {
            let names = self.environment.get(server).is_some_and(|server| key(server) == key(host));
            Some(Credentials {
                username: self.environment.get(user).filter(|_| names)?.clone(),
                password: self.environment.get(password)?.clone().into(),
                identity_token: None,
                source: password.to_owned(),
            })
        })
    }
}

fn parse(text: &str, name: &str) -> Result<DockerConfig> {
    serde_json::from_str(text).map_err(|error| {
        // serde's message could quote a value of the file; the place alone is enough.
        Error::new(
            Kind::Invalid,
            format!(
                "{name} is not a Docker configuration (line {}, column {})",
                error.line(),
                error.column()
            ),
        )
        .hint("it is JSON like {\"auths\": {\"registry.example.com\": {\"auth\": \"…\"}}}")
    })
}

async fn from_config(config: &DockerConfig, host: &str, name: &str) -> Result<Option<Credentials>> {
    let helper = config.cred_helpers.iter().find(|(server, _)| key(server) == key(host));
    if let Some((server, helper)) = helper {
        return ask(helper, server, name).await;
    }
    if !config.creds_store.is_empty()
        && let Some(found) = ask(&config.creds_store, server_name(host), name).await?
    {
        return Ok(Some(found));
    }
    config
        .auths
        .iter()
        .find(|(server, _)| key(server) == key(host))
        .map_or(Ok(None), |(server, entry)| from_entry(entry, server, name))
}

/// An entry of `auths`; one without any secret only says that the credentials store has it.
fn from_entry(entry: &AuthEntry, server: &str, name: &str) -> Result<Option<Credentials>> {
    let source = format!("auths in {name}");
    let identity_token =
        (!entry.identitytoken.is_empty()).then(|| SecretString::from(entry.identitytoken.clone()));
    if entry.auth.is_empty() {
        let empty = entry.username.is_empty() && identity_token.is_none();
        return Ok((!empty).then(|| Credentials {
            username: entry.username.clone(),
            password: entry.password.clone().into(),
            identity_token,
            source,
        }));
    }
    let wrong = || {
        Error::new(Kind::Invalid, format!("the `auth` of {server} in {name} is not user:password in base64"))
            .hint(format!("run `docker login {server}` again"))
    };
    let decoded = base64::engine::general_purpose::STANDARD.decode(entry.auth.trim()).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (username, password) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Some(Credentials {
        username: username.to_owned(),
        // Docker itself cuts zero bytes off the end: old versions wrote them.
        password: password.trim_end_matches('\0').to_owned().into(),
        identity_token,
        source,
    }))
}

/// Asks `docker-credential-<helper>`.
async fn ask(helper: &str, server: &str, name: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: String| {
        Error::new(
            Kind::Denied,
            format!("the credential helper `{program}` of {name} failed for {server}: {why}"),
        )
        .hint(format!("try `echo {server} | {program} get`"))
    };
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut input = child.stdin.take().expect("standard input was asked for");
    // A helper that never reads its input may have closed it: what it answers counts.
    let _ = input.write_all(server.as_bytes()).await;
    drop(input);
    let output = tokio::time::timeout(HELPER_LIMIT, child.wait_with_output())
        .await
        .map_err(|_| failed(format!("no answer within {} s", HELPER_LIMIT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(if said.is_empty() { output.status.to_string() } else { said }));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not what Docker expects".into()))?;
    let token = answer.username == "<token>";
    Ok(Some(Credentials {
        username: answer.username,
        identity_token: token.then(|| SecretString::from(answer.secret.clone())),
        password: answer.secret.into(),
        source: format!("{program} of {name}"),
    }))
}

/// The name under which Docker keeps a registry's credentials.
pub(crate) fn server_name(host: &str) -> &str {
    if is_hub(host) { "https://index.docker.io/v1/" } else { host }
}

fn is_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// A server's key without scheme and path, so that `https://host/v1/` and `host` are the same. The port counts.
fn key(server: &str) -> String {
    let server = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = server.split('/').next().unwrap_or(server);
    if is_hub(host) { "docker.io".to_owned() } else { host.to_owned() }
}

/// The parts that Docker's API wants, in its own words.
pub(crate) fn exposed(credentials: &Credentials) -> (String, String, Option<String>) {
    (
        credentials.username.clone(),
        credentials.password.expose_secret().to_owned(),
        credentials.identity_token.as_ref().map(|token| token.expose_secret().to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keychain(variables: &[(&str, &str)]) -> Keychain {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Keychain::new(move |name| variables.get(name).cloned())
    }

    fn auth(user: &str, password: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
    }

    async fn who(keychain: &Keychain, host: &str) -> Option<(String, String, String)> {
        let found = keychain.find(host).await.unwrap()?;
        Some((found.username.clone(), found.password.expose_secret().to_owned(), found.source))
    }

    #[tokio::test]
    async fn the_variable_comes_before_the_file_and_gitlab_last() {
        let home = tempfile::tempdir().unwrap();
        let file = format!(
            r#"{{"auths": {{"a.test": {{"auth": "{}"}}, "b.test:5000": {{"auth": "{}"}}}}}}"#,
            auth("file", "1"),
            auth("file", "2:3")
        );
        std::fs::write(home.path().join("config.json"), file).unwrap();
        let variable =
            format!(r#"{{"auths": {{"https://a.test/v1/": {{"auth": "{}"}}}}}}"#, auth("variable", "x"));
        let keychain = keychain(&[
            ("DOCKER_AUTH_CONFIG", &variable),
            ("DOCKER_CONFIG", home.path().to_str().unwrap()),
            ("CI_REGISTRY", "c.test"),
            ("CI_REGISTRY_USER", "gitlab-ci-token"),
            ("CI_REGISTRY_PASSWORD", "job"),
        ]);
        assert_eq!(who(&keychain, "a.test").await.unwrap().0, "variable");
        let (user, password, source) = who(&keychain, "b.test:5000").await.unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("file", "2:3"));
        assert!(source.starts_with("auths in "), "{source}");
        assert_eq!(who(&keychain, "b.test").await, None, "the port counts");
        assert_eq!(who(&keychain, "c.test").await.unwrap().2, "CI_REGISTRY_PASSWORD");
    }

    #[tokio::test]
    async fn an_empty_variable_is_an_unset_one() {
        let keychain =
            keychain(&[("DOCKER_AUTH_CONFIG", ""), ("CI_REGISTRY", ""), ("CI_REGISTRY_USER", "u")]);
        assert_eq!(who(&keychain, "").await, None);
    }

    #[tokio::test]
    async fn a_broken_entry_is_named_without_its_secret() {
        let keychain = keychain(&[("DOCKER_AUTH_CONFIG", r#"{"auths": {"a.test": {"auth": "s3cr3t!!"}}}"#)]);
        let error = keychain.find("a.test").await.unwrap_err();
        assert!(error.message().contains("a.test") && !error.to_string().contains("s3cr3t"), "{error}");
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_is_named() {
        let keychain = keychain(&[("DOCKER_AUTH_CONFIG", r#"{"credHelpers": {"a.test": "no-such"}}"#)]);
        let error = keychain.find("a.test").await.unwrap_err();
        assert!(error.message().contains("docker-credential-no-such"), "{error}");
        assert_eq!(keychain.find("other.test").await.unwrap().map(|found| found.source), None);
    }
}
