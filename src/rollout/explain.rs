//! `explain`: verdicts and causes of the objects of a dump, offline, by the same code that watches a release.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::dump::{self, Dumped};
use super::endpoints;
use crate::error::Result;
use crate::model::{Evidence, ObjectId, ObjectRef, Unserved, Verdict, group, object};
use crate::project::HealthRules;
use crate::report::Reporter;
use crate::report::view::explain::ObjectHealth;
use crate::rollout::context::Context;
use crate::rollout::evaluate::judge;
use crate::rollout::health::Health;
use crate::rollout::memory::Memory;
use crate::rollout::snapshot::decode::Cached;
use crate::rollout::snapshot::identity::Identified as _;
use crate::rollout::snapshot::pod::Interner;
use crate::rollout::snapshot::template::ContainerRole;
use crate::rollout::snapshot::{ClusterSnapshot, Mark};
use crate::secret;

/// The result for an object that no other object of the dump owns.
#[derive(Debug, Clone)]
pub struct Explained {
    object: ObjectRef,
    /// Whether the namespace is shown, because the dump has objects of several.
    is_abroad: bool,
    judgement: Health,
    /// The first known death of one of its containers after the last good release.
    died_since: Option<Timestamp>,
}

/// Explains a dump: YAML documents or JSON values, single objects or lists. `name` is used in messages. From then on,
/// the values of its Secrets are masked.
///
/// # Errors
/// [`crate::error::Kind::Invalid`] with its place for anything that is not a Kubernetes object.
pub fn explain(
    text: &str,
    name: &str,
    now: Timestamp,
    health: &Arc<HealthRules>,
    reporter: &Reporter,
) -> Result<Vec<Explained>> {
    let dumped = dump::read(text, name)?;
    let secrets = dumped.iter().map(|one| &one.object).filter(|object| object["kind"] == "Secret");
    secret::hide_objects(secrets, reporter);
    Ok(explain_dumped(dumped, now, health, &Known::default()))
}

/// What is known besides the objects to explain.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The kinds whose objects are all included.
    pub complete: BTreeSet<String>,
    /// The kinds that may not be listed.
    pub denied: BTreeSet<String>,
    /// What the last good release lacked as well.
    pub had: BTreeSet<Unserved>,
    /// What to explain; `None` for everything that has no owner here.
    pub wanted: Option<BTreeSet<ObjectId>>,
    /// When the release that created them ended, if it was good.
    pub good_at: Option<Timestamp>,
}

/// Explains objects that are already decoded.
pub(crate) fn explain_known(
    objects: Vec<Cached>,
    now: Timestamp,
    health: &Arc<HealthRules>,
    known: &Known,
) -> Vec<Explained> {
    let dumped = objects.into_iter().map(|object| (object, Vec::new()));
    explain_cached(dumped, now, health, known)
}

/// Which Services and Ingresses of another set of manifests would lack endpoints, with these objects in the cluster.
/// Pod templates and custom resources are taken from the manifests.
pub(crate) fn unserved(set: &[Value], beside: &[Cached], known: &Known) -> BTreeSet<Unserved> {
    let mut snapshot = known.snapshot();
    let is_kept = |one: &&Cached| {
        one.subject().is_some_and(|subject| subject.pod().is_some() || subject.kind() == "Service")
    };
    for one in beside.iter().filter(is_kept) {
        snapshot.insert(one.clone(), Mark::default());
    }
    for one in set {
        snapshot.upsert(one.clone());
    }
    endpoints::of_set(set, &snapshot)
}

pub(super) fn explain_dumped(
    dumped: Vec<Dumped>,
    now: Timestamp,
    health: &Arc<HealthRules>,
    known: &Known,
) -> Vec<Explained> {
    let mut interner = Interner::default();
    let cached =
        dumped.into_iter().map(|Dumped { object, repeated }| (Cached::of(object, &mut interner), repeated));
    explain_cached(cached, now, health, known)
}

