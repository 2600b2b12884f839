//! Why the cluster refused an object, read from its `Status` and said in the words of the manifest.

use std::fmt;

use serde_json::Value;

use crate::cluster::error_class::ErrorClass;
use crate::cluster::objects::server_message::{FieldError, typed_errors, without_go};
use crate::cluster::transport::request_error::{RequestError, RequestInfo, user_of};
use crate::cluster::transport::status::{Status, StatusCause};
use crate::error::{Error, Kind};
use crate::model::{Cause, Failure, ObjectRef, Subject};

/// The cluster refused an object, or could not be asked.
#[derive(Debug, Clone)]
pub struct ApplyError {
    /// Which object.
    pub object: ObjectRef,
    /// Why.
    pub refusal: Refusal,
    /// One sentence.
    pub message: String,
    /// What would help.
    pub hint: Option<String>,
    /// The fields that it is about, one by one; empty where the server names none.
    pub fields: Vec<FieldError>,
}

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other field manager: `kubectl-client-side-apply`, `helm`.
    pub manager: String,
    /// The field: `.spec.replicas`.
    pub field: String,
    /// Whether it owns the field because it applies it, again and again; otherwise it once wrote it.
    pub applies: bool,
    /// The subresource that it wrote through: `scale`.
    pub subresource: Option<String>,
}

/// Whether a field manager is a tool with which a person changes things by hand: kubectl in all its forms (`kubectl-set`,
/// `kubectl-edit`, `kubectl-client-side-apply` …), its twin `oc`, and `k9s`.
pub fn is_person(manager: &str) -> bool {
    manager == "kubectl" || manager.starts_with("kubectl-") || matches!(manager, "oc" | "k9s")
}

impl Conflict {
    /// Whether a person wrote the field with kubectl: `edit`, `patch`, `scale`, `set` … A person who applies the
    /// object from elsewhere server-side means to go on doing so.
    pub fn is_by_hand(&self) -> bool {
        !self.applies && is_person(&self.manager)
    }

    /// Whether an autoscaler, or something like one, set the replicas.
    pub fn is_scaling(&self) -> bool {
        self.field == ".spec.replicas" && self.subresource.as_deref() == Some("scale") && !self.is_by_hand()
    }

    /// The field as people write it: `spec.template.spec.containers[web].image`.
    pub fn path(&self) -> String {
        let steps = steps(&self.field);
        let mut path = String::new();
        for (index, step) in steps.iter().enumerate() {
            match step.split_once('=') {
                Some((_, value)) => path += &format!("[{}]", value.trim_matches('"')),
                None if step.contains('/') || step.contains('.') => path += &format!("[{step}]"),
                None => {
                    path += if index == 0 { "" } else { "." };
                    path += step;
                }
            }
        }
        path
    }
}

/// Why an object was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Other managers own fields of it.
    Conflict(Vec<Conflict>),
    /// A field that cannot be changed once the object exists.
    Immutable {
        /// `spec.selector`.
        field: String,
    },
    /// A value that is not allowed.
    Invalid {
        /// `spec.template.spec.containers[0].image`; empty when the server names none.
        field: String,
    },
    /// A field that the kind does not have.
    UnknownField {
        /// `spec.replcias`.
        field: String,
    },
    /// The user may not.
    Forbidden,
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// A webhook or policy said no.
    AdmissionDenied {
        /// Its name, where the server says it.
        by: String,
    },
    /// A webhook did not answer.
    WebhookFailed {
        /// Its name.
        webhook: String,
    },
    /// The namespace does not exist.
    NamespaceMissing(String),
    /// The namespace is being deleted.
    NamespaceTerminating(String),
    /// The role that a binding refers to does not exist.
    RoleMissing,
    /// The cluster does not serve this kind.
    KindUnknown,
    /// The object to change does not exist.
    NotFound,
    /// There is one already (create).
    AlreadyExists,
    /// It is no longer the one that was read (replace).
    Stale,
    /// The credentials are not accepted.
    Unauthorized,
    /// The API server could not be reached or could not do it: worth a retry.
    Unreachable,
    /// The run was cancelled.
    Interrupted,
}

