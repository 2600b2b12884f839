//! Plain manifests: copied into `.kube`, with the project's images by their names and without the namespace, which is the tier's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::error::{Error, Kind, Place, Result};
use crate::init::configuration::TierEntry;
use crate::init::existing::{
    CHART, IMAGE, KUSTOMIZATIONS, TIERS, Taken, Target, files, is_manifest, is_yaml, own, rank,
};
use crate::init::file::{Content, File};
use crate::report::view::setup::init::FirstFiles;

static NAMESPACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(\s+)namespace:\s*["']?([a-z0-9][a-z0-9-]*)["']?\s*(?:#.*)?$"#)
        .expect("the pattern is a constant")
});

/// What is done to the manifests of a directory.
struct Edit<'a> {
    target: &'a Target<'a>,
    /// The namespace that they name, where they all name the same.
    namespace: Option<String>,
    images: BTreeSet<String>,
    namespaces: usize,
}

pub(super) fn take(target: &Target<'_>, directory: &Path, notes: &mut FirstFiles) -> Result<Taken> {
    let from = target.root.join(directory);
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    let all = files(&from);
    let described = |file: &Path| {
        let inside = file.ancestors().take_while(|one| one.starts_with(&from));
        inside
            .filter(|one| one.is_dir())
            .any(|one| KUSTOMIZATIONS.iter().chain([&CHART]).any(|name| one.join(name).is_file()))
    };
    for file in all.iter().filter(|file| is_yaml(file)) {
        let shown = file.strip_prefix(target.root).unwrap_or(file);
        if described(file) {
            notes.leave(shown.display().to_string(), "it is of a kustomization or a chart".to_owned());
            continue;
        }
        if !is_manifest(file) {
            notes.leave(shown.display().to_string(), "it is no manifest: `apiVersion` and `kind`".to_owned());
            continue;
        }
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::new(Kind::Invalid, format!("the manifest cannot be read: {error}")).at(Place::file(shown))
        })?;
        texts.push((file.strip_prefix(&from).unwrap_or(file).to_path_buf(), text));
    }
    let mut named = texts.iter().flat_map(|(_, text)| namespaces(text));
    let first = named.next().map(str::to_owned);
    let namespace = first.filter(|first| named.all(|other| other == first));
    let mut edit = Edit { target, namespace: namespace.clone(), images: BTreeSet::new(), namespaces: 0 };
    let mut taken = Taken { namespace, ..Taken::default() };
    for (file, text) in &texts {
        let text = edit.text(file, text);
        if text.trim().is_empty() {
            notes.leave(
                directory.join(file).display().to_string(),
                "windlass creates the namespace of a tier".to_owned(),
            );
            continue;
        }
        let (path, tier) = place(file);
        if let Some(tier) = tier.filter(|tier| !taken.tiers.iter().any(|known| known.name == *tier)) {
            taken.tiers.push(TierEntry { name: tier, ..TierEntry::default() });
        }
        taken.files.push(File { path, content: Content::Text(text) });
    }
    taken.tiers.sort_by_key(|tier| rank(&tier.name));
    edit.tell(directory, texts.len(), notes);
    Ok(taken)
}

/// The namespaces that a text names in the metadata of its objects.
fn namespaces(text: &str) -> Vec<&str> {
    lines(text).filter_map(|(line, in_metadata)| in_metadata.then(|| namespace_of(line))?).collect()
}

fn namespace_of(line: &str) -> Option<&str> {
    NAMESPACE.captures(line).and_then(|found| found.get(2)).map(|name| name.as_str())
}

/// Each line, and whether it is an entry of an object's own metadata.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let (mut in_metadata, mut indent) = (false, None);
    text.lines().map(move |line| {
        let own = line.len() - line.trim_start().len();
        if own == 0 && !line.is_empty() && !line.starts_with('#') {
            (in_metadata, indent) = (line.trim_end() == "metadata:", None);
        } else if in_metadata && indent.is_none() && !line.trim().is_empty() {
            indent = Some(own);
        }
        (line, in_metadata && own > 0 && indent == Some(own))
    })
}

/// Where a file goes: below `.kube`, or below that of the tier that its directory names.
fn place(file: &Path) -> (PathBuf, Option<String>) {
    let first = file.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let rest: PathBuf = file.components().skip(1).collect();
    match first.filter(|_| rest.components().next().is_some()) {
        Some(tier) if TIERS.contains(&tier.as_str()) => (Path::new(".kube/tiers").join(file), Some(tier)),
        Some(base) if base == "base" || base == "common" => (Path::new(".kube").join(rest), None),
        _ => (Path::new(".kube").join(file), None),
    }
}

