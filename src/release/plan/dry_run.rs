//! One object, sent: for a trial (which is validation and difference in one) or in earnest. What others wrote into our
//! fields decides whether it is theirs to keep.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{ApplyError, ApplyOptions, Cluster, FIELD_MANAGER, FieldError, Refusal};
use crate::model::FieldChange;
use crate::model::{ObjectId, ObjectRef, job, labels, object};
use crate::record::content;
use crate::release::plan;
use crate::release::plan::difference::Mask;
use crate::release::plan::{
    Action, Before, Known, PlanStep, Taken, Wanted, difference, drift, ownership, prune,
};

/// What the user of a plan needs to be allowed to do. A server asks the same right for a dry run as for the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// Change every object of the set: whatever the server refuses to try is an error.
    Change,
    /// Read: what the server may not try for this user is compared with the last release.
    Read,
}

/// What a set is tried with.
pub(crate) struct DryRun<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) live: &'a BTreeMap<ObjectId, Arc<Value>>,
    /// `group/kind` of what definitions of the set define that are not what they were.
    pub(crate) defined: &'a BTreeSet<String>,
    /// The namespaces that will exist once the set is applied.
    pub(crate) namespaces: &'a BTreeSet<String>,
    /// The roles of the set, by kind and name.
    pub(crate) roles: &'a BTreeSet<(String, String)>,
    /// Whether fields of objects of ours are taken back whoever wrote them: a person said so.
    pub(crate) takes_back: bool,
    /// Whether what a person added by hand is removed before anything is applied.
    pub(crate) removes_drift: bool,
    /// What the user needs to be allowed to do.
    pub(crate) may: May,
    /// What the newest release left.
    pub(crate) before: &'a Before<'a>,
    /// What an autoscaler of the set scales.
    pub(crate) scaled: &'a BTreeSet<(String, String, String)>,
    pub(crate) mask: &'a Mask,
}

/// A step, or what the server refuses.
pub(crate) type Decided = Result<PlanStep, (Wanted, ApplyError)>;

impl DryRun<'_> {
    /// What happens to an object.
    pub(crate) async fn decide(&self, mut wanted: Wanted, known: Known) -> Decided {
        let live = self.live.get(&wanted.id());
        match known {
            Known::Unchanged | Known::JobDone => return Ok(PlanStep::new(wanted, Action::Keep, live)),
            Known::JobToRun if live.is_some() => return self.decide_again(wanted, live).await,
            Known::MayDiffer | Known::JobToRun => {}
        }
        // What does not exist yet is not compared.
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

    /// What there is of its name, if that is known.
    async fn get(&self, wanted: &Wanted) -> Option<Arc<Value>> {
        self.cluster.get(&ObjectRef::of(&wanted.object)).await.ok().flatten().map(Arc::new)
    }

    /// What this user may not change, and so not try: compared with what the last release applied.
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

    /// What is there already without the labels of the release.
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

    /// A Job of which one is there already. Of new content it is tried under another name: the old one goes first.
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

    /// What is done with an object that the server can only take later in this very release; `None` where it is refused for
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
            // It comes with this very release.
            Refusal::NamespaceMissing(name) if self.namespaces.contains(name) => {
                Some(if known == Known::JobToRun { Action::Run } else { Action::Create })
            }
            // To who may not bind what he does not have, the server says so of a role that comes with this very release.
            Refusal::RoleMissing if self.roles.contains(&role(&wanted.object)) => Some(applied),
            // The definition that it is refused by, or for the lack of, is about to change.
            Refusal::KindUnknown | Refusal::UnknownField { .. } | Refusal::Invalid { .. } if is_defined => {
                Some(applied)
            }
            // Nobody can try what comes of it once that is removed.
            Refusal::Invalid { .. } if self.removes_drift && live.and_then(drift::first).is_some() => {
                Some(Action::Change)
            }
            _ => None,
        }
    }

    /// Whether the server would take the object if there were none of its name.
    async fn tried_under_another_name(&self, step: PlanStep) -> Decided {
        let mut other = step.wanted.sent().into_owned();
        let name = step.wanted.id().name;
        let start: String = name.chars().take(40).collect();
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

/// A refusal with what the server does not say of it.
fn explained(error: ApplyError, live: Option<&Value>, wanted: &Wanted) -> ApplyError {
    match &error.refusal {
        Refusal::RoleMissing => {
            let (kind, name) = role(&wanted.object);
            ApplyError { message: format!("the {kind} `{name}` that it binds does not exist"), ..error }
        }
        // What is ours already is not adopted.
        Refusal::Conflict(_) if live.is_some_and(is_ours) => taken_back(error),
        Refusal::Immutable { .. } => of_fixed_fields(error, live, wanted),
        Refusal::Invalid { .. } => match live.and_then(drift::first) {
            Some(added) => drift::in_the_way(error, &added),
            None => error,
        },
        _ => error,
    }
}

/// What is to be recreated takes the place of what was seen, also where no release of the tier made that.
fn in_its_place(step: PlanStep, there: Option<Arc<Value>>) -> PlanStep {
    let live = step.live.or(there.filter(|_| step.action == Action::Recreate));
    PlanStep { live, ..step }
}

/// Kind and name of the role that a binding refers to.
fn role(binding: &Value) -> (String, String) {
    let text = |key: &str| binding["roleRef"][key].as_str().unwrap_or_default().to_owned();
    (text("kind"), text("name"))
}

/// What of a StatefulSet stays as it was made.
const FIXED: [&str; 4] = ["volumeClaimTemplates", "serviceName", "selector", "podManagementPolicy"];

const OF_CLAIMS: &str = "restore the old value in the manifest; an existing claim grows with `kubectl patch pvc`, if its \
                         StorageClass allows it";

/// Of a StatefulSet the server does not say which field was changed.
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

/// The values that are asked for and differ from those that are there.
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

/// A conflict about fields of an object of ours, with what takes them back.
fn taken_back(error: ApplyError) -> ApplyError {
    let hint = "remove the fields from the manifest, or stop the other manager from setting them, or take them over once with \
                --override conflict --reason \"…\"";
    ApplyError { hint: Some(hint.to_owned()), ..error }
}

/// How an object is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ApplyMode {
    /// Which fields that others wrote are taken back.
    pub(crate) takes_back: TakeOver,
    /// For a trial only.
    pub(crate) dry_run: bool,
    /// Whether its metadata is all that anybody asks for.
    pub(crate) metadata: bool,
}