impl Refusal {
    /// The cause of the contract.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Conflict(_) | Self::AlreadyExists | Self::Stale => Cause::Conflict,
            Self::Immutable { .. } => Cause::ImmutableField,
            Self::Invalid { .. }
            | Self::UnknownField { .. }
            | Self::KindUnknown
            | Self::NotFound
            | Self::RoleMissing
            | Self::NamespaceMissing(_) => Cause::InvalidManifest,
            Self::Forbidden | Self::Unauthorized => Cause::Forbidden,
            Self::QuotaExceeded => Cause::QuotaExceeded,
            Self::AdmissionDenied { .. } | Self::WebhookFailed { .. } => Cause::AdmissionDenied,
            Self::NamespaceTerminating(_) => Cause::BeingDeleted,
            Self::Unreachable | Self::Interrupted => Cause::Unknown,
        }
    }

    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Forbidden | Self::Unauthorized => Some(ErrorClass::Denied),
            Self::Unreachable => Some(ErrorClass::Unreachable),
            Self::KindUnknown => Some(ErrorClass::KindUnknown),
            Self::Interrupted => None,
            _ => Some(ErrorClass::Refused),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Forbidden | Self::Unauthorized => Kind::Denied,
            Self::Unreachable => Kind::Unreachable,
            Self::Interrupted => Kind::Interrupted,
            _ => Kind::Refused,
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object.id(), self.message)
    }
}

impl std::error::Error for ApplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.refusal.class().map(|class| class.as_source() as &(dyn std::error::Error + 'static))
    }
}

impl From<ApplyError> for Error {
    fn from(refused: ApplyError) -> Self {
        let error = Self::new(refused.refusal.kind(), refused.to_string());
        let error = match &refused.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
        error.with_source(refused)
    }
}

