//! Why there is no image for the work tree: how this tree differs from its commit, or how the one that was built
//! did.

use serde_json::json;

use crate::error::{Error, Kind, Result};
use crate::model::{Changes, Image, Reference, Revision};
use crate::project::Project;
use crate::registry::Registry;
use crate::session::Session;

/// The kind of the record of what differed, by the hash over it: of one image it may be more than one work tree's.
fn kind(hash: &str) -> String {
    format!("dirty-{hash}")
}

/// Leaves beside each image of a work tree that is not its commit what differed: who looks for the commit's image is told.
/// A registry that does not take it keeps nobody from building.
///
/// # Errors
/// [`Kind::Interrupted`].
pub(super) async fn note_changes(session: &Session, project: &Project, images: &[Image]) -> Result<()> {
    let Some(revision) = &project.revision else { return Ok(()) };
    let Some(hash) = &revision.dirty_hash else { return Ok(()) };
    let (registry, record) = (Registry::of(project), json!({"changes": revision.changes}));
    let kind = kind(hash);
    let references: Vec<Reference> = images.iter().map(|image| image.pinned.reference()).collect();
    let noting = references.iter().map(|image| registry.write_record(image, &kind, &record));
    let noting = async { Ok(futures::future::join_all(noting).await) };
    session.unless_cancelled(noting).await.map(drop)
}

/// The error for an image that is not under this tag.
///
/// # Errors
/// Those of the registry for the commit's own tag.
pub(super) async fn why(
    registry: &Registry,
    revision: &Revision,
    tagged: &Reference,
    name: &str,
) -> Result<Error> {
    let commit = crate::model::revision::short(&revision.commit);
    if revision.dirty && registry.digest(&tagged.with_tag(&revision.commit)).await?.is_some() {
        let changes = &revision.changes;
        let sentence = format!(
            "image `{name}` of commit {commit} was built, but this work tree is not that commit: {changes}"
        );
        return Ok(Error::new(Kind::Rule, sentence)
            .with_hint(format!("{}; or build what is here with `windlass build`", remedy(revision))));
    }
    let here = || format!("this work tree differs from the commit: {}", revision.changes);
    let Some(then) = elsewhere(registry, revision, tagged).await else {
        let sentence = format!("image `{name}` of commit {} was never built", revision.short());
        let sentence = if revision.dirty { format!("{sentence}; {}", here()) } else { sentence };
        return Ok(Error::new(Kind::Rule, sentence).with_hint("run `windlass build`"));
    };
    let sentence = format!(
        "image `{name}` of commit {commit} was only built from a work tree that differed from it: {then}"
    );
    Ok(if revision.dirty {
        let hint = format!("{}; then run `windlass build`", remedy(revision));
        Error::new(Kind::Rule, format!("{sentence}; {}", here())).with_hint(hint)
    } else {
        Error::new(Kind::Rule, sentence).with_hint(
            "in the job that builds it, exclude what no image needs with .dockerignore; then run `windlass build`",
        )
    })
}

/// What makes a work tree its commit again.
pub(super) fn remedy(revision: &Revision) -> &'static str {
    if revision.changes.untracked {
        "exclude what no image needs with .dockerignore, and commit the rest"
    } else {
        "commit or stash what differs"
    }
}

/// What differed where the commit was built all the same. Only for the words: that it cannot be known is no fault.
async fn elsewhere(registry: &Registry, revision: &Revision, tagged: &Reference) -> Option<String> {
    let tags = registry.tags(tagged).await.ok()?;
    let dirty = format!("{}-dirty-", revision.commit);
    let mut found = tags.iter().filter_map(|tag| Some((tag, tag.strip_prefix(&dirty)?)));
    let (tag, hash) = found.next()?;
    let image = tagged.with_tag(tag.as_str());
    let unknown = || Some(format!("files that were not committed (tag {tag})"));
    let Ok(Some(digest)) = registry.digest(&image).await else { return unknown() };
    match registry.read_record(&image.with_digest(digest), &kind(hash)).await {
        Ok(Some(record)) => match serde_json::from_value::<Changes>(record["changes"].clone()) {
            Ok(changes) if !changes.is_empty() => Some(changes.to_string()),
            _ => unknown(),
        },
        _ => unknown(),
    }
}
