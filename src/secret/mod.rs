//! The Secrets of `secrets:`, whose values never stand in Git: fetched when a release needs them, hidden from every
//! output at once, and handed on as bytes that nothing can print.

mod document;
mod pull;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Error, Kind, Place, Result};
use crate::program;
use crate::project::{Project, SecretConfig, SecretContent, SecretFrom, SecretSource, Tier};
use crate::report::Reporter;

/// A Secret of the configuration.
#[derive(Clone)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Its `type`.
    pub kind: String,
    /// Its values by their keys.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Whether pods pull the project's images with it, and whose they are: `registry.example.com`.
    pub pulls: Option<String>,
    /// Where it stands in the configuration.
    pub place: Place,
}

/// The values are left out: whoever prints a Secret does not mean them.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.data.keys().collect();
        f.debug_struct("Secret").field("name", &self.name).field("keys", &keys).finish_non_exhaustive()
    }
}

/// Fetches the values of all Secrets of the configuration for a tier. From then on no output shows them.
///
/// # Errors
/// [`Kind::Invalid`] for a value that cannot be had, with the place that asks for it, and for a pull secret that is
/// the job's own token.
pub fn fetch(project: &Project, tier: &Tier, reporter: &Reporter) -> Result<Vec<Secret>> {
    let fetched: Vec<Result<Secret>> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (name, config) in &project.config.secrets {
            running.push(scope.spawn(move || Fetch { project, tier }.secret(name, config)));
        }
        running.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let public = public_words(project, tier);
    // Also when one fails the others must not be seen.
    for secret in fetched.iter().flatten() {
        hide(reporter, secret, &public);
    }
    fetched.into_iter().collect()
}

fn panicked() -> Error {
    Error::new(Kind::Defect, "fetching a secret failed in windlass itself")
}

/// Fetches what a build is lent, by id. From then on no output shows it.
///
/// # Errors
/// As [`fetch`].
pub fn lent(
    project: &Project,
    sources: &BTreeMap<String, SecretSource>,
    reporter: &Reporter,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let value = |(id, source): (&String, &SecretSource)| {
        let value = match &source.from {
            SecretFrom::Text(text) => text.clone().into_bytes(),
            SecretFrom::Env(name) => variable(source, name)?,
            SecretFrom::File(path) => std::fs::read(project.root.join(path)).map_err(|error| {
                invalid(source, format!("the file `{path}` of `{}` cannot be read: {error}", source.path))
            })?,
            SecretFrom::Command(words) => {
                let title = words.first().cloned().unwrap_or_default();
                program::output(&project.root, words, &BTreeMap::new()).map_err(|fault| {
                    invalid(source, format!("{} (in `{}`)", fault.sentence(&title), source.path))
                })?
            }
        };
        if let Ok(text) = std::str::from_utf8(&value)
            && !is_ordinary(text)
        {
            reporter.hide(text.trim());
        }
        Ok((id.clone(), value))
    };
    sources.iter().map(value).collect()
}

/// Variables whose values are nobody's business, whatever a project's configuration says: GitLab's, and those that tools of
/// its jobs ask for.
const WELL_KNOWN: [&str; 16] = [
    "CI_JOB_TOKEN",
    "CI_BUILD_TOKEN",
    "CI_JOB_JWT",
    "CI_JOB_JWT_V1",
    "CI_JOB_JWT_V2",
    "CI_REGISTRY_PASSWORD",
    "CI_DEPLOY_PASSWORD",
    "CI_DEPENDENCY_PROXY_PASSWORD",
    "GITLAB_TOKEN",
    "GITLAB_PRIVATE_TOKEN",
    "DOCKER_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "VAULT_TOKEN",
    "SOPS_AGE_KEY",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
];

/// A Secret of Kubernetes has no more bytes.
const LARGEST: u64 = 1 << 20;
/// A shorter value of one of them is a word that stands in every other line, as in `DOCKER_PASSWORD=test`.
const SHORTEST_KNOWN: usize = 6;

/// Never shows what the environment and the work tree hold of secrets, from the first line on: those of the
/// configuration, those that builds are lent, and those of well-known variables. Programs are not asked for it.
pub fn hide_at_hand(project: &Project, reporter: &Reporter) {
    let mut sources: Vec<&SecretSource> =
        project.config.images.values().flat_map(|image| image.secrets.values()).collect();
    let mut documents = Vec::new();
    for secret in project.config.secrets.values() {
        match &secret.content {
            SecretContent::Keys(keys) => sources.extend(keys.values()),
            SecretContent::Whole(source) => documents.push(source),
            SecretContent::Pull(pull) => sources.push(&pull.password),
        }
    }
    let public = spoken_words(project);
    let hide = |value: &[u8]| {
        let Ok(text) = std::str::from_utf8(value) else { return };
        if !is_ordinary(text) && !public.iter().any(|word| word.contains(text.trim())) {
            reporter.hide(text);
        }
    };
    let known = WELL_KNOWN.iter().filter_map(|name| std::env::var(name).ok());
    known.filter(|value| value.len() >= SHORTEST_KNOWN).for_each(|value| hide(value.as_bytes()));
    sources.into_iter().filter_map(|source| at_hand(project, source)).for_each(|value| hide(&value));
    for document in documents.into_iter().filter_map(|source| at_hand(project, source)) {
        if let Ok(document) = document::read(&document) {
            document.data.values().for_each(|value| hide(value));
        }
    }
}

