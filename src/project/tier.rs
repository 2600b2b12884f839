//! A tier as a release needs it: which cluster, which namespace, which variables, which rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::{OnCancel, Rollback, Tested, TierConfig};
use super::variables::{Sources, Written};
use crate::error::{Error, Kind, Place, Result};
use crate::project::Project;
use crate::project::config::environment::{ExpandError, Lookup, expand, variable};
use crate::project::config::health::HealthRules;
use crate::project::config::ignored::Ignored;
use crate::project::config::names;
use crate::project::config::read::{TEN_MINUTES, choice};
use crate::project::config::secrets::{External, ExternalObject, SecretConfig};
use crate::project::config::verify::VerifyConfig;
use crate::text::{shell_word, slug};

/// Which cluster and namespace a tier means.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Names of kubeconfig contexts; the first that the kubeconfig has is used, nothing else ever.
    pub contexts: Vec<String>,
    /// The tier's namespace.
    pub namespace: String,
    /// The uid of the cluster meant (`status` says it); any other is refused.
    pub pin: Option<String>,
    /// The kubeconfig; `None` for the one that the environment names.
    pub kubeconfig: Option<PathBuf>,
}

/// An environment that the project is released to.
#[derive(Debug, Clone)]
pub struct Tier {
    /// The full name: `review/feature-x`.
    pub name: String,
    /// The name as a slug: part of labels and of the names of records.
    pub slug: String,
    /// The key in `tiers:` that it was found by: `review/*`; the name itself where the configuration has no such
    /// tier.
    pub pattern: String,
    /// Whether the configuration has the tier; where it does not, the rules that its records keep count.
    pub configured: bool,
    /// The file to read instead of the kubeconfig of the environment.
    pub kubeconfig: Option<PathBuf>,
    /// Contexts of the kubeconfig; the first that it has is used.
    pub contexts: Vec<String>,
    /// The uid of the cluster meant.
    pub cluster: Option<String>,
    /// The namespace.
    pub namespace: String,
    /// The variables of the configuration, of the tier and of `--var` that have a value, without `WINDLASS_…`.
    pub vars: BTreeMap<String, String>,
    /// The variables whose value is a text whatever it looks like: the file has it in quotes.
    pub texts: BTreeSet<String>,
    /// `WINDLASS_PROJECT`, `_TIER`, `_SLUG`, and in a Git repository `_COMMIT`, `_BRANCH` and `_TAG`.
    pub own: BTreeMap<String, String>,
    /// Files of values for the chart in `.kube`, as written, and where that stands.
    pub values: Vec<(String, Place)>,
    /// The variables that got no value, and why: a rollback does not need them.
    pub without_value: BTreeMap<String, Error>,
    /// How long a rollout may take.
    pub timeout: Duration,
    /// What the command line gave instead of the configuration: (`context`, value) and so on.
    pub given: Vec<(String, String)>,
    /// Whether a release needs passed tests.
    pub tested: Tested,
    /// The tier on which the same images and manifests must have been good before.
    pub after: Option<String>,
    /// The branches that may be released here; empty for all.
    pub branches: Vec<String>,
    /// The Git tags that may be released here; with branches, either is enough.
    pub tags: Vec<String>,
    /// Whether a release must be confirmed.
    pub confirm: bool,
    /// Whether uncommitted changes and unprotected branches are refused.
    pub protected: bool,
    /// What happens when a rollout fails.
    pub rollback: Rollback,
    /// What happens when a release is cancelled.
    pub on_cancel: OnCancel,
    /// What must hold after a rollout before the release is good.
    pub verify: Option<VerifyConfig>,
    /// How objects of custom kinds say that they are well.
    pub health: Arc<HealthRules>,
    /// Objects of others that keep no namespace alive.
    pub ignore: Vec<Ignored>,
    /// The Secrets whose values stand elsewhere, by name: those of all tiers, and its own.
    pub secrets: Arc<BTreeMap<String, SecretConfig>>,
    /// What others make: for all tiers, and for this one.
    pub externals: Vec<External>,
}

/// What the command line says about a tier.
#[derive(Debug, Clone, Default)]
pub struct TierOverrides {
    /// `--context`
    pub context: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// `--kubeconfig`, as a path that is good from anywhere.
    pub kubeconfig: Option<PathBuf>,
}

/// The rules of a tier that its records keep, for commands that read no configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TierRules {
    /// Whether a release and a rollback must be confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// Whether jobs of unprotected branches and tags are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

/// What is asked over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// With the tier's variables.
    pub addresses: Vec<String>,
    /// With the tier's variables.
    pub headers: Vec<(String, String)>,
}

