//! The last check of a rollout, once everything is ready: whether any pod matches each Service's selector, and whether
//! the Services that an Ingress routes to exist. Others may still create what is missing, so it is waited for.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{self, Cluster};
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectId, ObjectRef, Outcome, Unserved, object};
use crate::rollout::endpoints;
use crate::rollout::health::Health;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::watch::tracked::TrackedObject;
use crate::rollout::watch::watcher::Watcher;
use crate::session::interrupted;

/// How long to pause between two checks.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a request may take once the wait for missing objects is over.
const LATE: Duration = Duration::from_secs(5);

/// What only the release knows.
pub struct EndpointCheck<'a> {
    /// The objects that the release prunes afterwards: they count as absent.
    pub pruned: &'a [Value],
    /// What the last good release lacked as well.
    pub before: Before,
    /// Until when missing objects are waited for.
    pub until: Instant,
}

/// What was already missing, and is only worth a warning.
pub enum Before {
    /// No good release is known.
    Nothing,
    /// Anything that is missing now: a rollback restores what was good.
    Anything,
    /// What the record of the last good release says.
    Recorded(BTreeSet<Unserved>),
    /// The manifests of a good release whose record does not list what was missing.
    Set(Vec<Value>),
}

/// Objects of the cluster that do not belong to the release.
#[derive(Default)]
struct Beside {
    objects: Vec<Value>,
    /// Kinds that windlass has no permission to list or read.
    denied: BTreeSet<&'static str>,
}

/// A Service or an Ingress, its health, and what it lacks.
type Judged = (ObjectId, Health, Vec<Unserved>);

impl Watcher {
    /// Whether the release's own objects include all that its Services and Ingresses route to: then the cluster need
    /// not be asked.
    pub fn is_served(&self) -> bool {
        let snapshot = self.with(&Beside::default());
        self.leading()
            .all(|(_, object)| endpoints::of_set(std::slice::from_ref(object), &snapshot).is_empty())
    }

    /// Judges the Services and Ingresses again, now with the objects outside the release. Returns what is missing and
    /// worth only a warning.
    ///
    /// # Errors
    /// [`Kind::Rollout`] with the cause `no-endpoints`; [`Kind::Interrupted`]; [`Kind::Unreachable`].
    pub async fn endpoints(&mut self, question: &EndpointCheck<'_>) -> Result<Vec<Unserved>> {
        let mut step = None;
        loop {
            let beside = self.beside(question).await?;
            let judged = self.weigh(&beside, &question.before);
            let lacking = judged.iter().filter(|(_, judgement, _)| judgement.message.is_some());
            let sentences: Vec<String> = lacking
                .map(|(id, judgement, _)| {
                    format!("{id} {}", judgement.message.as_deref().unwrap_or_default())
                })
                .collect();
            let is_over = question.until <= Instant::now();
            if sentences.is_empty() || is_over {
                if let Some(step) = step {
                    finish(step, &sentences);
                }
                return self.conclude(judged).await;
            }
            step.get_or_insert_with(|| {
                self.session.reporter.step(
                    self.stage,
                    "endpoints",
                    format!("waiting: {}", sentences.join("; ")),
                )
            });
            let cancel = self.session.cancel.clone();
            tokio::select! {
                () = cancel.cancelled() => return Err(interrupted()),
                () = tokio::time::sleep_until(question.until.min(Instant::now() + PAUSE)) => {}
            }
        }
    }

    /// Reports the outcome.
    async fn conclude(&mut self, judged: Vec<Judged>) -> Result<Vec<Unserved>> {
        let mut lacks = Vec::new();
        for (id, judgement, lack) in judged {
            lacks.extend(lack);
            if let Some(tracked) = self.set.get_mut(&id) {
                tracked.judgement = Some(judgement);
            }
        }
        let ids: Vec<ObjectId> = self.set.keys().cloned().collect();
        self.tell(&ids);
        self.warn(&ids);
        self.failed(&ids).await.map_or(Ok(lacks), Err)
    }