/// The value, where it costs nothing to have it.
fn at_hand(project: &Project, source: &SecretSource) -> Option<Vec<u8>> {
    match &source.from {
        SecretFrom::Env(name) => variable(source, name).ok(),
        SecretFrom::File(path) => {
            // What is no file gives its bytes once: they are the release's.
            let path = project.root.join(path);
            let is_small = |found: &std::fs::Metadata| found.is_file() && found.len() <= LARGEST;
            std::fs::metadata(&path).is_ok_and(|found| is_small(&found)).then(|| std::fs::read(path).ok())?
        }
        SecretFrom::Command(_) | SecretFrom::Text(_) => None,
    }
}

/// Never shows the values of a live Secret of the configuration from now on; `public` are words that stand in every
/// other line.
pub fn hide_live(live: &Value, public: &BTreeSet<String>, reporter: &Reporter) {
    let data = live["data"].as_object().into_iter().flatten();
    let data = data.filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?)));
    let secret = Secret {
        name: live["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        kind: live["type"].as_str().unwrap_or_default().to_owned(),
        data: data.collect(),
        pulls: None,
        place: Place::file(""),
    };
    hide(reporter, &secret, public);
}

/// Whether the environment and the work tree have what the Secrets need: known before minutes go into a build.
///
/// # Errors
/// [`Kind::Invalid`] for the first value that is not there, with the place that asks for it.
pub fn check(project: &Project, tier: &Tier) -> Result<()> {
    let fetch = Fetch { project, tier };
    let sources = project.config.secrets.values().flat_map(|secret| match &secret.content {
        SecretContent::Keys(keys) => keys.values().collect(),
        SecretContent::Whole(source) => vec![source],
        SecretContent::Pull(pull) => vec![&pull.user, &pull.password],
    });
    for source in sources.filter(|source| !matches!(source.from, SecretFrom::Command(_))) {
        fetch.value(source)?;
    }
    Ok(())
}

/// The pull secrets of which nothing here says for which registry they are: elsewhere the environment may.
pub fn homeless(project: &Project) -> Vec<Error> {
    let is_homeless = |config: &&SecretConfig| pulls(project, config).is_some_and(|host| host.is_empty());
    project
        .config
        .secrets
        .values()
        .filter(is_homeless)
        .map(|config| pull::no_registry(&config.place))
        .collect()
}

/// The Secrets as far as they are known without their values: for checks without a cluster.
pub fn unfetched(project: &Project) -> Vec<Secret> {
    let one = |(name, config): (&String, &SecretConfig)| {
        let keys: Vec<&str> = match &config.content {
            SecretContent::Keys(keys) => keys.keys().map(String::as_str).collect(),
            SecretContent::Whole(_) => Vec::new(),
            SecretContent::Pull(_) => vec![pull::KEY],
        };
        Secret {
            name: name.clone(),
            kind: kind(config, None),
            data: keys.into_iter().map(|key| (key.to_owned(), b"{}".to_vec())).collect(),
            pulls: pulls(project, config),
            place: config.place.clone(),
        }
    };
    project.config.secrets.iter().map(one).collect()
}

fn kind(config: &SecretConfig, said: Option<String>) -> String {
    match &config.content {
        SecretContent::Pull(_) => pull::KIND.to_owned(),
        _ => config.kind.clone().or(said).unwrap_or_else(|| "Opaque".to_owned()),
    }
}

/// The host whose images a pull secret is for.
fn pulls(project: &Project, config: &SecretConfig) -> Option<String> {
    let SecretContent::Pull(pull) = &config.content else { return None };
    Some(pull.host.clone().or_else(|| pull::host(project)).unwrap_or_default())
}

/// What the values are fetched with.
struct Fetch<'a> {
    project: &'a Project,
    tier: &'a Tier,
}

