//! A chart: `.kube` is a link to it, and a file of values names the project's images.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Kind, Place, Result};
use crate::init::configuration::TierEntry;
use crate::init::existing::{CHART, Taken, Target, own};
use crate::init::file::{Content, File, VALUES};
use crate::init::images::Image;
use crate::manifest::{quoted, to_yaml};
use crate::project;
use crate::report::view::setup::init::FirstFiles;

/// Where a chart has an image among its values.
struct ImageValue<'v> {
    /// The keys that lead to it.
    path: Vec<String>,
    value: &'v Value,
}

impl ImageValue<'_> {
    /// As a reference, as far as the values say it.
    fn reference(&self) -> Option<String> {
        let text = |key: &str| self.value[key].as_str().filter(|text| !text.is_empty());
        if let Value::String(text) = self.value {
            return Some(text.clone());
        }
        let repository = text("repository")?;
        let with_registry = text("registry").map(|registry| format!("{registry}/{repository}"));
        Some(with_registry.unwrap_or_else(|| repository.to_owned()))
    }

    /// What names another image there: `<registry>/<name>`.
    fn naming(&self, registry: &str, name: &str) -> Value {
        if self.value.is_string() {
            return format!("{registry}/{name}").into();
        }
        let mut value = json!({"repository": format!("{registry}/{name}")});
        if let (true, Some((host, path))) = (self.value.get("registry").is_some(), registry.split_once('/')) {
            value = json!({"registry": host, "repository": format!("{path}/{name}")});
        }
        if self.value.get("digest").is_some() {
            value["digest"] = "".into();
        }
        value
    }
}

pub(super) fn take(target: &Target<'_>, directory: &Path, notes: &mut FirstFiles) -> Result<Taken> {
    let from = target.root.join(directory);
    let file = directory.join("values.yaml");
    let values = values_in(target.root, &file)?;
    let mut found = Vec::new();
    image_values(&values, &mut Vec::new(), &mut found);
    let own = own_images(&found, target);
    let mut files = vec![File { path: ".kube".into(), content: Content::Link(directory.to_path_buf()) }];
    let mut words = "chart, linked as `.kube`".to_owned();
    let mut common = Vec::new();
    if let (Some(registry), false) = (target.registry, own.is_empty()) {
        for (image, name) in &own {
            words += &format!("; `{}` of its values is the image `{name}`", image.path.join("."));
        }
        files.push(File::text(VALUES, naming_values(registry, &own)));
        common.push(VALUES.to_owned());
    } else if let Some(first) = target.images.first() {
        let example = match own.as_slice() {
            [] => example(found.first(), &first.name),
            [(image, name), ..] => example(Some(image), name),
        };
        notes.need(write_values(&example));
    }
    notes.find(directory.display().to_string(), words);
    let release =
        format!("the release name is the project's, `{}`: templates name objects after it", target.project);
    notes.find(directory.display().to_string(), release);
    let tier = |name: &str| {
        let own = values_of_tier(&from, name).map(|file| directory.join(file).display().to_string());
        let values = own.into_iter().chain(common.clone()).collect();
        TierEntry { name: name.to_owned(), values, ..TierEntry::default() }
    };
    let tiers = ["staging", "production"].map(tier).to_vec();
    Ok(Taken { files, tiers, namespace: None, has_registry: !common.is_empty() })
}

/// What is to be done where a chart in `.kube` names none of these images; `None` where its values name one.
pub(in crate::init) fn lacks_values(root: &Path, images: &[Image]) -> Option<String> {
    let first = images.first().filter(|_| root.join(".kube").join(CHART).is_file())?;
    let values = values_in(root, Path::new(".kube/values.yaml")).unwrap_or_default();
    let mut found = Vec::new();
    image_values(&values, &mut Vec::new(), &mut found);
    let is_named =
        |reference: String| images.iter().any(|image| reference.ends_with(&format!("/{}", image.name)));
    let named = found.iter().filter_map(ImageValue::reference).any(is_named);
    (!named).then(|| write_values(&example(found.first(), &first.name)))
}

fn write_values(example: &str) -> String {
    format!(
        "write the image with the chart's own key, as `{example}`, into {VALUES}, and name it in each tier: `values: [{VALUES}]`"
    )
}

/// One line of YAML that sets an image of the project, with the chart's own keys.
fn example(image: Option<&ImageValue<'_>>, name: &str) -> String {
    let mut values = Map::new();
    match image {
        Some(image) => set(&mut values, &image.path, image.naming("HOST/PATH", name)),
        None => set(
            &mut values,
            &["image".to_owned(), "repository".to_owned()],
            format!("HOST/PATH/{name}").into(),
        ),
    }
    let line = flow(&values.into());
    line.strip_prefix('{').and_then(|line| line.strip_suffix('}')).unwrap_or(&line).to_owned()
}

/// YAML in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => quoted(other.as_str().unwrap_or_default()),
    }
}

/// The images among the values of a chart, as far as they can be read.
pub(super) fn references(root: &Path, file: &Path) -> Vec<String> {
    let values = values_in(root, file).unwrap_or_default();
    let mut found = Vec::new();
    image_values(&values, &mut Vec::new(), &mut found);
    found.iter().filter_map(ImageValue::reference).collect()
}

