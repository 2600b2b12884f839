//! Jobs: which ones with different content still run, what to do with them, and the order of a release's Jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::{Cluster, Item};
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectId, ObjectRef, Outcome, Stage, Verdict, job, labels, object};
use crate::record::content;
use crate::record::prior::PriorReleases;
use crate::release::context::TierContext;
use crate::release::plan::{Plan, Wanted};
use crate::release::rules::RunningJobs;
use crate::rollout::explain::{self, Known};
use crate::rollout::snapshot::decode::{Cached, Decoder};
use crate::rollout::snapshot::subject::Seen;
use crate::text::display;

/// The options for a Job that still runs.
pub(crate) const HINT: &str = "--wait-jobs waits for it, --kill-jobs deletes it";

/// How often to check a Job that is waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// Live Jobs of the tier that still run and do not belong to the release: with other content, or no longer wanted.
pub(crate) fn running(wanted: &[Wanted], live: &BTreeMap<ObjectId, Arc<Value>>) -> Vec<Value> {
    let same = |id: &ObjectId, job: &Value| {
        let wanted = wanted.iter().find(|one| one.id() == *id);
        wanted.is_some_and(|one| job::content(job) == Some(content::content(&one.object).as_str()))
    };
    let jobs = live.iter().filter(|(_, object)| job::is_job(object) && runs(object));
    jobs.filter(|(id, job)| !same(id, job)).map(|(_, job)| Value::clone(job)).collect()
}

fn runs(job: &Value) -> bool {
    let suspended = job.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let goes = job.pointer("/metadata/deletionTimestamp").is_some();
    !suspended && !goes && !job::completed(job) && !job::failed(job)
}

/// Leaves out the Jobs that cannot start (because their image does not exist, for example), and those of a failed
/// release that are in back-off: the release that fixes them must not wait for them. Without permission to list pods,
/// none is left out.
pub(crate) async fn not_stuck(
    cluster: &Cluster,
    running: Vec<Value>,
    not_good: &BTreeSet<u64>,
) -> Vec<Value> {
    let namespaces: BTreeSet<String> = running.iter().map(|job| ObjectId::of(job).namespace).collect();
    if running.is_empty() {
        return running;
    }
    let decoder = Decoder::default();
    let mut seen: Vec<Cached> =
        running.iter().map(|job| Cached::Object(Seen::Object(Arc::new(job.clone())))).collect();
    for namespace in &namespaces {
        for kind in ["Pod", "Event"] {
            let read = |item: Item<'_>| decoder.read(item);
            match cluster.list_each("v1", kind, Some(namespace), None, read).await {
                Ok(found) => seen.extend(found),
                Err(_) if kind == "Pod" => return running,
                Err(_) => {}
            }
        }
    }
    let at_work = at_work(&seen);
    let known = Known { wanted: Some(running.iter().map(ObjectId::of).collect()), ..Known::default() };
    let explained = explain::explain_known(seen, cluster.now(), &Arc::default(), &known);
    // One container of the Job may run while another cannot start.
    let works = |job: &Value| at_work.contains(object::uid(job));
    let has_failed =
        |job: &Value| explained.iter().any(|one| one.verdict() == Verdict::Failed && one.is_about(job));
    let is_left = |job: &Value| {
        let revision = object::annotation(job, labels::REVISION).and_then(|text| text.parse().ok());
        revision.is_some_and(|revision| not_good.contains(&revision))
    };
    let is_stuck = |job: &Value| (has_failed(job) || is_left(job)) && !works(job);
    running.into_iter().filter(|job| !is_stuck(job)).collect()
}

/// The uids of the owners of pods that have a running container.
fn at_work(seen: &[Cached]) -> BTreeSet<String> {
    let pods = seen.iter().filter_map(|one| one.subject()?.pod());
    let at_work = pods.filter(|pod| pod.containers.iter().any(|one| one.running.is_some()));
    at_work.flat_map(|pod| pod.owners.iter().map(|owner| owner.uid.to_string())).collect()
}