impl Tier {
    /// A complete command on this tier, with the overrides that this run was given: `windlass rollback staging`.
    pub(crate) fn command(&self, verb: &str) -> String {
        let mut command = format!("windlass {verb} {}", self.name);
        for (flag, value) in &self.given {
            let dashes = if flag.len() == 1 { "-" } else { "--" };
            command += &format!(" {dashes}{flag} {}", shell_word(value));
        }
        command
    }

    /// Which cluster and namespace it means.
    pub fn target(&self) -> Target {
        Target {
            contexts: self.contexts.clone(),
            namespace: self.namespace.clone(),
            pin: self.cluster.clone(),
            kubeconfig: self.kubeconfig.clone(),
        }
    }

    /// The rules that its records keep.
    pub fn rules(&self) -> TierRules {
        TierRules { confirm: self.confirm, protected: self.protected }
    }

    /// The tier with the rules that its records keep.
    #[must_use]
    pub fn under(self, rules: TierRules) -> Self {
        Self { confirm: rules.confirm, protected: rules.protected, ..self }
    }

    /// What a namespace says that windlass made for a tier: the annotation `windlass.dev/made-for`.
    pub fn made_for(&self, project: &super::Project) -> String {
        format!("{}/{}", project.name, self.name)
    }

    /// Whether a release needs a passed record of every test.
    pub fn tests_required(&self) -> bool {
        self.tested == Tested::Required
    }

    /// All variables that a manifest may use, but for `WINDLASS_IMAGE_…`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with its place for the first variable that has no value.
    pub fn variables(&self) -> Result<BTreeMap<String, String>> {
        match self.without_value.values().next() {
            Some(error) => Err(error.clone()),
            None => Ok(self
                .vars
                .iter()
                .chain(&self.own)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()),
        }
    }

    /// A text of the configuration with its variables replaced: the tier's, else the environment's. `path` and
    /// `place` say where it stands.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that has no value.
    pub fn expand(&self, text: &str, path: &str, place: &Place) -> Result<String> {
        let mut lookup = |name: &str| match self.without_value.get(name) {
            Some(error) => Err(ExpandError::Elsewhere(Box::new(error.clone()))),
            None => {
                Ok(self.vars.get(name).or_else(|| self.own.get(name)).cloned().or_else(|| variable(name)))
            }
        };
        expand(text, &mut lookup).map_err(|fault| fault.error(path, Some(place)))
    }

    /// What an entry of `external` means on this tier.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that has no value here.
    pub fn external(&self, external: &External) -> Result<ExternalObject> {
        let text = self.expand(&external.text, "external", &external.place)?;
        let (kind, name) = text.split_once('/').unwrap_or((&text, ""));
        let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
        let (kind, group, name) = (kind.to_owned(), group.to_owned(), name.to_owned());
        Ok(ExternalObject { kind, group, name, place: external.place.clone() })
    }

    /// The addresses of `verify`, and the headers of their requests, with their variables replaced.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a variable without a value, and for what is no address.
    pub fn addresses(&self) -> Result<Addresses> {
        let Some(verify) = &self.verify else {
            return Ok(Addresses { addresses: Vec::new(), headers: Vec::new() });
        };
        let place = verify.place.clone().unwrap_or_else(|| Place::file(super::FILE));
        let path = format!("tiers.{}.verify", self.pattern);
        let address = |text: &String| {
            let address = self.expand(text, &format!("{path}.http"), &place)?;
            if address.starts_with("http://") || address.starts_with("https://") {
                return Ok(address);
            }
            Err(Error::new(Kind::Invalid, format!("`{address}` in `{path}.http` is not an address"))
                .at(place.clone())
                .with_hint("begin it with `http://` or `https://`"))
        };
        let header = |(name, value): (&String, &String)| {
            Ok((name.clone(), self.expand(value, &format!("{path}.headers.{name}"), &place)?))
        };
        Ok(Addresses {
            addresses: verify.http.iter().map(address).collect::<Result<_>>()?,
            headers: verify.headers.iter().map(header).collect::<Result<_>>()?,
        })
    }

