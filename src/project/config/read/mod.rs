//! From the text of `windlass.yaml` to the [`Config`]: every mistake has its line and says what would be right.

pub(crate) mod images;
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind, Place, Result};
use crate::project::config::environment::{ExpandError, Lookup, expand};
use crate::project::config::table::{Keys, ROOT, Table, list, text};
use crate::project::config::verify::VerifyConfig;
use crate::project::config::yaml::{ConfigNode, Key, Value};
use crate::project::config::{
    BuilderConfig, Config, HealthRules, ImageConfig, OnCancel, Rollback, Tested, TierConfig, health, ignored,
    names, secrets, table, verify, yaml,
};
use crate::text::nearest;

const WHOLE: Keys = Keys {
    known: &[
        "version",
        "project",
        "registry",
        "insecure",
        "ca",
        "builder",
        "kubernetes",
        "vars",
        "images",
        "tests",
        "secrets",
        "external",
        "health",
        "tiers",
    ],
    unbuilt: &["manifests", "notify", "proofs"],
};
const BUILDER: Keys = Keys { known: &["address", "ca", "cert", "key"], unbuilt: &[] };
const TIER: Keys = Keys {
    known: &[
        "context",
        "cluster",
        "namespace",
        "vars",
        "values",
        "tested",
        "after",
        "branches",
        "tags",
        "confirm",
        "protected",
        "rollback",
        "on_cancel",
        "timeout",
        "verify",
        "health",
        "ignore",
        "secrets",
        "external",
    ],
    unbuilt: &["freeze", "max", "ttl"],
};

