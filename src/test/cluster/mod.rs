//! A test as a Job on the tier's cluster (`on: cluster`), which allows more than one machine. Its log, its reports and its
//! record are those of any test; what the cluster cannot do for it is told as for a release.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::case::{AFTER_DEATH, Case, TestOutcome};
use super::reports::{self, Reports};
use super::service::{explained, explained_as};
use super::{CANNOT_RUN, Runner, SLACK, directory_of, record, unmade};
use crate::cluster::{
    ApplyError, Cluster, DeleteOptions, Deleted, SeenObject, WatchItem, WatchSubject, Watches,
};
use crate::engine::{Exit, owner};
use crate::error::{Error, Kind, Result};
use crate::model::{Evidence, ObjectId, ObjectRef, Stage, labels};
use crate::project::{Project, SecretContent, Tier};
use crate::report::StepReport;
use crate::rollout::watch::{Goal, Watched, Watcher};
use crate::session::Session;
use crate::text::display;

pub(crate) mod fuzzing;
pub(crate) mod log_stream;
mod outcome;
mod pod;

use crate::test::cluster::log_stream::LogStream;
use pod::Seen;

/// How long it may take until the end of a container is told, and its last lines have come.
const LOG_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The Job's failure is told a little before the container's end is.
const PATIENCE: Duration = Duration::from_secs(2);

/// The cluster of a tier, as a place for tests.
pub(super) struct TestCluster {
    pub(super) cluster: Cluster,
    /// The tier's name.
    pub(super) tier: String,
    /// How long a pod may take to begin: as long as a rollout.
    patience: Duration,
    pull_secrets: Vec<String>,
}

impl TestCluster {
    /// Connects to the tier's cluster, and sees that the namespace is there.
    ///
    /// # Errors
    /// Those of [`Cluster::connect`] and [`Cluster::ensure_namespace`].
    pub(super) async fn connect(session: &Session, project: &Project, tier: &Tier) -> Result<Self> {
        let cluster = Cluster::connect(&tier.target(), session).await?;
        cluster.ensure_namespace(&tier.made_for(project), ("create", "jobs.batch")).await?;
        let secrets = tier.secrets.iter();
        let pull = secrets.filter(|(_, secret)| matches!(secret.content, SecretContent::Pull(_)));
        Ok(Self {
            cluster,
            tier: tier.name.clone(),
            patience: tier.timeout,
            pull_secrets: pull.map(|(name, _)| name.clone()).collect(),
        })
    }

    /// Removes the Jobs of runs that have ended without doing so. Trouble is not an error: the next run tries again.
    pub(super) async fn reap(&self) {
        let now = Some(self.cluster.now());
        let over = |annotations: &HashMap<String, String>| owner::is_over(annotations, now);
        self.remove(&self.cluster, labels::RUN, &over).await;
    }

    /// Removes what this run has started in this role; gives how many Jobs there were.
    async fn clear(&self, run: &str, role: &str) -> usize {
        let selector = format!("{}={run}", labels::RUN);
        let mine = |annotations: &HashMap<String, String>| {
            annotations.get(labels::ROLE).is_some_and(|own| own == role)
        };
        self.remove(&self.cluster.for_cleanup(), &selector, &mine).await
    }

    async fn remove(
        &self,
        cluster: &Cluster,
        selector: &str,
        goes: &(dyn Fn(&HashMap<String, String>) -> bool + Sync),
    ) -> usize {
        let jobs = cluster.list("batch/v1", "Job", None, Some(selector)).await.unwrap_or_default();
        let mut removed = 0;
        for job in jobs {
            let annotations =
                serde_json::from_value(job["metadata"]["annotations"].clone()).unwrap_or_default();
            if goes(&annotations) {
                // What is left of its pod has nothing more to say.
                let pods = format!("job-name={}", job["metadata"]["name"].as_str().unwrap_or_default());
                let pods = cluster.list_metadata("v1", "Pod", None, Some(&pods)).await.unwrap_or_default();
                let at_once = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
                let gone = delete(cluster, &job, DeleteOptions::default()).await;
                removed += usize::from(gone);
                for pod in pods {
                    delete(cluster, &pod, at_once).await;
                }
            }
        }
        removed
    }
}

/// Deletes a Job or pod that was seen, if it is still there; whether this did it.
async fn delete(cluster: &Cluster, live: &Value, options: DeleteOptions) -> bool {
    let Ok(seen) = SeenObject::of(live) else { return false };
    matches!(cluster.delete(&seen, options).await, Ok(Deleted::Begun))
}

/// The first minor version of Kubernetes in which an init container that is restarted always is a sidecar by default.
const SIDECARS: u32 = 29;

