//! How long windlass takes, how much memory, and how much it asks, beside kubectl, Helm and the floor: a bare client that
//! makes only the requests without which it cannot be done.
//!
//! `make bench` runs it with the binary as it is shipped, on the lab: the cluster of fake nodes, where pods are ready at once,
//! so that what is measured is the client and the control plane. It prints what it writes to `docs/performance.md`.
//! `SPEED_PARTS` (`100,1000,pods,pipeline,cleanup,build`) chooses what runs, `SPEED_ROUNDS` (3) how often the quick ones do,
//! `SPEED_PAGE` is the file that is written.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::tests_outside_test_module,
    reason = "a measurement that cannot go on has failed, and its tables are for people"
)]

mod contenders;
mod large;
mod measure;
mod page;
mod tags;
mod tap;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use contenders::{Act, CONTEXT, Contender, Place, kubectl};
use large::{Home, Size};
use measure::{Table, Taken, median, taken};
use page::Page;
use tags::{TAGS_OF_IMAGE, Tags};
use tap::{Passed, Tap, TappedCluster, Upstream};

/// The control plane comes to rest: what the contender before left to do is not the next one's.
const SETTLE: Duration = Duration::from_secs(2);

#[test]
#[ignore = "a measurement: make bench"]
fn everything() {
    let parts =
        std::env::var("SPEED_PARTS").unwrap_or_else(|_| "100,1000,pods,pipeline,cleanup,build".to_owned());
    let parts: Vec<&str> = parts.split(',').collect();
    let rounds = std::env::var("SPEED_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let binary = binary();
    let mut page = Page::new(&binary);
    for part in ["100", "1000"] {
        if parts.contains(&part) {
            let count = part.parse().unwrap();
            // Of a thousand objects one round is long enough.
            let rounds = if count > 100 { 1 } else { rounds };
            page.add(
                &format!("{count} objects"),
                OBJECTS,
                &releases(&contenders::mixed(count), rounds, &binary),
            );
        }
    }
    if parts.contains(&"pods") {
        page.add("15,000 pods", PODS, &many_pods(&binary));
    }
    if parts.contains(&"pipeline") {
        page.add("A large project in which nothing changed", PIPELINE, &unchanged_pipeline(rounds, &binary));
    }
    if parts.contains(&"cleanup") {
        page.add("`cleanup` over 20,000 tags", CLEANUP, &old_registry(&binary));
    }
    if parts.contains(&"build") {
        page.add("A build with nothing to do", BUILD, &unchanged_build(rounds, &binary));
    }
    page.write();
}

/// No measurement: what the measurement runs as the floor.
#[test]
#[ignore = "the bare client of make bench"]
fn the_bare_client() {
    tokio::runtime::Runtime::new().unwrap().block_on(contenders::bare_client());
}

/// The windlass that is measured.
fn binary() -> PathBuf {
    PathBuf::from(std::env::var("SPEED_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_windlass").to_owned()))
}

const OBJECTS: &str = "Half ConfigMaps, a quarter Services, a quarter Deployments of one pod. *first*: into an empty namespace; \
    *nothing changed*: the same again; *one changed*: one Deployment has another image. kubectl is `apply`, then `rollout status` of \
    all Deployments; Helm is `upgrade --install --wait`; each in a namespace of its own. windlass counts a new pod as ready once it has \
    run for 2 s, for a program may end right after it has answered its probe: that is most of its time where pods are new. Of 1,000 objects, kubectl and Helm are \
    measured once, through the forwarder that counts.";

const PODS: &str = "30 Deployments of 500 pods each. windlass brings them up; what follows happens in the same namespace, one \
    contender after the other. That 15,000 pods become ready takes the cluster the time of *first*. Helm is left out: its `--wait` \
    takes more than eight minutes.";

const PIPELINE: &str = "`windlass pipeline staging` for the second time: 30 images, 40 tests, 2,000 manifests. Counted are all requests \
    to the registry, to the Docker Engine and to the API server; the floor is one to the registry for each image.";

