//! Carries out a plan: phase by phase, in parallel within a phase, and watched to the end. A release and a rollback
//! differ only in the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{ApplyError, Cluster};
use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;
use crate::manifest::{Phase, phase_of};
use crate::model::{ObjectId, Outcome, Stage, Unserved, job, labels};
use crate::record::{Applied, JobRun, content};
use crate::release::plan;
use crate::release::plan::planner::refusal;
use crate::release::plan::{Action, Plan, PlanStep, Wanted, claims, drift, dry_run};
use crate::release::run::unstick::Suspects;
use crate::release::run::{deletion, unstick};
use crate::rollout::watch::{Goal, Watched, Watcher, Written};
use crate::session::{Session, interrupted};

/// The part of an applied object that is needed later.
#[derive(Debug, Clone)]
pub(crate) struct AppliedState {
    /// The hash of our managed fields.
    pub(crate) fields: Option<String>,
    /// `spec.replicas`.
    pub(crate) replicas: Option<Value>,
}

/// A plan that is being carried out.
pub(crate) struct Execution<'a> {
    pub(crate) session: &'a Session,
    pub(crate) cluster: &'a Cluster,
    pub(crate) stage: Stage,
    pub(crate) revision: u64,
    pub(crate) commit: Option<String>,
    pub(crate) deadline: Instant,
    pub(crate) plan: Plan,
    pub(crate) watcher: Watcher,
    /// Whether to delete Jobs with other content that still run.
    pub(crate) kill_jobs: bool,
    /// Whose pods may block a StatefulSet.
    pub(crate) suspects: Suspects,
    /// The objects that were sent, whether or not a response arrived.
    pub(crate) begun: BTreeSet<ObjectId>,
    /// Whether anything was deleted, to make room or by pruning.
    pub(crate) deleted: bool,
    /// What is needed of each applied object for the record.
    pub(crate) done: BTreeMap<ObjectId, AppliedState>,
    /// The objects that were deleted but still exist.
    pub(crate) lingers: BTreeSet<ObjectId>,
    /// Services and Ingresses without endpoints, if that is worth only a warning.
    pub(crate) unserved: Vec<Unserved>,
}

