//! The manifests of a workload as a person would write them: probes, resources, a security context, a Service where a port is
//! known, a claim for what must not be lost. What is not known is not made up.

use serde_json::{Map, Value, json};

use crate::init::container::Port;
use crate::init::workload::{Content, Kind, Mount, Workload};
use crate::manifest::to_yaml;
use crate::model::labels;
use crate::text::display;

/// The label by which Services and budgets find pods.
const NAME: &str = "app.kubernetes.io/name";
/// A first size: how much a claim will hold is not known.
const SIZE: &str = "1Gi";
/// First resources: what it takes is not known before it has run.
const REQUESTS: (&str, &str) = ("50m", "128Mi");
const LIMIT: &str = "512Mi";

/// Documents with a comment before each, which may be empty.
#[derive(Default)]
struct Documents(String);

impl Documents {
    fn add(&mut self, comment: &str, object: &Value) {
        if !self.0.is_empty() {
            self.0 += "---\n";
        }
        // What strangers wrote is in it, too.
        for line in display::plain(comment).lines() {
            self.0 += &format!("# {line}\n");
        }
        let text = to_yaml(std::slice::from_ref(object));
        self.0 += text.strip_prefix("---\n").unwrap_or(&text);
    }
}

/// The file of a workload: what runs, its claims, and how others reach it. Of the claims those that it is the first to use.
pub(super) fn base(workload: &Workload, claims: &[String], has_host: bool) -> String {
    let mut documents = Documents::default();
    documents.add(&comment(workload), &controller(workload));
    for claim in claims {
        let comment =
            "The size is a first guess; most storage classes can make it larger later, none smaller.";
        documents.add(comment, &self::claim(claim));
    }
    if workload.has_service() {
        documents.add("", &service(workload));
    }
    if has_host {
        documents.add("", &ingress(workload));
    }
    documents.0
}

/// What production has besides: a second replica, and a budget so that a drained node does not take both.
pub(super) fn overlay(workload: &Workload) -> String {
    let mut documents = Documents::default();
    let patch = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": workload.name}, "spec": {"replicas": 2},
    });
    documents.add("Merged into the Deployment of the same name.", &patch);
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": workload.name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(workload)}},
    });
    documents.add("", &budget);
    documents.0
}

fn comment(workload: &Workload) -> String {
    let mut lines = Vec::new();
    if workload.is_new {
        lines.push(format!(
            "`image: {}` is the image of windlass.yaml: a release puts its digest there.",
            workload.image
        ));
    }
    if workload.memory_limit.is_none() {
        lines.push("The resources are a first guess: `kubectl top pod` shows what it uses.".to_owned());
    }
    if workload.is_built && workload.container.user_id().is_none() {
        lines.push(match &workload.container.user {
            Some(user) if user.starts_with(|first: char| !first.is_ascii_digit()) => format!(
                "The user `{user}` has no number here, and the kubelet cannot tell it from root: with a number in USER, add\n\
                 `runAsNonRoot: true`, and `capabilities: {{drop: [ALL]}}` to the container."
            ),
            _ => "The container may be running as root. Once the Dockerfile has a number as USER, add\n\
                  `runAsNonRoot: true`, and `capabilities: {drop: [ALL]}` to the container."
                .to_owned(),
        });
    }
    let has_probe = workload.container.healthcheck.is_some() || workload.kind == Kind::Job;
    if !has_probe && workload.container.tcp().is_some() {
        lines.push("Better than tcpSocket: httpGet with a path that tells whether it can serve.".to_owned());
    }
    lines.join("\n")
}

fn labels(workload: &Workload) -> Value {
    json!({NAME: workload.name})
}