fn explain_cached(
    objects: impl IntoIterator<Item = (Cached, Vec<String>)>,
    now: Timestamp,
    health: &Arc<HealthRules>,
    known: &Known,
) -> Vec<Explained> {
    let mut snapshot = known.snapshot();
    let mut order = Vec::new();
    let mut warnings: Vec<(usize, String)> = Vec::new();
    for (object, repeated) in objects {
        let said = repeated.into_iter().map(|path| format!("duplicate key {path}: the last one counts"));
        warnings.extend(said.map(|warning| (order.len(), warning)));
        order.extend(snapshot.insert(object, Mark::default()));
    }
    let context = Context { now, release: None, health: health.clone() };
    let mut seen = BTreeSet::new();
    let mut explained = Vec::new();
    for (index, key) in order.iter().enumerate().rev() {
        let is_wanted = |object: &&Value| {
            known.wanted.as_ref().is_none_or(|wanted| wanted.contains(&ObjectId::of(object)))
        };
        let object = snapshot.at(key).filter(is_wanted);
        let Some(object) = object.filter(|object| seen.insert(key) && is_root(&snapshot, object)) else {
            continue;
        };
        let judgement = judge(object, &snapshot, &context, &mut Memory::default());
        let had = |lack: &Unserved| known.had.contains(lack);
        let (mut judgement, _) = endpoints::weighed(object, &snapshot, &had, judgement);
        let mine = warnings.extract_if(.., |(of, _)| *of == index).map(|(_, warning)| warning);
        judgement.warnings.extend(mine);
        let died_since = known.good_at.and_then(|good| died_since(&snapshot, object, good));
        explained.push(Explained { died_since, ..Explained::new(object, judgement) });
    }
    explained.reverse();
    if let Some(first) = explained.first_mut() {
        first.judgement.warnings.extend(warnings.into_iter().map(|(_, warning)| warning));
    }
    mark_abroad(&mut explained);
    explained
}

/// The first of these objects whose pods had a container die after that time although it should keep running, and when.
pub(crate) fn first_death<'a>(
    objects: impl Iterator<Item = &'a Value>,
    beside: impl IntoIterator<Item = Cached>,
    good: Timestamp,
) -> Option<(String, Timestamp)> {
    let mut snapshot = ClusterSnapshot::default();
    for one in beside {
        snapshot.insert(one, Mark::default());
    }
    let died =
        objects.filter_map(|object| Some((object::title(object), died_since(&snapshot, object, good)?)));
    died.min_by_key(|(_, at)| *at)
}

/// The first known death, after that time, of a container that should keep running.
fn died_since(snapshot: &ClusterSnapshot, object: &Value, good: Timestamp) -> Option<Timestamp> {
    let pods = snapshot.pods_below(object).filter(|pod| !pod.is_being_deleted);
    let containers = pods.flat_map(|pod| pod.template.containers.iter().zip(&pod.containers));
    let kept = containers.filter(|(one, _)| one.is_kept_alive && one.role != ContainerRole::Init);
    let deaths = kept.flat_map(|(_, status)| [&status.last, &status.terminated]).flatten();
    deaths.filter_map(|death| death.finished).filter(|finished| *finished > good).min()
}

impl Known {
    fn snapshot(&self) -> ClusterSnapshot {
        let mut snapshot = ClusterSnapshot::default();
        self.complete.iter().for_each(|kind| snapshot.mark_complete(kind));
        self.denied.iter().for_each(|kind| snapshot.mark_denied(kind));
        snapshot
    }
}

/// Whether it has no owner here, or only itself through a cycle.
fn is_root(snapshot: &ClusterSnapshot, object: &Value) -> bool {
    let mut seen = vec![ObjectId::of(object)];
    let mut next = snapshot.owners(object).into_iter().next();
    while let Some(owner) = next {
        let id = owner.id();
        if let Some(index) = seen.iter().position(|one| *one == id) {
            return index == 0;
        }
        seen.push(id);
        next = snapshot.owners(owner).into_iter().next();
    }
    seen.len() == 1
}

fn mark_abroad(explained: &mut [Explained]) {
    let namespaces: BTreeSet<&str> = explained.iter().filter_map(Explained::namespace).collect();
    let many = namespaces.len() > 1;
    for one in explained {
        one.is_abroad = many && one.namespace().is_some();
    }
}

impl Explained {
    fn new(object: &Value, judgement: Health) -> Self {
        Self { object: ObjectRef::of(object), is_abroad: false, judgement, died_since: None }
    }

    /// Its namespace, if it has one.
    fn namespace(&self) -> Option<&str> {
        self.object.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    }