const CLEANUP: &str = "`windlass cleanup` in ten repositories with 400 images each, which have three tags and two records (of the build and of a test) each. \
    One image in ten is young, one has a tag that windlass did not make; all else goes. The dry run asks the same and deletes nothing. \
    The registry (`docker-registry` 2.8) reads all tags of a repository for each deletion: its time is most of the second row.";

const BUILD: &str = "One image, 20,000 files of 10 kB in its context, of which none has changed.";

/// Each contender's acts, in rounds in which they alternate, and once more through a tap.
fn releases(objects: &[Value], rounds: usize, binary: &Path) -> Table {
    let mut all: BTreeMap<(Act, Contender), Vec<Taken>> = BTreeMap::new();
    for round in 0..=rounds {
        for who in Contender::ALL {
            // They take minutes for a thousand objects: once, with the tap, is enough.
            let is_slow = objects.len() > 100 && matches!(who, Contender::Kubectl | Contender::Helm);
            if is_slow && round < rounds {
                continue;
            }
            let place = Place::new(&format!("{}-{round}", who.name()), objects, binary);
            let tap = (round == rounds).then(|| TappedCluster::start(CONTEXT));
            std::thread::sleep(SETTLE);
            for act in Act::ALL {
                let taken = place.act(who, act, tap.as_ref());
                eprintln!(
                    "{} objects, round {round}: {} {}: {:.2} s",
                    objects.len(),
                    act.words(),
                    who.name(),
                    taken.seconds
                );
                let entry = all.entry((act, who)).or_default();
                match (tap.is_some(), entry.first_mut()) {
                    // Its time was spent in the tap as well.
                    (true, Some(first)) => first.passed = taken.passed,
                    _ => entry.push(taken),
                }
            }
        }
    }
    shown(&all.into_iter().map(|(key, rounds)| (key, median(&rounds))).collect())
}

/// 15,000 pods in one namespace.
fn many_pods(binary: &Path) -> Table {
    let _nodes = Nodes::add(16);
    let objects = contenders::crowds(30, 500);
    let place = Place::new("crowd", &objects, binary);
    let mut all: BTreeMap<(Act, Contender), Taken> = BTreeMap::new();
    for who in [Contender::Windlass, Contender::Kubectl, Contender::Floor] {
        let acts =
            if who == Contender::Windlass { &Act::ANY[..] } else { &[Act::Unchanged, Act::OneChanged] };
        for act in acts.iter().copied() {
            std::thread::sleep(SETTLE);
            let taken = place.act(who, act, None);
            eprintln!("15,000 pods: {} {}: {:.2} s", act.words(), who.name(), taken.seconds);
            all.insert((act, who), taken);
        }
        let tap = TappedCluster::start(CONTEXT);
        for act in [Act::Unchanged, Act::OneChanged] {
            let passed = place.act(who, act, Some(&tap)).passed;
            all.get_mut(&(act, who)).unwrap().passed = passed;
        }
    }
    shown(&all)
}

/// Further fake nodes, for a thousand pods each; they go with it.
struct Nodes(Vec<String>);

impl Nodes {
    fn add(count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|index| format!("speed-{index}")).collect();
        let node = |name: &String| {
            let room = json!({"cpu": "64", "memory": "256Gi", "pods": "1000"});
            let labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
            let metadata =
                json!({"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": labels});
            json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"allocatable": room, "capacity": room}})
        };
        let nodes: Vec<Value> = names.iter().map(node).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string())
            .unwrap();
        let nodes = Self(names);
        kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
        let ready = nodes.0.iter().map(|name| format!("node/{name}"));
        let wait: Vec<String> = ["wait", "--for=condition=Ready", "--timeout=60s"]
            .map(str::to_owned)
            .into_iter()
            .chain(ready)
            .collect();
        kubectl(&wait.iter().map(String::as_str).collect::<Vec<_>>());
        nodes
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let delete = ["--context", CONTEXT, "delete", "node", "--ignore-not-found"];
        let _ = Command::new("kubectl").args(delete).args(&self.0).output();
    }
}

