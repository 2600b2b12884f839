//! `secrets:` and `external:` of `windlass.yaml`: where values come from that never stand in Git, and what others make.
//!
//! Only what is written is read here; the values are fetched when a release needs them.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Place, Result};
use crate::model::kinds;
use crate::project::config::table::{Keys, Table, entries, list, text};
use crate::project::config::yaml::{ConfigNode, Key, Value};
use crate::project::config::{names, table};

/// One Secret that is made in each tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretConfig {
    /// Its `type`; `Opaque` where nothing is said.
    pub kind: Option<String>,
    /// Where its values come from.
    pub content: SecretContent,
    /// Where it stands.
    pub place: Place,
}

/// Where the values of a Secret come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretContent {
    /// Each key from a source of its own.
    Keys(BTreeMap<String, SecretSource>),
    /// All keys from one source, which has YAML, JSON or dotenv.
    Whole(SecretSource),
    /// Credentials with which nodes pull the project's images.
    Pull(PullConfig),
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// What is asked.
    pub from: SecretFrom,
    /// The keys that lead here, for messages: `secrets.db.password`.
    pub path: String,
    /// Where it stands.
    pub place: Place,
}

/// What is asked for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// A variable of the environment.
    Env(String),
    /// A file, relative to the project's root. May have `${NAME}`.
    File(String),
    /// A program and its arguments, which may have `${NAME}`; its standard output is the value.
    Command(Vec<String>),
    /// The text that stands there: of what is no secret, such as a user's name.
    Text(String),
}

/// Credentials for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullConfig {
    /// The registry's host; by default the one that the project pushes to.
    pub host: Option<String>,
    /// Who pulls.
    pub user: SecretSource,
    /// The password, or a token that lives as long as the pods do.
    pub password: SecretSource,
}

/// An object that others make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// `Secret/shop-tls`, `Certificate.cert-manager.io/shop`; may have `${NAME}`.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// An object that others make, as a tier names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalObject {
    /// `Secret`.
    pub kind: String,
    /// `cert-manager.io`; empty where the configuration names no group.
    pub group: String,
    /// `shop-tls`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

impl ExternalObject {
    /// `Secret/shop-tls`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

const PULL: Keys = Keys { known: &["user", "password", "host"], unbuilt: &[] };
const SOURCE: Keys = Keys { known: &["env", "file", "command"], unbuilt: &[] };

/// Reads one entry of `secrets`, of all tiers or of one: `below` are the keys that lead there.
pub(crate) fn secret(below: &str, key: &Key, node: ConfigNode) -> Result<SecretConfig> {
    names::object(&key.text).map_err(|error| error.at(key.place.clone()))?;
    let path = format!("{below}.{}", key.text);
    let place = node.place.clone();
    let mut keys = entries(&path, node)?;
    let kind = match keys.iter().position(|(key, node)| key.text == "type" && is_scalar(node)) {
        Some(index) => Some(text(&format!("{path}.type"), &keys.swap_remove(index).1)?),
        None => None,
    };
    let content = content(&path, &place, keys)?;
    if let (SecretContent::Pull(_), Some(_)) = (&content, &kind) {
        return Err(Error::new(Kind::Invalid, format!("`{path}.type` is fixed for pull secrets"))
            .at(place)
            .with_hint("remove it"));
    }
    Ok(SecretConfig { kind, content, place })
}

/// `{command: […]}` and `{file: …}` are the whole Secret; `{command: {env: …}}` is a key of that name.
fn content(path: &str, place: &Place, mut keys: Vec<(Key, ConfigNode)>) -> Result<SecretContent> {
    if let [(key, node)] = keys.as_slice() {
        let whole = match (key.text.as_str(), &node.value) {
            ("command", Value::List(_) | Value::Scalar(_)) | ("file", Value::Scalar(_)) => true,
            ("env", Value::Scalar(_)) => return Err(one_value(path, node)),
            _ => false,
        };
        if whole {
            let node =
                ConfigNode { value: Value::Map(keys), place: place.clone(), quoted: false, verbatim: false };
            return source(path, node).map(SecretContent::Whole);
        }
        if key.text == "pull" && (has_key(node, "password") || has_key(node, "user")) {
            let (_, node) = keys.swap_remove(0);
            return pull(&format!("{path}.pull"), node).map(SecretContent::Pull);
        }
    }
    if keys.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("`{path}` has no keys"))
            .at(place.clone())
            .with_hint(SHAPES));
    }
    let sources = keys.into_iter().map(|(key, node)| {
        names::secret_key(&key.text).map_err(|error| error.at(key.place.clone()))?;
        let source = source(&format!("{path}.{}", key.text), node)?;
        Ok((key.text, source))
    });
    sources.collect::<Result<_>>().map(SecretContent::Keys)
}

