//! Where a release happens: the connected cluster, the tier's records and its lock, opened together and
//! closed together.

use std::time::Duration;

use crate::cluster::{Cluster, Lease, LeaseRequest, LeaseTask};
use crate::error::{Error, Kind, Result};
use crate::model::{Stage, labels};
use crate::project::{Project, Tier, ci};
use crate::record::prior::PriorReleases;
use crate::record::store::{Store, base_name};
use crate::record::{Actor, Kind as ReleaseKind, Summary, kept_rules};
use crate::release::rules::Rules;
use crate::release::{lock_holder, refused};
use crate::session::Session;
use crate::text::{display, shell_word};

/// Connects to the tier's cluster.
pub(crate) async fn connect(session: &Session, tier: &Tier) -> Result<Cluster> {
    Cluster::connect(&tier.target(), session).await
}

/// What is asked for: of which project, for which tier, under which rules.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Where to report, and when to stop.
    pub session: &'a Session,
    /// The project.
    pub project: &'a Project,
    /// The tier.
    pub tier: &'a Tier,
    /// What a person said about the tier's rules.
    pub rules: &'a Rules,
}

impl<'a> Request<'a> {
    /// Connects to the tier's cluster; that it is not the one that the tier is pinned to may be overridden.
    pub(crate) async fn connect(&self) -> Result<Cluster> {
        let Self { session, tier, rules, .. } = *self;
        match connect(session, tier).await {
            Err(error)
                if error.kind() == Kind::Rule && tier.cluster.is_some() && rules.overrides("cluster") =>
            {
                session.reporter.warn(format!("{} (overridden)", error.message()));
                connect(session, &Tier { cluster: None, ..tier.clone() }).await
            }
            connected => connected,
        }
    }

    /// The same on a cluster that is connected.
    pub(crate) fn on(self, cluster: &'a Cluster) -> TierContext<'a> {
        let Self { session, project, tier, rules } = self;
        TierContext { session, project, tier, rules, cluster }
    }
}

/// What stays the same from the lock to the last record: who does what to which tier, and where.
#[derive(Clone, Copy)]
pub(crate) struct TierContext<'a> {
    pub(crate) session: &'a Session,
    pub(crate) project: &'a Project,
    pub(crate) tier: &'a Tier,
    pub(crate) rules: &'a Rules,
    pub(crate) cluster: &'a Cluster,
}

impl<'a> TierContext<'a> {
    /// The tier's records.
    pub(crate) fn store(&self) -> Store {
        Store::new(self.cluster, &self.project.name, &self.tier.slug)
    }

    /// The same, for what is still done after a cancellation; the caller bounds it in time.
    pub(crate) fn with_cluster(self, cluster: &'a Cluster) -> Self {
        Self { cluster, ..self }
    }

    /// A release of this kind as it begins here; the caller says what is in it.
    pub(crate) async fn begin(
        &self,
        prior: &PriorReleases,
        revision: u64,
        kind: ReleaseKind,
    ) -> Result<Summary> {
        let (by, started) = (actor(self.cluster).await?, prior.begin(self.cluster.now()));
        let of = (self.project.name.as_str(), self.tier.name.as_str());
        Ok(Summary {
            overrides: self.rules.recorded(&self.session.reporter),
            rules: kept_rules::to_record(self.tier, &prior.summaries),
            ..Summary::begin(revision, kind, of, by, started)
        })
    }

    /// Takes the tier's lock for the command `verb`; give it back with [`TierLock::release`].
    ///
    /// # Errors
    /// [`Kind::Locked`] naming who holds it, and what the cluster refuses.
    pub(crate) async fn lock(&self, verb: &str) -> Result<TierLock> {
        let request = lease_request(self.project, self.tier, self.rules);
        let task = LeaseTask { command: verb.to_owned(), ..request.task.clone() };
        // A rollback is of another commit than the one that is checked out.
        let task = if verb == "release" { task } else { LeaseTask { commit: None, ..task } };
        let lease = match Lease::acquire(self.session, self.cluster, &LeaseRequest { task, ..request }).await
        {
            Err(error) if error.kind() == Kind::Locked => return Err(lock_holder::named(*self, error).await),
            acquired => acquired?,
        };
        let lock = TierLock { lease };
        if let Some(dead) = lock.lease.left_by()
            && let Err(error) = refused::note_dead_run(*self, dead).await
        {
            lock.release(*self).await;
            return Err(error);
        }
        Ok(lock)
    }

