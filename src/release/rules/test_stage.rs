//! The interface through which a release uses the test stage, which it must not depend on.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::model::{Images, MissingPass};
use crate::project::{Project, Tier};
use crate::session::Session;

/// The stage of the tests.
pub(crate) trait TestStage: Sync {
    /// The project's tests that have not passed in these images.
    ///
    /// # Errors
    /// [`Kind::Unreachable`](crate::error::Kind::Unreachable) and [`Kind::Denied`](crate::error::Kind::Denied) for the
    /// registry.
    fn missing<'a>(
        &'a self,
        session: &'a Session,
        project: &'a Project,
        images: &'a Images,
    ) -> BoxFuture<'a, Result<Vec<MissingPass>>>;

    /// Runs a test against what was released, with these variables. It writes no record, because the result is only
    /// valid at that time.
    ///
    /// # Errors
    /// Those of a test that fails or cannot be run.
    fn run_against<'a>(
        &'a self,
        session: &'a Session,
        project: &'a Project,
        images: &'a Images,
        tier: &'a Tier,
        test: (&'a str, BTreeMap<String, String>),
    ) -> BoxFuture<'a, Result<()>>;
}
