//! The values that all modules share: verdicts and causes, failures, images, objects, commits.

pub(crate) mod credentials;
pub(crate) mod failure;
pub(crate) mod image;
pub(crate) mod kinds;
pub(crate) mod labels;
pub(crate) mod object;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod release;
pub(crate) mod revision;
pub(crate) mod run_result;
pub(crate) mod verdict;

pub use credentials::Credentials;
pub(crate) use credentials::PULL_SECRET;
pub use failure::{Evidence, Failure, Subject};
pub use image::{Digest, Image, Images, PinnedImage, Reference};
pub(crate) use image::{TAG_SHAPE, is_tag};
pub(crate) use object::job;
pub use object::{ObjectId, ObjectRef, Unserved, group};
pub use outcome::{MissingPass, Outcome, Stage, Stream};
pub use plan::{Action, FieldChange, Taken};
pub use revision::changes::{Change, ChangedFile, Changes};
pub use revision::{MergeRequest, Relation, Revision, is_commit};
pub use run_result::RunResult;
pub use verdict::{Cause, Verdict};
