//! The registry that existing manifests pull the project's images from.

use std::path::{Path, PathBuf};

use crate::init::existing::{Existing, Form, IMAGE, Target, chart, files, is_yaml, own};
use crate::model::Reference;
use crate::model::credentials::is_hub;
use crate::project;

/// The registry and the first file that names it; `None` where there is none, and where there are several.
pub(super) fn of(existing: &Existing, target: &Target<'_>) -> Option<(String, PathBuf)> {
    let mut named = references(existing, target).into_iter().filter_map(|(reference, file)| {
        let name = own(&reference, target)?;
        Some((address(&reference, name, target.project)?, file))
    });
    let (first, file) = named.next()?;
    named.all(|(other, _)| other == first).then_some((first, file))
}

/// `registry.test/group/shop` of `registry.test/group/shop/api:1`, and of `registry.test/group/shop:1` where that is the
/// project's own name. What names no host is Docker Hub's, and says nothing of a registry.
fn address(reference: &str, image: &str, project: &str) -> Option<String> {
    let reference: Reference = reference.parse().ok()?;
    if is_hub(&reference.registry) {
        return None;
    }
    let name = reference.name();
    let (directory, last) = name.rsplit_once('/')?;
    let is_project = |part: &str| part == project || project.ends_with(&format!("-{part}"));
    // The project `todo-app` may have an image `app`.
    let is_below = directory.rsplit('/').next().is_some_and(is_project);
    let path = if last == image && (is_below || !is_project(last)) { directory } else { &name };
    path.contains('/').then(|| path.to_owned())
}

/// The images that the manifests name, each with its file, relative to the root.
fn references(existing: &Existing, target: &Target<'_>) -> Vec<(String, PathBuf)> {
    if existing.form == Form::Chart {
        let file = existing.directory.join("values.yaml");
        return chart::references(target.root, &file).into_iter().map(|one| (one, file.clone())).collect();
    }
    let mut found = Vec::new();
    for path in files(&target.root.join(&existing.directory)).into_iter().filter(|file| is_yaml(file)) {
        let file = path.strip_prefix(target.root).unwrap_or(Path::new("")).to_path_buf();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let tree = project::strings(&text).unwrap_or_default();
        let renamed = tree["images"].as_array().into_iter().flatten();
        let renamed = renamed.filter_map(|one| one["newName"].as_str().map(str::to_owned));
        let written = IMAGE.captures_iter(&text).map(|one| one["image"].to_owned());
        found.extend(written.chain(renamed).map(|reference| (reference, file.clone())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::existing::tests::image;

    fn found(form: Form, file: &str, text: &str, images: &[&str]) -> Option<(String, String)> {
        let root = tempfile::tempdir().unwrap();
        let directory = PathBuf::from("k8s");
        std::fs::create_dir(root.path().join(&directory)).unwrap();
        std::fs::write(root.path().join(&directory).join(file), text).unwrap();
        let images: Vec<_> = images.iter().map(|name| image(name)).collect();
        let target = Target { root: root.path(), project: "group-shop", images: &images, registry: None };
        let found = of(&Existing { directory, form }, &target);
        found.map(|(address, file)| (address, file.display().to_string()))
    }

    #[test]
    fn an_image_may_be_named_like_the_end_of_the_project() {
        let address = |reference: &str, image: &str| address(reference, image, "team-todo-app");
        for reference in ["registry.test/team/todo-app/app:1", "registry.test/team/todo-app:1"] {
            assert_eq!(
                address(reference, "app").as_deref(),
                Some("registry.test/team/todo-app"),
                "{reference}"
            );
        }
    }

    #[test]
    fn the_registry_is_where_the_manifests_pull_from() {
        let plain = |text: &str, images: &[&str]| {
            found(Form::Plain, "web.yaml", text, images).map(|(address, file)| format!("{address} {file}"))
        };
        let shop = Some("registry.test/group/shop k8s/web.yaml");
        assert_eq!(plain("- image: registry.test/group/shop:latest\n", &["app"]).as_deref(), shop);
        let two = "- image: registry.test/group/shop/api\n- image: registry.test/group/shop/web:1\n- image: postgres:1\n";
        assert_eq!(plain(two, &["api", "web"]).as_deref(), shop);
        for none in [
            "- image: shop\n",
            "- image: nora/shop:1\n",
            "- image: other.test/proxy:1\n",
            "- image: $IMAGE\n",
        ] {
            assert_eq!(plain(none, &["app"]), None, "{none}");
        }
        let several = "- image: a.test/x/api\n- image: b.test/x/web\n";
        assert_eq!(plain(several, &["api", "web"]), None);
    }

    #[test]
    fn a_chart_names_it_among_its_values() {
        let values = "image: {repository: registry.test/group/shop, tag: ''}\n";
        let expected = Some(("registry.test/group/shop".to_owned(), "k8s/values.yaml".to_owned()));
        assert_eq!(found(Form::Chart, "values.yaml", values, &["app"]), expected);
        assert_eq!(found(Form::Chart, "values.yaml", "image: {repository: nginx}\n", &["app"]), None);
        let renamed = "images: [{name: shop, newName: registry.test/group/shop}]\n";
        let file = "kustomization.yaml";
        let expected = Some(("registry.test/group/shop".to_owned(), format!("k8s/{file}")));
        assert_eq!(found(Form::Kustomization, file, renamed, &["app"]), expected);
    }
}