const SHAPES: &str = "`{password: {env: DB_PASSWORD}}`, `{command: [sops, -d, secrets.yaml]}` or `{pull: {user: …, password: …}}`";

fn one_value(path: &str, node: &ConfigNode) -> Error {
    Error::new(Kind::Invalid, format!("`{path}` has one value and no key for it"))
        .at(node.place.clone())
        .with_hint("write `{password: {env: NAME}}`: the keys of a Secret have names")
}

fn pull(path: &str, node: ConfigNode) -> Result<PullConfig> {
    let mut table = Table::open(path, node, &PULL)?;
    let user = table.require("user")?;
    let password = table.require("password")?;
    let user_path = table.path("user");
    let user = match &user.value {
        Value::Scalar(name) => {
            SecretSource { from: SecretFrom::Text(name.clone()), path: user_path, place: user.place }
        }
        _ => source(&user_path, user)?,
    };
    let password = source(&table.path("password"), password)?;
    if let SecretFrom::Env(name) = &password.from
        && SHORT_LIVED.contains(&name.as_str())
    {
        return Err(short_lived(name, &password));
    }
    Ok(PullConfig { host: table.text("host")?, user, password })
}

/// What GitLab hands to a job and takes back when it ends: no node can pull with it an hour later.
pub(crate) const SHORT_LIVED: [&str; 2] = ["CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD"];

/// Why a token of the job is no pull secret.
pub(crate) fn short_lived(name: &str, source: &SecretSource) -> Error {
    let sentence = format!("`{}` is the job's own token ({name}), which expires with the job", source.path);
    Error::new(Kind::Invalid, sentence).at(source.place.clone()).with_hint(
        "make a deploy token with the scope read_registry: named gitlab-deploy-token, jobs get it as CI_DEPLOY_USER and CI_DEPLOY_PASSWORD",
    )
}

/// Reads what a build is lent under an id.
pub(crate) fn build_secret(path: &str, key: &Key, node: ConfigNode) -> Result<SecretSource> {
    source(&format!("{path}.{}", key.text), node)
}

/// `{env: NAME}`, `{file: PATH}` or `{command: [PROGRAM, ARGUMENT…]}`
fn source(path: &str, node: ConfigNode) -> Result<SecretSource> {
    let place = node.place.clone();
    if is_scalar(&node) {
        return Err(Error::new(Kind::Invalid, format!("`{path}` has its value in windlass.yaml itself"))
            .at(place)
            .with_hint("a secret comes from `{env: NAME}`, `{file: PATH}` or `{command: […]}`"));
    }
    let mut table = Table::open(path, node, &SOURCE)?;
    let command = table.take("command").map(|node| command(&table.path("command"), node)).transpose()?;
    let found = [
        table.text("env")?.map(SecretFrom::Env),
        table.text("file")?.map(SecretFrom::File),
        command.map(SecretFrom::Command),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(from), None) => Ok(SecretSource { from, path: path.to_owned(), place }),
        _ => Err(Error::new(Kind::Invalid, format!("`{path}` must have one of `env`, `file` and `command`"))
            .at(place)),
    }
}

fn command(path: &str, node: ConfigNode) -> Result<Vec<String>> {
    let place = node.place.clone();
    if let Value::Scalar(text) = &node.value {
        return Err(Error::new(Kind::Invalid, format!("`{path}` must be a list, not a single value"))
            .at(place)
            .with_hint(format!("write `[sh, -c, {text:?}]`")));
    }
    let words = list(path, node)?;
    if words.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("`{path}` is empty")).at(place));
    }
    Ok(words)
}

/// Reads `external`.
pub(crate) fn external(path: &str, node: ConfigNode) -> Result<Vec<External>> {
    let Value::List(items) = node.value else {
        return table::list(path, node).map(|_| Vec::new());
    };
    items.iter().map(|node| one_external(path, node)).collect()
}

