//! `windlass init`

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::cli::{Run, SourceArguments};
use crate::error::Result;
use crate::{init, project};

/// Write a first windlass.yaml, .kube and .gitlab-ci.yml for this repository
///
/// Reads every Dockerfile (EXPOSE, HEALTHCHECK, VOLUME, USER, CMD), manifests in k8s, deploy, charts and the like, the remote
/// `origin` and the kubeconfig's contexts, and reports what it found, used and skipped. Existing files are not changed.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Take the manifests from this path: a compose file, or a directory with manifests, a kustomization or a chart; `Dockerfile`
    /// uses none of them
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// The GitLab pipeline to write [default: web]
    #[arg(long, value_name = "NAME", value_parser = pipelines())]
    pipeline: Option<String>,
    /// The context of the kubeconfig for the tiers, instead of the current one
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// The host name of production: adds an Ingress for it, and for `staging.` before it
    #[arg(long, value_name = "HOST", value_parser = host)]
    host: Option<String>,
    #[command(flatten)]
    source: SourceArguments,
}

fn pipelines() -> PossibleValuesParser {
    let value = |pipeline: &init::Pipeline| PossibleValue::new(pipeline.name).help(pipeline.what);
    PossibleValuesParser::new(init::PIPELINES.iter().map(value))
}

fn host(text: &str) -> std::result::Result<String, String> {
    let is_part = |part: &str| project::is_namespace(part);
    let is_host = text.len() <= 200 && text.split('.').all(is_part);
    if is_host { Ok(text.to_owned()) } else { Err("expected a name such as shop.example.com".to_owned()) }
}

impl Init {
    pub(crate) async fn run(self, run: &Run) -> Result<()> {
        let project = self.source.project(run, None)?;
        // Whoever has it in the environment has not asked for it here.
        let of_environment = std::env::var("WINDLASS_REGISTRY").ok();
        let registry = self.source.registry.filter(|given| of_environment.as_ref() != Some(given));
        let request = init::Request {
            from: self.from.map(|from| run.path(&from)),
            pipeline: self.pipeline.as_deref().and_then(init::Pipeline::named),
            context: self.context,
            host: self.host,
            registry,
        };
        let report = init::init(&run.session, &project, &request).await?;
        run.session.reporter.show(&report);
        Ok(())
    }
}
