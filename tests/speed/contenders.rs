//! Who brings a directory's objects to a namespace and waits for them: windlass, kubectl, Helm, and the floor, a bare client
//! that makes only the requests without which it cannot be done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use windlass::cluster::{Cluster, WatchItem, WatchSubject, Watches};
use windlass::project::Target;
use windlass::report::Reporter;
use windlass::session::Session;

use crate::measure::{Taken, taken};
use crate::tap::TappedCluster;

/// The lab's cluster of fake nodes.
pub(crate) const CONTEXT: &str = "lab-fake";
const IMAGE: &str = "registry.test/app:1";
const OTHER_IMAGE: &str = "registry.test/app:2";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Nothing is there yet.
    First,
    /// Everything is there as it is wanted.
    Unchanged,
    /// One Deployment has another image.
    OneChanged,
    /// `windlass status`
    Status,
    /// `windlass explain`
    Explain,
}

impl Act {
    /// What every contender can do.
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Unchanged, Self::OneChanged];
    /// What windlass can do.
    pub(crate) const ANY: [Self; 5] =
        [Self::First, Self::Unchanged, Self::OneChanged, Self::Status, Self::Explain];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Unchanged => "nothing changed",
            Self::OneChanged => "one changed",
            Self::Status => "status",
            Self::Explain => "explain",
        }
    }
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Floor,
    Windlass,
    Kubectl,
    Helm,
}

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Floor, Self::Windlass, Self::Kubectl, Self::Helm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Windlass => "windlass",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
        }
    }
}

/// Half ConfigMaps, a quarter Deployments with a readiness probe, a quarter Services.
pub(crate) fn mixed(count: usize) -> Vec<Value> {
    let maps = (0..count / 2).map(|index| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{index}")}, "data": {"key": format!("value {index}")}})
    });
    let apps = (0..count / 4).flat_map(|index| {
        let name = format!("app-{index}");
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}});
        [service, deployment(&name, 1)]
    });
    maps.chain(apps).collect()
}

/// A few Deployments of many pods.
pub(crate) fn crowds(deployments: usize, pods: usize) -> Vec<Value> {
    (0..deployments).map(|index| deployment(&format!("crowd-{index}"), pods)).collect()
}

fn deployment(name: &str, replicas: usize) -> Value {
    let container = json!({"name": "app", "image": IMAGE, "readinessProbe": {"httpGet": {"port": 80}}});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
        "metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
}

/// A namespace and a directory with these objects in every form that a contender wants; both go with it.
pub(crate) struct Place {
    pub(crate) namespace: String,
    directory: tempfile::TempDir,
    binary: PathBuf,
}

impl Place {
    pub(crate) fn new(name: &str, objects: &[Value], binary: &Path) -> Self {
        let namespace = format!("speed-{name}-{}", std::process::id());
        kubectl(&["create", "namespace", &namespace]);
        let place = Self { namespace, directory: tempfile::tempdir().unwrap(), binary: binary.to_owned() };
        let documents = windlass::manifest::to_yaml(objects);
        place.write(".kube/all.yaml", &documents);
        place.write(
            "windlass.yaml",
            &format!(
                "version: 1\nproject: speed\nimages: {{}}\ntiers: {{bench: {{context: {CONTEXT}, namespace: {}, timeout: 20m}}}}\n",
                place.namespace
            ),
        );
        place.write("chart/Chart.yaml", "apiVersion: v2\nname: speed\nversion: 1.0.0\n");
        place.write("chart/templates/all.yaml", &documents);
        place.write("objects.json", &json!(objects).to_string());
        place
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Another image for the first Deployment, or the first one again.
    fn change_one(&self) {
        for file in [".kube/all.yaml", "chart/templates/all.yaml", "objects.json"] {
            let text = std::fs::read_to_string(self.path(file)).unwrap();
            let (old, new) =
                if text.contains(OTHER_IMAGE) { (OTHER_IMAGE, IMAGE) } else { (IMAGE, OTHER_IMAGE) };
            self.write(file, &text.replacen(old, new, 1));
        }
    }

    /// Does it, and counts where there is a tap.
    pub(crate) fn act(&self, who: Contender, act: Act, tap: Option<&TappedCluster>) -> Taken {
        if act == Act::OneChanged {
            self.change_one();
        }
        if let Some(tap) = tap {
            tap.tap.take();
        }
        let commands = match who {
            Contender::Floor => vec![self.floor(act)],
            Contender::Windlass => vec![self.windlass(act)],
            Contender::Kubectl => self.kubectl(),
            Contender::Helm => vec![self.helm()],
        };
        let mut all = Taken::default();
        for mut command in commands {
            if let Some(tap) = tap {
                command.env("KUBECONFIG", tap.kubeconfig());
            }
            all = all.then(taken(&command));
        }
        all.passed = tap.map(|tap| tap.tap.take());
        all
    }

    fn windlass(&self, act: Act) -> Command {
        let verb = match act {
            Act::Status | Act::Explain => act.words(),
            _ => "release",
        };
        let mut command = Command::new(&self.binary);
        command.current_dir(self.directory.path()).args([verb, "bench", "-o", "plain"]);
        command
    }

    fn kubectl(&self) -> Vec<Command> {
        let of = |arguments: &[&str]| {
            let mut command = Command::new("kubectl");
            command.args(["--context", CONTEXT, "-n", &self.namespace]).args(arguments);
            command
        };
        let file = self.path(".kube/all.yaml").display().to_string();
        vec![of(&["apply", "-f", &file]), of(&["rollout", "status", "deployment", "--timeout=20m"])]
    }

    fn helm(&self) -> Command {
        let mut command = Command::new(Path::new(&std::env::var("LAB_TOOLS").unwrap()).join("helm"));
        command.args(["--kube-context", CONTEXT, "-n", &self.namespace, "upgrade", "--install", "--wait"]);
        command.args(["--timeout=20m", "--take-ownership", "speed"]).arg(self.path("chart"));
        command
    }

    /// This very program, as the bare client.
    fn floor(&self, act: Act) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "the_bare_client"]);
        command.env("SPEED_NAMESPACE", &self.namespace).env("SPEED_FILE", self.path("objects.json"));
        command.env("SPEED_ACT", act.words());
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let delete = ["delete", "namespace", &self.namespace, "--ignore-not-found", "--timeout=10m"];
        let _ = Command::new("kubectl").args(["--context", CONTEXT]).args(delete).output();
    }
}

