//! The test bench: a copy of the shop as a Git repository, the binary, and what the cluster and the registry say.

use std::io::Write;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A variable that `make env` exports.
pub(crate) fn lab(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run these tests by `make test`, or after eval \"$(make -s env)\"")
    })
}

/// What a run of windlass came to.
pub(crate) struct Run {
    /// The exit code, or the signal that ended it, negative.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    /// The events of a run with `-o json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The last line of a run with `-o json`.
    pub(crate) fn finished(&self) -> Value {
        let last = self.events().pop().unwrap_or_else(|| panic!("no events; {self}"));
        assert_eq!(last["event"], "finished", "{self}");
        last
    }

    /// How the stages ended: `build skipped`.
    pub(crate) fn stages(&self) -> Vec<String> {
        let ended = self.events().into_iter().filter(|event| event["event"] == "stage-finished");
        ended
            .map(|event| {
                format!("{} {}", event["stage"].as_str().unwrap(), event["outcome"].as_str().unwrap())
            })
            .collect()
    }

    /// The run must have ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// The run must have said this to people.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words) || self.stdout.contains(words), "does not say {words:?}: {self}");
        self
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// windlass in a directory, to be started by the caller.
pub(crate) fn windlass(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.current_dir(directory).args(arguments).stdin(Stdio::null());
    outside_ci(&mut command);
    command
}

/// Takes the variables of CI systems away: the tests may themselves run in a job, and what they start is a developer's unless
/// they say otherwise.
pub(crate) fn outside_ci(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "CI" || ["CI_", "GITLAB_", "GITHUB_"].iter().any(|of_ci| text.starts_with(of_ci)) {
            command.env_remove(name);
        }
    }
}

/// A project of its own: a directory, a namespace, repositories in the lab's open registry.
pub(crate) struct Project {
    directory: tempfile::TempDir,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Whether the namespace is somebody else's to delete.
    guest: bool,
    /// The cluster that [`Project::kubectl`] asks.
    context: &'static str,
    environment: Vec<(String, String)>,
}

impl Project {
    /// A copy of the shop, committed.
    pub(crate) fn shop(test: &str) -> Self {
        let project = Self::empty(test);
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/shop")), &project.path());
        project.edit("windlass.yaml", "project: shop", &format!("project: {}", project.name));
        project.edit(
            "windlass.yaml",
            "namespace: shop-staging",
            &format!("namespace: {}", project.namespace),
        );
        project.edit("windlass.yaml", "namespace: shop\n", &format!("namespace: {}\n", project.namespace));
        project.edit("windlass.yaml", "staging.shop.test", &project.host());
        project.commit("the shop");
        project
    }

    /// A project whose one image is a busybox with what `dockerfile` adds, and whose manifests are these.
    pub(crate) fn small(test: &str, dockerfile: &str, manifests: &str) -> Self {
        let project = Self::empty(test);
        project.write("Dockerfile", dockerfile);
        project.write(".kube/app.yaml", manifests);
        project.write(
            "windlass.yaml",
            &format!(
                "version: 1\nproject: {}\nregistry: ${{REGISTRY}}\nimages: {{app: {{context: ., args: {{BASE: \"${{BASE}}\"}}}}}}\n\
                 tiers:\n  staging: {{context: lab-real, namespace: {}, timeout: 3m}}\n",
                project.name, project.namespace
            ),
        );
        project.commit("first");
        project
    }

    /// A project without images on the cluster of fake nodes; `config` is added to its windlass.yaml.
    pub(crate) fn bare(test: &str, config: &str, manifests: &str) -> Self {
        Self::bare_on("lab-fake", test, config, manifests)
    }

    /// A project without images.
    pub(crate) fn bare_on(context: &'static str, test: &str, config: &str, manifests: &str) -> Self {
        let mut project = Self::empty(test);
        project.context = context;
        project.write(".kube/app.yaml", manifests);
        project.write(
            "windlass.yaml",
            &format!(
                "version: 1\nproject: {}\nimages: {{}}\n\
                 tiers:\n  staging: {{context: {context}, namespace: {}, timeout: 1m}}\n{config}",
                project.name, project.namespace
            ),
        );
        project.commit("first");
        project
    }

    /// From now on [`Project::kubectl`] asks this cluster.
    pub(crate) fn on(&mut self, context: &'static str) {
        self.context = context;
    }

    /// An empty Git repository.
    pub(crate) fn empty(test: &str) -> Self {
        let name = format!("t-{test}-{}", std::process::id());
        let project = Self {
            directory: tempfile::tempdir().unwrap(),
            namespace: name.clone(),
            guest: false,
            context: "lab-real",
            environment: vec![
                ("REGISTRY".to_owned(), format!("{}/{name}", lab("LAB_REGISTRY"))),
                ("BASE".to_owned(), format!("{}/base", lab("LAB_REGISTRY"))),
            ],
            name,
        };
        project.git(&["init", "-q", "-b", "main"]);
        project.git(&["config", "user.name", "test"]);
        project.git(&["config", "user.email", "test@example.com"]);
        project
    }

    /// Shares a namespace that somebody else deletes.
    pub(crate) fn move_into(&mut self, namespace: &str) {
        namespace.clone_into(&mut self.namespace);
        self.guest = true;
    }

