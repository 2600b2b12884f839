//! How long a release takes beside kubectl, Helm and the floor: a bare client that creates the objects over eight
//! requests at a time and watches until all are available. `make bench` runs it on the lab's cluster of fake nodes, where
//! pods are ready at once, so that what is measured is the client and the control plane.
//!
//! The contenders alternate, each in a namespace of its own; medians and ratios to the floor are printed. Read the
//! ratios: the machine's load is in every number. `SPEED_OBJECTS` (100) and `SPEED_ROUNDS` (3) change the size,
//! `SPEED_TOOLS` (`windlass,kubectl,helm 4`) who runs beside the floor.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::tests_outside_test_module,
    reason = "a measurement that cannot go on has failed, and its table is for people"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use windlass::cluster::{Cluster, Target, WatchItem, WatchSubject, Watches};
use windlass::report::Reporter;
use windlass::session::Session;

const CONTEXT: &str = "lab-fake";
/// The control plane comes to rest: what the contender before left to do is not the next one's.
const SETTLE: Duration = Duration::from_secs(2);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Half ConfigMaps, a quarter Deployments with a readiness probe, a quarter Services.
fn objects(count: usize) -> Vec<Value> {
    let maps = (0..count / 2).map(|index| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{index}")}, "data": {"key": format!("value {index}")}})
    });
    let apps = (0..count / 4).flat_map(|index| {
        let name = format!("app-{index}");
        let container = json!({"name": "app", "image": "registry.test/app:1", "readinessProbe": {"httpGet": {"port": 80}}});
        let spec = json!({"selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}});
        [
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}),
        ]
    });
    maps.chain(apps).collect()
}

/// A contender in a namespace and a directory of its own.
struct Place {
    namespace: String,
    directory: tempfile::TempDir,
}

