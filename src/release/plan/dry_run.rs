//! Applies one object, as a dry run (which validates it and shows the difference) or for real. Who else owns our fields
//! decides whether we may overwrite them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{ApplyError, ApplyOptions, Cluster, FIELD_MANAGER, FieldError, Refusal, ownership};
use crate::model::FieldChange;
use crate::model::{ObjectId, ObjectRef, job, labels, object};
use crate::record::content;
use crate::release::plan;
use crate::release::plan::difference::Mask;
use crate::release::plan::{Action, Before, Known, PlanStep, Taken, Wanted, difference, drift, prune};

/// The permissions that a plan requires. The server asks for the same ones for a dry run as for the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// Change every object of the release: an object that the server refuses to dry-run is an error.
    Change,
    /// Read only: an object that this user may not dry-run is compared with the last release.
    Read,
}

/// The input of the dry run of a release.
pub(crate) struct DryRun<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) live: &'a BTreeMap<ObjectId, Arc<Value>>,
    /// `group/kind` of the kinds whose `CustomResourceDefinition` changes with this release.
    pub(crate) defined: &'a BTreeSet<String>,
    /// The namespaces that will exist once the release is applied.
    pub(crate) namespaces: &'a BTreeSet<String>,
    /// The roles in the manifests, by kind and name.
    pub(crate) roles: &'a BTreeSet<(String, String)>,
    /// Whether `--override conflict` takes over conflicting fields of our objects, whoever owns them.
    pub(crate) takes_back: bool,
    /// Whether `--override drift` removes fields that were added by hand before anything is applied.
    pub(crate) removes_drift: bool,
    /// The permissions that are required.
    pub(crate) may: May,
    /// What the newest release applied.
    pub(crate) before: &'a Before<'a>,
    /// The objects that an autoscaler of the release scales.
    pub(crate) scaled: &'a BTreeSet<(String, String, String)>,
    pub(crate) mask: &'a Mask,
}

/// A step, or the server's refusal.
pub(crate) type Decided = Result<PlanStep, (Wanted, ApplyError)>;

