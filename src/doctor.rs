//! `doctor`: each thing a release needs, tried for real, with what to fix where it does not work.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::manifest;
use crate::model::ObjectRef;
use crate::project::{Project, Tier};
use crate::registry::Registry;
use crate::report::style;
use crate::session::Session;

/// How long the registry may take to answer.
const REGISTRY: Duration = Duration::from_secs(30);

/// What a release does with each kind of object it applies.
const VERBS: [&str; 5] = ["get", "list", "watch", "create", "patch"];

/// What windlass itself needs in the tier's namespace, whatever the manifests hold.
const OWN_NEEDS: [(&str, &[&str]); 6] = [
    ("secrets", &["get", "create", "patch", "delete"]),
    ("configmaps", &["get", "create", "patch"]),
    ("leases.coordination.k8s.io", &["get", "create", "update"]),
    ("pods", &["list", "watch"]),
    ("pods/log", &["get"]),
    ("events", &["list", "watch"]),
];

/// Everything that was tried.
pub struct DoctorReport {
    checks: Vec<Check>,
}

struct Check {
    name: String,
    result: std::result::Result<String, Error>,
}

impl DoctorReport {
    /// What was found, for machines.
    pub fn to_json(&self) -> Value {
        let checks = self.checks.iter().map(|check| match &check.result {
            Ok(found) => json!({"check": check.name, "ok": true, "found": found}),
            Err(error) => {
                json!({"check": check.name, "ok": false, "message": error.to_string(), "hint": error.hint()})
            }
        });
        json!({"ok": self.checks.iter().all(|check| check.result.is_ok()), "checks": checks.collect::<Vec<_>>()})
    }

    /// What was found, for people.
    pub fn to_text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for check in &self.checks {
            let (mark, words, hint) = match &check.result {
                Ok(found) => (style::good("ok  "), found.clone(), None),
                Err(error) => (style::bad("FAIL"), error.to_string(), error.hint()),
            };
            text += &format!("{mark}  {:width$}  {words}\n", check.name);
            if let Some(hint) = hint {
                text += &format!("      {:width$}  {}\n", "", style::command(&format!("hint: {hint}")));
            }
        }
        text
    }

    /// The first thing that does not work, with its exit code.
    ///
    /// # Errors
    /// That of the first check that failed.
    pub fn verdict(self) -> Result<()> {
        let failed: Vec<Error> = self.checks.into_iter().filter_map(|check| check.result.err()).collect();
        match failed.first() {
            None => Ok(()),
            Some(first) => Err(Error::new(
                first.kind(),
                format!("{} of what a release needs does not work", failed.len()),
            )),
        }
    }
}

/// Tries everything; never fails itself.
/// `builder` says how the builder of the configuration is, where there is one.
pub async fn examine(
    session: &Session,
    project: &Project,
    tier: Option<&Tier>,
    builder: impl Future<Output = Result<String>>,
) -> DoctorReport {
    let mut checks = vec![check("git", git(project)), check("manifests", manifests(session, project).await)];
    if !project.config.images.is_empty() {
        if project.config.builder.is_some() {
            checks.push(check("builder", builder.await));
        }
        if project.config.builder.is_none() || !project.config.tests.is_empty() {
            checks.push(check("docker", docker(session).await));
        }
        checks.push(check("registry", registry(session, project).await));
    }
    if let Some(tier) = tier {
        checks.extend(cluster(session, project, tier).await);
    }
    DoctorReport { checks }
}

fn check(name: &str, result: Result<String>) -> Check {
    Check { name: name.to_owned(), result }
}

fn git(project: &Project) -> Result<String> {
    project.check_checkout()?;
    let revision = project.revision()?;
    let differs = if revision.dirty { format!(": {}", revision.changes) } else { String::new() };
    Ok(format!("commit {}{differs}", revision.describe()))
}

async fn manifests(session: &Session, project: &Project) -> Result<String> {
    let found = session.unless_cancelled(async { Ok(manifest::validate(project).await) }).await?;
    let mut errors = found.mistakes;
    if errors.is_empty() { Ok("windlass.yaml and .kube are valid".to_owned()) } else { Err(errors.remove(0)) }
}

async fn docker(session: &Session) -> Result<String> {
    let engine = Engine::connect(session).await?;
    Ok(engine.describe())
}

