//! A kustomization: each tier refers to it where it lies, with the tier's namespace and the project's images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::init::configuration::TierEntry;
use crate::init::existing::{IMAGE, KUSTOMIZATIONS, Taken, Target, back, files, is_yaml, overlays, own};
use crate::init::file::{Content, File};
use crate::init::tiers::namespace_of;
use crate::manifest::to_yaml;
use crate::model::Reference;
use crate::project;
use crate::report::view::setup::init::FirstFiles;

/// The tag that stands before the digest; any does.
const TAG: &str = "windlass";

pub(super) fn take(target: &Target<'_>, directory: &Path, notes: &mut FirstFiles) -> Taken {
    let from = target.root.join(directory);
    let overlays: Vec<PathBuf> = overlays(&from)
        .iter()
        .filter_map(|path| path.strip_prefix(target.root).ok().map(Path::to_path_buf))
        .collect();
    let is_same = overlays.is_empty();
    let sources: Vec<(String, PathBuf)> = if is_same {
        ["staging", "production"].iter().map(|tier| ((*tier).to_owned(), directory.to_path_buf())).collect()
    } else {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        overlays.into_iter().map(|path| (name(&path), path)).collect()
    };
    let names: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let images = images(target, &from);
    let mut taken =
        Taken { has_registry: !images.is_empty() && target.registry.is_some(), ..Taken::default() };
    for (name, source) in &sources {
        let own = namespace(&target.root.join(source)).filter(|_| !is_same);
        let namespace = own.unwrap_or_else(|| namespace_of(target.project, name, &names));
        let path = Path::new(".kube/tiers").join(name).join("kustomization.yaml");
        let mut kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [back(Path::new(".kube/tiers").join(name).as_path()).join(source).display().to_string()],
            "namespace": namespace,
        });
        if let (Some(registry), false) = (target.registry, images.is_empty()) {
            let renamed = |(from, name): &(String, &str)| json!({"name": from, "newName": format!("{registry}/{name}"), "newTag": TAG});
            kustomization["images"] = images.iter().map(renamed).collect();
        }
        let text = to_yaml(&[kustomization]);
        let text = format!(
            "# Rendered by `kubectl kustomize`; the images get windlass's digests in place of their \
             tags.\n{}",
            text.trim_start_matches("---\n")
        );
        taken.files.push(File { path, content: Content::Text(text) });
        taken.tiers.push(TierEntry { name: name.clone(), namespace, ..TierEntry::default() });
    }
    tell(target, directory, &images, notes);
    taken
}

/// The project's images, by the names that the kustomization has for them.
fn images<'a>(target: &Target<'a>, from: &Path) -> BTreeSet<(String, &'a str)> {
    let mut images = BTreeSet::new();
    for file in files(from).iter().filter(|file| is_yaml(file)) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let written = IMAGE.captures_iter(&text).map(|found| found["image"].to_owned());
        let tree = project::strings(&text).unwrap_or_default();
        let renamed = tree["images"].as_array().into_iter().flatten();
        let renamed = renamed.filter_map(|one| one["newName"].as_str().map(str::to_owned));
        for reference in written.chain(renamed) {
            let Some(name) = own(&reference, target) else { continue };
            let bare =
                reference.parse::<Reference>().ok().and(reference.split('@').next().map(str::to_owned));
            let bare = bare.map(|bare| match bare.rsplit_once(':') {
                Some((before, tag)) if !tag.contains('/') => before.to_owned(),
                _ => bare,
            });
            images.extend(bare.map(|bare| (bare, name)));
        }
    }
    images
}

/// The namespace that a kustomization sets.
fn namespace(directory: &Path) -> Option<String> {
    let file = KUSTOMIZATIONS.iter().map(|name| directory.join(name)).find(|file| file.is_file())?;
    let tree: Value = project::strings(&std::fs::read_to_string(file).ok()?).ok()?;
    tree["namespace"].as_str().filter(|name| project::is_namespace(name)).map(str::to_owned)
}

fn tell(target: &Target<'_>, directory: &Path, images: &BTreeSet<(String, &str)>, notes: &mut FirstFiles) {
    let mut words = "kustomization, used in place".to_owned();
    for (from, name) in images {
        words += &format!("; `{from}` is the image `{name}`");
    }
    notes.find(directory.display().to_string(), words);
    if images.is_empty() && !target.images.is_empty() {
        notes.need("name the project's image under `images` of .kube/tiers/*/kustomization.yaml: no image there has that name".to_owned());
    } else if target.registry.is_none() && !target.images.is_empty() {
        notes.need("once windlass.yaml has a registry: delete .kube and run `windlass init` again, or write `images` of .kube/tiers/*/kustomization.yaml by hand".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::existing::tests::image;

    #[test]
    fn each_tier_refers_to_its_overlay() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join("deploy").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("base/kustomization.yaml", "resources: [web.yaml]\n");
        write(
            "base/web.yaml",
            "kind: Deployment\nspec:\n  containers:\n  - image: registry.test:5000/shop:1\n",
        );
        write("overlays/staging/kustomization.yaml", "namespace: one\nresources: [../../base]\n");
        write("overlays/production/kustomization.yaml", "resources: [../../base]\n");
        let images = [image("app")];
        let target =
            Target { root: root.path(), project: "shop", images: &images, registry: Some("registry.test/x") };
        let mut notes = FirstFiles::default();
        let taken = take(&target, Path::new("deploy"), &mut notes);
        let tiers: Vec<(&str, &str)> =
            taken.tiers.iter().map(|tier| (tier.name.as_str(), tier.namespace.as_str())).collect();
        assert_eq!(tiers, [("staging", "one"), ("production", "shop")]);
        let Content::Text(text) = &taken.files[0].content else { panic!("a link") };
        let tree = project::strings(text).unwrap();
        assert_eq!(tree["resources"][0], "../../../deploy/overlays/staging");
        let renamed = json!({"name": "registry.test:5000/shop", "newName": "registry.test/x/app", "newTag": "windlass"});
        assert_eq!(tree["images"][0], renamed);
        assert!(taken.has_registry && notes.needed.is_empty(), "{:?}", notes.needed);
    }
}
