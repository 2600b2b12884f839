//! Never a wrong error: what an API server took has none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::*;

fn files(directory: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let walk = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().filter_map(Result::ok);
    let is_wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        path.is_file() && extension.is_some_and(|extension| extensions.contains(&extension))
    };
    walk.map(walkdir::DirEntry::into_path).filter(is_wanted).collect()
}

fn errors(object: &Value, version: &str) -> Vec<Finding> {
    let found = Schemas::of(version).expect("a version").check(object);
    found.into_iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// What is left out of a dump that was cut or written by hand.
const CUT: [&str; 5] = [
    "is missing",
    "a Service needs `ports`",
    "a volume needs a source",
    "which the pod template does not have",
    "must be a string, not a boolean",
];

/// The dumps were recorded from clusters; those named `edge-` were cut by hand afterwards, and one was written by hand.
#[test]
fn what_a_cluster_holds_has_no_errors() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files("fixtures/rollout", &["yaml"]) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_cut = name.starts_with("edge-") || name == "deployment-old-set-without-revision.yaml";
        // A key stands in it twice: no YAML for a strict reader.
        for object in objects_if_yaml(&fs::read_to_string(&file).expect("a dump")) {
            count += 1;
            let is_of_cut = |one: &Finding| is_cut && CUT.iter().any(|cut| one.message.contains(cut));
            let found = errors(&object, "1.37").into_iter().filter(|one| !is_of_cut(one));
            wrong.extend(
                found.map(|one| format!("{name} {}/{}: {one}", object["kind"], object["metadata"]["name"])),
            );
        }
    }
    assert!(count > 1000, "only {count} objects");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The manifests of the example, of the lab and of the documentation, in old and new versions; a value that is
/// not replaced yet counts for nothing.
#[test]
fn what_this_project_writes_has_no_errors() {
    let mut texts: Vec<(String, String)> = Vec::new();
    for directory in ["fixtures/shop/.kube", "tests/lab/manifests"] {
        for file in files(directory, &["yaml"]) {
            texts.push((file.display().to_string(), fs::read_to_string(&file).expect("a manifest")));
        }
    }
    for file in files("docs", &["md"]).into_iter().chain(files("fixtures/shop", &["md"])) {
        let text = fs::read_to_string(&file).expect("a page");
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        texts.extend(blocks.map(|block| (file.display().to_string(), block.to_owned())));
    }
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (name, text) in texts.iter().filter(|(_, text)| text.contains("apiVersion:")) {
        for object in objects_if_yaml(text).iter().filter(|object| object.get("kind").is_some()) {
            count += 1;
            for version in ["1.27", "1.29", "1.33", "1.34", "1.37"] {
                let is_open = |one: &Finding| {
                    object.pointer(&one.pointer).is_some_and(|value| value.to_string().contains("${"))
                };
                let found = errors(object, version).into_iter().filter(|one| !is_open(one));
                wrong.extend(found.map(|one| format!("{name} {version} {}: {one}", object["kind"])));
            }
        }
    }
    assert!(count > 20, "only {count} objects");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// 500 documents in less than 50 ms where it is optimized; a test is not, and runs beside others.
#[test]
fn five_hundred_documents_take_milliseconds() {
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rollout/sts-good.yaml");
    let objects = objects(&fs::read_to_string(dump).expect("a dump"));
    let schemas = Schemas::newest();
    let begin = Instant::now();
    let found: usize = objects.iter().cycle().take(500).map(|object| schemas.check(object).len()).sum();
    assert_eq!(found, 0);
    assert!(begin.elapsed().as_millis() < 3000, "{:?}", begin.elapsed());
}