impl DryRun<'_> {
    /// Decides what happens to an object.
    pub(crate) async fn decide(&self, mut wanted: Wanted, known: Known) -> Decided {
        let live = self.live.get(&wanted.id());
        match known {
            Known::Unchanged | Known::JobDone => return Ok(PlanStep::new(wanted, Action::Keep, live)),
            Known::JobToRun if live.is_some() => return self.decide_again(wanted, live).await,
            Known::MayDiffer | Known::JobToRun => {}
        }
        // For an object that does not exist yet, there is nothing to compare.
        let takes_back = TakeOver::of(live.is_some_and(|live| is_ours(live)), self.takes_back);
        let sending = ApplyMode { takes_back, dry_run: true, metadata: live.is_none() };
        match apply(self.cluster, &mut wanted, sending).await {
            Ok(sent) if live.is_none() && is_there(&sent.object) => self.decide_foreign(wanted, known).await,
            Ok(sent) => Ok(self.compared(PlanStep::new(wanted, Action::Change, live), known, sent)),
            Err(error) => {
                let there = match live {
                    Some(_) => None,
                    None => self.get(&wanted).await,
                };
                if let Some(refused) = there.as_ref().and_then(|there| of_another_tier(&wanted, there)) {
                    return Err((wanted, refused));
                }
                if self.may == May::Read && error.refusal == Refusal::Forbidden {
                    return Ok(self.untried(wanted, known, live.or(there.as_ref())));
                }
                Ok(in_its_place(self.refused(wanted, known, live, error).await?, there))
            }
        }
    }

    /// The live object of this name, if it exists and can be read.
    async fn get(&self, wanted: &Wanted) -> Option<Arc<Value>> {
        self.cluster.get(&ObjectRef::of(&wanted.object)).await.ok().flatten().map(Arc::new)
    }

    /// The step for an object that this user may not dry-run: compared with what the last release applied.
    fn untried(&self, wanted: Wanted, known: Known, live: Option<&Arc<Value>>) -> PlanStep {
        let applied = self.before.applied(&wanted.id());
        let changes =
            live.and(applied).map(|applied| difference::fields(&applied.object, &wanted.object, self.mask));
        let action = match (known, live) {
            (Known::JobToRun, _) => Action::Run,
            (_, None) => Action::Create,
            (_, Some(_)) => Action::Change,
        };
        let foreign = live.filter(|live| !is_ours(live)).and_then(|live| ownership::owner(live));
        let changes = changes.unwrap_or_default();
        PlanStep { untried: true, changes, foreign, ..PlanStep::new(wanted, action, live) }
    }

    /// Decides about an object that already exists without the labels of the release.
    async fn decide_foreign(&self, mut wanted: Wanted, known: Known) -> Decided {
        let there = self.get(&wanted).await;
        if let Some(refused) = there.as_ref().and_then(|there| of_another_tier(&wanted, there)) {
            return Err((wanted, refused));
        }
        if there.as_ref().is_some_and(|there| is_of_another_tier(&wanted, there)) {
            prune::share(Arc::make_mut(&mut wanted.object));
        }
        match apply(self.cluster, &mut wanted, ApplyMode { dry_run: true, ..ApplyMode::default() }).await {
            Ok(sent) if there.as_ref().is_some_and(|there| is_the_same(there, &sent.object)) => {
                Ok(PlanStep {
                    tried: Some(Arc::new(sent.object)),
                    ..PlanStep::new(wanted, Action::Keep, there.as_ref())
                })
            }
            Ok(sent) => {
                let foreign = there
                    .as_ref()
                    .and_then(|there| ownership::owner(there))
                    .filter(|owner| owner != FIELD_MANAGER);
                let step = PlanStep { foreign, ..PlanStep::new(wanted, Action::Change, there.as_ref()) };
                Ok(self.compared(step, known, sent))
            }
            Err(error) => Ok(in_its_place(self.refused(wanted, known, None, error).await?, there)),
        }
    }

    /// Decides about a Job that already exists. With new content the dry run uses another name, because the old Job is
    /// deleted first.
    async fn decide_again(&self, wanted: Wanted, live: Option<&Arc<Value>>) -> Decided {
        let same =
            live.and_then(|live| job::content(live)) == Some(content::content(&wanted.object).as_str());
        let step = PlanStep::new(wanted, Action::Run, live);
        if same { Ok(step) } else { self.tried_under_another_name(step).await }
    }

    fn compared(&self, mut step: PlanStep, known: Known, sent: Sent) -> PlanStep {
        match (known, &step.live) {
            (Known::JobToRun, _) => step.action = Action::Run,
            (_, None) => step.action = Action::Create,
            (_, Some(live)) => {
                step.changes = difference::fields(live, &sent.object, self.mask);
                let scaled = plan::is_scaled(self.scaled, &step.wanted.id());
                let ours = plan::owned_fields(live, scaled) == plan::owned_fields(&sent.object, scaled);
                if step.changes.is_empty() && ours {
                    step.action = Action::Keep;
                }
                step.tried = Some(Arc::new(sent.object));
            }
        }
        step.taken = sent.taken;
        step
    }

    async fn refused(
        &self,
        wanted: Wanted,
        known: Known,
        live: Option<&Arc<Value>>,
        error: ApplyError,
    ) -> Decided {
        if let Refusal::Immutable { field } | Refusal::Invalid { field } = &error.refusal
            && (may_recreate(&wanted.object) || may_go_back(&wanted, live.map(Arc::as_ref)))
            && cannot_be_changed(&error.refusal)
        {
            let because = Some(format!("{field} cannot be changed"));
            let step = PlanStep { because, ..PlanStep::new(wanted, Action::Recreate, live) };
            return self.tried_under_another_name(step).await;
        }
        if let Some(action) = self.not_to_be_tried(&wanted, known, live.map(Arc::as_ref), &error.refusal) {
            Ok(PlanStep::new(wanted, action, live))
        } else {
            let error = explained(error, live.map(Arc::as_ref), &wanted);
            Err((wanted, error))
        }
    }

    /// The action for an object that the server can accept only later during this release; `None` if it is refused for
    /// another reason.
    fn not_to_be_tried(
        &self,
        wanted: &Wanted,
        known: Known,
        live: Option<&Value>,
        refusal: &Refusal,
    ) -> Option<Action> {
        let is_defined = self.defined.contains(&plan::group_kind(&wanted.object));
        let applied = if live.is_some() { Action::Change } else { Action::Create };
        match refusal {
            // This release creates the namespace.
            Refusal::NamespaceMissing(name) if self.namespaces.contains(name) => {
                Some(if known == Known::JobToRun { Action::Run } else { Action::Create })
            }
            // The server reports a missing role to users who may not bind permissions that they lack, even if this
            // release creates the role.
            Refusal::RoleMissing if self.roles.contains(&role(&wanted.object)) => Some(applied),
            // The refusal comes from the definition, or from its absence, and this release changes the definition.
            Refusal::KindUnknown | Refusal::UnknownField { .. } | Refusal::Invalid { .. } if is_defined => {
                Some(applied)
            }
            // The result after that removal cannot be dry-run.
            Refusal::Invalid { .. } if self.removes_drift && live.and_then(drift::first).is_some() => {
                Some(Action::Change)
            }
            _ => None,
        }
    }

    /// Checks whether the server would accept the object if none of its name existed.
    async fn tried_under_another_name(&self, step: PlanStep) -> Decided {
        let mut other = step.wanted.sent().into_owned();
        let name = step.wanted.id().name;
        let start: String = name.chars().take(40).collect();
        // Before the hash a part of a name may not end.
        let start = start.trim_end_matches(['.', '-']);
        other["metadata"]["name"] = format!("{start}-{}", &content::hash(&Value::from(name))[..8]).into();
        match self
            .cluster
            .apply(&other, ApplyOptions { dry_run: true, metadata: true, ..ApplyOptions::default() })
            .await
        {
            Ok(_) => Ok(step),
            Err(error) => {
                let object = ObjectRef::of(&step.wanted.object);
                Err((step.wanted, ApplyError { object, ..error }))
            }
        }
    }
}