impl Edit<'_> {
    /// The text for `.kube`; empty where nothing but a namespace is in it.
    fn text(&mut self, file: &Path, text: &str) -> String {
        if file.extension().is_some_and(|extension| extension == "json") {
            return text.to_owned();
        }
        let text = text.replace("\r\n", "\n");
        let mut documents: Vec<String> = Vec::new();
        for document in documents_of(&text) {
            let is_namespace = document.lines().any(|line| line.trim_end() == "kind: Namespace");
            let has_content = document.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'));
            if is_namespace {
                self.namespaces += 1;
            } else if has_content {
                documents.push(self.document(document));
            }
        }
        documents.join("---\n")
    }

    fn document(&mut self, document: &str) -> String {
        let kept = lines(document).filter(|(line, in_metadata)| {
            !in_metadata || self.namespace.is_none() || namespace_of(line) != self.namespace.as_deref()
        });
        let text: String = kept.map(|(line, _)| format!("{line}\n")).collect();
        let (target, images) = (self.target, &mut self.images);
        let replaced = IMAGE.replace_all(&text, |found: &regex::Captures<'_>| {
            let Some(name) = own(&found["image"], target) else { return found[0].to_owned() };
            images.insert(format!("`{}` is the image `{name}`", &found["image"]));
            format!("{}{name}{}", &found["before"], &found["after"])
        });
        replaced.into_owned()
    }

    fn tell(self, directory: &Path, count: usize, notes: &mut FirstFiles) {
        let mut words = format!("{}, copied into .kube", crate::text::display::count(count, "manifest"));
        for image in &self.images {
            words += &format!("; {image}");
        }
        if let Some(namespace) = &self.namespace {
            words += &format!("; the namespace `{namespace}` is the tier's");
        }
        if self.namespaces > 0 {
            words += ", which windlass creates";
        }
        let shown = directory.display().to_string();
        notes.find(shown.clone(), words);
        if self.images.is_empty() && !self.target.images.is_empty() {
            let names: Vec<String> =
                self.target.images.iter().map(|image| format!("`image: {}`", image.name)).collect();
            notes.need(format!("write {} in .kube for the project's image", names.join(", ")));
        }
        notes.need(format!("delete {shown} when nothing else reads it: only .kube is released"));
    }
}

fn documents_of(text: &str) -> Vec<&str> {
    let (mut documents, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(&text[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    documents.push(&text[start..]);
    documents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::existing::tests::image;

    const WEB: &str = "\
# Everything.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop # ours
  labels:
    namespace: shop
spec:
  template:
    spec:
      containers:
      - image: \"registry.test/shop:latest\" # the web
        name: web
      - name: proxy
        image: nginx:1
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
    namespace: shop
    name: web
subjects:
- kind: ServiceAccount
  name: web
  namespace: shop
";

    fn taken(files: &[(&str, &str)]) -> (Taken, FirstFiles) {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join("k8s").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let images = [image("app")];
        let target = Target { root: root.path(), project: "shop", images: &images, registry: None };
        let mut notes = FirstFiles::default();
        (take(&target, Path::new("k8s"), &mut notes).unwrap(), notes)
    }

    fn text_of(taken: &Taken, path: &str) -> String {
        let file = taken.files.iter().find(|file| file.path == Path::new(path)).unwrap();
        match &file.content {
            Content::Text(text) => text.clone(),
            Content::Link(_) => panic!("a link"),
        }
    }

    #[test]
    fn the_namespace_is_the_tier_s_and_the_image_the_project_s() {
        let (found, notes) = taken(&[("web.yaml", WEB), ("values.yaml", "a: b\n")]);
        let text = text_of(&found, ".kube/web.yaml");
        assert_eq!(found.namespace.as_deref(), Some("shop"));
        assert!(!text.contains("Namespace") && text.contains("- image: app # the web"), "{text}");
        assert!(text.contains("image: nginx:1"), "{text}");
        assert_eq!(text.matches("namespace: shop").count(), 2, "a label and a subject: {text}");
        assert_eq!(notes.left_aside[0].0, "k8s/values.yaml");
        assert!(
            notes.found[0].1.contains("`registry.test/shop:latest` is the image `app`"),
            "{:?}",
            notes.found
        );
    }

    #[test]
    fn directories_of_tiers_become_tiers() {
        let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: one\n";
        let other = "apiVersion: v1\nkind: Service\nmetadata:\n  name: b\n  namespace: two\n";
        let (found, _) =
            taken(&[("base/a.yaml", service), ("production/b.yaml", other), ("dev/b.yml", other)]);
        let names: Vec<&str> = found.tiers.iter().map(|tier| tier.name.as_str()).collect();
        assert_eq!(names, ["dev", "production"]);
        assert_eq!(found.namespace, None, "they name two");
        assert_eq!(text_of(&found, ".kube/a.yaml"), service);
        assert_eq!(text_of(&found, ".kube/tiers/production/b.yaml"), other);
    }

    #[test]
    fn templates_of_charts_are_no_plain_manifests() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
        let (found, notes) =
            taken(&[("a.yaml", service), ("x/kustomization.yaml", ""), ("x/b.yaml", service)]);
        assert_eq!(found.files.len(), 1);
        assert_eq!(notes.left_aside.len(), 2);
    }
}