async fn registry(session: &Session, project: &Project) -> Result<String> {
    let Some(registry) = &project.registry else {
        return Err(Error::new(Kind::Invalid, "no registry is named")
            .with_hint("`registry:` in windlass.yaml, --registry, or CI_REGISTRY_IMAGE"));
    };
    let late = || {
        let seconds = REGISTRY.as_secs();
        Error::new(Kind::Unreachable, format!("the registry {registry} does not answer within {seconds} s"))
    };
    session.within(REGISTRY, Registry::of(project)?.ping(registry), late).await?;
    Ok(format!("{registry} answers"))
}

async fn cluster(session: &Session, project: &Project, tier: &Tier) -> Vec<Check> {
    let cluster = match Cluster::connect(&tier.target(), session).await {
        Ok(cluster) => cluster,
        Err(error) => return vec![check("cluster", Err(error))],
    };
    let who = cluster.identity().await;
    let mut checks = vec![check(
        "cluster",
        who.map(|who| format!("{} as {who}, namespace {}", cluster.context(), cluster.namespace())),
    )];
    checks.push(check("rights", rights(session, &cluster, project, tier).await));
    checks
}

/// Asks for every right that a release of this tier's manifests needs.
async fn rights(session: &Session, cluster: &Cluster, project: &Project, tier: &Tier) -> Result<String> {
    let (mut missing, mut missing_everywhere) = (Vec::new(), Vec::new());
    let mut asked = 0;
    for (resource, verbs) in OWN_NEEDS {
        for verb in verbs {
            asked += 1;
            if !cluster.allowed(verb, resource, Some(cluster.namespace())).await? {
                missing.push(format!("{verb} {resource}"));
            }
        }
    }
    // Who may not read it is not told whether it exists.
    if let Ok(None) = cluster.get(&ObjectRef::new("v1", "Namespace", cluster.namespace())).await {
        asked += 1;
        if !cluster.allowed("create", "namespaces", None).await? {
            let namespace = cluster.namespace();
            return Err(Error::new(Kind::Denied, format!("the namespace `{namespace}` does not exist, and you may not create it"))
                .with_hint(format!("ask whoever administers the cluster for the namespace `{namespace}`, with a Role in it as docs/permissions.md has it")));
        }
    }
    let kinds = session.unless_cancelled(manifest::kinds(project, tier)).await?;
    for (api_version, kind) in kinds {
        let resource = cluster.resource(&api_version, &kind).await?;
        let namespace = resource.namespaced.then(|| cluster.namespace());
        for verb in VERBS {
            asked += 1;
            if !cluster.allowed(verb, &resource.full_name(), namespace).await? {
                let missing = if resource.namespaced { &mut missing } else { &mut missing_everywhere };
                missing.push(format!("{verb} {}", resource.plural));
            }
        }
    }
    let in_namespace = format!("in namespace {}", cluster.namespace());
    let sorts = [
        (in_namespace.as_str(), "a Role", missing),
        ("in the whole cluster", "a ClusterRole", missing_everywhere),
    ];
    let (mut words, mut roles) = (Vec::new(), Vec::new());
    for (place, role, mut rights) in sorts.into_iter().filter(|(.., rights)| !rights.is_empty()) {
        rights.sort();
        rights.dedup();
        words.push(format!("missing {place}: {}", rights.join(", ")));
        roles.push(role);
    }
    if words.is_empty() {
        return Ok(format!("all {asked} asked for"));
    }
    Err(Error::new(Kind::Denied, words.join("; "))
        .with_hint(format!("ask whoever administers the cluster for {} with these", roles.join(" and "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use crate::report::view::tests::both;

    #[test]
    fn what_was_tried_is_read_by_people_and_machines() {
        let broken = Error::new(Kind::Invalid, "unknown key `imges`").at(Place::at("windlass.yaml", 3, 1));
        let denied = Error::new(Kind::Denied, "you may not log in").with_hint("docker login registry.test");
        let report = DoctorReport {
            checks: vec![
                check("git", Ok("commit 1f3c9a0b".to_owned())),
                check("manifests", Err(broken)),
                check("registry", Err(denied)),
            ],
        };
        let well = DoctorReport { checks: vec![check("git", Ok("commit 1f3c9a0b".to_owned()))] };
        let all = [report, well];
        let shown: Vec<String> = all.iter().map(|one| both(&one.to_text(), &one.to_json())).collect();
        insta::assert_snapshot!("doctor", shown.join("\n\n"));
    }
}
