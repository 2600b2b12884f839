//! From a directory to its objects: every YAML and JSON file, in sorted order, each document an object.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use crate::error::{Error, Kind, Place};
use crate::graph::in_parallel;
use crate::manifest::sources::decode;
use crate::manifest::sources::is_enough;
use crate::manifest::yaml::compose;
use crate::manifest::yaml::node::{Content, Entry, Node, Scalar};
use crate::manifest::yaml::source::Source;

/// The names of a kustomization.
pub(crate) const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// The name of a chart's description.
pub(crate) const CHART: &str = "Chart.yaml";

/// The objects of a directory and its sub-directories, without the directories to skip. What cannot be read goes
/// to the mistakes.
pub(crate) fn directory(
    root: &Path,
    directory: &Path,
    skip: &[PathBuf],
    mistakes: &mut Vec<Error>,
) -> Vec<Node> {
    let mut objects = Vec::new();
    let read = |file: PathBuf| source(root, &file).and_then(|source| compose::documents(&Arc::new(source)));
    for documents in in_parallel(files(root, directory, skip, mistakes), read) {
        match documents {
            Ok(documents) => documents.into_iter().for_each(|node| flatten(node, &mut objects, mistakes)),
            Err(error) => mistakes.push(error),
        }
    }
    objects
}

/// The manifests below a directory, whatever is in them; none where it does not exist.
pub(crate) fn manifest_files(directory: &Path) -> Vec<PathBuf> {
    let walk = WalkDir::new(directory).follow_links(true).sort_by_file_name().into_iter();
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).filter(|path| is_manifest(path)).collect()
}

fn files(root: &Path, directory: &Path, skip: &[PathBuf], mistakes: &mut Vec<Error>) -> Vec<PathBuf> {
    let walk = WalkDir::new(directory).follow_links(true).sort_by_file_name().into_iter();
    let mut files = Vec::new();
    for entry in walk.filter_entry(|entry| !skip.iter().any(|skipped| entry.path() == skipped)) {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_description(entry.path()) => {
                mistakes.push(misplaced(root, entry.path()));
            }
            Ok(entry) if entry.file_type().is_file() && is_manifest(entry.path()) => {
                files.push(entry.into_path());
            }
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(directory).to_path_buf();
                mistakes.push(match error.io_error() {
                    Some(fault) => unreadable(root, &path, fault),
                    None => unreadable(root, &path, &io::Error::other(error.to_string())),
                });
            }
        }
    }
    files
}

/// Whether a file describes manifests that must be rendered, and so is none itself.
pub(crate) fn is_description(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == CHART || KUSTOMIZATIONS.contains(&name)
}

/// In a sub-directory nobody says for which tier it is to be rendered.
fn misplaced(root: &Path, file: &Path) -> Error {
    let sentence = "a chart belongs in `.kube` itself, a kustomization in `.kube` or in a tier's directory";
    Error::new(Kind::Invalid, sentence).at(Place::file(relative(root, file)))
}

pub(crate) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

fn source(root: &Path, path: &Path) -> Result<Source, Error> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(root, path, &error))?;
    let text = decode::text(bytes, Place::file(relative(root, path)))?;
    Ok(Source { path: relative(root, path), text, rendered: false })
}