    /// The release's Services and Ingresses that are otherwise ready, as last seen.
    fn leading(&self) -> impl Iterator<Item = (&ObjectId, &Value)> {
        let ready = self.set.iter().filter(|(_, tracked)| tracked.is_done());
        ready.map(|(id, tracked)| (id, tracked.newest())).filter(|(_, object)| endpoints::concerns(object))
    }

    fn weigh(&self, beside: &Beside, before: &Before) -> Vec<Judged> {
        let snapshot = self.with(beside);
        let recorded = match before {
            Before::Recorded(lacks) => lacks.clone(),
            // What those manifests contained counts, not what happened to them since.
            Before::Set(set) => {
                let objects = beside.objects.iter().chain(set).cloned();
                endpoints::of_set(set, &world_of(objects, &beside.denied))
            }
            Before::Nothing | Before::Anything => BTreeSet::new(),
        };
        let had = |lack: &Unserved| matches!(before, Before::Anything) || recorded.contains(lack);
        let judged = self.leading().filter_map(|(id, object)| {
            let own = self.set[id].judgement.clone()?;
            let (judgement, lacks) = endpoints::weighed(object, &snapshot, &had, own);
            (!lacks.is_empty()).then(|| (id.clone(), judgement, lacks))
        });
        judged.collect()
    }

    /// The objects as in the manifests, together with those outside the release.
    fn with(&self, beside: &Beside) -> ClusterSnapshot {
        let set = self.set.values().map(as_wanted);
        world_of(set.chain(beside.objects.iter().cloned()), &beside.denied)
    }

    /// Reads the objects that the release itself does not have.
    async fn beside(&self, question: &EndpointCheck<'_>) -> Result<Beside> {
        let snapshot = self.with(&Beside::default());
        let asked = async {
            let mut beside = Beside::default();
            let mut asked = Asked::new(&self.cluster, question);
            for (_, object) in self.leading() {
                if !endpoints::of_set(std::slice::from_ref(object), &snapshot).is_empty() {
                    asked.about(object, &mut beside).await?;
                }
            }
            Ok(beside)
        };
        let limit = question.until.max(Instant::now()) + LATE;
        let late = || {
            let sentence = "the API server did not say which pods and Services there are";
            Err(Error::new(Kind::Unreachable, sentence))
        };
        tokio::time::timeout_at(limit, asked).await.unwrap_or_else(|_| late())
    }
}

fn finish(step: crate::report::StepReport, sentences: &[String]) {
    if sentences.is_empty() {
        step.finish(Outcome::Ok, "Services and Ingresses have endpoints");
    } else {
        step.finish(Outcome::Failed, sentences.join("; "));
    }
}

/// Manifests of kinds that the cluster did not know yet may name no namespace.
fn as_wanted(tracked: &TrackedObject) -> Value {
    let mut wanted = Value::clone(&tracked.manifest);
    let namespace = &tracked.id().namespace;
    if object::namespace(&wanted).is_empty() && !namespace.is_empty() {
        wanted["metadata"]["namespace"] = Value::from(namespace.as_str());
    }
    wanted
}

/// A snapshot that holds all pods and Services there are, as far as they may be listed.
fn world_of(objects: impl Iterator<Item = Value>, denied: &BTreeSet<&'static str>) -> ClusterSnapshot {
    let mut snapshot = ClusterSnapshot::new(objects);
    for kind in ["Pod", "Service"] {
        if denied.contains(kind) {
            snapshot.mark_denied(kind);
        } else {
            snapshot.mark_complete(kind);
        }
    }
    snapshot
}

/// Requests pods and Services for one evaluation.
struct Asked<'a> {
    cluster: &'a Cluster,
    question: &'a EndpointCheck<'a>,
    /// Whether an owner is deleted together with the pruned objects, by uid.
    owners: HashMap<String, bool>,
    /// The uids and owners of the `ReplicaSets` that were read, by namespace.
    sets: HashMap<String, Vec<Value>>,
}