/// The keys of each type, by its JSON pointer in the schema.
#[cfg(test)]
pub(crate) fn known_keys() -> [(&'static str, &'static [&'static str]); 8] {
    [
        ("", WHOLE.known),
        ("/$defs/BuilderConfig", BUILDER.known),
        ("/$defs/ImageConfig", images::IMAGE.known),
        ("/$defs/TestConfig", testing::TEST.known),
        ("/$defs/ServiceConfig", testing::SERVICE.known),
        ("/$defs/Ready", testing::READY.known),
        ("/$defs/TierConfig", TIER.known),
        ("/$defs/VerifyConfig", verify::VERIFY.known),
    ]
}

/// How long a test or a rollout may take where nothing is said.
pub(crate) const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Reads the configuration; `images` are those of the convention, taken where the file has no such key.
///
/// # Errors
/// [`Kind::Invalid`] with the place for every mistake, [`Kind::Usage`] for what is not implemented. A variable that the
/// environment does not have is no error here: a rollback needs none of them.
pub(crate) fn config(
    source: &str,
    file: &Path,
    images: BTreeMap<String, ImageConfig>,
    lookup: Lookup<'_>,
) -> Result<Config> {
    let root = yaml::read(source, file)?;
    if matches!(root.value, Value::Null) {
        return Err(no_version(Place::file(file)));
    }
    let mut reader = Reader { config: Config { images, ..Config::default() }, lookup };
    reader.whole(root)?;
    Ok(reader.config)
}

fn no_version(place: Place) -> Error {
    Error::new(Kind::Invalid, "`version` is missing").at(place).with_hint("begin with `version: 1`")
}

struct Reader<'a> {
    config: Config,
    lookup: Lookup<'a>,
}

impl Reader<'_> {
    fn whole(&mut self, root: ConfigNode) -> Result<()> {
        let mut table = Table::open(ROOT, root, &WHOLE)?;
        self.config.version = version(&mut table)?;
        if let Some(node) = table.take("project") {
            self.config.project = Some(text("project", &node)?);
            self.config.places.note(&["project"], node.place);
        }
        if let Some(node) = table.take("registry") {
            self.config.registry = self.expanded("registry", &node)?.filter(|registry| !registry.is_empty());
            self.config.places.note(&["registry"], node.place);
        }
        self.config.insecure = flag(&mut table, "insecure")?;
        self.config.ca = table.text("ca")?.map(PathBuf::from);
        self.config.builder = table.take("builder").map(|node| self.builder(node)).transpose()?.flatten();
        if let Some(node) = table.take("kubernetes") {
            self.config.kubernetes = Some(text("kubernetes", &node)?);
            self.config.places.note(&["kubernetes"], node.place);
        }
        self.config.vars = self.vars(&mut table, &["vars"])?;
        if let Some(node) = table.take("images") {
            self.config.images = self.images(node)?;
        }
        self.config.tests = table.maps("tests", |key, node| self.test(key, node))?;
        self.check_test_needs()?;
        self.config.secrets = table.maps("secrets", |key, node| secrets::secret("secrets", key, node))?;
        self.config.external = {
            table
                .take("external")
                .map_or_else(|| Ok(Vec::new()), |node| secrets::external("external", node))?
        };
        self.config.health = self.health(&mut table)?;
        self.config.tiers = table.maps("tiers", |key, node| self.tier(key, node))?;
        self.check_after()?;
        self.check_verify()
    }

    /// The address alone, or with the files of TLS; `None` where the address is empty.
    fn builder(&mut self, node: ConfigNode) -> Result<Option<BuilderConfig>> {
        if matches!(node.value, Value::Scalar(_)) {
            let address = self.builder_address("builder", &node)?;
            let is_given = address.as_ref().is_none_or(|address| !address.is_empty());
            return Ok(is_given.then_some(BuilderConfig { address, ca: None, cert: None, key: None }));
        }
        let mut table = Table::open("builder", node, &BUILDER)?;
        let address = table.require("address")?;
        let address = self.builder_address("builder.address", &address)?;
        let mut file = |key: &str| Ok::<_, Error>(table.text(key)?.map(PathBuf::from));
        let builder = BuilderConfig { address, ca: file("ca")?, cert: file("cert")?, key: file("key")? };
        if builder.cert.is_some() != builder.key.is_some() {
            let message = "`builder.cert` and `builder.key` belong together";
            return Err(Error::new(Kind::Invalid, message).at(table.place().clone()));
        }
        let is_given = builder.address.as_ref().is_none_or(|address| !address.is_empty());
        Ok(is_given.then_some(builder))
    }

    fn builder_address(&mut self, path: &str, node: &ConfigNode) -> Result<Option<String>> {
        let address = self.expanded(path, node)?;
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.+".contains(letter);
        let known = |address: &String| {
            let rest = address.strip_prefix("tcp://").or_else(|| address.strip_prefix("unix://"));
            // What has no scheme is the name of a builder of buildx.
            rest.map_or_else(|| address.chars().all(is_of_name), |rest| !rest.is_empty())
        };
        match address {
            Some(address) if !known(&address) => Err(Error::new(
                Kind::Invalid,
                format!("`{path}` must be like tcp://buildkitd:1234 or unix:///run/buildkit/buildkitd.sock, or the name of a builder of `docker buildx`, not `{address}`"),
            )
            .at(node.place.clone())),
            address => Ok(address),
        }
    }

    /// The test that verifies a tier must be one of the tests.
    fn check_verify(&self) -> Result<()> {
        for (name, tier) in &self.config.tiers {
            let Some(test) = tier.verify.as_ref().and_then(|verify| verify.test.as_ref()) else { continue };
            if self.config.tests.contains_key(test) {
                continue;
            }
            let known = || self.config.tests.keys().map(String::as_str);
            let error =
                Error::new(Kind::Invalid, format!("`tiers.{name}.verify.test` names no test: `{test}`"))
                    .with_hint(choice(test, known, "tests"));
            return Err(match self.config.places.of(&["tiers", name, "verify"]) {
                Some(place) => error.at(place.clone()),
                None => error,
            });
        }
        Ok(())
    }

    /// The tier before must be one of the tiers, and another one.
    fn check_after(&self) -> Result<()> {
        let tiers = &self.config.tiers;
        for (name, tier) in tiers {
            let Some(after) = &tier.after else { continue };
            let others =
                || tiers.keys().map(String::as_str).filter(|other| other != name && !other.ends_with('*'));
            let error = if !tiers.contains_key(after) || after == name || after.ends_with('*') {
                Error::new(Kind::Invalid, format!("`tiers.{name}.after` names no other tier: `{after}`"))
                    .with_hint(choice(after, others, "tiers"))
            } else if self.comes_after(name, name) {
                let message = format!("`tiers.{name}.after` is a cycle: `{after}` comes after `{name}`");
                Error::new(Kind::Invalid, message).with_hint("one of them must be the first")
            } else {
                continue;
            };
            return Err(match self.config.places.of(&["tiers", name, "after"]) {
                Some(place) => error.at(place.clone()),
                None => error,
            });
        }
        Ok(())
    }

    /// Whether a tier must come after another, at some remove.
    fn comes_after(&self, name: &str, other: &str) -> bool {
        let before = |name: &str| self.config.tiers.get(name)?.after.as_deref();
        let mut at = before(name);
        for _ in 0..self.config.tiers.len() {
            match at {
                Some(found) if found == other => return true,
                Some(found) => at = before(found),
                None => return false,
            }
        }
        false
    }

    fn tier(&mut self, key: &Key, node: ConfigNode) -> Result<TierConfig> {
        let name = key.text.as_str();
        names::tier(name).map_err(|error| error.at(key.place.clone()))?;
        let mut table = Table::open(&format!("tiers.{name}"), node, &TIER)?;
        let contexts = contexts(&table.path("context"), table.require("context")?)?;
        let namespace = table.require("namespace")?;
        let path = table.path("namespace");
        self.config.places.note(&["tiers", name, "namespace"], namespace.place.clone());
        let rollback = [("manual", Some(Rollback::Manual)), ("auto", Some(Rollback::Auto))];
        let on_cancel = [("keep", Some(OnCancel::Keep)), ("rollback", Some(OnCancel::Rollback))];
        let tested = &[("required", Some(Tested::Required)), ("optional", Some(Tested::Optional))];
        Ok(TierConfig {
            contexts,
            cluster: table.text("cluster")?,
            namespace: text(&path, &namespace)?,
            vars: self.vars(&mut table, &["tiers", name, "vars"])?,
            values: self.values(&mut table, name)?,
            tested: rule(&mut table, "tested", tested)?,
            after: self.after(&mut table, name)?,
            branches: texts(&mut table, "branches")?,
            tags: texts(&mut table, "tags")?,
            confirm: flag(&mut table, "confirm")?,
            protected: flag(&mut table, "protected")?,
            rollback: rule(&mut table, "rollback", &rollback)?.unwrap_or_default(),
            on_cancel: rule(&mut table, "on_cancel", &on_cancel)?.unwrap_or_default(),
            timeout: table.duration("timeout", TEN_MINUTES)?,
            verify: self.verify(&mut table, name)?,
            health: self.health(&mut table)?,
            ignore: {
                let path = table.path("ignore");
                table.take("ignore").map_or_else(|| Ok(Vec::new()), |node| ignored::ignored(&path, node))?
            },
            secrets: {
                let path = table.path("secrets");
                table.maps("secrets", |key, node| secrets::secret(&path, key, node))?
            },
            external: {
                let path = table.path("external");
                table
                    .take("external")
                    .map_or_else(|| Ok(Vec::new()), |node| secrets::external(&path, node))?
            },
        })
    }

    fn health(&mut self, table: &mut Table) -> Result<HealthRules> {
        let path = table.path("health");
        let Some(node) = table.take("health") else { return Ok(HealthRules::new()) };
        health::rules(&path, node, &mut self.config.doubts)
    }

    fn verify(&mut self, table: &mut Table, tier: &str) -> Result<Option<VerifyConfig>> {
        let path = table.path("verify");
        let Some(node) = table.take("verify") else { return Ok(None) };
        self.config.places.note(&["tiers", tier, "verify"], node.place.clone());
        verify::verify(&path, node).map(Some)
    }

    /// Files of values for a chart; their place is kept, for they are only looked for with a tier.
    fn values(&mut self, table: &mut Table, tier: &str) -> Result<Vec<String>> {
        let path = table.path("values");
        let Some(node) = table.take("values") else { return Ok(Vec::new()) };
        self.config.places.note(&["tiers", tier, "values"], node.place.clone());
        match &node.value {
            Value::Scalar(one) => Ok(vec![one.clone()]),
            _ => list(&path, node),
        }
    }

    /// The tier before this one; that it exists is checked when all are read.
    fn after(&mut self, table: &mut Table, name: &str) -> Result<Option<String>> {
        let path = table.path("after");
        let Some(node) = table.take("after") else { return Ok(None) };
        self.config.places.note(&["tiers", name, "after"], node.place.clone());
        text(&path, &node).map(Some)
    }

    /// Variables stay as written; their places are kept, for they are only understood with a tier.
    fn vars(&mut self, table: &mut Table, keys: &[&str]) -> Result<BTreeMap<String, String>> {
        let path = table.path("vars");
        table.maps("vars", |key, node| {
            names::variable(&key.text).map_err(|error| error.at(key.place.clone()))?;
            let value = text(&format!("{path}.{}", key.text), &node)?;
            let keys = [keys, &[&key.text]].concat();
            // In flow style a reference needs its quotes: it takes the type of what it refers to.
            if node.quoted && !value.contains('$') {
                self.config.places.note_text(&keys);
            }
            self.config.places.note(&keys, node.place);
            Ok(value)
        })
    }

    /// The text with its variables replaced; `None`, and a note of it, where the environment lacks one.
    fn expanded(&mut self, path: &str, node: &ConfigNode) -> Result<Option<String>> {
        match expand(&text(path, node)?, &mut |name| Ok((self.lookup)(name))) {
            Ok(text) => Ok(Some(text)),
            Err(fault @ ExpandError::Missing { .. }) => {
                let error = fault.error(path, Some(&node.place));
                self.config.missing.push((path.to_owned(), error));
                Ok(None)
            }
            Err(fault) => Err(fault.error(path, Some(&node.place))),
        }
    }
}

