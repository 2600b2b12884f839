//! Custom resources whose controller may create pods or Services that the set does not have.

use serde_json::Value;

use crate::model::kinds::is_of_kubernetes;
use crate::model::object;
use crate::rollout::snapshot::ClusterSnapshot;

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

/// The custom resources that may make pods or Services in this object's namespace.
pub(crate) fn all<'a>(object: &'a Value, world: &'a ClusterSnapshot) -> impl Iterator<Item = &'a Value> {
    let namespace = object::namespace(object);
    world.objects().filter(move |one| {
        object::same_if_known(object::namespace(one), namespace)
            && may_create(object::group(object::api_version(one)), object::kind(one))
    })
}

/// The first of them: `Cluster/db`.
pub(crate) fn beside(object: &Value, world: &ClusterSnapshot) -> Option<String> {
    all(object, world).next().map(object::title)
}

fn may_create(group: &str, kind: &str) -> bool {
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
