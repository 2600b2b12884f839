//! Custom resources with their real controllers: cert-manager, External Secrets and Argo Rollouts on the cluster with a real kubelet.
//! Each status that the catalogue reads is one that a controller wrote a moment ago.

use crate::bench::{Project, lab};

fn project(test: &str, manifests: &str) -> Project {
    let project = Project::bare_on("lab-real", test, "", manifests);
    project.edit("windlass.yaml", "timeout: 1m", "timeout: 20s");
    project
}

const CERTIFICATE: &str = "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: own}\nspec: {selfSigned: {}}\n---\n\
    apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: web}\n\
    spec: {secretName: web-tls, dnsNames: [web.example.com], issuerRef: {name: own, kind: Issuer}}\n";

#[test]
#[ignore = "the part `controllers` of the lab takes ten minutes to build: make nightly"]
fn a_certificate_is_ready_when_it_is_issued_for_what_was_applied() {
    let project = project("cert-manager", CERTIFICATE);
    project.windlass(&["release", "staging"]).exits(0);
    project
        .windlass(&["explain", "staging"])
        .exits(0)
        .says("catalogue: cert-manager Certificate")
        .says("catalogue: cert-manager Issuer");
    project.edit(".kube/app.yaml", "dnsNames: [web", "dnsNames: [shop");
    project.commit("another name");
    project.windlass(&["release", "staging"]).exits(0);
    let secret = project.kubectl(&["get", "certificaterequest", "-o", "name"]);
    assert_eq!(secret.lines().count(), 2, "it waited for the second: {secret}");
}

#[test]
#[ignore = "the part `controllers` of the lab takes ten minutes to build: make nightly"]
fn a_certificate_that_nobody_issues_says_why() {
    let project = project("cert-manager-broken", CERTIFICATE);
    project.windlass(&["release", "staging"]).exits(0);
    // What was ready before the change is not ready for that.
    project.edit(".kube/app.yaml", "selfSigned: {}", "ca: {secretName: nobody}");
    project.commit("an issuer without a key");
    let failed = project.windlass(&["release", "staging"]);
    failed.exits(32).says("Issuer/own").says("secrets \"nobody\" not found");
    project.edit(".kube/app.yaml", "ca: {secretName: nobody}", "selfSigned: {}");
    project.edit(".kube/app.yaml", "name: own, kind", "name: other, kind");
    project.edit(".kube/app.yaml", "dnsNames: [web", "dnsNames: [shop");
    project.commit("no issuer");
    let failed = project.windlass(&["release", "staging"]);
    failed.exits(32).says("CertificateRequest/web-2: ").says("issuer.cert-manager.io \"other\" not found");
}

#[test]
#[ignore = "the part `controllers` of the lab takes ten minutes to build: make nightly"]
fn an_external_secret_is_ready_when_what_was_applied_is_there() {
    let manifests = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: vault}\n\
        spec: {provider: {fake: {data: [{key: /db/password, value: first}, {key: /db/user, value: shop}]}}}\n---\n\
        apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: db}\nspec:\n  refreshInterval: 1h\n  \
        secretStoreRef: {name: vault, kind: SecretStore}\n  target: {name: db}\n  \
        data: [{secretKey: login, remoteRef: {key: /db/password}}]\n";
    let project = project("external-secrets", manifests);
    project.edit("windlass.yaml", "timeout: 20s", "timeout: 50s");
    let login = || project.kubectl(&["get", "secret", "db", "-o", "jsonpath={.data.login}"]);
    project.windlass(&["release", "staging"]).exits(0);
    let first = login();
    project.edit(".kube/app.yaml", "remoteRef: {key: /db/password}", "remoteRef: {key: /db/user}");
    project.commit("another key");
    project.windlass(&["release", "staging"]).exits(0);
    assert_ne!(login(), first, "the release ended when the new one was there");
    project.edit(".kube/app.yaml", "remoteRef: {key: /db/user}", "remoteRef: {key: /db/nothing}");
    project.commit("a key that nobody has");
    let failed = project.windlass(&["release", "staging"]);
    failed.exits(31).says("ExternalSecret/db").says("controller-failed").says("key: /db/nothing");
}

#[test]
#[ignore = "the part `controllers` of the lab takes ten minutes to build: make nightly"]
fn a_rollout_of_argo_is_ready_when_its_pods_stay_up() {
    let manifests = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: web}}}}\n  strategy: {{canary: {{steps: [{{setWeight: 50}}]}}}}\n  template:\n    \
         metadata: {{labels: {{app: web}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
         containers: [{{name: web, image: {}/base/busybox, command: [sleep, \"3600\"]}}]\n",
        lab("LAB_REGISTRY")
    );
    let project = project("argo-rollouts", &manifests);
    project.edit("windlass.yaml", "timeout: 20s", "timeout: 1m");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["explain", "staging"]).exits(0).says("catalogue: Argo Rollout");
    project.edit(".kube/app.yaml", "[sleep, \"3600\"]", "[sh, -c, \"echo no database; exit 3\"]");
    project.commit("it dies at once");
    let failed = project.windlass(&["release", "staging"]);
    failed.exits(31).says("Rollout/web").says("exit-code").says("no database");
    project.windlass(&["rollback", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "[sh, -c, \"echo no database; exit 3\"]", "[sleep, \"3601\"]");
    project.edit(".kube/app.yaml", "{setWeight: 50}", "{setWeight: 50}, {pause: {}}");
    project.commit("somebody looks at the first pod");
    project.windlass(&["release", "staging"]).exits(0).says("paused").says("CanaryPauseStep");
}
