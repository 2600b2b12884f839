//! The pipelines of `pipelines/`, whole: run by gitlab-ci-local, each job in a container of the image that windlass builds of itself.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::Value;

use crate::bench::{Project, Run, copy, lab, run, text};

/// The repository's own image, built by its own windlass.yaml on the lab's base.
fn image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut project = Project::empty("job-image");
        for file in ["Dockerfile", ".dockerignore", "windlass.yaml"] {
            project.write(
                file,
                &std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap(),
            );
        }
        project.write(".gitignore", "target\n");
        project.commit("the image of jobs");
        let programs = project.path().join("target/image");
        std::fs::create_dir_all(&programs).unwrap();
        text(
            Command::new("strip")
                .arg("-o")
                .arg(programs.join("windlass"))
                .arg(env!("CARGO_BIN_EXE_windlass")),
        );
        text(
            Command::new("sh")
                .args(["-c", "cp -L $(command -v kubectl) \"$LAB_TOOLS/helm\" ."])
                .current_dir(&programs),
        );
        project.set("BASE_IMAGE", base());
        project.set("CI_REGISTRY_IMAGE", format!("{}/jobs", lab("LAB_REGISTRY")));
        project.set("WINDLASS_OUTPUT", "json");
        let built = project.windlass(&["build"]).exits(0).finished();
        built["images"]["windlass"].as_str().unwrap().to_owned()
    })
}

/// A base that has what an image for jobs needs, and rsync for gitlab-ci-local.
fn base() -> String {
    format!("{}/base/job:12", lab("LAB_REGISTRY"))
}

/// A test that leaves a report with two cases.
const TEST: &str = "#!/bin/sh\nmkdir -p /tmp/reports\n\
    echo '<testsuite name=\"unit\"><testcase name=\"one\"/><testcase name=\"two\"/></testsuite>' >/tmp/reports/unit.xml\n";

