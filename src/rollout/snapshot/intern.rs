//! Stores values that thousands of pods have in common only once.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// A shared string: a namespace, a node, a reason.
pub(crate) type Symbol = Arc<str>;

/// The shared strings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Symbols(Shared<Symbol>);

/// Values that are shared between all that were made from the same string.
#[derive(Debug, Clone)]
pub(crate) struct ByText<T> {
    values: HashMap<Box<str>, Arc<T>>,
    most: usize,
}

/// Shared values of one type, and how many there may be before unused ones are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Shared<T> {
    values: HashSet<T>,
    most: usize,
}

/// With fewer values, looking for unused ones is not worth it.
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
    /// Returns the shared value that equals this one.
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
    /// Returns the shared string that equals this one.
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
    /// Returns the value for this string; make it if there is none yet.
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