impl Execution<'_> {
    /// Runs the contract's phases in order, up to the Jobs, and waits for each one that the next one needs.
    pub(crate) async fn up_to_jobs(&mut self) -> Result<()> {
        self.kill_jobs().await?;
        self.apply(Phase::Definitions).await?;
        self.wait(&[Phase::Definitions]).await?;
        self.apply(Phase::Settings).await?;
        self.apply(Phase::Before).await?;
        self.unstick(Phase::Before).await?;
        self.wait(&[Phase::Before]).await?;
        self.run_jobs(Phase::Before).await?;
        self.run_jobs(Phase::Jobs).await
    }

    /// Runs the phases after the Jobs.
    pub(crate) async fn workloads(&mut self) -> Result<()> {
        self.apply(Phase::Workloads).await?;
        self.unstick(Phase::Workloads).await?;
        if self.has(Phase::After) {
            self.wait(&[Phase::Settings, Phase::Workloads]).await?;
            self.apply(Phase::After).await?;
            self.unstick(Phase::After).await?;
        }
        self.wait(&[Phase::Settings, Phase::Workloads, Phase::After]).await?;
        self.run_jobs(Phase::After).await
    }

    /// Keeps watching everything for this long.
    pub(crate) async fn soak(&mut self, length: Duration) -> Result<()> {
        let steps = self.plan.steps.iter().filter(|step| !job::is_job(&step.wanted.object));
        let ids: Vec<ObjectId> = steps.map(|step| step.wanted.id()).collect();
        self.watcher.until(Goal::Stay(&ids), Instant::now() + length).await
    }

    fn has(&self, phase: Phase) -> bool {
        self.plan.steps.iter().any(|step| step.wanted.phase == phase)
    }

    /// Applies the changed objects of a phase, in parallel.
    async fn apply(&mut self, phase: Phase) -> Result<()> {
        let of_phase = |step: &&PlanStep| step.wanted.phase == phase && step.action != Action::Keep;
        let is_no_job = |step: &&PlanStep| !job::is_job(&step.wanted.object);
        let steps: Vec<PlanStep> =
            self.plan.steps.iter().filter(of_phase).filter(is_no_job).cloned().collect();
        for step in steps.iter().filter(|step| step.action == Action::Recreate) {
            if let Some(live) = &step.live {
                self.deleted = true;
                deletion::make_room(self.session, self.cluster, live, &step.wanted.object).await?;
            }
        }
        // The server accepts a binding only if its role exists.
        let (bindings, rest): (Vec<PlanStep>, Vec<PlanStep>) =
            steps.into_iter().partition(|step| step.wanted.id().kind.ends_with("RoleBinding"));
        if rest.iter().all(|step| !step.wanted.id().kind.ends_with("Role")) {
            return self.send(phase.describe(), rest.into_iter().chain(bindings).collect()).await;
        }
        self.send(phase.describe(), rest).await?;
        self.send("role bindings", bindings).await
    }

    /// Applies objects in parallel.
    async fn send(&mut self, what: &str, steps: Vec<PlanStep>) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let report =
            self.session.reporter.step(self.stage, format!("apply {what}"), format!("applying {what}"));
        let count = steps.len();
        self.cluster.end_at(Some(self.watcher.end(self.deadline)));
        self.begun.extend(steps.iter().map(|step| step.wanted.id()));
        let steps = steps.into_iter().map(|step| self.stamped(step)).collect();
        let (applied, refused) = apply_all(self.session, self.cluster, steps).await;
        let done = applied.len();
        let scaled = self.scaled();
        for object in applied {
            self.watcher.applied(&object);
            let id = ObjectId::of(&object);
            let fields = plan::owned_fields(&object, plan::is_scaled(&scaled, &id));
            let replicas = object.pointer("/spec/replicas").cloned();
            self.done.insert(id, AppliedState { fields, replicas });
        }
        if done + refused.len() < count {
            report.finish(Outcome::Interrupted, format!("{done} of {count} applied"));
            return Err(interrupted());
        }
        if refused.is_empty() {
            report.finish(Outcome::Ok, format!("{count} applied"));
            return Ok(());
        }
        report.finish(Outcome::Failed, format!("{} of {count} refused", refused.len()));
        Err(refusal(&refused))
    }

    /// Unblocks the `StatefulSets` of a phase that are stuck in an earlier rollout.
    async fn unstick(&mut self, phase: Phase) -> Result<()> {
        if self.suspects != Suspects::None {
            self.deleted |= self.plan.steps.iter().any(|step| step.wanted.object["kind"] == "StatefulSet");
        }
        for step in self.plan.steps.iter().filter(|step| step.wanted.phase == phase) {
            unstick::unstick(self.session, self.cluster, &step.wanted.object, self.suspects).await?;
        }
        Ok(())
    }

    /// Runs the Jobs of a phase whose content has not completed yet, each weight after the previous one has completed.
    /// An existing Job with other content, or one that failed, is deleted first.
    async fn run_jobs(&mut self, phase: Phase) -> Result<()> {
        let mut waves: BTreeMap<i64, Vec<PlanStep>> = BTreeMap::new();
        for step in self.plan.steps.iter().filter(|step| step.wanted.phase == phase) {
            if step.action == Action::Run {
                waves.entry(job::weight(&step.wanted.object)).or_default().push(step.clone());
            }
        }
        for wave in waves.into_values() {
            let ids: Vec<ObjectId> = wave.iter().map(|step| step.wanted.id()).collect();
            for step in &wave {
                let Some(live) = &step.live else { continue };
                let same = job::content(live) == Some(content::content(&step.wanted.object).as_str());
                // A running Job with the same content is waited for instead.
                if !same || job::failed(live) {
                    self.deleted = true;
                    deletion::make_room(self.session, self.cluster, live, &step.wanted.object).await?;
                }
            }
            self.send(Phase::Jobs.describe(), wave).await?;
            self.watcher.until(Goal::Ready(&ids), self.deadline).await?;
        }
        Ok(())
    }

    /// Deletes the running Jobs of earlier releases, because of `--kill-jobs`.
    async fn kill_jobs(&mut self) -> Result<()> {
        if !self.kill_jobs || self.plan.running.is_empty() {
            return Ok(());
        }
        let report = self.session.reporter.step(self.stage, "kill jobs", "deleting jobs that still run");
        self.deleted = true;
        for job in &self.plan.running {
            let _ = deletion::delete_only(self.session, self.cluster, job).await?;
        }
        report.finish(Outcome::Ok, names(&self.plan.running));
        Ok(())
    }

    async fn wait(&mut self, phases: &[Phase]) -> Result<()> {
        let ids: Vec<ObjectId> = self
            .plan
            .steps
            .iter()
            .filter(|step| phases.contains(&step.wanted.phase) && !job::is_job(&step.wanted.object))
            .map(|step| step.wanted.id())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.watcher.until(Goal::Ready(&ids), self.deadline).await
    }

    /// Deletes the objects removed from the manifests, once the new ones are ready. A deletion that takes long, because
    /// of a finalizer for example, does not fail the release.
    pub(crate) async fn prune(&mut self) -> Result<()> {
        if self.plan.prune.is_empty() {
            return Ok(());
        }
        let report =
            self.session.reporter.step(self.stage, "prune", "deleting objects removed from the manifests");
        self.deleted = true;
        self.cluster.end_at(Some(self.watcher.end(self.deadline)));
        self.mark_claims().await;
        for phase in self.plan.prune.chunk_by(|one, other| phase_of(one) == phase_of(other)) {
            let (session, cluster) = (self.session, self.cluster);
            let deletions = stream::iter(phase.to_vec()).map(|object| async move {
                match deletion::delete_only(session, cluster, &object).await {
                    Err(error) if error.kind() == Kind::TimedOut => {
                        session.reporter.warn_with_hint(error.message(), error.hint().unwrap_or_default());
                        Ok(Some(ObjectId::of(&object)))
                    }
                    deleted => deleted.map(|_| None),
                }
            });
            let lingering: Vec<Option<ObjectId>> =
                deletions.buffer_unordered(CONCURRENCY).try_collect().await?;
            self.lingers.extend(lingering.into_iter().flatten());
        }
        report.finish(Outcome::Ok, names(&self.plan.prune));
        Ok(())
    }

    /// Labels the claims of pruned `StatefulSet`s: the claims are kept, and `remove --with-data` must find them when
    /// the records no longer have the sets.
    async fn mark_claims(&self) {
        for set in self.plan.prune.iter().filter(|object| object["kind"] == "StatefulSet") {
            let label = |key: &str| set["metadata"]["labels"][key].as_str().unwrap_or_default();
            let (project, tier) = (label(labels::PROJECT), label(labels::TIER));
            let marked = async {
                let claims = claims::of_sets(self.cluster, std::iter::once(set)).await?;
                claims::mark(self.cluster, project, tier, claims.iter()).await
            };
            if let Err(error) = marked.await {
                let name = set["metadata"]["name"].as_str().unwrap_or_default();
                let sentence = format!(
                    "the claims of StatefulSet/{name} are kept, but could not be labelled as the \
                     tier's: {error}"
                );
                self.session.reporter.warn(sentence);
            }
        }
    }

    /// Whether certainly nothing was changed before this error: the cluster accepted none of the objects that were
    /// sent. If a response is missing, that is unknown.
    pub(crate) fn changed_nothing(&self, error: &Error) -> bool {
        let is_refusal = matches!(error.kind(), Kind::Refused | Kind::Denied);
        let may_have_failed = matches!(error.kind(), Kind::Unreachable | Kind::Rule | Kind::Invalid);
        let was_sent = !self.begun.is_empty();
        self.done.is_empty() && !self.deleted && (is_refusal || may_have_failed && !was_sent)
    }

    /// The workloads that should have changed and were not sent.
    pub(crate) fn untouched(&self) -> Vec<ObjectId> {
        let is_workload =
            |id: &ObjectId| matches!(id.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
        let differs = |step: &&PlanStep| matches!(step.action, Action::Change | Action::Recreate);
        let ids = self.plan.steps.iter().filter(differs).map(|step| step.wanted.id());
        ids.filter(|id| is_workload(id) && !self.begun.contains(id)).collect()
    }

    fn stamped(&self, mut step: PlanStep) -> PlanStep {
        let object = Arc::make_mut(&mut step.wanted.object);
        if step.action == Action::Run {
            let content = content::content(object);
            object["metadata"]["annotations"][labels::CONTENT] = Value::from(content);
        }
        content::stamp(object, self.revision, self.commit.as_deref());
        step
    }

    /// The applied objects as the record stores them.
    pub(crate) fn applied(&self) -> Vec<Applied> {
        let scaled = self.scaled();
        let fields = |step: &PlanStep| {
            let id = step.wanted.id();
            match (self.done.get(&id), step.action, &step.live) {
                (Some(state), _, _) => state.fields.clone(),
                (None, Action::Keep, Some(live)) => plan::owned_fields(live, plan::is_scaled(&scaled, &id)),
                (None, _, _) => None,
            }
        };
        let applied = |step: &PlanStep| Applied { object: step.wanted.object.clone(), fields: fields(step) };
        self.plan.steps.iter().map(applied).collect()
    }

    /// The objects that an autoscaler of the release scales.
    pub(crate) fn scaled(&self) -> BTreeSet<(String, String, String)> {
        plan::scaled_targets(self.plan.steps.iter().map(|step| &step.wanted))
    }

    /// How the last run of each Job's content ended.
    pub(crate) fn jobs(&self) -> Vec<JobRun> {
        self.plan
            .steps
            .iter()
            .filter(|step| job::is_job(&step.wanted.object))
            .map(|step| JobRun {
                job: step.wanted.id(),
                content: content::content(&step.wanted.object),
                completed: step.action == Action::Keep || self.watcher.is_ready(&step.wanted.id()),
            })
            .collect()
    }
}

