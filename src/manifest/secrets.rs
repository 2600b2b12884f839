//! The Secrets of the configuration as objects of the set, and the pull secret in the pods that need it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::stamp::{self, Owner};
use super::{Object, Origin, phase};
use crate::error::{Error, Kind};
use crate::model::{Reference, group, kinds, labels, object};
use crate::secret::Secret;

const CONFIGURATION: &str = "secrets";

/// Whether the object is a Secret of `secrets:`: its values are nobody's to keep.
pub fn is_from_configuration(object: &Value) -> bool {
    object["kind"] == "Secret" && object::annotation(object, labels::SOURCE) == Some(CONFIGURATION)
}

/// Adds the Secrets of the configuration to the set, and pull secrets to the pods of the project's images.
pub(super) fn add(
    objects: &mut Vec<Object>,
    secrets: &[Secret],
    registry: Option<&str>,
    owner: &Owner,
    mistakes: &mut Vec<Error>,
) {
    for secret in secrets {
        let mut namespaces: BTreeSet<String> = [owner.namespace.to_owned()].into();
        if let Some(host) = &secret.pulls {
            let asked = Asked { host, registry };
            for object in objects.iter_mut() {
                if asked.add(&mut object.json, &secret.name) {
                    namespaces.extend(object.json["metadata"]["namespace"].as_str().map(str::to_owned));
                }
            }
        }
        for namespace in namespaces {
            let object = object(secret, &namespace, owner);
            match objects.iter().find(|other| is_same(&other.json, &object.json)) {
                Some(other) => mistakes.push(twice(secret, other)),
                None => objects.push(object),
            }
        }
    }
}

fn object(secret: &Secret, namespace: &str, owner: &Owner) -> Object {
    let data: serde_json::Map<String, Value> =
        secret.data.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value).into())).collect();
    let mut json = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": secret.kind,
        "metadata": {
            "name": secret.name,
            "namespace": namespace,
            "annotations": {labels::SOURCE: CONFIGURATION},
        },
        "data": data,
    });
    stamp::stamp(&mut json, owner);
    Object { phase: phase::phase_of(&json), json, origin: Origin::at(secret.place.clone()) }
}

fn is_same(one: &Value, other: &Value) -> bool {
    let same = |pointer: &str| one.pointer(pointer) == other.pointer(pointer);
    ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"].into_iter().all(same)
}

fn twice(secret: &Secret, other: &Object) -> Error {
    Error::new(
        Kind::Invalid,
        format!("Secret/{} is defined here and in `secrets` at {}", secret.name, secret.place),
    )
    .at(other.origin.place().clone())
    .with_hint("give one of them another name, or delete it")
}

/// Which pods ask for a pull secret: those with an image of the project, or of the host that the secret is for.
struct Asked<'a> {
    host: &'a str,
    registry: Option<&'a str>,
}

/// Where pods stand, kind by kind. What is not a Pod has no pod directly below `spec`.
const TEMPLATES: [&str; 3] =
    ["/spec/template/spec", "/template/spec", "/spec/jobTemplate/spec/template/spec"];

