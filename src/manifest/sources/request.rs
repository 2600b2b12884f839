//! Which manifests are wanted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Place, Result};
use crate::manifest::sources::overlay;
use crate::manifest::sources::substitute::Names;
use crate::model::PinnedImage;
use crate::project::{Project, Tier};
use crate::secret::{self, Secret};

/// Which manifests are wanted: of which project, for which tier, with which images.
#[derive(Debug, Clone)]
pub struct Request {
    pub(in crate::manifest) root: PathBuf,
    pub(in crate::manifest) project: String,
    pub(in crate::manifest) tier: String,
    pub(in crate::manifest) slug: String,
    pub(in crate::manifest) namespace: String,
    /// The tier's own values; those of images are added from their references.
    names: Names,
    pub(in crate::manifest) images: Vec<String>,
    pub(in crate::manifest) references: BTreeMap<String, PinnedImage>,
    pub(in crate::manifest) registry: Option<String>,
    /// The tier's directory.
    pub(in crate::manifest) overlay: PathBuf,
    /// The values that the tier gives to a chart: files relative to the root, with where that stands.
    pub(in crate::manifest) values: Vec<(Result<String>, Place)>,
    /// The directories of all tiers of the configuration, with this one's.
    pub(in crate::manifest) directories: Vec<PathBuf>,
    pub(in crate::manifest) secrets: Vec<Secret>,
}

impl Request {
    /// The manifests of this tier with these images, by their names in the
    /// configuration.
    #[must_use]
    pub fn new(project: &Project, tier: &Tier, references: &BTreeMap<String, PinnedImage>) -> Self {
        let own = tier.vars.iter().chain(&tier.own).map(|(name, value)| (name.clone(), value.clone()));
        let kube = project.root.join(".kube");
        let overlay = overlay::directory(&kube, &tier.pattern);
        Self {
            root: project.root.clone(),
            project: project.name.clone(),
            tier: tier.name.clone(),
            slug: tier.slug.clone(),
            namespace: tier.namespace.clone(),
            names: Names {
                tier: tier.name.clone(),
                values: own.collect(),
                texts: tier.texts.clone(),
                without_value: tier.without_value.clone(),
            },
            images: project.config.images.keys().cloned().collect(),
            references: references.clone(),
            registry: project.registry.clone(),
            directories: directories(project),
            overlay,
            values: values(tier),
            secrets: secret::unfetched(project, tier),
        }
    }

    /// The same with the values of the configuration's Secrets.
    #[must_use]
    pub fn with_secrets(self, secrets: Vec<Secret>) -> Self {
        Self { secrets, ..self }
    }

    /// The same with these images.
    pub(in crate::manifest) fn with_references(self, references: BTreeMap<String, PinnedImage>) -> Self {
        Self { references, ..self }
    }

    /// What names in the manifests stand for.
    pub(in crate::manifest) fn names(&self) -> Names {
        let images =
            self.references.iter().map(|(image, reference)| (image_variable(image), reference.to_string()));
        let mut names = self.names.clone();
        names.values.extend(images);
        names
    }

    /// The directories of other tiers, which may lie in this one's.
    pub(in crate::manifest) fn others(&self) -> Vec<PathBuf> {
        self.directories.iter().filter(|other| **other != self.overlay).cloned().collect()
    }
}

fn values(tier: &Tier) -> Vec<(Result<String>, Place)> {
    let path = format!("tiers.{}.values", tier.pattern);
    let expand = |(file, place): &(String, Place)| (tier.expand(file, &path, place), place.clone());
    tier.values.iter().map(expand).collect()
}

/// `WINDLASS_IMAGE_WEB_SERVER` for `web-server`.
fn image_variable(image: &str) -> String {
    format!("WINDLASS_IMAGE_{}", image.to_uppercase().replace(['-', '.'], "_"))
}

/// The directories of all tiers of the configuration.
pub(in crate::manifest) fn directories(project: &Project) -> Vec<PathBuf> {
    let kube = project.root.join(".kube");
    project.config.tiers.keys().map(|pattern| overlay::directory(&kube, pattern)).collect()
}
