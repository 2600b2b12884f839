//! Checks, before anything is changed, whether images can be pulled: those of a recorded release, which a rollback
//! needs, and, with a warning, the new ones of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;
use crate::model::object::{kind, text};
use crate::model::{ObjectId, ObjectRef, PULL_SECRET, Reference, object};
use crate::registry::{Refused, Registry};
use crate::release::context::TierContext;
use crate::release::plan::{Action, Plan};
use crate::schema::Finding;

/// The time limit for all lookups: a rollback is urgent, and the nodes may have the images.
const LIMIT: Duration = Duration::from_secs(10);
/// The time limit where a lookup is only a side task.
pub(crate) const IN_PASSING: Duration = Duration::from_secs(3);

/// What a registry says about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is there.
    Present,
    /// The registry answers, and does not have it.
    Missing,
    /// The registry could not be asked, and why.
    Unknown(String),
}

/// Checks the images of a plan's objects.
///
/// # Errors
/// [`Kind::Rule`] when an image that a rollback needs no longer exists.
pub(crate) async fn check(context: TierContext<'_>, plan: &Plan) -> Result<()> {
    let changed = |action: Action| action != Action::Keep;
    let users = users(plan.steps.iter().map(|step| (&*step.wanted.object, changed(step.action))));
    let report = context.session.reporter.step(
        crate::model::Stage::Rollback,
        "check images",
        format!("looking for {} images in their registries", users.len()),
    );
    let found = look_up(context, users.keys().cloned(), LIMIT).await;
    let missing: Vec<_> = found.iter().filter(|(_, presence)| *presence == Presence::Missing).collect();
    warn_unknown(context, &found);
    let words = format!("{} of {} there", count_present(&found), found.len());
    report.finish(crate::model::Outcome::Ok, words);
    for (image, _) in &missing {
        let User { object, needed } = &users[image.as_str()];
        let sentence = format!("the image {image} of {object} is no longer in its registry");
        if *needed && !context.rules.overrides("images") {
            return Err(Error::new(Kind::Rule, sentence).with_hint(
                "choose another revision with --to, push the image again, or, where the nodes still have it, \
                 --override images --reason \"…\"",
            ));
        }
        context.session.reporter.warn(sentence);
    }
    Ok(())
}

/// Looks up these images in their registries.
pub(crate) async fn look_up(
    context: TierContext<'_>,
    images: impl IntoIterator<Item = String>,
    limit: Duration,
) -> Vec<(String, Presence)> {
    let images: Vec<String> = images.into_iter().collect();
    let registry = &Registry::of(context.project);
    let end = Instant::now() + limit;
    let asked = stream::iter(images).map(|image| async move {
        let answer = tokio::time::timeout_at(end, ask(registry, &image)).await;
        let late = || Presence::Unknown(format!("no answer within {} s", limit.as_secs()));
        (image, answer.unwrap_or_else(|_| late()))
    });
    asked.buffered(CONCURRENCY).collect().await
}

async fn ask(registry: &Registry, image: &str) -> Presence {
    let reference = match image.parse::<Reference>() {
        Ok(reference) => reference,
        Err(error) => return Presence::Unknown(error.message),
    };
    match registry.digest(&reference).await {
        Ok(Some(_)) => Presence::Present,
        Ok(None) => Presence::Missing,
        Err(error) => Presence::Unknown(error.message().to_owned()),
    }
}

/// The images that the pods of a release cannot pull. Images that the tier already runs are not looked up.
pub(super) async fn unpullable(context: TierContext<'_>, plan: &Plan, end: Instant) -> Vec<Error> {
    let live = || plan.steps.iter().filter_map(|step| step.live.as_deref());
    let running: BTreeSet<String> = live().flat_map(images_of).collect();
    let changed = plan.steps.iter().enumerate().filter(|(_, step)| step.is_changed());
    let asked: Vec<Use> = changed
        .flat_map(|(at, step)| uses(at, &step.wanted.object))
        .filter(|one| !running.contains(&one.image))
        .collect();
    let lookup = Lookup {
        accounts: tokio::time::timeout_at(end, accounts(context, plan, &asked)).await.unwrap_or_default(),
        known: running.iter().filter_map(|image| Some(image.parse::<Reference>().ok()?.registry)).collect(),
        ours: Registry::of(context.project),
        anybody: Registry::without_credentials(context.project),
    };
    let lookup = &lookup;
    let answers = stream::iter(asked).map(|one| async move {
        let finding = tokio::time::timeout_at(end, lookup.ask(&one)).await.ok()??;
        Some((one.step, finding))
    });
    let found: Vec<Option<(usize, Finding)>> = answers.buffered(CONCURRENCY).collect().await;
    found.into_iter().flatten().filter_map(|(at, one)| plan.steps[at].mistake(&one)).collect()
}

