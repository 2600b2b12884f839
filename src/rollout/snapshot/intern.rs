//! What thousands of pods say in the same words is kept once.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// A text that many share: a namespace, a node, a reason.
pub(crate) type Symbol = Arc<str>;

/// The texts that are shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Symbols(Shared<Symbol>);

/// Values that are shared by those who made them of the same text.
#[derive(Debug, Clone)]
pub(crate) struct ByText<T> {
    values: HashMap<Box<str>, Arc<T>>,
    most: usize,
}

/// Values of one type, and how many of them there may be before those are given up that nobody else has.
#[derive(Debug, Clone)]
pub(crate) struct Shared<T> {
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
    pub(crate) fn get<Q>(&mut self, value: Q) -> Arc<V>
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

impl Symbols {
    /// The text that is shared with all who asked for the same.
    pub(crate) fn get(&mut self, text: &str) -> Symbol {
        self.0.get(text)
    }
}

impl<T> Default for ByText<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), most: FEW }
    }
}

impl<T> ByText<T> {
    /// The value that was made of this text, which is made where there is none yet.
    pub(crate) fn get(&mut self, text: String, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(known) = self.values.get(text.as_str()) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.most {
            self.values.retain(|_, value| Arc::strong_count(value) > 1);
            self.most = FEW.max(2 * self.values.len());
        }
        let value = Arc::new(make());
        self.values.insert(text.into_boxed_str(), Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_those_that_nobody_has_go() {
        let mut symbols = Symbols::default();
        let node = symbols.get("node-1");
        assert!(Arc::ptr_eq(&node, &symbols.get("node-1")));
        for number in 0..10 * FEW {
            symbols.get(&format!("pod-{number}"));
        }
        assert!(symbols.0.values.len() <= 2 * FEW);
        assert!(Arc::ptr_eq(&node, &symbols.get("node-1")));
    }
}
