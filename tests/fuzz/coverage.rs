//! Which lines the inputs reached, where the readers were built with `-C instrument-coverage` (`make fuzz` does) and the
//! tools of LLVM are there (`rustup component add llvm-tools`).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The files that a reader consists of.
#[expect(clippy::too_many_lines, reason = "a table")]
fn sources(target: &str) -> &'static [&'static str] {
    match target {
        "manifests" => &[
            "manifest/sources/decode.rs",
            "manifest/yaml/stream.rs",
            "manifest/yaml/compose.rs",
            "manifest/yaml/scalar.rs",
            "manifest/sources/read.rs",
            "manifest/yaml/source.rs",
            "manifest/sources/server_fields.rs",
            "manifest/sources/substitute.rs",
            "manifest/sources/merge.rs",
            "manifest/sources/overlay.rs",
            "manifest/check",
            "manifest/sources/rules.rs",
            "manifest/images.rs",
            "manifest/stamp.rs",
            "manifest/yaml/identity.rs",
            "model/kinds.rs",
            "manifest/phase.rs",
            "manifest/yaml/write.rs",
            "manifest/config_hash.rs",
            "manifest/yaml/node.rs",
        ],
        "dumps" => &["rollout/dump.rs", "rollout/duplicate_keys.rs", "rollout/explain.rs", "rollout"],
        "windlass-yaml" => &[
            "project/config/yaml.rs",
            "project/config/read/mod.rs",
            "project/config/read/images.rs",
            "project/config/read/testing.rs",
            "project/config/table.rs",
            "project/variables.rs",
            "project/config/environment.rs",
            "project/tier.rs",
            "project/config/names.rs",
            "project/config/health.rs",
            "project/config/secrets.rs",
            "project/config/verify.rs",
            "project/config/ignored.rs",
            "text/duration.rs",
            "project/config/quantity.rs",
        ],
        "first-files" => &["init"],
        "dockerfiles" => &["build/dockerfile/mod.rs", "build/dockerfile/reads.rs"],
        "dockerignore" => &["build/context/ignore/mod.rs", "build/context/ignore/pattern.rs"],
        "kubeconfigs" => &["cluster/kubeconfig/mod.rs"],
        "docker-configs" => &["registry/credentials.rs"],
        "history" => &[
            "record/store/history_store.rs",
            "record/store/attempts.rs",
            "tier/history.rs",
            "record/target.rs",
        ],
        "records" => &["record/store/mod.rs", "record/mod.rs"],
        "registry-answers" => {
            &["registry/record.rs", "registry/index.rs", "registry/challenge.rs", "model/image.rs"]
        }
        "test-logs" => &["test/cluster/outcome.rs"],
        "junit" => &["test/junit.rs"],
        "expressions" => &[
            "expression/token.rs",
            "expression/syntax.rs",
            "expression/evaluate.rs",
            "expression/value.rs",
            "expression/arithmetic.rs",
            "expression/strings.rs",
            "expression/format.rs",
            "expression/time.rs",
        ],
        "archives" => &["test/reports.rs", "test/junit.rs"],
        _ => &[],
    }
}

/// The files of a reader that are not there: they were moved, and the list above was not.
pub(crate) fn missing(target: &str) -> Vec<&'static str> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = sources(target);
    if names.is_empty() {
        return vec!["(no file at all)"];
    }
    names.iter().copied().filter(|name| !root.join(name).exists()).collect()
}

/// The share of lines of a reader that its inputs reached: `87 % of 1234 lines`.
pub(crate) fn of(target: &str, directory: &Path) -> Option<String> {
    let prefix = format!("{target}-");
    let is_own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(&prefix) && name.ends_with(".profraw")
    };
    let profiles: Vec<PathBuf> = std::fs::read_dir(directory)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(is_own)
        .collect();
    let merged = directory.join(format!("{target}.profdata"));
    let tools = tools()?;
    let mut merge = Command::new(tools.join("llvm-profdata"));
    merge.args(["merge", "--sparse", "-o"]).arg(&merged).args(&profiles);
    if profiles.is_empty() || !merge.output().ok()?.status.success() {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let export = Command::new(tools.join("llvm-cov"))
        .args(["export", "--summary-only", "--instr-profile"])
        .arg(&merged)
        .arg(std::env::current_exe().ok()?)
        .arg("--sources")
        .args(sources(target).iter().map(|file| root.join(file)))
        .output()
        .ok()?;
    let export: Value = serde_json::from_slice(&export.stdout).ok()?;
    let lines = export.pointer("/data/0/totals/lines")?;
    Some(format!("{:.0} % of {} lines", lines["percent"].as_f64()?, lines["count"]))
}

fn tools() -> Option<PathBuf> {
    let printed = Command::new("rustc").args(["--print", "target-libdir"]).output().ok()?;
    let directory = PathBuf::from(String::from_utf8(printed.stdout).ok()?.trim()).parent()?.join("bin");
    directory.join("llvm-cov").is_file().then_some(directory)
}