/// `Deployment/web, Service/web`
fn names(objects: &[Value]) -> String {
    objects.iter().map(|object| ObjectId::of(object).to_string()).collect::<Vec<_>>().join(", ")
}

/// Applies these objects in parallel; returns what the cluster returned, and what it refused. After a signal no more
/// objects are sent, but requests in progress are completed, so that it is known what was written.
async fn apply_all(
    session: &Session,
    cluster: &Cluster,
    steps: Vec<PlanStep>,
) -> (Vec<Value>, Vec<(Wanted, ApplyError)>) {
    let cluster = &cluster.for_cleanup();
    let results: Vec<_> = stream::iter(steps)
        .take_until(session.cancel.cancelled())
        .map(|step| apply_one(session, cluster, step))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let mut applied = Vec::new();
    let mut refused = Vec::new();
    for result in results {
        match result {
            Ok(object) => applied.push(object),
            Err(refusal) => refused.push(refusal),
        }
    }
    (applied, refused)
}

/// Applies an object, and warns if the result differs from the plan.
async fn apply_one(
    session: &Session,
    cluster: &Cluster,
    mut step: PlanStep,
) -> std::result::Result<Value, (Wanted, ApplyError)> {
    if step.removes_drift
        && let Err(error) = drift::take_over(cluster, &step).await
    {
        return Err((step.wanted, error));
    }
    // A recreated object has no owner yet.
    let ours =
        step.action != Action::Recreate && step.live.as_ref().is_some_and(|live| dry_run::is_ours(live));
    // Take over only what the plan takes over.
    let takes_back = dry_run::TakeOver::of(ours, !step.taken.is_empty());
    let sending = dry_run::ApplyMode { takes_back, ..dry_run::ApplyMode::default() };
    match dry_run::apply(cluster, &mut step.wanted, sending).await {
        Ok(sent) => {
            if let Some(sentence) = dry_run::unexpected_changes(&step, &sent) {
                session.reporter.warn(sentence);
            }
            Ok(sent.object)
        }
        Err(error) => Err((step.wanted, error)),
    }
}

/// The objects as the watcher needs them before anything is applied.
pub(crate) fn watched(plan: &Plan) -> Vec<Watched> {
    plan.steps
        .iter()
        .map(|step| Watched {
            object: step.wanted.object.clone(),
            place: step
                .wanted
                .origin
                .clone()
                .map(|origin| Written::new(move |pointer| origin.place_of(pointer))),
            live: match step.action {
                Action::Keep => step.live.clone(),
                _ => None,
            },
        })
        .collect()
}
