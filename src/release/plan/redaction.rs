//! The values of Secrets of the configuration: they are sent to the cluster and stored nowhere else. Plans and records
//! contain a keyed hash of each instead.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::cluster::Cluster;
use crate::error::Result;
use crate::model::FieldChange;
use crate::model::{ObjectId, ObjectRef};
use crate::project::Tier;
use crate::record::{Applied, Record};
use crate::release::plan::difference::Mask;
use crate::release::plan::{Wanted, difference};
use crate::session::Session;
use crate::text::hex;
use crate::{manifest, secret};

/// The `data` of a Secret of the configuration.
#[derive(Clone)]
pub(crate) struct SecretValues(Map<String, Value>);

/// Debug output of a plan must not show the values.
impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Values(…)")
    }
}

impl SecretValues {
    /// The object with its values, as it is sent.
    pub(crate) fn in_place(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["data"] = Value::Object(self.0.clone());
        object
    }
}

/// Replaces each value of a Secret of the configuration with a hash, keyed with the tier's own key.
pub(crate) fn redact(mut object: Value, key: &[u8]) -> (Value, Option<SecretValues>) {
    if !manifest::is_from_configuration(&object) {
        return (object, None);
    }
    let Some(data) = object.get_mut("data").and_then(Value::as_object_mut) else { return (object, None) };
    let values = data.clone();
    for (name, value) in data.iter_mut() {
        *value = redacted(name, value, key).into();
    }
    (object, Some(SecretValues(values)))
}

/// The wanted objects of the manifests, with the hash of its configuration in each pod template.
pub(crate) fn wanted(manifests: manifest::Manifests, key: &[u8]) -> Vec<Wanted> {
    manifest::with_config_hashes(manifests, key)
        .objects
        .into_iter()
        .map(|one| {
            let (object, values) = redact(one.json, key);
            Wanted { phase: one.phase, origin: Some(one.origin), object: Arc::new(object), values }
        })
        .collect()
}

fn redacted(name: &str, value: &Value, key: &[u8]) -> String {
    let mut hasher = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    hasher.update(Value::from_iter([Value::from(name), value.clone()]).to_string().as_bytes());
    format!("hmac-sha256:{}", &hex::encode(hasher.finalize().into_bytes())[..32])
}

/// The Secrets of the configuration in a record: a rollback does not change them, because only the cluster knows their
/// values.
pub(crate) fn redacted_in(objects: &[Applied]) -> Vec<Applied> {
    objects.iter().filter(|one| manifest::is_from_configuration(&one.object)).cloned().collect()
}

/// A Secret of the configuration that a rollback keeps.
pub(crate) struct KeptSecret {
    /// As a record has it.
    pub(crate) applied: Applied,
    /// As it is in the cluster, with its values.
    live: Value,
}

/// The Secrets of the configuration in the newest record or in the target of a rollback that still exist: only the
/// cluster knows their values, and they are not changed. Those that the newest release removed from the manifests are
/// included.
///
/// # Errors
/// What the cluster refuses.
pub(crate) async fn there(cluster: &Cluster, last: Option<&Record>, to: &Record) -> Result<Vec<KeptSecret>> {
    let mut known: Vec<KeptSecret> = Vec::new();
    for applied in last.into_iter().chain([to]).flat_map(|record| redacted_in(&record.objects)) {
        let id = ObjectId::of(&applied.object);
        let is_new = known.iter().all(|other| ObjectId::of(&other.applied.object) != id);
        if is_new && let Some(live) = cluster.get(&ObjectRef::of(&applied.object)).await? {
            known.push(KeptSecret { applied, live });
        }
    }
    Ok(known)
}

/// Recomputes the configuration hash of each pod template from the current Secrets.
pub(crate) fn rehash(wanted: &mut [Wanted], kept: &[KeptSecret], key: &[u8]) {
    if kept.is_empty() {
        return;
    }
    let live: Vec<Value> = kept.iter().map(|one| one.live.clone()).collect();
    let mut objects: Vec<&mut Value> = wanted.iter_mut().map(|one| Arc::make_mut(&mut one.object)).collect();
    manifest::rehash_configuration(&mut objects, &live, key);
}

/// The keys in which a live Secret of the configuration differs from the released one; the values are masked.
pub(crate) fn differences(recorded: &Value, live: &Value, key: &[u8]) -> Vec<FieldChange> {
    if !manifest::is_from_configuration(recorded) {
        return Vec::new();
    }
    let only_data = |data: &Value| json!({"kind": "Secret", "data": data});
    let hash = |(name, value): (&String, &Value)| (name.clone(), Value::from(redacted(name, value, key)));
    let live: Map<String, Value> = live["data"].as_object().into_iter().flatten().map(hash).collect();
    difference::fields(&only_data(&live.into()), &only_data(&recorded["data"]), &Mask::new(key))
}

