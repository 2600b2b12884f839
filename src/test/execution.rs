//! One test from its network to its last report: what is started here is gone when it returns, whatever happens.

use std::time::Duration;

use super::case::{AFTER_DEATH, Case, TestOutcome, own_lines};
use super::container::{self, Spec, name};
use super::service::{self, Service, explained};
use super::{Runner, cluster, keep, reports, unmade};
use crate::engine::{Container, Exit};
use crate::error::Result;
use crate::model::{RunResult, Stage};
use crate::project::On;
use crate::report::StepReport;
use crate::session::interrupted;

/// How long a test that took too long may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How long tidying up may take: all of it after a cancellation must fit into what is left of the run.
const TIDY: Duration = Duration::from_secs(10);
const TIDY_CANCELLED: Duration = Duration::from_secs(3);
/// The part of it in which the Engine may still answer what it was asked to make.
const MADE_CANCELLED: Duration = Duration::from_secs(2);

/// Runs the test; gives what it came to, in one line, and the command that gets into what was kept of it.
///
/// # Errors
/// [`Kind::TestsFailed`], [`Kind::TestNotRun`]; [`Kind::Unreachable`] and [`Kind::Denied`] for Engine and registry.
pub(super) async fn run(
    runner: &Runner<'_>,
    case: &Case<'_>,
    step: &StepReport,
) -> Result<(String, Option<String>)> {
    let result = tokio::select! {
        biased;
        () = runner.session.cancel.cancelled() => Err(interrupted()),
        result = run_steps(runner, case, step) => result,
    };
    let keeping = async { if runner.keep { Some(keep::keep(runner, case).await) } else { None } };
    let kept = tokio::select! {
        biased;
        () = runner.session.cancel.cancelled() => None,
        kept = keeping => kept,
    };
    if kept.is_none() {
        tidy(runner, case).await;
    }
    let next = kept.flatten();
    match result {
        Ok(summary) => Ok((summary, next)),
        Err(error) => {
            Err(error.after(RunResult { next: next.into_iter().collect(), ..RunResult::default() }))
        }
    }
}

async fn run_steps(runner: &Runner<'_>, case: &Case<'_>, step: &StepReport) -> Result<String> {
    if case.test.on == On::Cluster {
        let outcome = cluster::run(runner, case, step).await?;
        return case.verdict(runner, outcome);
    }
    provide(runner, case, step).await?;
    let network = network(runner, case).await?;
    let services = service::start_all(runner, case.name, &case.test.services, &network, step).await?;
    step.progress("running");
    let outcome = command(runner, case, &network, &services).await?;
    case.verdict(runner, outcome)
}

/// Another job may have built the image: this Engine has to fetch it.
async fn provide(runner: &Runner<'_>, case: &Case<'_>, step: &StepReport) -> Result<()> {
    let progress = |line: String| step.progress(format!("pulling {}: {line}", case.image.name));
    let provided = runner.provide(&case.image.pinned.reference(), &progress).await;
    provided.map(drop).map_err(|error| explained(case.name, error, Vec::new()))
}

async fn network(runner: &Runner<'_>, case: &Case<'_>) -> Result<String> {
    let role = format!("network {}", case.name);
    let name = name(&runner.owner, &role);
    let (creating, labels, made) = (runner.engine()?.clone(), runner.labels(&role).await?, name.clone());
    let making = runner.making.spawn(async move { creating.create_network(made, labels).await });
    let made = making.await.map_err(|error| unmade(&error))?;
    made.map_err(|error| explained(case.name, error, Vec::new()))?;
    case.note(|standing| standing.network.clone_from(&name));
    Ok(name)
}

async fn command(
    runner: &Runner<'_>,
    case: &Case<'_>,
    network: &str,
    services: &[Service],
) -> Result<TestOutcome> {
    let role = case.role();
    let spec = Spec {
        role: &role,
        image: case.image.pinned.by_digest(),
        command: Some(&case.test.run),
        env: &case.test.env,
        network,
        alias: "test",
        memory: case.test.memory,
        cpus: case.test.cpus,
    };
    let (reporter, source) = (runner.session.reporter.clone(), case.name.to_owned());
    let hear = move |stream, line: &str| reporter.log(Stage::Test, &source, stream, line);
    let started = container::start(runner, &spec, hear).await;
    let mut container = started.map_err(|error| explained(case.name, error, Vec::new()))?;
    case.note(|standing| standing.container = Some(container.id.clone()));
    let (mut late, mut died) = (false, None);
    let ended = tokio::select! {
        biased;
        exit = container.wait() => Some(exit?),
        death = service::death(services) => {
            died = Some(death);
            None
        }
        () = tokio::time::sleep(case.test.timeout) => {
            late = true;
            None
        }
    };
    let exit = match ended {
        Some(exit) => exit,
        None => end(&mut container, died.is_some()).await?,
    };
    let reports = reports::bring(runner.engine()?, &container.id, case.test, case.reports.as_deref()).await?;
    reports::mask(&runner.session.reporter, case.reports.as_deref())?;
    let own = own_lines(container.tail());
    let evidence = own.into_iter().chain(services.iter().filter_map(Service::evidence)).collect();
    Ok(TestOutcome { exit, late, died, reports, evidence })
}

/// Ends a test that is late, or whose service died: that one may still end by itself.
async fn end(container: &mut Container, died: bool) -> Result<Exit> {
    if died && let Ok(exit) = tokio::time::timeout(AFTER_DEATH, container.wait()).await {
        return exit;
    }
    container.stop(GRACE).await
}

/// Removes everything that was started for this test.
async fn tidy(runner: &Runner<'_>, case: &Case<'_>) {
    let cancelled = runner.session.cancel.is_cancelled();
    let own = [case.role(), format!("network {}", case.name)];
    let services = format!("service {}/", case.name);
    let mine = |role: &str| own.iter().any(|one| one == role) || role.starts_with(&services);
    let tidying = async {
        let clear = async || {
            while match &runner.engine {
                _ if case.test.on == On::Cluster => cluster::clear(runner, case).await,
                Some(engine) => engine.clear(&runner.owner, &mine).await,
                None => 0,
            } > 0
            {}
        };
        clear().await;
        if cancelled {
            // What was under way by then is made all the same: only now is it known to be there.
            // One that the Engine does not respond must not keep the others.
            let _ = tokio::time::timeout(MADE_CANCELLED, runner.making.wait()).await;
            clear().await;
        }
    };
    let limit = if cancelled { TIDY_CANCELLED } else { TIDY };
    if tokio::time::timeout(limit, tidying).await.is_err() {
        runner.session.reporter.warn(format!(
            "what test `{}` started could not be removed in time; the next run removes it",
            case.name
        ));
    }
}
