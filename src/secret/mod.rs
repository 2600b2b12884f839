//! The Secrets of `secrets:`, whose values are never stored in Git: read when a release needs them, masked in all output
//! at once, and passed on as bytes that cannot be printed.

mod document;
mod pull;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::{join_all, try_join_all};
use regex::Regex;
use serde_json::Value;

use crate::error::{Error, Kind, Place, Result};
use crate::program::{Program, ProgramError};
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
pub(crate) async fn fetch(project: &Project, tier: &Tier, reporter: &Reporter) -> Result<Vec<Secret>> {
    let fetch = Fetch { project, tier };
    let fetched = join_all(tier.secrets.iter().map(|(name, config)| fetch.secret(name, config))).await;
    publish(project, reporter);
    publish_tier(tier, reporter);
    // Also when one fails the others must not be seen.
    for value in fetched.iter().flatten().flat_map(|secret| secret.data.values()) {
        hide(reporter, value);
    }
    fetched.into_iter().collect()
}

/// Fetches what a build is lent, by id. From then on no output shows it.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn of_build(
    project: &Project,
    sources: &BTreeMap<String, SecretSource>,
    reporter: &Reporter,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let value = async |(id, source): (&String, &SecretSource)| {
        let value = match &source.from {
            SecretFrom::Text(text) => text.clone().into_bytes(),
            SecretFrom::Env(name) => variable(source, name)?,
            SecretFrom::File(path) => tokio::fs::read(project.root.join(path)).await.map_err(|error| {
                invalid(source, format!("the file `{path}` of `{}` cannot be read: {error}", source.path))
            })?,
            SecretFrom::Command(words) => {
                let program = Program::of(words).map(|program| program.directory(&project.root));
                printed(source, words, program).await?
            }
        };
        hide(reporter, &value);
        Ok((id.clone(), value))
    };
    try_join_all(sources.iter().map(value)).await.map(|values| values.into_iter().collect())
}

/// What a program prints.
async fn printed(
    source: &SecretSource,
    words: &[String],
    program: std::result::Result<Program, ProgramError>,
) -> Result<Vec<u8>> {
    let printed = match program {
        Ok(program) => program.output().await,
        Err(fault) => Err(fault),
    };
    let title = words.first().map_or("", String::as_str);
    printed.map_err(|fault| {
        let sentence = fault.sentence(title);
        let lacks_key = sentence.contains("data key") && Path::new(title).ends_with("sops");
        let error = invalid(source, format!("{sentence} (in `{}`)", source.path));
        if !lacks_key {
            return error;
        }
        error.with_hint(
            "sops found no key for the file: set SOPS_AGE_KEY_FILE or SOPS_AGE_KEY, or log in to your KMS",
        )
    })
}

/// Variables whose values are nobody's business, besides those whose names say so.
const WELL_KNOWN: [&str; 5] =
    ["CI_JOB_JWT", "CI_JOB_JWT_V1", "CI_JOB_JWT_V2", "DOCKER_AUTH_CONFIG", "SOPS_AGE_KEY"];
/// What the name of a variable, or of a field, has in it whose value is a secret.
const TELLING: [&str; 7] =
    ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE_KEY"];
/// How names end that say about a secret where it is, whose it is, or how long it is good.
const ABOUT: [&str; 11] =
    ["_FILE", "_PATH", "_DIR", "_URL", "_URI", "_NAME", "_USER", "_ID", "_TYPE", "_HOST", "_EXPIRES_IN"];

/// A Secret of Kubernetes has no more bytes.
const LARGEST: u64 = 1 << 20;

/// Never shows, from now on, what the environment has under names that say that it is a secret: GitLab's tokens, and what
/// tools of its jobs ask for.
pub(crate) fn hide_environment(reporter: &Reporter) {
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if (WELL_KNOWN.contains(&name) || tells(name)) && !Path::new(value).exists() {
            hide(reporter, value.as_bytes());
        }
    }
}

/// Whether a name says that its value is a secret.
fn tells(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let is_key = name.ends_with("_KEY") && !name.contains("CACHE");
    let is_secret = TELLING.iter().any(|word| name.contains(word))
        || is_key
        || ["_PASS", "_PWD"].iter().any(|end| name.ends_with(end));
    // Of Vault's two parts of an AppRole this is the secret one.
    name.ends_with("SECRET_ID") || is_secret && !ABOUT.iter().any(|end| name.ends_with(end))
}

