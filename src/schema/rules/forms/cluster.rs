//! What extends and guards the API: admission, definitions, flow control, devices.

use super::Rule::{Before, EachOf, Exact, ExactWords, Form, Forms, Longest, Most, Range, Words};
use super::{NOT_NEGATIVE, PERCENT, PORT, Table};
use crate::schema::format::Format::{
    Driver, HttpsUrl, Identifier, JsonPath, Kind, Label, Label1035, LabelKey, PathSegment, Qualified,
    Subdomain, WebhookName, WebhookPath,
};

const FAILURE: super::Rule = ExactWords(&["Fail", "Ignore"]);
const MATCH: super::Rule = ExactWords(&["Equivalent", "Exact"]);
const SCOPE: super::Rule = ExactWords(&["*", "Cluster", "Namespaced"]);
const OPERATIONS: super::Rule = EachOf(&["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
const NOT_FOUND: super::Rule = ExactWords(&["Allow", "Deny"]);
const SCOPES: super::Rule = EachOf(&[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
]);
const REINVOCATION: super::Rule = ExactWords(&["IfNeeded", "Never"]);

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
    // validateValidatingWebhook, validateMutatingWebhook: others have side effects that a dry run would have, too.
    ("admissionregistration.v1.ValidatingWebhook", "name", Form(WebhookName)),
    ("admissionregistration.v1.ValidatingWebhook", "failurePolicy", FAILURE),
    ("admissionregistration.v1.ValidatingWebhook", "matchPolicy", MATCH),
    ("admissionregistration.v1.ValidatingWebhook", "sideEffects", Words(&["None", "NoneOnDryRun"])),
    ("admissionregistration.v1.ValidatingWebhook", "timeoutSeconds", Range(1, 30)),
    ("admissionregistration.v1.ValidatingWebhook", "matchConditions", Most(64)),
    ("admissionregistration.v1.ValidatingWebhook", "admissionReviewVersions", Forms(Label1035)),
    ("admissionregistration.v1.MutatingWebhook", "name", Form(WebhookName)),
    ("admissionregistration.v1.MutatingWebhook", "failurePolicy", FAILURE),
    ("admissionregistration.v1.MutatingWebhook", "matchPolicy", MATCH),
    ("admissionregistration.v1.MutatingWebhook", "sideEffects", Words(&["None", "NoneOnDryRun"])),
    ("admissionregistration.v1.MutatingWebhook", "timeoutSeconds", Range(1, 30)),
    ("admissionregistration.v1.MutatingWebhook", "matchConditions", Most(64)),
    ("admissionregistration.v1.MutatingWebhook", "admissionReviewVersions", Forms(Label1035)),
    ("admissionregistration.v1.MutatingWebhook", "reinvocationPolicy", REINVOCATION),
    // ValidateWebhookURL, ValidateWebhookService
    ("admissionregistration.v1.WebhookClientConfig", "url", Exact(HttpsUrl)),
    ("admissionregistration.v1.ServiceReference", "path", Form(WebhookPath)),
    ("admissionregistration.v1.ServiceReference", "port", PORT),
    ("apiextensions.v1.WebhookClientConfig", "url", Exact(HttpsUrl)),
    ("apiextensions.v1.ServiceReference", "path", Form(WebhookPath)),
    ("apiextensions.v1.ServiceReference", "port", PORT),
    // validateRuleWithOperations, validateNamedRuleWithOperations, validateMatchCondition
    ("admissionregistration.v1.RuleWithOperations", "operations", OPERATIONS),
    ("admissionregistration.v1.RuleWithOperations", "scope", SCOPE),
    ("admissionregistration.v1.NamedRuleWithOperations", "operations", OPERATIONS),
    ("admissionregistration.v1.NamedRuleWithOperations", "scope", SCOPE),
    ("admissionregistration.v1.NamedRuleWithOperations", "resourceNames", Forms(PathSegment)),
    ("admissionregistration.v1.MatchCondition", "name", Form(Qualified)),
    ("admissionregistration.v1.MatchResources", "matchPolicy", MATCH),
    // validateValidatingAdmissionPolicySpec, validateMutatingAdmissionPolicySpec and their bindings
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "failurePolicy", FAILURE),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "matchConditions", Most(64)),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "auditAnnotations", Most(20)),
    (
        "admissionregistration.v1.Validation",
        "reason",
        ExactWords(&["Forbidden", "Invalid", "RequestEntityTooLarge"]),
    ),
    ("admissionregistration.v1.Variable", "name", Form(Identifier)),
    ("admissionregistration.v1.ParamKind", "kind", Form(Kind)),
    ("admissionregistration.v1.ParamRef", "name", Form(PathSegment)),
    ("admissionregistration.v1.ParamRef", "parameterNotFoundAction", NOT_FOUND),
    ("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "policyName", Form(Subdomain)),
    (
        "admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec",
        "validationActions",
        EachOf(&["Audit", "Deny", "Warn"]),
    ),
    ("admissionregistration.v1.MutatingAdmissionPolicyBindingSpec", "policyName", Form(Subdomain)),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", "failurePolicy", FAILURE),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", "reinvocationPolicy", REINVOCATION),
    // validateCustomResourceDefinitionSpec, ValidateCustomResourceDefinitionNames
    ("apiextensions.v1.CustomResourceDefinitionSpec", "group", Form(Subdomain)),
    ("apiextensions.v1.CustomResourceDefinitionSpec", "scope", Words(&["Cluster", "Namespaced"])),
    ("apiextensions.v1.CustomResourceDefinitionVersion", "name", Form(Label1035)),
    ("apiextensions.v1.CustomResourceDefinitionNames", "plural", Form(Label1035)),
    ("apiextensions.v1.CustomResourceDefinitionNames", "singular", Form(Label1035)),
    ("apiextensions.v1.CustomResourceDefinitionNames", "kind", Form(Kind)),
    ("apiextensions.v1.CustomResourceDefinitionNames", "listKind", Form(Kind)),
    ("apiextensions.v1.CustomResourceDefinitionNames", "shortNames", Forms(Label1035)),
    ("apiextensions.v1.CustomResourceDefinitionNames", "categories", Forms(Label1035)),
    ("apiextensions.v1.CustomResourceConversion", "strategy", Words(&["None", "Webhook"])),
    ("apiextensions.v1.WebhookConversion", "conversionReviewVersions", Forms(Label1035)),
    // ValidateCustomResourceColumnDefinition, ValidateCustomResourceDefinitionSubresources
    ("apiextensions.v1.CustomResourceColumnDefinition", "jsonPath", Form(JsonPath)),
    (
        "apiextensions.v1.CustomResourceColumnDefinition",
        "type",
        Words(&["boolean", "date", "integer", "number", "string"]),
    ),
    (
        "apiextensions.v1.CustomResourceColumnDefinition",
        "format",
        Words(&["byte", "date", "date-time", "double", "float", "int32", "int64", "password"]),
    ),
    // ValidateAPIService
    ("apiregistration.v1.APIServiceSpec", "groupPriorityMinimum", Range(1, 20_000)),
    ("apiregistration.v1.APIServiceSpec", "versionPriority", Range(1, 1_000)),
    ("apiregistration.v1.APIServiceSpec", "version", Form(Label1035)),
    ("apiregistration.v1.ServiceReference", "port", PORT),
    // ValidateFlowSchemaSpec, ValidatePriorityLevelConfigurationSpec
    ("flowcontrol.v1.FlowSchemaSpec", "matchingPrecedence", Range(0, 10_000)),
    ("flowcontrol.v1.FlowDistinguisherMethod", "type", Words(&["ByNamespace", "ByUser"])),
    ("flowcontrol.v1.PriorityLevelConfigurationReference", "name", Form(Subdomain)),
    ("flowcontrol.v1.ServiceAccountSubject", "namespace", Form(Label)),
    ("flowcontrol.v1.PriorityLevelConfigurationSpec", "type", Words(&["Exempt", "Limited"])),
    ("flowcontrol.v1.LimitResponse", "type", Words(&["Queue", "Reject"])),
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", "nominalConcurrencyShares", NOT_NEGATIVE),
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", "lendablePercent", PERCENT),
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", "borrowingLimitPercent", NOT_NEGATIVE),
    ("flowcontrol.v1.ExemptPriorityLevelConfiguration", "nominalConcurrencyShares", NOT_NEGATIVE),
    ("flowcontrol.v1.ExemptPriorityLevelConfiguration", "lendablePercent", PERCENT),
    ("flowcontrol.v1.QueuingConfiguration", "queues", Range(0, 10_000_000)),
    ("flowcontrol.v1.QueuingConfiguration", "handSize", NOT_NEGATIVE),
    ("flowcontrol.v1.QueuingConfiguration", "queueLengthLimit", NOT_NEGATIVE),
    // validateDeviceRequest, validateDeviceConstraint, validateOpaqueConfiguration
    ("resource.v1.DeviceRequest", "name", Form(Label)),
    ("resource.v1.DeviceSubRequest", "name", Form(Label)),
    ("resource.v1.DeviceSubRequest", "deviceClassName", Form(Subdomain)),
    // 0 is left out: it is 1 then.
    ("resource.v1.DeviceSubRequest", "count", NOT_NEGATIVE),
    // The schema of 1.34 does not say so yet.
    ("resource.v1.DeviceSubRequest", "allocationMode", Words(&["All", "ExactCount"])),
    ("resource.v1.ExactDeviceRequest", "allocationMode", Words(&["All", "ExactCount"])),
    ("resource.v1.DeviceToleration", "effect", Words(&["NoExecute", "NoSchedule", "None"])),
    ("resource.v1.DeviceToleration", "operator", Words(&["Equal", "Exists"])),
    ("resource.v1.ExactDeviceRequest", "deviceClassName", Form(Subdomain)),
    ("resource.v1.ExactDeviceRequest", "count", NOT_NEGATIVE),
    ("resource.v1.OpaqueDeviceConfiguration", "driver", Form(Driver)),
    ("resource.v1.DeviceToleration", "key", Form(LabelKey)),
    ("resource.v1.CELDeviceSelector", "expression", Longest(10 << 10)),
    ("resource.v1.DeviceClaim", "requests", Most(32)),
    ("core.v1.ResourceClaim", "request", Form(Label)),
    // validateResourceQuotaScopes; the schema says so since 1.30.
    ("core.v1.ResourceQuotaSpec", "scopes", Before(30, &SCOPES)),
];
