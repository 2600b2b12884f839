//! What a removal deletes and keeps.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::{ObjectId, ObjectRef};
use crate::report::view::removal as view;
use crate::tier::remove::RemoveRequest;

/// How many objects a sentence names; the JSON output names all.
const NAMED: usize = 10;

/// What a removal deletes and what it keeps.
pub(crate) struct Removal {
    pub(crate) request: RemoveRequest,
    pub(crate) tier: String,
    pub(crate) place: String,
    /// The objects to delete, in order.
    pub(crate) goes: Vec<Value>,
    pub(crate) kept: Vec<Kept>,
    /// How many releases are recorded.
    pub(crate) releases: usize,
    pub(crate) namespace: Namespace,
    /// The uids of the tier's objects in its namespace.
    pub(crate) ours: BTreeSet<String>,
    pub(crate) done: bool,
}

/// An object that is kept, and why.
pub(crate) struct Kept {
    pub(crate) object: Value,
    pub(crate) why: String,
}

/// What happens to the tier's namespace.
pub(crate) enum Namespace {
    /// It is deleted with everything in it.
    Goes {
        live: Value,
        /// Objects in it that are not the tier's: only with `--with-namespace`.
        with: Vec<Value>,
        /// What it may contain that could not be listed.
        unknown: Vec<String>,
    },
    /// It is already being deleted.
    Going { live: Value },
    /// It is kept.
    Stays {
        name: String,
        why: String,
        /// The namespace, if it may be read.
        live: Option<Value>,
        /// Objects in it that are not the tier's.
        holds: Vec<Value>,
    },
    /// It does not exist.
    Missing,
}

impl Namespace {
    /// The namespace, if it is deleted.
    pub(crate) fn goes(&self) -> Option<&Value> {
        match self {
            Self::Goes { live, .. } | Self::Going { live } => Some(live),
            Self::Stays { .. } | Self::Missing => None,
        }
    }

    fn view(&self) -> view::Namespace {
        match self {
            Self::Goes { live, with, unknown } => view::Namespace::Removed {
                name: name(live).to_owned(),
                with: references(with),
                unknown: unknown.clone(),
            },
            Self::Going { live } => view::Namespace::Going { name: name(live).to_owned() },
            Self::Stays { name, why, holds, .. } => {
                view::Namespace::Kept { name: name.clone(), why: why.clone(), holds: references(holds) }
            }
            Self::Missing => view::Namespace::Missing,
        }
    }
}

impl Removal {
    /// Whether there is nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        let disowns = self.request.records_only && !self.kept.is_empty();
        self.goes.is_empty() && self.releases == 0 && self.namespace.goes().is_none() && !disowns
    }

    /// Keeps an object that has replaced the one to delete.
    pub(crate) fn keep_instead(&mut self, object: Value, why: &str) {
        self.goes.retain(|one| ObjectId::of(one) != ObjectId::of(&object));
        self.kept.push(Kept { object, why: why.to_owned() });
    }

    /// Keeps a namespace that has replaced the one to delete.
    pub(crate) fn keep_namespace(&mut self, why: &str) {
        if let Some(live) = self.namespace.goes() {
            let (name, why) = (name(live).to_owned(), why.to_owned());
            self.namespace = Namespace::Stays { name, why, live: None, holds: Vec::new() };
        }
    }

    /// Removes from the kept objects those that are deleted with the namespace.
    pub(crate) fn without_what_goes_with_the_namespace(mut self) -> Self {
        if let Namespace::Goes { live, .. } = &self.namespace {
            let namespace = name(live).to_owned();
            self.kept.retain(|kept| ObjectId::of(&kept.object).namespace != namespace);
        }
        self
    }

    /// The removal as it is shown.
    pub(crate) fn view(&self) -> view::Removal {
        view::Removal {
            tier: self.tier.clone(),
            place: self.place.clone(),
            removed: references(&self.goes),
            kept: self.kept.iter().map(Kept::view).collect(),
            releases: self.releases,
            namespace: self.namespace.view(),
            is_nothing: self.is_nothing(),
            done: self.done,
        }
    }
}

impl Kept {
    fn view(&self) -> view::KeptObject {
        view::KeptObject { object: ObjectRef::of(&self.object), why: self.why.clone() }
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

fn references(objects: &[Value]) -> Vec<ObjectRef> {
    objects.iter().map(ObjectRef::of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::view::View;
    use crate::report::view::removal::tests as sample;

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
            whole.view().to_text().split_once('\n').unwrap().1,
            "removed   Deployment/web\n\
             removed   the records of 2 releases\n\
             removed   Namespace/shop\n\
             removed   Ingress/other, with the namespace: it is not of this tier\n\
             removed   PersistentVolumeClaim/files, with the namespace: it is not of this tier\n"
        );
        let mut replaced = removal(Namespace::Missing);
        replaced.keep_instead(object("Deployment", "web"), "somebody created it again meanwhile");
        assert!(!replaced.view().to_text().contains("removed   Deployment/web"));
        assert!(
            replaced
                .view()
                .to_text()
                .contains("kept      Deployment/web: somebody created it again meanwhile\n")
        );
        assert_eq!(replaced.view().to_json()["removed"], json!([]));
    }

    #[test]
    fn a_sentence_names_ten_and_counts_the_rest() {
        let all: Vec<Value> = (0..12).map(|index| object("ConfigMap", &format!("a{index}"))).collect();
        assert_eq!(names(&all[..1]), "ConfigMap/a0");
        assert_eq!(names(&all[..2]), "ConfigMap/a0 and ConfigMap/a1");
        assert!(names(&all).ends_with("ConfigMap/a9 and 2 more"), "{}", names(&all));
    }

    #[test]
    fn what_is_shown_is_all_that_is_deleted_and_kept() {
        let live = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        let others = || vec![object("Ingress", "other")];
        let unknown = vec!["you may not list secrets".to_owned()];
        let goes = Namespace::Goes { live: live.clone(), with: others(), unknown };
        assert_eq!(removal(goes).view(), sample::removal(sample::removed()));
        let going = view::Namespace::Going { name: "shop".to_owned() };
        assert_eq!(removal(Namespace::Going { live }).view(), sample::removal(going));
        let (name, why) = ("shop".to_owned(), "windlass did not create it".to_owned());
        let stays = Namespace::Stays { name, why, live: None, holds: others() };
        assert_eq!(removal(stays).view(), sample::removal(sample::kept()));

        let nothing = Removal { goes: Vec::new(), releases: 0, ..removal(Namespace::Missing) };
        assert!(nothing.view().is_nothing);
        let request = RemoveRequest { records_only: true, ..RemoveRequest::default() };
        assert!(!Removal { request, ..nothing }.view().is_nothing, "labels are taken away");
    }
}
