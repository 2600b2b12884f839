//! The entrance of the fuzzer: the manifests of a tier out of texts instead of directories.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::load::{complete, laid};
use crate::error::{Error, Place};
use crate::manifest::sources::request::Request;
use crate::manifest::sources::{self, decode, read};
use crate::manifest::yaml::node::Node;
use crate::manifest::yaml::source::Source;
use crate::manifest::yaml::{compose, write as yaml};
use crate::manifest::{Against, config_hash};
use crate::model::PinnedImage;
use crate::project::{Project, Tier};

/// Reads the texts as the base and as the tier's own directory, and does all that is done to manifests before a cluster sees
/// them.
///
/// # Panics
/// Where what is written for `render` is not read back as the same objects.
pub(crate) fn manifests(
    project: &Project,
    tier: &Tier,
    images: &BTreeMap<String, PinnedImage>,
    texts: [&[u8]; 2],
) -> Result<Vec<Value>, Vec<Error>> {
    let mut mistakes = Vec::new();
    let [mut base, mut own] = texts.map(|text| objects(text, &mut mistakes));
    let mut warnings = Vec::new();
    sources::prepare(&mut base, &mut own, &tier.namespace, &mut mistakes, &mut warnings);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let request = Request::new(project, tier, images);
    let objects = laid(&request, base, own, &mut mistakes);
    let manifests = complete(&request, objects, warnings, &mut mistakes);
    mistakes.extend(manifests.check(Against::AnyVersion).err());
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let manifests = config_hash::with_config_hashes(manifests, b"key");
    let written: Vec<Value> = manifests.objects.into_iter().map(|object| object.json).collect();
    let hidden: Vec<Value> = written.iter().cloned().map(yaml::hide_secrets).collect();
    read_back(&hidden);
    Ok(written)
}

/// How many documents a file of manifests has.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn documents(bytes: &[u8]) -> Result<usize, Error> {
    let text = decode::text(bytes.to_vec(), Place::file("a.yaml"))?;
    compose::documents(&source(&text)).map(|documents| documents.len())
}

fn objects(bytes: &[u8], mistakes: &mut Vec<Error>) -> Vec<Node> {
    let mut objects = Vec::new();
    let text = decode::text(bytes.to_vec(), Place::file("a.yaml"));
    match text.and_then(|text| compose::documents(&source(&text))) {
        Ok(documents) => documents.into_iter().for_each(|node| read::flatten(node, &mut objects, mistakes)),
        Err(error) => mistakes.push(error),
    }
    objects
}

fn read_back(objects: &[Value]) {
    let read = compose::documents(&source(&yaml::to_yaml(objects))).expect("what is written can be read");
    assert!(
        read.iter().map(Node::to_json).eq(objects.iter().cloned()),
        "what is written is read as the same"
    );
}

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { path: Path::new("a.yaml").into(), text: text.to_owned(), rendered: false })
}
