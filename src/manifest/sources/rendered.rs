//! Manifests that another program renders: `kubectl kustomize` and `helm template`, both the user's own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Kind, Place};
use crate::manifest::sources::read::{CHART, KUSTOMIZATIONS};
use crate::manifest::sources::{chart, read};
use crate::manifest::yaml::compose;
use crate::manifest::yaml::node::Node;
use crate::manifest::yaml::source::Source;
use crate::program::{Program, ProgramError};

/// The kustomization of a directory.
pub(crate) fn kustomization(directory: &Path) -> Option<PathBuf> {
    KUSTOMIZATIONS.iter().map(|name| directory.join(name)).find(|file| file.is_file())
}

/// The chart of a directory.
pub(crate) fn chart(directory: &Path) -> Option<PathBuf> {
    Some(directory.join(CHART)).filter(|file| file.is_file())
}

/// The objects of a kustomization.
pub(crate) async fn kustomize(root: &Path, file: &Path, mistakes: &mut Vec<Error>) -> Vec<Node> {
    let shown = relative(root, file);
    let directory = file.parent().unwrap_or(root);
    let kubectl = Program::new("kubectl").arguments(["kustomize", "--"]).arguments([directory]);
    let text = match run(kubectl.directory(root), "kubectl", "kubectl kustomize", &shown).await {
        Ok(text) => text,
        Err(error) => {
            mistakes.push(error);
            return Vec::new();
        }
    };
    read_all([(shown, text)], mistakes)
}

/// What a chart is rendered with.
pub(crate) struct Release<'a> {
    pub(crate) root: &'a Path,
    pub(crate) chart: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    /// Files of values; what stands in a later one wins.
    pub(crate) values: &'a [PathBuf],
}

/// The objects of a chart: hooks as Jobs of the right phase, tests left out.
pub(crate) async fn template(
    release: &Release<'_>,
    mistakes: &mut Vec<Error>,
    warnings: &mut Vec<Error>,
) -> Vec<Node> {
    let shown = relative(release.root, release.chart);
    let once = || run(helm_template(release), "helm", "helm template", &shown);
    // What is random, or a time, differs from one rendering to the next.
    let (first, second) = match futures::future::try_join(once(), once()).await {
        Ok(both) => both,
        Err(error) => {
            mistakes.push(error);
            return Vec::new();
        }
    };
    let directory = shown.parent().unwrap_or(Path::new("")).to_path_buf();
    let nodes = read_all(by_template(&first, &directory, &shown), mistakes);
    if first != second {
        let again = read_all(by_template(&second, &directory, &shown), &mut Vec::new());
        mistakes.extend(chart::unsteady(&nodes, &again));
    }
    nodes.into_iter().filter_map(|node| chart::released(node, warnings)).collect()
}

/// The command that renders a chart. No name of the project's, whatever it begins with, is taken for an option.
fn helm_template(release: &Release<'_>) -> Program {
    let mut options =
        ["template", "--include-crds", "--namespace", release.namespace].map(OsString::from).to_vec();
    for file in release.values {
        options.extend(["--values".into(), file.clone().into_os_string()]);
    }
    let chart = release.chart.parent().unwrap_or(release.root);
    let end: [&OsStr; 3] = ["--".as_ref(), release.name.as_ref(), chart.as_ref()];
    Program::new("helm").arguments(options).arguments(end).directory(release.root)
}

async fn run(program: Program, name: &str, title: &str, shown: &Path) -> Result<String, Error> {
    let at = |error: Error| error.at(Place::file(shown));
    let printed = program.output().await.map_err(|fault| {
        let error = at(Error::new(Kind::Invalid, fault.sentence(title)));
        match &fault {
            ProgramError::Missing => error.with_hint(format!("install {name}: it renders these manifests")),
            ProgramError::Failed { said, .. } if said.contains("missing in charts/") => {
                error.with_hint("run `helm dependency build .kube`")
            }
            _ => error,
        }
    })?;
    String::from_utf8(printed)
        .map_err(|_| at(Error::new(Kind::Invalid, format!("`{title}` did not print text"))))
}

fn read_all(texts: impl IntoIterator<Item = (PathBuf, String)>, mistakes: &mut Vec<Error>) -> Vec<Node> {
    let mut objects = Vec::new();
    for (path, text) in texts {
        match compose::documents(&Arc::new(Source { path, text, rendered: true })) {
            Ok(documents) => {
                for node in documents {
                    read::flatten(node, &mut objects, mistakes);
                }
            }
            Err(error) => mistakes.push(error),
        }
    }
    objects
}

/// What Helm printed, by the template that each part is from: `# Source: shop/templates/web.yaml` stands above it.
fn by_template(printed: &str, directory: &Path, chart: &Path) -> Vec<(PathBuf, String)> {
    let mut parts: Vec<(PathBuf, String)> = Vec::new();
    let mut lines = printed.lines().peekable();
    while let Some(line) = lines.next() {
        let source = lines.peek().and_then(|next| next.strip_prefix("# Source: ")).filter(|_| line == "---");
        if let Some(source) = source {
            // The first part is the chart's name, whatever its directory is called.
            let inside = source.trim().split_once('/').map_or(source, |(_, inside)| inside);
            parts.push((directory.join(inside), String::new()));
        } else if parts.is_empty() {
            parts.push((chart.to_path_buf(), String::new()));
        }
        let (_, text) = parts.last_mut().expect("there is one by now");
        text.push_str(line);
        text.push('\n');
    }
    parts
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_of_its_template() {
        let printed = "---\n# Source: shop/crds/a.yaml\na: 1\n---\n# Source: shop/charts/db/templates/b.yaml\nb: |\n  ---\n  x\n---\nc: 2\n";
        let parts = by_template(printed, Path::new(".kube"), Path::new(".kube/Chart.yaml"));
        let paths: Vec<_> = parts.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect();
        assert_eq!(paths, [".kube/crds/a.yaml", ".kube/charts/db/templates/b.yaml"]);
        assert!(parts[1].1.contains("  ---\n  x\n---\nc: 2"), "{:?}", parts[1].1);
    }
}
