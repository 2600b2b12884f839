//! The pages of docs/ that the program carries, by the topic under which `windlass help` prints them.

use serde_json::{Value, json};

/// A page of docs/.
pub(super) struct Page {
    /// The topic.
    pub(super) name: &'static str,
    /// The file, from docs/.
    pub(super) file: &'static str,
    /// What it says.
    pub(super) text: &'static str,
}

impl Page {
    /// Its first heading.
    pub(super) fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }

    /// Whether one of its tables has a row for this word: a rule, an exit code, an annotation, a variable.
    pub(super) fn defines(&self, word: &str) -> bool {
        let is_row = |line: &str| {
            let cell = line.strip_prefix("| ").and_then(|line| line.split(" |").next());
            cell.is_some_and(|cell| cell.split(", ").any(|one| one.trim_matches('`') == word))
        };
        self.text.lines().any(is_row)
    }

    /// The whole page, for machines.
    pub(super) fn to_json(&self) -> Value {
        json!({"topic": self.name, "file": format!("docs/{}", self.file), "text": self.text})
    }

    /// What it is about, in one line: its first heading; where that is only its name, its first sentence.
    pub(super) fn summary(&self) -> String {
        if self.title() != self.name {
            return self.title().to_owned();
        }
        let paragraph = self.text.split("\n\n").nth(1).unwrap_or_default();
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = [": ", ". "].into_iter().filter_map(|end| paragraph.find(end)).min();
        paragraph[..end.unwrap_or(paragraph.len())].trim_end_matches('.').to_owned()
    }
}

macro_rules! pages {
    ($($name:literal: $file:literal),* $(,)?) => {
        &[$(Page { name: $name, file: $file, text: include_str!(concat!("../../../docs/", $file)) }),*]
    };
}

/// All pages, in groups.
pub(super) static GROUPS: [(&str, &[Page]); 5] = [
    ("Causes", CAUSES),
    ("Learning", LEARNING),
    ("Guides", GUIDES),
    ("Reference", REFERENCE),
    ("Moving here", MOVING),
];

/// Why something failed or is not ready yet: one page for each word.
pub(super) const CAUSES: &[Page] = pages! {
    "image-not-found": "causes/image-not-found.md",
    "image-pull-denied": "causes/image-pull-denied.md",
    "image-pull-failed": "causes/image-pull-failed.md",
    "invalid-image-name": "causes/invalid-image-name.md",
    "crash-loop": "causes/crash-loop.md",
    "exit-code": "causes/exit-code.md",
    "out-of-memory": "causes/out-of-memory.md",
    "cannot-run": "causes/cannot-run.md",
    "config-missing": "causes/config-missing.md",
    "init-failed": "causes/init-failed.md",
    "startup-probe": "causes/startup-probe.md",
    "readiness-probe": "causes/readiness-probe.md",
    "liveness-probe": "causes/liveness-probe.md",
    "unschedulable": "causes/unschedulable.md",
    "quota-exceeded": "causes/quota-exceeded.md",
    "admission-denied": "causes/admission-denied.md",
    "forbidden": "causes/forbidden.md",
    "volume-unbound": "causes/volume-unbound.md",
    "volume-mount": "causes/volume-mount.md",
    "evicted": "causes/evicted.md",
    "node-lost": "causes/node-lost.md",
    "deadline-exceeded": "causes/deadline-exceeded.md",
    "job-failed": "causes/job-failed.md",
    "no-endpoints": "causes/no-endpoints.md",
    "load-balancer-pending": "causes/load-balancer-pending.md",
    "immutable-field": "causes/immutable-field.md",
    "conflict": "causes/conflict.md",
    "invalid-manifest": "causes/invalid-manifest.md",
    "being-deleted": "causes/being-deleted.md",
    "verify-failed": "causes/verify-failed.md",
    "timed-out": "causes/timed-out.md",
    "controller-failed": "causes/controller-failed.md",
    "unknown": "causes/unknown.md",
    "build-failed": "causes/build-failed.md",
    "tests-failed": "causes/tests-failed.md",
    "test-not-run": "causes/test-not-run.md",
};

const LEARNING: &[Page] = pages! {
    "first-hour": "first-hour.md",
    "installing": "installing.md",
    "concepts": "concepts.md",
    "inside": "inside.md",
    "causes": "causes.md",
    "troubleshooting": "troubleshooting.md",
};

const GUIDES: &[Page] = pages! {
    "gitlab": "guides/pipelines.md",
    "secrets": "guides/secrets.md",
    "images": "guides/images.md",
    "promotion": "guides/promotion.md",
    "migrations": "guides/migrations.md",
    "database": "guides/database.md",
    "access": "guides/access.md",
    "registries": "guides/registries.md",
    "buildkit": "guides/buildkit.md",
    "generators": "guides/generators.md",
    "custom-resources": "guides/custom-resources.md",
    "night": "guides/night.md",
    "review-apps": "guides/review-apps.md",
    "github": "guides/github.md",
};

/// Rules, keys, annotations, variables: what is looked up by its name.
pub(super) const REFERENCE: &[Page] = pages! {
    "commands": "reference/commands.md",
    "configuration": "configuration.md",
    "keys": "reference/keys.md",
    "manifests": "manifests.md",
    "annotations": "reference/annotations.md",
    "rules": "reference/rules.md",
    "rollbacks": "rollback.md",
    "drift": "operations.md",
    "exit-codes": "reference/exit-codes.md",
    "events": "reference/events.md",
    "reports": "reference/reports.md",
    "environment": "reference/environment.md",
    "permissions": "permissions.md",
    "security": "security.md",
    "rollouts": "rollouts.md",
    "performance": "performance.md",
};

const MOVING: &[Page] = pages! {
    "werf": "moving/werf.md",
    "helm": "moving/helm.md",
    "kubectl": "moving/kubectl.md",
    "kapp": "moving/kapp.md",
    "krane": "moving/krane.md",
    "skaffold": "moving/skaffold.md",
    "kustomize": "moving/kustomize.md",
};
