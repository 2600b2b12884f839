//! From `.kube` to the objects of a tier: read, replace, overlay, check, pin, stamp, order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::images::Images;
use super::stamp::Owner;
use crate::error::{Error, Kind, Place, Result};
use crate::manifest::sources::request::Request;
use crate::manifest::sources::{Base, is_enough, overlay, read, rules, substitute, template};
use crate::manifest::yaml::identity::Identity;
use crate::manifest::yaml::node::Node;
use crate::manifest::{Manifests, Object, Origin, phase, secrets, sources, stamp};
use crate::model::PinnedImage;
use crate::secret::Secret;
use crate::text::nearest;

/// The objects of a tier as they stand in its files, a kustomization or a chart: read once, and assembled with whatever images
/// there are.
#[derive(Debug, Clone)]
pub struct Sources {
    request: Request,
    base: Vec<Node>,
    tier: Vec<Node>,
    warnings: Vec<Error>,
}

impl Sources {
    /// Reads them, as far as they can be read; what cannot goes to the mistakes.
    pub(super) async fn read(request: &Request, base: &mut Base, mistakes: &mut Vec<Error>) -> Self {
        let mut warnings = orphans(&request.root, &request.directories);
        let (base, tier) = sources::read(request, base, mistakes, &mut warnings).await;
        template::explain(mistakes);
        Self { request: request.clone(), base, tier, warnings }
    }

    /// The same files for another tier of the same pattern. What a chart or a kustomization rendered stays as it is.
    pub(super) fn on(&self, request: Request) -> Self {
        Self { request, ..self.clone() }
    }

    /// The tier's manifests as they would be applied with these images, by their names in the configuration, and with the
    /// values of these Secrets, in the order in which they are applied.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for the first mistake, with its place; [`Kind::Rule`] where they use an image that was not built.
    pub fn manifests(
        &self,
        references: BTreeMap<String, PinnedImage>,
        secrets: Vec<Secret>,
    ) -> Result<Manifests> {
        let request = self.request.clone().with_references(references).with_secrets(secrets);
        let mut mistakes = Vec::new();
        let manifests = self.on(request).into_manifests(&mut mistakes);
        unless_wrong(manifests, mistakes)
    }

    /// The manifests as far as they can be made with what they were read with, and every mistake on the way.
    pub(super) fn into_manifests(self, mistakes: &mut Vec<Error>) -> Manifests {
        let objects = laid(&self.request, self.base, self.tier, mistakes);
        complete(&self.request, objects, self.warnings, mistakes)
    }
}

/// What was made, if there was no mistake on the way.
pub(super) fn unless_wrong<T>(made: T, mistakes: Vec<Error>) -> Result<T> {
    if mistakes.is_empty() { Ok(made) } else { Err(first(mistakes)) }
}

/// The first mistake, which says how many more there are.
pub(super) fn first(mut mistakes: Vec<Error>) -> Error {
    let more = mistakes.len().saturating_sub(1);
    if mistakes.is_empty() {
        return Error::new(Kind::Defect, "the manifests were refused without a reason");
    }
    let error = mistakes.swap_remove(0);
    let others = match more {
        0 => return error,
        1 => "there is one more error: `windlass validate` shows both".to_owned(),
        more => format!("there are {more} more errors: `windlass validate` shows them all"),
    };
    let hint = error.hint().map_or_else(|| others.clone(), |advice| format!("{advice} ({others})"));
    error.with_hint(hint)
}