    /// The tier of this name, with `${…}` looked up in this environment.
    pub(super) fn open(
        project: &Project,
        name: &str,
        overrides: &TierOverrides,
        environment: Lookup<'_>,
    ) -> Result<Self> {
        names::tier(name)?;
        let (pattern, config) = match found(project, name) {
            Some((pattern, config)) => (pattern, Some(config)),
            None if name.ends_with("/*") => return Err(unnamed(name)),
            None if overrides.context.is_some() && overrides.namespace.is_some() => (name, None),
            None => return Err(unknown(project, name)),
        };
        let own = own(project, name, config.map(|_| pattern));
        let place = |keys: &[&str]| project.config.places.of(keys);
        let of_tier = |name: &str| place(&["tiers", pattern, "vars", name]);
        let of_config = |name: &str| place(&["vars", name]);
        let tier_vars = config.map(|config| &config.vars);
        let sources = Sources {
            own: &own,
            given: &project.vars,
            written: [
                Written { path: format!("tiers.{pattern}.vars"), values: tier_vars, place: &of_tier },
                Written { path: "vars".to_owned(), values: Some(&project.config.vars), place: &of_config },
            ],
            environment,
        };
        let namespace = match (&overrides.namespace, config) {
            (Some(namespace), _) => given_namespace(&sources, namespace)?,
            (None, Some(config)) => {
                let at = place(&["tiers", pattern, "namespace"]);
                written_namespace(&sources, pattern, &config.namespace, at)?
            }
            (None, None) => return Err(unknown(project, name)),
        };
        let (vars, without_value) = parted(sources.all());
        let texts = vars.keys().filter(|name| is_text(project, pattern, config, name)).cloned().collect();
        Ok(Self {
            name: name.to_owned(),
            slug: slug(name),
            pattern: pattern.to_owned(),
            configured: config.is_some(),
            kubeconfig: overrides.kubeconfig.clone(),
            contexts: contexts(config, overrides),
            cluster: config.and_then(|config| config.cluster.clone()),
            given: given(project, overrides, &namespace),
            namespace,
            vars,
            texts,
            values: values(config, place(&["tiers", pattern, "values"])),
            without_value,
            timeout: config.map_or(TEN_MINUTES, |config| config.timeout),
            tested: config.and_then(|config| config.tested).unwrap_or(project.config.tested_by_default()),
            after: config.and_then(|config| config.after.clone()),
            branches: config.map(|config| config.branches.clone()).unwrap_or_default(),
            tags: config.map(|config| config.tags.clone()).unwrap_or_default(),
            confirm: config.is_some_and(|config| config.confirm),
            protected: config.is_some_and(|config| config.protected),
            rollback: config.map(|config| config.rollback).unwrap_or_default(),
            on_cancel: config.map(|config| config.on_cancel).unwrap_or_default(),
            verify: config.and_then(|config| config.verify.clone()),
            health: Arc::new(health(project, config)),
            ignore: config.map(|config| config.ignore.clone()).unwrap_or_default(),
            secrets: Arc::new(secrets(project, config)),
            externals: externals(project, config),
            own,
        })
    }
}

/// Whether the configuration has a variable in quotes: then its value is a text, whatever it looks like.
fn is_text(project: &Project, pattern: &str, config: Option<&TierConfig>, name: &str) -> bool {
    let of_tier = config.is_some_and(|config| config.vars.contains_key(name));
    let keys: &[&str] = if of_tier { &["tiers", pattern, "vars", name] } else { &["vars", name] };
    !project.vars.contains_key(name) && project.config.places.is_text(keys)
}

/// The rules of the configuration, and those of the tier before them.
fn secrets(project: &Project, config: Option<&TierConfig>) -> BTreeMap<String, SecretConfig> {
    let of_tier = config.map(|config| config.secrets.clone()).unwrap_or_default();
    project.config.secrets.clone().into_iter().chain(of_tier).collect()
}

fn externals(project: &Project, config: Option<&TierConfig>) -> Vec<External> {
    let of_tier = config.map(|config| config.external.clone()).unwrap_or_default();
    project.config.external.iter().cloned().chain(of_tier).collect()
}

fn health(project: &Project, config: Option<&TierConfig>) -> HealthRules {
    let of_tier = config.map(|config| config.health.clone()).unwrap_or_default();
    project.config.health.clone().into_iter().chain(of_tier).collect()
}

fn values(config: Option<&TierConfig>, place: Option<&Place>) -> Vec<(String, Place)> {
    let place = place.cloned().unwrap_or_else(|| Place::file(super::FILE));
    let files = config.into_iter().flat_map(|config| &config.values);
    files.map(|file| (file.clone(), place.clone())).collect()
}

/// The tier's own entry, else that of the longest pattern that fits.
fn found<'a>(project: &'a Project, name: &str) -> Option<(&'a str, &'a TierConfig)> {
    let tiers = &project.config.tiers;
    if name.ends_with("/*") {
        return None;
    }
    let exact = tiers.get_key_value(name);
    let fits = |pattern: &str| pattern.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix));
    let fitting =
        || tiers.iter().filter(|(pattern, _)| fits(pattern)).max_by_key(|(pattern, _)| pattern.len());
    exact.or_else(fitting).map(|(pattern, config)| (pattern.as_str(), config))
}

/// Whether the configuration has a tier of this name.
pub(super) fn is_configured(project: &Project, name: &str) -> bool {
    found(project, name).is_some()
}