impl Asked<'_> {
    /// Adds the pull secret to the object's pods; whether any needed it.
    fn add(&self, object: &mut Value, name: &str) -> bool {
        if !kinds::is_of_kubernetes(group(object::api_version(object))) {
            return self.add_to_templates(object, name);
        }
        let pods = if object["kind"] == "Pod" { &["/spec"][..] } else { &TEMPLATES[..] };
        let mut added = false;
        for pointer in pods {
            added |= object.pointer_mut(pointer).is_some_and(|pod| self.add_to_pod(pod, name));
        }
        added
    }

    /// A custom resource has pods wherever a `template` has a `spec` with containers.
    fn add_to_templates(&self, value: &mut Value, name: &str) -> bool {
        let mut added = false;
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    if let Some(pod) = field.get_mut("spec").filter(|_| key == "template") {
                        added |= self.add_to_pod(pod, name);
                    }
                    added |= self.add_to_templates(field, name);
                }
            }
            Value::Array(items) => {
                for item in items {
                    added |= self.add_to_templates(item, name);
                }
            }
            _ => {}
        }
        added
    }

    fn add_to_pod(&self, pod: &mut Value, name: &str) -> bool {
        if !self.needs(pod) {
            return false;
        }
        if !pod["imagePullSecrets"].is_array() {
            pod["imagePullSecrets"] = json!([]);
        }
        let list = pod["imagePullSecrets"].as_array_mut().expect("it was just made one");
        if !list.iter().any(|one| one["name"] == name) {
            list.push(json!({"name": name}));
        }
        true
    }

    fn needs(&self, pod: &Value) -> bool {
        let containers = ["initContainers", "containers"].into_iter().filter_map(|list| pod[list].as_array());
        containers
            .flatten()
            .filter_map(|container| container["image"].as_str())
            .any(|image| self.is_meant(image))
    }

    fn is_meant(&self, image: &str) -> bool {
        let Ok(reference) = image.parse::<Reference>() else { return false };
        let own = self.registry.and_then(|registry| format!("{registry}/image").parse::<Reference>().ok());
        match own.filter(|own| own.registry == self.host) {
            Some(own) => {
                reference.name().rsplit_once('/').map(|(path, _)| path.to_owned())
                    == own.name().rsplit_once('/').map(|(path, _)| path.to_owned())
            }
            None => reference.registry == self.host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;

    const OWNER: Owner<'static> =
        Owner { project: "shop", tier: "staging", slug: "staging", namespace: "shop-staging" };

    fn secret(name: &str, pulls: Option<&str>) -> Secret {
        Secret {
            name: name.to_owned(),
            kind: "Opaque".to_owned(),
            data: [("password".to_owned(), b"hunter22".to_vec())].into(),
            pulls: pulls.map(str::to_owned),
            place: Place::at("windlass.yaml", 3, 1),
        }
    }

    fn workload(kind: &str, namespace: &str, image: &str) -> Object {
        let pod = json!({"containers": [{"name": "a", "image": image}]});
        let spec = if kind == "CronJob" {
            json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}})
        } else {
            json!({"template": {"spec": pod}})
        };
        let metadata = json!({"name": image.len().to_string(), "namespace": namespace});
        let json = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec});
        Object { json, origin: Origin::at(Place::file("a.yaml")), phase: crate::manifest::Phase::Workloads }
    }

    fn added(mut objects: Vec<Object>, secret: &Secret) -> (Vec<Value>, Vec<String>) {
        let mut mistakes = Vec::new();
        add(&mut objects, std::slice::from_ref(secret), Some("registry.test/shop"), &OWNER, &mut mistakes);
        (
            objects.into_iter().map(|object| object.json).collect(),
            mistakes.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn a_secret_is_an_object_of_the_tier() {
        let (objects, _) = added(Vec::new(), &secret("db", None));
        assert_eq!(objects[0]["data"], json!({"password": "aHVudGVyMjI="}));
        assert_eq!(objects[0]["metadata"]["namespace"], "shop-staging");
        assert_eq!(objects[0]["metadata"]["labels"]["windlass.dev/tier"], "staging");
        assert!(is_from_configuration(&objects[0]));
    }

    #[test]
    fn pods_of_the_projects_images_get_the_pull_secret() {
        let own = &format!("registry.test/shop/web:1@sha256:{}", "0".repeat(64));
        let objects = vec![
            workload("Deployment", "shop-staging", "registry.test/shop/web:1"),
            workload("CronJob", "elsewhere", "registry.test/shop/web"),
            workload("Deployment", "shop-staging", "registry.test/mirror/postgres:16"),
            workload("Deployment", "shop-staging", own),
        ];
        let (objects, _) = added(objects, &secret("registry", Some("registry.test")));
        let names = json!([{"name": "registry"}]);
        assert_eq!(objects[0]["spec"]["template"]["spec"]["imagePullSecrets"], names);
        assert_eq!(objects[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["imagePullSecrets"], names);
        assert_eq!(objects[2]["spec"]["template"]["spec"]["imagePullSecrets"], Value::Null);
        let namespaces: Vec<_> = objects[4..].iter().map(|object| &object["metadata"]["namespace"]).collect();
        assert_eq!(namespaces, ["elsewhere", "shop-staging"]);
    }

    #[test]
    fn pods_anywhere_in_a_custom_resource_get_it() {
        let pod = |image: &str| json!({"template": {"spec": {"containers": [{"image": image}]}}});
        let own = "registry.test/shop/web:1";
        let mut job = workload("ScaledJob", "shop-staging", own);
        job.json["apiVersion"] = "keda.sh/v1alpha1".into();
        job.json["spec"] = json!({"jobTargetRef": pod(own), "groups": [pod("nginx"), pod(own)], "containers": [{"image": own}]});
        let (objects, _) = added(vec![job], &secret("registry", Some("registry.test")));
        let spec = &objects[0]["spec"];
        let names = json!([{"name": "registry"}]);
        assert_eq!(spec["jobTargetRef"]["template"]["spec"]["imagePullSecrets"], names);
        assert_eq!(spec["groups"][1]["template"]["spec"]["imagePullSecrets"], names);
        assert_eq!(spec.to_string().matches("imagePullSecrets").count(), 2);
    }

    #[test]
    fn a_pull_secret_of_another_host_is_for_that_hosts_images() {
        let objects = vec![
            workload("Deployment", "shop-staging", "registry.test/shop/web:1"),
            workload("Deployment", "shop-staging", "mirror.test/postgres:16"),
        ];
        let (objects, _) = added(objects, &secret("mirror", Some("mirror.test")));
        assert_eq!(objects[0]["spec"]["template"]["spec"]["imagePullSecrets"], Value::Null);
        assert_eq!(objects[1]["spec"]["template"]["spec"]["imagePullSecrets"], json!([{"name": "mirror"}]));
    }

    #[test]
    fn a_secret_stands_in_one_place() {
        let json = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop-staging"}});
        let object = Object {
            json,
            origin: Origin::at(Place::file(".kube/db.yaml")),
            phase: crate::manifest::Phase::Settings,
        };
        let (_, mistakes) = added(vec![object], &secret("db", None));
        assert_eq!(
            mistakes,
            [".kube/db.yaml: Secret/db is defined here and in `secrets` at windlass.yaml:3:1"]
        );
    }
}