impl<'a> Asked<'a> {
    fn new(cluster: &'a Cluster, question: &'a EndpointCheck<'a>) -> Self {
        Self { cluster, question, owners: HashMap::new(), sets: HashMap::new() }
    }

    async fn about(&mut self, leading: &Value, beside: &mut Beside) -> Result<()> {
        let namespace = object::namespace(leading);
        if let Some(selector) = endpoints::selector(leading) {
            let selector = endpoints::written(selector);
            let listed = self.cluster.list_metadata("v1", "Pod", Some(namespace), Some(&selector)).await;
            for pod in allowed(listed, "Pod", beside)?.unwrap_or_default() {
                if !object::is_being_deleted(&pod) && !self.goes(&pod).await {
                    beside.objects.push(pod);
                    break;
                }
            }
        }
        let names: BTreeSet<&str> = endpoints::backends(leading)
            .into_iter()
            .map(|(_, backend)| object::text(backend, "/service/name"))
            .collect();
        for name in names {
            let service = ObjectRef::new("v1", "Service", name).in_namespace(namespace);
            let found = allowed(self.cluster.get(&service).await, "Service", beside)?.flatten();
            beside.objects.extend(found.filter(|one| !object::is_being_deleted(one) && !self.is_pruned(one)));
        }
        Ok(())
    }

    fn is_pruned(&self, object: &Value) -> bool {
        self.question.pruned.iter().any(|one| ObjectId::of(one) == ObjectId::of(object))
    }

    /// Whether a pod is deleted together with the pruned objects: because one of its direct or indirect owners is
    /// pruned.
    async fn goes(&mut self, pod: &Value) -> bool {
        /// The length of the owner chain; a Deployment is two steps from its pods.
        const FARTHEST: usize = 4;
        if self.question.pruned.is_empty() {
            return false;
        }
        let (mut child, mut passed) = (pod.clone(), Vec::new());
        let mut goes = self.is_pruned(&child);
        for _ in 0..FARTHEST {
            let owners = object::list(&child, "/metadata/ownerReferences").iter();
            let Some(owner) = owners.clone().find(|one| object::is_true(one, "/controller")) else { break };
            let uid = object::text(owner, "/uid").to_owned();
            let pruned = self.question.pruned.iter().any(|one| object::uid(one) == uid);
            if let Some(known) = self.owners.get(&uid).copied().or(pruned.then_some(true)) {
                goes = known;
                break;
            }
            let owner = owner.clone();
            passed.push(uid);
            let Some(found) = self.owner(&owner, object::namespace(pod)).await else { break };
            child = found;
        }
        self.owners.extend(passed.into_iter().map(|uid| (uid, goes)));
        goes
    }

    /// The object that an owner reference names; one that may not be read counts as not pruned.
    async fn owner(&mut self, reference: &Value, namespace: &str) -> Option<Value> {
        let text = |field: &str| object::text(reference, field);
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        if kind != "ReplicaSet" {
            let owner = ObjectRef::new(api_version, kind, text("/name")).in_namespace(namespace);
            return self.cluster.get(&owner).await.ok()?;
        }
        // The permissions to watch a rollout include listing `ReplicaSets`, but not reading a single one.
        let sets = if let Some(sets) = self.sets.remove(namespace) {
            sets
        } else {
            self.cluster.list_owners(api_version, kind, Some(namespace)).await.unwrap_or_default()
        };
        let owner = sets.iter().find(|set| object::uid(set) == text("/uid")).cloned();
        self.sets.insert(namespace.to_owned(), sets);
        owner
    }
}

/// The response; `None` and an entry in `denied` if the permission is missing.
fn allowed<T>(answer: Result<T>, kind: &'static str, beside: &mut Beside) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if cluster::is_denied(&error) => {
            beside.denied.insert(kind);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