fn controller(workload: &Workload) -> Value {
    let template = json!({"metadata": {"labels": labels(workload)}, "spec": pod(workload)});
    let selector = json!({"matchLabels": labels(workload)});
    match workload.kind {
        Kind::Job => json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": workload.name},
            "spec": {"backoffLimit": 2, "template": template},
        }),
        Kind::Database { is_needed } => {
            let mut metadata = json!({"name": workload.name});
            if is_needed {
                metadata["annotations"] = json!({labels::PHASE: "before"});
            }
            let mut spec = json!({"serviceName": workload.name, "replicas": 1, "selector": selector, "template": template});
            let claims: Vec<Value> =
                claimed(workload).map(|(mount, _)| claim_template(&mount.name)).collect();
            if !claims.is_empty() {
                spec["volumeClaimTemplates"] = claims.into();
            }
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec})
        }
        Kind::Deployment => {
            let mut spec = json!({"replicas": 1});
            if !workload.is_replicated() {
                // The old pod must give its volume away before the new one can have it.
                spec["strategy"] = json!({"type": "Recreate"});
            }
            spec["selector"] = selector;
            spec["template"] = template;
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": workload.name}, "spec": spec})
        }
    }
}

fn claimed(workload: &Workload) -> impl Iterator<Item = (&Mount, &String)> {
    workload.mounts.iter().filter_map(|mount| Some((mount, mount.claim.as_ref()?)))
}

fn pod(workload: &Workload) -> Value {
    let mut pod = Map::new();
    if workload.kind == Kind::Job {
        pod.insert("restartPolicy".to_owned(), "Never".into());
    }
    pod.insert("automountServiceAccountToken".to_owned(), false.into());
    pod.insert("securityContext".to_owned(), security(workload));
    pod.insert("containers".to_owned(), json!([container(workload)]));
    let of_template = matches!(workload.kind, Kind::Database { .. });
    let volume = |mount: &Mount| match &mount.claim {
        Some(_) if of_template => None,
        Some(claim) => Some(json!({"name": mount.name, "persistentVolumeClaim": {"claimName": claim}})),
        None => Some(json!({"name": mount.name, "emptyDir": {}})),
    };
    let volumes: Vec<Value> = workload.mounts.iter().filter_map(volume).collect();
    if !volumes.is_empty() {
        pod.insert("volumes".to_owned(), volumes.into());
    }
    pod.into()
}

fn security(workload: &Workload) -> Value {
    let mut context = Map::new();
    let (user, group) = (workload.container.user_id(), workload.container.group_id());
    if let Some(user) = user {
        context.insert("runAsNonRoot".to_owned(), true.into());
        if workload.sets_user {
            context.insert("runAsUser".to_owned(), user.into());
            context.extend(group.map(|group| ("runAsGroup".to_owned(), group.into())));
        }
        if !workload.mounts.is_empty() {
            context.insert("fsGroup".to_owned(), group.unwrap_or(user).into());
        }
    }
    context.insert("seccompProfile".to_owned(), json!({"type": "RuntimeDefault"}));
    context.into()
}

fn container(workload: &Workload) -> Value {
    let mut container = json!({"name": workload.name, "image": workload.image});
    let known = &workload.container;
    if let Some(words) = &workload.entrypoint {
        container["command"] = json!(words);
    }
    if let Some(words) = &workload.arguments {
        container["args"] = json!(words);
    }
    let names = port_names(&known.ports);
    let ports = known.ports.iter().zip(&names).map(|(port, name)| {
        let mut declared = json!({"name": name, "containerPort": port.number});
        if port.is_udp {
            declared["protocol"] = "UDP".into();
        }
        declared
    });
    let ports: Vec<Value> = ports.collect();
    if !ports.is_empty() && workload.kind != Kind::Job {
        container["ports"] = ports.into();
    }
    if !workload.env.is_empty() {
        container["env"] = workload.env.iter().map(variable).collect();
    }
    if workload.kind != Kind::Job {
        probes(&mut container, workload, &names);
    }
    let (cpu, memory) = REQUESTS;
    let limit = workload.memory_limit.as_deref();
    container["resources"] = json!({
        "requests": {"cpu": cpu, "memory": limit.unwrap_or(memory)},
        "limits": {"memory": limit.unwrap_or(LIMIT)},
    });
    container["securityContext"] = json!({"allowPrivilegeEscalation": false});
    if known.user_id().is_some() {
        container["securityContext"]["capabilities"] = json!({"drop": ["ALL"]});
    }
    if !workload.mounts.is_empty() {
        let is_database = matches!(workload.kind, Kind::Database { .. });
        container["volumeMounts"] = workload.mounts.iter().map(|mount| mounted(mount, is_database)).collect();
    }
    container
}

