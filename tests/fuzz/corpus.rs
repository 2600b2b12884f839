//! The inputs to begin with: small cases of our own in `tests/fuzz/seeds`, and what is there for people and for other tests.

use std::path::{Path, PathBuf};

/// Larger ones are left to other tests: they cost more than they find.
const LARGEST: u64 = 24 << 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The seeds of a reader.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut files = files(&root().join("tests/fuzz/seeds").join(target), &[""]);
    files.extend(match target {
        "manifests" => files_of(&["fixtures/shop/.kube", "fixtures/shop/.kube/tiers/staging"], &["yaml"]),
        "dumps" => files_of(&["fixtures/rollout"], &["yaml"]),
        "windlass-yaml" => files_of(&["fixtures/shop", "."], &["windlass.yaml"]),
        "dockerfiles" => files_of(&["fixtures/shop", "."], &["Dockerfile"]),
        "dockerignore" => files_of(&["fixtures/shop"], &[".dockerignore"]),
        "first-files" => {
            files_of(&["fixtures/init/compose", "fixtures/init/two-dockerfiles"], &[".yml", ".yaml"])
        }
        _ => Vec::new(),
    });
    let mut seeds: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(file).expect("a seed can be read")).collect();
    match target {
        "dockerignore" => seeds.extend(dockerignore_cases()),
        "archives" => seeds.extend(archives()),
        _ => {}
    }
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

fn files_of(directories: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    directories.iter().flat_map(|directory| files(&root().join(directory), endings)).collect()
}

fn files(directory: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_small =
        |path: &PathBuf| path.metadata().is_ok_and(|about| about.is_file() && about.len() <= LARGEST);
    let ends = |path: &PathBuf| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| ends(path) && is_small(path)).collect();
    files.sort();
    files
}

/// The rules that were compared with Docker's.
fn dockerignore_cases() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(root().join("fixtures/dockerignore/cases.jsonl"))
        .expect("the cases are there");
    let cases = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let join = |case: serde_json::Value| {
        let files = case["files"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        let files: Vec<&str> = files.collect();
        let rules = case["ignore"].as_str().unwrap_or_default();
        [rules, &files.join("\n")].join(windlass::fuzzing::CUT).into_bytes()
    };
    cases.step_by(5).map(join).collect()
}

/// Archives as an Engine hands them over.
fn archives() -> Vec<Vec<u8>> {
    let junit = "<testsuite><testcase name=\"a\"/><testcase name=\"b\"><failure message=\"m\">t</failure></testcase></testsuite>";
    let archive = |files: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes()).expect("it fits");
        }
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, "out/link.xml", "/etc/passwd").expect("it fits");
        tar.into_inner().expect("it ends")
    };
    let long = format!("out/{}/deep.xml", "d".repeat(150));
    vec![
        archive(&[("out/a.xml", junit)]),
        archive(&[("out/a.xml", junit), ("out/b.txt", "x"), ("out/deep/er/deep.xml", junit)]),
        archive(&[(&long, junit), ("coverage", "x")]),
        archive(&[]),
    ]
}