/// Never shows what the environment and the work tree hold of secrets, from the first line on: those of the
/// configuration, those that builds are lent, and those of well-known variables. Programs are not asked for it.
pub(crate) fn hide_at_hand(project: &Project, reporter: &Reporter) {
    let mut sources: Vec<&SecretSource> =
        project.config.images.values().flat_map(|image| image.secrets.values()).collect();
    let mut documents = Vec::new();
    for (_, secret) in project.config.all_secrets() {
        match &secret.content {
            SecretContent::Keys(keys) => sources.extend(keys.values()),
            SecretContent::Whole(source) => documents.push(source),
            SecretContent::Pull(pull) => sources.push(&pull.password),
        }
    }
    publish(project, reporter);
    hide_environment(reporter);
    hide_docker_config(reporter);
    sources
        .into_iter()
        .filter_map(|source| at_hand(project, source))
        .for_each(|value| hide(reporter, &value));
    for document in documents.into_iter().filter_map(|source| at_hand(project, source)) {
        if let Ok(document) = document::read(&document) {
            document.data.values().for_each(|value| hide(reporter, value));
        }
    }
    // An argument shows in the titles of a build's steps.
    let arguments = project.config.images.values().flat_map(|image| &image.args);
    arguments.filter(|(name, _)| tells(name)).for_each(|(_, value)| hide(reporter, value.as_bytes()));
}

/// A file that a secret is read from.
pub(crate) struct SecretFile {
    /// What reads it: `secrets.db.password`.
    pub path: String,
    /// Where that stands.
    pub place: Option<Place>,
    /// The file, without links.
    pub file: PathBuf,
}

/// The files of this machine that secrets of the configuration are read from, for whatever tier, and those that builds are
/// lent.
pub(crate) fn files(project: &Project) -> Vec<SecretFile> {
    let config = &project.config;
    let tiers: Vec<Tier> = project.sample_tiers().flatten().collect();
    let of_tiers = config.all_secrets().flat_map(|(_, secret)| match &secret.content {
        SecretContent::Keys(keys) => keys.values().collect(),
        SecretContent::Whole(source) => vec![source],
        SecretContent::Pull(pull) => vec![&pull.user, &pull.password],
    });
    let mut files = BTreeSet::new();
    for source in of_tiers {
        let SecretFrom::File(written) = &source.from else { continue };
        let expanded = tiers.iter().filter_map(|tier| tier.expand(written, &source.path, &source.place).ok());
        files.extend(expanded.chain([written.clone()]).map(|file| (file, &source.path, Some(&source.place))));
    }
    for source in config.images.values().flat_map(|image| image.secrets.values()) {
        if let SecretFrom::File(file) = &source.from {
            files.insert((file.clone(), &source.path, Some(&source.place)));
        }
    }
    let key = config.builder.as_ref().and_then(|builder| builder.key.as_ref());
    let (of_builder, builder_place) = ("builder.key".to_owned(), project.place_of_builder_key());
    files.extend(key.map(|key| (key.display().to_string(), &of_builder, builder_place.as_ref())));
    let found = files.into_iter().filter_map(|(file, path, place)| {
        let file = project.root.join(file).canonicalize().ok().filter(|file| file.is_file())?;
        Some(SecretFile { path: path.clone(), place: place.cloned(), file })
    });
    found.collect()
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

/// Never shows the values of these objects from now on, as far as they are Secrets; the names of all of them are shown.
pub(crate) fn hide_objects<'a>(objects: impl IntoIterator<Item = &'a Value>, reporter: &Reporter) {
    for object in objects {
        if object["kind"] != "Secret" {
            publish_names(object, reporter);
            continue;
        }
        publish_names(&object["metadata"], reporter);
        let values = |section: &str| object[section].as_object().into_iter().flatten();
        for (key, value) in values("data").chain(values("stringData")) {
            publish_name(key, reporter);
            let Some(text) = value.as_str() else { continue };
            // A value that is no base64 is refused later, and is a secret all the same.
            hide(reporter, text.as_bytes());
            if let Ok(plain) = STANDARD.decode(text.replace(['\r', '\n'], "")) {
                hide(reporter, &plain);
            }
        }
    }
}

/// Whether the environment and the work tree have what the Secrets need: known before minutes go into a build.
///
/// # Errors
/// [`Kind::Invalid`] for the first value that is missing, with the place that asks for it.
pub(crate) async fn check(project: &Project, tier: &Tier) -> Result<()> {
    let fetch = Fetch { project, tier };
    let sources = tier.secrets.values().flat_map(|secret| match &secret.content {
        SecretContent::Keys(keys) => keys.values().collect(),
        SecretContent::Whole(source) => vec![source],
        SecretContent::Pull(pull) => vec![&pull.user, &pull.password],
    });
    for source in sources.filter(|source| !matches!(source.from, SecretFrom::Command(_))) {
        fetch.value(source).await?;
    }
    Ok(())
}

