//! Commands for which the cluster's records are enough: they work where windlass.yaml or the repository cannot be read.

use super::{Run, TierArguments, TierOverrideArguments};
use crate::error::{Error, Kind, Result};
use crate::git::known;
use crate::project::{PartialConfig, Project, Tier};
use crate::text::shell_word;
use crate::{secret, tier};

/// What the printed command does not need.
const WITHOUT: &str = "without windlass.yaml and Git";

impl TierArguments {
    /// As [`TierOverrideArguments::open`].
    pub(super) fn open(&self, run: &Run) -> Result<(Project, Tier)> {
        self.overrides.open(run, &self.tier)
    }

    /// As [`TierArguments::open`], under the rules of the tier that its records keep where no configuration has them.
    pub(super) async fn open_under_rules(&self, run: &Run) -> Result<(Project, Tier)> {
        let (project, tier) = self.open(run)?;
        if tier.configured {
            return Ok((project, tier));
        }
        let rules = tier::recorded_rules(&run.session, &project.name, &tier).await?;
        Ok((project, tier.under(rules)))
    }
}

impl TierOverrideArguments {
    /// The project and the tier. Where the flags say all that is needed, nothing is read; a repository that cannot be read
    /// is a warning.
    ///
    /// # Errors
    /// Those of a configuration that cannot be used, with the command that needs none.
    pub(super) fn open(&self, run: &Run, name: &str) -> Result<(Project, Tier)> {
        if let (Some(project), Some(_), Some(_)) = (&self.project, &self.context, &self.namespace) {
            if run.global.config.is_some() {
                run.session
                    .reporter
                    .warn("--config is ignored: --project, --context and --namespace are enough");
            }
            let project = Project::of_records(project)?;
            // What CI hides is hidden here as well.
            secret::hide_at_hand(&project, &run.session.reporter);
            let tier = self.tier(run, &project, name)?;
            return Ok((project, tier));
        }
        let project = run.project_for_records(self.project.as_deref());
        let project = project.map_err(|error| match error {
            // A directory that does not exist has no configuration.
            error if error.kind() == Kind::Usage && error.place().is_none() => error,
            error => self.with_command(run, name, error),
        })?;
        secret::hide_at_hand(&project, &run.session.reporter);
        if let Some(trouble) = &project.git_error {
            let sentence = format!("continuing without the Git repository: {}", trouble.message());
            match trouble.hint() {
                Some(advice) => run.session.reporter.warn_with_hint(sentence, advice),
                None => run.session.reporter.warn(sentence),
            }
        }
        match self.tier(run, &project, name) {
            Ok(tier) => Ok((project, tier)),
            Err(error) if project.has_tier(name) || project.git_error.is_some() => {
                Err(self.with_command(run, name, error))
            }
            Err(error) => Err(error),
        }
    }

    /// The error with the command that reads neither the configuration nor the repository.
    fn with_command(&self, run: &Run, tier: &str, error: Error) -> Error {
        let known = known(&run.options(self.project.as_deref()), tier);
        let command = self.command(&run.words, &known);
        let hint = match error.hint() {
            Some(advice) if advice.ends_with('?') => format!("{advice} {WITHOUT}: {command}"),
            Some(advice) => format!("{advice}; {WITHOUT}: {command}"),
            None => format!("{WITHOUT}: {command}"),
        };
        error.with_hint(hint)
    }

    /// This very command, with the flags that it lacks.
    fn command(&self, words: &[String], known: &PartialConfig) -> String {
        let flags = [
            ("--project", self.project.is_some(), &known.project, "PROJECT"),
            ("--context", self.context.is_some(), &known.context, "CONTEXT"),
            ("--namespace", self.namespace.is_some(), &known.namespace, "NAMESPACE"),
        ];
        let missing = flags.into_iter().filter(|(_, is_given, ..)| !is_given);
        let missing = missing.map(|(flag, _, value, placeholder)| {
            format!(" {flag} {}", value.as_ref().map_or(placeholder.to_owned(), |value| shell_word(value)))
        });
        let words = words.iter().map(|word| format!(" {}", shell_word(word)));
        format!("windlass{}{}", words.collect::<String>(), missing.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_is_printed_is_whole() {
        let given = TierOverrideArguments {
            project: None,
            context: Some("a lab".to_owned()),
            namespace: None,
            kubeconfig: None,
        };
        let words = ["rollback", "staging", "--context", "a lab"].map(str::to_owned);
        let known = PartialConfig {
            project: Some("shop".to_owned()),
            context: Some("lab".to_owned()),
            namespace: None,
        };
        assert_eq!(
            given.command(&words, &known),
            "windlass rollback staging --context 'a lab' --project shop --namespace NAMESPACE"
        );
    }
}
