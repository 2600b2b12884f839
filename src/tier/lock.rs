//! `lock` and `unlock`: the tier's lock in a person's hand.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::{Holder, Lease, LeaseRequest, LeaseTask, ManualLock};
use crate::error::{Error, Kind, Result};
use crate::project::{Project, Tier};
use crate::record::Summary;
use crate::record::store::base_name;
use crate::release::context::TierContext;
use crate::release::rules::Rules;
use crate::release::{context, lock_holder, refused};
use crate::session::Session;

/// Who holds a tier's lock, or held it until now.
pub struct Lock {
    tier: String,
    holder: Option<Holder>,
    freed: bool,
}

/// Locks a tier in the name of whoever runs this, so that releases are refused.
///
/// # Errors
/// [`Kind::Locked`] naming another holder, [`Kind::Usage`] without a message, what the cluster refuses.
pub async fn lock(
    session: &Session,
    project: &Project,
    tier: &Tier,
    rules: &Rules,
    message: &str,
    limit: Option<Duration>,
) -> Result<Lock> {
    // Without words nobody is troubled: not even the cluster is asked.
    let hold = ManualLock::new(&session.reporter.masked(message), None)?;
    let cluster = context::connect(session, tier).await?;
    cluster.ensure_namespace(&context::made_for(project, tier), context::LOCKING).await?;
    let until = limit.map(|limit| cluster.now().saturating_add(limit).unwrap_or(Timestamp::MAX));
    let request = LeaseRequest { holder: context::person(), ..context::lease_request(project, tier, rules) };
    // The lock that a killed release left is the only trace of it.
    if let Some(dead) = Lease::dead_holder(&cluster, &request.name).await? {
        refused::note_dead_run(TierContext { session, project, tier, rules, cluster: &cluster }, &dead)
            .await?;
    }
    let before = Lease::holder(&cluster, &request.name).await?;
    if let Some((before, hold)) = before.as_ref().and_then(|one| Some((one, one.hold.as_ref()?)))
        && before.name == request.holder
    {
        session
            .reporter
            .warn(format!("this takes the place of your lock since {:.0}: {}", before.since, hold.message));
    }
    let holder = Lease::lock(session, &cluster, &request, &ManualLock { until, ..hold }).await?;
    Ok(Lock { tier: tier.name.clone(), holder: Some(holder), freed: false })
}

/// Takes the lock from whoever holds it. A run that does not seem dead loses it only if a person agrees: it stops.
///
/// # Errors
/// [`Kind::Rule`] where nobody agrees, [`Kind::Locked`] when somebody else takes it meanwhile.
pub async fn unlock(session: &Session, project: &Project, tier: &Tier, rules: &Rules) -> Result<Lock> {
    let cluster = context::connect(session, tier).await?;
    let site = TierContext { session, project, tier, rules, cluster: &cluster };
    let name = base_name(&project.name, &tier.slug);
    let holder = Lease::holder(&cluster, &name).await?;
    if let Some(holder) = &holder {
        if holder.hold.is_none() {
            let (holder, release) = lock_holder::on_record(site, holder.clone()).await;
            let who = holder.described(release.as_deref());
            let fact = format!("{who} holds the lock of {}, and stops without it", tier.name);
            site.rules.confirm(session, &fact, "take the lock from it?").await?;
        }
        if !Lease::unlock(&cluster, &name, holder).await? {
            return Err(Error::new(
                Kind::Locked,
                format!("somebody else has locked {} meanwhile", tier.name),
            )
            .with_hint(context::command("status", tier)));
        }
    }
    Ok(Lock { tier: tier.name.clone(), holder, freed: true })
}

/// A lock for machines, with the release that holds it.
pub(crate) fn to_json(holder: &Holder, release: Option<&Summary>) -> Value {
    let mut lock = json!({"holder": holder.name, "since": holder.since});
    if let Some(hold) = &holder.hold {
        lock["message"] = json!(hold.message);
        lock["until"] = json!(hold.until);
        return lock;
    }
    let LeaseTask { command, commit, by } = &holder.task;
    if !command.is_empty() {
        lock["command"] = json!(command);
        lock["by"] = json!(by);
    }
    let commit = commit.as_ref().or_else(|| release?.commit.as_ref());
    for (key, value) in
        [("commit", commit.map(|one| json!(one))), ("revision", release.map(|one| json!(one.revision)))]
    {
        if let Some(value) = value {
            lock[key] = value;
        }
    }
    lock
}

/// A lock for people: `ann@laptop since 2026-10-03T14:00:00Z until 2026-10-03T16:00:00Z: audit`.
pub(crate) fn to_text(holder: &Holder) -> String {
    let mut text = format!("{} since {:.0}", holder.described(None), holder.since);
    if let Some(hold) = &holder.hold {
        text += &hold.until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
        text += &format!(": {}", hold.message);
    }
    text
}

impl Lock {
    /// The lock for machines.
    pub fn to_json(&self) -> Value {
        let lock = self.holder.as_ref().map(|holder| to_json(holder, None));
        if self.freed {
            return json!({"tier": self.tier, "lock": null, "removed": lock});
        }
        json!({"tier": self.tier, "lock": lock})
    }

    /// The lock for people.
    pub fn to_text(&self) -> String {
        let tier = &self.tier;
        match (&self.holder, self.freed) {
            (None, _) => format!("{tier} is not locked\n"),
            (Some(holder), false) => format!("{tier} is locked by {}\n", to_text(holder)),
            (Some(holder), true) => format!("{tier} was locked by {}\n{tier} is unlocked\n", to_text(holder)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::target::tests::summary;
    use crate::report::view::tests::both;

    /// A person holds it.
    pub(crate) fn by_hand(until: Option<&str>) -> Holder {
        let until = until.map(|until| until.parse().unwrap());
        Holder {
            name: "ann@laptop".to_owned(),
            since: "2026-10-03T14:00:00.5Z".parse().unwrap(),
            hold: Some(ManualLock { message: "audit".to_owned(), until }),
            task: LeaseTask::default(),
        }
    }

    fn by_run(commit: Option<String>) -> Holder {
        let task = LeaseTask { command: "release".to_owned(), commit, by: "nora".to_owned() };
        Holder { name: "https://gitlab.test/jobs/42".to_owned(), hold: None, task, ..by_hand(None) }
    }

    #[test]
    fn a_lock_is_read_by_people_and_machines() {
        let lock = |holder, freed| Lock { tier: "staging".to_owned(), holder, freed };
        let all = [
            lock(Some(by_hand(Some("2026-10-03T16:00:00Z"))), false),
            lock(Some(by_hand(None)), true),
            lock(Some(by_run(Some("1f3c9a0b".repeat(5)))), true),
            lock(None, true),
        ];
        let mut shown: Vec<String> = all.iter().map(|one| both(&one.to_text(), &one.to_json())).collect();
        let release = Summary { commit: Some("89147efa".repeat(5)), ..summary(12) };
        let unknown = Holder { task: LeaseTask::default(), ..by_run(None) };
        for holder in [by_run(None), unknown] {
            shown.push(both(&(to_text(&holder) + "\n"), &to_json(&holder, Some(&release))));
        }
        insta::assert_snapshot!("lock", shown.join("\n\n"));
    }
}
