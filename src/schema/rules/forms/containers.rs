//! Containers: environment, ports, probes.

use super::Rule::{Before, Both, Form, Port, Range, Since, Words};
use super::{NOT_NEGATIVE, PORT, POSITIVE, Table};
use crate::schema::format::Format::{
    ConfigKey, Header, Label, NoBackstep, PortName, Prefix, StrictVariable, Subdomain, Variable,
};

/// The names that the server took before and takes since 1.30, where it may be told to.
const VARIABLE: super::Rule = Both(&Since(30, &Form(Variable)), &Before(30, &Form(StrictVariable)));

/// By type and field; the function of Kubernetes that asks for it stands above.
pub(super) const RULES: Table = &[
    // validateContainerCommon, validateContainerPorts
    ("core.v1.Container", "name", Form(Label)),
    ("core.v1.EphemeralContainer", "name", Form(Label)),
    ("core.v1.ContainerPort", "name", Form(PortName)),
    ("core.v1.ContainerPort", "containerPort", PORT),
    ("core.v1.ContainerPort", "hostPort", Range(0, 65535)),
    // ValidateEnv, ValidateEnvFrom, validateFileKeySelector
    ("core.v1.EnvVar", "name", VARIABLE),
    ("core.v1.EnvFromSource", "prefix", VARIABLE),
    ("core.v1.ConfigMapKeySelector", "key", Form(ConfigKey)),
    ("core.v1.ConfigMapKeySelector", "name", Form(Subdomain)),
    ("core.v1.SecretKeySelector", "key", Form(ConfigKey)),
    ("core.v1.SecretKeySelector", "name", Form(Subdomain)),
    ("core.v1.FileKeySelector", "volumeName", Form(Label)),
    ("core.v1.FileKeySelector", "path", Form(NoBackstep)),
    ("core.v1.FileKeySelector", "key", Form(Variable)),
    ("core.v1.ConfigMapEnvSource", "name", Form(Prefix)),
    ("core.v1.SecretEnvSource", "name", Form(Prefix)),
    // validateProbe, validateHTTPGetAction, validateTCPSocketAction, validateGRPCAction
    ("core.v1.Probe", "initialDelaySeconds", NOT_NEGATIVE),
    ("core.v1.Probe", "timeoutSeconds", NOT_NEGATIVE),
    ("core.v1.Probe", "periodSeconds", NOT_NEGATIVE),
    ("core.v1.Probe", "successThreshold", NOT_NEGATIVE),
    ("core.v1.Probe", "failureThreshold", NOT_NEGATIVE),
    ("core.v1.Probe", "terminationGracePeriodSeconds", POSITIVE),
    ("core.v1.HTTPGetAction", "port", Port),
    ("core.v1.TCPSocketAction", "port", Port),
    ("core.v1.GRPCAction", "port", PORT),
    ("core.v1.HTTPHeader", "name", Form(Header)),
    // validateResizePolicy, validateContainerRestartPolicy
    ("core.v1.ContainerResizePolicy", "resourceName", Since(27, &Words(&["cpu", "memory"]))),
    ("core.v1.ContainerResizePolicy", "restartPolicy", Words(&["NotRequired", "RestartContainer"])),
    ("core.v1.ContainerRestartRuleOnExitCodes", "operator", Words(&["In", "NotIn"])),
];
