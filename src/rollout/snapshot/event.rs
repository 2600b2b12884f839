//! An event that Kubernetes recorded about an object, of either API that serves events.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Projection;
use crate::model::object;
use crate::rollout::snapshot::intern::{Symbol, Symbols};

/// What the recorder puts before the message of the tenth event and later ones of its like.
const COMBINED: &str = "(combined from similar events): ";

/// The fields of which an event is made.
pub(crate) const FIELDS: Projection = Projection::Only(&[
    (
        "metadata",
        Projection::Only(&[
            ("name", Projection::All),
            ("namespace", Projection::All),
            ("creationTimestamp", Projection::All),
        ]),
    ),
    ("involvedObject", Projection::All),
    ("regarding", Projection::All),
    ("reason", Projection::All),
    ("message", Projection::All),
    ("note", Projection::All),
    ("type", Projection::All),
    ("count", Projection::All),
    ("deprecatedCount", Projection::All),
    ("series", Projection::All),
    ("firstTimestamp", Projection::All),
    ("lastTimestamp", Projection::All),
    ("deprecatedFirstTimestamp", Projection::All),
    ("deprecatedLastTimestamp", Projection::All),
    ("eventTime", Projection::All),
]);

/// What happened to an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// `Normal` or `Warning`.
    severity: &'a str,
    /// How often it happened.
    pub(crate) count: i64,
    /// When it happened first.
    pub(crate) first: Option<Timestamp>,
    /// When it happened last.
    pub(crate) last: Option<Timestamp>,
    /// `spec.containers{web}`.
    field: &'a str,
}

/// An event as it is kept: of some hundred bytes, for there are several for each pod.
#[derive(Debug, Clone)]
pub(crate) struct EventRecord {
    pub(crate) namespace: Symbol,
    pub(crate) name: Box<str>,
    /// What it is about.
    pub(crate) subject: EventSubject,
    reason: Symbol,
    message: Box<str>,
    severity: Symbol,
    count: i64,
    first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    field: Symbol,
}

/// What an event is about.
#[derive(Debug, Clone)]
pub(crate) struct EventSubject {
    pub(crate) group: Symbol,
    pub(crate) kind: Symbol,
    pub(crate) namespace: Symbol,
    pub(crate) name: Symbol,
    pub(crate) uid: Symbol,
}

impl EventRecord {
    /// Reads an event; fields of odd types are as if they were missing.
    pub(crate) fn read(value: &Value, symbols: &mut Symbols) -> Self {
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
            namespace: symbols.get(object::namespace(value)),
            name: object::name(value).into(),
            subject: EventSubject::read(value, symbols),
            reason: symbols.get(object::text(value, "/reason")),
            message: text(["/message", "/note"]).trim_start_matches(COMBINED).into(),
            severity: symbols.get(object::text(value, "/type")),
            count: counts.iter().find_map(|pointer| object::number(value, pointer)).unwrap_or(1),
            first: first.or(created),
            last: time(&last).or(first).or(created),
            field: symbols.get(text(["/involvedObject/fieldPath", "/regarding/fieldPath"])),
        }
    }

    /// Whether no verdict ever asks for it: that a pod was placed, that a ReplicaSet made its pods.
    pub(crate) fn is_idle(&self) -> bool {
        &*self.severity == "Normal"
            && matches!(
                (&*self.subject.kind, &*self.reason),
                ("Pod", "Scheduled") | ("ReplicaSet", "SuccessfulCreate" | "SuccessfulDelete")
            )
    }

    /// The same without a message that nobody asks for: only when it happened counts.
    pub(crate) fn without_idle_words(self) -> Self {
        let is_idle = &*self.severity == "Normal"
            && &*self.subject.kind == "Pod"
            && matches!(&*self.reason, "Pulled" | "Created" | "Started");
        let message = if is_idle { Box::default() } else { self.message };
        Self { message, ..self }
    }

    /// What it tells.
    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            reason: &self.reason,
            message: &self.message,
            severity: &self.severity,
            count: self.count,
            first: self.first,
            last: self.last,
            field: &self.field,
        }
    }
}

impl EventSubject {
    fn read(event: &Value, symbols: &mut Symbols) -> Self {
        let about = event.get("involvedObject").or_else(|| event.get("regarding")).unwrap_or(&Value::Null);
        let mut text = |pointer| symbols.get(object::text(about, pointer));
        Self {
            kind: text("/kind"),
            namespace: text("/namespace"),
            name: text("/name"),
            uid: text("/uid"),
            group: symbols.get(object::group(object::text(about, "/apiVersion"))),
        }
    }
}

impl<'a> Event<'a> {
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

/// Whether an object of this kind is an event.
pub(crate) fn is_event(api_version: &str, kind: &str) -> bool {
    kind == "Event" && matches!(object::group(api_version), "" | "events.k8s.io")
}
