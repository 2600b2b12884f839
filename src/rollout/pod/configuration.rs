//! ConfigMaps, Secrets and keys that a pod refers to and that do not exist.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::model::object;
use crate::rollout::health::Missing;
use crate::rollout::pod::container::Container;
use crate::rollout::snapshot::pod::Pod;

/// How many seconds a missing ConfigMap or Secret may take to appear.
pub(crate) const CONFIG_PATIENCE: i64 = 10;

/// Whether it is only that the kubelet's caches have not synced yet.
pub(crate) fn is_cache_trouble(message: &str) -> bool {
    message.contains("failed to sync") && message.contains("cache") || message.contains("not registered")
}

/// The missing object or key that the kubelet names in `CreateContainerConfigError` or in a `FailedMount` event.
pub(crate) fn missing(message: &str, pod: &Pod) -> Option<Missing> {
    static OBJECT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?i)\b(configmaps?|secrets?) "([^"]+)" not found"#).expect("the pattern is a constant")
    });
    static KEY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]*/)?([^\s,]+)")
            .expect("the pattern is a constant")
    });
    static MOUNT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"for volume "([^"]+)".*references non-existent (config|secret) key: (\S+)"#)
            .expect("the pattern is a constant")
    });
    if let Some(found) = KEY.captures(message) {
        let key = Some(found[1].to_owned());
        return Some(Missing { kind: kind(&found[2]), name: found[3].to_owned(), key });
    }
    if let Some(found) = MOUNT.captures(message) {
        let kind = if &found[2] == "config" { "ConfigMap" } else { "Secret" };
        let key = found[3].trim_end_matches([',', ']', '.']).to_owned();
        return Some(Missing { kind, name: source(pod, &found[1], kind, &key), key: Some(key) });
    }
    let found = OBJECT.captures(message)?;
    Some(Missing { kind: kind(&found[1]), name: found[2].to_owned(), key: None })
}

impl Missing {
    /// `ConfigMap shop has no key GREETINGS`.
    pub(crate) fn sentence(&self) -> String {
        let Self { kind, name, key } = self;
        match key {
            Some(key) => format!("{kind} {name} has no key {key}"),
            None => format!("{kind} {name} does not exist"),
        }
    }

    /// Where a container of this pod's spec refers to it: `/containers/0/env/3/valueFrom/configMapKeyRef`.
    pub(crate) fn pointer_in(&self, container: &Container, pod_spec: &Value) -> Option<String> {
        let whole = container.pointer(pod_spec, "")?;
        let container = pod_spec.pointer(&whole)?;
        let (key_ref, from_ref) = match self.kind {
            "Secret" => ("secretKeyRef", "secretRef"),
            _ => ("configMapKeyRef", "configMapRef"),
        };
        let named = |list: &str, field: &str, key: Option<&str>| {
            object::list(container, list).iter().position(|one| {
                object::text(one, &format!("{field}/name")) == self.name
                    && key.is_none_or(|key| object::text(one, &format!("{field}/key")) == key)
            })
        };
        let of_key = format!("/valueFrom/{key_ref}");
        let field = named("/env", &of_key, self.key.as_deref())
            .map(|index| format!("/env/{index}{of_key}"))
            .or_else(|| {
                named("/envFrom", &format!("/{from_ref}"), None)
                    .map(|index| format!("/envFrom/{index}/{from_ref}"))
            })?;
        Some(whole + &field)
    }

    /// The volume that refers to it: `/volumes/1`.
    pub(crate) fn pointer_in_volumes(&self, pod_spec: &Value) -> Option<String> {
        let mounts =
            |volume: &Value| sources(volume).any(|(kind, name)| kind == self.kind && name == self.name);
        let index = object::list(pod_spec, "/volumes").iter().position(mounts)?;
        Some(format!("/volumes/{index}"))
    }
}

/// The name of the ConfigMap or Secret behind a volume; if a projected volume has several, the one with the key.
fn source(pod: &Pod, volume: &str, kind: &str, key: &str) -> String {
    let Some(volume) = pod.template.volume(volume) else {
        return format!("of volume {volume}");
    };
    let asks =
        |source: &Value| object::list(source, "/items").iter().any(|item| object::text(item, "/key") == key);
    let field = if kind == "Secret" { "/secret" } else { "/configMap" };
    let projected = object::list(volume, "/projected/sources")
        .iter()
        .filter_map(|one| one.pointer(field))
        .find(|one| asks(one));
    let projected = projected.map(|source| object::text(source, "/name"));
    let name = projected.or_else(|| sources(volume).find(|(of, _)| *of == kind).map(|(_, name)| name));
    name.unwrap_or_default().to_owned()
}

/// The ConfigMaps and Secrets of a volume.
fn sources(volume: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    let projected = object::list(volume, "/projected/sources").iter();
    std::iter::once(volume).chain(projected).flat_map(|source| {
        [
            ("ConfigMap", object::text(source, "/configMap/name")),
            ("Secret", object::text(source, "/secret/secretName")),
            ("Secret", object::text(source, "/secret/name")),
        ]
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
    })
}

fn kind(word: &str) -> &'static str {
    if word.to_ascii_lowercase().starts_with("secret") { "Secret" } else { "ConfigMap" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_kubelets_words_name_what_is_missing() {
        let pod = json!({"spec": {"volumes": [
            {"name": "config", "configMap": {"name": "nginx"}},
            {"name": "all", "projected": {"sources": [
                {"secret": {"name": "one", "items": [{"key": "a"}]}},
                {"secret": {"name": "two", "items": [{"key": "tls.crt"}]}},
            ]}},
        ]}});
        let pod = Pod::of(&pod);
        let said = |message: &str| missing(message, &pod).expect("it names something").sentence();
        assert_eq!(said(r#"configmap "shop" not found"#), "ConfigMap shop does not exist");
        assert_eq!(
            said("couldn't find key GREETINGS in ConfigMap default/shop"),
            "ConfigMap shop has no key GREETINGS"
        );
        assert_eq!(
            said(
                r#"MountVolume.SetUp failed for volume "config" : configmap references non-existent config key: nginx.conf"#
            ),
            "ConfigMap nginx has no key nginx.conf"
        );
        assert_eq!(
            said(
                r#"MountVolume.SetUp failed for volume "all" : references non-existent secret key: tls.crt"#
            ),
            "Secret two has no key tls.crt"
        );
        assert_eq!(
            said(r#"MountVolume.SetUp failed for volume "tls" : secret "shop-tls" not found"#),
            "Secret shop-tls does not exist"
        );
        assert_eq!(missing("container has runAsNonRoot and image will run as root", &pod), None);
    }
}