    /// The object's identity.
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId {
            group: group(&self.object.api_version).to_owned(),
            kind: self.object.kind.clone(),
            namespace: self.object.namespace.clone().unwrap_or_default(),
            name: self.object.name.clone(),
        }
    }

    /// Whether this object is meant.
    pub fn is_about(&self, object: &Value) -> bool {
        self.id() == ObjectId::of(object)
    }

    /// `Deployment/web`.
    pub fn title(&self) -> String {
        self.object.id()
    }

    /// The first known death of one of its containers after the last good release.
    pub fn died_since(&self) -> Option<Timestamp> {
        self.died_since
    }

    /// Its verdict.
    pub fn verdict(&self) -> Verdict {
        self.judgement.verdict
    }

    /// The object and its health as they are shown.
    pub(crate) fn view(&self) -> ObjectHealth {
        ObjectHealth {
            object: self.object.clone(),
            is_abroad: self.is_abroad,
            verdict: self.judgement.verdict,
            cause: self.judgement.cause,
            message: self.message(),
            ready: self.judgement.ready.clone(),
            rule: self.judgement.rule.clone(),
            evidence: self.evidence(),
        }
    }

    /// The message, or else the first warning.
    fn message(&self) -> Option<String> {
        self.judgement.message.clone().or_else(|| self.judgement.warnings.first().cloned())
    }

    fn evidence(&self) -> Vec<Evidence> {
        let said = self.message();
        let lines: Vec<String> = self
            .judgement
            .warnings
            .iter()
            .filter(|warning| said.as_ref() != Some(*warning))
            .cloned()
            .collect();
        let warnings = (!lines.is_empty()).then(|| Evidence { title: "warnings".to_owned(), lines });
        self.judgement.evidence.iter().cloned().chain(warnings).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Cause;
    use crate::report::view::explain::tests::{failed, ready, saying};

    fn deployment(name: &str, judgement: Health) -> ObjectHealth {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "shop"}});
        Explained::new(&object, judgement).view()
    }

    #[test]
    fn what_dies_after_a_good_release_is_known() {
        let metadata = |name: &str| json!({"name": name, "namespace": "shop", "uid": name});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata("db")});
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata("db-0"),
            "spec": {"containers": [{"name": "db"}]}, "status": {"containerStatuses": [{"name": "db", "restartCount": 1,
                "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-10-03T14:00:04Z"}}}]}});
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "db"}]);
        let died = |good_at: &str| {
            let known = Known { good_at: Some(good_at.parse().expect("a time")), ..Known::default() };
            let mut interner = Interner::default();
            let objects = [set.clone(), pod.clone()].map(|object| Cached::of(object, &mut interner)).into();
            let now = "2026-10-03T14:01:00Z".parse().expect("a time");
            explain_known(objects, now, &Arc::default(), &known)[0].died_since()
        };
        assert_eq!(died("2026-10-03T14:00:00Z"), "2026-10-03T14:00:04Z".parse().ok());
        assert_eq!(died("2026-10-03T14:00:04Z"), None, "it was known when the release was called good");

        // A recorded object has no uid.
        let mut recorded = set.clone();
        recorded["metadata"].as_object_mut().expect("it has some").shift_remove("uid");
        let first = |good_at: &str| {
            let beside = [Cached::of(pod.clone(), &mut Interner::default())];
            first_death([&recorded].into_iter(), beside, good_at.parse().expect("a time"))
        };
        let (title, at) = first("2026-10-03T14:00:00Z").expect("it died");
        assert_eq!((title.as_str(), at), ("StatefulSet/db", "2026-10-03T14:00:04Z".parse().expect("a time")));
        assert_eq!(first("2026-10-03T14:00:04Z"), None);
    }

    #[test]
    fn warnings_are_evidence_or_the_sentence() {
        let api = Health { ready: Some("2/2".to_owned()), ..Health::ready() };
        assert_eq!(deployment("api", api), ready());

        let lines = vec!["started".to_owned(), "panic: no database".to_owned()];
        let web = Health {
            evidence: vec![Evidence { title: "container web, last 2 lines".to_owned(), lines }],
            warnings: vec!["it restarts".to_owned(), "it says nothing else".to_owned()],
            ready: Some("1/3".to_owned()),
            ..Health::failed(Cause::CrashLoop, "container web exits with code 1")
        };
        assert_eq!(deployment("web", web), failed());

        let paused = deployment("paused", Health::paused("it is paused"));
        assert_eq!(paused, saying("paused", Verdict::Paused, "it is paused"));
        let odd =
            Health { warnings: vec!["duplicate key a: the last one counts".to_owned()], ..Health::ready() };
        assert_eq!(
            deployment("odd", odd),
            saying("odd", Verdict::Ready, "duplicate key a: the last one counts")
        );
    }
}
