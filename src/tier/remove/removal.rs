//! What a removal deletes and keeps, for people and machines.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::ObjectId;
use crate::report::style;
use crate::text::display;
use crate::tier::remove::RemoveRequest;

/// So many objects are named in a sentence; machines are told all.
const NAMED: usize = 10;

/// What a removal deletes and what it keeps.
pub struct Removal {
    pub(crate) request: RemoveRequest,
    pub(crate) tier: String,
    pub(crate) place: String,
    /// In the order in which it goes.
    pub(crate) goes: Vec<Value>,
    pub(crate) kept: Vec<Kept>,
    /// How many releases are on record.
    pub(crate) releases: usize,
    pub(crate) namespace: Namespace,
    /// The uids of what is the tier's in its namespace.
    pub(crate) ours: BTreeSet<String>,
    pub(crate) done: bool,
}

/// An object that stays, and why.
pub(crate) struct Kept {
    pub(crate) object: Value,
    pub(crate) why: String,
}

/// What becomes of the tier's namespace.
pub(crate) enum Namespace {
    /// It is deleted with all that is in it.
    Goes {
        live: Value,
        /// What of it is not the tier's: only where a person said so.
        with: Vec<Value>,
        /// What may be in it that could not be listed.
        unknown: Vec<String>,
    },
    /// Somebody deletes it already.
    Going { live: Value },
    /// It stays.
    Stays {
        name: String,
        why: String,
        /// Where it may be read.
        live: Option<Value>,
        /// What of it is not the tier's.
        holds: Vec<Value>,
    },
    /// There is none.
    Missing,
}

impl Namespace {
    /// The namespace that goes.
    pub(crate) fn goes(&self) -> Option<&Value> {
        match self {
            Self::Goes { live, .. } | Self::Going { live } => Some(live),
            Self::Stays { .. } | Self::Missing => None,
        }
    }

    fn to_json(&self, done: bool) -> Value {
        let all = |objects: &[Value]| objects.iter().map(shown).collect::<Vec<_>>();
        match self {
            Self::Goes { live, with, unknown } => {
                json!({"name": name(live), "removed": done, "with": all(with), "unknown": unknown})
            }
            Self::Going { live } => json!({"name": name(live), "removed": done}),
            Self::Stays { name, why, holds, .. } => {
                json!({"name": name, "removed": false, "why": why, "holds": all(holds)})
            }
            Self::Missing => Value::Null,
        }
    }
}

impl Removal {
    /// Whether there is nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        let disowns = self.request.records_only && !self.kept.is_empty();
        self.goes.is_empty() && self.releases == 0 && self.namespace.goes().is_none() && !disowns
    }

    /// What is there by another name is not what was to go.
    pub(crate) fn keep_instead(&mut self, object: Value, why: &str) {
        self.goes.retain(|one| ObjectId::of(one) != ObjectId::of(&object));
        self.kept.push(Kept { object, why: why.to_owned() });
    }

    /// The namespace is not the one that was to go.
    pub(crate) fn keep_namespace(&mut self, why: &str) {
        if let Some(live) = self.namespace.goes() {
            let (name, why) = (name(live).to_owned(), why.to_owned());
            self.namespace = Namespace::Stays { name, why, live: None, holds: Vec::new() };
        }
    }

    /// What goes with its namespace is not kept.
    pub(crate) fn without_what_goes_with_the_namespace(mut self) -> Self {
        if let Namespace::Goes { live, .. } = &self.namespace {
            let namespace = name(live).to_owned();
            self.kept.retain(|kept| ObjectId::of(&kept.object).namespace != namespace);
        }
        self
    }

    /// The removal for machines.
    pub fn to_json(&self) -> Value {
        let kept = self.kept.iter().map(|kept| {
            let mut object = shown(&kept.object);
            object["why"] = json!(kept.why);
            object
        });
        json!({
            "tier": self.tier,
            "done": self.done,
            "removed": self.goes.iter().map(shown).collect::<Vec<_>>(),
            "kept": kept.collect::<Vec<_>>(),
            "releases": self.releases,
            "namespace": self.namespace.to_json(self.done),
        })
    }

    /// The removal for people.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}  {}\n", style::strong(&self.tier), self.place);
        if self.is_nothing() && self.kept.is_empty() {
            return text + "there is nothing of it\n";
        }
        let (goes, stays) = if self.done { ("removed", "kept") } else { ("remove", "keep") };
        let mut line = |word: &str, rest: String| {
            let _ = writeln!(text, "{word:<9} {rest}");
        };
        for object in &self.goes {
            line(goes, ObjectId::of(object).to_string());
        }
        if self.releases > 0 {
            line(goes, format!("the records of {}", display::count(self.releases, "release")));
        }
        if let Some(live) = self.namespace.goes() {
            line(goes, format!("Namespace/{}", name(live)));
        }
        if let Namespace::Goes { with, unknown, .. } = &self.namespace {
            for object in with {
                line(goes, format!("{}, with the namespace: it is not of this tier", ObjectId::of(object)));
            }
            for why in unknown {
                line(goes, format!("what else is in the namespace: {why}"));
            }
        }
        for kept in &self.kept {
            line(stays, format!("{}: {}", ObjectId::of(&kept.object), kept.why));
        }
        if let Namespace::Stays { name, why, .. } = &self.namespace {
            line(stays, format!("Namespace/{name}: {why}"));
        }
        text
    }
}