/// Runs the command of a test in a Job.
///
/// # Errors
/// [`Kind::TestNotRun`], [`Kind::Unreachable`], [`Kind::Denied`].
pub(super) async fn run(runner: &Runner<'_>, case: &Case<'_>, step: &StepReport) -> Result<TestOutcome> {
    step.progress("asking the cluster for a pod");
    let test_cluster = runner.test_cluster()?;
    let bases = reports::bases(case.test, case.reports.as_deref());
    let mark =
        if bases.is_empty() { String::new() } else { format!("windlass-reports-{}", runner.owner.run()) };
    let order =
        order(runner, test_cluster, case, outcome::command(&case.test.run, &bases, &mark, case.test.timeout));
    let job = pod::job(&order)?;
    // Older ones drop the field that makes a sidecar of an init container, and what is left never ends.
    if !order.services.is_empty()
        && test_cluster.cluster.minor_version().await.is_some_and(|minor| minor < SIDECARS)
    {
        let message =
            format!("services of a test on a cluster need Kubernetes 1.{SIDECARS}, and this one is older");
        let error = Error::new(Kind::TestNotRun, message)
            .with_hint("run the test in a Docker Engine: leave `on: cluster` out");
        return Err(explained(case.name, error, Vec::new()));
    }
    case.note(|standing| standing.container = Some(order.name.clone()));
    let creating = test_cluster.cluster.for_cleanup();
    let made = runner.making.spawn(async move { creating.create(&job).await });
    let made = made.await.map_err(|error| unmade(&error))?.map_err(|error| refused(case.name, error))?;
    let mut course = WatchedJob {
        runner,
        case,
        step,
        cluster: &test_cluster.cluster,
        log: LogStream::new(&test_cluster.cluster, runner.session, case.name, mark),
        pod: Value::Null,
        said: None,
    };
    course.run(&made).await
}

/// Removes what was started for a test.
pub(super) async fn clear(runner: &Runner<'_>, case: &Case<'_>) -> usize {
    let Some(test_cluster) = &runner.test_cluster else { return 0 };
    test_cluster.clear(runner.owner.run(), &case.role()).await
}

fn order<'a>(
    runner: &Runner<'_>,
    test_cluster: &'a TestCluster,
    case: &Case<'a>,
    command: Vec<String>,
) -> pod::Order<'a> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let slug: String = directory_of(case.name)
        .to_lowercase()
        .chars()
        .filter(|one| one.is_ascii_alphanumeric() || *one == '-')
        .take(20)
        .collect();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let ready = case.test.services.values().filter_map(|service| service.ready.as_ref());
    let services = case.test.services.iter();
    pod::Order {
        name: format!("windlass-test-{}-{}-{count}", slug.trim_matches('-'), runner.owner.run()),
        namespace: test_cluster.cluster.namespace(),
        labels: json!({labels::RUN: runner.owner.run(), "app.kubernetes.io/managed-by": "windlass"}),
        owner: runner.owner.labels(&case.role(), test_cluster.cluster.now()),
        test: case.test,
        image: case.image.pinned.by_digest(),
        command,
        services: services
            .map(|(name, one)| (name.clone(), record::service_image(&one.image, runner.images)))
            .collect(),
        pull_secrets: test_cluster.pull_secrets.clone(),
        longest: case.test.timeout + ready.map(|ready| ready.timeout).max().unwrap_or_default() + SLACK,
        keep: runner.keep,
    }
}

fn refused(test: &str, error: ApplyError) -> Error {
    let error = Error::from(error);
    if error.kind() != Kind::Refused {
        return error;
    }
    let message = format!("the cluster refused the test's Job: {}", error.message());
    let refused = Error::new(Kind::TestNotRun, message);
    let refused = match error.hint() {
        Some(hint) => refused.with_hint(hint),
        None => refused,
    };
    explained(test, refused, Vec::new())
}

/// What becomes of a Job's pods.
fn pods_of(cluster: &Cluster, job: &Value) -> Watches {
    let mut pods = Watches::new(cluster);
    pods.open(WatchSubject {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: None,
        selector: Some(format!("job-name={}", ObjectRef::of(job).name)),
    });
    pods
}

/// A Job under way.
struct WatchedJob<'a> {
    runner: &'a Runner<'a>,
    case: &'a Case<'a>,
    step: &'a StepReport,
    cluster: &'a Cluster,
    log: LogStream,
    /// As it was seen last.
    pod: Value,
    /// What the services said before the pod was deleted.
    said: Option<Vec<Evidence>>,
}

