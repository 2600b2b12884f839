//! What `validate` says of whole projects: each mistake at its line.

use std::fs;

use futures::executor::block_on;
use tempfile::TempDir;

use super::*;
use crate::project::{Options, variable};

const CONFIG: &str = "\
version: 1
project: shop
registry: registry.test/shop
images: {web: {context: .}}
external: [Secret/tls]
secrets: {token: {value: {env: TOKEN}}}
tiers:
  staging: {context: lab, namespace: shop}
  review/*: {context: lab, namespace: \"shop-${WINDLASS_SLUG}\"}
";

/// The mistakes and the warnings of a project, without the configuration's own.
fn found(files: &[(&str, &str)]) -> Findings {
    let root = TempDir::new().expect("a directory");
    let is_configured = files.iter().any(|(path, _)| *path == "windlass.yaml");
    let config = [("windlass.yaml", CONFIG)].into_iter().filter(|_| !is_configured);
    for (path, text) in files.iter().copied().chain(config) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let options = Options { directory: root.path().to_path_buf(), ..Options::default() };
    let project = Project::open(&options, crate::project::GitFacts::default(), &variable).expect("a project");
    block_on(validate(&project, Schemas::newest()))
}

fn lines(errors: &[Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web
        ports: [{name: http, containerPort: 80}]
";

/// The one thing that is said of the workload with one piece of it written otherwise.
fn said(from: &str, to: &str) -> String {
    assert!(WEB.contains(from), "{from}");
    let found = found(&[(".kube/web.yaml", &WEB.replacen(from, to, 1))]);
    let all: Vec<Error> = found.errors.into_iter().chain(found.warnings).collect();
    assert_eq!(all.len(), 1, "{to}: {:?}", lines(&all));
    all[0].to_string()
}

#[test]
fn the_workload_is_valid() {
    let found = found(&[(".kube/web.yaml", WEB)]);
    assert_eq!((lines(&found.errors), lines(&found.warnings)), (Vec::new(), Vec::new()));
    assert!(found.unchecked.is_empty());
}

#[test]
fn each_mistake_is_said_at_its_line() {
    for (from, to, wanted) in [
        ("  replicas: 2", "  replcias: 2", ".kube/web.yaml:5:3: spec.replcias: "),
        ("replicas: 2", "replicas: \"2\"", ".kube/web.yaml:5:13: spec.replicas: "),
        ("replicas: 2", "replicas: -1", ".kube/web.yaml:5:13: spec.replicas: "),
        ("{app: web}}\n  template", "{app: wbe}}\n  template", ".kube/web.yaml:8:"),
        ("apps/v1", "extensions/v1beta1", ".kube/web.yaml:1:13: apiVersion: "),
        ("{name: web}", "{name: Worker_1}", ".kube/web.yaml:3:18: metadata.name: "),
        (
            "        image: web\n",
            "        imgae: web\n",
            ".kube/web.yaml:12:9: spec.template.spec.containers[0].imgae: ",
        ),
        (
            "        image: web\n",
            "        image: web\n        args: [--port, 8080]\n",
            ".kube/web.yaml:13:24: spec.template.spec.containers[0].args[1]: ",
        ),
        ("containerPort: 80", "containerPort: 80000", ".kube/web.yaml:13:45: "),
        ("name: http, ", "name: HTTP, ", ".kube/web.yaml:13:24: "),
        (
            "        image: web\n",
            "        image: web\n        imagePullPolicy: Alway\n",
            ".kube/web.yaml:13:26: ",
        ),
        (
            "        image: web\n",
            "        image: web\n        resources: {limits: {memory: 12x}}\n",
            ".kube/web.yaml:13:38: ",
        ),
        (
            "        image: web\n",
            "        image: web\n        env: [{name: A, value: x}, {name: A, value: b}]\n",
            ".kube/web.yaml:13:36: ",
        ),
        (
            "        image: web\n",
            "        image: web\n        envFrom: [{secretRef: {name: db}}]\n",
            ".kube/web.yaml:13:38: ",
        ),
        (
            "        image: web\n",
            "        image: web\n        envFrom: [{secretRef: {}}]\n",
            ".kube/web.yaml:13:",
        ),
        ("labels: {app: web}", "labels: {app: web, v: 1}", ".kube/web.yaml:8:"),
    ] {
        let said = said(from, to);
        assert!(said.starts_with(wanted), "{to}: {said}");
    }
}

#[test]
fn what_is_made_elsewhere_is_no_warning() {
    let pod = |secret: &str| {
        WEB.replace(
            "        image: web\n",
            &format!("        image: web\n        envFrom: [{{secretRef: {{name: {secret}}}}}]\n"),
        )
    };
    for secret in ["tls", "token"] {
        let found = found(&[(".kube/web.yaml", &pod(secret))]);
        assert_eq!((lines(&found.errors), lines(&found.warnings)), (Vec::new(), Vec::new()), "{secret}");
    }
    let found = found(&[(".kube/web.yaml", &pod("tsl"))]);
    assert_eq!(found.warnings.len(), 1);
    assert_eq!(found.warnings[0].snippet().map(|lines| lines.lines().count()), Some(2));
}

#[test]
fn an_overlay_is_named_where_the_mistake_is_in_it() {
    let overlay = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {paused: maybe}\n";
    let found = found(&[(".kube/web.yaml", WEB), (".kube/tiers/staging/web.yaml", overlay)]);
    let said = lines(&found.errors);
    assert!(
        matches!(&said[..], [one] if one.starts_with(".kube/tiers/staging/web.yaml:4:16: spec.paused: ")),
        "{said:?}"
    );
}

#[test]
fn everything_is_said_at_once() {
    let text = WEB.replace("replicas: 2", "replicas: two\n  paused: ${NO_SUCH}\n  x: 1");
    let found = found(&[(".kube/web.yaml", &text), (".kube/b.yaml", "a: [\n")]);
    let said = lines(&found.errors);
    // What a tier lacks is said of each tier.
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said.iter().any(|one| one.contains("`NO_SUCH` has no value")), "{said:?}");
}

#[test]
fn names_leave_room_for_the_longest_slug() {
    let text = WEB.replace("{name: web}", "{name: \"this-name-is-long-by-itself-${WINDLASS_SLUG}\"}");
    let found = found(&[(
        ".kube/web.yaml",
        &text.replace("app: web", "app: \"this-is-too-long-by-itself-${WINDLASS_SLUG}\""),
    )]);
    let said = lines(&found.errors);
    assert!(!said.is_empty() && said.iter().all(|one| one.starts_with(".kube/web.yaml:")), "{said:?}");
    assert!(found.errors[0].hint().is_some_and(|hint| hint.contains("slug")), "{:?}", found.errors[0].hint());
}

#[test]
fn an_image_that_nothing_uses_is_said() {
    let text = WEB.replace("image: web\n", "image: registry.test/other/web:1\n");
    let found = found(&[(".kube/web.yaml", &text)]);
    assert_eq!(
        lines(&found.warnings),
        ["windlass.yaml:4:10: no manifest uses the image `web`: a release would not deploy it"]
    );
    assert_eq!(
        found.warnings[0].hint(),
        Some(".kube/web.yaml:12:16 has another image of that name: write `image: web`")
    );
}

#[test]
fn a_variable_of_the_tier_in_arguments_is_told_to_stay() {
    let config =
        ("windlass.yaml", &*CONFIG.replace("namespace: shop}", "namespace: shop, vars: {HOST: shop.test}}"));
    let warned = |field: &str| {
        let text = WEB.replace("image: web\n", &format!("image: web\n        {field}\n"));
        lines(&found(&[config, (".kube/web.yaml", &text)]).warnings)
    };
    assert_eq!(
        warned("args: [\"--host=${HOST}\", \"${HOST}\"]"),
        [
            ".kube/web.yaml:13:16: `${HOST}` is not replaced in `args`, and the manifest gives the container no such variable"
        ]
    );
    for field in [
        "args: [\"${OTHER}\"]",
        "args: [\"$${HOST}\"]",
        "command: [sh, -c, \"HOST=a; echo ${HOST}\"]",
        "env: [{name: HOST, value: \"${HOST}\"}]\n        args: [\"${HOST}\"]",
    ] {
        assert_eq!(warned(field), Vec::<String>::new(), "{field}");
    }
}

#[test]
fn what_a_newer_kubernetes_may_have_is_not_refused_before_a_cluster_is_asked() {
    let of = |text: String| {
        let node = crate::manifest::yaml::compose::documents(&std::sync::Arc::new(
            crate::manifest::yaml::source::Source { path: "a.yaml".into(), text, rendered: false },
        ));
        Manifests::as_read(node.expect("it is YAML")).check(Against::AnyVersion).is_ok()
    };
    assert!(of(WEB.to_owned()) && of(WEB.replace("replicas: 2", "somethingEntirelyNew: 2")));
    assert!(!of(WEB.replace("replicas: 2", "replcias: 2")), "that is a slip");
    assert!(!of(WEB.replace("replicas: 2", "replicas: two")), "no version takes that");
    let old = "apiVersion: flowcontrol.apiserver.k8s.io/v1beta2\nkind: PriorityLevelConfiguration\nmetadata: {name: a}\n\
               spec: {type: Exempt}\n";
    assert!(of(old.to_owned()), "an old cluster has it");
}

#[test]
fn a_template_is_called_one() {
    let said = |text: &str| {
        let found = found(&[(".kube/web.yaml", text)]);
        let all: Vec<Error> = found.errors.into_iter().chain(found.warnings).collect();
        let one = all.iter().find(|one| one.hint().is_some_and(|hint| hint.contains("Helm"))).cloned();
        one.unwrap_or_else(|| panic!("{:?}", lines(&all))).to_string()
    };
    let replicas = said(&WEB.replace("replicas: 2", "replicas: {{ .Values.replicas }}"));
    assert!(replicas.starts_with(".kube/web.yaml:5:"), "{replicas}");
    let quoted = said(&WEB.replace("replicas: 2", "replicas: \"{{ .Values.replicas }}\""));
    assert!(quoted.starts_with(".kube/web.yaml:5:13: "), "{quoted}");
    let image = said(&WEB.replace("image: web", "image: \"{{ .Values.image }}\""));
    assert!(image.starts_with(".kube/web.yaml:12:16: "), "{image}");
}

#[test]
fn what_only_a_cluster_knows_is_named() {
    let certificate =
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: tls}\nspec: {secretName: tls}\n";
    let found = found(&[(".kube/web.yaml", WEB), (".kube/tls.yaml", certificate)]);
    assert!(found.errors.is_empty());
    assert_eq!(found.unchecked.into_iter().collect::<Vec<_>>(), ["Certificate of cert-manager.io/v1"]);
}

#[test]
fn of_a_secret_no_line_is_shown() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: 12345678}\nimmutable: hunter22\n";
    let found = found(&[(".kube/web.yaml", WEB), (".kube/db.yaml", secret)]);
    assert_eq!(found.errors.len(), 2, "{:?}", lines(&found.errors));
    for error in &found.errors {
        assert!(error.snippet().is_none() && !error.to_string().contains("12345678"), "{error}");
    }
}
