//! What is needed: by the tiers of this checkout, according to their clusters; by other tiers, according to the proofs beside the
//! images; and by the branches and tags of the repository.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Request;
use crate::error::{Kind, Result};
use crate::git;
use crate::model::Reference;
use crate::project::{Project, TierOverrides};
use crate::record::needed;
use crate::registry::Registry;
use crate::session::Session;
use crate::text::slug;

/// What is needed.
pub(super) struct Needs {
    /// By digest: who needs it.
    pub(super) digests: BTreeMap<String, String>,
    /// By commit: the branch or tag whose it is.
    pub(super) commits: BTreeMap<String, String>,
    /// The branches that there are, as slugs.
    pub(super) branches: BTreeSet<String>,
    /// What is younger stays.
    pub(super) oldest: Timestamp,
}

impl Needs {
    /// Asks every tier of the configuration and the repository's own remote.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] and [`Kind::Denied`]: what cannot be known is not taken for unneeded.
    pub(super) async fn ask(session: &Session, project: &Project, request: Request) -> Result<Self> {
        let mut digests = BTreeMap::new();
        for pattern in project.config.tiers.keys() {
            // Of `review/*` it is not known which there are: the cluster is asked for all of them.
            let everywhere = pattern.ends_with('*');
            let tier = project.tier(&pattern.replace('*', "any"), &TierOverrides::default())?;
            for (digest, release) in needed::digests(session, project, &tier, everywhere).await? {
                digests.entry(digest).or_insert(release);
            }
        }
        let age = SignedDuration::try_from(request.keep_for).unwrap_or(SignedDuration::MAX);
        let oldest = Timestamp::now().saturating_sub(age).unwrap_or(Timestamp::MIN);
        let heads = session.unless_cancelled(git::heads(&project.root)).await?;
        let branches = heads.branches.iter().map(|branch| slug(branch)).collect();
        Ok(Self { digests, commits: heads.commits, branches, oldest })
    }

    /// Adds what is needed for other reasons.
    pub(super) fn extend(&mut self, needed: impl IntoIterator<Item = (String, String)>) {
        for (digest, why) in needed {
            self.digests.entry(digest).or_insert(why);
        }
    }
}

/// What the proof under this tag that an image was good on a tier says to be needed. Nobody here can ask a tier that this
/// windlass.yaml does not list, nor those of another project: whatever was good there stays.
///
/// # Errors
/// Those of the registry.
pub(super) async fn of_proof(
    registry: &Registry,
    project: &Project,
    image: &Reference,
    tag: &str,
) -> Result<Vec<(String, String)>> {
    match registry.read_record_under(image, tag).await {
        Ok(Some(proof)) => Ok(needed(&proof, &project.name, project.config.tiers.keys())),
        // It was deleted meanwhile.
        Ok(None) => Ok(Vec::new()),
        Err(error) if error.kind() == Kind::Invalid => {
            let digest = image.digest.as_ref().map(ToString::to_string).unwrap_or_default();
            Ok(vec![(digest, format!("its record {} cannot be read", kind(tag)))])
        }
        Err(error) => Err(error),
    }
}

/// `good-staging`
fn kind(tag: &str) -> &str {
    super::tags::record(tag).map_or(tag, |(_, kind)| super::tags::numbered(kind).1)
}

/// The digests that a proof of a tier names which nobody here can ask, and why each is needed.
fn needed<'a>(
    proof: &Value,
    project: &str,
    mut tiers: impl Iterator<Item = &'a String>,
) -> Vec<(String, String)> {
    let tier = proof["tier"].as_str().unwrap_or_default();
    let is_listed = tiers.any(|pattern| {
        pattern == tier || pattern.strip_suffix('*').is_some_and(|prefix| tier.starts_with(prefix))
    });
    let mut found = Vec::new();
    for entry in proof["good"].as_array().into_iter().flatten() {
        let of_project = entry["project"].as_str().unwrap_or_default();
        let why = match (of_project == project, is_listed) {
            (true, true) => continue,
            (true, false) => format!("good on {tier}, which this windlass.yaml does not list"),
            (false, _) => format!("good on {tier} of project {of_project}"),
        };
        let images = entry["images"].as_object().into_iter().flat_map(|images| images.values());
        found.extend(images.filter_map(Value::as_str).map(|digest| (digest.to_owned(), why.clone())));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_was_good_where_nobody_here_can_ask_is_needed() {
        let tiers = ["staging".to_owned(), "review/*".to_owned()];
        let proof = |tier: &str, project: &str| json!({"tier": tier, "good": [{"project": project, "images": {"web": "sha256:1", "worker": "sha256:2"}}]});
        let needed = |tier: &str, project: &str| super::needed(&proof(tier, project), "shop", tiers.iter());
        assert!(needed("staging", "shop").is_empty(), "its cluster is asked");
        assert!(needed("review/x", "shop").is_empty());
        let other = needed("production", "shop");
        assert_eq!(other.len(), 2, "all images of the set");
        assert_eq!(other[0].1, "good on production, which this windlass.yaml does not list");
        assert_eq!(needed("staging", "toys")[0].1, "good on staging of project toys");
    }
}