/// What was measured, with the times of the floor.
fn shown(all: &BTreeMap<(Act, Contender), Taken>) -> Table {
    let mut table = Table::new(&["", "", "seconds", "× floor", "CPU s", "peak MB", "requests", "MB"]);
    for ((act, who), taken) in all {
        let floor = all.get(&(*act, Contender::Floor));
        let passed = taken.passed;
        table.row([
            act.words().to_owned(),
            who.name().to_owned(),
            format!("{:.2}", taken.seconds),
            floor.map(|floor| format!("{:.1}", taken.seconds / floor.seconds)).unwrap_or_default(),
            format!("{:.2}", taken.cpu),
            format!("{:.0}", taken.memory),
            passed.map(|passed| passed.requests.to_string()).unwrap_or_default(),
            passed.map(|passed| megabytes(passed.bytes)).unwrap_or_default(),
        ]);
    }
    table
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.2}")
}

fn lab(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: make bench"))
}

/// The second pipeline of a large project, directly and once more through taps.
fn unchanged_pipeline(rounds: usize, binary: &Path) -> Table {
    let size = Size { images: 30, tests: 40, manifests: 2_000 };
    let name = format!("speed-pipeline-{}", std::process::id());
    let (registry, base) = (lab("LAB_REGISTRY"), format!("{}/base", lab("LAB_REGISTRY")));
    let directory = tempfile::tempdir().unwrap();
    let home = Home { name: &name, registry: &registry, base: &base, context: CONTEXT };
    large::write(directory.path(), &home, size);
    let _namespace = Namespace(&name);
    let first = taken(&pipeline(binary, directory.path()));
    eprintln!("the first pipeline: {:.1} s", first.seconds);
    let direct: Vec<Taken> = (0..rounds.max(3)).map(|_| taken(&pipeline(binary, directory.path()))).collect();
    let taken = median(&direct);
    let passed = counted_pipeline(binary, &home, directory.path());
    let heads = ["", "", "seconds", "CPU s", "peak MB", "registry", "Engine", "API server", "requests", "MB"];
    let mut table = Table::new(&heads);
    let all = passed.into_iter().fold(Passed::default(), |one, other| one + other);
    let counts = passed.into_iter().chain([all]).map(|passed| passed.requests.to_string());
    let times =
        [format!("{:.2}", taken.seconds), format!("{:.2}", taken.cpu), format!("{:.0}", taken.memory)];
    let words = ["nothing changed".to_owned(), "windlass".to_owned()];
    table.row(words.into_iter().chain(times).chain(counts).chain([megabytes(all.bytes)]));
    table
}

fn pipeline(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(directory).args(["pipeline", "staging", "-o", "plain"]);
    command
}

/// What a pipeline in which nothing changed asks of the registry, the Engine and the API server. The registry has another
/// address then, which changes every image's name: a first run of that counts for nothing.
fn counted_pipeline(binary: &Path, home: &Home<'_>, directory: &Path) -> [Passed; 3] {
    let engine = lab("DOCKER_HOST").replace("unix://", "");
    let registry = Tap::start(Upstream::Tcp(home.registry.to_owned()));
    let engine = Tap::start(Upstream::Unix(engine.into()));
    let cluster = TappedCluster::start(CONTEXT);
    let file = directory.join("windlass.yaml");
    let config = std::fs::read_to_string(&file).unwrap();
    let own = format!("registry: {}", home.registry);
    std::fs::write(&file, config.replace(&own, &format!("registry: {}", registry.address))).unwrap();
    let mut git = Command::new("git");
    git.current_dir(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
    assert!(git.args(["commit", "-qam", "another address"]).status().unwrap().success());
    let run = || {
        let mut command = pipeline(binary, directory);
        command
            .env("DOCKER_HOST", format!("tcp://{}", engine.address))
            .env("KUBECONFIG", cluster.kubeconfig());
        taken(&command);
        [&registry, &engine, &cluster.tap].map(Tap::take)
    };
    run();
    run()
}

/// A namespace that goes in the end.
struct Namespace<'a>(&'a str);

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let delete =
            ["--context", CONTEXT, "delete", "namespace", self.0, "--ignore-not-found", "--timeout=10m"];
        let _ = Command::new("kubectl").args(delete).output();
    }
}

