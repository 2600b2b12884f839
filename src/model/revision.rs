//! The commit that is checked out, and how commits are related.

pub(crate) mod changes;

use changes::Changes;

/// The revision of the work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// The branch; where none is checked out, the one that CI names.
    pub branch: Option<String>,
    /// The Git tag that CI runs for; else the one that leads to this commit, where it is the only one.
    pub git_tag: Option<String>,
    /// The merge request that CI runs for, `!3`: then the branch is where it comes from, in a fork of the project too, and
    /// the commit is on no branch of the project yet.
    pub merge_request: Option<MergeRequest>,
    /// Whether the inputs of images and manifests differ from the commit; known after `build`
    /// has compared them.
    pub dirty: bool,
    /// 8 hexadecimal digits over what differs, where it does.
    pub dirty_hash: Option<String>,
    /// What differs, where it does.
    pub changes: Changes,
    /// When the commit was made, in seconds since 1970.
    pub time: i64,
}

/// A merge request that CI runs for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRequest {
    /// Its number in its project.
    pub number: String,
    /// Whether it comes from another project.
    pub from_fork: bool,
}

impl Revision {
    /// The branch of this commit, for rules and tags: none in a merge request, whose commit may be from
    /// anyone.
    pub fn own_branch(&self) -> Option<&str> {
        self.branch.as_deref().filter(|_| self.merge_request.is_none())
    }

    /// The branch by its name in this project; none of a fork, which can choose any name.
    pub fn branch_of_project(&self) -> Option<&str> {
        let is_foreign = self.merge_request.as_ref().is_some_and(|request| request.from_fork);
        self.branch.as_deref().filter(|_| !is_foreign)
    }

    /// The first 8 digits of the commit, with `-dirty` where the work tree differs.
    pub fn short(&self) -> String {
        short_with_state(&self.commit, self.dirty)
    }

    /// For people: `1f3c9a0b of main (work tree dirty)`.
    pub fn describe(&self) -> String {
        let commit = short(&self.commit);
        let of = match (&self.merge_request, &self.branch) {
            (Some(request), _) => format!(" of merge request !{}", request.number),
            (None, Some(branch)) => format!(" of {branch}"),
            (None, None) => String::new(),
        };
        let dirty = if self.dirty { " (work tree dirty)" } else { "" };
        format!("{commit}{of}{dirty}")
    }

    /// The tag of its images: `<commit>`, or `<commit>-dirty-<hash>`.
    pub fn tag(&self) -> String {
        match &self.dirty_hash {
            Some(hash) => format!("{}-dirty-{hash}", self.commit),
            None => self.commit.clone(),
        }
    }
}

/// How this commit is related to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// The other is an ancestor of this one.
    Newer,
    /// This one is an ancestor of the other.
    Older,
    /// Neither is an ancestor of the other.
    Diverged,
    /// The clone is too shallow to tell.
    Unknown,
}

/// Whether a text is the full id of a commit. What a record, a server or a job's variable calls a commit is passed to Git
/// only if it is one: Git would take `--upload-pack=…` for an option, and `+refs/…` for a ref to overwrite.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The first 8 digits of a commit.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// The first 8 digits of a commit, with `-dirty` where something differs from it.
pub(crate) fn short_with_state(commit: &str, dirty: bool) -> String {
    let commit = short(commit);
    if dirty { format!("{commit}-dirty") } else { commit.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_known_by_its_digits() {
        assert!(is_commit(&"1f3c9a0b".repeat(5)) && is_commit(&"1f3c9a0b".repeat(8)));
        assert!(!is_commit(&"1f3c9a0b".repeat(6)) && !is_commit(&"g".repeat(40)));
    }

    #[test]
    fn a_dirty_work_tree_has_a_tag_of_its_own() {
        let clean =
            Revision { commit: "1f3c9a0b".repeat(5), branch: Some("main".to_owned()), ..Revision::default() };
        assert_eq!((clean.describe().as_str(), clean.tag()), ("1f3c9a0b of main", "1f3c9a0b".repeat(5)));
        let dirty = Revision { dirty: true, dirty_hash: Some("00c0ffee".to_owned()), branch: None, ..clean };
        assert_eq!(dirty.describe(), "1f3c9a0b (work tree dirty)");
        assert_eq!(dirty.short(), "1f3c9a0b-dirty");
        assert!(dirty.tag().ends_with("1f3c9a0b-dirty-00c0ffee"));
    }
}
