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
use std::time::Duration;

use base64::Engine as _;
use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Error, Kind, Result};
use crate::model::Credentials;
use crate::model::credentials::{is_hub, server_name};
use crate::program::Program;

/// How long a credential helper may take: a keychain that asks a person would otherwise hang the run.
const HELPER_LIMIT: Duration = Duration::from_secs(10);
/// How many bytes it may print.
const HELPER_MOST: usize = 1 << 20;

/// Where credentials are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Keychain {
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
    pub(crate) fn from_environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// As [`Keychain::from_environment`], with the variables taken from a function. A variable that is set but
    /// empty is as good as unset.
    pub(crate) fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
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
    pub(crate) async fn find(&self, host: &str) -> Result<Option<Credentials>> {
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
                .with_hint("it holds the registry passwords of `docker login`")),
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
        .with_hint("it is JSON like {\"auths\": {\"registry.example.com\": {\"auth\": \"…\"}}}")
    })
}

async fn from_config(config: &DockerConfig, host: &str, name: &str) -> Result<Option<Credentials>> {
    if let Some((server, helper)) = of_host(&config.cred_helpers, host) {
        return ask(helper, server, name).await;
    }
    if !config.creds_store.is_empty()
        && let Some(found) = ask(&config.creds_store, server_name(host), name).await?
    {
        return Ok(Some(found));
    }
    of_host(&config.auths, host).map_or(Ok(None), |(server, entry)| from_entry(entry, server, name))
}

/// The entry of this very host; one that says no more than the host comes before one with a path.
fn of_host<'a, T>(entries: &'a BTreeMap<String, T>, host: &str) -> Option<(&'a String, &'a T)> {
    let same = || entries.iter().filter(|(server, _)| key(server) == key(host));
    entries.get_key_value(host).or_else(|| same().min_by_key(|(server, _)| server.matches('/').count()))
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
            .with_hint(format!("run `docker login {server}` again"))
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
        .with_hint(format!("try `echo {server} | {program} get`"))
    };
    if !is_helper(helper) {
        let message = format!("`{helper}` in {name} is not a name of a credential helper");
        return Err(Error::new(Kind::Invalid, message).with_hint(
            "`credsStore` and `credHelpers` name a program docker-credential-NAME of the PATH: ecr-login, pass",
        ));
    }
    let asking =
        Program::new(&program).arguments(["get"]).input(server).limit(HELPER_LIMIT).most(HELPER_MOST);
    let output = asking.run().await.map_err(|fault| failed(fault.sentence(&program)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.printed).trim().to_owned();
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(if said.is_empty() { output.status.to_string() } else { said }));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.printed)
        .map_err(|_| failed("its output is not what Docker expects".into()))?;
    let token = answer.username == "<token>";
    Ok(Some(Credentials {
        username: answer.username,
        identity_token: token.then(|| SecretString::from(answer.secret.clone())),
        password: answer.secret.into(),
        source: format!("{program} of {name}"),
    }))
}

/// Whether this is the end of a program's name, and no way to another directory.
fn is_helper(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A server's key without scheme and path, so that `https://host/v1/` and `host` are the same. The port counts.
fn key(server: &str) -> String {
    let server = server.strip_prefix("https://").or(server.strip_prefix("http://")).unwrap_or(server);
    let host = server.split('/').next().unwrap_or(server);
    if is_hub(host) { "docker.io".to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

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
    async fn credentials_are_for_one_host_and_no_other() {
        let entry = |host: &str, user: &str| format!(r#""{host}": {{"auth": "{}"}}"#, auth(user, "x"));
        let entries = [
            entry("https://a.test/group/", "group"),
            entry("a.test", "host"),
            entry("https://b.test:5000/v1/", "port"),
        ];
        let config = format!(r#"{{"auths": {{{}}}}}"#, entries.join(", "));
        let keychain = keychain(&[("DOCKER_AUTH_CONFIG", &config)]);
        assert_eq!(who(&keychain, "a.test").await.unwrap().0, "host");
        assert_eq!(who(&keychain, "b.test:5000").await.unwrap().0, "port");
        for other in
            ["a.test.evil.test", "evil-a.test", "test", "a.test:443", "b.test", "b.test:50000", "A.b.test"]
        {
            assert_eq!(who(&keychain, other).await, None, "{other}");
        }
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

    #[tokio::test]
    async fn a_helper_is_a_program_of_the_path() {
        let config = r#"{"credHelpers": {"a.test": "x/../../../tmp/evil"}, "credsStore": "y/z"}"#;
        let keychain = keychain(&[("DOCKER_AUTH_CONFIG", config)]);
        for host in ["a.test", "b.test"] {
            let error = keychain.find(host).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
            assert!(error.message().contains("is not a name of a credential helper"), "{error}");
        }
    }
}
