//! windlass: a commit becomes an image, the image is tested, the tested digest is released, and the way back
//! is always open.
//!
//! The rooms, in the order in which a commit walks through them:
//!
//! | room | what happens there |
//! | --- | --- |
//! | [`error`], [`session`] | what failed and the exit code; where to report and when to stop |
//! | [`graph`] | what needs what, and running side by side what may |
//! | [`report`] | one type of event, one renderer per reader; the only room that prints |
//! | [`project`] | `windlass.yaml`, tiers, the Git revision, CI |
//! | [`secret`], [`program`] | values that never stand in Git; the user's own programs |
//! | [`http`] | asking an HTTP address how it is |
//! | [`engine`], [`registry`] | the Docker Engine; references, digests, credentials, records |
//! | [`build`] | context, build, tag, push |
//! | [`test`] | the tests inside the built image, by its digest |
//! | [`manifest`] | YAML in, variables, images, overlays, order, checks |
//! | [`cluster`] | the Kubernetes API: connect, apply, watch, logs, lock; the only room that uses kube |
//! | [`rollout`] | verdict and cause of every object, and the watch that feeds them |
//! | [`record`] | what a release leaves in the cluster, and what can be gone back to |
//! | [`release`] | plan, apply in phases, record, rollback |
//! | [`tier`] | commands on what runs on a tier: status, history, lock, adopt, remove |
//! | [`pipeline`] | the stages in order, what each hands to the next |
//! | [`cleanup`] | registry tags that nothing needs any more |
//! | [`init`] | the first files of a repository |
//! | [`doctor`] | everything a release needs, tried for real |
//! | [`cli`] | one file per command |

pub mod build;
pub mod cleanup;
pub mod cli;
pub mod cluster;
pub mod doctor;
pub mod engine;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod git;
pub mod graph;
pub mod http;
pub mod init;
pub mod manifest;
pub mod model;
pub mod pipeline;
pub mod program;
pub mod project;
pub mod record;
pub mod registry;
pub mod release;
pub mod report;
pub mod rollout;
pub mod secret;
pub mod session;
pub mod test;
pub mod text;
pub mod tier;
