//! `status` and `explain TIER`: what runs on a tier now, how it is, what of it was changed by hand, and where a
//! rollback would lead.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::error::{Kind, Result};
use crate::model::{ObjectId, ObjectRef, Verdict};
use crate::project::{Project, Tier};
use crate::record::prior::PriorReleases;
use crate::record::store::base_name;
use crate::record::{Outcome, Record, Summary, prior};
use crate::release::context::TierContext;
use crate::release::rules::Rules;
use crate::release::{context, explain, lock_holder};
use crate::report::style;
use crate::report::view::View;
use crate::report::view::drift::Drift;
use crate::report::view::lock::LockHolder;
use crate::report::view::rollback::RollbackOutlook;
use crate::rollout::explain::Explained;
use crate::session::Session;
use crate::tier::lock;

/// What runs on a tier now.
pub struct Status {
    tier: String,
    context: String,
    namespace: String,
    newest: Option<Summary>,
    /// Each object's verdict; or why none is known.
    health: std::result::Result<Vec<Explained>, String>,
    /// What the newest release has and the cluster has not.
    missing: Vec<ObjectRef>,
    drift: Drift,
    lock: Option<LockHolder>,
    way_back: RollbackOutlook,
}

impl Status {
    /// Asks the cluster.
    pub(crate) async fn read(site: TierContext<'_>) -> Result<Self> {
        let TierContext { project, tier, cluster, .. } = site;
        let mut summaries = site.store().history().await?;
        let lock = prior::as_it_is(cluster, &base_name(&project.name, &tier.slug), &mut summaries).await;
        let (health, missing, drift, way_back) = match Box::pin(seen(site, &summaries)).await {
            // Whoever may not read Secrets still sees what is in the history.
            Err(error) if error.kind() == Kind::Denied => {
                let why = error.message().to_owned();
                (Err(why.clone()), Vec::new(), Drift::Unknown(why.clone()), RollbackOutlook::None(why))
            }
            seen => seen.map(|(health, missing, drift, way_back)| (Ok(health), missing, drift, way_back))?,
        };
        let lock = lock.map(|lock| lock::shown(&lock, lock_holder::held_by(summaries.first(), &lock)));
        Ok(Self {
            tier: tier.name.clone(),
            context: cluster.context().to_owned(),
            namespace: cluster.namespace().to_owned(),
            health,
            missing,
            drift,
            lock,
            way_back,
            newest: summaries.into_iter().next(),
        })
    }

    /// The status for machines.
    pub fn to_json(&self) -> Value {
        let release = self.newest.as_ref().map(|summary| {
            json!({
                "revision": summary.revision,
                "kind": summary.kind.describe(),
                "outcome": summary.outcome,
                "commit": summary.commit,
                "dirty": summary.dirty,
                "branch": summary.branch,
                "images": summary.images,
                "tested": summary.tested,
                "by": summary.by.person,
                "job": summary.by.job,
                "started": summary.started,
                "finished": summary.finished,
            })
        });
        json!({
            "tier": self.tier,
            "context": self.context,
            "namespace": self.namespace,
            "revision": self.newest.as_ref().map(|summary| summary.revision),
            "commit": self.newest.as_ref().and_then(|summary| summary.commit.clone()),
            "images": self.newest.as_ref().map(|summary| summary.images.clone()).unwrap_or_default(),
            "release": release,
            "ready": self.all_ready(),
            "objects": self.objects().map(|one| one.view().to_json()).collect::<Vec<_>>(),
            "drift": self.drift.to_json(),
            "others": self.drift.others_to_json(),
            "lock": self.lock.as_ref().map(LockHolder::to_json),
            "rollback": self.way_back.to_json(),
        })
    }

    /// The status for people.
    pub fn to_text(&self) -> String {
        let mut lines =
            vec![format!("{}  {} in {}", style::strong(&self.tier), self.namespace, self.context)];
        match &self.newest {
            None => lines.push("nothing was released here yet".to_owned()),
            Some(summary) => lines.extend(release_lines(summary)),
        }
        lines.push(format!("health    {}", self.health_sentence()));
        for object in self.objects().filter(|one| !is_fine(one.verdict())) {
            lines.push(format!("          {}", object.view().to_text().trim_end()));
        }
        if let Drift::Unknown(_) = self.drift {
            lines.extend(self.missing.iter().map(|one| format!("          {} is not there", one.id())));
        }
        if self.newest.is_some() {
            lines.extend(row("drift", &self.drift.lines()));
            lines.extend(row("others", &self.drift.other_lines()));
        }
        if let Some(lock) = &self.lock {
            lines.push(format!("lock      {}", lock.to_text()));
        }
        lines.push(format!("rollback  {}", self.way_back.to_text()));
        lines.join("\n") + "\n"
    }

    fn objects(&self) -> impl Iterator<Item = &Explained> {
        self.health.iter().flatten()
    }

    /// Whether everything is known to be well.
    fn all_ready(&self) -> bool {
        self.newest.is_some()
            && self.health.is_ok()
            && self.missing.is_empty()
            && self.objects().all(|one| is_fine(one.verdict()))
    }

    fn health_sentence(&self) -> String {
        if let Err(why) = &self.health {
            return style::doubtful(&format!("not known: {why}"));
        }
        let ready = self.objects().filter(|one| is_fine(one.verdict())).count();
        let sentence = format!("{ready} of {} objects ready", self.objects().count() + self.missing.len());
        if self.all_ready() { style::good(&sentence) } else { style::bad(&sentence) }
    }
}

