//! A project of any size: so many images, tests and manifests, all alike and none the same.

use std::path::Path;
use std::process::Command;

/// How large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) images: usize,
    pub(crate) tests: usize,
    /// Half ConfigMaps, a quarter Services, a quarter Deployments.
    pub(crate) manifests: usize,
}

/// Where it belongs.
pub(crate) struct Home<'a> {
    /// Of the project, and of its namespace.
    pub(crate) name: &'a str,
    /// `host:port` of the registry.
    pub(crate) registry: &'a str,
    /// The repository that has `busybox`.
    pub(crate) base: &'a str,
    pub(crate) context: &'a str,
}

/// How many manifests a file has.
const IN_A_FILE: usize = 20;

/// Writes the project into an empty directory, and commits it.
pub(crate) fn write(directory: &Path, home: &Home<'_>, size: Size) {
    let Home { name, registry, base, context } = home;
    let write = |file: String, text: String| {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let mut config = format!("version: 1\nproject: {name}\nregistry: {registry}/{name}\nimages:\n");
    for image in 0..size.images {
        write(
            format!("images/{image}/Dockerfile"),
            "ARG BASE\nFROM ${BASE}/busybox\nCOPY version /version\n".to_owned(),
        );
        write(format!("images/{image}/version"), format!("{name} {image}\n"));
        config += &format!(
            "  i{image:03}: {{context: images/{image}, dockerfile: images/{image}/Dockerfile, args: {{BASE: \"{base}\"}}}}\n"
        );
    }
    config += "tests:\n";
    for test in 0..size.tests {
        config += &format!("  t{test:03}: {{image: i{:03}, run: [\"true\"]}}\n", test % size.images);
    }
    config += &format!("tiers:\n  staging: {{context: {context}, namespace: {name}, timeout: 10m}}\n");
    write("windlass.yaml".to_owned(), config);
    let objects: Vec<String> = objects(size).collect();
    for (part, objects) in objects.chunks(IN_A_FILE).enumerate() {
        write(format!(".kube/{part:04}.yaml"), objects.join("---\n"));
    }
    for arguments in [&["init", "-q", "-b", "main"] as &[&str], &["add", "-A"], &["commit", "-qm", "first"]] {
        let mut git = Command::new("git");
        git.current_dir(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        assert!(git.args(arguments).status().unwrap().success());
    }
}

fn objects(size: Size) -> impl Iterator<Item = String> {
    let maps = (0..size.manifests / 2).map(|index| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{index}}}\ndata: {{key: value {index}}}\n"
        )
    });
    let apps = (0..size.manifests / 4).flat_map(move |index| {
        let (app, image) = (format!("app-{index}"), format!("i{:03}", index % size.images));
        [
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {app}}}\n\
                 spec: {{selector: {{app: {app}}}, ports: [{{port: 80}}]}}\n"
            ),
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {app}}}\nspec:\n  selector: {{matchLabels: {{app: {app}}}}}\n  \
                 template:\n    metadata: {{labels: {{app: {app}}}}}\n    \
                 spec: {{containers: [{{name: app, image: {image}, readinessProbe: {{httpGet: {{port: 80}}}}}}]}}\n"
            ),
        ]
    });
    maps.chain(apps)
}
