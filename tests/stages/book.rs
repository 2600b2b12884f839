//! What the book tells to type is typed: the commands of its pages, in their order, on the lab.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::adopt::{plain_manifests, pods, wait_for_the_shop};
use crate::bench::{Project, Run, lab, outside_ci, run, text};
use crate::init::{answers, repository_for};

/// The commands in the `sh` blocks of a page.
fn commands(page: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(page).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands: Vec<String> = blocks.flat_map(str::lines).map(str::to_owned).collect();
    assert!(!commands.is_empty());
    commands
}

/// Makes the lab's cluster the current one of a kubeconfig of the project's own, as a reader has it.
fn with_current_context(project: &mut Project, context: &str) {
    let kubeconfig = project.path().join(".git/kubeconfig");
    std::fs::copy(lab("KUBECONFIG"), &kubeconfig).unwrap();
    let kubeconfig = kubeconfig.display().to_string();
    let config = ["--kubeconfig", &kubeconfig, "config"];
    text(Command::new("kubectl").args(config).args(["use-context", context]));
    text(Command::new("kubectl").args(config).args([
        "set-context",
        context,
        "--namespace",
        &project.namespace,
    ]));
    project.set("KUBECONFIG", &kubeconfig);
}

/// Types a line into a shell in the project's directory.
fn typed(project: &Project, line: &str) -> Run {
    let windlass = Path::new(env!("CARGO_BIN_EXE_windlass")).parent().unwrap();
    let path = format!("{}:{}:{}", windlass.display(), lab("LAB_TOOLS"), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(project.path()).stdin(Stdio::null());
    outside_ci(&mut command);
    command.envs(project.environment()).env("PATH", path);
    let began = Instant::now();
    run(&command.output().unwrap(), began.elapsed())
}

#[test]
fn the_first_hour() {
    let mut project = repository_for("book-hour", "one-dockerfile");
    with_current_context(&mut project, "lab-real");
    for line in commands("first-hour.md") {
        match line.as_str() {
            "cargo install --locked --path ." => {}
            "windlass init" => {
                typed(&project, &line).exits(0);
                let registry = format!("registry: {}/{}", lab("LAB_REGISTRY"), project.name);
                project.edit("windlass.yaml", "# registry: HOST/PATH", &registry);
                project.commit("windlass");
            }
            "windlass pipeline staging --timeout 1m" => {
                answers(&project, "app:80", "the shop");
                // "Name a readinessProbe path that does not exist."
                let manifest = std::fs::read_to_string(project.path().join(".kube/app.yaml")).unwrap();
                let probe = manifest.split_once("readinessProbe:").unwrap().1;
                let path = probe.split_once("path: ").unwrap().1.split([',', '}', '\n']).next().unwrap();
                let wrong = probe.replacen(&format!("path: {path}"), "path: /nowhere", 1);
                project.edit(".kube/app.yaml", probe, &wrong);
                let failed = typed(&project, &line);
                assert!(matches!(failed.code, 31 | 32), "{failed}");
                failed.says("readiness-probe").says("windlass rollback staging");
            }
            line => {
                typed(&project, line).exits(0);
            }
        }
    }
    answers(&project, "app:80", "the shop");
}

/// Types the commands of a page about moving here. Until the first release no pod is touched.
fn moves(project: &Project, lines: Vec<String>, named: &str) {
    let before = pods(project);
    for line in lines {
        typed(project, &line.replace("shop-staging", &project.namespace)).exits(0);
        if line.starts_with("helm get manifest") {
            project.commit("as it runs");
        }
        if !line.starts_with("windlass release") {
            assert_eq!(pods(project), before, "{line}");
        }
    }
    project.windlass(&["history", "staging"]).exits(0).says(named);
    project.answer("Welcome to the shop");
}

#[test]
fn moving_here_from_helm() {
    let mut project = Project::shop("book-helm");
    with_current_context(&mut project, "lab-real");
    let chart = tempfile::tempdir().unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: shop\nversion: 0.1.0\n").unwrap();
    std::fs::write(chart.path().join("templates/all.yaml"), plain_manifests(&project)).unwrap();
    typed(
        &project,
        &format!(
            "helm install the-shop {} -n {} --create-namespace",
            chart.path().display(),
            project.namespace
        ),
    )
    .exits(0);
    wait_for_the_shop(&project);
    std::fs::remove_dir_all(project.path().join(".kube")).unwrap();
    std::fs::create_dir(project.path().join(".kube")).unwrap();
    moves(&project, commands("moving/helm.md"), "adoption");
}

#[test]
fn moving_here_from_kubectl() {
    let mut project = Project::shop("book-kubectl");
    with_current_context(&mut project, "lab-real");
    project.kubectl(&["create", "namespace", &project.namespace]);
    let manifests = plain_manifests(&project);
    project.pipe_to_kubectl(&manifests, &["apply", "-f", "-"]).exits(0);
    wait_for_the_shop(&project);
    moves(&project, commands("moving/kubectl.md"), "adoption");
}

/// Pages about tools that are not here: what these have applied is what kubectl applies.
#[test]
#[ignore = "as moving from kubectl: make nightly"]
fn moving_here_from_other_tools() {
    for tool in ["skaffold", "werf", "kapp", "kustomize", "krane"] {
        let mut project = Project::shop(&format!("book-{tool}"));
        with_current_context(&mut project, "lab-real");
        project.kubectl(&["create", "namespace", &project.namespace]);
        let manifests = plain_manifests(&project);
        project.pipe_to_kubectl(&manifests, &["apply", "-f", "-"]).exits(0);
        wait_for_the_shop(&project);
        if tool == "kustomize" {
            let files = std::fs::read_dir(project.path().join(".kube")).unwrap().flatten();
            let names = files.map(|file| file.file_name().into_string().unwrap());
            let names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
            project.write(".kube/kustomization.yaml", &format!("resources: [{}]\n", names.join(", ")));
            project.commit("kustomize");
        }
        let is_here =
            |line: &String| !["krane", "helm", "windlass init"].iter().any(|tool| line.starts_with(tool));
        let lines = commands(&format!("moving/{tool}.md")).into_iter().filter(is_here).collect();
        moves(&project, lines, "adoption");
    }
}

#[test]
#[ignore = "one line of each page: make nightly"]
fn the_lines_of_the_reference() {
    let project = released("book-lines");
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    let (production, review) = (format!("{}-live", project.namespace), format!("{}-r", project.namespace));
    let tiers = format!(
        "  production: {{context: lab-real, namespace: {production}, after: staging, branches: [never]}}\n  \
         review/*: {{context: lab-real, namespace: \"{review}-${{WINDLASS_SLUG}}\"}}\n"
    );
    project.write("windlass.yaml", &(config + &tiers));
    project.edit(".kube/app.yaml", "value: '1'", "value: '2'");
    project.commit("two");
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.windlass(&["release", "production"]).exits(34);
    project.windlass(&["release", "review/feature-x"]).exits(0);
    for (page, says) in [
        ("reference/events.md", "\"event\":\"finished\""),
        ("reference/annotations.md", "deployment.apps/web"),
        ("reference/rules.md", "release 1"),
        ("configuration.md", "release 1"),
        ("guides/review-apps.md", "removed"),
    ] {
        for line in commands(page) {
            let line = line.split(" | jq").next().unwrap();
            let line = line
                .replace("shop-review-", &format!("{review}-"))
                .replace("shop-staging", &project.namespace)
                .replace("--context my-cluster", "--context lab-real")
                .replace("--context lab ", "--context lab-real ")
                .replace("project=shop", &format!("project={}", project.name))
                .replace("--project shop", &format!("--project {}", project.name))
                .replace("kubectl ", "kubectl --context lab-real ");
            typed(&project, &line).exits(0).says(says);
        }
    }
    let value = project.kubectl(&["get", "deployment/web", "-o", "jsonpath={..env[0].value}"]);
    assert_eq!(value, "1", "rolled back");
    project.drop_namespace(&production);
}

/// A project with an image, a pod that runs it, and its first good release.
fn released(test: &str) -> Project {
    let manifests = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  \
         template:\n    metadata: {labels: {app: web}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n        \
         - {name: web, image: app, env: [{name: VERSION, value: '1'}], command: [sh, -c, 'echo serving; sleep 100000'], \
         readinessProbe: {exec: {command: ['true']}, periodSeconds: 1}}\n";
    let project = Project::small(test, "ARG BASE\nFROM ${BASE}/busybox\nRUN echo $PPID > /made\n", manifests);
    project.windlass(&["pipeline", "staging"]).exits(0);
    project
}

#[test]
fn at_three_in_the_morning() {
    let project = released("book-night");
    project.edit(".kube/app.yaml", "value: '1'", "value: '2'");
    project.commit("two");
    project.windlass(&["pipeline", "staging"]).exits(0);
    let place = format!("--project {} --context lab-real --namespace {}", project.name, project.namespace);
    for line in commands("guides/night.md") {
        let line = line
            .replace("production", "staging")
            .replace("--project shop --context my-cluster --namespace shop", &place);
        match line.as_str() {
            // It follows until somebody interrupts it.
            "windlass logs staging --follow" => {
                let followed = typed(&project, &format!("timeout 5 {line}"));
                assert_eq!(followed.code, 124, "{followed}");
            }
            "windlass rollback staging" => {
                typed(&project, &line).exits(0).says("release 1");
            }
            line => {
                typed(&project, line).exits(0);
            }
        }
    }
    let value = project.kubectl(&["get", "deployment/web", "-o", "jsonpath={..env[0].value}"]);
    assert_eq!(value, "1", "rolled back");
}

#[test]
fn promotion() {
    let project = released("book-promotion");
    let (staging, live) = (&project.namespace, format!("{}-live", project.namespace));
    let tier = format!("  production: {{context: lab-real, namespace: {live}, after: staging}}\n");
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    project.write("windlass.yaml", &(config + &tier));
    project.commit("production");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["release", "production"]).exits(34).says("staging");
    for line in commands("guides/promotion.md") {
        typed(&project, &line.replace("my-cluster", "lab-real")).exits(0);
    }
    let digest = |namespace: &str| {
        let shown = ["get", "deployment/web", "-o", "jsonpath={..containers[0].image}"];
        let image =
            text(Command::new("kubectl").args(["--context", "lab-real", "-n", namespace]).args(shown));
        image.split_once('@').unwrap().1.to_owned()
    };
    assert_eq!(digest(staging), digest(&live), "the same digest");
    project.drop_namespace(&live);
}

#[test]
fn a_user_for_the_gitlab_job() {
    let mut project = Project::small("book-access", "FROM scratch\n", "");
    project.write(
        ".kube/app.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n",
    );
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: windlass}\nrules: ";
    let role = role.to_owned() + &crate::rights::rules() + "\n";
    project.write("windlass-role.yaml", &role);
    project.commit("access");
    with_current_context(&mut project, "lab-real");
    for line in commands("guides/access.md") {
        typed(&project, &line.replace("shop-staging", &project.namespace)).exits(0);
    }
    let user = format!("system:serviceaccount:{}:windlass", project.namespace);
    project.kubectl(&["auth", "can-i", "patch", "deployments.apps", "--as", &user]);
}

