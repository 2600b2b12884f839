//! The GitLab pipelines: components of `templates/`, with what the project has, as `.gitlab-ci.yml` or, where there is
//! one, beside it.

mod component;

use std::path::Path;

use serde_json::{Value, json};

use crate::init::configuration::Configuration;
use crate::init::pipeline::component::Inputs;
use crate::project::{self, Project};
use crate::report::view::setup::init::FirstFiles;

/// A pipeline that `init` writes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    /// What `--pipeline` calls it.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) what: &'static str,
    component: &'static str,
    /// Whether it releases branches to tiers of their own.
    pub(super) has_review_apps: bool,
    /// What a first configuration does not know.
    todo: Option<&'static str>,
}

macro_rules! pipeline {
    ($name:literal, $what:literal) => {
        Pipeline {
            name: $name,
            what: $what,
            component: include_str!(concat!("../../../templates/", $name, ".yml")),
            has_review_apps: false,
            todo: None,
        }
    };
}

/// What there is to choose from; the first is what everybody gets.
pub(crate) const PIPELINES: [Pipeline; 6] = [
    pipeline!("web", "Build, test, staging, production by hand"),
    Pipeline {
        has_review_apps: true,
        ..pipeline!("review-apps", "As web, and a review app for each branch, deleted with it")
    },
    pipeline!("several-images", "As web, with a build job for each image, in parallel"),
    Pipeline {
        todo: Some("name the context of production's own cluster in windlass.yaml"),
        ..pipeline!("two-clusters", "As web, where each tier's jobs see only its own cluster")
    },
    pipeline!("jobs-only", "For Jobs and CronJobs, which have no address"),
    pipeline!("plan-then-approve", "As web, with a plan to review before production"),
];
/// What GitLab reads.
const FILE: &str = ".gitlab-ci.yml";
/// Where it lies that an existing pipeline is to include.
const BESIDE: &str = ".gitlab/windlass.yml";
/// Keys of a pipeline that name no job.
const RESERVED: [&str; 10] = [
    "stages",
    "variables",
    "default",
    "include",
    "workflow",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
];

impl Pipeline {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        PIPELINES.iter().find(|pipeline| pipeline.name == name)
    }

    /// The jobs for this project. What they need besides, and what `windlass.yaml` has not, is noted.
    pub(super) fn jobs(&self, project: &Project, config: &Configuration, notes: &mut FirstFiles) -> String {
        let facts = Facts::of(project, config);
        if let Some(sentence) = self.todo.filter(|_| project.config_file.is_none()) {
            notes.need(sentence.to_owned());
        }
        if self.has_review_apps && !facts.tiers.iter().any(|tier| tier.contains('*')) {
            notes.need(
                "add a tier `review/*` to windlass.yaml: the pipeline releases each branch to one".to_owned(),
            );
        }
        if facts.pair.is_none() {
            let names = facts.tiers.join(", ");
            notes.need(format!(
                "name the tiers ({names}) in the jobs of the pipeline, which has staging and production"
            ));
        }
        component::plain(self.component, &facts.inputs())
    }
}

/// What the jobs name.
struct Facts {
    project: String,
    images: Vec<String>,
    /// Of the tier for branches, else of any.
    context: Option<String>,
    /// Of the tier for branches, as written.
    namespace: Option<String>,
    tiers: Vec<String>,
    /// The tier that every commit is released to, and the one after it.
    pair: Option<(String, String)>,
}

impl Facts {
    fn of(project: &Project, config: &Configuration) -> Self {
        let name = project.name.clone();
        if project.config_file.is_none() {
            let tiers: Vec<String> = config.tiers.iter().map(|tier| tier.name.clone()).collect();
            let plain: Vec<&String> = tiers.iter().filter(|tier| !tier.contains('*')).collect();
            let pair = match plain[..] {
                [first, .., last] => Some((first.clone(), last.clone())),
                _ => None,
            };
            let images = config.images.iter().map(|image| image.name.clone()).collect();
            let review = config.tiers.iter().find(|tier| tier.name.contains('*'));
            let namespace = review.map(|tier| tier.namespace.clone());
            return Self {
                project: name,
                images,
                context: Some(config.context.clone()),
                namespace,
                tiers,
                pair,
            };
        }
        let tiers = &project.config.tiers;
        let usual = ("staging".to_owned(), "production".to_owned());
        let is_usual = tiers.contains_key(&usual.0) && tiers.contains_key(&usual.1);
        let by_rule = || tiers.iter().find_map(|(name, tier)| Some((tier.after.clone()?, name.clone())));
        let review = tiers.iter().find(|(name, _)| name.contains('*')).map(|(_, tier)| tier);
        Self {
            project: name,
            images: project.config.images.keys().cloned().collect(),
            context: review.or(tiers.values().next()).and_then(|tier| tier.contexts.first().cloned()),
            namespace: review.map(|tier| tier.namespace.clone()),
            tiers: tiers.keys().cloned().collect(),
            pair: if is_usual { Some(usual) } else { by_rule() },
        }
    }

    fn inputs(self) -> Inputs {
        let mut inputs = Inputs::from([("project", json!(self.project))]);
        if !self.images.is_empty() {
            inputs.insert("images", json!(self.images));
        }
        inputs.extend(self.context.map(|context| ("context", json!(context))));
        inputs.extend(self.namespace.map(|namespace| ("namespace", json!(namespace))));
        if let Some((staging, production)) = self.pair {
            inputs.extend([("staging", json!(staging)), ("production", json!(production))]);
        }
        inputs
    }
}

