//! `adopt`: what of a tier is taken over, and whose it was.

use serde_json::{Value, json};

use super::{View, object_json};
use crate::model::ObjectRef;
use crate::report::style;

/// What an adoption takes over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adoption {
    pub(crate) tier: String,
    pub(crate) context: String,
    pub(crate) namespace: String,
    pub(crate) objects: Vec<AdoptedObject>,
    /// The release that has the state as it is; `None` where nothing was taken over.
    pub(crate) revision: Option<u64>,
}

/// An object that the manifests describe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdoptedObject {
    pub(crate) object: ObjectRef,
    pub(crate) state: AdoptedState,
}

/// Whose an object is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AdoptedState {
    /// It does not exist yet.
    Missing,
    /// It is the tier's.
    Ours,
    /// It is to be taken over.
    Foreign {
        /// `Helm release shop`
        owner: String,
    },
}

impl View for Adoption {
    fn to_json(&self) -> Value {
        json!({
            "tier": self.tier,
            "revision": self.revision,
            "objects": self.objects.iter().map(AdoptedObject::to_json).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> String {
        let count = self.objects.iter().filter(|one| one.owner().is_some()).count();
        let sum = match (self.revision, count) {
            (Some(revision), count) => format!(
                "{count} taken over without a change to any; release {revision} is the state as it is\n"
            ),
            (None, 0) => "there is nothing to take over\n".to_owned(),
            (None, count) => format!("{count} would be taken over\n"),
        };
        let lines: String = self.objects.iter().map(AdoptedObject::line).collect();
        lines + &sum + &self.helm_hint().unwrap_or_default()
    }
}

impl Adoption {
    /// How Helm forgets what is no longer its own.
    fn helm_hint(&self) -> Option<String> {
        self.revision?;
        let of_helm = |one: &AdoptedObject| one.owner()?.strip_prefix("Helm release ").map(str::to_owned);
        let release = self.objects.iter().find_map(of_helm)?;
        Some(format!(
            "Helm still lists them as its own, and `helm uninstall` would delete them: forget the release with\n  kubectl --context {} -n {} delete secret -l owner=helm,name={release}\n",
            self.context, self.namespace
        ))
    }
}

impl AdoptedObject {
    fn owner(&self) -> Option<&str> {
        match &self.state {
            AdoptedState::Foreign { owner } => Some(owner),
            AdoptedState::Missing | AdoptedState::Ours => None,
        }
    }

    fn to_json(&self) -> Value {
        let mut line = object_json(&self.object);
        line["state"] = match self.state {
            AdoptedState::Missing => "missing",
            AdoptedState::Ours => "ours",
            AdoptedState::Foreign { .. } => "foreign",
        }
        .into();
        if let Some(owner) = self.owner() {
            line["owner"] = json!(owner);
        }
        line
    }

    fn line(&self) -> String {
        let words = match &self.state {
            AdoptedState::Missing => "does not exist yet".to_owned(),
            AdoptedState::Ours => "is already managed by this tier".to_owned(),
            AdoptedState::Foreign { owner } => format!("of {owner}"),
        };
        format!("{}  {words}\n", style::strong(&format!("{:<32}", self.object.id())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    #[test]
    fn an_adoption_is_read_by_people_and_machines() {
        let found = |kind: &str, name: &str, state| AdoptedObject {
            object: ObjectRef::new("v1", kind, name).in_namespace("shop"),
            state,
        };
        let foreign = |owner: &str| AdoptedState::Foreign { owner: owner.to_owned() };
        let adoption = |objects, revision| Adoption {
            tier: "staging".to_owned(),
            context: "lab".to_owned(),
            namespace: "shop".to_owned(),
            objects,
            revision,
        };
        let all = || {
            vec![
                found("Service", "web", foreign("Helm release shop")),
                found("ConfigMap", "web", foreign("kubectl-edit")),
                found("Secret", "a-name-that-is-longer-than-its-column", AdoptedState::Ours),
                found("Service", "new", AdoptedState::Missing),
            ]
        };
        let none = vec![found("Service", "web", AdoptedState::Ours)];
        let all = [adoption(all(), None), adoption(all(), Some(0)), adoption(none, None)];
        let texts: Vec<String> = all.iter().map(shown).collect();
        insta::assert_snapshot!("adoption", texts.join("\n\n"));
    }
}
