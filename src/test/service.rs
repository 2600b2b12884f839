//! The containers beside a test: started, waited for, and shown when they are why a test could not run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use regex::Regex;
use tokio::time::{Instant, sleep, timeout};

use super::container::{self, Spec};
use super::ready::{self, Readiness};
use super::{Runner, record};
use crate::engine::{Container, Exit};
use crate::error::{Error, Kind, Result};
use crate::model::{Evidence, Failure, Reference, Subject};
use crate::project::ServiceConfig;
use crate::report::StepReport;

/// Between two looks: short at first, since most services are ready soon.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a service without `ready` may take to become healthy by its image's own standard.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that runs.
pub(super) struct Service {
    name: String,
    container: Container,
    /// Whether the log has had the line that is waited for.
    logged: Arc<AtomicBool>,
}

impl Service {
    /// Starts a service of the test and waits until it is ready.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with its last lines where it dies or is not ready in time.
    pub(super) async fn start(
        runner: &Runner<'_>,
        test: &str,
        name: &str,
        config: &ServiceConfig,
        network: &str,
        step: &StepReport,
    ) -> Result<Self> {
        step.progress(format!("starting service {name}"));
        let image = provide(runner, test, name, config, step).await?;
        let pattern = config.ready.as_ref().and_then(|ready| ready.log.as_deref());
        let wanted = pattern.map(|pattern| regex(test, name, pattern)).transpose()?;
        let logged = Arc::new(AtomicBool::new(false));
        let heard = logged.clone();
        let hear = move |_, line: &str| {
            if wanted.as_ref().is_some_and(|wanted| wanted.is_match(line)) {
                heard.store(true, Ordering::Relaxed);
            }
        };
        let role = format!("service {test}/{name}");
        let spec = Spec {
            role: &role,
            image,
            command: None,
            env: &config.env,
            network,
            alias: name,
            memory: None,
            cpus: None,
        };
        let container = container::start(runner, &spec, hear).await;
        let container = container.map_err(|error| explained(test, error, Vec::new()))?;
        let service = Self { name: name.to_owned(), container, logged };
        step.progress(format!("waiting for service {name}"));
        service.become_ready(test, config).await?;
        Ok(service)
    }

    /// Its last lines, as evidence; `None` where it said nothing.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let lines = self.container.tail();
        let title = format!("service {}, the last lines", self.name);
        (!lines.is_empty()).then_some(Evidence { title, lines })
    }

    async fn become_ready(&self, test: &str, config: &ServiceConfig) -> Result<()> {
        let limit = config.ready.as_ref().map_or(PATIENCE, |ready| ready.timeout);
        let end = Instant::now() + limit;
        let mut pause = FIRST_PAUSE;
        let mut lacks = "it did not answer".to_owned();
        loop {
            let logged = self.logged.load(Ordering::Relaxed);
            let asked = ready::ask(&self.container, config.ready.as_ref(), logged);
            let left = end.saturating_duration_since(Instant::now()).max(FIRST_PAUSE);
            let answer = timeout(left, asked).await;
            // One that has died is never ready, and whatever it answered is not the reason.
            if let Some(exit) = self.container.ended().await? {
                // The last lines of a process arrive after the news of its end.
                sleep(FIRST_PAUSE).await;
                return Err(self
                    .failed(test, format!("service `{}` ended with {exit} before it was ready", self.name)));
            }
            match answer {
                Ok(answer) => match answer.map_err(|error| explained(test, error, self.all_evidence()))? {
                    Readiness::Yes => return Ok(()),
                    Readiness::Not(why) => lacks = why,
                },
                Err(_) => lacks = format!("{lacks}; the last check took too long"),
            }
            if Instant::now() + pause > end {
                let waited = crate::text::display::duration(limit);
                return Err(self.failed(
                    test,
                    format!("service `{}` was not ready within {waited}: {lacks}", self.name),
                ));
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn failed(&self, test: &str, message: String) -> Error {
        explained(test, Error::new(Kind::TestNotRun, message), self.all_evidence())
    }

    fn all_evidence(&self) -> Vec<Evidence> {
        self.evidence().into_iter().collect()
    }
}

/// Makes sure that the Engine has the service's image, and gives the name by which the Engine knows it.
async fn provide(
    runner: &Runner<'_>,
    test: &str,
    name: &str,
    config: &ServiceConfig,
    step: &StepReport,
) -> Result<String> {
    let image = record::service_image(&config.image, runner.images);
    let reference: Reference = image
        .parse()
        .map_err(|error| Error::from(error).context(format!("service `{name}` of test `{test}`")))?;
    let progress = |line: String| step.progress(format!("pulling {image}: {line}"));
    let provided = runner.provide(&reference, &progress).await;
    provided.map_err(|error| explained(test, error.context(format!("service `{name}`")), Vec::new()))?;
    match reference.pinned() {
        Some(pinned) => Ok(pinned.by_digest()),
        None => Ok(format!("{}:{}", reference.name(), reference.selector())),
    }
}

/// The error with the test's name and what was seen, as every failure of a test has.
pub(super) fn explained(test: &str, error: Error, evidence: Vec<Evidence>) -> Error {
    explained_as("test-not-run", test, error, evidence)
}

/// As [`explained`], with another cause.
pub(super) fn explained_as(cause: &str, test: &str, error: Error, evidence: Vec<Evidence>) -> Error {
    if error.kind() != Kind::TestNotRun {
        return error;
    }
    let failure = Failure {
        subject: Subject::Test(test.to_owned()),
        cause: cause.to_owned(),
        message: error.message().to_owned(),
        hint: error.hint().map(str::to_owned),
        evidence,
    };
    error.with_failures([failure])
}

fn regex(test: &str, name: &str, pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        let last = error.to_string().lines().last().unwrap_or_default().to_owned();
        Error::new(Kind::Invalid, format!("`ready.log` of service `{name}` of test `{test}`: {last}"))
            .with_hint("it is a regular expression: special characters need a backslash")
    })
}

/// Waits until one of the services dies; for ever, if none does.
pub(super) async fn death(services: &[Service]) -> (String, Exit) {
    let mut ends: FuturesUnordered<_> =
        services.iter().map(async |service| (service.name.clone(), service.container.end().await)).collect();
    while let Some((name, end)) = ends.next().await {
        // An Engine that went away is told by the test itself.
        if let Ok(exit) = end
            && exit.is_death()
        {
            return (name, exit);
        }
    }
    std::future::pending().await
}

/// Starts all services of a test at the same time.
///
/// # Errors
/// That of the first one that fails.
pub(super) async fn start_all(
    runner: &Runner<'_>,
    test: &str,
    services: &BTreeMap<String, ServiceConfig>,
    network: &str,
    step: &StepReport,
) -> Result<Vec<Service>> {
    let starting =
        services.iter().map(|(name, config)| Service::start(runner, test, name, config, network, step));
    futures::future::try_join_all(starting).await
}
