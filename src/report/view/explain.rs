//! `explain`: the verdict, the cause and the evidence of an object.

use serde_json::{Value, json};

use super::{View, object_json};
use crate::model::{Cause, Evidence, ObjectRef, Verdict};
use crate::report::style;

/// What is said of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObjectHealth {
    pub(crate) object: ObjectRef,
    /// Whether its namespace is worth a word: others are explained beside it.
    pub(crate) is_abroad: bool,
    pub(crate) verdict: Verdict,
    pub(crate) cause: Option<Cause>,
    /// One sentence.
    pub(crate) message: Option<String>,
    /// Replicas that are ready, of those wanted: `2/3`.
    pub(crate) ready: Option<String>,
    /// The rule that judged a custom resource: `catalogue: cert-manager Certificate`.
    pub(crate) rule: Option<String>,
    pub(crate) evidence: Vec<Evidence>,
}

impl ObjectHealth {
    /// Whether nobody needs to look at it. A release does not fail for what says nothing of itself, so `status` does not either.
    pub(super) fn is_healthy(&self) -> bool {
        matches!(self.verdict, Verdict::Ready | Verdict::Paused | Verdict::Unknown)
    }
}

impl View for ObjectHealth {
    fn to_json(&self) -> Value {
        let mut line = object_json(&self.object);
        line["verdict"] = json!(self.verdict);
        if let Some(cause) = self.cause {
            line["cause"] = json!(cause);
        }
        if let Some(message) = &self.message {
            line["message"] = json!(message);
        }
        if let Some(rule) = &self.rule {
            line["rule"] = json!(rule);
        }
        line["evidence"] = json!(self.evidence);
        line
    }

    /// `Deployment/web  failed  image-not-found  image web:nope of container web …`, and below it what was seen.
    fn to_text(&self) -> String {
        // Where there is a cause, it says more than how many replicas are ready.
        let cause = self.cause.map(|cause| cause.to_string()).or(self.ready.clone());
        let namespace = self.object.namespace.as_deref().filter(|_| self.is_abroad);
        let namespace = namespace.map(|namespace| style::faint(&format!("in {namespace}")));
        let name = style::strong(&self.object.id());
        let rule = self.rule.as_ref().map(|rule| style::faint(&format!("({rule})")));
        let words = [Some(name), Some(painted(self.verdict)), cause, self.message.clone(), namespace, rule];
        let mut text = words.into_iter().flatten().collect::<Vec<_>>().join("  ") + "\n";
        for Evidence { title, lines } in &self.evidence {
            text += &format!("    {}\n", style::faint(title));
            text.extend(lines.iter().map(|line| format!("      {line}\n")));
        }
        text
    }
}

fn painted(verdict: Verdict) -> String {
    let word = verdict.to_string();
    match verdict {
        Verdict::Ready => style::good(&word),
        Verdict::Failed => style::bad(&word),
        Verdict::Terminating => style::faint(&word),
        Verdict::Progressing | Verdict::Paused | Verdict::Unknown => style::doubtful(&word),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::view::tests::shown;

    fn deployment(name: &str, verdict: Verdict) -> ObjectHealth {
        ObjectHealth {
            object: ObjectRef::new("apps/v1", "Deployment", name).in_namespace("shop"),
            is_abroad: false,
            verdict,
            cause: None,
            message: None,
            ready: None,
            rule: None,
            evidence: Vec::new(),
        }
    }

    /// A Deployment of which all replicas are ready.
    pub(crate) fn ready() -> ObjectHealth {
        ObjectHealth { ready: Some("2/2".to_owned()), ..deployment("api", Verdict::Ready) }
    }

    /// A Deployment that fails, with what was seen of it.
    pub(crate) fn failed() -> ObjectHealth {
        let evidence = |title: &str, lines: &[&str]| Evidence {
            title: title.to_owned(),
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        };
        ObjectHealth {
            cause: Some(Cause::CrashLoop),
            message: Some("container web exits with code 1".to_owned()),
            ready: Some("1/3".to_owned()),
            evidence: vec![
                evidence("container web, last 2 lines", &["started", "panic: no database"]),
                evidence("warnings", &["it restarts", "it says nothing else"]),
            ],
            ..deployment("web", Verdict::Failed)
        }
    }

    /// One that has nothing to say but a sentence.
    pub(crate) fn saying(name: &str, verdict: Verdict, message: &str) -> ObjectHealth {
        ObjectHealth { message: Some(message.to_owned()), ..deployment(name, verdict) }
    }

    #[test]
    fn an_object_is_explained_to_people_and_machines() {
        let all = [
            ready(),
            ObjectHealth { is_abroad: true, ..ready() },
            failed(),
            saying("paused", Verdict::Paused, "it is paused"),
            deployment("going", Verdict::Terminating),
            saying("odd", Verdict::Ready, "duplicate key a: the last one counts"),
            ObjectHealth {
                rule: Some("catalogue: cert-manager Certificate".to_owned()),
                ..saying("judged", Verdict::Progressing, "waiting for the order")
            },
        ];
        let texts: Vec<String> = all.iter().map(shown).collect();
        insta::assert_snapshot!("explain", texts.join("\n\n"));
    }
}