/// The Secrets of the configuration whose live values are not those of a record, with the keys that differ: `Secret/db
/// (PASSWORD)`. A rollback keeps the live values, because no record has any.
pub(crate) fn changed_values(record: &Record, kept: &[KeptSecret], key: &[u8]) -> Vec<String> {
    let changed = |one: Applied| {
        let id = ObjectId::of(&one.object);
        let live = &kept.iter().find(|kept| ObjectId::of(&kept.applied.object) == id)?.live;
        let keys: Vec<String> = differences(&one.object, live, key)
            .iter()
            .map(|change| change.field.trim_start_matches("data.").to_owned())
            .collect();
        (!keys.is_empty()).then(|| format!("{id} ({})", keys.join(", ")))
    };
    redacted_in(&record.objects).into_iter().filter_map(changed).collect()
}

/// Masks the values of the Secrets that a rollback keeps in all further output, because programs may print their input.
pub(crate) fn hide_kept(session: &Session, tier: &Tier, kept: &[KeptSecret]) {
    secret::publish_tier(tier, &session.reporter);
    secret::hide_objects(kept.iter().map(|one| &one.live), &session.reporter);
}

/// Masks the values of the tier's Secrets in all further output, because programs may print their input: those of the
/// manifests as recorded, those of the configuration as they are live. For a user who may not read the live ones, these
/// are not masked.
pub(crate) async fn hide(session: &Session, cluster: &Cluster, tier: &Tier, objects: &[Applied]) {
    secret::publish_tier(tier, &session.reporter);
    let (redacted, own): (Vec<&Value>, Vec<&Value>) =
        objects.iter().map(|one| &*one.object).partition(|object| manifest::is_from_configuration(object));
    secret::hide_objects(own, &session.reporter);
    for redacted in redacted {
        if let Ok(Some(live)) = cluster.get(&ObjectRef::of(redacted)).await {
            secret::hide_objects([&live], &session.reporter);
        }
    }
}

/// The Secrets that the pods of a release were started with and that no longer exist.
pub(crate) fn missing_secrets(recorded: &[Applied], kept: &[KeptSecret]) -> Vec<ObjectId> {
    let there: Vec<ObjectId> = kept.iter().map(|one| ObjectId::of(&one.applied.object)).collect();
    let all = redacted_in(recorded);
    all.iter().map(|one| ObjectId::of(&one.object)).filter(|id| !there.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(password: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"password": password},
            "metadata": {"name": "db", "namespace": "shop", "annotations": {"windlass.dev/source": "secrets"}}})
    }

    #[test]
    fn a_value_is_sent_and_only_its_hash_is_kept() {
        let (kept, values) = redact(secret("aHVudGVyMjI="), b"key");
        let values = values.expect("it has values");
        assert!(!kept.to_string().contains("aHVudGVyMjI="), "{kept}");
        assert!(!format!("{values:?}").contains("aHVudGVyMjI="));
        assert_eq!(values.in_place(&kept), secret("aHVudGVyMjI="));
        assert_eq!(redact(secret("aHVudGVyMjI="), b"key").0, kept, "the same value has the same hash");
        assert_ne!(redact(secret("aHVudGVyMjM="), b"key").0, kept);
        assert_ne!(redact(secret("aHVudGVyMjI="), b"other").0, kept);
    }

    #[test]
    fn a_secret_of_the_manifests_is_left_alone() {
        let mut own = secret("aHVudGVyMjI=");
        own["metadata"]["annotations"] = json!({});
        assert_eq!(redact(own.clone(), b"key").0, own);
    }

    #[test]
    fn a_value_that_somebody_changed_is_seen_and_not_shown() {
        let (recorded, _) = redact(secret("aHVudGVyMjI="), b"key");
        assert!(differences(&recorded, &secret("aHVudGVyMjI="), b"key").is_empty());
        let changes = differences(&recorded, &secret("b3RoZXI="), b"key");
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].field, "data.password");
        assert!(!format!("{changes:?}").contains("b3RoZXI="));
    }

    #[test]
    fn what_is_no_longer_there_is_known() {
        let applied = |object: Value| Applied { object: object.into(), fields: None };
        let mut other = secret("x");
        other["metadata"]["name"] = "tls".into();
        let recorded = [applied(secret("x")), applied(other.clone())];
        let kept = [KeptSecret { applied: applied(secret("y")), live: secret("y") }];
        assert_eq!(missing_secrets(&recorded, &kept), [ObjectId::of(&other)]);
    }
}