/// The tier that an environment of GitLab's is of, where that is not this one: compared as GitLab compares names, without regard
/// to capitals and signs.
pub(super) fn of_environment(project: &Project, environment: &str, tier: &Tier) -> Option<String> {
    let words = |text: &str| text.to_lowercase().replace(|one: char| !one.is_ascii_alphanumeric(), "-");
    if environment.is_empty() || words(environment) == words(&tier.name) {
        return None;
    }
    let is_same = |pattern: &&String| words(pattern) == words(environment);
    let exact = project.config.tiers.keys().find(is_same).cloned();
    let by_pattern = || found(project, environment).map(|(pattern, _)| pattern.to_owned());
    exact.or_else(by_pattern).filter(|pattern| *pattern != tier.pattern)
}

fn unnamed(pattern: &str) -> Error {
    let prefix = pattern.trim_end_matches('*');
    Error::new(Kind::Invalid, format!("`{pattern}` is a pattern for many tiers"))
        .with_hint(format!("name one of them, such as `{prefix}feature-x`"))
}

fn unknown(project: &Project, name: &str) -> Error {
    let error = Error::new(Kind::Invalid, format!("there is no tier `{name}`"));
    let without = "pass --context and --namespace for a tier that the configuration does not have";
    let Some(file) = &project.config_file else {
        return error.with_hint(format!("{without}; this directory has no windlass.yaml"));
    };
    let file = file.strip_prefix(&project.root).unwrap_or(file);
    let known = || project.config.tiers.keys().map(String::as_str);
    let hint = if known().next().is_none() { without.to_owned() } else { choice(name, known, "tiers") };
    error.at(Place::file(file)).with_hint(hint)
}

fn own(project: &Project, name: &str, pattern: Option<&str>) -> BTreeMap<String, String> {
    let mut own = project.own_variables();
    let matched = match pattern {
        Some(pattern) => pattern.strip_suffix('*').and_then(|prefix| name.strip_prefix(prefix)),
        // Without a configuration a pattern is most likely what it mostly is: `review/*`.
        None => name.split_once('/').map(|(_, rest)| rest),
    };
    let matched = matched.unwrap_or(name);
    own.insert("WINDLASS_TIER".to_owned(), name.to_owned());
    own.insert("WINDLASS_SLUG".to_owned(), slug(matched));
    own
}

/// That of `--namespace`.
fn given_namespace(sources: &Sources<'_>, text: &str) -> Result<String> {
    let namespace = sources.expand(text).map_err(|fault| fault.error("--namespace", None))?;
    check_namespace(namespace, None)
}

/// That of `windlass.yaml`.
fn written_namespace(sources: &Sources<'_>, tier: &str, text: &str, place: Option<&Place>) -> Result<String> {
    let path = format!("tiers.{tier}.namespace");
    let namespace = sources.expand(text).map_err(|fault| fault.error(&path, place))?;
    check_namespace(namespace, place)
}

fn check_namespace(name: String, place: Option<&Place>) -> Result<String> {
    if names::is_namespace(&name) {
        return Ok(name);
    }
    let error = Error::new(Kind::Invalid, format!("`{name}` cannot be a namespace"))
        .with_hint(names::NAMESPACE_SHAPE);
    Err(match place {
        Some(place) => error.at(place.clone()),
        None => error,
    })
}

fn contexts(config: Option<&TierConfig>, overrides: &TierOverrides) -> Vec<String> {
    match (&overrides.context, config) {
        (Some(context), _) => vec![context.clone()],
        (None, Some(config)) => config.contexts.clone(),
        (None, None) => Vec::new(),
    }
}

fn given(project: &Project, overrides: &TierOverrides, namespace: &str) -> Vec<(String, String)> {
    let name = Some(project.name.clone()).filter(|_| project.named == super::Named::Given);
    let file = overrides.kubeconfig.as_ref().map(|file| file.display().to_string());
    let all = [
        ("project", name),
        ("context", overrides.context.clone()),
        ("namespace", overrides.namespace.as_ref().map(|_| namespace.to_owned())),
        ("kubeconfig", file),
    ];
    let of_tier = all.into_iter().filter_map(|(flag, value)| Some((flag.to_owned(), value?)));
    project.found_by.iter().cloned().chain(of_tier).collect()
}

type Parted = (BTreeMap<String, String>, BTreeMap<String, Error>);

fn parted(all: BTreeMap<String, Result<String>>) -> Parted {
    let mut parts = Parted::default();
    for (name, value) in all {
        match value {
            Ok(value) => drop(parts.0.insert(name, value)),
            Err(error) => drop(parts.1.insert(name, error)),
        }
    }
    parts
}

#[cfg(test)]
mod tests;
