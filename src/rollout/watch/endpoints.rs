//! The last question of a rollout, when everything is ready: whether any pod has the labels that a Service selects, and
//! whether the Services exist that an Ingress leads to. What is missing may still be made by others, and is waited for.

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

/// How often the cluster is asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an answer may take once nothing is waited for any more.
const LATE: Duration = Duration::from_secs(5);

/// What only the release knows.
pub struct LastQuestion<'a> {
    /// What the release deletes afterwards: it does not count as being there.
    pub pruned: &'a [Value],
    /// What the last good release lacked as well.
    pub before: Before,
    /// How long what is missing is waited for.
    pub until: Instant,
}

/// What was missing before, and is only worth a warning.
pub enum Before {
    /// Nothing is known of a good release.
    Nothing,
    /// Whatever is missing now: a rollback brings back what was good.
    Anything,
    /// What the record of the last good release says.
    Recorded(BTreeSet<Unserved>),
    /// The set of a good release whose record does not say it.
    Set(Vec<Value>),
}

/// What of the cluster is beside the set.
#[derive(Default)]
struct Beside {
    objects: Vec<Value>,
    /// Kinds that may not be listed or read.
    denied: BTreeSet<&'static str>,
}

/// What is said of a Service or an Ingress, and what it lacks.
type Judged = (ObjectId, Health, Vec<Unserved>);

impl Watcher {
    /// Whether the set itself has all that its Services and Ingresses lead to: then nobody need be asked.
    pub fn is_served(&self) -> bool {
        let snapshot = self.with(&Beside::default());
        self.leading()
            .all(|(_, object)| endpoints::of_set(std::slice::from_ref(object), &snapshot).is_empty())
    }

    /// Judges the Services and Ingresses once more, knowing what is beside the set. Returns what is missing and worth
    /// a warning only.
    ///
    /// # Errors
    /// [`Kind::Rollout`] with the cause `no-endpoints`; [`Kind::Interrupted`]; [`Kind::Unreachable`].
    pub async fn endpoints(&mut self, question: &LastQuestion<'_>) -> Result<Vec<Unserved>> {
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

    /// Tells how it ended.
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

    /// The Services and Ingresses of the set that are otherwise ready, as they were seen last.
    fn leading(&self) -> impl Iterator<Item = (&ObjectId, &Value)> {
        let ready = self.set.iter().filter(|(_, tracked)| tracked.is_done());
        ready.map(|(id, tracked)| (id, tracked.newest())).filter(|(_, object)| endpoints::concerns(object))
    }

    fn weigh(&self, beside: &Beside, before: &Before) -> Vec<Judged> {
        let snapshot = self.with(beside);
        let recorded = match before {
            Before::Recorded(lacks) => lacks.clone(),
            // What that set had counts, not what became of it.
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

    /// The set as the manifests have it, and what is beside it.
    fn with(&self, beside: &Beside) -> ClusterSnapshot {
        let set = self.set.values().map(as_wanted);
        world_of(set.chain(beside.objects.iter().cloned()), &beside.denied)
    }

    /// Asks for what the set itself does not have.
    async fn beside(&self, question: &LastQuestion<'_>) -> Result<Beside> {
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

/// The world in which there are no pods and no Services but these, as far as they may be listed.
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

/// Asks for the pods and Services of one look.
struct Asked<'a> {
    cluster: &'a Cluster,
    question: &'a LastQuestion<'a>,
    /// Which owners go with what is pruned, by uid.
    owners: HashMap<String, bool>,
    /// The `ReplicaSets` of each namespace that was asked for them.
    sets: HashMap<String, Vec<Value>>,
}

impl<'a> Asked<'a> {
    fn new(cluster: &'a Cluster, question: &'a LastQuestion<'a>) -> Self {
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

    /// Whether a pod goes with what is pruned: an owner of its owners is.
    async fn goes(&mut self, pod: &Value) -> bool {
        /// A Deployment is two away from its pods.
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

    /// The object that an owner reference names; what may not be read is somebody else's.
    async fn owner(&mut self, reference: &Value, namespace: &str) -> Option<Value> {
        let text = |field: &str| object::text(reference, field);
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        if kind != "ReplicaSet" {
            let owner = ObjectRef::new(api_version, kind, text("/name")).in_namespace(namespace);
            return self.cluster.get(&owner).await.ok()?;
        }
        // Whoever may watch a rollout may list them, and need not have the right to read one.
        let sets = if let Some(sets) = self.sets.remove(namespace) {
            sets
        } else {
            let listed = self.cluster.list_metadata(api_version, kind, Some(namespace), None).await;
            listed.unwrap_or_default()
        };
        let owner = sets.iter().find(|set| object::uid(set) == text("/uid")).cloned();
        self.sets.insert(namespace.to_owned(), sets);
        owner
    }
}

/// An answer; `None` where the right is missing, which is noted.
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