/// The pull secrets of which nothing here says for which registry they are: elsewhere the environment may.
pub(crate) fn homeless(project: &Project) -> Vec<Error> {
    let is_homeless = |config: &SecretConfig| pulls(project, config).is_some_and(|host| host.is_empty());
    let all = project.config.all_secrets();
    all.filter(|(_, config)| is_homeless(config))
        .map(|(_, config)| pull::no_registry(&config.place))
        .collect()
}

/// The Secrets of a tier as far as they are known without their values: for checks without a cluster.
pub(crate) fn unfetched(project: &Project, tier: &Tier) -> Vec<Secret> {
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
    tier.secrets.iter().map(one).collect()
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
    async fn secret(&self, name: &str, config: &SecretConfig) -> Result<Secret> {
        let mut said = None;
        let data = match &config.content {
            SecretContent::Keys(keys) => {
                let value = async |(key, source): (&String, &SecretSource)| {
                    Ok::<_, Error>((key.clone(), self.value(source).await?))
                };
                try_join_all(keys.iter().map(value)).await?.into_iter().collect()
            }
            SecretContent::Whole(source) => {
                let document = document::read(&self.bytes(source).await?)
                    .map_err(|why| invalid(source, format!("the output of `{}` {why}", source.path)))?;
                said = document.kind;
                document.data
            }
            SecretContent::Pull(pull) => {
                let host = pulls(self.project, config).filter(|host| !host.is_empty());
                let host = host.ok_or_else(|| pull::no_registry(&config.place))?;
                let (user, password) = (self.text(&pull.user).await?, self.text(&pull.password).await?);
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

    async fn text(&self, source: &SecretSource) -> Result<String> {
        String::from_utf8(self.value(source).await?)
            .map_err(|_| invalid(source, format!("`{}` is not text", source.path)))
    }

    /// One value. The line end that programs print behind it is not part of it.
    async fn value(&self, source: &SecretSource) -> Result<Vec<u8>> {
        let mut bytes = self.bytes(source).await?;
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

    async fn bytes(&self, source: &SecretSource) -> Result<Vec<u8>> {
        match &source.from {
            SecretFrom::Text(text) => Ok(text.clone().into_bytes()),
            SecretFrom::Env(name) => variable(source, name),
            SecretFrom::File(path) => self.file(source, path).await,
            SecretFrom::Command(words) => self.command(source, words).await,
        }
    }

    async fn file(&self, source: &SecretSource, path: &str) -> Result<Vec<u8>> {
        let path = self.tier.expand(path, &source.path, &source.place)?;
        tokio::fs::read(self.project.root.join(&path)).await.map_err(|error| {
            invalid(source, format!("the file `{path}` of `{}` cannot be read: {error}", source.path))
        })
    }

    async fn command(&self, source: &SecretSource, words: &[String]) -> Result<Vec<u8>> {
        let expand = |word: &String| self.tier.expand(word, &source.path, &source.place);
        let words = words.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let program = Program::of(&words);
        let program =
            program.map(|program| program.directory(&self.project.root).environment(&self.tier.own));
        printed(source, &words, program).await
    }
}

fn variable(source: &SecretSource, name: &str) -> Result<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(OsStringExt::into_vec).ok_or_else(|| {
        let error = invalid(source, format!("`{name}` is not set (in `{}`)", source.path));
        error.with_hint(format!(
            "set the environment variable {name}; in GitLab a protected variable reaches only jobs of protected branches"
        ))
    })
}

fn invalid(source: &SecretSource, message: String) -> Error {
    Error::new(Kind::Invalid, message).at(source.place.clone())
}

/// No output shows the value from now on, nor the password of an address or of a document that it is.
pub(crate) fn hide(reporter: &Reporter, value: &[u8]) {
    reporter.hide(value);
    let Ok(text) = std::str::from_utf8(value) else { return };
    hide_password(reporter, text);
    if let Ok(document @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
        hide_fields(reporter, "", &document);
    }
}

/// No output shows the passwords of addresses in this text from now on.
pub(crate) fn hide_password(reporter: &Reporter, text: &str) {
    PASSWORD.captures_iter(text).for_each(|found| reporter.hide(&found[1]));
}

/// The password of `postgres://user:password@host`.
static PASSWORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"://[^/\s:@]*:([^/\s@]+)@").expect("the pattern is a constant"));

/// No output shows the value of a header such as `Authorization` from now on.
pub(crate) fn hide_header(reporter: &Reporter, value: &str) {
    hide(reporter, value.as_bytes());
    if let Some((_, token)) = value.split_once(' ') {
        hide_login(reporter, token.trim());
    }
}

/// Hides a token, and the password in it where it is the base64 of `user:password`.
fn hide_login(reporter: &Reporter, token: &str) {
    reporter.hide(token);
    let plain = STANDARD.decode(token).ok().and_then(|plain| String::from_utf8(plain).ok());
    plain.iter().filter_map(|plain| plain.split_once(':')).for_each(|(_, password)| reporter.hide(password));
}

/// Hides what a document has under names that say that it is a secret, such as the `auth` of a registry.
fn hide_fields(reporter: &Reporter, name: &str, value: &Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if name == "auths" {
                    publish_name(key, reporter);
                }
                hide_fields(reporter, key, value);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| hide_fields(reporter, name, item)),
        Value::String(text) if name == "auth" => hide_login(reporter, text),
        Value::String(text) if tells(name) => reporter.hide(text),
        _ => {}
    }
}

