//! `no-endpoints`: a Service that selects no pod, an Ingress without its Service. Judged after the kind's own rule, and
//! last: only when everything else is ready is it known what exists.

pub(crate) mod creators;
pub(crate) mod template;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::rollout::health::Health;

use crate::model::object::{has, list, text};
use crate::model::{Cause, ObjectId, Unserved, Verdict, object};
use crate::rollout::annotations;
use crate::rollout::snapshot::ClusterSnapshot;
use crate::text::nearest;

/// The port name with which AWS's Ingress controller refers to an annotation; no Service needs it.
const USE_ANNOTATION: &str = "use-annotation";

/// Something missing, and why that may not be a failure.
struct Gap {
    wants: String,
    message: String,
    /// The field of the manifest that it is about.
    pointer: String,
    excuse: Option<String>,
}

/// How completely a kind is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Completely: what is not here does not exist.
    Whole,
    /// There may be others.
    Partial,
    /// Not at all: the dump has no object of the kind.
    None,
}

/// Whether the rule is about objects of this kind.
pub(crate) fn concerns(object: &Value) -> bool {
    is_service(object) || is_ingress(object)
}

/// The verdict of an object after its own rule, and what it lacks. `had` has what the last good release lacked as
/// well.
pub(crate) fn weighed(
    object: &Value,
    snapshot: &ClusterSnapshot,
    had: &dyn Fn(&Unserved) -> bool,
    own: Health,
) -> (Health, Vec<Unserved>) {
    if own.verdict != Verdict::Ready {
        return (own, Vec::new());
    }
    let mut gaps = gaps(object, snapshot);
    let lacks: Vec<Unserved> = gaps.iter().map(|gap| gap.of(object)).collect();
    for (gap, lack) in gaps.iter_mut().zip(&lacks) {
        if gap.excuse.is_none() && had(lack) {
            gap.excuse = Some("the last good release already had this".to_owned());
        }
    }
    (with_gaps(gaps, own), lacks)
}

/// What the Services and Ingresses of a set lack in this snapshot.
pub(crate) fn of_set(set: &[Value], snapshot: &ClusterSnapshot) -> BTreeSet<Unserved> {
    let leading = set.iter().filter(|object| concerns(object));
    leading.flat_map(|object| gaps(object, snapshot).into_iter().map(|gap| gap.of(object))).collect()
}

fn with_gaps(gaps: Vec<Gap>, own: Health) -> Health {
    let (excused, fatal): (Vec<Gap>, Vec<Gap>) = gaps.into_iter().partition(|gap| gap.excuse.is_some());
    let mut health = own;
    for Gap { message, excuse, .. } in &excused {
        health = health.warning(format!("{message} ({})", excuse.as_deref().unwrap_or_default()));
    }
    let Some(first) = fatal.first().or(excused.first()) else { return health };
    let health = health.with_cause(Cause::NoEndpoints).about(&first.pointer);
    if fatal.is_empty() {
        return health;
    }
    let messages: Vec<&str> = fatal.iter().map(|gap| gap.message.as_str()).collect();
    Health { verdict: Verdict::Failed, ..health.saying(messages.join("; ")) }
}

fn gaps(object: &Value, snapshot: &ClusterSnapshot) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = if is_service(object) {
        of_service(object, snapshot).into_iter().collect()
    } else if is_ingress(object) {
        of_ingress(object, snapshot)
    } else {
        Vec::new()
    };
    if annotations::endpoints_are_optional(object) {
        for gap in &mut gaps {
            gap.excuse = Some("windlass.dev/endpoints: optional".to_owned());
        }
    }
    gaps
}

fn is_service(object: &Value) -> bool {
    object::api_version(object) == "v1" && object::kind(object) == "Service"
}

fn is_ingress(object: &Value) -> bool {
    object::group(object::api_version(object)) == "networking.k8s.io" && object::kind(object) == "Ingress"
}

impl Gap {
    fn new(wants: String, message: String, pointer: String) -> Self {
        Self { wants, message, pointer, excuse: None }
    }