/// Adds to a refusal what the server does not say.
fn explained(error: ApplyError, live: Option<&Value>, wanted: &Wanted) -> ApplyError {
    match &error.refusal {
        Refusal::RoleMissing => {
            let (kind, name) = role(&wanted.object);
            ApplyError { message: format!("the {kind} `{name}` that it binds does not exist"), ..error }
        }
        // An object that is already ours cannot be adopted, so the hint differs.
        Refusal::Conflict(_) if live.is_some_and(is_ours) => taken_back(error),
        Refusal::Conflict(conflicts) if !conflicts.is_empty() => {
            let hint = adoption(&wanted.object, &conflicts[0].manager);
            ApplyError { hint: Some(hint), ..error }
        }
        Refusal::Immutable { .. } => of_fixed_fields(error, live, wanted),
        Refusal::Invalid { .. } => match live.and_then(drift::first) {
            Some(added) => drift::in_the_way(error, &added),
            None => error,
        },
        _ => error,
    }
}

/// A step that recreates the object replaces the one that exists, even if no release of the tier created that.
fn in_its_place(step: PlanStep, there: Option<Arc<Value>>) -> PlanStep {
    let live = step.live.or(there.filter(|_| step.action == Action::Recreate));
    PlanStep { live, ..step }
}

/// Kind and name of the role that a binding refers to.
fn role(binding: &Value) -> (String, String) {
    let text = |key: &str| binding["roleRef"][key].as_str().unwrap_or_default().to_owned();
    (text("kind"), text("name"))
}

/// The fields of a StatefulSet that cannot be changed.
const FIXED: [&str; 4] = ["volumeClaimTemplates", "serviceName", "selector", "podManagementPolicy"];

const OF_CLAIMS: &str = "restore the old value in the manifest; an existing claim grows with `kubectl patch pvc`, if its \
                         StorageClass allows it";

/// For a StatefulSet, the server does not say which field was changed.
fn of_fixed_fields(error: ApplyError, live: Option<&Value>, wanted: &Wanted) -> ApplyError {
    let Some(live) = live.filter(|live| live["kind"] == "StatefulSet") else { return error };
    let mut fields = Vec::new();
    for name in FIXED {
        changed(&live["spec"][name], &wanted.object["spec"][name], &format!("spec.{name}"), &mut fields);
    }
    if fields.is_empty() {
        return error;
    }
    let words: Vec<String> = fields.iter().map(|one| format!("`{}` ({})", one.field, one.message)).collect();
    let of_claims = fields.iter().any(|one| one.field.contains("volumeClaimTemplates"));
    let (keeps, hint) = if of_claims {
        (": existing claims do not change", Some(OF_CLAIMS.to_owned()))
    } else {
        ("", error.hint.clone())
    };
    let message = format!("{} of an existing StatefulSet cannot be changed{keeps}", words.join(" and "));
    ApplyError { message, hint, fields, ..error }
}

