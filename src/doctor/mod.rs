//! `doctor`: each thing a release needs, tried for real, with what to fix where it does not work.

mod ownership;
mod pull;
mod rights;

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::manifest;
use crate::program::Program;
use crate::project::{Project, SET_REGISTRY, Tier};
use crate::registry::Registry;
use crate::report::view::setup::doctor as view;
use crate::report::view::setup::doctor::{CheckOutcome, Doctor, Problem};
use crate::schema::Schemas;
use crate::secret;
use crate::session::Session;
use crate::text::display;

/// How long the registry may take to answer.
const REGISTRY: Duration = Duration::from_secs(30);
/// How long `df` may take: a network's file system may hang.
const DISK: Duration = Duration::from_secs(5);
/// Clocks that are further apart are told: certificates and tokens are judged by them.
const APART: SignedDuration = SignedDuration::from_secs(10);
/// With less room a build is likely to end in the middle.
const ROOM: u64 = 5 << 30;

/// Everything that was tried.
pub(crate) struct DoctorReport {
    checks: Vec<Check>,
}

struct Check {
    name: String,
    result: Result<Finding>,
    /// What an administrator may apply.
    remedy: Vec<Value>,
}

/// What was found where nothing is in a release's way.
enum Finding {
    Good(String),
    /// Not meant so, probably.
    Doubtful(Problem),
}

impl DoctorReport {
    /// What is shown of it.
    pub(crate) fn view(&self) -> Doctor {
        let remedy: Vec<Value> = self.checks.iter().flat_map(|check| check.remedy.clone()).collect();
        let yaml = if remedy.is_empty() { String::new() } else { manifest::to_yaml(&remedy) };
        Doctor { checks: self.checks.iter().map(Check::view).collect(), remedy, yaml }
    }

    /// The first thing that does not work, with its exit code.
    ///
    /// # Errors
    /// That of the first check that failed.
    pub(crate) fn verdict(self) -> Result<()> {
        let failed: Vec<Error> = self.checks.into_iter().filter_map(|check| check.result.err()).collect();
        match failed.first() {
            None => Ok(()),
            Some(first) => {
                let count = display::count(failed.len(), "check");
                Err(Error::new(first.kind(), format!("{count} failed")))
            }
        }
    }
}

impl Check {
    fn new(name: &str, result: Result<Finding>) -> Self {
        Self { name: name.to_owned(), result, remedy: Vec::new() }
    }

    fn view(&self) -> view::Check {
        let fault =
            |error: &Error| Problem { message: error.to_string(), hint: error.hint().map(str::to_owned) };
        let outcome = match &self.result {
            Ok(Finding::Good(found)) => CheckOutcome::Good(found.clone()),
            Ok(Finding::Doubtful(doubt)) => CheckOutcome::Doubtful(doubt.clone()),
            Err(error) => CheckOutcome::Failed(fault(error)),
        };
        view::Check { name: self.name.clone(), outcome }
    }
}

impl Finding {
    fn doubtful(message: String, hint: &str) -> Self {
        Self::Doubtful(Problem { message, hint: Some(hint.to_owned()) })
    }
}

/// Tries everything; never fails itself.
/// `builder` says how the builder of the configuration is, where there is one.
pub(crate) async fn examine(
    session: &Session,
    project: &Project,
    tier: Option<&Tier>,
    builder: impl Future<Output = Result<String>>,
) -> DoctorReport {
    let mut checks =
        vec![Check::new("git", git(project)), Check::new("manifests", manifests(session, project).await)];
    if !project.config.images.is_empty() {
        if project.config.builder.is_some() {
            checks.push(Check::new("builder", builder.await.map(Finding::Good)));
        }
        if project.config.builder.is_none() || !project.config.tests.is_empty() {
            checks.extend(docker(session).await);
        }
        checks.push(Check::new("registry", registry(session, project).await));
        checks.extend(pull::examine(session, project).await.map(|found| Check::new("pull", Ok(found))));
    }
    if let Some(tier) = tier {
        if !tier.secrets.is_empty() {
            checks.push(Check::new("secrets", secrets(session, project, tier).await));
        }
        checks.extend(cluster(session, project, tier).await);
    }
    DoctorReport { checks }
}

