//! Whether the images of a recorded set can still be pulled: looked up before a rollback changes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::http::CONCURRENCY;
use crate::model::{ObjectId, Reference};
use crate::registry::Registry;
use crate::release::context::TierContext;
use crate::release::plan::{Action, Plan};

/// How long all look-ups together may take: whoever rolls back is in a hurry, and nodes may have the images.
const LIMIT: Duration = Duration::from_secs(10);
/// The same where nobody waits for it in particular.
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

/// Checks the images of a plan's set.
///
/// # Errors
/// [`Kind::Rule`] when an image that is to be brought back is gone.
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
                "take another revision with --to, push the image again, or, where the nodes still have it, \
                 --override images --reason \"…\"",
            ));
        }
        context.session.reporter.warn(sentence);
    }
    Ok(())
}

/// What is known of these images.
pub(crate) async fn look_up(
    context: TierContext<'_>,
    images: impl IntoIterator<Item = String>,
    limit: Duration,
) -> Vec<(String, Presence)> {
    let images: Vec<String> = images.into_iter().collect();
    let registry = &Registry::of(context.project);
    let end = tokio::time::Instant::now() + limit;
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

/// Who runs an image.
struct User {
    object: ObjectId,
    /// Whether a rollback brings it back, as opposed to leaving it as it is.
    needed: bool,
}

/// The images of all pods of these objects, with one object that runs each.
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

/// The images that an object's pods run.
pub(crate) fn images_of(object: &Value) -> BTreeSet<String> {
    const PODS: [&str; 3] = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];
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

/// One warning for all images of which nothing is known.
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
    fn an_image_is_needed_if_one_of_its_users_is_brought_back() {
        let one = json!({"kind": "Deployment", "metadata": {"name": "one"}, "spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}});
        let mut two = one.clone();
        two["metadata"]["name"] = json!("two");
        let users = users([(&one, false), (&two, true)].into_iter());
        assert!(users["a"].needed);
    }
}
