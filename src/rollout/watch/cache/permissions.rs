//! Rights that are missing: said once, and got along without.

use std::collections::BTreeSet;

use crate::cluster::WatchSubject;
use crate::error::Error;
use crate::model::group;
use crate::report::Reporter;

/// What may not be watched.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    /// Objects of the release that are read from time to time instead.
    unwatched: BTreeSet<WatchSubject>,
    /// Kinds, with their groups, that would say more about a cause.
    missing: BTreeSet<(String, String)>,
    /// The namespace and the words of the first refusal.
    first: Option<(String, Error)>,
    warned: bool,
}

impl Permissions {
    pub(crate) fn unwatched(&mut self, subject: &WatchSubject) {
        self.unwatched.insert(subject.clone());
    }

    /// Whether an object's own kind, the first of its needs, may not be watched.
    pub(crate) fn is_unwatched(&self, needs: &[WatchSubject]) -> bool {
        needs.first().is_some_and(|own| self.unwatched.contains(own))
    }

    pub(crate) fn missing(&mut self, subject: &WatchSubject, error: &Error) {
        self.missing.insert((subject.kind.clone(), group(&subject.api_version).to_owned()));
        self.first.get_or_insert_with(|| (subject.namespace.clone().unwrap_or_default(), error.clone()));
    }

    /// Says it, once.
    pub(crate) fn warn(&mut self, reporter: &Reporter) {
        let Some((namespace, error)) = self.first.as_ref().filter(|_| !self.warned) else { return };
        let list = |word: fn(&(String, String)) -> String| {
            self.missing.iter().map(word).collect::<Vec<_>>().join(", ")
        };
        let kinds = list(|(kind, _)| format!("{kind}s"));
        let resources = list(|(kind, group)| {
            let plural = format!("{}s", kind.to_lowercase());
            if group.is_empty() { plural } else { format!("{plural}.{group}") }
        });
        reporter.warn_with_hint(
            format!("without {kinds} less can be said about why something fails: {}", error.message()),
            format!(
                "ask an administrator of the cluster for a Role in namespace `{namespace}` that allows `list` and `watch` on {resources}, and `get` on pods/log"
            ),
        );
        self.warned = true;
    }
}
