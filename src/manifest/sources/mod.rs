//! Where the objects of a tier are read: plain files, a kustomization, a chart, and the tier's own directory over them.

pub(crate) mod chart;
pub(crate) mod decode;
pub(crate) mod merge;
pub(crate) mod overlay;
pub(crate) mod read;
pub(crate) mod rendered;
pub(crate) mod request;
pub(crate) mod rules;
pub(crate) mod server_fields;
pub(crate) mod substitute;
pub(crate) mod template;

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::manifest::sources::request::Request;
use crate::manifest::yaml::node::Node;

use crate::error::{Error, Kind, Place};
use crate::manifest::sources::rendered::Release;
use crate::project::Project;

/// More mistakes than this nobody reads at once, and some are made once for every alias.
pub(in crate::manifest) const MOST_MISTAKES: usize = 200;

/// Whether there are mistakes enough, so that no more are looked for.
pub(in crate::manifest) fn is_enough(mistakes: &[Error]) -> bool {
    mistakes.len() >= MOST_MISTAKES
}

/// The values that a tier gives to a chart, by convention.
const VALUES: [&str; 2] = ["values.yaml", "values.yml"];

/// The objects that are the same for every tier, and the mistakes in their files: read once, for whichever tier is first.
#[derive(Default)]
pub(in crate::manifest) struct Base(Option<(Vec<Node>, Vec<Error>)>);

impl Base {
    /// The manifests of `.kube` without the tiers' own, or what its kustomization makes of them.
    async fn objects(&mut self, root: &Path, kube: &Path, mistakes: &mut Vec<Error>) -> Vec<Node> {
        if self.0.is_none() {
            let mut wrong = Vec::new();
            let objects = match rendered::kustomization(kube) {
                Some(file) => rendered::kustomize(root, &file, &mut wrong).await,
                None => read::directory(root, kube, &[kube.join("tiers")], &mut wrong),
            };
            self.0 = Some((objects, wrong));
        }
        let (objects, wrong) = self.0.clone().unwrap_or_default();
        mistakes.extend(wrong);
        objects
    }
}

/// The objects for every tier, and those that the tier lays over them.
pub(in crate::manifest) async fn read(
    request: &Request,
    base: &mut Base,
    mistakes: &mut Vec<Error>,
    warnings: &mut Vec<Error>,
) -> (Vec<Node>, Vec<Node>) {
    let kube = request.root.join(".kube");
    if !kube.is_dir() {
        mistakes.push(no_directory(&request.root));
        return (Vec::new(), Vec::new());
    }
    let chart = rendered::chart(&kube);
    if let (Some((_, place)), None) = (request.values.first(), &chart) {
        let error = Error::new(Kind::Invalid, "`values` are for a chart, and `.kube` has no Chart.yaml");
        mistakes.push(error.at(place.clone()).with_hint("manifests take `vars`"));
    }
    let own = rendered::kustomization(&request.overlay);
    // A tier's kustomization names its base itself; over plain files, which it cannot name, it is laid.
    let is_whole = own.is_some() && (chart.is_some() || has_kustomization(&kube));
    let mut base = match (is_whole, &chart) {
        (true, _) => Vec::new(),
        (false, Some(chart)) => from_chart(request, chart, mistakes, warnings).await,
        (false, None) => base.objects(&request.root, &kube, mistakes).await,
    };
    let mut tier = of_tier(request, own.as_deref(), chart.is_some(), mistakes).await;
    prepare(&mut base, &mut tier, &request.namespace, mistakes, warnings);
    (base, tier)
}

/// What is done to the objects as they were read, before anything is replaced in them.
pub(crate) fn prepare(
    base: &mut [Node],
    tier: &mut [Node],
    namespace: &str,
    mistakes: &mut Vec<Error>,
    warnings: &mut Vec<Error>,
) {
    server_fields::leave_out(base, tier, mistakes, warnings);
    overlay::agree_on_substitution(base, tier, namespace);
}

async fn of_tier(
    request: &Request,
    own: Option<&Path>,
    is_chart: bool,
    mistakes: &mut Vec<Error>,
) -> Vec<Node> {
    if let Some(file) = own {
        return rendered::kustomize(&request.root, file, mistakes).await;
    }
    if !request.overlay.is_dir() {
        return Vec::new();
    }
    let mut skipped = request.others();
    if is_chart {
        skipped.extend(conventional_values(&request.overlay));
    }
    read::directory(&request.root, &request.overlay, &skipped, mistakes)
}

async fn from_chart(
    request: &Request,
    chart: &Path,
    mistakes: &mut Vec<Error>,
    warnings: &mut Vec<Error>,
) -> Vec<Node> {
    let mut values: Vec<PathBuf> = conventional_values(&request.overlay).into_iter().collect();
    for (file, place) in &request.values {
        match file {
            Ok(file) if request.root.join(file).is_file() => values.push(request.root.join(file)),
            Ok(file) => {
                let error = Error::new(Kind::Invalid, format!("there is no file `{file}`"));
                mistakes.push(error.at(place.clone()));
            }
            Err(error) => mistakes.push(error.clone()),
        }
    }
    if !mistakes.is_empty() {
        return Vec::new();
    }
    let release = Release {
        root: &request.root,
        chart,
        name: &request.project,
        namespace: &request.namespace,
        values: &values,
    };
    rendered::template(&release, mistakes, warnings).await
}

fn conventional_values(directory: &Path) -> Option<PathBuf> {
    VALUES.iter().map(|name| directory.join(name)).find(|file| file.is_file())
}

/// Whether the base has a kustomization somewhere, so that a tier's may refer to it.
fn has_kustomization(kube: &Path) -> bool {
    let tiers = kube.join("tiers");
    let walk = WalkDir::new(kube).into_iter().filter_entry(|entry| entry.path() != tiers);
    let mut directories = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_dir());
    directories.any(|entry| rendered::kustomization(entry.path()).is_some())
}

/// The objects that are for every tier, where the configuration has none: what can be rendered only for a tier is not.
pub(crate) async fn read_base(
    project: &Project,
    mistakes: &mut Vec<Error>,
    warnings: &mut Vec<Error>,
) -> Vec<Node> {
    let kube = project.root.join(".kube");
    let mut base = if !kube.is_dir() {
        mistakes.push(no_directory(&project.root));
        Vec::new()
    } else if rendered::kustomization(&kube).is_some() || rendered::chart(&kube).is_none() {
        Base::default().objects(&project.root, &kube, mistakes).await
    } else {
        Vec::new()
    };
    prepare(&mut base, &mut [], "", mistakes, warnings);
    base
}

fn no_directory(root: &Path) -> Error {
    let error = Error::new(Kind::Invalid, format!("there is no `.kube` directory in {}", root.display()));
    let error = error.at(Place::file(".kube"));
    error.with_hint("put the project's Kubernetes manifests there")
}
