//! What runs in the cluster: one container as a Deployment, a StatefulSet or a Job, before it is written down.

use crate::init::container::Container;
use crate::init::images::{Image, object_name};

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) name: String,
    /// As the manifests name it: an image of `windlass.yaml`, or one of somebody else.
    pub(super) image: String,
    pub(super) kind: Kind,
    pub(super) container: Container,
    /// Whether the user of the image is replaced by the container's.
    pub(super) sets_user: bool,
    pub(super) mounts: Vec<Mount>,
    pub(super) env: Vec<Variable>,
    /// In place of the image's ENTRYPOINT and CMD.
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) arguments: Option<Vec<String>>,
    /// As Kubernetes writes it, where somebody has thought about it.
    pub(super) memory_limit: Option<String>,
    /// Whether the Service takes HTTP on port 80, as nobody asks for another port yet.
    pub(super) is_new: bool,
    /// Whether the image is built here, so that its Dockerfile can be changed.
    pub(super) is_built: bool,
}

/// As what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    /// A StatefulSet; others may need it to be ready before they start.
    Database {
        is_needed: bool,
    },
    /// Runs to its end before the workloads are rolled out.
    Job,
}

/// A directory of a container that is not the image's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The name of the volume in the pod.
    pub(super) name: String,
    pub(super) path: String,
    /// The claim that keeps its content; `None` for what may be lost with the pod.
    pub(super) claim: Option<String>,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Content,
}

/// Where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    Secret { name: String, key: String },
}

/// Directories whose content may be lost.
const TEMPORARY: [&str; 7] = ["/tmp", "/var/tmp", "/cache", "/var/cache", "/run", "/var/run", "/var/log"];

impl Workload {
    /// A Deployment of one image, or of nothing more than its name.
    pub(super) fn of(name: &str, image: &str, container: Container) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            kind: Kind::Deployment,
            container,
            sets_user: false,
            mounts: Vec::new(),
            env: Vec::new(),
            entrypoint: None,
            arguments: None,
            memory_limit: None,
            is_new: false,
            is_built: false,
        }
    }

    /// What runs an image of which nothing is known but its Dockerfile.
    pub(super) fn of_image(image: &Image) -> Self {
        let mounts = image.container.volumes.iter().map(|path| Mount::of_path(&image.name, path));
        let mounts = mounts.collect();
        Self {
            mounts,
            is_new: true,
            is_built: true,
            ..Self::of(&image.name, &image.name, image.container.clone())
        }
    }

    /// Whether several of it may run at once.
    pub(super) fn is_replicated(&self) -> bool {
        self.kind == Kind::Deployment && self.mounts.iter().all(|mount| mount.claim.is_none())
    }

    /// Whether it answers others.
    pub(super) fn has_service(&self) -> bool {
        self.kind != Kind::Job && !self.container.ports.is_empty()
    }
}

impl Mount {
    /// The volume of a directory that an image declares.
    pub(super) fn of_path(workload: &str, path: &str) -> Self {
        let name = object_name(path).unwrap_or_else(|| "data".to_owned());
        let claim = (!is_temporary(path)).then(|| format!("{workload}-{name}"));
        Self { name, path: path.to_owned(), claim }
    }
}

/// Whether a directory is for what may be lost.
pub(super) fn is_temporary(path: &str) -> bool {
    TEMPORARY
        .iter()
        .any(|one| path == *one || path.strip_prefix(one).is_some_and(|rest| rest.starts_with('/')))
}
