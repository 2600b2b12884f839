//! The judge: verdict and cause of one object, as a pure function of the object, the world around it, the clock
//! and a small memory. Watching only feeds it; a dump is judged by the same code.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::{Cause, Evidence, Verdict, object};
use crate::project::HealthRules;
use crate::rollout::context::EvalContext;
pub(crate) use crate::rollout::memory::Memory;
pub(crate) use crate::rollout::pod::configuration::Missing;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::rollout::{annotations, kinds, preconditions};

/// Under which circumstances an object is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The API server's clock, or the time at which a dump is judged.
    pub now: Timestamp,
    /// The release that the object belongs to; `None` for a dump, where a state has lasted since its own
    /// timestamp, and one without a timestamp has lasted long.
    pub release: Option<ReleaseContext>,
    /// The configuration's own rules for kinds.
    pub health: Arc<HealthRules>,
}

/// What a release knows of an object beyond what the cluster says.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReleaseContext {
    /// When the release began its work on the object; conditions older than this are leftovers.
    pub applied_at: Option<Timestamp>,
    /// The uid that our apply returned.
    pub uid: Option<String>,
    /// The generation that our apply returned.
    pub generation: Option<i64>,
    /// Another workload of the same release is still on its way, and not itself out of strikes: it may be the
    /// database for which this one crashes.
    pub others_on_their_way: bool,
    /// Kind and name of what others make: declared `external`, or made by a custom resource of the set.
    pub made_elsewhere: Vec<(String, String)>,
    /// The manifest itself sets `progressDeadlineSeconds`; the server's default does not count.
    pub sets_progress_deadline: bool,
    /// Whether discovery serves what a `CustomResourceDefinition` defines; `None` when nobody asked.
    pub served: Option<bool>,
}

/// A container whose log lines are evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSource {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Whether the instance that died is the previous one.
    pub previous: bool,
}

/// What is said of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// How it is.
    pub verdict: Verdict,
    /// Why it is not ready; on a ready object, what a warning is about.
    pub cause: Option<Cause>,
    /// One sentence in the words of the user's manifest.
    pub message: Option<String>,
    /// Replicas that are ready, of those wanted: `2/3`.
    pub ready: Option<String>,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// What a person should know although it changes no verdict.
    pub warnings: Vec<String>,
    /// When to judge again even if nothing changes until then.
    pub again_at: Option<Timestamp>,
    /// Whose log lines are evidence.
    pub suspect: Option<LogSource>,
    /// What the cause is about, as a JSON pointer into the object's manifest.
    pub pointer: Option<String>,
    /// The ConfigMap, Secret or key for the lack of which its pods do not start.
    pub lacks: Option<Missing>,
    /// Its pods have died too often: it fails as soon as no other workload is on its way.
    pub out_of_strikes: bool,
}

impl Health {
    /// A verdict without a cause.
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            cause: None,
            message: None,
            ready: None,
            evidence: Vec::new(),
            warnings: Vec::new(),
            again_at: None,
            suspect: None,
            pointer: None,
            lacks: None,
            out_of_strikes: false,
        }
    }

    pub(crate) fn ready() -> Self {
        Self::new(Verdict::Ready)
    }

    pub(crate) fn progressing(message: impl Into<String>) -> Self {
        Self::new(Verdict::Progressing).saying(message)
    }

    pub(crate) fn paused(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { warnings: vec![message.clone()], ..Self::new(Verdict::Paused).saying(message) }
    }

    pub(crate) fn failed(cause: Cause, message: impl Into<String>) -> Self {
        Self::new(Verdict::Failed).with_cause(cause).saying(message)
    }

    #[must_use]
    pub(crate) fn with_cause(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    #[must_use]
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into()).filter(|message: &String| !message.is_empty());
        self
    }

    #[must_use]
    pub(crate) fn about(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    #[must_use]
    pub(crate) fn showing(mut self, title: impl Into<String>, lines: Vec<String>) -> Self {
        if !lines.is_empty() {
            self.evidence.push(Evidence { title: title.into(), lines });
        }
        self
    }

    #[must_use]
    pub(crate) fn warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    #[must_use]
    pub(crate) fn counting(mut self, ready: i64, wanted: i64) -> Self {
        self.ready = Some(format!("{ready}/{wanted}"));
        self
    }
}

/// Judges an object: whether it is ready or has failed, and why.
pub(crate) fn judge(
    object: &Value,
    world: &ClusterSnapshot,
    context: &Context,
    memory: &mut Memory,
) -> Health {
    memory.begin();
    let mut scene = EvalContext::new(object, world, context, memory);
    let judgement = preconditions::any_kind(&scene).unwrap_or_else(|| kinds::judge(&mut scene));
    let mut judgement = scene.close(judgement);
    judgement.warnings.extend(annotations::unreadable(object));
    // Whatever is not well says so in a sentence, also where the cluster has none.
    if judgement.message.is_none() && judgement.verdict != Verdict::Ready {
        judgement.message = Some(format!("{} is {}", object::title(object), judgement.verdict));
    }
    // What programs and webhooks said comes with its line breaks; a sentence has none.
    judgement.message = judgement.message.map(|message| object::one_line(&message));
    memory.end();
    judgement
}

/// Judges an object of the release that is gone, by how it was last seen: a finished Job with
/// `ttlSecondsAfterFinished` is deleted by the cluster itself.
pub(crate) fn judge_gone(last_seen: &Value) -> Health {
    preconditions::gone(last_seen)
}
