//! Custom resources whose controller may create pods or Services that the set does not have.

use crate::model::kinds::is_of_kubernetes;

/// Kinds of others that create neither pods (but for those of their own template) nor Services; no kind named means all
/// of the group.
const HARMLESS: &[(&str, &[&str])] = &[
    ("argoproj.io", &["AnalysisTemplate", "AppProject", "Rollout"]),
    ("autoscaling.k8s.io", &[]),
    ("bitnami.com", &["SealedSecret"]),
    ("cert-manager.io", &[]),
    ("cilium.io", &["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"]),
    ("crd.projectcalico.org", &[]),
    ("external-secrets.io", &[]),
    (
        "gateway.networking.k8s.io",
        &["BackendTLSPolicy", "GRPCRoute", "HTTPRoute", "ReferenceGrant", "TCPRoute", "TLSRoute", "UDPRoute"],
    ),
    ("keda.sh", &["ClusterTriggerAuthentication", "ScaledObject", "TriggerAuthentication"]),
    ("kyverno.io", &[]),
    (
        "monitoring.coreos.com",
        &["AlertmanagerConfig", "PodMonitor", "Probe", "PrometheusRule", "ScrapeConfig", "ServiceMonitor"],
    ),
    ("networking.istio.io", &[]),
    ("secrets-store.csi.x-k8s.io", &[]),
    ("security.istio.io", &[]),
    ("snapshot.storage.k8s.io", &[]),
    ("telemetry.istio.io", &[]),
    ("traefik.containo.us", &[]),
    ("traefik.io", &[]),
];

/// Whether the controller of a custom kind may make pods, Services or configuration that the set does not have.
pub fn may_create(group: &str, kind: &str) -> bool {
    let harmless =
        HARMLESS.iter().any(|(known, kinds)| *known == group && (kinds.is_empty() || kinds.contains(&kind)));
    !is_of_kubernetes(group) && !harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_describes_creates_nothing() {
        assert!(may_create("postgresql.cnpg.io", "Cluster"));
        assert!(may_create("gateway.networking.k8s.io", "Gateway"));
        assert!(!may_create("gateway.networking.k8s.io", "HTTPRoute"));
        assert!(!may_create("cert-manager.io", "Certificate"));
        assert!(!may_create("apps", "Deployment"));
    }
}
