//! windlass: a commit becomes an image, the image is tested, the tested digest is released, and the way back
//! is always open.
//!
//! The rooms, in the order in which a commit walks through them:
//!
//! | room | what happens there |
//! | --- | --- |
//! | [`error`], [`session`] | what failed and the exit code; where to report and when to stop |
//! | [`report`] | one type of event, one renderer per reader; the only room that prints |
//! | [`cluster`] | the Kubernetes API: connect, apply, watch, logs, lock; the only room that uses kube |
//! | [`rollout`] | verdict and cause of every object, and the watch that feeds them |

pub mod cluster;
pub mod engine;
pub mod error;
pub mod registry;
pub mod report;
pub mod rollout;
pub mod session;