pub(crate) fn kubectl(arguments: &[&str]) -> Output {
    let mut command = Command::new("kubectl");
    let output = command.args(["--context", CONTEXT]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What the bare client does: creates the objects over eight requests at a time and watches until all are available; where
/// nothing has changed it lists each kind once; where one has, it applies that and watches.
pub(crate) async fn bare_client() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = std::fs::read_to_string(variable("SPEED_FILE")).unwrap();
    let objects: Vec<Value> = serde_json::from_str(&text).unwrap();
    let target = Target {
        contexts: vec![CONTEXT.to_owned()],
        namespace: variable("SPEED_NAMESPACE"),
        ..Target::default()
    };
    let cluster = Cluster::connect(&target, &Session::new(Reporter::silent())).await.unwrap();
    let act = Act::ALL.into_iter().find(|act| act.words() == variable("SPEED_ACT")).unwrap();
    match act {
        Act::First => {
            let wanted = objects.iter().filter(|object| object["kind"] == "Deployment").count();
            let created = stream::iter(objects).map(|object| {
                let cluster = cluster.clone();
                async move { cluster.create(&object).await.unwrap() }
            });
            created.buffer_unordered(8).collect::<Vec<_>>().await;
            available(&cluster, wanted, None).await;
        }
        Act::Unchanged => {
            for (version, kind) in [("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment")] {
                if objects.iter().any(|object| object["kind"] == kind) {
                    let namespace = target.namespace.as_str();
                    cluster.list(version, kind, Some(namespace), None).await.unwrap();
                }
            }
        }
        Act::OneChanged => {
            let mut changed = objects.into_iter().find(|object| object["kind"] == "Deployment").unwrap();
            changed["metadata"]["namespace"] = json!(target.namespace);
            let options = windlass::cluster::ApplyOptions { force: true, ..Default::default() };
            let applied = cluster.apply(&changed, options).await.unwrap();
            available(&cluster, 1, Some(&applied)).await;
        }
        Act::Status | Act::Explain => unreachable!("only windlass is asked for it"),
    }
}

/// Waits until so many Deployments, or this one in its new generation, have all their pods available and no others.
async fn available(cluster: &Cluster, wanted: usize, only: Option<&Value>) {
    let mut watches = Watches::new(cluster);
    watches.open(WatchSubject {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: None,
        selector: None,
    });
    let mut available = BTreeMap::new();
    while available.values().filter(|is| **is).count() < wanted {
        let items = match watches.next().await.1 {
            WatchItem::Page { items, .. } => items,
            WatchItem::Applied(item) => vec![item],
            _ => Vec::new(),
        };
        for item in items {
            let (name, status) = (&item["metadata"]["name"], &item["status"]);
            if only.is_some_and(|only| only["metadata"]["name"] != *name) {
                continue;
            }
            let replicas = &item["spec"]["replicas"];
            let is = status["observedGeneration"] == item["metadata"]["generation"]
                && ["replicas", "updatedReplicas", "availableReplicas"]
                    .iter()
                    .all(|key| status[*key] == *replicas);
            available.insert(name.as_str().unwrap().to_owned(), is);
        }
    }
}
