//! Whether the nodes can pull the project's images: a private registry wants credentials from them, too.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use walkdir::WalkDir;

use crate::doctor::Finding;
use crate::error::{Error, Kind};
use crate::model::PULL_SECRET;
use crate::model::credentials::is_hub;
use crate::project::{Config, Project, SecretContent};
use crate::registry::Registry;
use crate::session::Session;

/// How long the registry may take: this is only a hint.
const LIMIT: Duration = Duration::from_secs(10);

/// A warning where the registry shows nobody the images, and no pull Secret is configured; nothing where that is not known.
pub(super) async fn examine(session: &Session, project: &Project) -> Option<Finding> {
    let image = project.config.images.keys().next()?;
    let reference = project.image_repository(image).ok()?;
    // Docker Hub tells nobody whether a repository exists. What renders manifests may name Secrets anywhere.
    if is_hub(&reference.registry)
        || has_pull_secret(&project.config)
        || names_pull_secret(&project.root.join(".kube"))
    {
        return None;
    }
    let registry = Registry::without_credentials(project);
    let late = || Error::new(Kind::Unreachable, "the registry did not respond");
    let refuses = session.within(LIMIT, registry.refuses(&reference), late).await;
    refuses.ok().filter(|refuses| *refuses).map(|_| missing(&reference.registry))
}

fn missing(host: &str) -> Finding {
    let message = format!("the nodes need credentials to pull from {host}, and no pull Secret is configured");
    let hint = format!(
        "`secrets: {{{PULL_SECRET}}}` in windlass.yaml; ignore this if the nodes have credentials of their own"
    );
    Finding::doubtful(message, &hint)
}

fn has_pull_secret(config: &Config) -> bool {
    config.all_secrets().any(|(_, secret)| matches!(secret.content, SecretContent::Pull(_)))
}

/// Whether manifests name a pull Secret of their own, or may: a chart's values and what a kustomization refers to can be
/// anywhere.
fn names_pull_secret(directory: &Path) -> bool {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^\s*imagePullSecrets:\s*(?:\[\s*\{|- )").expect("the pattern is a constant")
    });
    let files = WalkDir::new(directory).follow_links(true).into_iter().filter_map(Result::ok);
    let mut files = files.filter(|entry| entry.file_type().is_file());
    files.any(|file| {
        matches!(file.file_name().to_str(), Some("Chart.yaml" | "kustomization.yaml" | "kustomization.yml"))
            || std::fs::read_to_string(file.path()).is_ok_and(|text| NAMED.is_match(&text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_a_line_to_write() {
        let Finding::Doubtful(problem) = missing("registry.test") else { panic!("a warning") };
        assert!(problem.message.contains("pull from registry.test"), "{}", problem.message);
        assert!(
            problem.hint.unwrap().starts_with("`secrets: {registry: {pull: {user: {env: CI_DEPLOY_USER}")
        );
    }

    #[test]
    fn manifests_may_name_a_pull_secret() {
        let named = |text: &str| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("web.yaml"), text).unwrap();
            names_pull_secret(directory.path())
        };
        assert!(named("spec:\n  imagePullSecrets: [{name: pull}]\n"));
        assert!(named("spec:\n  imagePullSecrets:\n  - name: pull\n"));
        for none in ["imagePullSecrets: []\n", "imagePullSecrets:\n  {{- toYaml . | nindent 8 }}\n", "a: b\n"]
        {
            assert!(!named(none), "{none}");
        }
    }
}