/// A Job that its release starts and does not wait for.
fn conversion(command: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: convert, annotations: {{windlass.dev/wait: started}}}}\nspec:\n  \
         backoffLimit: 0\n  template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 0\n      \
         containers: [{{name: convert, image: {}/base/busybox, command: [sh, -c, '{command}']}}]\n",
        lab("LAB_REGISTRY")
    )
}

#[test]
fn a_job_that_still_runs() {
    let project = Project::bare_on("lab-real", "book-jobs", "", &conversion("sleep 20"));
    project.windlass(&["release", "staging"]).exits(0);
    let lines = commands("guides/migrations.md");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, version) in lines.iter().zip(2..) {
        project.write(".kube/app.yaml", &conversion(&format!("sleep 100000; echo {version}")));
        project.commit("another content");
        project.windlass(&["release", "staging"]).exits(34).says("Job/convert");
        typed(&project, line).exits(0);
        let runs = project.kubectl(&["get", "job", "convert", "-o", "jsonpath={..command}"]);
        assert!(runs.contains(&format!("echo {version}")), "{runs}");
    }
}

#[test]
fn a_rule_is_tried_on_what_runs() {
    let group = format!("book-{}.example.com", std::process::id());
    let definition = crate::health::definition(&group);
    let widget = format!(
        "apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: orders}}\nstatus: {{stage: Serving, why: none}}\n"
    );
    let mut project = Project::bare("book-health", "", &definition);
    project.windlass(&["release", "staging"]).exits(0);
    let created = project.pipe_to_kubectl(&widget, &["create", "-f", "-"]);
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guides/custom-resources.md"));
    let page = page.unwrap().replace("example.com/v1", &format!("{group}/v1")).replace("Database", "Widget");
    let rule = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    project.write("windlass.yaml", &(config + rule));
    with_current_context(&mut project, "lab-fake");
    let tried: Vec<Run> = commands("guides/custom-resources.md")
        .iter()
        .map(|line| typed(&project, &line.replace("databases.example.com", &format!("widgets.{group}"))))
        .collect();
    project.kubectl(&["delete", "crd", &format!("widgets.{group}"), "--wait=false"]);
    created.exits(0);
    assert_eq!(tried.len(), 1, "one line of the page");
    for run in tried {
        run.exits(0).says("Widget/orders").says("ready").says("(windlass.yaml)");
    }
}