impl Fetch<'_> {
    fn secret(&self, name: &str, config: &SecretConfig) -> Result<Secret> {
        let mut said = None;
        let data = match &config.content {
            SecretContent::Keys(keys) => {
                let value = |(key, source): (&String, &SecretSource)| Ok((key.clone(), self.value(source)?));
                keys.iter().map(value).collect::<Result<_>>()?
            }
            SecretContent::Whole(source) => {
                let document = document::read(&self.bytes(source)?)
                    .map_err(|why| invalid(source, format!("what `{}` gives {why}", source.path)))?;
                said = document.kind;
                document.data
            }
            SecretContent::Pull(pull) => {
                let host = pulls(self.project, config).filter(|host| !host.is_empty());
                let host = host.ok_or_else(|| pull::no_registry(&config.place))?;
                let (user, password) = (self.text(&pull.user)?, self.text(&pull.password)?);
                pull::check(&pull.password, &user, &password)?;
                [(pull::KEY.to_owned(), pull::document(&host, &user, &password))].into()
            }
        };
        Ok(Secret {
            name: name.to_owned(),
            kind: kind(config, said),
            data,
            pulls: pulls(self.project, config),
            place: config.place.clone(),
        })
    }

    fn text(&self, source: &SecretSource) -> Result<String> {
        String::from_utf8(self.value(source)?)
            .map_err(|_| invalid(source, format!("`{}` is not text", source.path)))
    }

    /// One value. The line end that programs print behind it is not part of it.
    fn value(&self, source: &SecretSource) -> Result<Vec<u8>> {
        let mut bytes = self.bytes(source)?;
        if let SecretFrom::Command(_) = source.from
            && bytes.last() == Some(&b'\n')
        {
            bytes.pop();
            bytes.pop_if(|last| *last == b'\r');
        }
        if bytes.is_empty() {
            return Err(invalid(source, format!("`{}` is empty", source.path)));
        }
        Ok(bytes)
    }

    fn bytes(&self, source: &SecretSource) -> Result<Vec<u8>> {
        match &source.from {
            SecretFrom::Text(text) => Ok(text.clone().into_bytes()),
            SecretFrom::Env(name) => variable(source, name),
            SecretFrom::File(path) => self.file(source, path),
            SecretFrom::Command(words) => self.command(source, words),
        }
    }

    fn file(&self, source: &SecretSource, path: &str) -> Result<Vec<u8>> {
        let path = self.tier.expand(path, &source.path, &source.place)?;
        std::fs::read(self.project.root.join(&path)).map_err(|error| {
            invalid(source, format!("the file `{path}` of `{}` cannot be read: {error}", source.path))
        })
    }

    fn command(&self, source: &SecretSource, words: &[String]) -> Result<Vec<u8>> {
        let expand = |word: &String| self.tier.expand(word, &source.path, &source.place);
        let words = words.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let title = words.first().cloned().unwrap_or_default();
        program::output(&self.project.root, &words, &self.tier.own)
            .map_err(|fault| invalid(source, format!("{} (in `{}`)", fault.sentence(&title), source.path)))
    }
}

fn variable(source: &SecretSource, name: &str) -> Result<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(OsStringExt::into_vec).ok_or_else(|| {
        let error = invalid(source, format!("`{name}` is not set (in `{}`)", source.path));
        error.hint(format!(
            "set the environment variable {name}; in GitLab a protected variable reaches only jobs of protected branches"
        ))
    })
}

fn invalid(source: &SecretSource, message: String) -> Error {
    Error::new(Kind::Invalid, message).at(source.place.clone())
}

/// No output shows the values from now on: as text, line by line, base64-encoded and URL-encoded. Words that stand in
/// Git all the same, as the name of a database's user often does, would take the rest of the output with them.
fn hide(reporter: &Reporter, secret: &Secret, public: &BTreeSet<String>) {
    for value in secret.data.values() {
        match std::str::from_utf8(value) {
            Ok(text) if is_ordinary(text) || public.iter().any(|word| word.contains(text.trim())) => {}
            Ok(text) => reporter.hide(text),
            Err(_) => reporter.hide(&STANDARD.encode(value)),
        }
    }
    if let Some(password) = secret.data.get(pull::KEY).and_then(|document| pull::password(document)) {
        reporter.hide(&password);
    }
}

/// A switch or a port: it gives nothing away, and stands in every other line.
fn is_ordinary(text: &str) -> bool {
    matches!(text.trim(), "true" | "false" | "null" | "none")
        || text.trim().len() <= 5 && text.trim().bytes().all(|byte| byte.is_ascii_digit())
}

/// What the configuration itself says aloud, and the tier.
fn public_words(project: &Project, tier: &Tier) -> BTreeSet<String> {
    let words = [&tier.name, &tier.slug, &tier.namespace];
    spoken_words(project).into_iter().chain(words.into_iter().chain(&tier.contexts).cloned()).collect()
}

/// What the configuration itself says aloud.
fn spoken_words(project: &Project) -> BTreeSet<String> {
    let config = &project.config;
    let of_tiers = config.tiers.iter().flat_map(|(name, tier)| {
        let words = [name, &tier.namespace];
        words.into_iter().chain(&tier.contexts).chain(tier.vars.values())
    });
    [&project.name]
        .into_iter()
        .chain(&project.registry)
        .chain(config.images.keys())
        .chain(config.vars.values())
        .chain(of_tiers)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
