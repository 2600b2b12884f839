//! `logs`: what the containers of a tier's pods write, read to its end in the order of time, or followed across
//! restarts and new pods.

pub(crate) mod follow;
pub(crate) mod members;
pub(crate) mod pod;
pub(crate) mod read;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::{Cluster, ContainerRef, LogLine, LogOptions};
use crate::error::{Error, Kind, Result};
use crate::model::ObjectId;
use crate::project::Tier;
use crate::record::Record;
use crate::record::prior::PriorReleases;
use crate::record::store::Store;
use crate::release::context;
use crate::release::plan::redaction;
use crate::session::Session;
use crate::tier::logs::members::{Member, Members};
use crate::tier::logs::pod::{Instance, LogPod};

/// Which logs are wanted, and which lines of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogRequest {
    /// `Deployment/web`, `web`, a pod.
    pub object: Option<String>,
    /// The container's name.
    pub container: Option<String>,
    /// Whether to follow the logs until interrupted.
    pub follow: bool,
    /// Whether to read the previous instances.
    pub previous: bool,
    /// How many of each container's last lines to show.
    pub tail: Option<u32>,
    /// The greatest age of a line.
    pub since: Option<Duration>,
}

/// Shows the logs.
///
/// # Errors
/// [`Kind::Denied`] without permission to read pods or their logs, [`Kind::Invalid`] for an object that the tier does
/// not have, [`Kind::Interrupted`], what the cluster refuses.
pub(crate) async fn logs(session: &Session, project: &str, tier: &Tier, request: &LogRequest) -> Result<()> {
    let cluster = context::connect(session, tier).await?;
    let prior = PriorReleases::read(&Store::new(&cluster, project, &tier.slug)).await?;
    let Some(last) = prior.last else {
        session.reporter.warn(format!("nothing was released to {} yet", tier.name));
        return Ok(());
    };
    redaction::hide(session, &cluster, tier, &last.objects).await;
    let mut members = Members::new(&cluster, project, &tier.slug, &last);
    let namespaces = namespaces(&cluster, &last);
    let mut pods = Vec::new();
    for namespace in &namespaces {
        for pod in cluster.list_each("v1", "Pod", Some(namespace), None, LogPod::read).await? {
            let member = members.of(&pod).await?.filter(|member| member.is(request.object.as_deref()));
            pods.extend(member.map(|member| (member, pod)));
        }
    }
    if pods.is_empty() {
        none(session, tier, &last, request)?;
    }
    check_container(request, &pods)?;
    pods.sort_by(|(a, one), (b, other)| (a.title(), &one.name).cmp(&(b.title(), &other.name)));
    let options = LogOptions {
        follow: request.follow,
        previous: request.previous,
        tail: request.tail,
        since: request.since.map(|since| before(cluster.now(), since)),
    };
    let wanted = LogSelection { request, options };
    if request.follow {
        follow::follow(session, &cluster, &wanted, members, namespaces).await
    } else {
        read::read(session, &cluster, &wanted, &pods).await
    }
}

/// The objects of the last release that may have pods, as `Deployment/web`.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn objects(session: &Session, project: &str, tier: &Tier) -> Result<Vec<String>> {
    let cluster = context::connect(session, tier).await?;
    let last = PriorReleases::read(&Store::new(&cluster, project, &tier.slug)).await?.last;
    let owned = last.map(|last| last.owned).unwrap_or_default();
    Ok(owned.iter().map(|one| &one.id).filter(|id| may_have_pods(id)).map(ObjectId::to_string).collect())
}

/// Whether it is a workload, a pod, or a custom resource.
fn may_have_pods(id: &ObjectId) -> bool {
    match id.group.as_str() {
        "" => matches!(id.kind.as_str(), "Pod" | "ReplicationController"),
        "apps" | "batch" => true,
        group => group.contains('.') && !group.ends_with(".k8s.io"),
    }
}

/// Which lines of which containers to show.
pub(crate) struct LogSelection<'a> {
    request: &'a LogRequest,
    options: LogOptions,
}

impl LogSelection<'_> {
    /// The selected containers of a pod, init containers first.
    fn containers(&self, pod: &LogPod) -> Vec<(ContainerRef, Option<Instance>)> {
        pod.containers(self.request.container.as_deref()).collect()
    }
}

/// Refuses a container name that no pod has, because it is probably misspelt.
fn check_container(request: &LogRequest, pods: &[(Member, LogPod)]) -> Result<()> {
    let Some(wanted) = request.container.as_deref().filter(|_| !pods.is_empty()) else { return Ok(()) };
    let known: BTreeSet<String> =
        pods.iter().flat_map(|(_, pod)| pod.containers(None)).map(|(one, _)| one.container).collect();
    if known.contains(wanted) {
        return Ok(());
    }
    let names = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(Error::new(Kind::Invalid, format!("no pod has a container `{wanted}`"))
        .with_hint(format!("they have: {names}")))
}

/// Explains why there are no logs: nothing runs, or the object does not exist.
fn none(session: &Session, tier: &Tier, last: &Record, request: &LogRequest) -> Result<()> {
    let Some(object) = &request.object else {
        session.reporter.warn(format!("no pod of {} runs", tier.name));
        return Ok(());
    };
    let owned: Vec<Member> = last.owned.iter().map(|one| Member::new(&one.id.kind, &one.id.name)).collect();
    if owned.iter().any(|one| one.is(Some(object))) {
        session.reporter.warn(format!("{object} has no pod"));
        return Ok(());
    }
    let known: BTreeSet<&str> = owned.iter().flat_map(|one| [one.title(), one.name()]).collect();
    let error = Error::new(Kind::Invalid, format!("{} has no `{object}`", tier.name));
    Err(match crate::text::nearest(object, known.into_iter()) {
        Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
        None => error.with_hint(format!("`windlass status {}` shows what runs there", tier.name)),
    })
}

/// The namespaces in which the tier has objects.
fn namespaces(cluster: &Cluster, last: &Record) -> BTreeSet<String> {
    let of_objects = last.owned.iter().map(|one| one.id.namespace.clone());
    of_objects.chain([cluster.namespace().to_owned()]).filter(|name| !name.is_empty()).collect()
}

fn before(now: Timestamp, since: Duration) -> Timestamp {
    let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
    now.checked_sub(since).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn show(session: &Session, container: &ContainerRef, line: &LogLine) {
    let source = format!("{}/{}", container.pod, container.container);
    session.reporter.answer_log(&source, line.time, &line.text);
}
