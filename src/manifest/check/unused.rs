//! Images of `windlass.yaml` that no manifest uses: a green pipeline would go on running what ran before.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Kind, Place};
use crate::manifest::{Manifests, Object};
use crate::project::Project;
use crate::text::pointer;

/// The images of a project that no manifest was seen to use.
pub(super) struct Images<'a> {
    project: &'a Project,
    left: BTreeSet<&'a str>,
    /// By image: a container that runs another one of its name.
    alike: BTreeMap<&'a str, Place>,
}

impl<'a> Images<'a> {
    /// All that are to run on a tier: not those that only tests or other images are made of.
    pub(super) fn of(project: &'a Project) -> Self {
        let config = &project.config;
        let tested = config.tests.values().map(|test| test.image.as_str());
        let built_on = config.images.values().flat_map(|image| image.needs.values().map(String::as_str));
        let other: BTreeSet<&str> = tested.chain(built_on).collect();
        let left = config.images.keys().map(String::as_str).filter(|name| !other.contains(name)).collect();
        Self { project, left, alike: BTreeMap::new() }
    }

    /// Takes out what these manifests, made without images, use.
    pub(super) fn note(&mut self, manifests: &Manifests) {
        for object in &manifests.objects {
            if self.left.is_empty() {
                return;
            }
            pointer::each_text(&object.json, |_| false, |pointer, text| self.text(object, text, pointer));
        }
    }

    /// Takes out what others use.
    pub(super) fn leave(&mut self, others: &Self) {
        self.left.retain(|name| others.left.contains(name));
        for (name, place) in &others.alike {
            self.alike.entry(name).or_insert_with(|| place.clone());
        }
    }

    fn text(&mut self, object: &Object, text: &str, pointer: &str) {
        self.left.retain(|name| !text.contains(&format!("/{name}:offline@sha256:")));
        if pointer.ends_with("/image")
            && let Some(name) = self.left.iter().find(|name| last_part(text) == **name).copied()
        {
            self.alike.entry(name).or_insert_with(|| object.origin.place_of(pointer));
        }
    }

    /// A warning for each image that is left.
    pub(super) fn unused(&self) -> Vec<Error> {
        // A chart has the whole name of an image, and only the registry tells whether it is the project's.
        let is_of_chart =
            self.project.registry.is_none() && self.project.root.join(".kube/Chart.yaml").is_file();
        let left = self.left.iter().filter(|name| !is_of_chart || !self.alike.contains_key(**name));
        left.map(|name| self.warning(name)).collect()
    }

    fn warning(&self, name: &str) -> Error {
        let message = format!("no manifest uses the image `{name}`: a release would not deploy it");
        let error = Error::new(Kind::Invalid, message);
        let error = match self.project.config.places.of(&["images", name]) {
            Some(place) => error.at(place.clone()),
            None => error.at(Place::file(".kube")),
        };
        match self.alike.get(name) {
            Some(place) => {
                error.with_hint(format!("{place} has another image of that name: write `image: {name}`"))
            }
            None => error.with_hint(format!("write `image: {name}` in the container that runs it")),
        }
    }
}

/// `web` of `registry.example.com/shop/web:1.2`.
fn last_part(reference: &str) -> &str {
    let path = reference.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::origin::Origin;
    use crate::manifest::phase::phase_of;
    use crate::project::{GitFacts, Options};

    #[test]
    fn of_a_chart_an_image_counts_as_used_while_no_registry_is_known() {
        let root = tempfile::tempdir().unwrap();
        let unused = |registry: Option<&str>, image: &str| {
            let options = Options {
                directory: root.path().to_path_buf(),
                registry: registry.map(str::to_owned),
                ..Options::default()
            };
            let project = Project::open(&options, GitFacts::default(), &|_| None).unwrap();
            let pod = json!({"kind": "Pod", "spec": {"containers": [{"image": image}]}});
            let object = Object {
                phase: phase_of(&pod),
                json: pod,
                origin: Origin::at(Place::file(".kube/web.yaml")),
            };
            let mut images = Images::of(&project);
            images.note(&Manifests { objects: vec![object], ..Manifests::default() });
            images.unused().len()
        };
        let config = "version: 1\nproject: shop\nimages: {web: {context: .}}\n";
        std::fs::write(root.path().join("windlass.yaml"), config).unwrap();
        std::fs::create_dir(root.path().join(".kube")).unwrap();
        assert_eq!(unused(None, "registry.test/shop/web:1"), 1, "plain manifests name it by its name");
        std::fs::write(root.path().join(".kube/Chart.yaml"), "name: shop\n").unwrap();
        assert_eq!(unused(None, "registry.test/shop/web:1"), 0);
        assert_eq!(unused(None, "registry.test/shop/other:1"), 1);
        assert_eq!(unused(Some("registry.test/group"), "registry.test/shop/web:1"), 1);
    }

    #[test]
    fn an_image_has_a_name_of_its_own() {
        for text in
            ["web", "shop/web", "registry.test:5000/shop/web:1", "a/web@sha256:00", "a/web:1@sha256:00"]
        {
            assert_eq!(last_part(text), "web", "{text}");
        }
    }
}