/// A Deployment of this image, which answers nothing and is ready at once.
fn deployment(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {image}}}\nspec:\n  selector: {{matchLabels: {{app: {image}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {image}}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers: [{{name: {image}, image: {image}, \
         readinessProbe: {{exec: {{command: [\"true\"]}}, periodSeconds: 1}}}}]\n"
    )
}

const INGRESS: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n---\n\
    apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec:\n  rules:\n  - host: ${HOST}\n    http:\n      paths:\n      \
    - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}\n";

/// A repository with this pipeline: the windlass.yaml of its directory, and the jobs as `init` adds them to a pipeline that exists.
struct Pipeline {
    project: Project,
}

impl Pipeline {
    /// With an image in each of these directories.
    fn new(name: &str, directories: &[&str], manifests: &str) -> Self {
        // Short: a review app's namespace has the project and 40 characters of the branch.
        let initials: String = name.split('-').filter_map(|word| word.chars().next()).collect();
        let project = Project::empty(&format!("ci{initials}"));
        let own = &project.name;
        project.git(&["remote", "add", "origin", &format!("https://gitlab.test/group/{own}.git")]);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
        let config = std::fs::read_to_string(directory.join("windlass.yaml")).unwrap();
        let config = config
            .replace("my-cluster", "lab-real")
            .replace("staging-cluster", "lab-real")
            .replace("production-cluster", "lab-fake")
            .replace("project: shop", &format!("project: {own}"))
            .replace("namespace: shop-staging", &format!("namespace: {own}"))
            .replace("namespace: shop-review", &format!("namespace: {own}-review"))
            .replace("namespace: shop\n", &format!("namespace: {own}-production\n"))
            .replace("example.com", &project.host());
        project.write("windlass.yaml", &config);
        for directory in directories {
            let dockerfile = format!(
                "FROM {}/base/busybox\nCOPY run-tests content /\nRUN chmod +x /run-tests\nCMD [\"sleep\", \"100000\"]\n",
                lab("LAB_REGISTRY")
            );
            project.write(&format!("{directory}/Dockerfile"), &dockerfile);
            project.write(&format!("{directory}/run-tests"), TEST);
            project.write(&format!("{directory}/content"), &format!("{directory} 1\n"));
        }
        project.write(".dockerignore", ".git\n.kube\nwindlass.yaml\n.gitlab*\nreport\n");
        project.write(".gitignore", ".gitlab-ci-local*\n");
        project.write(".kube/all.yaml", manifests);
        project.write(".gitlab-ci.yml", "lint:\n  script: [\"true\"]\n");
        let begun = project.windlass(&["init", "--pipeline", name]).exits(0);
        assert!(begun.stdout.contains("include: [{local: .gitlab/windlass.yml}]"), "{begun}");
        let pipeline = Self { project };
        pipeline.include("{local: .gitlab/windlass.yml}");
        pipeline.variables(&[("*", "lab-real")]);
        pipeline.project.commit("first");
        pipeline
    }

    /// The file that GitLab reads, on a runner that binds Docker's socket.
    fn include(&self, what: &str) {
        self.project.write(".gitlab-ci.yml", &format!("include: [{what}]\n.windlass: {{services: []}}\n"));
    }

    /// The CI/CD variables of the project: a kubeconfig with one context for each environment.
    fn variables(&self, contexts: &[(&str, &str)]) {
        let mut file = format!(
            "WINDLASS_IMAGE: {}\nCI_REGISTRY_IMAGE: {}\nCI_DEFAULT_BRANCH: main\nKUBECONFIG:\n  type: file\n  values:\n",
            image(),
            self.project.repository("").trim_end_matches('/')
        );
        for (environment, context) in contexts {
            let view =
                ["config", "view", "--raw", "--flatten", "--minify", "-o", "json", "--context", context];
            let kubeconfig: Value = serde_json::from_str(&text(Command::new("kubectl").args(view))).unwrap();
            file += &format!("    '{environment}': '{kubeconfig}'\n");
        }
        self.project.write(".gitlab-ci-local-variables.yml", &file);
    }

    /// Runs these jobs, or all that no person must start.
    fn run(&self, jobs: &[&str]) -> Run {
        let engine = lab("DOCKER_HOST").replace("unix://", "");
        let mut command = gitlab_ci_local(&self.project);
        command
            .args(["--pull-policy", "if-not-present", "--network", "host"])
            .args(["--helper-image", &base(), "--volume", &format!("{engine}:/var/run/docker.sock")])
            .args(jobs);
        let began = Instant::now();
        run(&command.output().unwrap(), began.elapsed())
    }

    /// As [`Pipeline::run`], and every job must succeed: of one that may fail nothing else would be seen.
    #[track_caller]
    fn passes(&self, jobs: &[&str]) -> Run {
        let run = self.run(jobs).exits(0);
        assert!(run.stdout.contains(" PASS ") && !run.stdout.contains(" WARN "), "{run}");
        for job in jobs {
            assert!(run.stdout.contains(&format!(" PASS  {job}")), "{run}");
        }
        run
    }

    /// A file that a job left as artifact.
    #[track_caller]
    fn artifact(&self, job: &str, file: &str) -> String {
        // gitlab-ci-local writes a space in Base64.
        let directory = Path::new(".gitlab-ci-local/artifacts").join(job.replace(' ', "IA"));
        let path = self.project.path().join(directory).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The image that runs in a tier, by its workload.
    fn running(&self, context: &str, suffix: &str, workload: &str) -> String {
        let namespace = format!("{}{suffix}", self.project.name);
        let path = "jsonpath={.spec.template.spec.containers[0].image}{.spec.jobTemplate.spec.template.spec.containers[0].image}";
        text(Command::new("kubectl").args([
            "--context",
            context,
            "-n",
            &namespace,
            "get",
            workload,
            "-o",
            path,
        ]))
    }

    fn change(&self, file: &str) {
        self.project.write(file, "another content\n");
        self.project.commit("a change");
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        for context in ["lab-real", "lab-fake"] {
            let production = format!("{}-production", self.project.name);
            let delete = ["delete", "namespace", &production, "--ignore-not-found", "--wait=false"];
            let _ = Command::new("kubectl").args(["--context", context]).args(delete).output();
        }
    }
}

/// The program that runs a pipeline here, in a project.
pub(crate) fn gitlab_ci_local(project: &Project) -> Command {
    let program = Path::new(&lab("LAB_TOOLS")).join("gitlab-ci-local");
    assert!(program.exists(), "gitlab-ci-local is missing: `make up PARTS=gitlab` installs it");
    let mut command = Command::new(program);
    command.args(["--no-color", "--no-artifacts-to-source"]).current_dir(project.path());
    command.args(["--ignore-predefined-vars", "CI_REGISTRY_IMAGE,CI_DEFAULT_BRANCH"]);
    command
}

/// The digest of a reference.
fn digest(reference: &str) -> &str {
    reference.split_once('@').unwrap_or_else(|| panic!("no digest: {reference:?}")).1
}

#[test]
fn the_image_of_jobs_has_what_jobs_need_and_works_as_any_user() {
    let script = "set -e; git --version; kubectl version --client; helm version; windlass version; test -s /etc/ssl/certs/ca-certificates.crt; \
        git init -q /tmp/a; cd /tmp/a; windlass validate || test $? = 3; id -u";
    for user in ["0", "10001"] {
        let shown =
            text(Command::new("docker").args(["run", "--rm", "--user", user, image(), "sh", "-c", script]));
        assert_eq!(shown.lines().last(), Some(user), "{shown}");
    }
    let labels = text(Command::new("docker").args(["inspect", "-f", "{{json .Config.Labels}}", image()]));
    let labels: Value = serde_json::from_str(&labels).unwrap();
    assert_eq!(labels["org.opencontainers.image.title"], "windlass");
}

#[test]
fn web() {
    let web = Pipeline::new("web", &["."], &(deployment("web") + INGRESS));
    web.passes(&[]);
    let first = web.running("lab-real", "", "deployment/web");
    assert!(
        web.artifact("build", "report/windlass.env")
            .contains(&format!("WINDLASS_WEB_DIGEST={}", digest(&first)))
    );
    let cases = web.artifact("test", "report/tests/unit/unit.xml");
    assert_eq!(cases.matches("<testcase").count(), 2, "{cases}");
    let host = format!("staging.{}", web.project.host());
    assert!(web.artifact("staging", "report/windlass.env").contains(&format!("WINDLASS_URL=http://{host}")));
    let links: Value = serde_json::from_str(&web.artifact("staging", "report/annotations.json")).unwrap();
    assert_eq!(links["windlass"][0]["external_link"]["label"], host.as_str());
    assert!(web.artifact("staging", "report/junit.xml").contains("Deployment/web"));

    web.passes(&["production"]);
    assert_eq!(digest(&web.running("lab-real", "-production", "deployment/web")), digest(&first));
    web.change("content");
    web.passes(&[]);
    assert_ne!(digest(&web.running("lab-real", "", "deployment/web")), digest(&first));
    web.passes(&["rollback staging"]);
    assert_eq!(digest(&web.running("lab-real", "", "deployment/web")), digest(&first));
}

/// By the component, with inputs: nothing of it is in the repository but what GitLab would fetch.
#[test]
fn several_images() {
    let both = deployment("web") + "---\n" + &deployment("worker");
    let images = Pipeline::new("several-images", &["web", "worker"], &both);
    std::fs::remove_dir_all(images.project.path().join(".gitlab")).unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &images.project.path().join("templates"));
    images.include(
        "{component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/several-images@$CI_COMMIT_SHA, inputs: {images: [worker, web]}}",
    );
    images.project.commit("the component");
    let built = images.passes(&[]);
    for image in ["web", "worker"] {
        let running = images.running("lab-real", "", &format!("deployment/{image}"));
        assert!(built.stdout.contains(digest(&running)), "{built}");
        let cases = images.artifact("test", &format!("report/tests/{image}/unit.xml"));
        assert_eq!(cases.matches("<testcase").count(), 2, "{cases}");
    }
    let before = images.running("lab-real", "", "deployment/worker");
    images.change("web/content");
    images.passes(&[]);
    assert_eq!(images.running("lab-real", "", "deployment/worker"), before, "what did not change stays");
}

#[test]
fn jobs_only() {
    let manifests = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      \
        containers: [{name: batch, image: batch, command: [cat, /content]}]\n---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\n\
        spec:\n  schedule: \"0 3 * * *\"\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          restartPolicy: Never\n          \
        containers: [{name: batch, image: batch}]\n";
    let jobs = Pipeline::new("jobs-only", &["."], manifests);
    jobs.passes(&[]);
    assert_eq!(jobs.project.object("job/once")["status"]["succeeded"], 1);
    let first = jobs.running("lab-real", "", "cronjob/nightly");
    jobs.passes(&["production"]);
    assert_eq!(digest(&jobs.running("lab-real", "-production", "cronjob/nightly")), digest(&first));
    jobs.change("content");
    jobs.passes(&[]);
    assert_ne!(jobs.running("lab-real", "", "cronjob/nightly"), first);
    jobs.passes(&["rollback staging"]);
    assert_eq!(digest(&jobs.running("lab-real", "", "cronjob/nightly")), digest(&first));
}

#[test]
fn review_apps() {
    let apps = Pipeline::new("review-apps", &["."], &(deployment("web") + INGRESS));
    // Longer than a slug may be: the job that stops it must come to the same namespace.
    apps.project.git(&["checkout", "-q", "-b", "feature/a-name-that-somebody-has-taken-great-pains-to-find"]);
    apps.change("content");
    let reviewed = apps.passes(&[]);
    assert!(!reviewed.stdout.contains("windlass release staging"), "{reviewed}");
    let namespaces = || {
        let all =
            text(Command::new("kubectl").args(["--context", "lab-real", "get", "namespace", "-o", "name"]));
        let of_review = format!("namespace/{}-review-", apps.project.name);
        all.lines().filter(|one| one.starts_with(&of_review)).map(str::to_owned).collect::<Vec<_>>()
    };
    let made = namespaces();
    assert_eq!(made.len(), 1, "{made:?}");
    let slug = made[0].split_once("-review-").unwrap().1;
    let url = format!("WINDLASS_URL=http://{slug}.review.{}", apps.project.host());
    assert!(apps.artifact("review", "report/windlass.env").contains(&url));
    apps.passes(&["stop review"]);
    let gone = Command::new("kubectl")
        .args(["--context", "lab-real", "wait", "--for=delete", "--timeout=60s", &made[0]])
        .output();
    assert!(gone.unwrap().status.success() || namespaces().is_empty(), "{made:?} stays");
}

#[test]
fn two_clusters() {
    let clusters = Pipeline::new("two-clusters", &["."], &deployment("web"));
    clusters.variables(&[("staging", "lab-real"), ("production", "lab-fake")]);
    clusters.passes(&[]);
    let tested = clusters.running("lab-real", "", "deployment/web");
    clusters.passes(&["production"]);
    assert_eq!(digest(&clusters.running("lab-fake", "-production", "deployment/web")), digest(&tested));
}

#[test]
fn plan_then_approve() {
    let approved = Pipeline::new("plan-then-approve", &["."], &deployment("web"));
    approved.passes(&[]);
    let plan: Value =
        serde_json::from_str(&approved.artifact("plan production", "report/plan.json")).unwrap();
    assert!(plan.to_string().contains("Deployment"), "{plan}");
    approved.passes(&["production"]);
    let first = approved.running("lab-real", "-production", "deployment/web");
    // What was read no longer holds once somebody has changed what runs.
    approved.change("content");
    approved.passes(&[]);
    let namespace = format!("{}-production", approved.project.name);
    let edit = ["--context", "lab-real", "-n", &namespace, "set", "env", "deployment/web", "BY_HAND=1"];
    text(Command::new("kubectl").args(edit));
    let refused = approved.run(&["production"]).says("The plan is outdated");
    assert!(
        refused.stdout.contains(" WARN  production") && !refused.stdout.contains("release production\n"),
        "{refused}"
    );
    assert_eq!(approved.running("lab-real", "-production", "deployment/web"), first);
}
