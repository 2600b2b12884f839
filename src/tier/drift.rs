//! Drift: what somebody changed by hand since the release, and what they added. The recorded set is tried against the
//! cluster, as a plan would; nothing is changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::{Kind, Result};
use crate::model::{FieldChange, ObjectId};
use crate::record::Outcome;
use crate::record::prior::PriorReleases;
use crate::release::context::TierContext;
use crate::release::deploy::build_plan;
use crate::release::plan::drift::Added;
use crate::release::plan::planner::May;
use crate::release::plan::{Action, Step, claims};
use crate::release::rollback;
use crate::release::run::redaction;
use crate::report::view::drift::AddedField;

/// What differs from what was released.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Drift {
    /// These objects; none, where nobody changed anything. And what controllers added to the pod templates of objects, which
    /// is no drift.
    Known(Vec<Changed>, Vec<Others>),
    /// It cannot be told, and why.
    Unknown(String),
}

/// An object that is no longer what was released.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changed {
    api_version: String,
    id: ObjectId,
    /// Field by field; empty where the object is gone.
    fields: Vec<FieldChange>,
    /// What a person added that the manifests do not mention.
    added: Vec<Added>,
    gone: bool,
    by: BTreeSet<String>,
}

/// What controllers added to the pod template of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Others {
    api_version: String,
    id: ObjectId,
    added: Vec<Added>,
}

/// Compares what is there with what the newest release applied.
///
/// # Errors
/// What the cluster refuses, but for missing rights.
pub(crate) async fn drift(site: TierContext<'_>, past: &PriorReleases) -> Result<Drift> {
    match &past.last {
        None => return Ok(Drift::Known(Vec::new(), Vec::new())),
        Some(last) if last.summary.outcome != Outcome::Good => {
            return Ok(Drift::Unknown("the newest release did not come to a good end".to_owned()));
        }
        Some(_) => {}
    }
    match compared(site, past).await {
        Err(error) if matches!(error.kind(), Kind::Denied | Kind::Refused) => {
            Ok(Drift::Unknown(error.message().to_owned()))
        }
        compared => compared.map(|(changed, others)| Drift::Known(changed, others)),
    }
}

async fn compared(site: TierContext<'_>, past: &PriorReleases) -> Result<(Vec<Changed>, Vec<Others>)> {
    let Some(last) = &past.last else { return Ok((Vec::new(), Vec::new())) };
    let (wanted, untouched) = rollback::recorded(last);
    let key = site.store().key(false).await?;
    let looked = build_plan(site, past, wanted, &untouched, &key, May::Change).await?;
    let mut all: Vec<Changed> = looked.plan.steps.iter().filter_map(changed).collect();
    let claims = untouched.iter().filter(|one| claims::is_claim(&one.object)).cloned();
    for one in claims.chain(redaction::redacted_in(&last.objects)) {
        let id = ObjectId::of(&one.object);
        let live = looked.live.get(&id);
        let fields = live.map(|live| redaction::differences(&one.object, live, &key)).unwrap_or_default();
        if live.is_none() || !fields.is_empty() {
            let api_version = one.object["apiVersion"].as_str().unwrap_or_default().to_owned();
            let (added, by) = (Vec::new(), BTreeSet::new());
            all.push(Changed { api_version, id, fields, added, gone: live.is_none(), by });
        }
    }
    Ok((all, looked.plan.steps.iter().filter_map(others).collect()))
}

fn others(step: &Step) -> Option<Others> {
    let added: Vec<Added> = step.others().cloned().collect();
    let api_version = step.wanted.object["apiVersion"].as_str().unwrap_or_default().to_owned();
    (!added.is_empty()).then(|| Others { api_version, id: step.wanted.id(), added })
}

fn changed(step: &Step) -> Option<Changed> {
    let added: Vec<Added> = step.drift().cloned().collect();
    let gone = match step.action {
        Action::Create => true,
        Action::Change | Action::Recreate => false,
        Action::Keep if !added.is_empty() => false,
        _ => return None,
    };
    let object = &step.wanted.object;
    Some(Changed {
        api_version: object["apiVersion"].as_str().unwrap_or_default().to_owned(),
        id: step.wanted.id(),
        fields: if gone { Vec::new() } else { step.changes.clone() },
        gone,
        by: step
            .taken
            .iter()
            .map(|taken| &taken.manager)
            .chain(added.iter().map(|one| &one.manager))
            .cloned()
            .collect(),
        added,
    })
}