fn one_external(path: &str, node: &ConfigNode) -> Result<External> {
    let text = text(path, node)?;
    let whole = text.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if !whole {
        return Err(Error::new(Kind::Invalid, format!("`{text}` is not an object")).at(node.place.clone()).with_hint(
            "write `Secret/shop-tls`, or `Certificate.cert-manager.io/shop` for a kind that is not built in",
        ));
    }
    let kind = text.split('/').next().unwrap_or_default();
    // Another may be a kind of this cluster alone; one near to a kind that all have is a slip.
    if let Some(near) = kinds::near_kind(kind) {
        return Err(Error::new(Kind::Invalid, format!("there is no kind `{kind}`"))
            .at(node.place.clone())
            .with_hint(format!("did you mean `{near}`?")));
    }
    Ok(External { text, place: node.place.clone() })
}

fn is_scalar(node: &ConfigNode) -> bool {
    matches!(node.value, Value::Scalar(_))
}

fn has_key(node: &ConfigNode, name: &str) -> bool {
    matches!(&node.value, Value::Map(keys) if keys.iter().any(|(key, _)| key.text == name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::config::yaml;

    fn read(text: &str) -> Result<SecretConfig> {
        let root = yaml::read(text, Path::new("windlass.yaml")).expect("it is YAML");
        let (key, node) = entries("", root).expect("a map").remove(0);
        secret("secrets", &key, node)
    }

    #[test]
    fn the_shapes_of_the_contract_are_told_apart() {
        let SecretContent::Keys(keys) = read("db: {password: {env: DB_PASSWORD}}").unwrap().content else {
            panic!("keys")
        };
        assert_eq!(keys["password"].from, SecretFrom::Env("DB_PASSWORD".into()));
        assert_eq!(keys["password"].path, "secrets.db.password");
        let SecretContent::Whole(whole) = read("tls: {command: [sops, -d, x]}").unwrap().content else {
            panic!("whole")
        };
        assert_eq!(whole.from, SecretFrom::Command(vec!["sops".into(), "-d".into(), "x".into()]));
        let SecretContent::Pull(pull) =
            read("registry: {pull: {user: {env: U}, password: {file: p}}}").unwrap().content
        else {
            panic!("pull")
        };
        assert_eq!(pull.user.from, SecretFrom::Env("U".into()));
        let keys = read("x: {command: {env: A}, pull: {env: B}}").unwrap().content;
        assert!(matches!(keys, SecretContent::Keys(keys) if keys.len() == 2));
        let typed = read("x: {type: kubernetes.io/tls, file: tls.yaml}").unwrap();
        assert_eq!(typed.kind.as_deref(), Some("kubernetes.io/tls"));
        assert!(matches!(typed.content, SecretContent::Whole(_)));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("db: {password: hunter2}", "`secrets.db.password` has its value in windlass.yaml itself"),
            ("db: {password: {env: A, file: b}}", "one of `env`, `file` and `command`"),
            ("db: {password: {enw: A}}", "unknown key `enw`"),
            ("db: {env: A}", "`secrets.db` has one value and no key for it"),
            ("db: {}", "`secrets.db` has no keys"),
            ("Db: {a: {env: A}}", "`Db` cannot be the name of a Secret"),
            ("db: {'a b': {env: A}}", "`a b` cannot be a key of a Secret"),
            ("db: {command: sops -d x}", "must be a list"),
            ("r: {pull: {user: u}}", "`secrets.r.pull` has no `password`"),
            ("r: {pull: {user: u, password: {env: CI_JOB_TOKEN}}}", "the job's own token"),
            ("r: {pull: {user: u, password: {env: CI_REGISTRY_PASSWORD}}}", "the job's own token"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.message().contains(words), "{text}: {error}");
            assert_eq!(error.kind(), Kind::Invalid, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_others_make_is_a_kind_and_a_name() {
        let read = |text: &str| {
            external("external", yaml::read(text, Path::new("windlass.yaml")).expect("it is YAML"))
        };
        assert_eq!(read("[Secret/shop-tls]").unwrap()[0].text, "Secret/shop-tls");
        assert!(read("[shop-tls]").is_err());
        assert!(read("Secret/x").is_err());
        assert_eq!(read("[Certificate.cert-manager.io/x, Certificate/y]").unwrap().len(), 2);
        let error = read("[secret/x]").expect_err("kinds have capitals");
        assert_eq!(error.hint(), Some("did you mean `Secret`?"));
    }
}