/// Hides what Docker's own configuration has of credentials.
fn hide_docker_config(reporter: &Reporter) {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|directory| !directory.is_empty());
    let directory = named.map(PathBuf::from);
    let directory = directory.or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
    let bytes = directory.and_then(|directory| std::fs::read(directory.join("config.json")).ok());
    if let Some(document) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        hide_fields(reporter, "", &document);
    }
}

/// Shows the names that the configuration gives to things, although a secret may have the same value, as that of a
/// database's user often has: they would take the rest of the output with them.
fn publish(project: &Project, reporter: &Reporter) {
    let config = &project.config;
    let of_tiers = config
        .tiers
        .iter()
        .flat_map(|(name, tier)| [name, &tier.namespace].into_iter().chain(&tier.contexts));
    let of_tests = config.tests.iter().flat_map(|(name, test)| {
        let services = test.services.iter().flat_map(|(name, service)| [name, &service.image]);
        services.chain([name])
    });
    let of_secrets = config.all_secrets().flat_map(|(name, secret)| {
        let keys = match &secret.content {
            SecretContent::Keys(keys) => Some(keys.keys()),
            SecretContent::Whole(_) | SecretContent::Pull(_) => None,
        };
        keys.into_iter().flatten().chain([name])
    });
    let names = [&project.name].into_iter().chain(&project.registry).chain(config.images.keys());
    names.chain(of_tiers).chain(of_tests).chain(of_secrets).for_each(|name| publish_name(name, reporter));
    let of_jobs = ["CI_COMMIT_REF_NAME", "CI_COMMIT_REF_SLUG", "CI_PROJECT_NAME", "CI_PROJECT_PATH"];
    let of_jobs = of_jobs.iter().filter_map(|name| std::env::var(name).ok());
    of_jobs.chain(["windlass".to_owned()]).for_each(|name| publish_name(&name, reporter));
    // As they are written: what comes from the environment is no plain variable.
    let variables = config.tiers.values().flat_map(|tier| &tier.vars).chain(&config.vars);
    reporter.publish(variables.filter(|(name, _)| !tells(name)).map(|(_, value)| value.as_str()));
}

/// As [`publish`], for a tier that may be known from flags alone.
pub(crate) fn publish_tier(tier: &Tier, reporter: &Reporter) {
    let words = [&tier.name, &tier.slug, &tier.namespace].into_iter().chain(&tier.contexts);
    words.for_each(|word| publish_name(word, reporter));
}

/// A name of several parts, as a host or an image, is also each of them.
fn publish_name(name: &str, reporter: &Reporter) {
    reporter.publish([name].into_iter().chain(name.split(['/', ':', '@', '.'])));
}

/// The names in an object: its own, those of its containers, images, hosts, and what it refers to.
fn publish_names(value: &Value, reporter: &Reporter) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if NAMES.contains(&key.as_str()) => publish_name(text, reporter),
                    value => publish_names(value, reporter),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| publish_names(item, reporter)),
        _ => {}
    }
}

/// The fields of objects that hold names.
const NAMES: [&str; 8] =
    ["name", "namespace", "image", "host", "secretName", "claimName", "serviceName", "serviceAccountName"];

#[cfg(test)]
mod tests;
