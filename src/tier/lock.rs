//! `lock` and `unlock`: a lock of the tier that a person holds.

use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::{Holder, Lease, LeaseRequest, LeaseTask, ManualLock};
use crate::error::{Error, Kind, Result};
use crate::project::{Project, Tier};
use crate::record::Actor;
use crate::record::Summary;
use crate::record::store::base_name;
use crate::release::context::TierContext;
use crate::release::rules::Rules;
use crate::release::{context, refused, tier_lock};
use crate::report::view::lock::{Held, Lock, LockHolder};
use crate::session::Session;

/// Locks a tier in the name of the user, so that releases are refused.
///
/// # Errors
/// [`Kind::Locked`] naming another holder, [`Kind::Usage`] without a message, what the cluster refuses.
pub(crate) async fn lock(
    session: &Session,
    project: &Project,
    tier: &Tier,
    rules: &Rules,
    message: &str,
    limit: Option<Duration>,
) -> Result<Lock> {
    // Check the message before connecting to the cluster.
    let hold = ManualLock::new(&session.reporter.masked(message), None)?;
    let cluster = context::connect(session, tier).await?;
    cluster.ensure_namespace(&tier.made_for(project), tier_lock::LOCKING).await?;
    let until = limit.map(|limit| cluster.now().saturating_add(limit).unwrap_or(Timestamp::MAX));
    let request =
        LeaseRequest { holder: Actor::this_person(), ..tier_lock::lease_request(project, tier, rules) };
    // The lock is the only trace of a killed release, so record it before the lock is replaced.
    if let Some(dead) = Lease::dead_holder(&cluster, &request.name).await? {
        refused::note_dead_run(TierContext { session, project, tier, rules, cluster: &cluster }, &dead)
            .await?;
    }
    let before = Lease::holder(&cluster, &request.name).await?;
    if let Some((before, hold)) = before.as_ref().and_then(|one| Some((one, one.hold.as_ref()?)))
        && before.name == request.holder
    {
        session.reporter.warn(format!("this replaces your lock of {:.0}: {}", before.since, hold.message));
    }
    let holder = Lease::lock(session, &cluster, &request, &ManualLock { until, ..hold }).await?;
    Ok(Lock { tier: tier.name.clone(), holder: Some(shown(&holder, None)), freed: false })
}

/// Releases the lock of another holder. A run that seems alive loses the lock, and stops, only after a confirmation.
///
/// # Errors
/// [`Kind::Rule`] without confirmation, [`Kind::Locked`] when another process takes the lock in the meantime.
pub(crate) async fn unlock(session: &Session, project: &Project, tier: &Tier, rules: &Rules) -> Result<Lock> {
    let cluster = context::connect(session, tier).await?;
    let context = TierContext { session, project, tier, rules, cluster: &cluster };
    let name = base_name(&project.name, &tier.slug);
    let holder = Lease::holder(&cluster, &name).await?;
    if let Some(holder) = &holder {
        if holder.hold.is_none() {
            let (holder, release) = tier_lock::on_record(context, holder.clone()).await;
            let who = holder.described(release.as_deref());
            let fact = format!("{who} holds the lock of {} and stops when it loses it", tier.name);
            context.rules.confirm(session, &fact, "remove its lock?").await?;
        }
        if !Lease::unlock(&cluster, &name, holder).await? {
            return Err(Error::new(
                Kind::Locked,
                format!("somebody else has locked {} in the meantime", tier.name),
            )
            .with_hint(tier.command("status")));
        }
    }
    let holder = holder.map(|holder| shown(&holder, None));
    Ok(Lock { tier: tier.name.clone(), holder, freed: true })
}

/// The holder of a lock, with its release if known.
pub(crate) fn shown(holder: &Holder, release: Option<&Summary>) -> LockHolder {
    let held = if let Some(ManualLock { message, until }) = &holder.hold {
        Held::ByHand { message: message.clone(), until: *until }
    } else {
        let LeaseTask { command, commit, by } = &holder.task;
        Held::ByRun {
            command: Some(command.clone()).filter(|command| !command.is_empty()),
            by: by.clone(),
            commit: commit.clone().or_else(|| release?.commit.clone()),
            revision: release.map(|release| release.revision),
        }
    };
    LockHolder { name: holder.name.clone(), title: holder.described(None), since: holder.since, held }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::target::tests::summary;
    use crate::report::view::lock::tests::{by_hand, by_run};

    #[test]
    fn a_lock_says_who_holds_it_and_for_what() {
        let since = by_hand(None).since;
        let hold = ManualLock { message: "audit".to_owned(), until: None };
        let ann = "ann@laptop".to_owned();
        let person = Holder { name: ann, since, hold: Some(hold), task: LeaseTask::default() };
        assert_eq!(shown(&person, None), by_hand(None));

        let place = "https://gitlab.test/jobs/42";
        let run = |command: &str, by: &str, commit: Option<String>| Holder {
            name: place.to_owned(),
            since,
            hold: None,
            task: LeaseTask { command: command.to_owned(), commit, by: by.to_owned() },
        };
        let release = Summary { commit: Some("89147efa".repeat(5)), ..summary(12) };
        let title = format!("`windlass release` of 1f3c9a0b by nora ({place})");
        assert_eq!(
            shown(&run("release", "nora", Some("1f3c9a0b".repeat(5))), None),
            by_run(&title, Some("release"), "1f3c9a0b", None)
        );
        let title = format!("`windlass release` by nora ({place})");
        assert_eq!(
            shown(&run("release", "nora", None), Some(&release)),
            by_run(&title, Some("release"), "89147efa", Some(12))
        );
        assert_eq!(shown(&run("", "", None), Some(&release)), by_run(place, None, "89147efa", Some(12)));
    }
}