fn mounted(mount: &Mount, is_database: bool) -> Value {
    let mut mounted = json!({"name": mount.name, "mountPath": mount.path});
    // Databases refuse to begin in a directory that is not empty, as the root of a file system is (`lost+found`).
    if is_database && mount.claim.is_some() {
        mounted["subPath"] = "data".into();
    }
    mounted
}

fn variable(variable: &crate::init::workload::Variable) -> Value {
    match &variable.value {
        Content::Text(text) => json!({"name": variable.name, "value": text}),
        Content::Secret { name, key } => {
            json!({"name": variable.name, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
        }
    }
}

fn probes(container: &mut Value, workload: &Workload, names: &[String]) {
    let known = &workload.container;
    let name = |number: u16| {
        let mut ports = known.ports.iter().zip(names);
        ports.find(|(port, _)| port.number == number && !port.is_udp).map(|(_, name)| name.clone())
    };
    if let Some(check) = &known.healthcheck {
        if let Some(startup) = check.startup(name) {
            container["startupProbe"] = startup;
        }
        container["readinessProbe"] = check.readiness(name);
    } else if let Some(port) = known.tcp() {
        container["readinessProbe"] = json!({"tcpSocket": {"port": name(port.number)}, "periodSeconds": 5});
    }
}

/// A name for each port: `http` for the first that web servers have, else its number.
fn port_names(ports: &[Port]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for port in ports {
        let known = match port.number {
            80 | 3000 | 4000 | 5000 | 8000 | 8080..=8090 | 8888 | 9000 if !port.is_udp => Some("http"),
            443 | 8443 if !port.is_udp => Some("https"),
            _ => None,
        };
        let number = || format!("{}-{}", if port.is_udp { "udp" } else { "tcp" }, port.number);
        let name = known.filter(|name| !names.iter().any(|other| other == name));
        names.push(name.map_or_else(number, str::to_owned));
    }
    names
}

fn service(workload: &Workload) -> Value {
    let names = port_names(&workload.container.ports);
    let has_80 = workload.container.ports.iter().any(|port| port.number == 80);
    let ports = workload.container.ports.iter().zip(&names).map(|(port, name)| {
        let is_web = workload.is_new && name == "http" && !has_80;
        let number = if is_web { 80 } else { port.number };
        let mut declared = json!({"name": name, "port": number, "targetPort": name});
        if port.is_udp {
            declared["protocol"] = "UDP".into();
        }
        declared
    });
    let mut spec = json!({"selector": labels(workload), "ports": ports.collect::<Vec<_>>()});
    if matches!(workload.kind, Kind::Database { .. }) {
        spec["clusterIP"] = "None".into();
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": workload.name}, "spec": spec})
}

fn ingress(workload: &Workload) -> Value {
    let name = workload.container.ports.iter().zip(port_names(&workload.container.ports));
    let name = name.filter(|(port, _)| !port.is_udp).map(|(_, name)| name).next();
    let backend = json!({"service": {"name": workload.name, "port": {"name": name}}});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": workload.name},
        "spec": {"rules": [{
            "host": "${HOST}",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
        }]},
    })
}

fn claim(name: &str) -> Value {
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim"});
    let template = claim_template(name);
    claim["metadata"] = template["metadata"].clone();
    claim["spec"] = template["spec"].clone();
    claim
}

fn claim_template(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_holds_no_escape_sequence_of_a_stranger() {
        let mut documents = Documents::default();
        documents.add("user \u{1b}[31m\nand \u{7}more", &json!({"kind": "Service"}));
        assert!(documents.0.starts_with("# user \n# and more\n"), "{:?}", documents.0);
    }

    #[test]
    fn ports_have_names_of_their_own() {
        let ports = [8080, 3000, 443, 5432].map(|number| Port { number, is_udp: false });
        let mut ports = ports.to_vec();
        ports.push(Port { number: 8080, is_udp: true });
        assert_eq!(port_names(&ports), ["http", "tcp-3000", "https", "tcp-5432", "udp-8080"]);
    }
}