impl WatchedJob<'_> {
    async fn run(&mut self, job: &Value) -> Result<TestOutcome> {
        let mut pods = pods_of(self.cluster, job);
        let (mut late, mut died, mut failed) = (false, None, None);
        let mut end: Option<Instant> = None;
        let patience = self.patience()?;
        let mut verdict = self.watcher(job, patience);
        let ids = [ObjectId::of(job)];
        let judging = verdict.until(Goal::Ready(&ids), Instant::now() + patience);
        tokio::pin!(judging);
        let mut judged_in_time = true;
        let exit = loop {
            let wake = end.unwrap_or_else(|| Instant::now() + SLACK);
            tokio::select! {
                biased;
                (_, item) = pods.next() => self.take(item)?,
                judged = &mut judging, if failed.is_none() && judged_in_time => {
                    // Of one that has begun only its own time counts.
                    if self.log.has_begun() && matches!(&judged, Err(error) if error.kind() == Kind::TimedOut) {
                        judged_in_time = false;
                        continue;
                    }
                    failed = Some(judged);
                    // Either the container's end is told in a moment, or it never began.
                    end = Some(end.unwrap_or(wake).min(Instant::now() + PATIENCE));
                }
                () = sleep_until(wake) => {}
            }
            if let Some(exit) = self.has_ended()? {
                break exit;
            }
            if let Some(begun) = self.has_begun() {
                end = Some(begun);
            }
            if died.is_none()
                && let Some((name, exit)) = self.death()
            {
                if !self.log.has_begun() {
                    return Err(self.not_ready(&name, exit).await);
                }
                died = Some((name, exit));
                end = Some(end.unwrap_or(wake).min(Instant::now() + AFTER_DEATH));
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                if let (Some(Err(error)), None) = (failed.take(), &died)
                    && !self.log.has_begun()
                {
                    return Err(self.could_not_run(error));
                }
                late = died.is_none();
                break self.stop(&mut pods).await;
            }
        };
        let ran = Seen::test(&self.pod).map(|test| test.ran()).unwrap_or_default();
        let late = late || (!exit.passed() && died.is_none() && ran >= self.case.test.timeout);
        self.outcome(exit, late, died).await
    }

    /// Why a pod does not come to run is known as for a release; what is told of that is told here.
    fn watcher(&self, job: &Value, patience: Duration) -> Watcher {
        let mut object = job.clone();
        // The Job's own time is that of a test that runs.
        object["metadata"]["annotations"][labels::TIMEOUT] = format!("{}s", patience.as_secs()).into();
        let set = vec![Watched { object: Arc::new(object), place: None, live: None }];
        let mut watcher = Watcher::new(&self.runner.session.quiet(), self.cluster, Stage::Test, set);
        watcher.applied(job);
        watcher
    }

    /// How long the pod may take to begin, with what its services may take.
    fn patience(&self) -> Result<Duration> {
        let ready = self.case.test.services.values().filter_map(|service| service.ready.as_ref());
        let services = ready.map(|ready| ready.timeout).max().unwrap_or_default();
        Ok(self.runner.test_cluster()?.patience + services)
    }

    fn take(&mut self, item: WatchItem) -> Result<()> {
        match item {
            WatchItem::Page { first: true, items } => {
                self.pod = items.into_iter().next().unwrap_or(Value::Null);
            }
            WatchItem::Applied(pod) => self.pod = pod,
            WatchItem::Deleted(pod) => {
                self.pod = pod;
                if Seen::test(&self.pod).and_then(|test| test.exit()).is_none() {
                    let message = "its pod was deleted before it finished";
                    return Err(explained(
                        self.case.name,
                        Error::new(Kind::TestNotRun, message),
                        self.log.own_lines().into_iter().collect(),
                    ));
                }
            }
            WatchItem::Denied(error) => return Err(error),
            WatchItem::Trouble(error) => self.step.progress(error.to_string()),
            // One run has one pod.
            WatchItem::Page { .. } | WatchItem::Listed | WatchItem::Back => {}
        }
        if !self.log.has_begun() && !self.pod.is_null() {
            self.step.progress(pod::busy_with(&self.pod));
        }
        Ok(())
    }

    /// How the command ended, if it has.
    fn has_ended(&mut self) -> Result<Option<Exit>> {
        let Some(test) = Seen::test(&self.pod) else { return Ok(None) };
        if let Some(why) = test.cannot_start() {
            let program = self.case.test.run.first().map_or("", String::as_str);
            let why = crate::engine::reason(why);
            let error = Error::new(Kind::TestNotRun, format!("`{program}` cannot be run in the image: {why}"))
                .with_hint("no shell reads `run`: its first word is a program of the image; reports of a test on a cluster want `sh`, `tar` and `base64` there");
            return Err(explained_as(CANNOT_RUN, self.case.name, error, Vec::new()));
        }
        // The runtime may notice the lack of memory too late for the kubelet to hear of it: nobody else kills below a limit.
        let limited = self.case.test.memory.is_some();
        let exit = test
            .exit()
            .map(|exit| Exit { out_of_memory: exit.out_of_memory || (limited && exit.code == 137), ..exit });
        if exit.is_some() {
            // One that ended at once was never seen running.
            self.log.begin(&self.pod);
        }
        Ok(exit)
    }

    /// When the test must have ended, once its command has begun.
    fn has_begun(&mut self) -> Option<Instant> {
        let begins = !self.log.has_begun() && Seen::test(&self.pod).is_some_and(|test| test.has_begun());
        if begins {
            self.step.progress("running");
            self.log.begin(&self.pod);
        }
        begins.then(|| {
            // Where reports are wanted it ends itself, for its log goes with the pod.
            let bases = reports::bases(self.case.test, self.case.reports.as_deref());
            let slack = if bases.is_empty() { Duration::ZERO } else { LOG_DRAIN_TIMEOUT };
            Instant::now() + self.case.test.timeout + slack
        })
    }

    /// The service that died, and how.
    fn death(&self) -> Option<(String, Exit)> {
        let died = |(name, service): (&str, Seen<'_>)| {
            let exit = service.death()?;
            // One that was asked to end, or that its probe ended, has not begun either.
            (exit.is_death() || !service.is_started()).then(|| (name.to_owned(), exit))
        };
        Seen::services(&self.pod).find_map(died)
    }

    /// Why a service's container could not begin at all.
    fn cannot_start(&self, name: &str) -> Option<String> {
        let (_, service) = Seen::services(&self.pod).find(|(own, _)| *own == name)?;
        service.cannot_start().map(crate::engine::reason)
    }

    async fn not_ready(&self, name: &str, exit: Exit) -> Error {
        let ready = self.case.test.services.get(name).and_then(|service| service.ready.as_ref());
        let message = match (self.cannot_start(name), ready) {
            (Some(why), _) => format!("service `{name}` cannot start: {why}"),
            // Its probe asked so often, and then the kubelet ended it.
            (None, Some(ready)) if matches!(exit.code, 137 | 143) && !exit.out_of_memory => {
                format!("service `{name}` was not ready within {}", display::duration(ready.timeout))
            }
            _ => format!("service `{name}` ended with {exit} before it was ready"),
        };
        let evidence = self.log.service_lines(&self.pod, name).await;
        explained(self.case.name, Error::new(Kind::TestNotRun, message), evidence.into_iter().collect())
    }

    /// What kept the pod from running, in the words of a verdict.
    fn could_not_run(&self, error: Error) -> Error {
        if !matches!(error.kind(), Kind::Rollout | Kind::TimedOut) {
            return error;
        }
        let failure = error.failures().first();
        let message = failure.map_or(error.message(), |failure| failure.message.as_str());
        let unable = Error::new(Kind::TestNotRun, format!("its pod does not start: {message}"));
        let unable = match failure.and_then(|failure| failure.hint.as_ref()) {
            Some(hint) => unable.with_hint(hint.clone()),
            None => unable,
        };
        let evidence = failure.map(|failure| failure.evidence.clone()).unwrap_or_default();
        explained(self.case.name, unable, evidence)
    }

    /// Ends the pod; its reports still come.
    async fn stop(&mut self, pods: &mut Watches) -> Exit {
        // With the pod go its logs.
        self.said = Some(self.all_service_lines().await);
        let seconds = u32::try_from(pod::GRACE.as_secs()).unwrap_or(5);
        let options = DeleteOptions { grace_seconds: Some(seconds), ..DeleteOptions::default() };
        delete(self.cluster, &self.pod, options).await;
        let ended = async {
            loop {
                if let Some(exit) = Seen::test(&self.pod).and_then(|test| test.exit()) {
                    return exit;
                }
                if let (_, WatchItem::Applied(pod) | WatchItem::Deleted(pod)) = pods.next().await {
                    self.pod = pod;
                }
            }
        };
        timeout(LOG_DRAIN_TIMEOUT, ended).await.unwrap_or(Exit { code: 137, out_of_memory: false })
    }

    async fn outcome(&mut self, exit: Exit, late: bool, died: Option<(String, Exit)>) -> Result<TestOutcome> {
        let sources = self.log.reports(LOG_DRAIN_TIMEOUT).await;
        let reports = Reports::of(self.case.test, self.case.reports.as_deref(), sources)?;
        reports::mask(&self.runner.session.reporter, self.case.reports.as_deref())?;
        let mut evidence: Vec<Evidence> = self.log.own_lines().into_iter().collect();
        if late || !exit.passed() {
            evidence.extend(match self.said.take() {
                Some(said) => said,
                None => self.all_service_lines().await,
            });
        }
        Ok(TestOutcome { exit, late, died, reports, evidence })
    }

    async fn all_service_lines(&self) -> Vec<Evidence> {
        let mut all = Vec::new();
        for name in self.case.test.services.keys() {
            all.extend(self.log.service_lines(&self.pod, name).await);
        }
        all
    }
}
