//! What thousands of pods say in the same words is kept once.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use crate::rollout::snapshot::labels::Labels;
use crate::rollout::snapshot::owner::OwnerRef;
use crate::rollout::snapshot::template::PodTemplate;

/// A text that many share: a namespace, a node, a reason.
pub(crate) type Symbol = Arc<str>;

/// The values that are shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    symbols: Shared<Symbol>,
    labels: Shared<Arc<Labels>>,
    owners: Shared<Arc<[OwnerRef]>>,
    /// By the JSON that they were made of.
    templates: HashMap<Box<str>, Arc<PodTemplate>>,
    /// With more templates it is time to look for those that nobody has any more.
    most_templates: usize,
}

/// Values of one type, and how many of them there may be before those are given up that nobody else has.
#[derive(Debug, Clone)]
struct Shared<T> {
    values: HashSet<T>,
    most: usize,
}

/// Fewer values are not worth looking through.
const FEW: usize = 1024;

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { values: HashSet::new(), most: FEW }
    }
}

impl<V: ?Sized + Eq + Hash> Shared<Arc<V>>
where
    Arc<V>: Borrow<V>,
{
    /// The value that is shared with all who asked for an equal one.
    fn get<Q>(&mut self, value: Q) -> Arc<V>
    where
        Q: Borrow<V> + Into<Arc<V>>,
    {
        if let Some(known) = self.values.get(value.borrow()) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.most {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.most = FEW.max(2 * self.values.len());
        }
        let value: Arc<V> = value.into();
        self.values.insert(Arc::clone(&value));
        value
    }
}

impl Interner {
    pub(crate) fn symbol(&mut self, text: &str) -> Symbol {
        self.symbols.get(text)
    }

    pub(crate) fn labels(&mut self, labels: Labels) -> Arc<Labels> {
        self.labels.get(labels)
    }

    pub(crate) fn owners(&mut self, owners: Vec<OwnerRef>) -> Arc<[OwnerRef]> {
        self.owners.get(owners)
    }

    /// The template that was made of this JSON, which is made where there is none yet.
    pub(crate) fn template(&mut self, json: String, make: impl FnOnce() -> PodTemplate) -> Arc<PodTemplate> {
        if let Some(known) = self.templates.get(json.as_str()) {
            return Arc::clone(known);
        }
        if self.templates.len() >= self.most_templates.max(FEW) {
            self.templates.retain(|_, template| Arc::strong_count(template) > 1);
            self.most_templates = 2 * self.templates.len();
        }
        let template = Arc::new(make());
        self.templates.insert(json.into_boxed_str(), Arc::clone(&template));
        template
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_those_that_nobody_has_go() {
        let mut interner = Interner::default();
        let node = interner.symbol("node-1");
        assert!(Arc::ptr_eq(&node, &interner.symbol("node-1")));
        for number in 0..10 * FEW {
            interner.symbol(&format!("pod-{number}"));
        }
        assert!(interner.symbols.values.len() <= 2 * FEW);
        assert!(Arc::ptr_eq(&node, &interner.symbol("node-1")));
    }
}