    /// Runs `work`, which is that of the command `verb`, while holding the tier's lock. The lock is given back whatever
    /// happens; a lock lost meanwhile ends the work.
    ///
    /// # Errors
    /// Those of the lock and of `work`.
    pub(crate) async fn locked<T>(&self, verb: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let lock = self.lock(verb).await?;
        let result = lock.hold(work).await;
        lock.release(*self).await;
        result
    }
}

/// The tier's lock, held by this run.
pub(crate) struct TierLock {
    lease: Lease,
}

impl TierLock {
    /// Runs `work`; a lock lost meanwhile ends it.
    ///
    /// # Errors
    /// Those of `work`, and [`Kind::Locked`] where the lock was lost.
    pub(crate) async fn hold<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = self.lease.lost();
        tokio::select! {
            biased;
            result = work => result,
            () = lost.cancelled() => Err(lock_lost()),
        }
    }

    /// Gives the lock back, also after a cancellation.
    pub(crate) async fn release(self, context: TierContext<'_>) {
        self.lease.release().await;
        say_requests(context.session, context.cluster);
    }
}

/// How much was asked of the API server, for who wants to know everything.
pub(crate) fn say_requests(session: &Session, cluster: &Cluster) {
    let requests = format!("{} to the API server", display::count(count(cluster.requests()), "request"));
    session.reporter.detail(Stage::Release, "cluster", requests);
}

fn count(requests: u64) -> usize {
    usize::try_from(requests).unwrap_or(usize::MAX)
}

/// The right without which nobody can lock a tier.
pub(crate) const LOCKING: (&str, &str) = ("get", "leases.coordination.k8s.io");

fn lock_lost() -> Error {
    Error::new(Kind::Locked, "the tier's lock was lost: another release may have begun, so this one stopped")
        .with_hint("look at `windlass status TIER`, then release again")
}

/// What a namespace says that windlass made for a tier: the annotation `windlass.dev/made-for`.
pub(crate) fn made_for(project: &Project, tier: &Tier) -> String {
    tier.made_for(project)
}

/// Whether windlass made this namespace for the tier.
pub(crate) fn is_made_for(namespace: &serde_json::Value, project: &Project, tier: &Tier) -> bool {
    namespace["metadata"]["annotations"].get(labels::MADE_FOR).and_then(serde_json::Value::as_str)
        == Some(made_for(project, tier).as_str())
}

/// How a run asks for the tier's lock.
pub(crate) fn lease_request(project: &Project, tier: &Tier, rules: &Rules) -> LeaseRequest {
    LeaseRequest {
        name: base_name(&project.name, &tier.slug),
        holder: holder(),
        task: LeaseTask {
            command: String::new(),
            commit: project.revision.as_ref().map(|revision| revision.commit.clone()),
            by: person(),
        },
        patience: rules.lock_patience(),
        unlock: command("unlock", tier),
    }
}

/// Who holds the lock: the GitLab job's address, or user@host.
fn holder() -> String {
    ci::job_url().unwrap_or_else(person)
}

/// Who released, and from where.
pub(crate) async fn actor(cluster: &Cluster) -> Result<Actor> {
    let identity = cluster.identity().await?;
    Ok(Actor { identity, person: person(), job: ci::job_url(), pipeline: ci::pipeline() })
}

/// GitLab's user, or the local one with the host.
pub(crate) fn person() -> String {
    ci::user().unwrap_or_else(|| {
        let user =
            std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".to_owned());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{user}@{}", if host.trim().is_empty() { "localhost" } else { host.trim() })
    })
}

/// The complete command that rolls a tier back.
pub(crate) fn rollback_command(tier: &Tier) -> String {
    command("rollback", tier)
}

/// A complete command on this tier, with the overrides that this run was given.
pub(crate) fn command(verb: &str, tier: &Tier) -> String {
    let mut command = format!("windlass {verb} {}", tier.name);
    for (flag, value) in &tier.given {
        let dashes = if flag.len() == 1 { "-" } else { "--" };
        command += &format!(" {dashes}{flag} {}", shell_word(value));
    }
    command
}

/// How long a rollback may take: a budget of its own.
pub(crate) fn rollback_budget(tier: &Tier) -> Duration {
    tier.timeout
}