fn version(table: &mut Table) -> Result<u32> {
    let Some(node) = table.take("version") else {
        return Err(no_version(table.place().clone()));
    };
    match text("version", &node)?.as_str() {
        "1" => Ok(1),
        other => {
            Err(Error::new(Kind::Invalid, format!("the version `{other}` of windlass.yaml is not known"))
                .at(node.place)
                .with_hint("write `version: 1`"))
        }
    }
}

fn texts(table: &mut Table, key: &str) -> Result<Vec<String>> {
    let path = table.path(key);
    table.take(key).map_or_else(|| Ok(Vec::new()), |node| list(&path, node))
}

fn flag(table: &mut Table, key: &str) -> Result<bool> {
    Ok(rule(table, key, &[("true", Some(true)), ("false", Some(false))])?.unwrap_or_default())
}

/// One of a few words; a word without a value is not implemented.
fn rule<T: Copy>(table: &mut Table, key: &str, words: &[(&str, Option<T>)]) -> Result<Option<T>> {
    let path = table.path(key);
    let Some(node) = table.take(key) else { return Ok(None) };
    let word = text(&path, &node)?;
    match words.iter().find(|(one, _)| *one == word) {
        Some((_, Some(value))) => Ok(Some(*value)),
        Some((_, None)) => Err(table::unbuilt(&format!("`{key}: {word}`"), node.place)),
        None => {
            let known: Vec<_> = words.iter().map(|(one, _)| format!("`{one}`")).collect();
            let message = format!("`{path}` must be {}, not `{word}`", known.join(" or "));
            Err(Error::new(Kind::Invalid, message).at(node.place))
        }
    }
}

fn contexts(path: &str, node: ConfigNode) -> Result<Vec<String>> {
    let place = node.place.clone();
    let contexts = match &node.value {
        Value::Scalar(one) => vec![one.clone()],
        _ => list(path, node)?,
    };
    if contexts.is_empty() || contexts.iter().any(String::is_empty) {
        return Err(Error::new(Kind::Invalid, format!("`{path}` names no context")).at(place));
    }
    Ok(contexts)
}

/// The hint for a name that does not exist: the nearest, and the list.
pub(crate) fn choice<'a, I>(word: &str, known: impl Fn() -> I, what: &str) -> String
where
    I: Iterator<Item = &'a str>,
{
    let all: Vec<_> = known().collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    match nearest(word, known()) {
        Some(near) => format!("did you mean `{near}`? The {what} are: {all}"),
        None => format!("the {what} are: {all}"),
    }
}
