//! An event that Kubernetes recorded about an object, from either API that serves events.

pub(crate) mod log;

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Projection;
use crate::model::object;
use crate::rollout::snapshot::intern::{Symbol, Symbols};

/// The prefix that the event recorder adds to the message of the tenth and later similar events.
const COMBINED: &str = "(combined from similar events): ";

/// The fields of an event that are read.
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

/// An event of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// `Normal` or `Warning`.
    severity: &'a str,
    /// How often it occurred.
    pub(crate) count: i64,
    /// When it first occurred.
    pub(crate) first: Option<Timestamp>,
    /// When it last occurred.
    pub(crate) last: Option<Timestamp>,
    /// The part of the object: `spec.containers{web}`.
    field: &'a str,
}

/// A cached event: some hundred bytes, because each pod has several.
#[derive(Debug, Clone)]
pub(crate) struct EventRecord {
    pub(crate) namespace: Symbol,
    pub(crate) name: Box<str>,
    /// The object it is about.
    pub(crate) subject: EventSubject,
    reason: Symbol,
    message: Box<str>,
    severity: Symbol,
    count: i64,
    first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    field: Symbol,
}

/// The object that an event is about.
#[derive(Debug, Clone)]
pub(crate) struct EventSubject {
    pub(crate) group: Symbol,
    pub(crate) kind: Symbol,
    pub(crate) namespace: Symbol,
    pub(crate) name: Symbol,
    pub(crate) uid: Symbol,
}

impl EventRecord {
    /// Reads an event; fields of an unexpected type count as missing.
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

    /// Whether no verdict ever needs it: a pod was scheduled, a ReplicaSet created or deleted a pod.
    pub(crate) fn is_idle(&self) -> bool {
        &*self.severity == "Normal"
            && matches!(
                (&*self.subject.kind, &*self.reason),
                ("Pod", "Scheduled") | ("ReplicaSet", "SuccessfulCreate" | "SuccessfulDelete")
            )
    }

    /// Removes the message if no verdict needs it: of these events, only the time counts.
    pub(crate) fn without_idle_words(self) -> Self {
        let is_idle = &*self.severity == "Normal"
            && &*self.subject.kind == "Pod"
            && matches!(&*self.reason, "Pulled" | "Created" | "Started");
        let message = if is_idle { Box::default() } else { self.message };
        Self { message, ..self }
    }

    /// The event as rules see it.
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
    /// Whether it is about this container, or does not name any.
    pub(crate) fn is_about(&self, container: &str) -> bool {
        match self.field.split_once('{') {
            Some((_, rest)) => rest.trim_end_matches('}') == container,
            None => true,
        }
    }

    /// The message about a pod that could not be created, without the name of that pod.
    pub(crate) fn without_pod_names(&self) -> &'a str {
        without_pod_names(self.message)
    }

    /// Whether its type is not `Normal`.
    pub(crate) fn is_warning(&self) -> bool {
        self.severity != "Normal"
    }
}

/// The API server's answer to a controller, without the names of pods that were never created.
pub(crate) fn without_pod_names(message: &str) -> &str {
    let marks = [" is forbidden: ", "error: ", "Error creating: "];
    marks.iter().find_map(|mark| message.split_once(mark)).map_or(message, |(_, rest)| rest)
}

/// Whether an object of this kind is an event.
pub(crate) fn is_event(api_version: &str, kind: &str) -> bool {
    kind == "Event" && matches!(object::group(api_version), "" | "events.k8s.io")
}
