//! Warnings about what a release lacks, before its first change. They refuse nothing.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::release::context::TierContext;
use crate::release::plan::checks::{images, references};
use crate::release::plan::{Plan, PlanStep};

/// Time limit for all requests together: the release should not wait for them.
const LIMIT: Duration = Duration::from_secs(1);

/// Warns about what the changed objects lack, and about images that cannot be pulled.
pub(crate) fn warn<'a>(context: TierContext<'a>, plan: &'a Plan) -> BoxFuture<'a, ()> {
    let asked = async move {
        if !plan.steps.iter().any(PlanStep::is_changed) {
            return;
        }
        let end = Instant::now() + LIMIT;
        let (missing, classes, images) = futures::join!(
            references::missing(context, plan, end),
            references::classes(context.cluster, plan, end),
            images::unpullable(context, plan, end)
        );
        for warning in missing.into_iter().chain(classes).chain(images) {
            context.session.reporter.warn_of(&warning);
        }
    };
    asked.boxed()
}
