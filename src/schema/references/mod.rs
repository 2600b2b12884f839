//! How the objects of a set refer to each other. All findings are warnings: what is not in the set may be created elsewhere.

mod configuration;
mod pods;
mod scaling;
mod traffic;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::finding::{Finding, Severity};
use crate::model::group;
use crate::model::kinds::is_of_kubernetes;
use crate::model::object::{api_version, kind, name, namespace};
use pods::Pod;

/// The objects of a tier, and what is known of what is not among them.
pub struct Set<'a> {
    /// All objects that are applied.
    pub objects: &'a [&'a Value],
    /// The namespace of those that name none.
    pub namespace: &'a str,
    /// Where they were looked for, in words: `the manifests have`.
    pub have: &'a str,
    /// Whether an object of a kind and name is made by others than the manifests: `("Secret", "shop-tls")`.
    pub is_elsewhere: &'a dyn Fn(&str, &str) -> bool,
    /// Whether the controller of a custom kind, by group and kind, may make pods, Services or configuration.
    pub may_create: &'a dyn Fn(&str, &str) -> bool,
}

/// What the objects refer to and the set does not have: the index of the object, and what of it.
pub fn references(set: &Set<'_>) -> Vec<(usize, Finding)> {
    let index = Index::of(set);
    let mut found = Vec::new();
    for (at, object) in set.objects.iter().enumerate() {
        let mut own = Vec::new();
        let one = Referrer { object, namespace: index.namespace_of(object), index: &index };
        configuration::check(&one, &mut own);
        traffic::check(&one, &mut own);
        scaling::check(&one, &mut own);
        found.extend(own.into_iter().map(|finding| (at, Finding { severity: Severity::Warning, ..finding })));
    }
    found
}

/// An object that refers to others.
struct Referrer<'a> {
    object: &'a Value,
    namespace: &'a str,
    index: &'a Index<'a>,
}

impl<'a> Referrer<'a> {
    /// The object of a kind and name beside this one.
    fn find(&self, kind: &str, name: &str) -> Option<&'a Value> {
        self.index.by_name.get(&(self.namespace, kind, name)).copied()
    }

    /// Whether an object of a kind and name is neither in the set nor known to come from elsewhere.
    fn lacks(&self, kind: &str, name: &str) -> bool {
        !name.is_empty()
            && self.find(kind, name).is_none()
            && !(self.index.set.is_elsewhere)(kind, name)
            && !self.index.named_by_custom_resources.contains(name)
    }

    /// The name of a kind in this namespace that is nearest to one that was not found.
    fn near(&self, kind: &str, name: &str) -> Option<String> {
        let here = self.index.by_name.keys().filter(|key| (key.0, key.1) == (self.namespace, kind));
        let mut names: Vec<&str> = here.map(|key| key.2).collect();
        names.sort_unstable();
        crate::text::nearest(name, names.into_iter()).map(|near| format!("did you mean `{near}`?"))
    }

    /// The pods that the set makes in this namespace.
    fn pods(&self) -> impl Iterator<Item = &Pod<'a>> {
        self.index.pods.get(self.namespace).into_iter().flatten()
    }

    /// Whether a custom resource of the set may make what is not found.
    fn may_be_created(&self) -> bool {
        self.index.creates_in.contains(self.namespace)
    }
}

/// The set, by what is looked up in it.
struct Index<'a> {
    set: &'a Set<'a>,
    /// By namespace, kind and name.
    by_name: HashMap<(&'a str, &'a str, &'a str), &'a Value>,
    /// By namespace.
    pods: HashMap<&'a str, Vec<Pod<'a>>>,
    /// By namespace: the beginnings of the names of the claims that StatefulSets make.
    claims: HashMap<&'a str, Vec<String>>,
    /// Every string in the custom resources: an `ExternalSecret` names the Secret that it makes.
    named_by_custom_resources: HashSet<&'a str>,
    /// The namespaces with custom resources that may make something.
    creates_in: HashSet<&'a str>,
}

impl<'a> Index<'a> {
    fn of(set: &'a Set<'a>) -> Self {
        let mut index = Self {
            set,
            by_name: HashMap::new(),
            pods: HashMap::new(),
            claims: HashMap::new(),
            named_by_custom_resources: HashSet::new(),
            creates_in: HashSet::new(),
        };
        for object in set.objects {
            let (object, namespace) = (*object, index.namespace_of(object));
            index.by_name.insert((namespace, kind(object), name(object)), object);
            if kind(object) == "StatefulSet" {
                index.claims.entry(namespace).or_default().extend(configuration::claims(object));
            }
            pods::collect(object, index.pods.entry(namespace).or_default());
            let group = group(api_version(object));
            if !is_of_kubernetes(group) {
                strings(object, &mut index.named_by_custom_resources, 0);
                if (set.may_create)(group, kind(object)) {
                    index.creates_in.insert(namespace);
                }
            }
        }
        index
    }

    fn namespace_of(&self, object: &'a Value) -> &'a str {
        Some(namespace(object)).filter(|own| !own.is_empty()).unwrap_or(self.set.namespace)
    }
}

fn strings<'a>(value: &'a Value, found: &mut HashSet<&'a str>, depth: usize) {
    match value {
        Value::String(text) => {
            found.insert(text);
        }
        Value::Array(items) if depth < 128 => items.iter().for_each(|item| strings(item, found, depth + 1)),
        Value::Object(map) if depth < 128 => map.values().for_each(|value| strings(value, found, depth + 1)),
        _ => {}
    }
}
