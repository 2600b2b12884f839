//! What a release will lack, told before its first change. Nothing is refused for it.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::release::context::TierContext;
use crate::release::plan::checks::{images, references};
use crate::release::plan::{Plan, PlanStep};

/// How long all questions together may take: whoever releases does not wait for them.
const LIMIT: Duration = Duration::from_secs(1);

/// Warns of what the objects that a plan changes will lack, and of images that cannot be pulled.
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