/// The chart's own values; none where it has no such file.
fn values_in(root: &Path, file: &Path) -> Result<Value> {
    match std::fs::read_to_string(root.join(file)) {
        Ok(text) => project::yaml_tree(&text, file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => {
            let error = Error::new(Kind::Invalid, format!("the values cannot be read: {error}"));
            Err(error.at(Place::file(file)))
        }
    }
}

/// The file of values that names the project's images.
fn naming_values(registry: &str, own: &[(&ImageValue<'_>, &str)]) -> String {
    let mut naming = Map::new();
    for (image, name) in own {
        set(&mut naming, &image.path, image.naming(registry, name));
    }
    let text = to_yaml(&[naming.into()]);
    format!(
        "# The images of windlass.yaml in the chart's values: a release puts their digests there.\n{}",
        text.trim_start_matches("---\n")
    )
}

/// The file of values that a chart has for a tier of this name.
fn values_of_tier(chart: &Path, tier: &str) -> Option<String> {
    let names = [
        format!("values-{tier}.yaml"),
        format!("values.{tier}.yaml"),
        format!("{tier}.yaml"),
        format!("values/{tier}.yaml"),
    ];
    names.into_iter().find(|name| chart.join(name).is_file())
}

/// Every `image` among the values: a reference, or a map with a repository.
fn image_values<'v>(values: &'v Value, path: &mut Vec<String>, found: &mut Vec<ImageValue<'v>>) {
    for (key, value) in values.as_object().into_iter().flatten() {
        path.push(key.clone());
        let is_image = key == "image" || key.ends_with("Image");
        let is_text = value.as_str().is_some_and(|text| !text.is_empty());
        if is_image && (is_text || value["repository"].is_string()) {
            found.push(ImageValue { path: path.clone(), value });
        } else {
            image_values(value, path, found);
        }
        path.pop();
    }
}

/// The images that are the project's; the only one is, where the project has only one.
fn own_images<'a, 'v>(
    found: &'a [ImageValue<'v>],
    target: &Target<'a>,
) -> Vec<(&'a ImageValue<'v>, &'a str)> {
    let named = found.iter().filter_map(|image| Some((image, own(&image.reference()?, target)?)));
    let named: Vec<_> = named.collect();
    match (named.is_empty(), found, target.images) {
        (true, [only], [image]) => vec![(only, image.name.as_str())],
        _ => named,
    }
}

fn set(values: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => drop(values.insert(key.clone(), value)),
        [key, rest @ ..] => {
            let inner = values.entry(key.clone()).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::existing::tests::image;

    fn taken(values: &str, images: &[&str]) -> (Taken, FirstFiles) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("charts/shop")).unwrap();
        std::fs::write(root.path().join("charts/shop/values.yaml"), values).unwrap();
        std::fs::write(root.path().join("charts/shop/values-production.yaml"), "a: b\n").unwrap();
        let images: Vec<_> = images.iter().map(|name| image(name)).collect();
        let target =
            Target { root: root.path(), project: "shop", images: &images, registry: Some("registry.test/x") };
        let mut notes = FirstFiles::default();
        (take(&target, Path::new("charts/shop"), &mut notes).unwrap(), notes)
    }

    fn written(taken: &Taken) -> Value {
        match &taken.files[1].content {
            Content::Text(text) => project::strings(text).unwrap(),
            Content::Link(_) => panic!("a link"),
        }
    }

    #[test]
    fn the_values_name_the_project_s_images() {
        let (found, _) = taken("image: {repository: nginx, tag: ''}\nreplicas: 1\n", &["app"]);
        assert_eq!(found.files[0].content, Content::Link("charts/shop".into()));
        assert_eq!(written(&found), json!({"image": {"repository": "registry.test/x/app"}}));
        assert_eq!(found.tiers[0].values, ["windlass-values.yaml"]);
        assert_eq!(found.tiers[1].values, ["charts/shop/values-production.yaml", "windlass-values.yaml"]);
        let values = "api:\n  image: {registry: r.test, repository: group/api, digest: x}\nworkerImage: r.test/worker:1\n\
                      db:\n  image: {repository: postgres}\n";
        let (found, _) = taken(values, &["api", "worker"]);
        let expected = json!({
            "api": {"image": {"registry": "registry.test", "repository": "x/api", "digest": ""}},
            "workerImage": "registry.test/x/worker",
        });
        assert_eq!(written(&found), expected);
    }

    #[test]
    fn a_chart_in_kube_may_lack_a_values_file() {
        let root = tempfile::tempdir().unwrap();
        let images = [image("app")];
        let write =
            |file: &str, text: &str| std::fs::write(root.path().join(".kube").join(file), text).unwrap();
        std::fs::create_dir(root.path().join(".kube")).unwrap();
        assert_eq!(lacks_values(root.path(), &images), None, "no chart");
        write("Chart.yaml", "name: shop\n");
        write("values.yaml", "image: {registry: a.test, repository: nginx, digest: ''}\n");
        let line =
            "as `image: {registry: HOST, repository: PATH/app, digest: \"\"}`, into windlass-values.yaml";
        assert!(lacks_values(root.path(), &images).unwrap().contains(line));
        write("values.yaml", "image: {repository: registry.test/x/app}\n");
        assert_eq!(lacks_values(root.path(), &images), None);
    }

    #[test]
    fn what_nobody_can_know_is_said() {
        let (found, notes) =
            taken("web: {image: {repository: a}}\nproxy: {image: {repository: b}}\n", &["app"]);
        assert_eq!((found.files.len(), notes.needed.len()), (1, 1));
        let line = "as `web: {image: {repository: HOST/PATH/app}}`, into windlass-values.yaml, and name it";
        assert!(notes.needed[0].contains(line), "{:?}", notes.needed);
        assert!(notes.found[1].1.contains("the release name is the project's, `shop`"), "{:?}", notes.found);
        let (found, notes) = taken("", &[]);
        assert_eq!((found.files.len(), notes.needed.len()), (1, 0));
    }
}
