//! An event that Kubernetes recorded about an object, of either API that serves events.

use jiff::Timestamp;
use serde_json::Value;

use crate::model::object;

/// What the recorder puts before the message of the tenth event and later ones of its like.
const COMBINED: &str = "(combined from similar events): ";

/// What happened to an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// `Normal` or `Warning`.
    pub(crate) severity: &'a str,
    /// How often it happened.
    pub(crate) count: i64,
    /// When it happened first.
    pub(crate) first: Option<Timestamp>,
    /// When it happened last.
    pub(crate) last: Option<Timestamp>,
    /// `spec.containers{web}`.
    field: &'a str,
}

impl<'a> Event<'a> {
    pub(crate) fn read(value: &'a Value) -> Self {
        let text = |pointers: [&str; 2]| {
            let found = pointers.map(|pointer| object::text(value, pointer));
            if found[0].is_empty() { found[1] } else { found[0] }
        };
        let time = |pointers: &[&str]| pointers.iter().find_map(|pointer| object::time(value, pointer));
        let counts = ["/series/count", "/count", "/deprecatedCount"];
        let first = time(&["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]);
        let created = object::created(value);
        let last = ["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp", "/eventTime"];
        Self {
            reason: object::text(value, "/reason"),
            message: text(["/message", "/note"]).trim_start_matches(COMBINED),
            severity: object::text(value, "/type"),
            count: counts.iter().find_map(|pointer| object::number(value, pointer)).unwrap_or(1),
            first: first.or(created),
            last: time(&last).or(first).or(created),
            field: text(["/involvedObject/fieldPath", "/regarding/fieldPath"]),
        }
    }

    /// Whether it is about this container, or does not say about which.
    pub(crate) fn is_about(&self, container: &str) -> bool {
        match self.field.split_once('{') {
            Some((_, rest)) => rest.trim_end_matches('}') == container,
            None => true,
        }
    }

    /// Why a pod could not be created, without the name that it was to have.
    pub(crate) fn without_pod_names(&self) -> &'a str {
        without_pod_names(self.message)
    }

    /// Whether it tells of something out of the ordinary.
    pub(crate) fn is_warning(&self) -> bool {
        self.severity != "Normal"
    }
}

/// What a controller was told, without the names of pods that never were.
pub(crate) fn without_pod_names(message: &str) -> &str {
    let marks = [" is forbidden: ", "error: ", "Error creating: "];
    marks.iter().find_map(|mark| message.split_once(mark)).map_or(message, |(_, rest)| rest)
}

/// Whether an object of a dump or of a watch is an event.
pub(crate) fn is_event(value: &Value) -> bool {
    let api_version = object::api_version(value);
    object::kind(value) == "Event" && matches!(object::group(api_version), "" | "events.k8s.io")
}

/// What an event is about: kind, namespace, name, uid.
pub(crate) fn subject(value: &Value) -> (&str, &str, &str, &str) {
    let about = value.get("involvedObject").or_else(|| value.get("regarding")).unwrap_or(&Value::Null);
    let text = |pointer| object::text(about, pointer);
    (text("/kind"), text("/namespace"), text("/name"), text("/uid"))
}
