//! The values that every module shares: what is said of an object and why, what failed, which image, which object, which commit.

pub(crate) mod changes;
pub(crate) mod credentials;
pub(crate) mod failure;
pub(crate) mod image;
pub(crate) mod job;
pub(crate) mod kinds;
pub(crate) mod labels;
pub(crate) mod object;
pub(crate) mod outcome;
pub(crate) mod revision;
pub(crate) mod run_result;
pub(crate) mod unserved;
pub(crate) mod verdict;

pub use changes::{Change, ChangedFile, Changes};
pub use credentials::Credentials;
pub use failure::{Evidence, Failure, Subject};
pub use image::{Digest, Image, Images, PinnedImage, Reference};
pub use object::{ObjectId, ObjectRef, group};
pub use outcome::{MissingPass, Outcome, Stage, Stream};
pub use revision::{MergeRequest, Relation, Revision, is_commit};
pub use run_result::RunResult;
pub use unserved::Unserved;
pub use verdict::{Cause, Verdict};
