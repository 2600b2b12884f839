//! How well-known custom resources report their health: rules in the form of `health:`, one file for each project.
//!
//! Facts come from the source files of the controllers that each rule names; samples of each state are in
//! `fixtures/catalogue`. A file is read when the first object of one of its groups appears.

use std::path::Path;
use std::sync::OnceLock;

use crate::model::object;
use crate::project::{HealthRule, HealthRules, health_rules};

/// A rule of the catalogue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatalogueRule {
    /// The name of the project that the kind belongs to.
    pub(crate) project: &'static str,
    pub(crate) rule: &'static HealthRule,
}

/// The kinds of a project.
struct Project {
    name: &'static str,
    groups: &'static [&'static str],
    text: &'static str,
    rules: OnceLock<HealthRules>,
}

const fn project(name: &'static str, groups: &'static [&'static str], text: &'static str) -> Project {
    Project { name, groups, text, rules: OnceLock::new() }
}

impl Project {
    fn rules(&'static self) -> &'static HealthRules {
        // A test reads each file; without its rule a kind falls back to the generic one.
        self.rules.get_or_init(|| health_rules(self.text, Path::new(self.name)).unwrap_or_default())
    }
}

/// The rule for the object's kind.
pub(crate) fn find(object: &serde_json::Value) -> Option<CatalogueRule> {
    let group = object::group(object::api_version(object));
    let project = PROJECTS.iter().find(|project| project.groups.contains(&group))?;
    let rule = project.rules().get(&format!("{}.{group}", object::kind(object)))?;
    Some(CatalogueRule { project: project.name, rule })
}
static PROJECTS: [Project; 42] = [
    project("Argo", &["argoproj.io"], include_str!("argo.yaml")),
    project("cert-manager", &["cert-manager.io", "acme.cert-manager.io"], include_str!("cert-manager.yaml")),
    project("CloudNativePG", &["postgresql.cnpg.io"], include_str!("cloudnative-pg.yaml")),
    project("Cluster API", &["cluster.x-k8s.io"], include_str!("cluster-api.yaml")),
    project("Contour", &["projectcontour.io"], include_str!("contour.yaml")),
    project(
        "Crossplane",
        &["pkg.crossplane.io", "apiextensions.crossplane.io"],
        include_str!("crossplane.yaml"),
    ),
    project("Crunchy", &["postgres-operator.crunchydata.com"], include_str!("crunchy-postgres.yaml")),
    project(
        "Elastic",
        &[
            "elasticsearch.k8s.elastic.co",
            "kibana.k8s.elastic.co",
            "apm.k8s.elastic.co",
            "enterprisesearch.k8s.elastic.co",
            "maps.k8s.elastic.co",
            "beat.k8s.elastic.co",
            "agent.k8s.elastic.co",
            "logstash.k8s.elastic.co",
        ],
        include_str!("elastic.yaml"),
    ),
    project("External Secrets", &["external-secrets.io"], include_str!("external-secrets.yaml")),
    project("Flink", &["flink.apache.org"], include_str!("flink.yaml")),
    project(
        "Flux",
        &[
            "kustomize.toolkit.fluxcd.io",
            "helm.toolkit.fluxcd.io",
            "source.toolkit.fluxcd.io",
            "image.toolkit.fluxcd.io",
            "notification.toolkit.fluxcd.io",
        ],
        include_str!("flux.yaml"),
    ),
    project("Gateway API", &["gateway.networking.k8s.io"], include_str!("gateway-api.yaml")),
    project("Grafana", &["grafana.integreatly.org"], include_str!("grafana.yaml")),
    project(
        "Istio",
        &["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"],
        include_str!("istio.yaml"),
    ),
    project("Karpenter", &["karpenter.sh", "karpenter.k8s.aws"], include_str!("karpenter.yaml")),
    project("KEDA", &["keda.sh"], include_str!("keda.yaml")),
    project(
        "Knative",
        &["serving.knative.dev", "eventing.knative.dev", "messaging.knative.dev", "sources.knative.dev"],
        include_str!("knative.yaml"),
    ),
    project("OpenKruise", &["apps.kruise.io"], include_str!("kruise.yaml")),
    project("KServe", &["serving.kserve.io"], include_str!("kserve.yaml")),
    project("Kyverno", &["kyverno.io"], include_str!("kyverno.yaml")),
    project("Longhorn", &["longhorn.io"], include_str!("longhorn.yaml")),
    project("MariaDB", &["k8s.mariadb.com"], include_str!("mariadb.yaml")),
    project("MinIO", &["minio.min.io"], include_str!("minio.yaml")),
    project("MongoDB", &["mongodbcommunity.mongodb.com", "mongodb.com"], include_str!("mongodb.yaml")),
    project("NATS", &["jetstream.nats.io"], include_str!("nats.yaml")),
    project("OLM", &["operators.coreos.com"], include_str!("olm.yaml")),
    project("OpenSearch", &["opensearch.opster.io"], include_str!("opensearch.yaml")),
    project("OpenTelemetry", &["opentelemetry.io"], include_str!("opentelemetry.yaml")),
    project(
        "Percona",
        &["pxc.percona.com", "psmdb.percona.com", "pgv2.percona.com", "ps.percona.com"],
        include_str!("percona.yaml"),
    ),
    project("Prometheus operator", &["monitoring.coreos.com"], include_str!("prometheus-operator.yaml")),
    project("RabbitMQ", &["rabbitmq.com"], include_str!("rabbitmq.yaml")),
    project("Redis", &["redis.redis.opstreelabs.in"], include_str!("redis.yaml")),
    project("Rook", &["ceph.rook.io", "objectbucket.io"], include_str!("rook.yaml")),
    project("Sealed Secrets", &["bitnami.com"], include_str!("sealed-secrets.yaml")),
    project("Spark", &["sparkoperator.k8s.io"], include_str!("spark.yaml")),
    project("Strimzi", &["kafka.strimzi.io"], include_str!("strimzi.yaml")),
    project("Tekton", &["tekton.dev", "triggers.tekton.dev"], include_str!("tekton.yaml")),
    project("Traefik", &["traefik.io", "traefik.containo.us"], include_str!("traefik.yaml")),
    project("Velero", &["velero.io"], include_str!("velero.yaml")),
    project("VictoriaMetrics", &["operator.victoriametrics.com"], include_str!("victoriametrics.yaml")),
    project("volume snapshots", &["snapshot.storage.k8s.io"], include_str!("volume-snapshots.yaml")),
    project("Zalando", &["acid.zalan.do"], include_str!("zalando-postgres.yaml")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rollout::dump;

    #[test]
    fn every_file_can_be_read_and_stands_for_its_groups() {
        for project in &PROJECTS {
            let rules = health_rules(project.text, Path::new(project.name)).expect("the rules are right");
            let groups: BTreeSet<&str> =
                rules.keys().map(|kind| kind.split_once('.').expect("a kind with its group").1).collect();
            assert_eq!(groups, project.groups.iter().copied().collect(), "{}", project.name);
            assert!(
                project.text.starts_with("# "),
                "{} does not say where its facts come from",
                project.name
            );
        }
        let groups: Vec<&str> = PROJECTS.iter().flat_map(|project| project.groups).copied().collect();
        assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), groups.len(), "a group has two projects");
    }

    /// That their verdicts are right is tested with all dumps.
    #[test]
    fn every_rule_has_a_sample() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/catalogue");
        let mut sampled = BTreeSet::new();
        for entry in std::fs::read_dir(directory).expect("the samples are there") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a text");
            for one in dump::read(&text, "sample").expect("objects") {
                let group = object::group(object::api_version(&one.object)).to_owned();
                sampled.insert(format!("{}.{group}", object::kind(&one.object)));
                assert!(find(&one.object).is_some(), "{}", one.object);
            }
        }
        let rules: BTreeSet<String> =
            PROJECTS.iter().flat_map(|project| project.rules().keys().cloned()).collect();
        assert_eq!(rules.difference(&sampled).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}
