//! What only a person can do after `init`, from what the repository has by then.

use crate::init::Request;
use crate::init::configuration::Configuration;
use crate::project::{Project, SET_REGISTRY};
use crate::report::view::setup::init::FirstFiles;

/// Without a registry nothing can be built: it is the first thing to do.
pub(super) fn registry(
    project: &Project,
    request: &Request,
    config: &Configuration,
    report: &mut FirstFiles,
) {
    let is_known = match &project.config_file {
        // What the command line says is not written down.
        Some(_) => {
            project.config.registry.is_some() || request.registry.is_none() && project.registry.is_some()
        }
        None => config.registry.is_some(),
    };
    if !is_known && !config.images.is_empty() {
        report.need(format!("name the registry: {SET_REGISTRY}"));
        report.lacks_registry = true;
    }
}

/// What the jobs of the pipeline need in GitLab.
pub(super) fn pipeline(project: &Project, config: &Configuration, report: &mut FirstFiles) {
    report.need("set the CI/CD variable WINDLASS_IMAGE in GitLab to an image that has windlass".to_owned());
    let mut contexts: Vec<String> = Vec::new();
    let of_tiers = project.config.tiers.values().filter_map(|tier| tier.contexts.first());
    let own = Some(&config.context).filter(|context| !context.is_empty());
    for context in own.into_iter().chain(of_tiers).map(|context| format!("`{context}`")) {
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    let word = if contexts.len() == 1 { "context" } else { "contexts" };
    if !contexts.is_empty() {
        let contexts = contexts.join(", ");
        report.need(format!(
            "give the jobs a kubeconfig with the {word} {contexts}: a CI/CD variable KUBECONFIG of the type File, or \
             GitLab's agent"
        ));
    }
}

/// The files of values that tiers name and the project lacks, and the one that a chart in `.kube` needs for the images.
pub(super) fn values(project: &Project, of_chart: Option<String>, report: &mut FirstFiles) {
    let text = |file: &String| std::fs::read_to_string(project.root.join(file)).unwrap_or_default();
    let names_image = |file| {
        let text = text(file);
        project.config.images.keys().any(|image| text.contains(&format!("/{image}")))
    };
    let has_none = !project.config.tiers.values().flat_map(|tier| &tier.values).any(names_image);
    if let Some(sentence) = of_chart.filter(|_| has_none) {
        report.need(sentence);
    }
    for (name, tier) in &project.config.tiers {
        for file in tier.values.iter().filter(|file| !project.root.join(file).exists()) {
            report.need(format!("write {file}: `values` of the tier `{name}` names it"));
        }
    }
}

/// Says of each flag for windlass.yaml that it changes nothing, where there is one already.
pub(super) fn flags(project: &Project, request: &Request, has_manifests: bool, report: &mut FirstFiles) {
    let Some(file) = &project.config_file else { return };
    let file = file.strip_prefix(&project.root).unwrap_or(file).display().to_string();
    let config = &project.config;
    let mut tell = |flag: &str, what: String| {
        report.need(format!("`{flag}` had no effect: {file} is kept; write {what}"));
    };
    let registry = request.registry.as_ref().filter(|given| config.registry.as_ref() != Some(*given));
    if let Some(registry) = registry {
        tell("--registry", format!("`registry: {registry}` there"));
    }
    let context = request.context.as_ref();
    let is_in_each = |given: &&String| config.tiers.values().all(|tier| tier.contexts.contains(*given));
    if let Some(context) = context.filter(|given| config.tiers.is_empty() || !is_in_each(given)) {
        tell("--context", format!("`context: {context}` in its tiers"));
    }
    if let Some(host) = &request.host {
        let ingress = if has_manifests { ", and an Ingress for `${HOST}` in .kube" } else { "" };
        tell("--host", format!("`vars: {{HOST: {host}}}` in its tiers{ingress}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Pipeline;
    use crate::init::tests::Repository;

    #[tokio::test]
    async fn a_second_init_says_which_flags_change_nothing() {
        let repository = Repository::of("one-dockerfile");
        repository.write(
            "windlass.yaml",
            "version: 1\nproject: shop\nimages: {app: {context: .}}\ntiers:\n  \
                          test: {context: old, namespace: a, values: [gone.yaml]}\n",
        );
        repository.write(".kube/app.yaml", "");
        repository.write(".gitlab-ci.yml", "build: {script: [windlass build]}\n");
        let request = Request {
            registry: Some("registry.test/nora/shop".to_owned()),
            host: Some("shop.test".to_owned()),
            pipeline: Pipeline::named("web"),
            ..Request::default()
        };
        let report = repository.init(request).await.unwrap();
        let told: Vec<&str> = report.needed.iter().map(String::as_str).collect();
        for expected in [
            "`--registry` had no effect: windlass.yaml is kept; write `registry: registry.test/nora/shop` there",
            "`--context` had no effect: windlass.yaml is kept; write `context: lab` in its tiers",
            "`--host` had no effect: windlass.yaml is kept; write `vars: {HOST: shop.test}` in its tiers, and an \
             Ingress for `${HOST}` in .kube",
            "`--pipeline` had no effect: .gitlab-ci.yml is kept; delete it and run `windlass init` again",
            "write gone.yaml: `values` of the tier `test` names it",
        ] {
            assert!(told.contains(&expected), "{expected:?} in {told:#?}");
        }
        assert!(
            report.lacks_registry && told.iter().any(|one| one.starts_with("name the registry")),
            "{told:#?}"
        );
        let again = repository.init(Request::default()).await.unwrap();
        assert!(!again.needed.iter().any(|one| one.starts_with("`--registry`")), "{:#?}", again.needed);
    }
}
