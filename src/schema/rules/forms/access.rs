//! Roles, certificates, namespaces, leases, events.

use super::Rule::{EachOf, Exact, Form, Longest, Range};
use super::{NOT_NEGATIVE, POSITIVE, Table};
use crate::schema::format::Format::{Label, PathSegment, Qualified, Signer};

/// `allValidUsages`.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
    // ValidateRoleBinding
    ("rbac.v1.RoleRef", "name", Form(PathSegment)),
    // validateCertificateSigningRequest
    ("certificates.v1.CertificateSigningRequestSpec", "usages", EachOf(USAGES)),
    ("certificates.v1.CertificateSigningRequestSpec", "signerName", Form(Signer)),
    ("certificates.v1.CertificateSigningRequestSpec", "expirationSeconds", Range(600, i64::MAX)),
    // ValidateLeaseSpec
    ("coordination.v1.LeaseSpec", "leaseDurationSeconds", POSITIVE),
    ("coordination.v1.LeaseSpec", "leaseTransitions", NOT_NEGATIVE),
    // ValidateRuntimeClass
    ("node.v1.RuntimeClass", "handler", Form(Label)),
    ("node.v1.Scheduling", "nodeSelector", super::Rule::Labels),
    // legacyValidateEvent
    ("events.v1.Event", "reportingController", Form(Qualified)),
    ("events.v1.Event", "reportingInstance", Longest(128)),
    ("events.v1.Event", "action", Longest(128)),
    ("events.v1.Event", "reason", Longest(128)),
    ("events.v1.Event", "note", Longest(1024)),
    ("events.v1.Event", "type", super::Rule::ExactWords(&["Normal", "Warning"])),
    // ValidateOwnerReferences
    ("meta.v1.OwnerReference", "apiVersion", Exact(crate::schema::format::Format::ApiVersion)),
];
