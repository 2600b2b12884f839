//! What only a person can do after `init`, from what the repository has by then.

use crate::init::configuration::Configuration;
use crate::project::{Project, SET_REGISTRY};
use crate::report::view::setup::init::FirstFiles;

/// Without a registry nothing can be built: it is the first thing to do.
pub(super) fn registry(project: &Project, config: &Configuration, report: &mut FirstFiles) {
    let is_known = match &project.config_file {
        Some(_) => project.registry.is_some(),
        None => config.registry.is_some(),
    };
    if !is_known && !config.images.is_empty() {
        report.need(format!("name the registry: {SET_REGISTRY}"));
        report.lacks_registry = true;
    }
}