/// Looks up images with the credentials that the kubelet has: the Secrets of the pod and of its service account.
struct Lookup {
    /// Whether service accounts have `imagePullSecrets`, as far as known.
    accounts: BTreeMap<String, bool>,
    /// The registries that the tier already pulls from: for these the nodes may have credentials of their own.
    known: BTreeSet<String>,
    ours: Registry,
    anybody: Registry,
}

impl Lookup {
    /// What is wrong with an image, if that is known.
    async fn ask(&self, one: &Use) -> Option<Finding> {
        let has_secret = one.has_secret || self.accounts.get(&one.account) != Some(&false);
        let registry = if has_secret { &self.ours } else { &self.anybody };
        let reference = one.image.parse::<Reference>().ok()?;
        match registry.digest_at_once(&reference).await {
            Ok(None) => Some(not_there(one)),
            Err(error) if error.find::<Refused>().is_some() && !has_secret => {
                (!self.known.contains(&reference.registry)).then(|| not_for_anybody(one))
            }
            _ => None,
        }
    }
}

/// A container of a changed object.
struct Use {
    /// The index of the object's step.
    step: usize,
    image: String,
    /// Its JSON pointer.
    pointer: String,
    /// Whether its pod has `imagePullSecrets`.
    has_secret: bool,
    /// The service account of its pod.
    account: String,
}

fn uses(step: usize, object: &Value) -> Vec<Use> {
    let mut uses = Vec::new();
    for pod in PODS {
        let Some(spec) = object.pointer(pod) else { continue };
        let account = Some(text(spec, "/serviceAccountName")).filter(|name| !name.is_empty());
        for list in ["initContainers", "containers"] {
            for (index, container) in object::list(spec, &format!("/{list}")).iter().enumerate() {
                uses.push(Use {
                    step,
                    image: text(container, "/image").to_owned(),
                    pointer: format!("{pod}/{list}/{index}/image"),
                    has_secret: !object::list(spec, "/imagePullSecrets").is_empty(),
                    account: account.unwrap_or("default").to_owned(),
                });
            }
        }
    }
    uses.retain(|one| !one.image.is_empty());
    uses
}

/// Whether the service accounts of these pods have `imagePullSecrets`, which their pods get as well; unknown ones are
/// left out.
async fn accounts(context: TierContext<'_>, plan: &Plan, asked: &[Use]) -> BTreeMap<String, bool> {
    let without = asked.iter().filter(|one| !one.has_secret);
    let names: BTreeSet<String> = without.map(|one| one.account.clone()).collect();
    let has_secrets = |account: &Value| !object::list(account, "/imagePullSecrets").is_empty();
    let answers = names.into_iter().map(|name| async move {
        let mut set = plan.steps.iter().map(|step| &*step.wanted.object);
        let own = set.find(|one| kind(one) == "ServiceAccount" && object::name(one) == name);
        if let Some(own) = own {
            return Some((name, has_secrets(own)));
        }
        let namespace = context.cluster.namespace();
        let reference = ObjectRef::new("v1", "ServiceAccount", &name).in_namespace(namespace);
        let live = context.cluster.get(&reference).await.ok()?;
        Some((name, live.as_ref().is_some_and(has_secrets)))
    });
    futures::future::join_all(answers).await.into_iter().flatten().collect()
}

fn not_there(one: &Use) -> Finding {
    Finding::warning(&*one.pointer, format!("the image `{}` does not exist in its registry", one.image))
        .with_hint("its pods cannot start until it is pushed")
}