impl ApplyError {
    /// An entry of the report's last block.
    pub fn failure(&self) -> Failure {
        Failure {
            subject: Subject::Object(self.object.id()),
            cause: self.refusal.cause().to_string(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            evidence: Vec::new(),
        }
    }

    /// The first field that it is about, as the server writes it; empty where it names none.
    pub fn field(&self) -> &str {
        self.fields.first().map_or("", |one| &one.field)
    }

    /// The kind is unknown, or asking for it failed.
    pub fn before_sending(object: &ObjectRef, error: &Error) -> Self {
        let refusal = match ErrorClass::of(error) {
            Some(ErrorClass::KindUnknown | ErrorClass::Refused) => Refusal::KindUnknown,
            Some(ErrorClass::Denied) => Refusal::Forbidden,
            _ if error.is_interruption() => Refusal::Interrupted,
            _ => Refusal::Unreachable,
        };
        Self {
            object: object.clone(),
            refusal,
            message: error.message().to_owned(),
            hint: error.hint().map(ToOwned::to_owned),
            fields: Vec::new(),
        }
    }

    pub(crate) fn from_request(fault: RequestError, sent: &Value, wanted: &RequestInfo) -> Self {
        let object = ObjectRef::of(sent);
        let status = match fault {
            RequestError::Status(status) => status,
            other => {
                let error = other.into_error(wanted);
                return Self::before_sending(&object, &error);
            }
        };
        let Diagnosis { refusal, message, hint, fields } = read(&status, wanted, &object);
        Self { object, refusal, message: without_go(&message), hint, fields }
    }
}

/// What a status means.
struct Diagnosis {
    refusal: Refusal,
    message: String,
    hint: Option<String>,
    fields: Vec<FieldError>,
}

impl Diagnosis {
    fn new(refusal: Refusal, message: impl Into<String>) -> Self {
        Self { refusal, message: message.into(), hint: None, fields: Vec::new() }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// It is this field, and nothing else.
    fn field(mut self, field: impl Into<String>) -> Self {
        self.fields = vec![FieldError { field: field.into(), message: self.message.clone() }];
        self
    }
}

fn read(status: &Status, wanted: &RequestInfo, object: &ObjectRef) -> Diagnosis {
    if let Some(read) = admission(status) {
        return read;
    }
    if typed_errors(&status.message).len() < 2
        && let Some(read) = unknown_field(&status.message, object)
    {
        return read;
    }
    match status.code {
        401 => Diagnosis::new(Refusal::Unauthorized, "the cluster does not accept the credentials")
            .with_hint("log in again, or renew the token that the kubeconfig holds"),
        403 => forbidden(status, wanted),
        404 => missing(status, object),
        409 => conflict(status, object),
        413 => Diagnosis::new(
            Refusal::Invalid { field: String::new() },
            "the object is larger than the cluster accepts",
        ),
        429 | 500..=599 if wanted.verb != "patch" || !status.message.contains("failed to create typed") => {
            Diagnosis::new(Refusal::Unreachable, format!("the API server failed: {}", plain(status)))
        }
        _ => invalid(status),
    }
}

/// What webhooks, policies and other gates say, whatever the code it comes with.
fn admission(status: &Status) -> Option<Diagnosis> {
    let message = status.message.as_str();
    if let Some((_, rest)) = message.split_once("failed calling webhook \"") {
        let (webhook, why) = rest.split_once('"').unwrap_or((rest, ""));
        let why = why.trim_start_matches([':', ' ']);
        let refusal = Refusal::WebhookFailed { webhook: webhook.to_owned() };
        return Some(Diagnosis::new(
            refusal,
            format!("the admission webhook `{webhook}` did not respond: {why}"),
        ));
    }
    if let Some((_, rest)) = message.split_once("admission webhook \"")
        && let Some((webhook, rest)) = rest.split_once('"')
        && let Some((_, why)) = rest.split_once("denied the request")
    {
        let why = why.trim_start_matches([':', ' ']);
        let why = if why.is_empty() { "it gave no reason" } else { why };
        let refusal = Refusal::AdmissionDenied { by: webhook.to_owned() };
        return Some(Diagnosis::new(refusal, format!("the admission webhook `{webhook}` denied it: {why}")));
    }
    if let Some((_, rest)) = message.split_once("ValidatingAdmissionPolicy '")
        && let Some((policy, rest)) = rest.split_once('\'')
    {
        let why = rest.split_once("denied request: ").map_or(rest, |(_, why)| why);
        let refusal = Refusal::AdmissionDenied { by: policy.to_owned() };
        return Some(Diagnosis::new(refusal, format!("the admission policy `{policy}` denied it: {why}")));
    }
    if let Some((_, why)) = message.split_once("violates PodSecurity ") {
        let refusal = Refusal::AdmissionDenied { by: "PodSecurity".to_owned() };
        return Some(Diagnosis::new(
            refusal,
            format!("it violates the namespace's pod security level {why}"),
        ));
    }
    None
}

fn forbidden(status: &Status, wanted: &RequestInfo) -> Diagnosis {
    let message = status.message.as_str();
    if let Some((_, why)) = message.split_once("exceeded quota: ") {
        return Diagnosis::new(Refusal::QuotaExceeded, format!("it exceeds the quota {why}"))
            .with_hint("request less, delete something, or ask for a larger ResourceQuota");
    }
    if message.contains("is being terminated") {
        let namespace = wanted.namespace.clone().unwrap_or_default();
        let words = format!("the namespace `{namespace}` is being deleted");
        return Diagnosis::new(Refusal::NamespaceTerminating(namespace), words)
            .with_hint("wait until it is deleted, then release again");
    }
    if message.contains(" cannot ") {
        return Diagnosis::new(Refusal::Forbidden, format!("{} may not {wanted}", user_of(message)))
            .with_hint(wanted.hint());
    }
    // LimitRanges, priorities and other built-in admission: `pods "x" is forbidden: [why]`.
    let why = message.split_once("is forbidden: ").map_or(message, |(_, why)| why);
    Diagnosis::new(
        Refusal::AdmissionDenied { by: String::new() },
        format!("the cluster does not admit it: {why}"),
    )
}

fn missing(status: &Status, object: &ObjectRef) -> Diagnosis {
    let ObjectRef { api_version, kind, name, .. } = object;
    if status.details.kind == "namespaces" && kind != "Namespace" {
        let namespace = status.details.name.clone();
        return Diagnosis::new(
            Refusal::NamespaceMissing(namespace.clone()),
            format!("the namespace `{namespace}` does not exist"),
        )
        .with_hint(format!("create it, or ask an administrator to: kubectl create namespace {namespace}"));
    }
    // To whom may not bind what he does not have, the server says of a role that is missing that the binding is not.
    if kind.ends_with("RoleBinding") && status.details.kind.to_lowercase().contains("role") {
        return Diagnosis::new(Refusal::RoleMissing, "the role that it binds does not exist");
    }
    if status.details.name == *name && !name.is_empty() {
        return Diagnosis::new(Refusal::NotFound, "it does not exist");
    }
    Diagnosis::new(
        Refusal::KindUnknown,
        format!("the cluster does not serve the kind {kind} of {api_version}"),
    )
    .with_hint("is its definition (CustomResourceDefinition) installed in this cluster?")
}

fn conflict(status: &Status, object: &ObjectRef) -> Diagnosis {
    if status.reason == "AlreadyExists" {
        return Diagnosis::new(Refusal::AlreadyExists, "it already exists");
    }
    let conflicts: Vec<Conflict> = status
        .details
        .causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| Conflict { field: cause.field.clone(), ..other_manager(&cause.message) })
        .collect();
    let Some(first) = conflicts.first() else {
        return Diagnosis::new(Refusal::Stale, "it was changed by someone else in the meantime");
    };
    let words = conflict_words(&conflicts);
    let field = first.field.clone();
    let hint = format!(
        "remove the fields from the manifest of {}, or stop `{}` from setting them, or take them over \
         once with `windlass adopt TIER`",
        object.id(),
        first.manager
    );
    Diagnosis::new(Refusal::Conflict(conflicts), words).with_hint(hint).field(field)
}

/// The manager in `conflict with "kubectl" with subresource "scale" using apps/v1`. Only of one that does not apply
/// it says in which version it wrote.
fn other_manager(message: &str) -> Conflict {
    let mut quoted = message.split('"').skip(1).step_by(2).map(str::to_owned);
    Conflict {
        manager: quoted.next().unwrap_or_else(|| message.to_owned()),
        field: String::new(),
        subresource: quoted.next(),
        applies: !message.contains(" using "),
    }
}

/// `"kubectl" owns .spec.replicas and .spec.paused, "helm" owns .spec.template`.
fn conflict_words(conflicts: &[Conflict]) -> String {
    let mut managers: Vec<&str> = Vec::new();
    for conflict in conflicts {
        if !managers.contains(&conflict.manager.as_str()) {
            managers.push(&conflict.manager);
        }
    }
    let owned = managers.iter().map(|manager| {
        let fields: Vec<&str> = conflicts
            .iter()
            .filter(|c| c.manager == *manager)
            .map(|c| c.field.trim_start_matches('.'))
            .collect();
        format!("`{manager}` owns {}", fields.join(" and "))
    });
    owned.collect::<Vec<_>>().join(", ")
}

/// Fields that the kind does not have, from either of the two readers of the server.
fn unknown_field(message: &str, object: &ObjectRef) -> Option<Diagnosis> {
    let field = if let Some((_, rest)) = message.split_once("unknown field \"") {
        rest.split_once('"')?.0.to_owned()
    } else {
        let (before, _) = message.split_once(": field not declared in schema")?;
        before.rsplit([' ', '\n']).next()?.trim_start_matches('.').to_owned()
    };
    let words = format!("{} of {} has no field `{field}`", object.kind, object.api_version);
    Some(Diagnosis::new(Refusal::UnknownField { field: field.clone() }, words).field(field))
}

/// Values that are not allowed, and fields that may not change.
fn invalid(status: &Status) -> Diagnosis {
    let causes = &status.details.causes;
    if let Some(cause) = causes.iter().find(|cause| is_immutable(cause)) {
        let field = cause.field.clone();
        let words = format!("the field `{field}` of an object that exists cannot be changed");
        // To recreate a claim deletes the data of its volume.
        let hint = if status.details.kind.eq_ignore_ascii_case("persistentvolumeclaim") {
            "a claim can only grow: for another volume, create a claim with another name and copy the data"
        } else {
            "give the object a new name, or allow it to be recreated with `windlass.dev/recreate: allowed`"
        };
        return Diagnosis::new(Refusal::Immutable { field: field.clone() }, words)
            .field(field)
            .with_hint(hint);
    }
    let fields = match causes.as_slice() {
        [] => typed_errors(&status.message),
        causes => causes.iter().map(field_error).collect(),
    };
    let field = fields.first().map(|one| one.field.clone()).unwrap_or_default();
    let words = match fields.as_slice() {
        [] => plain(status),
        fields => fields.iter().map(field_words).collect::<Vec<_>>().join("; "),
    };
    let read = Diagnosis { fields, ..Diagnosis::new(Refusal::Invalid { field: field.clone() }, words) };
    // The server's own defaults belong to nobody, so that no manifest takes them away.
    let strategy = field.strip_suffix(".rollingUpdate").and_then(|path| path.strip_prefix("spec."));
    if let Some(strategy) = strategy {
        let kind = if strategy == "strategy" { "Recreate" } else { "OnDelete" };
        read.with_hint(format!(
            "the object in the cluster still has the server's defaults for RollingUpdate: remove them \
             once with \
             `kubectl patch KIND/NAME --type=merge -p '{{\"spec\":{{\"{strategy}\":{{\"type\":\"{kind}\",\"rollingUpdate\":null}}}}}}'`, or \
             allow it to be recreated: `windlass.dev/recreate: allowed`"
        ))
    } else {
        read
    }
}

fn is_immutable(cause: &StatusCause) -> bool {
    const WORDS: &[&str] =
        &["immutable", "cannot change", "may not change", "updates to", "may not be changed"];
    WORDS.iter().any(|words| cause.message.contains(words))
}

fn field_error(cause: &StatusCause) -> FieldError {
    let field = Some(cause.field.clone()).filter(|field| field != "<nil>").unwrap_or_default();
    FieldError { field, message: without_go(&cause.message) }
}

fn field_words(one: &FieldError) -> String {
    if one.field.is_empty() { one.message.clone() } else { format!("{}: {}", one.field, one.message) }
}

/// The server's message without the object's name in front, which the reader sees anyway.
fn plain(status: &Status) -> String {
    let message = status.message.as_str();
    let message = message.split_once("\" is invalid: ").map_or(message, |(_, rest)| rest);
    let message = message.split_once("strict decoding error: ").map_or(message, |(_, rest)| rest);
    let message = message.strip_prefix("failed to create typed patch object ").unwrap_or(message);
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// `spec.containers[name="a.b"].image` as `spec`, `containers`, `name="a.b"`, `image`.
fn steps(field: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut inside = false;
    for character in field.chars() {
        match character {
            '[' if !inside => {
                inside = true;
                steps.push(String::new());
            }
            ']' if inside => inside = false,
            '.' if !inside => steps.push(String::new()),
            other => steps.last_mut().expect("there is one from the start").push(other),
        }
    }
    steps.retain(|step| !step.is_empty());
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "annotations": {"a.b/c": "d"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "x"}, {"name": "web", "image": "i"}]}}},
        })
    }

    fn refused(code: u16, reason: &str, message: &str, causes: &[(&str, &str, &str)]) -> ApplyError {
        let causes: Vec<Value> = causes
            .iter()
            .map(|(reason, message, field)| json!({"reason": reason, "message": message, "field": field}))
            .collect();
        let details = json!({"name": "web", "group": "apps", "kind": "deployments", "causes": causes});
        let body =
            json!({"kind": "Status", "code": code, "reason": reason, "message": message, "details": details});
        let fault = RequestError::Status(Box::new(Status::read(code, body.to_string().as_bytes())));
        let wanted = RequestInfo {
            verb: "patch",
            resource: "deployments.apps".into(),
            namespace: Some("shop".into()),
        };
        ApplyError::from_request(fault, &deployment(), &wanted)
    }

    #[test]
    fn the_refusal_of_an_apply_has_the_class_of_its_request() {
        for (code, class) in [
            (401, ErrorClass::Denied),
            (403, ErrorClass::Denied),
            (422, ErrorClass::Refused),
            (503, ErrorClass::Unreachable),
        ] {
            let error = Error::from(refused(code, "", "User \"ann\" cannot patch", &[]));
            assert_eq!(ErrorClass::of(&error), Some(class), "{code}");
            let again = ApplyError::before_sending(&ObjectRef::of(&deployment()), &error);
            assert_eq!(Error::from(again).kind(), error.kind(), "{code}");
        }
    }

    #[test]
    fn a_conflict_names_managers_and_fields() {
        let error = refused(
            409,
            "Conflict",
            "Apply failed with 2 conflicts",
            &[
                (
                    "FieldManagerConflict",
                    "conflict with \"kubectl-client-side-apply\" using apps/v1",
                    ".spec.replicas",
                ),
                (
                    "FieldManagerConflict",
                    "conflict with \"helm\" using apps/v1",
                    ".spec.template.spec.containers[name=\"web\"].image",
                ),
            ],
        );
        assert_eq!(error.refusal.cause(), Cause::Conflict);
        assert_eq!(
            error.message,
            "`kubectl-client-side-apply` owns spec.replicas, `helm` owns spec.template.spec.containers[name=\"web\"].image"
        );
        assert_eq!(error.fields[0].field, ".spec.replicas");
    }

    #[test]
    fn who_wrote_a_field_and_how() {
        let hand = other_manager("conflict with \"kubectl-edit\" using apps/v1 at 2026-01-01T00:00:00Z");
        assert!(hand.is_by_hand() && !hand.is_scaling());
        let other = other_manager("conflict with \"kubectl\"");
        assert!(other.applies && !other.is_by_hand(), "kubectl apply --server-side");
        let message = "conflict with \"kube-controller-manager\" with subresource \"scale\" using apps/v1";
        let scaler = Conflict { field: ".spec.replicas".into(), ..other_manager(message) };
        assert!(scaler.is_scaling());
        let person = other_manager("conflict with \"kubectl\" with subresource \"scale\" using apps/v1");
        let person = Conflict { field: ".spec.replicas".into(), ..person };
        assert!(person.is_by_hand() && !person.is_scaling());
        let field = ".spec.template.spec.containers[name=\"web\"].env[name=\"A\"].value";
        let path = Conflict { field: field.into(), ..person }.path();
        assert_eq!(path, "spec.template.spec.containers[web].env[A].value");
    }

    #[test]
    fn immutable_invalid_and_unknown_fields() {
        let error = refused(
            422,
            "Invalid",
            "Deployment.apps \"web\" is invalid: spec.selector: Invalid value: …: field is immutable",
            &[("FieldValueInvalid", "Invalid value: {}: field is immutable", "spec.selector")],
        );
        assert_eq!(error.refusal, Refusal::Immutable { field: "spec.selector".into() });
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("windlass.dev/recreate")));
        let details = json!({"name": "data", "kind": "PersistentVolumeClaim", "causes": [{"reason": "FieldValueForbidden",
            "message": "Forbidden: spec is immutable after creation except resources.requests", "field": "spec"}]});
        let claim = invalid(&Status::read(
            422,
            json!({"kind": "Status", "code": 422, "reason": "Invalid", "details": details})
                .to_string()
                .as_bytes(),
        ));
        let hint = claim.hint.unwrap_or_default();
        assert!(hint.contains("a claim can only grow") && !hint.contains("recreate"), "{hint}");

        let error = refused(
            422,
            "Invalid",
            "Deployment.apps \"web\" is invalid: …",
            &[("FieldValueRequired", "Required value", "spec.template.spec.containers[0].image")],
        );
        assert_eq!(error.message, "spec.template.spec.containers[0].image: Required value");
        assert_eq!(error.fields[0].field, "spec.template.spec.containers[0].image");

        let error = refused(
            500,
            "",
            "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replcias: field not declared in schema",
            &[],
        );
        assert_eq!(error.refusal, Refusal::UnknownField { field: "spec.replcias".into() });
        assert_eq!(error.message, "Deployment of apps/v1 has no field `spec.replcias`");
    }

    #[test]
    fn rights_quota_admission_and_namespace() {
        let error = refused(
            403,
            "Forbidden",
            "deployments.apps \"web\" is forbidden: User \"ann\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\"",
            &[],
        );
        assert_eq!(error.message, "user `ann` may not patch deployments.apps in namespace `shop`");
        assert_eq!(Error::from(error).kind(), Kind::Denied);

        let error =
            refused(403, "Forbidden", "pods \"web\" is forbidden: exceeded quota: q, requested: cpu=2", &[]);
        assert_eq!(error.refusal, Refusal::QuotaExceeded);
        let error =
            refused(400, "", "admission webhook \"deny.example.com\" denied the request: not today", &[]);
        assert_eq!(error.message, "the admission webhook `deny.example.com` denied it: not today");
        let error = refused(
            500,
            "InternalError",
            "Internal error occurred: failed calling webhook \"w.x\": failed to call webhook: no endpoints",
            &[],
        );
        assert_eq!(error.refusal, Refusal::WebhookFailed { webhook: "w.x".into() });
        let error = refused(503, "", "etcdserver: leader changed", &[]);
        assert_eq!(Error::from(error).kind(), Kind::Unreachable);
    }
}