    fn of(&self, object: &Value) -> Unserved {
        Unserved { object: ObjectId::of(object), wants: self.wants.clone() }
    }

    /// The first excuse counts.
    fn unless(mut self, excuse: Option<String>) -> Self {
        self.excuse = self.excuse.or(excuse);
        self
    }
}

/// The labels that a Service selects pods by; `None` if its endpoints are managed elsewhere.
pub(crate) fn selector(service: &Value) -> Option<&Map<String, Value>> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object)?;
    (text(service, "/spec/type") != "ExternalName" && !selector.is_empty()).then_some(selector)
}

/// `app=web,tier=front`
pub(crate) fn written(labels: &Map<String, Value>) -> String {
    let terms = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    terms.collect::<Vec<_>>().join(",")
}

fn of_service(service: &Value, snapshot: &ClusterSnapshot) -> Option<Gap> {
    let selector = selector(service)?;
    let templates = template::beside(service, snapshot);
    let is_made = templates.iter().any(|template| template.has(selector));
    let sight = sight_of_pods(service, snapshot, !templates.is_empty());
    if is_made || has_pod(service, selector, snapshot) || sight == Sight::None {
        return None;
    }
    let wants = written(selector);
    let these = if selector.len() == 1 { "this label" } else { "these labels" };
    let nearest = template::nearest(&templates, selector).map(|words| format!("; {words}"));
    let message =
        format!("selects {wants}, but no pod and no pod template has {these}{}", nearest.unwrap_or_default());
    let by_others = creators::beside(service, snapshot).map(|title| format!("{title} may create such pods"));
    let unknown = match sight {
        Sight::Whole | Sight::None => None,
        Sight::Partial if snapshot.is_denied("Pod") => Some("pods may not be listed".to_owned()),
        Sight::Partial => Some("the dump has no pods".to_owned()),
    };
    // A Service that publishes pods that are not ready yet is for discovery.
    let peers = text(service, "/spec/clusterIP") == "None"
        && object::is_true(service, "/spec/publishNotReadyAddresses");
    let peers = peers.then(|| "a headless Service that publishes addresses which are not ready".to_owned());
    Some(
        Gap::new(wants, message, "/spec/selector".to_owned()).unless(by_others).unless(unknown).unless(peers),
    )
}

fn has_pod(service: &Value, selector: &Map<String, Value>, snapshot: &ClusterSnapshot) -> bool {
    let mut pods = snapshot.pods_beside(service).filter(|pod| !pod.is_being_deleted);
    pods.any(|pod| pod.labels.have(selector)) || endpoints(service, snapshot) == Some(true)
}

/// Whether every pod is known: from a watch or a list of all of them, or from a dump that has pods or
/// endpoints.
fn sight_of_pods(service: &Value, snapshot: &ClusterSnapshot, has_templates: bool) -> Sight {
    let has_pods = snapshot.pods_beside(service).next().is_some();
    if snapshot.is_complete("Pod")
        || !snapshot.is_denied("Pod") && (has_pods || endpoints(service, snapshot).is_some())
    {
        return Sight::Whole;
    }
    if has_templates || snapshot.is_denied("Pod") { Sight::Partial } else { Sight::None }
}

/// Whether a dump shows endpoints of the Service; `None` if it has none at all.
fn endpoints(service: &Value, snapshot: &ClusterSnapshot) -> Option<bool> {
    let name = object::name(service);
    let is_its = |slice: &&Value| object::label(slice, "kubernetes.io/service-name") == Some(name);
    let slices = snapshot.beside(service, "discovery.k8s.io", "EndpointSlice").filter(is_its);
    let slices = slices.map(|slice| has(slice, "/endpoints"));
    let old = snapshot.beside(service, "", "Endpoints").filter(|one| object::name(one) == name);
    slices.chain(old.map(|one| has(one, "/subsets"))).reduce(|one, other| one || other)
}

