//! Services, Ingresses, network policies, endpoints.

use super::Rule::{EachOf, Exact, ExactWords, Form, Forms, Labels, NotEmpty, Port, Range, Since, TargetPort};
use super::{PORT, Table};
use crate::schema::format::Format::{
    Cidr, DomainPath, Endpoint, ExternalName, Host, Label, Label1035, LabelValue, PathSegment, PortName,
    Qualified, Subdomain,
};

/// A name that a Service may have.
const SERVICE: super::Rule =
    super::Rule::Both(&Since(34, &Form(Label)), &super::Rule::Before(34, &Form(Label1035)));

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
    // validateService
    ("core.v1.ServicePort", "port", PORT),
    ("core.v1.ServicePort", "name", Form(Label)),
    ("core.v1.ServicePort", "targetPort", TargetPort),
    ("core.v1.ServicePort", "nodePort", Range(0, 65535)),
    ("core.v1.ServicePort", "appProtocol", Exact(Qualified)),
    ("core.v1.ServiceSpec", "internalTrafficPolicy", NotEmpty),
    ("core.v1.ServiceSpec", "ipFamilyPolicy", NotEmpty),
    ("core.v1.ServiceSpec", "selector", Labels),
    ("core.v1.ServiceSpec", "externalName", Form(ExternalName)),
    ("core.v1.ServiceSpec", "externalIPs", Forms(Endpoint)),
    ("core.v1.ServiceSpec", "loadBalancerSourceRanges", Forms(Cidr)),
    ("core.v1.ServiceSpec", "loadBalancerClass", Exact(Qualified)),
    ("core.v1.ServiceSpec", "healthCheckNodePort", Range(0, 65535)),
    ("core.v1.ServiceSpec", "ipFamilies", EachOf(&["IPv4", "IPv6"])),
    ("core.v1.ClientIPConfig", "timeoutSeconds", Range(1, 86400)),
    // ValidateIngressSpec, validateIngressBackend, validateServiceBackendPort
    ("networking.v1.IngressRule", "host", Form(Host)),
    ("networking.v1.IngressTLS", "hosts", Forms(Host)),
    ("networking.v1.IngressTLS", "secretName", Form(Subdomain)),
    ("networking.v1.IngressServiceBackend", "name", SERVICE),
    ("networking.v1.ServiceBackendPort", "name", Form(PortName)),
    ("networking.v1.ServiceBackendPort", "number", Range(0, 65535)),
    ("networking.v1.IngressSpec", "ingressClassName", Exact(Subdomain)),
    // validateIngressClassSpec
    ("networking.v1.IngressClassSpec", "controller", Form(DomainPath)),
    ("networking.v1.IngressClassParametersReference", "apiGroup", Exact(Subdomain)),
    ("networking.v1.IngressClassParametersReference", "kind", Form(PathSegment)),
    ("networking.v1.IngressClassParametersReference", "name", Form(PathSegment)),
    ("networking.v1.IngressClassParametersReference", "namespace", Exact(Label)),
    ("networking.v1.IngressClassParametersReference", "scope", ExactWords(&["Cluster", "Namespace"])),
    // ValidateNetworkPolicySpec, ValidateNetworkPolicyPort, ValidateIPBlock
    ("networking.v1.NetworkPolicySpec", "policyTypes", EachOf(&["Egress", "Ingress"])),
    ("networking.v1.NetworkPolicyPort", "port", Port),
    ("networking.v1.NetworkPolicyPort", "endPort", PORT),
    ("networking.v1.NetworkPolicyPort", "protocol", ExactWords(&["SCTP", "TCP", "UDP"])),
    ("networking.v1.IPBlock", "cidr", Form(Cidr)),
    ("networking.v1.IPBlock", "except", Forms(Cidr)),
    ("networking.v1.ServiceCIDRSpec", "cidrs", Forms(Cidr)),
    // validateEndpointSubsets
    ("core.v1.EndpointAddress", "ip", Form(Endpoint)),
    ("core.v1.EndpointAddress", "hostname", Form(Label)),
    ("core.v1.EndpointAddress", "nodeName", Exact(Subdomain)),
    ("core.v1.EndpointPort", "port", PORT),
    ("core.v1.EndpointPort", "name", Form(Label)),
    ("core.v1.EndpointPort", "appProtocol", Exact(Qualified)),
    // validateEndpoints, validatePorts, validateHints
    ("discovery.v1.Endpoint", "hostname", Exact(Label)),
    ("discovery.v1.Endpoint", "nodeName", Exact(Subdomain)),
    ("discovery.v1.EndpointPort", "name", Form(Label)),
    ("discovery.v1.EndpointPort", "appProtocol", Exact(Qualified)),
    ("discovery.v1.EndpointPort", "protocol", ExactWords(&["SCTP", "TCP", "UDP"])),
    ("discovery.v1.ForZone", "name", Form(LabelValue)),
    ("discovery.v1.ForNode", "name", Exact(Subdomain)),
];