/// The manifests that these objects make with the request's images and secrets.
pub(super) fn complete(
    request: &Request,
    objects: Vec<Node>,
    mut warnings: Vec<Error>,
    mistakes: &mut Vec<Error>,
) -> Manifests {
    let images = Images {
        declared: &request.images,
        references: &request.references,
        registry: request.registry.as_deref(),
    };
    let owner = Owner {
        project: &request.project,
        tier: &request.tier,
        slug: &request.slug,
        namespace: &request.namespace,
    };
    let mut finished = Vec::with_capacity(objects.len());
    for mut node in objects {
        if is_enough(mistakes) {
            break;
        }
        rules::check_base64(&node, mistakes);
        images.pin(&mut node, mistakes, &mut warnings);
        match finish(node, &owner) {
            Ok(object) => finished.push(object),
            Err(error) => mistakes.push(error),
        }
    }
    if finished.is_empty() && mistakes.is_empty() {
        mistakes.push(
            Error::new(Kind::Invalid, format!("there is no manifest for {}", request.tier))
                .with_hint("add YAML to .kube; `windlass remove` deletes what was released"),
        );
    }
    secrets::add(&mut finished, &request.secrets, request.registry.as_deref(), &owner, mistakes);
    finished.sort_by_key(|object| (object.phase, phase::rank(&object.json)));
    Manifests { objects: finished, warnings }
}

/// The objects of the base with those of the tier laid over them, every name replaced.
pub(super) fn laid(
    request: &Request,
    mut base: Vec<Node>,
    mut tier: Vec<Node>,
    mistakes: &mut Vec<Error>,
) -> Vec<Node> {
    let names = request.names();
    let mut room = substitute::MOST_GROWTH;
    for object in base.iter_mut().chain(&mut tier) {
        if is_enough(mistakes) {
            break;
        }
        substitute::substitute(object, &names, &mut room, mistakes);
        rules::check(object, mistakes);
    }
    twice(&base, &request.namespace, mistakes);
    twice(&tier, &request.namespace, mistakes);
    overlay::lay(&mut base, tier, &request.namespace, mistakes);
    for object in &mut base {
        substitute::substitute_scripts(object, &names, &mut room, mistakes);
    }
    base
}

/// Two objects of one identity: which of them would be applied last is chance.
fn twice(objects: &[Node], namespace: &str, mistakes: &mut Vec<Error>) {
    let mut seen: BTreeMap<Identity, Place> = BTreeMap::new();
    for object in objects {
        let (id, place) = (Identity::of(object, namespace), object.spot.place());
        if let Some(first) = seen.get(&id) {
            let error = object.spot.mistake(format!("{id} is defined here and at {first}"));
            mistakes.push(error.with_hint("give one of them another name, or delete it"));
            if is_enough(mistakes) {
                return;
            }
        } else {
            seen.insert(id, place);
        }
    }
}

fn finish(node: Node, owner: &Owner) -> Result<Object> {
    let mut json: Value = node.to_json();
    stamp::encode(&mut json).map_err(|(key, error)| {
        let value = node.at(&["stringData", &key]).unwrap_or(&node);
        error.at(value.spot.place())
    })?;
    stamp::stamp(&mut json, owner);
    Ok(Object { phase: phase::phase_of(&json), json, origin: Origin::of(node) })
}

/// Manifests below `.kube/tiers` that belong to no tier of the configuration: somebody misspelt a directory.
pub(super) fn orphans(root: &Path, directories: &[PathBuf]) -> Vec<Error> {
    if directories.is_empty() {
        return Vec::new();
    }
    let tiers = root.join(".kube/tiers");
    let mut orphans = read::manifest_files(&tiers);
    orphans.retain(|file| !directories.iter().any(|directory| file.starts_with(directory)));
    orphans.iter().map(|file| orphan(root, file, &tiers, directories)).collect()
}

fn orphan(root: &Path, file: &Path, tiers: &Path, directories: &[PathBuf]) -> Error {
    let error = Error::new(Kind::Invalid, "the manifest does not belong to a tier of windlass.yaml")
        .at(Place::file(file.strip_prefix(root).unwrap_or(file)));
    let name =
        |directory: &'_ Path| directory.strip_prefix(tiers).ok().and_then(Path::to_str).map(str::to_owned);
    let known: Vec<String> = directories.iter().filter_map(|directory| name(directory)).collect();
    let own = file.parent().and_then(name).unwrap_or_default();
    match nearest(&own, known.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean the directory `.kube/tiers/{near}`?")),
        None => error.with_hint("manifests for tier X alone belong in `.kube/tiers/X`"),
    }
}
