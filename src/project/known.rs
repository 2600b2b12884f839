//! What a configuration that is broken still says: enough to print the command that works without it.

use std::path::Path;

use serde_json::Value;

use crate::project::config::environment::{Lookup, variable};
use crate::project::config::{names, yaml};
use crate::project::{GitFacts, Options, check_name, directory, find, project_path};

/// What is known of a project and one of its tiers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialConfig {
    /// The project's name.
    pub project: Option<String>,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

/// What can be read of the tier where the project could not be opened. Whatever is in doubt is not known.
pub fn known(options: &Options, git: GitFacts, tier: &str) -> PartialConfig {
    known_with(options, git, tier, &variable).unwrap_or_default()
}

fn known_with(
    options: &Options,
    git: GitFacts,
    tier: &str,
    environment: Lookup<'_>,
) -> Option<PartialConfig> {
    let directory = directory(&options.directory).ok()?;
    let config = config(&directory, options, git.root.as_deref()).unwrap_or_default();
    let origin = || names::of_origin(&project_path(environment).or(git.origin)?);
    let configured = config["project"].as_str().and_then(|name| check_name(name).ok());
    let tier = of_tier(&config, tier);
    Some(PartialConfig { project: options.project.clone().or(configured).or_else(origin), ..tier })
}

/// The file as a tree of texts, where it is YAML at all.
fn config(directory: &Path, options: &Options, top: Option<&Path>) -> Option<Value> {
    let file = find(directory, options.config.as_deref(), top).ok()?.config_file?;
    yaml::strings(&std::fs::read_to_string(file).ok()?).ok()
}

/// Where the tier is: its own entry, else that of the longest pattern that fits.
fn of_tier(config: &Value, name: &str) -> PartialConfig {
    let tiers = config["tiers"].as_object();
    let fits = |pattern: &str| {
        pattern == name || pattern.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix))
    };
    let fitting = tiers.into_iter().flatten().filter(|(pattern, _)| fits(pattern));
    let rank = |pattern: &str| (pattern == name, pattern.len());
    let Some((_, tier)) = fitting.max_by_key(|(pattern, _)| rank(pattern)) else {
        return PartialConfig::default();
    };
    // Of several contexts only the kubeconfig could say which is meant.
    let context = tier["context"].as_str().or_else(|| match tier["context"].as_array()?.as_slice() {
        [only] => only.as_str(),
        _ => None,
    });
    PartialConfig {
        project: None,
        context: context.filter(|context| !context.is_empty()).map(str::to_owned),
        namespace: tier["namespace"].as_str().filter(|one| names::is_namespace(one)).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_of(text: &str, tier: &str) -> PartialConfig {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("windlass.yaml"), text).unwrap();
        let options = Options { directory: directory.path().to_path_buf(), ..Options::default() };
        known_with(&options, GitFacts::default(), tier, &|_| None).unwrap()
    }

    fn known(project: &str, context: &str, namespace: &str) -> PartialConfig {
        let one = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PartialConfig { project: one(project), context: one(context), namespace: one(namespace) }
    }

    #[test]
    fn what_a_mistake_does_not_touch_is_known() {
        let text = "version: 1\nproject: shop\nimges: {}\ntiers:\n  staging: {context: lab, namespace: shop, rolback: auto}\n  \
                    review/*: {context: [eu], namespace: 'shop-${WINDLASS_SLUG}'}\n  qa: {context: [a, b], namespace: qa}\n";
        assert_eq!(known_of(text, "staging"), known("shop", "lab", "shop"));
        assert_eq!(known_of(text, "review/x"), known("shop", "eu", ""));
        assert_eq!(known_of(text, "qa"), known("shop", "", "qa"));
        assert_eq!(known_of(text, "other"), known("shop", "", ""));
        assert_eq!(known_of("tiers: [", "staging"), PartialConfig::default());
    }
}
