//! `windlass render TIER`

use clap::Args;
use serde_json::Value;

use crate::cli::{Output, Run, SourceArguments, TierArguments};
use crate::error::{Error, Kind, Result};
use crate::manifest::Manifests;
use crate::model::RunResult;
use crate::project::{Project, Tier};
use crate::report::Reporter;
use crate::secret::{self, Secret};
use crate::{manifest, pipeline, release};

/// Print the manifests exactly as they would be applied
#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    tier: TierArguments,
    #[command(flatten)]
    source: SourceArguments,
    /// Show the values of Secrets
    #[arg(long)]
    show_secrets: bool,
}

impl Render {
    pub(crate) async fn run(self, run: &Run) -> Result<RunResult> {
        let project = self.source.commit(run, self.tier.overrides.project.as_deref()).await?;
        let (json, kept) = (run.global.output == Output::Json, run.global.report.is_some());
        if self.show_secrets && json && kept {
            return Err(Error::new(
                Kind::Usage,
                "--report would store the values that --show-secrets prints",
            )
            .with_hint("remove one of the two"));
        }
        let tier = self.tier.overrides.tier(run, &project, &self.tier.tier)?;
        let sources = run.session.unless_cancelled(manifest::read(&project, &tier)).await?;
        let images = pipeline::find(&run.session, &project).await?;
        let rendered = async {
            let secrets = run.session.unless_cancelled(self.secrets(run, &project, &tier)).await?;
            let manifests = release::manifests(&run.session, &sources, &images, secrets)?;
            self.show(run, &tier, manifests);
            Ok(RunResult::default())
        };
        pipeline::with_images(&images, rendered.await)
    }

    fn show(&self, run: &Run, tier: &Tier, manifests: Manifests) {
        let objects: Vec<_> = manifests
            .objects
            .into_iter()
            .map(|object| if self.show_secrets { object.json } else { manifest::hide_secrets(object.json) })
            .collect();
        let text = manifest::to_yaml(&objects);
        let reporter = &run.session.reporter;
        self.warn(reporter, tier, &objects, &text);
        let objects = Value::Array(objects);
        if self.show_secrets {
            // A report keeps no answer that is for people only.
            let json = run.global.output == Output::Json;
            reporter.answer_with_secrets(Some(&objects).filter(|_| json), &text);
        } else {
            reporter.answer(Some(&objects), &text);
        }
    }

    /// Warns of what is not in the answer as a release would apply it.
    fn warn(&self, reporter: &Reporter, tier: &Tier, objects: &[Value], text: &str) {
        if !self.show_secrets && reporter.masked(text) != text {
            reporter.warn("a secret value also appears elsewhere in the manifests: it is masked there");
        }
        let unknown = manifest::of_unknown_scope(objects);
        if !unknown.is_empty() {
            reporter.warn_with_hint(
                format!("only the cluster knows whether these are namespaced: {}", unknown.join(", ")),
                format!(
                    "a release asks the cluster; for kubectl, name the namespace: kubectl -n {} apply …",
                    tier.namespace
                ),
            );
        }
    }

    /// Who wants to see the values gets them in the answer, and nowhere else; to see the rest nobody needs them.
    async fn secrets(&self, run: &Run, project: &Project, tier: &Tier) -> Result<Vec<Secret>> {
        match secret::fetch(project, tier, &run.session.reporter).await {
            Err(_) if !self.show_secrets => Ok(secret::unfetched(project, tier)),
            fetched => fetched,
        }
    }
}
