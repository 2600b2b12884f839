//! The entrance of the fuzzer: a project out of the text of a `windlass.yaml` alone.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use crate::project::config::read;
use crate::project::{Project, Tier};

/// The project, as `Project::open` would read it in an environment without variables.
pub(crate) fn of_text(text: &str) -> Result<Project> {
    let config = read::config(text, Path::new("windlass.yaml"), BTreeMap::new(), &|_| None)?;
    let (name, registry) = (config.project.clone().unwrap_or("shop".to_owned()), config.registry.clone());
    Ok(Project { name, registry, config, ..Project::default() })
}

/// What came of the text: of the configuration, of its tiers, of what they are expanded to.
pub(crate) fn windlass_yaml(text: &str) -> Result<Vec<Result<Tier>>> {
    let project = of_text(text)?;
    let tried = |tier: Result<Tier>| {
        let tier = tier?;
        tier.addresses()?;
        tier.variables()?;
        Ok(tier)
    };
    // One by one, as `validate` does.
    Ok(project.sample_tiers().map(tried).take(100).collect())
}