    /// Its directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    /// The host name its Ingress answers to.
    pub(crate) fn host(&self) -> String {
        format!("{}.shop.test", self.name)
    }

    /// The address of its repository: `host:port/name/image`.
    pub(crate) fn repository(&self, image: &str) -> String {
        format!("{}/{}/{image}", lab("LAB_REGISTRY"), self.name)
    }

    /// Sets a variable for the runs of windlass.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Writes a file.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Replaces words that must be there.
    pub(crate) fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old:?}");
        std::fs::write(path, text.replace(old, new)).unwrap();
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Runs git and returns what it said.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        text(Command::new("git").current_dir(self.path()).args(arguments))
    }

    /// From now on windlass is somebody who has only these rights (rules of a Role, in YAML's flow style) in the project's
    /// namespace.
    pub(crate) fn with_rights(&mut self, rules: &str) {
        let manifests = format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: somebody}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: somebody}}\nrules: {rules}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: somebody}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: somebody}}\n\
             subjects: [{{kind: ServiceAccount, name: somebody, namespace: {}}}]\n",
            self.namespace
        );
        self.pipe_to_kubectl(&manifests, &["apply", "-f", "-"]).exits(0);
        let token = self.kubectl(&["create", "token", "somebody"]);
        let view = ["config", "view", "--raw", "--minify", "--context", self.context, "-o", "json"];
        let mut config: Value = serde_json::from_str(&text(Command::new("kubectl").args(view))).unwrap();
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let file = self.rights();
        std::fs::write(&file, config.to_string()).unwrap();
        self.set("KUBECONFIG", file.display().to_string());
    }

    /// The kubeconfig of somebody with few rights: beside the directory, which is Git's.
    fn rights(&self) -> PathBuf {
        self.path().with_extension("kubeconfig")
    }

    /// Runs windlass in the project.
    pub(crate) fn windlass(&self, arguments: &[&str]) -> Run {
        self.windlass_in(&self.path(), arguments)
    }

    /// The variables that its commands get.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Runs windlass with the project's environment, elsewhere.
    pub(crate) fn windlass_in(&self, directory: &Path, arguments: &[&str]) -> Run {
        let began = Instant::now();
        let output = self.command(directory, arguments).output().unwrap();
        run(&output, began.elapsed())
    }

    /// windlass with the project's environment, to be started by the caller.
    pub(crate) fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = windlass(directory, arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// kubectl in the project's namespace on its cluster.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        text(Command::new("kubectl").args(["--context", self.context, "-n", &self.namespace]).args(arguments))
    }

    /// Pipes this into kubectl in the project's namespace on its cluster.
    pub(crate) fn pipe_to_kubectl(&self, input: &str, arguments: &[&str]) -> Run {
        let began = Instant::now();
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", self.context, "-n", &self.namespace]).args(arguments);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = kubectl.spawn().unwrap();
        running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        run(&running.wait_with_output().unwrap(), began.elapsed())
    }

    /// Deletes a namespace that a test has made besides its own.
    pub(crate) fn drop_namespace(&self, namespace: &str) {
        assert!(namespace.starts_with(&self.name), "a namespace of its own");
        text(Command::new("kubectl").args([
            "--context",
            "lab-real",
            "delete",
            "namespace",
            namespace,
            "--wait=false",
        ]));
    }

    /// An object of the project's namespace; `null` where there is none.
    pub(crate) fn object(&self, name: &str) -> Value {
        let shown = self.kubectl(&["get", name, "-o", "json", "--ignore-not-found"]);
        if shown.trim().is_empty() { Value::Null } else { serde_json::from_str(&shown).unwrap() }
    }

    /// What the shop answers through its Ingress, once it says these words.
    pub(crate) fn answer(&self, words: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let asked = Command::new("curl")
                .args([
                    "-s",
                    "-m",
                    "5",
                    "-H",
                    &format!("Host: {}", self.host()),
                    &format!("http://{}/", lab("LAB_INGRESS")),
                ])
                .output()
                .unwrap();
            let answer = String::from_utf8_lossy(&asked.stdout).into_owned();
            if answer.contains(words) {
                return answer;
            }
            assert!(Instant::now() < deadline, "the shop does not say {words:?} but {answer:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.rights());
        if self.guest {
            if std::thread::panicking() {
                // What a test that failed leaves in a namespace that others share would fail them, too.
                let remove = ["remove", "staging", "--confirm", "staging", "--with-data"];
                let _ = self.windlass(&remove);
            }
            return;
        }
        let _ = Command::new("kubectl")
            .args([
                "--context",
                self.context,
                "delete",
                "namespace",
                &self.namespace,
                "--ignore-not-found",
                "--wait=false",
            ])
            .output();
    }
}

/// What a process came to, as a run.
pub(crate) fn run(output: &Output, took: Duration) -> Run {
    Run {
        code: output.status.code().or(output.status.signal().map(|signal| -signal)).unwrap(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took,
    }
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Copies a directory; links become what they lead to.
pub(crate) fn copy(from: &Path, to: &Path) {
    text(Command::new("cp").args(["-RL"]).arg(from.join(".")).arg(to));
}
