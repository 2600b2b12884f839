//! `test --keep`: what a test started stays, and its container becomes an image in which a shell can be had.

use std::sync::PoisonError;

use jiff::Timestamp;

use super::Runner;
use super::case::{Case, Handles};
use super::container::name;
use crate::error::Result;
use crate::model::labels;
use crate::project::On;

/// Says how to get in, and how to be rid of it; gives the command that gets in. Trouble is a warning: the test's own outcome
/// counts.
pub(super) async fn keep(runner: &Runner<'_>, case: &Case<'_>) -> Option<String> {
    let standing = case.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if case.test.on == On::Cluster {
        return keep_job(runner, case, &standing);
    }
    let until = runner.engine_time().await.map(|now| runner.owner.expires(now)).unwrap_or_default();
    let Some(container) = &standing.container else {
        return Some(kept(runner, case, until, "its command never ran", inspect(runner)));
    };
    match image_of(runner, case, container).await {
        Ok(image) => Some(kept(runner, case, until, "a shell where it ended", shell(&image, &standing))),
        Err(error) => {
            runner
                .session
                .reporter
                .warn(format!("test `{}` is kept, but not as an image: {error}", case.name));
            None
        }
    }
}

/// A pod that has ended has no shell: the next one of its image has.
fn keep_job(runner: &Runner<'_>, case: &Case<'_>, standing: &Handles) -> Option<String> {
    let (job, test_cluster) = standing.container.as_ref().zip(runner.test_cluster.as_ref())?;
    let image = case.image.pinned.by_digest();
    let (context, namespace) = (test_cluster.cluster.context(), test_cluster.cluster.namespace());
    let kubectl = format!("kubectl --context {context} -n {namespace}");
    let shell =
        format!("{kubectl} run windlass-shell --rm -it --restart Never --image {image} --command -- sh");
    let message = format!("test `{}` is kept as Job/{job}; a shell in its image: {shell}", case.name);
    runner.session.reporter.warn_with_hint(message, format!("to delete it: {kubectl} delete job {job}"));
    Some(shell)
}

fn kept(runner: &Runner<'_>, case: &Case<'_>, until: Timestamp, what: &str, command: String) -> String {
    let until = until.strftime("%H:%M UTC");
    let message = format!("test `{}` is kept until {until}; {what}: {command}", case.name);
    runner.session.reporter.warn_with_hint(message, format!("to delete it: {}", removal(runner)));
    command
}

/// The container has ended: its files live on in an image.
async fn image_of(runner: &Runner<'_>, case: &Case<'_>, container: &str) -> Result<String> {
    let role = format!("kept {}", case.name);
    let tag = name(&runner.owner, &role).to_lowercase();
    runner.engine()?.commit(container, "windlass-kept", &tag, runner.labels(&role).await?).await?;
    Ok(format!("windlass-kept:{tag}"))
}

fn shell(image: &str, standing: &Handles) -> String {
    format!("docker run --rm -it --network {} --entrypoint sh {image}", standing.network)
}

fn inspect(runner: &Runner<'_>) -> String {
    format!("docker ps -a --filter label={}={}", labels::RUN, runner.owner.run())
}

fn removal(runner: &Runner<'_>) -> String {
    let filter = format!("-q --filter label={}={}", labels::RUN, runner.owner.run());
    format!(
        "docker rm -fv $(docker ps -a {filter}); docker network rm $(docker network ls {filter}); docker rmi $(docker images {filter})"
    )
}
