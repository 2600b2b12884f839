//! `doctor`: each thing a release needs, tried for real, with what to fix where it does not work.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::manifest;
use crate::model::ObjectRef;
use crate::project::{Project, Tier};
use crate::registry::Registry;
use crate::report::view::setup::doctor as view;
use crate::report::view::setup::doctor::{Doctor, Fault};
use crate::schema::Schemas;
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
pub(crate) struct DoctorReport {
    checks: Vec<Check>,
}

struct Check {
    name: String,
    result: std::result::Result<String, Error>,
}

impl DoctorReport {
    /// What is shown of it.
    pub(crate) fn view(&self) -> Doctor {
        Doctor { checks: self.checks.iter().map(Check::view).collect() }
    }

    /// The first thing that does not work, with its exit code.
    ///
    /// # Errors
    /// That of the first check that failed.
    pub(crate) fn verdict(self) -> Result<()> {
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

impl Check {
    fn view(&self) -> view::Check {
        let fault =
            |error: &Error| Fault { message: error.to_string(), hint: error.hint().map(str::to_owned) };
        view::Check { name: self.name.clone(), result: self.result.as_ref().map_err(fault).cloned() }
    }
}

/// Tries everything; never fails itself.
/// `builder` says how the builder of the configuration is, where there is one.
pub(crate) async fn examine(
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
    let found =
        session.unless_cancelled(async { Ok(manifest::validate(project, Schemas::newest()).await) }).await?;
    let mut errors = found.errors;
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
    session.within(REGISTRY, Registry::of(project).ping(registry), late).await?;
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
    let mut rights = Rights::default();
    for (resource, verbs) in OWN_NEEDS {
        for verb in verbs {
            rights.ask(cluster, verb, resource, resource, true).await?;
        }
    }
    // Who may not read it is not told whether it exists.
    if let Ok(None) = cluster.get(&ObjectRef::new("v1", "Namespace", cluster.namespace())).await {
        rights.asked += 1;
        if !cluster.allowed("create", "namespaces", None).await? {
            let namespace = cluster.namespace();
            return Err(Error::new(Kind::Denied, format!("the namespace `{namespace}` does not exist, and you may not create it"))
                .with_hint(format!("ask whoever administers the cluster for the namespace `{namespace}`, with a Role in it as docs/permissions.md has it")));
        }
    }
    let kinds = session.unless_cancelled(manifest::kinds(project, tier)).await?;
    for (api_version, kind) in kinds {
        let resource = cluster.resource(&api_version, &kind).await?;
        for verb in VERBS {
            let (full_name, plural) = (resource.full_name(), &resource.plural);
            rights.ask(cluster, verb, &full_name, plural, resource.namespaced).await?;
        }
    }
    rights.told(cluster.namespace())
}

/// What was asked for, and what of it there is no right to.
#[derive(Default)]
struct Rights {
    asked: usize,
    missing_in_namespace: BTreeSet<String>,
    missing_in_cluster: BTreeSet<String>,
}

impl Rights {
    /// Asks for a verb on a resource, which is told under the name `shown`.
    async fn ask(
        &mut self,
        cluster: &Cluster,
        verb: &str,
        resource: &str,
        shown: &str,
        namespaced: bool,
    ) -> Result<()> {
        self.asked += 1;
        if !cluster.allowed(verb, resource, namespaced.then(|| cluster.namespace())).await? {
            let missing =
                if namespaced { &mut self.missing_in_namespace } else { &mut self.missing_in_cluster };
            missing.insert(format!("{verb} {shown}"));
        }
        Ok(())
    }

    fn told(self, namespace: &str) -> Result<String> {
        let in_namespace = format!("in namespace {namespace}");
        let sorts = [
            (in_namespace.as_str(), "a Role", self.missing_in_namespace),
            ("in the whole cluster", "a ClusterRole", self.missing_in_cluster),
        ];
        let (mut words, mut roles) = (Vec::new(), Vec::new());
        for (place, role, rights) in sorts.into_iter().filter(|(.., rights)| !rights.is_empty()) {
            words.push(format!("missing {place}: {}", Vec::from_iter(rights).join(", ")));
            roles.push(role);
        }
        if words.is_empty() {
            return Ok(format!("all {} asked for", self.asked));
        }
        Err(Error::new(Kind::Denied, words.join("; "))
            .with_hint(format!("ask whoever administers the cluster for {} with these", roles.join(" and "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;

    #[test]
    fn a_fault_has_its_place_and_what_would_help() {
        let broken = Error::new(Kind::Invalid, "unknown key `imges`").at(Place::at("windlass.yaml", 3, 1));
        let shown = check("manifests", Err(broken.with_hint("images"))).view();
        let message = "windlass.yaml:3:1: unknown key `imges`".to_owned();
        assert_eq!(shown.result, Err(Fault { message, hint: Some("images".to_owned()) }));
        assert_eq!(check("git", Ok("clean".to_owned())).view().result, Ok("clean".to_owned()));
    }
}