/// Which fields of an object that others wrote are taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TakeOver {
    /// None: we have not applied it before.
    #[default]
    Nothing,
    /// What a person wrote with kubectl.
    ByHand,
    /// All: a person said so.
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

/// What came of sending an object.
pub(crate) struct Sent {
    pub(crate) object: Value,
    /// What was, or would be, taken back.
    pub(crate) taken: Vec<Taken>,
}

/// Applies an object. What a person wrote with kubectl into a field of an object that is ours is taken back; the
/// replicas that an autoscaler set are kept; anything else that others own is a conflict.
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

/// Whether the object of a trial exists: what a trial alone made has no version.
fn is_there(tried: &Value) -> bool {
    tried
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|version| !version.is_empty())
}

/// Why an object cannot be taken that a release of another project or tier made: both would change it for ever, and
/// whoever is removed first takes it along. What is outside of namespaces tiers of one project may share.
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

/// Whether a release of another tier, or of another project, made it last.
fn is_of_another_tier(wanted: &Wanted, there: &Value) -> bool {
    let differs = |key: &str| label(there, key) != label(&wanted.object, key);
    label(there, labels::PROJECT).is_some() && (differs(labels::PROJECT) || differs(labels::TIER))
}

/// Whether what tiers share is what this one wants of it, whichever of them released it last.
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

/// Whether we have applied this object before.
pub(crate) fn is_ours(live: &Value) -> bool {
    plan::owned_fields(live, false).is_some()
}

/// Whether the live object is in the way, not the manifest: a field of it that stays as it is, or a default of the
/// server's for another strategy, which belongs to nobody.
fn cannot_be_changed(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Immutable { .. } => true,
        Refusal::Invalid { field } => field.ends_with("trategy.rollingUpdate"),
        _ => false,
    }
}

/// A claim or a StatefulSet holds data: it says so itself, or it stays.
fn may_recreate(object: &Value) -> bool {
    object::annotation(object, labels::RECREATE) == Some("allowed")
}

/// A recorded object that its release could not know to be recreated later: the one that took its place says so.
fn may_go_back(wanted: &Wanted, live: Option<&Value>) -> bool {
    wanted.origin.is_none() && live.is_some_and(|live| is_ours(live) && may_recreate(live))
}

/// What became of an object otherwise than the plan said, in one sentence; `None` where nothing did.
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