/// What needs the full records.
async fn seen(
    site: TierContext<'_>,
    summaries: &[Summary],
) -> Result<(Vec<Explained>, Vec<ObjectRef>, Drift, RollbackOutlook)> {
    let past = PriorReleases::of(&site.store(), summaries.to_vec()).await?;
    let (health, drift, way_back) = futures::join!(
        explain::explain(site, past.last.as_ref()),
        crate::tier::drift::drift(site, &past),
        crate::tier::rollback_outlook::way_back(site, summaries),
    );
    let (health, drift) = (health?, drift?);
    let missing = crate::tier::drift::gone(&drift).unwrap_or_else(|| missing(past.last.as_ref(), &health));
    Ok((health, missing, drift, way_back?))
}

/// What the newest release has, or was to have, and the cluster has not; a Job may be gone when it has run, and what lies
/// outside of namespaces may be another tier's as well, and bear its labels.
fn missing(last: Option<&Record>, health: &[Explained]) -> Vec<ObjectRef> {
    let wanted = last.into_iter().flat_map(|last| &last.objects).map(|one| &one.object);
    let is_alone = |object: &Value| object["kind"] != "Job" && !ObjectId::of(object).namespace.is_empty();
    let lacks = |object: &&Value| is_alone(object) && !health.iter().any(|one| one.is_about(object));
    wanted.filter(lacks).map(ObjectRef::of).collect()
}

/// A row of the table, with its further lines below the first.
fn row(title: &str, lines: &[String]) -> Vec<String> {
    let begin = |index| if index == 0 { title } else { "" };
    lines.iter().enumerate().map(|(index, line)| format!("{:<10}{line}", begin(index))).collect()
}

fn is_fine(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Ready | Verdict::Paused)
}

fn release_lines(summary: &Summary) -> Vec<String> {
    let when = summary.started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let outcome = summary.outcome.word();
    let outcome = match summary.outcome {
        Outcome::Good => style::good(outcome),
        Outcome::Running => style::doubtful(outcome),
        _ => style::bad(outcome),
    };
    let commit = summary.short_commit().unwrap_or_else(|| "no commit".to_owned());
    let branch = summary.branch.as_deref().map(|branch| format!(" of {branch}")).unwrap_or_default();
    let mut lines = vec![
        format!(
            "release   {} ({outcome}), {}, {when}, by {}",
            summary.revision,
            summary.kind.describe(),
            summary.by.person
        ),
        format!("commit    {commit}{branch}"),
    ];
    if summary.outcome == Outcome::Interrupted {
        lines.insert(1, format!("          {}", prior::interruption(summary)));
    }
    lines.extend(summary.images.values().map(|image| format!("image     {image}")));
    lines
}

/// What runs on the tier now.
///
/// # Errors
/// What the cluster refuses.
pub async fn status(session: &Session, project: &Project, tier: &Tier) -> Result<Status> {
    let cluster = context::connect(session, tier).await?;
    let rules = Rules::default();
    Status::read(context::TierContext { session, project, tier, rules: &rules, cluster: &cluster }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::target::tests::summary;
    use crate::report::view::tests::both;
    use crate::report::view::{drift, lock, rollback};
    use crate::rollout::explain::tests::{failed, ready};

    fn release(outcome: Outcome) -> Summary {
        let image = format!("registry.test/shop/web:1f3c@sha256:{}", "9be1".repeat(16));
        Summary {
            outcome,
            commit: Some("1f3c9a0b".repeat(5)),
            branch: Some("main".to_owned()),
            dirty: true,
            images: [("web".to_owned(), image)].into(),
            tested: Some(true),
            finished: Some("2026-10-03T14:05:00Z".parse().unwrap()),
            ..summary(7)
        }
    }

    fn status() -> Status {
        Status {
            tier: "staging".to_owned(),
            context: "lab".to_owned(),
            namespace: "shop-staging".to_owned(),
            newest: Some(release(Outcome::Good)),
            health: Ok(vec![ready()]),
            missing: Vec::new(),
            drift: Drift::Known { changed: Vec::new(), others: Vec::new() },
            lock: None,
            way_back: rollback::tests::outlook(),
        }
    }

    #[test]
    fn a_status_is_read_by_people_and_machines() {
        let missing = vec![ObjectRef::new("v1", "Service", "web").in_namespace("shop")];
        let all = [
            status(),
            Status {
                newest: Some(release(Outcome::Interrupted)),
                health: Ok(vec![ready(), failed()]),
                drift: drift::tests::drift(),
                missing: missing.clone(),
                lock: Some(lock::tests::by_hand(None)),
                ..status()
            },
            Status {
                newest: Some(summary(1)).map(|one| Summary { outcome: Outcome::Running, ..one }),
                drift: Drift::Unknown("the newest release did not come to a good end".to_owned()),
                missing,
                ..status()
            },
            Status { health: Err("you may not list Pods".to_owned()), ..status() },
            Status { newest: None, health: Ok(Vec::new()), ..status() },
        ];
        let shown: Vec<String> = all.iter().map(|one| both(&one.to_text(), &one.to_json())).collect();
        insta::assert_snapshot!("status", shown.join("\n\n"));
    }
}