fn unreadable(root: &Path, path: &Path, error: &io::Error) -> Error {
    let place = Place::file(relative(root, path));
    if path.is_symlink() && error.kind() == io::ErrorKind::NotFound {
        return Error::new(Kind::Invalid, "the manifest is a link to something that does not exist")
            .at(place);
    }
    Error::new(Kind::Invalid, format!("the manifest cannot be read: {error}")).at(place)
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

/// Takes lists apart and keeps what is an object.
pub(crate) fn flatten(mut node: Node, objects: &mut Vec<Node>, mistakes: &mut Vec<Error>) {
    if is_enough(mistakes) {
        return;
    }
    if is_list(&node) {
        let items = node.remove("items").map(|entry| entry.value.content);
        if let Some(Content::List(items)) = items {
            for mut item in items {
                name_kind(&mut item, &node);
                flatten(item, objects, mistakes);
            }
        }
        return;
    }
    match not_an_object(&node) {
        Some(mistake) => mistakes.push(mistake),
        None => objects.push(node),
    }
}

/// An item of a `ConfigMapList` that says neither version nor kind is a `ConfigMap` of the list's version, as for kubectl.
/// What is wrong with them is wrong where the list says them.
fn name_kind(item: &mut Node, list: &Node) {
    let lacks = |item: &Node, key: &str| {
        item.get(key).is_none_or(|value| value.is_null() || value.text() == Some(""))
    };
    let (Some(version), Some(kind)) = (list.get("apiVersion"), list.get("kind")) else { return };
    let name = kind.text().and_then(|text| text.strip_suffix("List")).filter(|name| !name.is_empty());
    let Some(name) = name.filter(|_| lacks(item, "apiVersion") && lacks(item, "kind")) else { return };
    let Content::Map(entries) = &mut item.content else { return };
    entries.retain(|entry| entry.key != "apiVersion" && entry.key != "kind");
    let kind = Node {
        spot: kind.spot.clone(),
        content: Content::Scalar(Scalar { value: name.into(), plain: true }),
    };
    for (key, value) in [("kind", kind), ("apiVersion", version.clone())] {
        entries.insert(0, Entry { key: key.to_owned(), spot: value.spot.clone(), value });
    }
}

fn is_list(node: &Node) -> bool {
    let kind = node.text_at(&["kind"]).unwrap_or_default();
    kind.ends_with("List")
        && node.at(&["metadata", "name"]).is_none()
        && matches!(node.get("items").map(|items| &items.content), Some(Content::List(_)))
}

/// `kind: List` of the core group is nothing but its items.
fn is_broken_list(node: &Node) -> bool {
    node.text_at(&["apiVersion"]) == Some("v1") && node.text_at(&["kind"]) == Some("List")
}

fn not_an_object(node: &Node) -> Option<Error> {
    let Content::Map(_) = node.content else {
        return Some(node.spot.mistake("this is not a Kubernetes object").with_hint(EVERY_FILE));
    };
    if is_broken_list(node) {
        let spot = node.get("items").map_or(&node.spot, |items| &items.spot);
        return Some(spot.mistake("a `List` has its objects under `items`, as a list, and no name"));
    }
    if let Some(metadata) = node.get("metadata").filter(|metadata| !metadata.is_null())
        && !matches!(metadata.content, Content::Map(_))
    {
        return Some(metadata.spot.mistake("`metadata` must be a map"));
    }
    for (path, written) in
        [(&["apiVersion"][..], "apiVersion"), (&["kind"], "kind"), (&["metadata", "name"], "metadata.name")]
    {
        match node.at(path) {
            Some(value) if value.text().is_some_and(|text| !text.is_empty()) => {}
            Some(value) if !value.is_null() => {
                let error = value.spot.mistake(format!("`{written}` must be a string that is not empty"));
                return Some(in_quotes(error, value));
            }
            _ if written == "metadata.name" && node.at(&["metadata", "generateName"]).is_some() => {
                return Some(
                    node.spot.mistake("the object has no name of its own (`generateName`)").with_hint(
                        "give it a `metadata.name`: a release must be able to find the object again",
                    ),
                );
            }
            _ => {
                return Some(
                    node.spot.mistake(format!("the object has no `{written}`")).with_hint(EVERY_FILE),
                );
            }
        }
    }
    None
}

/// The mistake with the hint at quotes, where YAML made something else of a plain word that is meant as a string.
pub(crate) fn in_quotes(mistake: Error, value: &Node) -> Error {
    let read_as = match value.scalar() {
        Some(serde_json::Value::Bool(_)) => "a boolean",
        Some(serde_json::Value::Number(_)) => "a number",
        _ => return mistake,
    };
    mistake.with_hint(format!("put it in quotes: YAML reads it as {read_as}"))
}

const EVERY_FILE: &str =
    "every YAML and JSON file of `.kube` holds Kubernetes objects; keep other files elsewhere";

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn kube(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        root
    }

    fn names(root: &TempDir, mistakes: &mut Vec<Error>) -> Vec<String> {
        let base = root.path().join(".kube");
        directory(root.path(), &base, &[base.join("tiers")], mistakes)
            .iter()
            .map(|object| object.text_at(&["metadata", "name"]).expect("a name").to_owned())
            .collect()
    }

    fn object(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
    }

    #[test]
    fn files_are_read_in_sorted_order_without_the_tiers() {
        let json = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "json"}}"#;
        let two = format!("{}---\n{}", object("b1"), object("b2"));
        let root = kube(&[
            (".kube/b.yaml", &two),
            (".kube/a/z.yml", &object("a")),
            (".kube/c.json", json),
            (".kube/tiers/staging/x.yaml", &object("x")),
            (".kube/notes.md", "no: ["),
        ]);
        let mut mistakes = Vec::new();
        assert_eq!(names(&root, &mut mistakes), ["a", "b1", "b2", "json"]);
        assert!(mistakes.is_empty());
    }

    #[test]
    fn lists_are_taken_apart() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n\
                    - apiVersion: v1\n  kind: Pod\n  metadata: {}\n";
        let root = kube(&[(".kube/list.yaml", text)]);
        let mut mistakes = Vec::new();
        assert_eq!(names(&root, &mut mistakes), ["a"]);
        assert_eq!(mistakes[0].to_string(), ".kube/list.yaml:7:3: the object has no `metadata.name`");
    }

    #[test]
    fn items_of_a_typed_list_have_its_kind() {
        let text = "kind: ConfigMapList\napiVersion: v1\nmetadata: {resourceVersion: \"5\"}\nitems:\n\
                    - metadata: {name: a}\n- {apiVersion: \"\", kind: null, metadata: {name: b}}\n\
                    - {apiVersion: apps/v1, kind: Deployment, metadata: {name: c}}\n\
                    - {kind: ConfigMap, metadata: {name: d}}\n- 5\n";
        let root = kube(&[(".kube/list.yaml", text)]);
        let (base, mut mistakes) = (root.path().join(".kube"), Vec::new());
        let objects = directory(root.path(), &base, &[], &mut mistakes);
        let json: Vec<_> = objects.iter().map(Node::to_json).collect();
        let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "c"}});
        assert_eq!(json, [map("a"), map("b"), deployment]);
        assert_eq!(objects[0].place_of("/kind").place(), Place::at(".kube/list.yaml", 1, 7));
        let words: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                ".kube/list.yaml:8:3: the object has no `apiVersion`",
                ".kube/list.yaml:9:3: this is not a Kubernetes object"
            ]
        );
    }

    #[test]
    fn the_items_of_a_list_of_no_kind_need_their_own() {
        let root =
            kube(&[(".kube/a.yaml", "{apiVersion: v1, kind: List, items: [{metadata: {name: a}}]}\n")]);
        let mut mistakes = Vec::new();
        assert!(names(&root, &mut mistakes).is_empty());
        assert_eq!(mistakes[0].to_string(), ".kube/a.yaml:1:38: the object has no `apiVersion`");
    }

    #[test]
    fn windows_files_are_read_and_places_are_those_of_an_editor() {
        let root = kube(&[(".kube/a.yaml", &object("a"))]);
        let path = |name: &str| root.path().join(".kube").join(name);
        let text = "apiVersion: v1\r\nkind: Pod\r\nmetadata: {ü: 1, name: 12}\r\n";
        let utf16 = |of_unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(of_unit).collect()
        };
        fs::write(path("b.yaml"), utf16(u16::to_le_bytes)).expect("a file");
        fs::write(path("c.yaml"), utf16(u16::to_be_bytes)).expect("a file");
        fs::write(path("d.yaml"), format!("\u{feff}{text}")).expect("a file");
        fs::write(path("e.json"), "\u{feff}{\"a\": 1}\n{\"b\": 1,}\n").expect("a file");
        let mut mistakes = Vec::new();
        assert_eq!(names(&root, &mut mistakes), ["a"]);
        let places: Vec<_> = mistakes.iter().filter_map(|mistake| mistake.place().cloned()).collect();
        let wanted = [("b.yaml", 3, 24), ("c.yaml", 3, 24), ("d.yaml", 3, 24), ("e.json", 2, 9)];
        assert_eq!(
            places,
            wanted.map(|(name, line, column)| Place::at(format!(".kube/{name}"), line, column))
        );
        assert_eq!(
            mistakes[0].snippet(),
            Some("3 │ metadata: {ü: 1, name: 12}\n  │                        ^")
        );
    }

    #[test]
    fn a_list_without_a_list_is_a_mistake() {
        let root =
            kube(&[(".kube/list.yaml", "apiVersion: v1\nkind: List\nmetadata: {name: x}\nitmes: []\n")]);
        let mut mistakes = Vec::new();
        assert!(names(&root, &mut mistakes).is_empty());
        assert_eq!(
            mistakes[0].to_string(),
            ".kube/list.yaml:1:1: a `List` has its objects under `items`, as a list, and no name"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let root = kube(&[(".kube/a.yaml", &object("a"))]);
        let path = |name: &str| root.path().join(".kube").join(name);
        std::os::unix::fs::symlink("nothing", path("b.yaml")).expect("a link");
        fs::write(path("c.yaml"), b"a: 1\nb: \xff\n").expect("a file");
        fs::write(path("d.yaml"), b"\xff\xfea\0:\0 \x001\0\n").expect("a file");
        let mut mistakes = Vec::new();
        assert_eq!(names(&root, &mut mistakes), ["a"]);
        let words: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                ".kube/b.yaml: the manifest is a link to something that does not exist",
                ".kube/c.yaml:2:4: the manifest is not UTF-8",
                ".kube/d.yaml:1:5: the manifest is not UTF-16"
            ]
        );
    }

    #[test]
    fn what_is_no_object_is_a_mistake_and_the_others_are_read() {
        let root = kube(&[
            (".kube/1.yaml", "replicas: 3\n"),
            (".kube/2.yaml", "a: [\n"),
            (".kube/3.yaml", "- 1\n"),
            (".kube/4.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 12\n"),
            (".kube/5.yaml", &object("five")),
        ]);
        let mut mistakes = Vec::new();
        assert_eq!(names(&root, &mut mistakes), ["five"]);
        let places: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(places[0], ".kube/1.yaml:1:1: the object has no `apiVersion`");
        assert_eq!(places[2], ".kube/3.yaml:1:1: this is not a Kubernetes object");
        assert_eq!(places[3], ".kube/4.yaml:4:9: `metadata.name` must be a string that is not empty");
        assert_eq!(mistakes.len(), 4);
    }

    #[test]
    fn a_chart_in_a_sub_directory_is_not_silently_ignored() {
        let root = kube(&[(".kube/chart/Chart.yaml", "name: x\n"), (".kube/a.yaml", &object("a"))]);
        let mut mistakes = Vec::new();
        assert_eq!(names(&root, &mut mistakes), ["a"]);
        assert_eq!(mistakes[0].place(), Some(&Place::file(".kube/chart/Chart.yaml")));
    }
}