/// The backends of an Ingress that are Services, each with its JSON pointer.
pub(crate) fn backends(ingress: &Value) -> Vec<(String, &Value)> {
    let default = ingress.pointer("/spec/defaultBackend").map(|one| ("/spec/defaultBackend".to_owned(), one));
    let rules = list(ingress, "/spec/rules").iter().enumerate().flat_map(|(number, rule)| {
        list(rule, "/http/paths").iter().enumerate().filter_map(move |(index, path)| {
            Some((format!("/spec/rules/{number}/http/paths/{index}/backend"), path.get("backend")?))
        })
    });
    default.into_iter().chain(rules).filter(|(_, one)| !text(one, "/service/name").is_empty()).collect()
}

fn of_ingress(ingress: &Value, snapshot: &ClusterSnapshot) -> Vec<Gap> {
    let mut known = BTreeSet::new();
    let gaps =
        backends(ingress).into_iter().filter_map(|(pointer, one)| backend(ingress, snapshot, &pointer, one));
    // Many paths may have the same backend.
    gaps.filter(|gap| known.insert(gap.wants.clone())).collect()
}

fn backend(ingress: &Value, snapshot: &ClusterSnapshot, pointer: &str, backend: &Value) -> Option<Gap> {
    let name = text(backend, "/service/name");
    let (number, named) =
        (object::number(backend, "/service/port/number"), text(backend, "/service/port/name"));
    let port = number.map_or_else(|| named.to_owned(), |number| number.to_string());
    let gap = match snapshot.beside(ingress, "", "Service").find(|one| object::name(one) == name) {
        Some(service) if has_port(service, number, named) => return None,
        Some(service) => {
            let field = if number.is_some() { "number" } else { "name" };
            let message = format!("backend Service `{name}` has no port {port}; it has {}", ports(service));
            Gap::new(format!("{name}:{port}"), message, format!("{pointer}/service/port/{field}"))
        }
        None => {
            let pointer = format!("{pointer}/service/name");
            missing(ingress, snapshot, name)?.at(&port, pointer)
        }
    };
    let by_annotation = (named == USE_ANNOTATION).then(|| format!("port name {USE_ANNOTATION}"));
    Some(gap.unless(by_annotation))
}

/// The sentence about a Service that does not exist, and its excuse.
struct Missing(String, String, Option<String>);

impl Missing {
    fn at(self, port: &str, pointer: String) -> Gap {
        let Self(name, message, excuse) = self;
        let wants = if port.is_empty() { name } else { format!("{name}:{port}") };
        Gap::new(wants, message, pointer).unless(excuse)
    }
}

/// `None` in a dump without any Service: it was probably made without them.
fn missing(ingress: &Value, snapshot: &ClusterSnapshot, name: &str) -> Option<Missing> {
    let others: Vec<&str> = snapshot.beside(ingress, "", "Service").map(object::name).collect();
    let is_denied = snapshot.is_denied("Service");
    if others.is_empty() && !is_denied && !snapshot.is_complete("Service") {
        return None;
    }
    let near = nearest(name, others.into_iter()).map(|near| format!("; did you mean `{near}`?"));
    let message = format!("backend Service `{name}` does not exist{}", near.unwrap_or_default());
    let unknown = is_denied.then(|| "Services may not be read".to_owned());
    let by_others = creators::beside(ingress, snapshot).map(|title| format!("{title} may create it"));
    Some(Missing(name.to_owned(), message, by_others.or(unknown)))
}

/// A Service without ports of its own, as an `ExternalName` may be, takes any; so does a backend that names none.
fn has_port(service: &Value, number: Option<i64>, named: &str) -> bool {
    let ports = list(service, "/spec/ports");
    let is_it = |port: &Value| match number {
        Some(number) => object::number(port, "/port") == Some(number),
        None => named.is_empty() || text(port, "/name") == named,
    };
    ports.is_empty() || ports.iter().any(is_it)
}

/// `80 (http), 9090`
fn ports(service: &Value) -> String {
    let port = |port: &Value| match text(port, "/name") {
        "" => object::count(port, "/port").to_string(),
        name => format!("{} ({name})", object::count(port, "/port")),
    };
    list(service, "/spec/ports").iter().map(port).collect::<Vec<_>>().join(", ")
}