/// `Ingress/other, Role/reader and 3 more`
pub(crate) fn names(objects: &[Value]) -> String {
    let mut names: Vec<String> =
        objects.iter().take(NAMED).map(|object| ObjectId::of(object).to_string()).collect();
    if objects.len() > NAMED {
        names.push(format!("{} more", objects.len() - NAMED));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn shown(object: &Value) -> Value {
    let id = ObjectId::of(object);
    json!({"apiVersion": object["apiVersion"], "kind": id.kind, "namespace": id.namespace, "name": id.name})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::view::tests::both;

    fn object(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}})
    }

    fn removal(namespace: Namespace) -> Removal {
        Removal {
            request: RemoveRequest::default(),
            tier: "staging".to_owned(),
            place: "shop in lab".to_owned(),
            goes: vec![object("Deployment", "web")],
            kept: vec![Kept {
                object: object("PersistentVolumeClaim", "files"),
                why: "it holds data".to_owned(),
            }],
            releases: 2,
            namespace,
            ours: BTreeSet::new(),
            done: true,
        }
    }

    #[test]
    fn nothing_is_both_removed_and_kept() {
        let live = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        let with = vec![object("Ingress", "other"), object("PersistentVolumeClaim", "files")];
        let whole = removal(Namespace::Goes { live, with, unknown: Vec::new() });
        let whole = whole.without_what_goes_with_the_namespace();
        assert_eq!(
            whole.to_text().split_once('\n').unwrap().1,
            "removed   Deployment/web\n\
             removed   the records of 2 releases\n\
             removed   Namespace/shop\n\
             removed   Ingress/other, with the namespace: it is not of this tier\n\
             removed   PersistentVolumeClaim/files, with the namespace: it is not of this tier\n"
        );
        let mut replaced = removal(Namespace::Missing);
        replaced.keep_instead(object("Deployment", "web"), "somebody created it again meanwhile");
        assert!(!replaced.to_text().contains("removed   Deployment/web"));
        assert!(
            replaced.to_text().contains("kept      Deployment/web: somebody created it again meanwhile\n")
        );
        assert_eq!(replaced.to_json()["removed"], json!([]));
    }

    #[test]
    fn a_sentence_names_ten_and_counts_the_rest() {
        let all: Vec<Value> = (0..12).map(|index| object("ConfigMap", &format!("a{index}"))).collect();
        assert_eq!(names(&all[..1]), "ConfigMap/a0");
        assert_eq!(names(&all[..2]), "ConfigMap/a0 and ConfigMap/a1");
        assert!(names(&all).ends_with("ConfigMap/a9 and 2 more"), "{}", names(&all));
    }

    #[test]
    fn a_removal_is_read_by_people_and_machines() {
        let live = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        let with = vec![object("Ingress", "other")];
        let unknown = vec!["you may not list secrets".to_owned()];
        let stays = || Namespace::Stays {
            name: "shop".to_owned(),
            why: "windlass did not create it".to_owned(),
            live: None,
            holds: vec![object("Ingress", "other")],
        };
        let nothing = Removal { goes: Vec::new(), releases: 0, ..removal(Namespace::Missing) };
        let all = [
            removal(Namespace::Goes { live: live.clone(), with, unknown }),
            Removal { done: false, releases: 1, ..removal(Namespace::Going { live }) },
            Removal { releases: 0, ..removal(stays()) },
            Removal { done: false, ..removal(Namespace::Missing) },
            Removal { request: RemoveRequest { records_only: true, ..RemoveRequest::default() }, ..nothing },
            Removal { goes: Vec::new(), kept: Vec::new(), releases: 0, ..removal(stays()) },
        ];
        let shown: Vec<String> = all.iter().map(|one| both(&one.to_text(), &one.to_json())).collect();
        insta::assert_snapshot!("removal", shown.join("\n\n"));
    }
}