fn git(project: &Project) -> Result<Finding> {
    project.check_checkout()?;
    let revision = project.revision()?;
    let found = format!("commit {}", revision.describe());
    if !revision.dirty {
        return Ok(Finding::Good(found));
    }
    let hint = dirty(revision.changes.untracked);
    Ok(Finding::doubtful(format!("{found}: {}", revision.changes), hint))
}

fn dirty(can_be_excluded: bool) -> &'static str {
    if can_be_excluded {
        "commit them, or exclude them from the images with .dockerignore; until then images are tagged `COMMIT-dirty-HASH`"
    } else {
        "commit them; until then images are tagged `COMMIT-dirty-HASH`"
    }
}

async fn manifests(session: &Session, project: &Project) -> Result<Finding> {
    let found =
        session.unless_cancelled(async { Ok(manifest::validate(project, Schemas::newest()).await) }).await?;
    let mut errors = found.errors;
    if !errors.is_empty() {
        return Err(errors.remove(0));
    }
    Ok(match found.warnings.as_slice() {
        [] => Finding::Good("windlass.yaml and .kube are valid".to_owned()),
        [only] => {
            Finding::Doubtful(Problem { message: only.to_string(), hint: only.hint().map(str::to_owned) })
        }
        [first, rest @ ..] => {
            let more = display::count(rest.len(), "more warning");
            Finding::doubtful(format!("{first}, and {more}"), "windlass validate")
        }
    })
}

async fn docker(session: &Session) -> Vec<Check> {
    let engine = match Engine::connect(session).await {
        Ok(engine) => engine,
        Err(error) => return vec![Check::new("docker", Err(error))],
    };
    let mut checks = vec![Check::new("docker", Ok(Finding::Good(engine.describe())))];
    if let Some(directory) = engine.local_data().await {
        checks.extend(disk(&directory).await.map(|found| Check::new("disk", Ok(found))));
    }
    checks
}

/// The room that the Engine has for images; nothing where it cannot be known.
async fn disk(directory: &str) -> Option<Finding> {
    let df = Program::new("df").arguments(["-P", "-k", "--"]).arguments([Path::new(directory)]);
    let printed = df.limit(DISK).output().await.ok()?;
    let free = free_bytes(&String::from_utf8_lossy(&printed))?;
    let gigabytes = free / (1 << 30);
    let found = format!("{gigabytes} GiB free for images in {directory}");
    let hint = "docker system prune deletes what nothing uses; `docker system df` shows what uses the space";
    Some(if free < ROOM { Finding::doubtful(format!("only {found}"), hint) } else { Finding::Good(found) })
}

