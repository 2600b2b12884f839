//! Logs that are read to their end: the lines of all containers in the order of time.

use crate::cluster::{self, Cluster, ContainerRef, LogFollower, LogLine};
use crate::error::Result;
use crate::session::{Session, interrupted};
use crate::text::display;
use crate::tier::logs::members::Member;
use crate::tier::logs::pod::LogPod;
use crate::tier::logs::{LogSelection, show};

/// How many logs are read at the same time: a server allows no more over one connection.
const TOGETHER: usize = 80;

/// Shows the lines of all containers of these pods.
pub(crate) async fn read(
    session: &Session,
    cluster: &Cluster,
    wanted: &LogSelection<'_>,
    pods: &[(Member, LogPod)],
) -> Result<()> {
    let containers = pods.iter().flat_map(|(_, pod)| wanted.containers(pod));
    let containers: Vec<ContainerRef> = containers.map(|(container, _)| container).collect();
    let mut is_empty = true;
    for some in containers.chunks(TOGETHER) {
        let logs = some.iter().map(|one| (one.clone(), cluster.log(one.clone(), wanted.options.clone())));
        tokio::select! {
            biased;
            () = session.cancel.cancelled() => return Err(interrupted()),
            merged = merge(session, logs.collect()) => is_empty &= !merged?,
        }
    }
    if is_empty && !containers.is_empty() {
        let count = display::count(containers.len(), "container");
        session.reporter.warn(format!("the logs of {count} have no such lines"));
    }
    Ok(())
}

/// Shows the lines in the order of time: of the next lines of all logs, always the earliest. Whether there were any.
async fn merge(session: &Session, mut logs: Vec<(ContainerRef, LogFollower)>) -> Result<bool> {
    let first = logs.iter_mut().map(|(container, log)| next(session, container, log));
    let mut heads: Vec<Option<LogLine>> = futures::future::try_join_all(first).await?;
    let has_lines = heads.iter().any(Option::is_some);
    loop {
        let heads_of =
            heads.iter().enumerate().filter_map(|(index, head)| Some((head.as_ref()?.time, index)));
        let Some((_, index)) = heads_of.min() else { return Ok(has_lines) };
        let (container, log) = &mut logs[index];
        if let Some(line) = heads[index].take() {
            show(session, container, &line);
        }
        if !session.reporter.is_read() {
            return Ok(has_lines);
        }
        heads[index] = next(session, container, log).await?;
    }
}

/// The next line of a log. A log that cannot be read to its end does not keep the others from being shown, but a
/// missing permission is missing for all.
async fn next(session: &Session, container: &ContainerRef, log: &mut LogFollower) -> Result<Option<LogLine>> {
    match log.next_line().await {
        Err(error) if cluster::is_denied(&error) || error.is_interruption() => Err(error),
        Err(error) => {
            let ContainerRef { pod, container, .. } = container;
            session.reporter.warn(format!("the log of {pod}/{container} cannot be read further: {error}"));
            Ok(None)
        }
        line => line,
    }
}
