//! A scenario: what is released, what happens meanwhile, and what must come of it.

use std::time::Duration;

use serde_json::Value;

use super::stage::Scene;

/// Something that is done to a scenario's project before it is released or while it is.
pub(super) type Act = fn(&Scene);

/// One scenario, on a project of its own.
pub(super) struct Case {
    /// Names its project; one of its objects may have the same name.
    pub(super) name: &'static str,
    /// What somebody would call it.
    pub(super) title: &'static str,
    pub(super) manifests: String,
    /// The tier's time-out in seconds.
    pub(super) timeout: u64,
    pub(super) code: i32,
    /// `Deployment/web image-not-found`: one of the causes of a failure.
    pub(super) cause: Option<&'static str>,
    /// Words that must be said: of a failure in the cause's sentence or its evidence, else anywhere.
    pub(super) says: Vec<&'static str>,
    /// The release may not take longer than this.
    pub(super) within: u64,
    /// The status that decides, and how long the rule itself waits after it.
    pub(super) decisive: Option<(Decisive, Duration)>,
    pub(super) before: Option<Act>,
    pub(super) meanwhile: Option<Act>,
    pub(super) afterwards: Option<Act>,
    /// It changes its namespace for everybody in it.
    pub(super) alone: bool,
}

/// Which status of which kind of object settles how a scenario ends.
#[derive(Clone, Copy)]
pub(super) struct Decisive {
    /// `pods`, `jobs` … as in the API's paths.
    pub(super) resource: &'static str,
    pub(super) holds: fn(&Value) -> bool,
}

impl Case {
    /// A scenario that ends well.
    pub(super) fn new(name: &'static str, title: &'static str, manifests: impl Into<String>) -> Self {
        Self {
            name,
            title,
            manifests: manifests.into(),
            timeout: 120,
            code: 0,
            cause: None,
            says: Vec::new(),
            within: 100,
            decisive: None,
            before: None,
            meanwhile: None,
            afterwards: None,
            alone: false,
        }
    }

    /// It fails, known to be beyond hope.
    pub(super) fn fails(self, cause: &'static str) -> Self {
        Self { code: 31, cause: Some(cause), ..self }
    }

    /// It is given up after so many seconds.
    pub(super) fn times_out(self, seconds: u64, cause: &'static str) -> Self {
        Self { code: 32, cause: Some(cause), timeout: seconds, within: seconds + 10, ..self }
    }

    /// The cluster does not take it.
    pub(super) fn refused(self) -> Self {
        Self { code: 30, ..self }
    }

    pub(super) fn says(mut self, words: &'static str) -> Self {
        self.says.push(words);
        self
    }

    pub(super) fn within(self, seconds: u64) -> Self {
        Self { within: seconds, ..self }
    }

    /// The cluster itself takes its time: the kubelet measures volumes once a minute.
    pub(super) fn slowly(self, seconds: u64) -> Self {
        Self { timeout: seconds, within: seconds, ..self }
    }

    /// From this status on its end is certain.
    pub(super) fn decided_by(self, resource: &'static str, holds: fn(&Value) -> bool) -> Self {
        Self { decisive: Some((Decisive { resource, holds }, Duration::ZERO)), ..self }
    }

    /// So long the rule waits after the decisive status.
    pub(super) fn after_a_grace_of(mut self, seconds: u64) -> Self {
        if let Some((_, grace)) = &mut self.decisive {
            *grace = Duration::from_secs(seconds);
        }
        self
    }

    pub(super) fn before(self, act: Act) -> Self {
        Self { before: Some(act), ..self }
    }

    pub(super) fn meanwhile(self, act: Act) -> Self {
        Self { meanwhile: Some(act), ..self }
    }

    pub(super) fn afterwards(self, act: Act) -> Self {
        Self { afterwards: Some(act), ..self }
    }

    pub(super) fn alone(self) -> Self {
        Self { alone: true, ..self }
    }
}

/// A Deployment with one replica; `spec` is what the pod's spec has, in YAML's flow style.
pub(super) fn deployment(name: &str, spec: &str) -> String {
    deployment_with(name, "replicas: 1", spec)
}

/// The same with other fields of its own.
pub(super) fn deployment_with(name: &str, fields: &str, spec: &str) -> String {
    workload("Deployment", name, fields, spec)
}

/// A Deployment, StatefulSet or DaemonSet.
pub(super) fn workload(kind: &str, name: &str, fields: &str, spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  {fields}\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec: {{terminationGracePeriodSeconds: 0, {spec}}}\n"
    )
}

/// A Job.
pub(super) fn job(name: &str, fields: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n  {fields}\n  template:\n    \
         spec: {{terminationGracePeriodSeconds: 0, restartPolicy: Never, {spec}}}\n"
    )
}

/// One busybox container that runs a script; `more` is what else it has.
pub(super) fn script(script: &str, more: &str) -> String {
    format!("containers: [{}]", container("app", script, more))
}

/// A busybox container in flow style.
pub(super) fn container(name: &str, script: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!("{{name: {name}, image: \"${{BASE}}/busybox\", command: [sh, -c, {script:?}]{comma}{more}}}")
}

/// A container that stays, ready at once.
pub(super) fn stays() -> String {
    script("sleep 100000", "readinessProbe: {exec: {command: [\"true\"]}, periodSeconds: 1}")
}

/// Several documents.
pub(super) fn documents(all: &[&str]) -> String {
    all.join("---\n")
}
