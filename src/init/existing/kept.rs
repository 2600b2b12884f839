//! A `.kube` that is there: what it says about tiers, images and variables. It stays as it is.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use crate::init::configuration::TierEntry;
use crate::init::existing::rank;
use crate::init::images::Image;
use crate::project::Project;
use crate::report::view::setup::init::FirstFiles;
use crate::text::display;

/// What `.kube` says about tiers, and what it uses and nobody has given a value.
pub(in crate::init) fn tiers(project: &Project, report: &mut FirstFiles) -> Vec<TierEntry> {
    let texts = texts(&project.root);
    let count = display::count(texts.len(), "file");
    report.find(".kube".to_owned(), format!("not changed ({count})"));
    let entries = std::fs::read_dir(project.root.join(".kube/tiers")).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_by_key(|name| rank(name));
    let variable = Regex::new(r"\$\{([A-Za-z_]\w*)\}").expect("the pattern is a constant");
    let used: BTreeSet<String> =
        texts.iter().flat_map(|text| variable.captures_iter(text)).map(|found| found[1].to_owned()).collect();
    let unknown: Vec<String> = used
        .into_iter()
        .filter(|name| !name.starts_with("WINDLASS_") && !project.vars.contains_key(name))
        .collect();
    if !unknown.is_empty() && project.config_file.is_none() {
        report.need(format!("give {} a value in `vars` of each tier: .kube uses it", unknown.join(", ")));
    }
    names.into_iter().map(|name| TierEntry { name, ..TierEntry::default() }).collect()
}

fn texts(root: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(root.join(".kube")).into_iter().filter_map(std::result::Result::ok);
    walk.filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .collect()
}

/// The only image gets the name that the manifests have for it: the only one there that is no name of a registry's.
pub(in crate::init) fn name_image(root: &Path, images: &mut [Image]) {
    let [image] = images else { return };
    let bare = Regex::new(r#"(?m)^\s*(?:-\s+)?image:\s*["']?([a-z0-9][a-z0-9._-]*)["']?\s*(?:#.*)?$"#);
    let bare = bare.expect("the pattern is a constant");
    let texts = texts(root);
    let names: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| bare.captures_iter(text))
        .filter_map(|found| found.get(1))
        .map(|name| name.as_str())
        .collect();
    if let (1, Some(name)) = (names.len(), names.first()) {
        (*name).clone_into(&mut image.name);
    }
}