impl Place {
    fn new(name: &str, round: usize, objects: &[Value]) -> Self {
        let namespace = format!("speed-{name}-{round}-{}", std::process::id());
        kubectl(&["create", "namespace", &namespace]);
        let place = Self { namespace, directory: tempfile::tempdir().unwrap() };
        let documents = windlass::manifest::to_yaml(objects);
        place.write(".kube/all.yaml", &documents);
        place.write(
            "windlass.yaml",
            &format!("version: 1\nproject: speed\nimages: {{}}\ntiers: {{bench: {{context: {CONTEXT}, namespace: {}}}}}\n", place.namespace),
        );
        place.write("chart/Chart.yaml", "apiVersion: v2\nname: speed\nversion: 1.0.0\n");
        place.write("chart/templates/all.yaml", &documents);
        place
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Another image for the first Deployment.
    fn change_one(&self) {
        for file in [".kube/all.yaml", "chart/templates/all.yaml"] {
            let text = std::fs::read_to_string(self.directory.path().join(file)).unwrap();
            self.write(file, &text.replacen("registry.test/app:1", "registry.test/app:2", 1));
        }
    }
}

/// Deletes the namespaces of a round and waits until they are gone: the work of that is no part of the next round.
fn clear(places: &[Place]) {
    let names = places.iter().map(|place| place.namespace.as_str());
    kubectl(&["delete", "namespace"].into_iter().chain(names).collect::<Vec<_>>());
    std::thread::sleep(SETTLE);
}

fn kubectl(arguments: &[&str]) -> Output {
    run(Command::new("kubectl").args(["--context", CONTEXT]).args(arguments))
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A tool that brings a directory's objects to a namespace and waits for them; it returns how many requests it made,
/// where it says so.
type Tool = fn(&Place) -> Option<u64>;

fn with_windlass(place: &Place) -> Option<u64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    let output =
        run(command.current_dir(place.directory.path()).args(["release", "bench", "-v", "-o", "plain"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line =
        said.lines().find(|line| line.contains("to the API server")).unwrap_or_else(|| panic!("{said}"));
    line.split_whitespace().find_map(|word| word.parse().ok())
}

fn with_kubectl(place: &Place) -> Option<u64> {
    let file = place.directory.path().join(".kube/all.yaml");
    let text = file.to_string_lossy();
    kubectl(&["-n", &place.namespace, "apply", "-f", &text]);
    let names = kubectl(&["-n", &place.namespace, "get", "deployments", "-o", "name"]).stdout;
    for name in String::from_utf8(names).unwrap().lines() {
        kubectl(&["-n", &place.namespace, "rollout", "status", name]);
    }
    None
}

fn with_helm(place: &Place) -> Option<u64> {
    let helm = Path::new(&std::env::var("LAB_TOOLS").unwrap()).join("helm");
    let chart = place.directory.path().join("chart");
    let mut command = Command::new(helm);
    command
        .args(["--kube-context", CONTEXT, "-n", &place.namespace, "upgrade", "--install", "--wait", "speed"])
        .arg(chart);
    run(&mut command);
    None
}

/// The bare client.
async fn floor(place: &Place, objects: &[Value]) {
    let session = Session::new(Reporter::silent());
    let target = Target { contexts: vec![CONTEXT.to_owned()], namespace: place.namespace.clone(), pin: None };
    let cluster = Cluster::connect(&target, &session).await.unwrap();
    let wanted = objects.iter().filter(|object| object["kind"] == "Deployment").count();
    let created = stream::iter(objects.to_vec()).map(|object| {
        let cluster = cluster.clone();
        async move { cluster.create(&object).await.unwrap() }
    });
    created.buffer_unordered(8).collect::<Vec<_>>().await;
    let mut watches = Watches::new(&cluster);
    let subject = |kind: &str| WatchSubject {
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        selector: None,
    };
    watches.open(subject("Deployment"));
    let mut available = BTreeMap::new();
    while available.values().filter(|is| **is).count() < wanted {
        let items = match watches.next().await.1 {
            WatchItem::Listed(items) => items,
            WatchItem::Applied(item) => vec![item],
            _ => Vec::new(),
        };
        for item in items {
            let name = item["metadata"]["name"].as_str().unwrap().to_owned();
            available.insert(name, item["status"]["availableReplicas"] == 1);
        }
    }
}

/// Seconds and requests of every round, by contender and act.
type Table = BTreeMap<(&'static str, &'static str), Vec<(f64, Option<u64>)>>;

fn timed(table: &mut Table, who: &'static str, act: &'static str, work: impl FnOnce() -> Option<u64>) {
    let began = Instant::now();
    let requests = work();
    table.entry((act, who)).or_default().push((began.elapsed().as_secs_f64(), requests));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(table: &Table, count: usize) {
    let seconds = |key: &(&'static str, &'static str)| {
        table.get(key).map(|runs| median(runs.iter().map(|run| run.0).collect()))
    };
    let floor = seconds(&("1 first", "floor")).unwrap();
    println!("\n{count} objects: seconds (median), ratio to the floor, requests, each round");
    for (key, runs) in table {
        let median = seconds(key).unwrap();
        let requests = runs[0].1.map(|requests| format!("{requests} requests")).unwrap_or_default();
        let all: Vec<String> = runs.iter().map(|run| format!("{:.2}", run.0)).collect();
        println!(
            "  {:17} {:10} {median:7.2}  {:5.2}  {requests:13}  {}",
            key.0,
            key.1,
            median / floor,
            all.join(" ")
        );
    }
}

#[test]
#[ignore = "a measurement: make bench"]
fn releases_beside_their_peers() {
    let (count, rounds) = (number("SPEED_OBJECTS", 100), number("SPEED_ROUNDS", 3));
    let objects = objects(count);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tools: [(&'static str, Tool); 3] =
        [("windlass", with_windlass), ("kubectl", with_kubectl), ("helm 4", with_helm)];
    let named = std::env::var("SPEED_TOOLS").unwrap_or_else(|_| "windlass,kubectl,helm 4".to_owned());
    let mut table = Table::new();
    for round in 0..rounds {
        let floors = Place::new("floor", round, &objects);
        timed(&mut table, "floor", "1 first", || {
            runtime.block_on(floor(&floors, &objects));
            None
        });
        let mut places = vec![floors];
        for (who, tool) in tools.into_iter().filter(|(who, _)| named.split(',').any(|name| name == *who)) {
            let place = Place::new(&who.replace(' ', "-"), round, &objects);
            std::thread::sleep(SETTLE);
            timed(&mut table, who, "1 first", || tool(&place));
            timed(&mut table, who, "2 nothing changed", || tool(&place));
            place.change_one();
            timed(&mut table, who, "3 one changed", || tool(&place));
            places.push(place);
        }
        clear(&places);
    }
    print(&table, objects.len());
}

/// 20,000 files of 10 kB, on whose content nothing has changed.
#[test]
#[ignore = "a measurement: make bench"]
fn a_build_with_nothing_to_do_beside_docker() {
    let lab = |name: &str| std::env::var(name).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = |file: String, bytes: &[u8]| std::fs::write(directory.path().join(file), bytes).unwrap();
    for part in 0..200 {
        std::fs::create_dir_all(directory.path().join(format!("src/{part}"))).unwrap();
        for file in 0..100 {
            let line = format!("{part} {file} of a file whose bytes are like those of no other\n");
            write(format!("src/{part}/{file}"), &line.into_bytes().repeat(200)[..10_240]);
        }
    }
    write("Dockerfile".to_owned(), b"ARG BASE\nFROM ${BASE}/busybox\nCOPY src /src\n");
    write(".dockerignore".to_owned(), b".git\nwindlass.yaml\n");
    let name = format!("speed-{}", std::process::id());
    let (registry, base) = (lab("LAB_REGISTRY"), format!("BASE={}/base", lab("LAB_REGISTRY")));
    let config = format!(
        "version: 1\nproject: speed\nregistry: {registry}/{name}\nimages: {{app: {{args: {{BASE: {registry}/base}}}}}}\n"
    );
    write("windlass.yaml".to_owned(), config.as_bytes());
    let of = |program: &str, arguments: &[&str]| {
        run(Command::new(program).current_dir(directory.path()).args(arguments));
    };
    of("git", &["init", "-q"]);
    of("git", &["add", "-A"]);
    of("git", &["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first"]);
    let windlass = || of(env!("CARGO_BIN_EXE_windlass"), &["build", "-q"]);
    let docker = || of("docker", &["build", "-q", "-t", &name, "--build-arg", &base, "."]);
    windlass();
    docker();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..number("SPEED_ROUNDS", 3) {
        for (work, seconds) in [(&docker as &dyn Fn(), &mut theirs), (&windlass, &mut ours)] {
            let began = Instant::now();
            work();
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("\n20,000 files, 205 MB, nothing changed: seconds (median)");
    println!("  docker build {theirs:.2}, windlass build {ours:.2}, ratio {:.2}", ours / theirs);
}
