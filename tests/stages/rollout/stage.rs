//! Where scenarios play: a namespace that many of them share, a project for each, and the way a release goes there.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::Case;
use super::observe::Observer;
use crate::bench::{Project, Run, lab};

/// One scenario's project.
pub(super) struct Scene {
    pub(super) project: Project,
    timeout: u64,
}

/// How a scenario ended.
pub(super) struct Ending {
    pub(super) run: Run,
    pub(super) ended: Instant,
    pub(super) began: Instant,
}

impl Scene {
    pub(super) fn set(case: &Case, namespace: &str) -> Self {
        let mut project = Project::empty(&format!("r-{}", case.name));
        project.move_into(namespace);
        let scene = Self { project, timeout: case.timeout };
        scene.write(&case.manifests);
        scene
    }

    /// Other manifests, committed.
    pub(super) fn write(&self, manifests: &str) {
        let project = &self.project;
        project.write(".kube/app.yaml", manifests);
        project.write(
            "windlass.yaml",
            &format!(
                "version: 1\nproject: {}\nimages: {{}}\nvars: {{BASE: \"{}/base\", PRIVATE: \"{}\"}}\n\
                 tiers:\n  staging: {{context: lab-real, namespace: {}, timeout: {}s}}\n",
                project.name,
                lab("LAB_REGISTRY"),
                lab("LAB_REGISTRY_TLS"),
                project.namespace,
                self.timeout
            ),
        );
        project.git(&["add", "-A"]);
        project.git(&["commit", "-q", "--allow-empty", "-m", "a scenario"]);
    }

    /// The manifests as they stand now.
    pub(super) fn manifests(&self) -> String {
        std::fs::read_to_string(self.project.path().join(".kube/app.yaml")).unwrap()
    }

    /// Releases it once more, with one thing changed.
    pub(super) fn release_changed(&self, old: &str, new: &str) -> Run {
        let manifests = self.manifests();
        assert!(manifests.contains(old), "there is no {old:?}");
        self.write(&manifests.replace(old, new));
        self.release(None).run
    }

    /// Releases it; meanwhile something may happen.
    pub(super) fn release(&self, meanwhile: Option<super::case::Act>) -> Ending {
        let began = Instant::now();
        std::thread::scope(|scope| {
            if let Some(act) = meanwhile {
                scope.spawn(move || act(self));
            }
            let run = self.project.windlass(&["release", "staging", "-o", "json"]);
            Ending { run, ended: Instant::now(), began }
        })
    }

    /// Takes away what crashes on, so that others have the machine.
    pub(super) fn clear(&self) {
        let selector = format!("windlass.dev/project={}", self.project.name);
        let kinds = "deployments,statefulsets,daemonsets,jobs,pods,persistentvolumeclaims";
        self.project.kubectl(&["delete", kinds, "-l", &selector, "--wait=false"]);
        let rules = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        self.project.kubectl(&["delete", rules, &self.project.name, "--ignore-not-found"]);
    }

    /// Waits until something can be seen.
    pub(super) fn until(&self, what: &str, holds: impl Fn(&Project) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds(&self.project) {
            assert!(Instant::now() < deadline, "{what} did not come");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Ending {
    /// The entry of the causes that this is about: `Deployment/web image-not-found`.
    pub(super) fn cause(&self, named: &str) -> Option<Value> {
        let finished = self.run.events().pop()?;
        let causes = finished["causes"].as_array()?;
        let name =
            |cause: &Value| Some(format!("{} {}", cause["object"].as_str()?, cause["cause"].as_str()?));
        causes.iter().find(|cause| name(cause).as_deref() == Some(named)).cloned()
    }

    /// Seconds from the decisive status, and the grace of the rule after it, to the exit.
    pub(super) fn delay(&self, case: &Case, observer: &Observer) -> Option<f64> {
        let (decisive, grace) = case.decisive?;
        let decided = observer.first(self.began, case.name, decisive)? + grace;
        Some(match self.ended.checked_duration_since(decided) {
            Some(late) => late.as_secs_f64(),
            None => -decided.duration_since(self.ended).as_secs_f64(),
        })
    }
}
