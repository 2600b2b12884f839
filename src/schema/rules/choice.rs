//! Fields of which one is wanted, or only one is allowed.

use super::{Checked, drops};
use crate::schema::finding::{Finding, one_of};

/// How many of some fields there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    One,
    AtLeastOne,
    AtMostOne,
}

use Count::{AtLeastOne, AtMostOne, One};

/// What is chosen among: strings and lists that are empty count as left out.
struct Choice(&'static str, &'static [&'static str], Count, &'static str);

/// By type; the function of Kubernetes that asks for it stands above.
const CHOICES: &[Choice] = &[
    // validateHandler
    Choice("core.v1.Probe", &["exec", "httpGet", "tcpSocket", "grpc"], One, "a probe"),
    Choice("core.v1.LifecycleHandler", &["exec", "httpGet", "tcpSocket", "sleep"], One, "a hook"),
    // ValidateEnvFrom
    Choice("core.v1.EnvFromSource", &["configMapRef", "secretRef"], One, "an item of `envFrom`"),
    // validatePodResourceClaim, in 1.27 to 1.30 the fields were called otherwise
    Choice(
        "core.v1.PodResourceClaim",
        &["resourceClaimName", "resourceClaimTemplateName", "source"],
        One,
        "a resource claim",
    ),
    // ValidateVolumeMounts
    Choice("core.v1.VolumeMount", &["subPath", "subPathExpr"], AtMostOne, "a mount"),
    // validateDownwardAPIVolumeFile
    Choice("core.v1.DownwardAPIVolumeFile", &["fieldRef", "resourceFieldRef"], One, "a file"),
    // validateProjectionSources
    Choice(
        "core.v1.VolumeProjection",
        &[
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ],
        AtMostOne,
        "an item of `sources`",
    ),
    Choice("core.v1.ClusterTrustBundleProjection", &["name", "signerName"], One, "a trust bundle"),
    Choice(
        "core.v1.PodCertificateProjection",
        &["credentialBundlePath", "keyPath", "certificateChainPath"],
        AtLeastOne,
        "a certificate",
    ),
    // validateFCVolumeSource, validateFlockerVolumeSource
    Choice("core.v1.FCVolumeSource", &["targetWWNs", "wwids"], One, "a Fibre Channel volume"),
    Choice("core.v1.FlockerVolumeSource", &["datasetName", "datasetUUID"], One, "a Flocker volume"),
    // validateEndpointSubsets
    Choice("core.v1.EndpointSubset", &["addresses", "notReadyAddresses"], AtLeastOne, "a subset"),
    // validateIngressBackend, validateServiceBackendPort
    Choice("networking.v1.IngressBackend", &["service", "resource"], One, "a backend"),
    Choice("networking.v1.ServiceBackendPort", &["name", "number"], One, "the port of a backend"),
    // validatePodFailurePolicyRule, validateSuccessPolicyRule
    Choice("batch.v1.PodFailurePolicyRule", &["onExitCodes", "onPodConditions"], One, "a rule"),
    Choice("batch.v1.SuccessPolicyRule", &["succeededIndexes", "succeededCount"], AtLeastOne, "a rule"),
    // validateValidatingWebhook, validateCustomResourceConversion
    Choice("admissionregistration.v1.WebhookClientConfig", &["url", "service"], One, "`clientConfig`"),
    Choice("apiextensions.v1.WebhookClientConfig", &["url", "service"], One, "`clientConfig`"),
    // validateValidatingAdmissionPolicySpec, validateParamRef
    Choice(
        "admissionregistration.v1.ValidatingAdmissionPolicySpec",
        &["validations", "auditAnnotations"],
        AtLeastOne,
        "a policy",
    ),
    Choice("admissionregistration.v1.ParamRef", &["name", "selector"], One, "`paramRef`"),
    // ValidateFlowSchemaPolicyRulesWithSubjects
    Choice(
        "flowcontrol.v1.PolicyRulesWithSubjects",
        &["resourceRules", "nonResourceRules"],
        AtLeastOne,
        "a rule",
    ),
    // validateVolumeAttachmentSource
    Choice(
        "storage.v1.VolumeAttachmentSource",
        &["inlineVolumeSpec", "persistentVolumeName"],
        One,
        "the source of an attachment",
    ),
    // validateDeviceRequest, validateDeviceConstraint
    Choice("resource.v1.DeviceRequest", &["exactly", "firstAvailable"], One, "a request"),
    Choice(
        "resource.v1.DeviceConstraint",
        &["matchAttribute", "distinctAttribute"],
        AtLeastOne,
        "a constraint",
    ),
];

/// Checks the choices of a type.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for Choice(type_name, names, count, what) in CHOICES {
        if *type_name == one.type_name {
            found.extend(choose(one, names, *count, what));
        }
    }
}

/// Exactly one of the fields must be there.
pub(super) fn exactly_one(one: &Checked<'_>, names: &[&str], what: &str) -> Option<Finding> {
    choose(one, names, One, what)
}

/// At most one of the fields may be there.
pub(super) fn at_most_one(one: &Checked<'_>, names: &[&str], what: &str) -> Option<Finding> {
    choose(one, names, AtMostOne, what)
}

fn choose(one: &Checked<'_>, names: &[&str], count: Count, what: &str) -> Option<Finding> {
    // The number 0 is left out, too.
    let is_zero = |name: &&str| *name == "number" && one.int(name) == Some(0);
    // Here empty is something, too.
    let is_free = one.type_name == "batch.v1.SuccessPolicyRule";
    let filled = if is_free { one.present(names) } else { one.filled(names) };
    let filled: Vec<&str> = filled.into_iter().filter(|name| !is_zero(name)).collect();
    let (dropped, filled): (Vec<&str>, Vec<&str>) =
        filled.into_iter().partition(|name| is_dropped(one, name));
    match filled[..] {
        // What was misspelled or is dropped is reported as such.
        [] if count == AtMostOne || one.has_unknown_field() || !dropped.is_empty() => None,
        [] => Some(one.missing(format!("{what} needs one of {}", one_of(&known(one, names))))),
        [first, second, ..] if count != AtLeastOne => Some(
            Finding::error(one.at(second), format!("{what} has `{first}` and `{second}`; one is allowed"))
                .at_key(),
        ),
        _ => None,
    }
}

fn is_dropped(one: &Checked<'_>, name: &str) -> bool {
    one.get(name).is_some_and(|value| drops((one.type_name, one.schemas.minor()), name, value, &one.at(name)))
}

/// Those that this version of Kubernetes has.
fn known<'n>(one: &Checked<'_>, names: &[&'n str]) -> Vec<&'n str> {
    let is_known = |name: &&str| one.schemas.field_of(one.type_name, name).is_some();
    names.iter().copied().filter(is_known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::TABLE;

    #[test]
    fn every_choice_is_among_fields_of_the_table() {
        for Choice(type_name, names, ..) in CHOICES {
            for name in *names {
                let has = TABLE
                    .types
                    .get(type_name)
                    .is_some_and(|one| one.fields.iter().any(|field| field.name == *name));
                assert!(has, "{type_name}.{name}");
            }
        }
    }
}