/// `Job/migrate of release 7 (https://gitlab.example.com/…/-/jobs/1) still runs`
pub(crate) fn running_sentence(prior: &PriorReleases, plan: &Plan) -> Option<String> {
    let titles: Vec<String> = plan.running.iter().map(|job| title(prior, job)).collect();
    let verb = if titles.len() == 1 { "still runs" } else { "still run" };
    (!titles.is_empty()).then(|| format!("{} {verb}", titles.join(" and ")))
}

fn title(prior: &PriorReleases, job: &Value) -> String {
    let id = ObjectId::of(job);
    let revision = object::annotation(job, labels::REVISION);
    let Some(revision) = revision else { return format!("{id}, which no release created,") };
    let summary = prior.summaries.iter().find(|one| one.revision.to_string() == revision);
    let by = summary.map(|one| format!(" ({})", one.by.job.as_deref().unwrap_or(&one.by.person)));
    format!("{id} of release {revision}{}", by.unwrap_or_default())
}

/// Waits for or deletes Jobs with different content that still run; returns whether it waited, in which case the plan
/// is outdated.
///
/// # Errors
/// [`Kind::Rule`] naming the Job, its release and its pipeline, if no option says what to do with it;
/// [`Kind::TimedOut`] when it does not end.
pub(crate) async fn settle(context: TierContext<'_>, prior: &PriorReleases, plan: &Plan) -> Result<bool> {
    let Some(sentence) = running_sentence(prior, plan) else { return Ok(false) };
    match context.rules.running_jobs() {
        RunningJobs::Refuse => Err(Error::new(Kind::Rule, sentence).with_hint(HINT)),
        RunningJobs::Kill => Ok(false),
        RunningJobs::Wait => wait(context, plan, &sentence).await.map(|()| true),
    }
}

async fn wait(context: TierContext<'_>, plan: &Plan, sentence: &str) -> Result<()> {
    let report =
        context.session.reporter.step(Stage::Release, "wait jobs", format!("{sentence}: waiting for it"));
    let ended = async {
        for job in &plan.running {
            while context.cluster.get(&ObjectRef::of(job)).await?.is_some_and(|job| runs(&job)) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    };
    let late = || {
        let limit = display::whole(context.tier.timeout);
        Error::new(Kind::TimedOut, format!("{sentence} after {limit}")).with_hint("--kill-jobs deletes it")
    };
    let result = context.session.within(context.tier.timeout, ended, late).await;
    match &result {
        Ok(()) => report.finish(Outcome::Ok, "ended"),
        Err(error) => report.finish(error.outcome(), error.message()),
    }
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Phase;

    fn job(name: &str, image: &str) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"image": image}})
    }

    fn live(name: &str, image: &str, status: &Value) -> Value {
        let object = job(name, image);
        let content = content::content(&object);
        let mut live = object;
        live["metadata"]["annotations"] =
            json!({"windlass.dev/content": content, "windlass.dev/revision": "7"});
        live["status"] = status.clone();
        live
    }

    fn found(live: &[Value]) -> Vec<String> {
        let wanted =
            Wanted { object: job("migrate", "b").into(), phase: Phase::Jobs, origin: None, values: None };
        let live = live.iter().map(|object| (ObjectId::of(object), object.clone().into())).collect();
        running(&[wanted], &live).iter().map(|job| ObjectId::of(job).name).collect()
    }

    #[test]
    fn only_what_runs_and_is_of_other_content_stands_in_the_way() {
        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        let failed = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        let runs = json!({"active": 1});
        assert_eq!(found(&[live("migrate", "a", &runs)]), ["migrate"]);
        assert_eq!(found(&[live("migrate-of-before", "a", &runs)]), ["migrate-of-before"]);
        assert!(found(&[live("migrate", "b", &runs)]).is_empty(), "it is joined");
        assert!(found(&[live("migrate", "a", &complete), live("other", "a", &failed)]).is_empty());
        let mut suspended = live("migrate", "a", &runs);
        suspended["spec"]["suspend"] = true.into();
        assert!(found(&[suspended]).is_empty());
    }

    #[test]
    fn a_hook_has_a_weight() {
        let mut object = job("migrate", "a");
        assert_eq!(job::weight(&object), 0);
        object["metadata"]["annotations"] = json!({"helm.sh/hook-weight": "-5"});
        assert_eq!(job::weight(&object), -5);
    }
}
