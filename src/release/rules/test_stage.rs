//! What a release asks of the tests: the stage before it, which it does not know.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::model::{Images, MissingPass};
use crate::project::{Project, Tier};
use crate::session::Session;

/// The stage of the tests.
pub(crate) trait TestStage: Sync {
    /// Which of the project's tests have not passed in these images.
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

    /// Runs a test against what was released, with these variables. It leaves no record: what it says is of this moment.
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