impl Drift {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Known(all, _) => all.iter().map(Changed::to_json).collect(),
            Self::Unknown(_) => Value::Null,
        }
    }

    /// What controllers added, for machines.
    pub(crate) fn others_to_json(&self) -> Value {
        match self {
            Self::Known(_, others) => others.iter().map(Others::to_json).collect(),
            Self::Unknown(_) => Value::Null,
        }
    }

    /// What controllers added, for people.
    pub(crate) fn other_lines(&self) -> Vec<String> {
        match self {
            Self::Known(_, others) => others.iter().flat_map(Others::lines).collect(),
            Self::Unknown(_) => Vec::new(),
        }
    }

    /// Which objects are gone; `None` where that was not looked at.
    pub(crate) fn gone(&self) -> Option<Vec<ObjectId>> {
        match self {
            Self::Known(all, _) => {
                Some(all.iter().filter(|one| one.gone).map(|one| one.id.clone()).collect())
            }
            Self::Unknown(_) => None,
        }
    }

    /// Lines for people; the first begins the row.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Known(all, _) if all.is_empty() => {
                vec!["none: everything is as it was released".to_owned()]
            }
            Self::Known(all, _) => all.iter().flat_map(Changed::lines).collect(),
            Self::Unknown(why) => vec![format!("not known: {why}")],
        }
    }
}

impl Changed {
    fn to_json(&self) -> Value {
        let field = |change: &FieldChange| json!({"field": change.field, "live": change.before, "released": change.after});
        let added = |one: &Added| {
            let mut field = AddedField::from(one).to_json();
            field["released"] = Value::Null;
            field
        };
        json!({
            "apiVersion": self.api_version,
            "kind": self.id.kind,
            "namespace": self.id.namespace,
            "name": self.id.name,
            "gone": self.gone,
            "by": self.by,
            "fields": self.fields.iter().map(field).chain(self.added.iter().map(added)).collect::<Vec<_>>(),
        })
    }

    fn lines(&self) -> Vec<String> {
        if self.gone {
            return vec![format!("{} is gone", self.id)];
        }
        let by = self.by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let field = |change: &FieldChange| {
            format!("  {}: {}, released was {}", change.field, text(&change.before), text(&change.after))
        };
        let head = format!("{} was changed{by}", self.id);
        let added =
            self.added.iter().map(|one| format!("  not in the manifests: {}", AddedField::from(one).line()));
        [head].into_iter().chain(self.fields.iter().map(field)).chain(added).collect()
    }
}

impl Others {
    fn to_json(&self) -> Value {
        json!({
            "apiVersion": self.api_version,
            "kind": self.id.kind,
            "namespace": self.id.namespace,
            "name": self.id.name,
            "fields": self.added.iter().map(|one| AddedField::from(one).to_json()).collect::<Vec<_>>(),
        })
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.added.iter().map(|one| format!("{}: {}", self.id, AddedField::from(one).line()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::release::plan::drift::fields::tests::added_by_two;

    fn id(kind: &str, name: &str) -> ObjectId {
        ObjectId { group: "apps".into(), kind: kind.into(), namespace: "shop".into(), name: name.into() }
    }

    /// Everything that can have been changed since a release.
    pub(crate) fn drift() -> Drift {
        let changed = |name: &str| Changed {
            api_version: "apps/v1".to_owned(),
            id: id("Deployment", name),
            fields: Vec::new(),
            added: Vec::new(),
            gone: false,
            by: BTreeSet::new(),
        };
        let field = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let (by_hand, others): (Vec<Added>, Vec<Added>) =
            added_by_two().into_iter().partition(|one| one.by_hand);
        let web = Changed {
            fields: vec![
                field("spec.replicas", Some("5"), Some("2")),
                field("spec.paused", Some("true"), None),
            ],
            added: by_hand,
            by: BTreeSet::from(["kubectl-edit".to_owned(), "kubectl-set".to_owned()]),
            ..changed("web")
        };
        let unnamed = Changed { fields: vec![field("data.KEY", None, Some("a"))], ..changed("api") };
        let gone = Changed { gone: true, ..changed("cron") };
        let others = Others { api_version: "apps/v1".to_owned(), id: id("Deployment", "web"), added: others };
        Drift::Known(vec![web, unnamed, gone], vec![others])
    }
}