fn not_for_anybody(one: &Use) -> Finding {
    let message = format!(
        "the registry does not have `{}`, or requires credentials for it, and the pod has no \
         imagePullSecrets",
        one.image
    );
    Finding::warning(&*one.pointer, message).with_hint(format!(
        "`secrets: {{{PULL_SECRET}}}` in windlass.yaml creates one for the project's own registry; ignore this \
         if the nodes have credentials of their own"
    ))
}

/// A user of an image.
struct User {
    object: ObjectId,
    /// Whether a rollback starts it again, as opposed to not changing it.
    needed: bool,
}

/// The images of all pods of these objects, with one object that uses each.
fn users<'a>(objects: impl Iterator<Item = (&'a Value, bool)>) -> BTreeMap<String, User> {
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    for (object, needed) in objects {
        for image in images_of(object) {
            let user = users.entry(image).or_insert_with(|| User { object: ObjectId::of(object), needed });
            user.needed |= needed;
        }
    }
    users
}

/// The possible places of a pod spec.
pub(crate) const PODS: [&str; 3] = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];

/// The images of an object's pods.
pub(crate) fn images_of(object: &Value) -> BTreeSet<String> {
    let pods = PODS.iter().filter_map(|pointer| object.pointer(pointer));
    let containers = pods
        .flat_map(|pod| [&pod["initContainers"], &pod["containers"]])
        .filter_map(Value::as_array)
        .flatten();
    containers.filter_map(|container| container["image"].as_str().map(str::to_owned)).collect()
}

fn count_present(found: &[(String, Presence)]) -> usize {
    found.iter().filter(|(_, presence)| *presence == Presence::Present).count()
}

/// Prints one warning for all images that could not be looked up.
fn warn_unknown(context: TierContext<'_>, found: &[(String, Presence)]) {
    let unknown: Vec<_> = found
        .iter()
        .filter_map(|(image, presence)| match presence {
            Presence::Unknown(why) => Some((image, why)),
            _ => None,
        })
        .collect();
    if let Some((image, why)) = unknown.first() {
        let others = match unknown.len() - 1 {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        context
            .session
            .reporter
            .warn(format!("whether {image}{others} can still be pulled is not known: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_container_of_every_kind_of_pod_counts() {
        let pod = json!({"initContainers": [{"image": "a"}], "containers": [{"image": "b"}, {"image": "c"}]});
        for object in [
            json!({"kind": "Deployment", "spec": {"template": {"spec": pod}}}),
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}),
            json!({"kind": "Pod", "spec": pod}),
        ] {
            assert_eq!(images_of(&object).into_iter().collect::<Vec<_>>(), ["a", "b", "c"], "{object}");
        }
        assert!(images_of(&json!({"kind": "ConfigMap", "data": {"image": "x"}})).is_empty());
    }

    #[test]
    fn a_container_is_pulled_with_the_secrets_of_its_pod_or_of_its_account() {
        let object = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {
            "serviceAccountName": "batch", "imagePullSecrets": [{"name": "registry"}],
            "initContainers": [{"image": "a"}], "containers": [{"name": "variable"}, {"image": "b"}]}}}}}});
        let uses = uses(0, &object);
        let shown: Vec<(&str, &str)> =
            uses.iter().map(|one| (one.image.as_str(), one.pointer.as_str())).collect();
        let spec = "/spec/jobTemplate/spec/template/spec";
        assert_eq!(
            shown,
            [
                ("a", format!("{spec}/initContainers/0/image").as_str()),
                ("b", format!("{spec}/containers/1/image").as_str()),
            ]
        );
        assert!(uses.iter().all(|one| one.has_secret && one.account == "batch"));
        assert_eq!(
            super::uses(0, &json!({"kind": "Pod", "spec": {"containers": [{"image": "c"}]}}))[0].account,
            "default"
        );
    }

    #[test]
    fn an_image_is_needed_if_one_of_its_users_is_brought_back() {
        let one = json!({"kind": "Deployment", "metadata": {"name": "one"}, "spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}});
        let mut two = one.clone();
        two["metadata"]["name"] = json!("two");
        let users = users([(&one, false), (&two, true)].into_iter());
        assert!(users["a"].needed);
    }
}