/// The fourth column of the last line is what is free, in KiB (POSIX).
fn free_bytes(printed: &str) -> Option<u64> {
    let mut lines = printed.lines().skip(1);
    let columns: Vec<&str> = lines.next()?.split_whitespace().collect();
    let place = columns.iter().position(|word| word.ends_with('%'))?;
    columns.get(place.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

async fn registry(session: &Session, project: &Project) -> Result<Finding> {
    let Some(registry) = &project.registry else {
        return Err(Error::new(Kind::Invalid, "no registry is set").with_hint(SET_REGISTRY));
    };
    let late = || {
        let seconds = REGISTRY.as_secs();
        Error::new(Kind::Unreachable, format!("the registry {registry} did not respond within {seconds} s"))
    };
    let image = project.config.images.keys().next().map_or("app", String::as_str);
    let reference = project.image_repository(image)?;
    let client = Registry::of(project);
    let work = async {
        client.ping(registry).await?;
        client.check_push(&reference).await
    };
    session.within(REGISTRY, work, late).await?;
    Ok(Finding::Good(format!("{registry} responds and accepts pushes")))
}

/// Fetches the values that the tier's Secrets need, as a release does.
async fn secrets(session: &Session, project: &Project, tier: &Tier) -> Result<Finding> {
    let fetching = secret::fetch(project, tier, &session.reporter);
    let fetched = session.unless_cancelled(fetching).await?;
    let values: usize = fetched.iter().map(|secret| secret.data.len()).sum();
    let names: Vec<&str> = fetched.iter().map(|secret| secret.name.as_str()).collect();
    Ok(Finding::Good(format!("{}: {}", names.join(", "), display::count(values, "value"))))
}

async fn cluster(session: &Session, project: &Project, tier: &Tier) -> Vec<Check> {
    let cluster = match Cluster::connect(&tier.target(), session).await {
        Ok(cluster) => cluster,
        Err(error) => return vec![Check::new("cluster", Err(error))],
    };
    let who = cluster.identity().await;
    let version = cluster.version().await.map(|version| format!(" ({version})")).unwrap_or_default();
    let found =
        who.map(|who| format!("{}{version} as {who}, namespace {}", cluster.context(), cluster.namespace()));
    // Once for both: a chart takes its time.
    let described = session.unless_cancelled(manifest::described(project, tier)).await;
    let foreign = match &described {
        Ok(described) => ownership::examine(session, &cluster, project, tier, described).await,
        Err(_) => None,
    };
    let rights = rights::examine(&cluster, described).await;
    let mut checks = vec![
        Check::new("cluster", found.map(Finding::Good)),
        Check::new("clock", Ok(clock(cluster.now(), Timestamp::now()))),
        Check { remedy: rights.remedy, ..Check::new("rights", rights.result.map(Finding::Good)) },
    ];
    checks.extend(foreign.map(|found| Check::new("owners", Ok(found))));
    checks
}

/// How far this machine's clock is from the API server's.
fn clock(server: Timestamp, here: Timestamp) -> Finding {
    let ahead = here.duration_since(server);
    let by = ahead.unsigned_abs();
    if ahead.abs() <= APART {
        return Finding::Good("the clocks of this machine and the cluster agree".to_owned());
    }
    let side = if ahead.is_positive() { "ahead of" } else { "behind" };
    Finding::doubtful(
        format!("this machine's clock is {} {side} the cluster's", display::whole(by)),
        "synchronize it (`timedatectl set-ntp true`): tokens and certificates depend on it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;

    #[test]
    fn a_fault_has_its_place_and_what_would_help() {
        let broken = Error::new(Kind::Invalid, "unknown key `imges`").at(Place::at("windlass.yaml", 3, 1));
        let shown = Check::new("manifests", Err(broken.with_hint("images"))).view();
        let message = "windlass.yaml:3:1: unknown key `imges`".to_owned();
        assert_eq!(shown.outcome, CheckOutcome::Failed(Problem { message, hint: Some("images".to_owned()) }));
        let good = Check::new("git", Ok(Finding::Good("clean".to_owned()))).view();
        assert_eq!(good.outcome, CheckOutcome::Good("clean".to_owned()));
    }

    #[test]
    fn what_no_image_contains_cannot_be_excluded() {
        assert!(dirty(true).contains(".dockerignore") && !dirty(false).contains(".dockerignore"));
    }

    #[test]
    fn a_clock_that_is_far_off_is_told() {
        let server: Timestamp = "2026-11-23T09:05:00Z".parse().unwrap();
        let told = |here: &str| match clock(server, here.parse().unwrap()) {
            Finding::Good(_) => None,
            Finding::Doubtful(fault) => Some(fault.message),
        };
        assert_eq!(told("2026-11-23T09:05:08Z").or(told("2026-11-23T09:04:52Z")), None);
        let ahead = "this machine's clock is 3m 05s ahead of the cluster's";
        assert_eq!(told("2026-11-23T09:08:05Z").as_deref(), Some(ahead));
        let behind = "this machine's clock is 30 s behind the cluster's";
        assert_eq!(told("2026-11-23T09:04:30Z").as_deref(), Some(behind));
    }

    #[test]
    fn the_room_of_a_disk_is_the_column_before_the_percentage() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda 1 2 4096 60% /var/lib/docker\n";
        assert_eq!(free_bytes(df), Some(4 << 20));
        let spaces = "Filesystem\n//nas/a b 1 2 3 60% /x\n";
        assert_eq!(free_bytes(spaces), Some(3072));
        assert_eq!(free_bytes("").or(free_bytes("a\nb\n")).or(free_bytes("a\n60%\n")), None);
    }
}