/// The wanted values that differ from the live ones.
fn changed(live: &Value, wanted: &Value, path: &str, found: &mut Vec<FieldError>) {
    match (live, wanted) {
        (_, Value::Null) => {}
        (Value::Object(there), Value::Object(map)) => {
            for (key, value) in map {
                changed(there.get(key).unwrap_or(&Value::Null), value, &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(there), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.pointer("/metadata/name").and_then(Value::as_str);
                let is_same = |one: &&Value| one.pointer("/metadata/name").and_then(Value::as_str) == name;
                let other = if name.is_some() { there.iter().find(is_same) } else { there.get(index) };
                let step = name.map_or_else(|| index.to_string(), str::to_owned);
                changed(other.unwrap_or(&Value::Null), item, &format!("{path}[{step}]"), found);
            }
        }
        (live, wanted) if live != wanted => {
            let message = format!("{} → {}", in_words(live), in_words(wanted));
            found.push(FieldError { field: path.to_owned(), message });
        }
        _ => {}
    }
}

fn in_words(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.into(),
        Value::Object(_) | Value::Array(_) => "something else".into(),
        other => other.to_string().into(),
    }
}

/// A conflict about fields of an object of ours, with a hint how to take them over.
fn taken_back(error: ApplyError) -> ApplyError {
    let hint = "remove the fields from the manifest, or stop the other manager from setting them, or take them over once with \
                --override conflict --reason \"…\"";
    ApplyError { hint: Some(hint.to_owned()), ..error }
}

/// The hint for a conflict about fields of an object that no release created, with the tier's own name.
fn adoption(wanted: &Value, manager: &str) -> String {
    let tier = wanted["metadata"]["annotations"][labels::TIER].as_str().unwrap_or("TIER");
    format!(
        "`windlass adopt {tier}` takes over what runs; or remove the fields from the manifest, or stop `{manager}` \
         from setting them"
    )
}

/// How an object is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ApplyMode {
    /// Which fields owned by others are taken over.
    pub(crate) takes_back: TakeOver,
    /// Whether this is a dry run.
    pub(crate) dry_run: bool,
    /// Whether only the metadata of the result is needed.
    pub(crate) metadata: bool,
}

/// Which fields of an object that others own are taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TakeOver {
    /// None: no release has applied the object before.
    #[default]
    Nothing,
    /// Fields that a person set with kubectl.
    ByHand,
    /// All of them: `--override conflict`.
    Everything,
}

impl TakeOver {
    pub(crate) fn of(is_ours: bool, everything: bool) -> Self {
        match (is_ours, everything) {
            (false, _) => Self::Nothing,
            (true, false) => Self::ByHand,
            (true, true) => Self::Everything,
        }
    }
}

/// The result of applying an object.
pub(crate) struct Sent {
    pub(crate) object: Value,
    /// The fields that were taken over, or would be.
    pub(crate) taken: Vec<Taken>,
}

/// Applies an object. Fields of our objects that a person set with kubectl are taken over; the replicas that an
/// autoscaler set are kept; any other field that others own is a conflict.
pub(crate) async fn apply(
    cluster: &Cluster,
    wanted: &mut Wanted,
    sending: ApplyMode,
) -> Result<Sent, ApplyError> {
    let ApplyMode { takes_back, dry_run, metadata } = sending;
    let options = ApplyOptions { dry_run, metadata, force: false };
    let error = match cluster.apply(&wanted.sent(), options).await {
        Ok(object) => return Ok(Sent { object, taken: Vec::new() }),
        Err(error) => error,
    };
    let Refusal::Conflict(mut conflicts) = error.refusal.clone() else { return Err(error) };
    if conflicts.iter().any(crate::cluster::Conflict::is_scaling) {
        let live = cluster.get(&ObjectRef::of(&wanted.object)).await.ok().flatten();
        if let Some(replicas) = live.as_ref().and_then(|live| live.pointer("/spec/replicas")) {
            Arc::make_mut(&mut wanted.object)["spec"]["replicas"] = replicas.clone();
            conflicts.retain(|conflict| !conflict.is_scaling());
        }
    }
    let may_go = match takes_back {
        TakeOver::Nothing => false,
        TakeOver::ByHand => conflicts.iter().all(crate::cluster::Conflict::is_by_hand),
        TakeOver::Everything => true,
    };
    if !conflicts.is_empty() && !may_go {
        return Err(error);
    }
    let force = !conflicts.is_empty();
    let object = cluster.apply(&wanted.sent(), ApplyOptions { force, ..options }).await?;
    Ok(Sent { object, taken: conflicts.iter().map(Taken::from).collect() })
}

