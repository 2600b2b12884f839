//! `test --keep`: what a test started stays, and its container becomes an image in which a shell can be had.

use std::sync::PoisonError;

use bollard::models::ContainerConfig;
use bollard::query_parameters::CommitContainerOptions;
use jiff::Timestamp;

use super::Runner;
use super::case::{Case, Handles};
use super::container::name;
use crate::engine::fault;
use crate::error::Result;
use crate::model::labels;
use crate::project::On;

/// Says how to get in, and how to be rid of it; gives the command that gets in. Trouble is a warning: the test's own outcome
/// counts.
pub(super) async fn keep(bench: &Runner<'_>, case: &Case<'_>) -> Option<String> {
    let standing = case.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if case.test.on == On::Cluster {
        return keep_job(bench, case, &standing);
    }
    let until = bench.engine_time().await.map(|now| bench.owner.expires(now)).unwrap_or_default();
    let Some(container) = &standing.container else {
        return Some(kept(bench, case, until, "its command never ran", inspect(bench)));
    };
    match image_of(bench, case, container).await {
        Ok(image) => Some(kept(bench, case, until, "a shell where it ended", shell(&image, &standing))),
        Err(error) => {
            bench
                .session
                .reporter
                .warn(format!("test `{}` is kept, but not as an image: {error}", case.name));
            None
        }
    }
}

/// A pod that has ended has no shell: the next one of its image has.
fn keep_job(bench: &Runner<'_>, case: &Case<'_>, standing: &Handles) -> Option<String> {
    let (job, ground) = standing.container.as_ref().zip(bench.ground.as_ref())?;
    let image = case.image.pinned.by_digest();
    let (context, namespace) = (ground.cluster.context(), ground.cluster.namespace());
    let kubectl = format!("kubectl --context {context} -n {namespace}");
    let shell =
        format!("{kubectl} run windlass-shell --rm -it --restart Never --image {image} --command -- sh");
    let message =
        format!("test `{}` is left standing as Job/{job}; a shell in its image: {shell}", case.name);
    bench.session.reporter.warn_with_hint(message, format!("to be rid of it: {kubectl} delete job {job}"));
    Some(shell)
}

fn kept(bench: &Runner<'_>, case: &Case<'_>, until: Timestamp, what: &str, command: String) -> String {
    let until = until.strftime("%H:%M UTC");
    let message = format!("test `{}` is left standing until {until}; {what}: {command}", case.name);
    bench.session.reporter.warn_with_hint(message, format!("to be rid of it: {}", removal(bench)));
    command
}

/// The container has ended: its files live on in an image.
async fn image_of(bench: &Runner<'_>, case: &Case<'_>, container: &str) -> Result<String> {
    let role = format!("kept {}", case.name);
    let tag = name(&bench.owner, &role).to_lowercase();
    let options = CommitContainerOptions {
        container: Some(container.to_owned()),
        repo: Some("windlass-kept".to_owned()),
        tag: Some(tag.clone()),
        ..Default::default()
    };
    let config = ContainerConfig { labels: Some(bench.labels(&role).await?), ..Default::default() };
    let engine = bench.engine()?;
    let done = engine.at_once(engine.docker().commit_container(options, config)).await;
    done.map_err(|error| {
        let kind = crate::error::Kind::TestNotRun;
        crate::error::Error::new(kind, fault::text(&error))
    })?;
    Ok(format!("windlass-kept:{tag}"))
}

fn shell(image: &str, standing: &Handles) -> String {
    format!("docker run --rm -it --network {} --entrypoint sh {image}", standing.network)
}

fn inspect(bench: &Runner<'_>) -> String {
    format!("docker ps -a --filter label={}={}", labels::RUN, bench.owner.run())
}

fn removal(bench: &Runner<'_>) -> String {
    let filter = format!("-q --filter label={}={}", labels::RUN, bench.owner.run());
    format!(
        "docker rm -fv $(docker ps -a {filter}); docker network rm $(docker network ls {filter}); docker rmi $(docker images {filter})"
    )
}
