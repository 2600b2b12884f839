//! The tiers of a first configuration: staging and production where nothing says otherwise.

use crate::init::configuration::{Configuration, TierEntry};
use crate::project::Project;
use crate::text::slug;

/// Two tiers without a namespace yet.
pub(super) fn usual() -> Vec<TierEntry> {
    ["staging", "production"].map(|name| TierEntry { name: name.to_owned(), ..TierEntry::default() }).to_vec()
}

/// Tiers without a name or a namespace get the usual ones.
pub(super) fn complete(config: &mut Configuration, host: Option<&str>, has_review_apps: bool) {
    if config.tiers.is_empty() {
        config.tiers = usual();
    }
    if has_review_apps && !config.tiers.iter().any(|tier| tier.name.contains('*')) {
        config.tiers.insert(0, TierEntry { name: "review/*".to_owned(), ..TierEntry::default() });
    }
    let names: Vec<String> = config.tiers.iter().map(|tier| tier.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let last =
        config.tiers.last().map(|tier| tier.namespace.clone()).filter(|namespace| !namespace.is_empty());
    let base = last.unwrap_or_else(|| config.project.clone());
    for tier in &mut config.tiers {
        if tier.namespace.is_empty() {
            tier.namespace = namespace_of(&base, &tier.name, &names);
        }
        if let Some(host) = host {
            let is_last = names.last().is_some_and(|name| *name == tier.name);
            let host = match tier.name.strip_suffix("/*") {
                Some(prefix) => format!("${{WINDLASS_SLUG}}.{prefix}.{host}"),
                None if is_last => host.to_owned(),
                None => format!("{}.{host}", tier.name),
            };
            tier.vars.insert("HOST".to_owned(), host);
        }
    }
}

/// The namespace of a tier: the project's name for the last, with the tier's name behind it for those before.
pub(super) fn namespace_of(project: &str, tier: &str, all: &[&str]) -> String {
    match all.last() {
        Some(last) if *last == tier => project.to_owned(),
        _ if tier.ends_with("/*") => format!("{project}-{}${{WINDLASS_SLUG}}", tier.replace("/*", "-")),
        _ => format!("{project}-{}", slug(tier)),
    }
}

/// The tier to begin with.
pub(super) fn first(project: &Project, config: &Configuration) -> Option<String> {
    if project.config_file.is_none() {
        return config.tiers.iter().map(|tier| tier.name.clone()).find(|name| !name.contains('*'));
    }
    let names = || project.config.tiers.keys();
    names().find(|name| *name == "staging").or_else(|| names().find(|name| !name.contains('*'))).cloned()
}