/// Where the jobs go; where the project has a pipeline, what is to be done by hand is noted.
pub(super) fn place(root: &Path, jobs: &str, notes: &mut FirstFiles) -> &'static str {
    let existing = std::fs::read(root.join(FILE)).ok();
    let existing = existing.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let Some(existing) = existing.filter(|existing| !is_ours(existing)) else { return FILE };
    notes.leave(FILE.to_owned(), "your own pipeline, not changed".to_owned());
    notes.need(format!("include the jobs in {FILE}:{}", include(&existing, jobs)));
    BESIDE
}

/// Whether a pipeline calls windlass already.
fn is_ours(text: &str) -> bool {
    ["windlass release", "windlass pipeline", "windlass build", BESIDE, "pipelines/"]
        .iter()
        .any(|word| text.contains(word))
}

/// What is to be written into a pipeline, and what of both has the same name.
fn include(existing: &str, jobs: &str) -> String {
    let own = project::strings(existing).unwrap_or(Value::Null);
    let ours = project::strings(jobs).unwrap_or(Value::Null);
    let mut lines = String::new();
    if own.get("include").is_some() {
        lines += &format!("\n      - local: {BESIDE}   # one more item of `include`");
    } else {
        lines += &format!("\n      include: [{{local: {BESIDE}}}]");
    }
    let stages = |of: &Value| -> Vec<String> {
        let all = of["stages"].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (mut all, wanted) = (stages(&own), stages(&ours));
    let missing: Vec<String> = wanted.into_iter().filter(|stage| !all.contains(stage)).collect();
    if !all.is_empty() && !missing.is_empty() {
        all.extend(missing);
        lines += &format!("\n      stages: [{}]", all.join(", "));
    }
    let names = |of: &Value| -> Vec<String> {
        let all = of.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        all.filter(|name| !RESERVED.contains(&name.as_str())).collect()
    };
    let theirs = names(&own);
    let twice: Vec<String> =
        names(&ours).into_iter().filter(|job| theirs.contains(job)).map(|job| format!("`{job}`")).collect();
    if !twice.is_empty() {
        lines += &format!(
            "\n      and rename {}: both files have it, and GitLab would merge them",
            twice.join(", ")
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn defaults(pipeline: &Pipeline) -> String {
        component::plain(pipeline.component, &Inputs::new())
    }

    /// The directories of `pipelines/` are for who copies: the same jobs as those of the component.
    #[test]
    fn a_pipeline_is_its_component_with_the_defaults() {
        for pipeline in &PIPELINES {
            let file = root().join("pipelines").join(pipeline.name).join(FILE);
            let current = defaults(pipeline);
            if std::env::var_os("WINDLASS_WRITE_DOCS").is_some() {
                fs::write(&file, &current).unwrap();
            }
            let checked_in = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                checked_in == current,
                "{} is not current: WINDLASS_WRITE_DOCS=1 cargo test --lib init::pipeline writes it",
                file.display()
            );
        }
        let count = |directory: &str| fs::read_dir(root().join(directory)).unwrap().count();
        assert_eq!((count("templates"), count("pipelines")), (PIPELINES.len(), PIPELINES.len()));
    }

    /// Each job names its image and service by variables, leaves its reports, and a tier has one release at a time, which a
    /// rollback can follow.
    #[test]
    fn the_pipelines_have_what_gitlab_needs() {
        for pipeline in &PIPELINES {
            let jobs = defaults(pipeline);
            assert!(!jobs.contains("$[["), "{}: an input without a default", pipeline.name);
            assert!(is_ours(&jobs), "{}: a second run knows it", pipeline.name);
            let tree = project::strings(&jobs).unwrap();
            let base = &tree[".windlass"];
            assert_eq!(
                (&base["image"], &base["services"][0]["name"]),
                (&json!("$WINDLASS_IMAGE"), &json!("$DIND_IMAGE"))
            );
            for report in ["junit", "dotenv", "annotations"] {
                assert!(base["artifacts"]["reports"][report].is_string(), "{}: {report}", pipeline.name);
            }
            for (name, job) in tree.as_object().unwrap().iter().filter(|(_, job)| job["script"].is_array()) {
                let place = format!("{}: {name}", pipeline.name);
                assert!(job["extends"].is_string(), "{place}");
                let releases = job["script"][0].as_str().unwrap().starts_with("windlass release");
                let is_tier = job["environment"]["name"].is_string();
                assert_eq!(
                    is_tier,
                    job["resource_group"].is_string() || name.starts_with("plan "),
                    "{place}"
                );
                assert_eq!(is_tier && !name.starts_with("plan "), job["interruptible"].is_null(), "{place}");
                let has_rollback = tree[format!("rollback {name}")]["script"].is_array();
                let has_stop = job["environment"]["on_stop"]
                    .as_str()
                    .is_some_and(|stop| tree[stop]["script"].is_array());
                assert!(!releases || has_rollback || has_stop, "{place}: no way back");
            }
        }
    }

    #[test]
    fn a_pipeline_that_exists_is_told_what_to_include() {
        let web = defaults(&PIPELINES[0]);
        let told = include("stages: [lint, test]\nlint: {script: [x]}\ntest: {script: [y]}\n", &web);
        assert!(told.contains("include: [{local: .gitlab/windlass.yml}]"), "{told}");
        assert!(told.contains("stages: [lint, test, build, staging, production]"), "{told}");
        assert!(told.contains("rename `test`:"), "{told}");
        let told = include("include: [x]\njob: {script: [y]}\n", &web);
        assert!(told.contains("- local: .gitlab/windlass.yml") && !told.contains("stages"), "{told}");
        assert!(include("{{{", &web).contains("include:"), "what is no YAML");
    }
}
