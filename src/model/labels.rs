//! The names of windlass' labels and annotations on objects, containers and Secrets: what other runs, other versions and people
//! rely on. What a user may write is in docs/manifests.md.

/// How all of them begin.
pub(crate) const PREFIX: &str = "windlass.dev/";

// On every object of a release.

/// The project that an object is of.
pub(crate) const PROJECT: &str = "windlass.dev/project";
/// The slug of the tier that an object is of.
pub(crate) const TIER: &str = "windlass.dev/tier";
/// The release that applied it last.
pub(crate) const REVISION: &str = "windlass.dev/revision";
/// The commit of that release.
pub(crate) const COMMIT: &str = "windlass.dev/commit";
/// The file and line of the object: `.kube/web.yaml:12`.
pub(crate) const SOURCE: &str = "windlass.dev/source";
/// Which content a Job ran.
pub(crate) const CONTENT: &str = "windlass.dev/content";
/// A hash of what a pod template reads from ConfigMaps and Secrets of the set.
pub(crate) const CONFIG: &str = "windlass.dev/config";
/// The project and the tier that windlass created a Namespace for.
pub(crate) const MADE_FOR: &str = "windlass.dev/made-for";
/// The project whose `remove` kept an object.
pub(crate) const KEPT_OF_PROJECT: &str = "windlass.dev/kept-of-project";
/// The tier whose `remove` kept an object.
pub(crate) const KEPT_OF_TIER: &str = "windlass.dev/kept-of-tier";

// Annotations that manifests may have.

/// `before` or `after`: when a Job runs.
pub(crate) const PHASE: &str = "windlass.dev/phase";
/// `replace`: a tier's object takes the place of the base's.
pub(crate) const OVERLAY: &str = "windlass.dev/overlay";
/// `on`: variables are replaced in scripts, too; `off`: nowhere in the object.
pub(crate) const SUBSTITUTE: &str = "windlass.dev/substitute";
/// `none`: pods do not restart for a changed ConfigMap or Secret.
pub(crate) const RESTART_ON: &str = "windlass.dev/restart-on";
/// How long the object may take.
pub(crate) const TIMEOUT: &str = "windlass.dev/timeout";
/// How long pods must run before they count.
pub(crate) const STABLE_FOR: &str = "windlass.dev/stable-for";
/// How many failures of pods do not fail the object.
pub(crate) const FAILURES_ALLOWED: &str = "windlass.dev/failures-allowed";
/// How much of a workload must be ready.
pub(crate) const REQUIRED_ROLLOUT: &str = "windlass.dev/required-rollout";
/// `started`, `address` or `health`: what is waited for.
pub(crate) const WAIT: &str = "windlass.dev/wait";
/// `optional`: that a Service or an Ingress leads nowhere is a warning.
pub(crate) const ENDPOINTS: &str = "windlass.dev/endpoints";
/// `allowed` or `never`: whether the object is deleted once it is removed from the manifests.
pub(crate) const PRUNE: &str = "windlass.dev/prune";
/// `refuse`: once this Job ran, its release is not rolled back.
pub(crate) const ROLLBACK: &str = "windlass.dev/rollback";
/// `allowed`: the object may be deleted and created again.
pub(crate) const RECREATE: &str = "windlass.dev/recreate";
/// The object is shared by tiers.
pub(crate) const SHARED: &str = "windlass.dev/shared";
/// Fields whose values are not shown.
pub(crate) const SENSITIVE: &str = "windlass.dev/sensitive";

// On the records of a tier.

/// The project that a record is about.
pub(crate) const RECORD_OF_PROJECT: &str = "windlass.dev/record-of-project";
/// The slug of the tier that a record is about.
pub(crate) const RECORD_OF_TIER: &str = "windlass.dev/record-of-tier";
/// The type of a Secret that is a record.
pub(crate) const RECORD_TYPE: &str = "windlass.dev/record";
/// The type of the Secret with the tier's key.
pub(crate) const KEY_TYPE: &str = "windlass.dev/key";
/// How many parts a record has.
pub(crate) const PARTS: &str = "windlass.dev/parts";
/// Under which of two names the further parts lie.
pub(crate) const GENERATION: &str = "windlass.dev/generation";
/// In which format an object of the store is written.
pub(crate) const FORMAT: &str = "windlass.dev/format";
/// Which windlass wrote it.
pub(crate) const VERSION: &str = "windlass.dev/version";

// On the lock of a tier.

/// Which of several runs of the same user on the same host holds it.
pub(crate) const LOCK: &str = "windlass.dev/lock";
/// The message of a person who holds it; such a lock is not renewed.
pub(crate) const MESSAGE: &str = "windlass.dev/message";
/// Until when a person holds it; without this, until it is released.
pub(crate) const UNTIL: &str = "windlass.dev/until";

// On what a run starts, and on the lock that it holds.

/// Names the run; on a lock what it says of itself, as JSON.
pub(crate) const RUN: &str = "windlass.dev/run";
/// What was started: `test unit`, `service unit/db`.
pub(crate) const ROLE: &str = "windlass.dev/role";
/// The machine it was started from.
pub(crate) const PLACE: &str = "windlass.dev/place";
/// The process that started it.
pub(crate) const PROCESS: &str = "windlass.dev/process";
/// When nobody needs it any more.
pub(crate) const EXPIRES: &str = "windlass.dev/expires";
/// `--keep` leaves things running on purpose: they are deleted only when they expire.
pub(crate) const KEPT: &str = "windlass.dev/kept";

/// What selects all objects of a project's tier, as the API wants it: `windlass.dev/project=shop,windlass.dev/tier=staging`.
pub(crate) fn tier_selector(project: &str, tier_slug: &str) -> String {
    format!("{PROJECT}={project},{TIER}={tier_slug}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_selected_by_project_and_slug() {
        let expected = "windlass.dev/project=shop,windlass.dev/tier=review-x";
        assert_eq!(tier_selector("shop", "review-x"), expected);
    }

    #[test]
    fn all_begin_alike() {
        for name in [PROJECT, CONFIG, PHASE, SENSITIVE, RECORD_TYPE, LOCK, KEPT] {
            assert!(name.starts_with(PREFIX), "{name}");
        }
    }
}
