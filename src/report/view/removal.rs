//! `remove`: what a removal deletes and what it keeps.

use serde_json::{Value, json};

use super::{View, object_json};
use crate::model::ObjectRef;
use crate::report::style;
use crate::text::display;

/// What a removal deletes and what it keeps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Removal {
    pub(crate) tier: String,
    /// `shop-staging in lab`
    pub(crate) place: String,
    /// In the order in which they are deleted.
    pub(crate) removed: Vec<ObjectRef>,
    pub(crate) kept: Vec<KeptObject>,
    /// How many releases are on record.
    pub(crate) releases: usize,
    pub(crate) namespace: Namespace,
    /// Whether there is nothing to do.
    pub(crate) is_nothing: bool,
    /// Whether it was done.
    pub(crate) done: bool,
}

/// An object that stays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptObject {
    pub(crate) object: ObjectRef,
    pub(crate) why: String,
}

/// What becomes of the tier's namespace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Namespace {
    /// It is deleted with all that is in it.
    Removed {
        name: String,
        /// What of it is not the tier's.
        with: Vec<ObjectRef>,
        /// What may be in it that could not be listed.
        unknown: Vec<String>,
    },
    /// Somebody deletes it already.
    Going { name: String },
    /// It stays.
    Kept {
        name: String,
        why: String,
        /// What of it is not the tier's.
        holds: Vec<ObjectRef>,
    },
    /// There is none.
    Missing,
}

impl View for Removal {
    fn to_json(&self) -> Value {
        let kept = |one: &KeptObject| {
            let mut object = object_json(&one.object);
            object["why"] = json!(one.why);
            object
        };
        json!({
            "tier": self.tier,
            "done": self.done,
            "removed": all(&self.removed),
            "kept": self.kept.iter().map(kept).collect::<Vec<_>>(),
            "releases": self.releases,
            "namespace": self.namespace.to_json(self.done),
        })
    }

    fn to_text(&self) -> String {
        let head = format!("{}  {}\n", style::strong(&self.tier), self.place);
        if self.is_nothing && self.kept.is_empty() {
            return head + "nothing to remove\n";
        }
        let (removed, kept) = if self.done { ("removed", "kept") } else { ("remove", "keep") };
        let line = |word: &str, rest: &str| format!("{word:<9} {rest}\n");
        let removed = self.removed_words().into_iter().map(|rest| line(removed, &rest));
        let kept = self.kept_words().into_iter().map(|rest| line(kept, &rest));
        head + &removed.chain(kept).collect::<String>()
    }
}

impl Removal {
    fn removed_words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.removed.iter().map(ObjectRef::id).collect();
        if self.releases > 0 {
            words.push(format!("the records of {}", display::count(self.releases, "release")));
        }
        match &self.namespace {
            Namespace::Removed { name, with, unknown } => {
                words.push(format!("Namespace/{name}"));
                let foreign =
                    |one: &ObjectRef| format!("{}, with the namespace: it is not of this tier", one.id());
                words.extend(with.iter().map(foreign));
                words.extend(unknown.iter().map(|why| format!("what else is in the namespace: {why}")));
            }
            Namespace::Going { name } => words.push(format!("Namespace/{name}")),
            Namespace::Kept { .. } | Namespace::Missing => {}
        }
        words
    }

    fn kept_words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            self.kept.iter().map(|kept| format!("{}: {}", kept.object.id(), kept.why)).collect();
        if let Namespace::Kept { name, why, .. } = &self.namespace {
            words.push(format!("Namespace/{name}: {why}"));
        }
        words
    }
}

impl Namespace {
    fn to_json(&self, done: bool) -> Value {
        match self {
            Self::Removed { name, with, unknown } => {
                json!({"name": name, "removed": done, "with": all(with), "unknown": unknown})
            }
            Self::Going { name } => json!({"name": name, "removed": done}),
            Self::Kept { name, why, holds } => {
                json!({"name": name, "removed": false, "why": why, "holds": all(holds)})
            }
            Self::Missing => Value::Null,
        }
    }
}

fn all(objects: &[ObjectRef]) -> Vec<Value> {
    objects.iter().map(object_json).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    fn object(kind: &str, name: &str) -> ObjectRef {
        ObjectRef::new("v1", kind, name).in_namespace("shop")
    }

    /// One that is done.
    pub(crate) fn removal(namespace: Namespace) -> Removal {
        Removal {
            tier: "staging".to_owned(),
            place: "shop in lab".to_owned(),
            removed: vec![object("Deployment", "web")],
            kept: vec![KeptObject {
                object: object("PersistentVolumeClaim", "files"),
                why: "it holds data".to_owned(),
            }],
            releases: 2,
            namespace,
            is_nothing: false,
            done: true,
        }
    }

    /// A namespace that is deleted with what others have in it.
    pub(crate) fn removed() -> Namespace {
        Namespace::Removed {
            name: "shop".to_owned(),
            with: vec![object("Ingress", "other")],
            unknown: vec!["you may not list secrets".to_owned()],
        }
    }

    /// One that stays.
    pub(crate) fn kept() -> Namespace {
        Namespace::Kept {
            name: "shop".to_owned(),
            why: "windlass did not create it".to_owned(),
            holds: vec![object("Ingress", "other")],
        }
    }

    #[test]
    fn a_removal_is_read_by_people_and_machines() {
        let nothing = Removal { removed: Vec::new(), releases: 0, ..removal(Namespace::Missing) };
        let all = [
            removal(removed()),
            Removal { done: false, releases: 1, ..removal(Namespace::Going { name: "shop".to_owned() }) },
            Removal { releases: 0, ..removal(kept()) },
            Removal { done: false, ..removal(Namespace::Missing) },
            nothing,
            Removal {
                removed: Vec::new(),
                kept: Vec::new(),
                releases: 0,
                is_nothing: true,
                ..removal(kept())
            },
        ];
        let texts: Vec<String> = all.iter().map(shown).collect();
        insta::assert_snapshot!("removal", texts.join("\n\n"));
    }
}