/// A registry of 20,000 tags, without and with deletion.
fn old_registry(binary: &Path) -> Table {
    let (registry, name) = (lab("LAB_REGISTRY"), format!("speed-cleanup-{}", std::process::id()));
    let tags = Tags { registry: &registry, name: &name, repositories: 10, images: 400 };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(tags.put());
    let tap = Tap::start(Upstream::Tcp(registry.clone()));
    let images: String = (0..tags.repositories).map(|image| format!("i{image:03}: {{}}, ")).collect();
    let run = |registry: &str, arguments: &[&str]| {
        let directory = tempfile::tempdir().unwrap();
        let config =
            format!("version: 1\nproject: {name}\nregistry: {registry}/{name}\nimages: {{{images}}}\n");
        std::fs::write(directory.path().join("windlass.yaml"), config).unwrap();
        for arguments in
            [&["init", "-q", "-b", "main"] as &[&str], &["add", "-A"], &["commit", "-qm", "first"]]
        {
            let mut git = Command::new("git");
            git.current_dir(directory.path()).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
            assert!(git.args(arguments).status().unwrap().success());
        }
        let mut command = Command::new(binary);
        command.current_dir(directory.path()).args(["cleanup", "-o", "plain"]).args(arguments);
        taken(&command)
    };
    let mut table = Table::new(&["", "tags", "seconds", "CPU s", "peak MB", "requests", "MB"]);
    let mut row = |what: &str, taken: Taken, passed: Passed| {
        table.row([
            what.to_owned(),
            (tags.repositories * tags.images * TAGS_OF_IMAGE).to_string(),
            format!("{:.1}", taken.seconds),
            format!("{:.1}", taken.cpu),
            format!("{:.0}", taken.memory),
            passed.requests.to_string(),
            megabytes(passed.bytes),
        ]);
    };
    let dry = run(&registry, &["--dry-run"]);
    run(&tap.address, &["--dry-run"]);
    row("dry run", dry, tap.take());
    let all = run(&tap.address, &[]);
    row(&format!("{} images deleted", tags.unneeded()), all, tap.take());
    runtime.block_on(tags.clear());
    table
}

/// Beside `docker build`.
fn unchanged_build(rounds: usize, binary: &Path) -> Table {
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
    let name = format!("speed-build-{}", std::process::id());
    let (registry, base) = (lab("LAB_REGISTRY"), format!("BASE={}/base", lab("LAB_REGISTRY")));
    let config = format!(
        "version: 1\nproject: speed\nregistry: {registry}/{name}\nimages: {{app: {{args: {{BASE: {registry}/base}}}}}}\n"
    );
    write("windlass.yaml".to_owned(), config.as_bytes());
    let of = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(directory.path()).args(arguments);
        taken(&command)
    };
    let git = Path::new("git");
    of(git, &["init", "-q"]);
    of(git, &["add", "-A"]);
    of(git, &["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first"]);
    let windlass = || of(binary, &["build", "-q"]);
    let docker = || of(Path::new("docker"), &["build", "-q", "-t", &name, "--build-arg", &base, "."]);
    windlass();
    docker();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(docker());
        ours.push(windlass());
    }
    of(Path::new("docker"), &["rmi", "-f", &name]);
    let mut table = Table::new(&["", "", "seconds", "CPU s", "peak MB"]);
    for (who, rounds) in [("docker build", theirs), ("windlass build", ours)] {
        let taken = median(&rounds);
        let figures =
            [format!("{:.2}", taken.seconds), format!("{:.2}", taken.cpu), format!("{:.0}", taken.memory)];
        table.row(["nothing changed".to_owned(), who.to_owned()].into_iter().chain(figures));
    }
    table
}
