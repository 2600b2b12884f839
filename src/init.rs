//! `init`: the first windlass.yaml, manifests and GitLab pipeline of a repository; what is there already stays.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cluster;
use crate::error::{Error, Kind, Place, Result};
use crate::project::{IN_NO_IMAGE, Project};
use crate::report::view::setup::init::FirstFiles;

/// Where a web service listens of which the Dockerfile does not say it.
const PORT: u16 = 8080;

/// What is known of a repository before it has a configuration.
struct ExistingProject {
    name: String,
    registry: String,
    context: String,
    port: u16,
}

/// Writes what is missing.
///
/// # Errors
/// [`Kind::Invalid`] without a Dockerfile, and where a file cannot be written.
pub(crate) fn init(project: &Project) -> Result<FirstFiles> {
    let root = &project.root;
    let dockerfile = std::fs::read(root.join("Dockerfile")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Error::new(Kind::Invalid, "there is no Dockerfile here: what is to be built and released?")
                .with_hint("write one first; `init` makes the rest from it")
        }
        _ => Error::new(Kind::Invalid, format!("Dockerfile cannot be read: {error}")),
    })?;
    let dockerfile = String::from_utf8_lossy(&dockerfile);
    let kube = root.join(".kube");
    if kube.exists() && !kube.is_dir() {
        return Err(Error::new(Kind::Invalid, "`.kube` is not a directory").at(Place::file(".kube")));
    }
    let known = ExistingProject {
        name: project.name.clone(),
        registry: project
            .registry
            .clone()
            .unwrap_or_else(|| format!("registry.example.com/{}", project.name)),
        context: cluster::current_context().unwrap_or_else(|| "my-cluster".to_owned()),
        port: exposed(&dockerfile).unwrap_or(PORT),
    };
    let mut files = vec![("windlass.yaml", configuration(&known))];
    // Whoever has manifests knows what they hold.
    let has_manifests = std::fs::read_dir(kube).is_ok_and(|mut entries| entries.next().is_some());
    if !has_manifests {
        files.push((".kube/app.yaml", manifests(&known)));
    }
    files.push((".gitlab-ci.yml", include_str!("../pipelines/web/.gitlab-ci.yml").to_owned()));
    files.push((".dockerignore", format!("{}\nreport/\n", IN_NO_IMAGE.join("\n"))));
    let written =
        files.into_iter().map(|(file, text)| Ok((PathBuf::from(file), write(&root.join(file), &text)?)));
    Ok(FirstFiles { files: written.collect::<Result<_>>()? })
}

/// Writes a file that is not there; whether it was written.
fn write(path: &Path, text: &str) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written
        .map(|()| true)
        .map_err(|error| Error::new(Kind::Invalid, format!("{} cannot be written: {error}", path.display())))
}

/// The first port that a Dockerfile exposes.
fn exposed(dockerfile: &str) -> Option<u16> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    dockerfile.lines().map(words).find_map(|words| {
        let is_expose = words.first()?.eq_ignore_ascii_case("EXPOSE");
        words.get(1).filter(|_| is_expose)?.split('/').next()?.parse().ok()
    })
}

fn configuration(known: &ExistingProject) -> String {
    let ExistingProject { name, registry, context, .. } = known;
    format!(
        r#"# What is built, tested and released, and where to. `windlass validate` checks it, `windlass doctor staging` tries it.
version: 1
project: {name}
registry: ${{REGISTRY:-{registry}}}

images:
  app: {{context: .}}

# A command inside the built image; releases need it to have passed.
# tests:
#   unit:
#     image: app
#     run: [sh, -c, "./run-tests"]
#     reports: {{junit: [/tmp/reports/*.xml]}}

tiers:
  staging:
    context: {context}
    namespace: {name}-staging
    vars: {{HOST: staging.{name}.example.com, REPLICAS: 1}}
  production:
    context: {context}
    namespace: {name}
    vars: {{HOST: {name}.example.com, REPLICAS: 2}}
    # The same images and manifests must have been good on staging before.
    after: staging
    branches: [main]
    rollback: auto
"#
    )
}

fn manifests(known: &ExistingProject) -> String {
    let ExistingProject { port, .. } = known;
    format!(
        r"# `image: app` is the image of windlass.yaml, by its digest; ${{HOST}} and ${{REPLICAS}} are variables of the tier.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  replicas: ${{REPLICAS}}
  selector:
    matchLabels: {{app: app}}
  template:
    metadata:
      labels: {{app: app}}
    spec:
      containers:
        - name: app
          image: app
          ports:
            - {{name: http, containerPort: {port}}}
          # Better: httpGet with a path that says whether it can serve.
          readinessProbe:
            tcpSocket: {{port: http}}
            periodSeconds: 2
          resources:
            requests: {{cpu: 50m, memory: 64Mi}}
            limits: {{memory: 256Mi}}
---
apiVersion: v1
kind: Service
metadata:
  name: app
spec:
  selector: {{app: app}}
  ports:
    - {{name: http, port: 80, targetPort: http}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
spec:
  rules:
    - host: ${{HOST}}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {{service: {{name: app, port: {{name: http}}}}}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_that_the_dockerfile_exposes() {
        assert_eq!(exposed("FROM a\nexpose 3000/tcp 4000\n"), Some(3000));
        assert_eq!(exposed("FROM a\n# EXPOSE 1\nEXPOSE ${PORT}\n"), None);
    }
}
