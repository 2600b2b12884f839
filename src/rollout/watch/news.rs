//! Which messages are news: runtimes put processes, connections and times into them, so that each retry has other words
//! for the same error.

use std::borrow::Cow;

use crate::report::event::ObjectState;
use crate::text::display::lasting;

/// Whether one state says nothing new after the other.
pub(super) fn is_same(one: &ObjectState, other: &ObjectState) -> bool {
    let words = |state: &ObjectState| state.message.as_deref().map(lasting).map(Cow::into_owned);
    let facts = |state: &ObjectState| ObjectState { message: None, ..state.clone() };
    facts(one) == facts(other) && (one.message == other.message || words(one) == words(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stage, Verdict};

    fn saying(message: &str) -> ObjectState {
        ObjectState {
            stage: Stage::Release,
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
            verdict: Verdict::Progressing,
            cause: None,
            message: Some(message.into()),
            ready: None,
        }
    }

    #[test]
    fn the_same_in_other_words_is_no_news() {
        let same = |one: &str, other: &str| is_same(&saying(one), &saying(other));
        assert!(same(
            "failed to exec in container: failed to start exec \"9a0b1c2d3e4f5a6b\": OCI runtime exec failed",
            "failed to exec in container: failed to start exec \"0f1e2d3c4b5a6978\": OCI runtime exec failed"
        ));
        assert!(same(
            "read tcp 10.1.0.1:5012->10.1.0.7:80: reset",
            "read tcp 10.1.0.1:5099->10.1.0.7:80: reset"
        ));
        assert!(same("took 1.5s at 14:00:01", "took 20ms at 14:00:09"));
        assert!(same(
            "open /var/lib/kubelet/pods/0a1b2c3d-0000-4000-8000-aabbccddeeff/volumes: no",
            "open /var/lib/kubelet/pods/1a1b2c3d-0000-4000-8000-aabbccddeeff/volumes: no"
        ));
        assert!(!same("container web exited 1 once", "container web exited 1 twice"));
        assert!(!same("1 of 3 replicas are ready", "2 of 3 replicas are ready"));
        assert!(!same("GET :8080/a answered 503", "GET :8081/a answered 503"));
        assert!(!is_same(&saying("a"), &ObjectState { ready: Some("1/2".into()), ..saying("a") }));
    }
}