/// Whether the object of a dry run exists: one that only the dry run created has no `resourceVersion`.
fn is_there(tried: &Value) -> bool {
    tried
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|version| !version.is_empty())
}

/// The refusal for an object that a release of another project or tier created: both would change it again and again,
/// and removing one tier would delete it. Tiers of one project may share cluster-scoped objects.
fn of_another_tier(wanted: &Wanted, there: &Value) -> Option<ApplyError> {
    let same_project = label(there, labels::PROJECT) == label(&wanted.object, labels::PROJECT);
    if !is_of_another_tier(wanted, there) || (same_project && wanted.id().namespace.is_empty()) {
        return None;
    }
    Some(ApplyError {
        object: ObjectRef::of(&wanted.object),
        refusal: Refusal::Conflict(Vec::new()),
        message: format!("it already exists, managed by {}", ownership::owner(there).unwrap_or_default()),
        hint: Some(
            "two tiers cannot have the same object: rename it, or give the tier another namespace".to_owned(),
        ),
        fields: Vec::new(),
    })
}

/// Whether a release of another tier, or of another project, applied it last.
fn is_of_another_tier(wanted: &Wanted, there: &Value) -> bool {
    let differs = |key: &str| label(there, key) != label(&wanted.object, key);
    label(there, labels::PROJECT).is_some() && (differs(labels::PROJECT) || differs(labels::TIER))
}

/// Whether a shared object already has the wanted content, whichever tier released it last.
fn is_the_same(there: &Value, sent: &Value) -> bool {
    let of_whom = |change: &FieldChange| {
        let field = change.field.as_str();
        [labels::TIER, labels::PROJECT].iter().any(|label| field.contains(&format!("[{label}]")))
    };
    prune::is_shared(there) && difference::fields(there, sent, &Mask::new(b"")).iter().all(of_whom)
}

fn label<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// Whether a release has applied this object before.
pub(crate) fn is_ours(live: &Value) -> bool {
    plan::owned_fields(live, false).is_some()
}

/// Whether the live object is the obstacle, not the manifest: an immutable field, or a default that the server set for
/// another update strategy, and that has no owner.
fn cannot_be_changed(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Immutable { .. } => true,
        Refusal::Invalid { field } => field.ends_with("trategy.rollingUpdate"),
        _ => false,
    }
}

/// Whether the object allows to be recreated: a claim or a StatefulSet holds data, so it must say so itself.
fn may_recreate(object: &Value) -> bool {
    object::annotation(object, labels::RECREATE) == Some("allowed")
}

/// Whether a recorded object may be recreated although its release did not know that: the live object, which replaced
/// it, allows it.
fn may_go_back(wanted: &Wanted, live: Option<&Value>) -> bool {
    wanted.origin.is_none() && live.is_some_and(|live| is_ours(live) && may_recreate(live))
}

/// How the result of the apply differs from the dry run, in one sentence; `None` if it does not.
pub(crate) fn unexpected_changes(step: &PlanStep, sent: &Sent) -> Option<String> {
    let tried = step.tried.as_ref()?;
    let changes = difference::fields(tried, &sent.object, &Mask::new(b""));
    let fields = changes.iter().map(|change: &FieldChange| Cow::from(change.field.as_str()));
    let taken =
        sent.taken.iter().filter(|one| !step.taken.contains(one)).map(|one| Cow::from(one.field.as_str()));
    let mut fields: Vec<Cow<'_, str>> = fields.chain(taken).collect();
    fields.sort();
    fields.dedup();
    (!fields.is_empty()).then(|| {
        format!("{} changed in the cluster between plan and apply: {}", step.wanted.id(), fields.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hint_of_a_conflict_begins_with_the_command() {
        let wanted = json!({"metadata": {"annotations": {labels::TIER: "review/one"}}});
        assert!(
            adoption(&wanted, "helm").starts_with("`windlass adopt review/one` takes over what runs; or")
        );
        assert!(adoption(&wanted, "helm").ends_with("or stop `helm` from setting them"));
    }
}
