//! Metadata, pods, and where they may run.

use super::Rule::{
    Annotations, Before, Both, Exact, ExactWords, Form, Forms, Labels, Longest, Most, NotEmpty, Range,
    Ranges, Since, Words,
};
use super::{POSITIVE, Table};
use crate::schema::format::Format::{
    Cidr, Ip, Label, LabelKey, LabelValue, Qualified, SearchDomain, StrictSearchDomain, Subdomain, Sysctl,
};

const USER: super::Rule = Range(0, i32::MAX as i64);
/// Since the gate `RelaxedDNSSearchValidation` is set.
const SEARCH: super::Rule = Both(&Since(33, &Forms(SearchDomain)), &Before(33, &Forms(StrictSearchDomain)));

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
    // ValidateObjectMeta, ValidateLabels, ValidateAnnotations
    ("meta.v1.ObjectMeta", "labels", Labels),
    ("meta.v1.ObjectMeta", "annotations", Annotations),
    // ValidateLabelSelector, ValidateLabelSelectorRequirement
    ("meta.v1.LabelSelector", "matchLabels", Labels),
    ("meta.v1.LabelSelectorRequirement", "key", Form(LabelKey)),
    ("meta.v1.LabelSelectorRequirement", "values", Forms(LabelValue)),
    ("meta.v1.LabelSelectorRequirement", "operator", ExactWords(&["In", "NotIn", "Exists", "DoesNotExist"])),
    // ValidatePodSpec
    ("core.v1.PodSpec", "nodeSelector", Labels),
    ("core.v1.PodSpec", "serviceAccountName", Form(Subdomain)),
    ("core.v1.PodSpec", "hostname", Form(Label)),
    ("core.v1.PodSpec", "hostnameOverride", Both(&Exact(Subdomain), &Longest(64))),
    ("core.v1.PodSpec", "subdomain", Form(Label)),
    ("core.v1.PodSpec", "nodeName", Form(Subdomain)),
    ("core.v1.PodSpec", "runtimeClassName", Exact(Subdomain)),
    ("core.v1.PodSpec", "priorityClassName", Form(Subdomain)),
    ("core.v1.PodSpec", "activeDeadlineSeconds", Range(1, i32::MAX as i64)),
    ("core.v1.PodReadinessGate", "conditionType", Exact(Qualified)),
    ("core.v1.PodSchedulingGate", "name", Exact(Qualified)),
    ("core.v1.PodResourceClaim", "name", Form(Label)),
    ("core.v1.PodResourceClaim", "resourceClaimName", Exact(Subdomain)),
    ("core.v1.PodResourceClaim", "resourceClaimTemplateName", Exact(Subdomain)),
    ("core.v1.PodOS", "name", Words(&["linux", "windows"])),
    // The server tells these from fields that are left out.
    ("core.v1.PodSpec", "preemptionPolicy", NotEmpty),
    ("core.v1.TopologySpreadConstraint", "nodeAffinityPolicy", NotEmpty),
    ("core.v1.TopologySpreadConstraint", "nodeTaintsPolicy", NotEmpty),
    ("core.v1.PodSecurityContext", "fsGroupChangePolicy", NotEmpty),
    ("core.v1.PodSecurityContext", "supplementalGroupsPolicy", NotEmpty),
    ("core.v1.SecurityContext", "procMount", Since(33, &NotEmpty)),
    ("scheduling.v1.PriorityClass", "preemptionPolicy", NotEmpty),
    // ValidateNode; it takes the place of the first of `podCIDRs`.
    ("core.v1.NodeSpec", "podCIDR", Form(Cidr)),
    // ValidateHostAliases
    ("core.v1.HostAlias", "ip", Form(Ip)),
    ("core.v1.HostAlias", "hostnames", Forms(Subdomain)),
    // validatePodDNSConfig
    ("core.v1.PodDNSConfig", "nameservers", Both(&Most(3), &Forms(Ip))),
    ("core.v1.PodDNSConfig", "searches", Both(&Most(32), &SEARCH)),
    // ValidateSecurityContext, validatePodSpecSecurityContext, validateSysctls
    ("core.v1.SecurityContext", "runAsUser", USER),
    ("core.v1.SecurityContext", "runAsGroup", USER),
    ("core.v1.PodSecurityContext", "runAsUser", USER),
    ("core.v1.PodSecurityContext", "runAsGroup", USER),
    ("core.v1.PodSecurityContext", "fsGroup", USER),
    ("core.v1.PodSecurityContext", "supplementalGroups", Ranges(0, i32::MAX as i64)),
    ("core.v1.PodSecurityContext", "seLinuxChangePolicy", ExactWords(&["MountOption", "Recursive"])),
    ("core.v1.Sysctl", "name", Form(Sysctl)),
    // validateWindowsSecurityContextOptions
    ("core.v1.WindowsSecurityContextOptions", "gmsaCredentialSpecName", Exact(Subdomain)),
    ("core.v1.WindowsSecurityContextOptions", "gmsaCredentialSpec", Both(&NotEmpty, &Longest(64 << 10))),
    // validateAffinity, validateTopologySpreadConstraints
    ("core.v1.PreferredSchedulingTerm", "weight", Range(1, 100)),
    ("core.v1.WeightedPodAffinityTerm", "weight", Range(1, 100)),
    ("core.v1.PodAffinityTerm", "topologyKey", Form(LabelKey)),
    ("core.v1.PodAffinityTerm", "namespaces", Forms(Label)),
    ("core.v1.PodAffinityTerm", "matchLabelKeys", Forms(LabelKey)),
    ("core.v1.PodAffinityTerm", "mismatchLabelKeys", Forms(LabelKey)),
    ("core.v1.TopologySpreadConstraint", "maxSkew", POSITIVE),
    ("core.v1.TopologySpreadConstraint", "minDomains", POSITIVE),
    ("core.v1.TopologySpreadConstraint", "matchLabelKeys", Forms(LabelKey)),
    // ValidateTolerations, validateNodeTaints
    ("core.v1.Toleration", "key", Form(LabelKey)),
    ("core.v1.Taint", "key", Exact(LabelKey)),
    ("core.v1.Taint", "value", Form(LabelValue)),
    // ValidateTopologySelectorTerm
    // ValidateNodeSelectorRequirement
    ("core.v1.NodeSelectorRequirement", "key", Form(LabelKey)),
    ("core.v1.TopologySelectorLabelRequirement", "key", Form(LabelKey)),
];
