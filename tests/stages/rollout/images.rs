//! Images that cannot be pulled, configuration that is missing, pods that cannot be placed.

use super::case::{Case, deployment, documents, script, stays, workload};
use super::observe::{is, waits};
use super::stage::Scene;

pub(super) fn images() -> Vec<Case> {
    let with_image = |name: &str, image: &str| {
        deployment(name, &format!("containers: [{{name: app, image: \"{image}\"}}]"))
    };
    vec![
        Case::new("no-image", "an image that does not exist", with_image("no-image", "${BASE}/nothing:1"))
            .fails("Deployment/no-image image-not-found")
            .says("base/nothing:1 of container app does not exist in its registry")
            .says("base/nothing:1` does not exist in its registry")
            .says("spec.template.spec.containers[0].image")
            .decided_by("pods", |pod| waits(pod, "ErrImagePull"))
            .after_a_grace_of(15)
            .within(35),
        Case::new("denied", "a registry that denies", with_image("denied", "${PRIVATE}/shop/web:1"))
            .fails("Deployment/denied image-pull-denied")
            .says("imagePullSecret")
            .says("shop/web:1`, or requires credentials for it")
            .decided_by("pods", |pod| waits(pod, "ErrImagePull"))
            .after_a_grace_of(15)
            .within(35),
        Case::new("bad-name", "an image name that is none", with_image("bad-name", "${BASE}/Busybox:x:y"))
            .fails("Deployment/bad-name invalid-image-name")
            .says("is not a valid image name")
            .decided_by("pods", |pod| waits(pod, "InvalidImageName"))
            .within(15),
        Case::new(
            "init-image",
            "an init container whose image does not exist",
            deployment(
                "init-image",
                &format!(
                    "initContainers: [{{name: wait, image: \"${{BASE}}/nothing:1\"}}], {}",
                    script("sleep 1000", "")
                ),
            ),
        )
        .fails("Deployment/init-image image-not-found")
        .says("init container wait")
        .decided_by("pods", |pod| waits(pod, "ErrImagePull"))
        .after_a_grace_of(15)
        .within(35),
    ]
}

pub(super) fn configuration() -> Vec<Case> {
    let with = |name: &str, more: &str| deployment(name, &script("sleep 1000", more));
    let key = "env: [{name: URL, valueFrom: {configMapKeyRef: {name: no-key-map, key: url}}}]";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: no-key-map}\ndata: {host: db}\n";
    let volume = |name: &str, source: &str| {
        let mount = script("sleep 1000", "volumeMounts: [{name: v, mountPath: /v}]");
        deployment(name, &format!("volumes: [{{name: v, {source}}}], {mount}"))
    };
    vec![
        Case::new(
            "no-map",
            "a ConfigMap that is missing, in the environment",
            with("no-map", "envFrom: [{configMapRef: {name: settings}}]"),
        )
        .fails("Deployment/no-map config-missing")
        .says("ConfigMap settings does not exist")
        .decided_by("pods", |pod| waits(pod, "CreateContainerConfigError"))
        .after_a_grace_of(10)
        .within(30),
        Case::new(
            "no-key",
            "a ConfigMap without the key, in the environment",
            documents(&[map, &with("no-key", key)]),
        )
        .fails("Deployment/no-key config-missing")
        .says("has no key url")
        .decided_by("pods", |pod| waits(pod, "CreateContainerConfigError"))
        .after_a_grace_of(10)
        .within(30),
        Case::new(
            "no-secret",
            "a Secret that is missing, in the environment",
            with("no-secret", "envFrom: [{secretRef: {name: credentials}}]"),
        )
        .fails("Deployment/no-secret config-missing")
        .says("Secret credentials does not exist")
        .says("have no Secret `credentials`")
        .decided_by("pods", |pod| waits(pod, "CreateContainerConfigError"))
        .after_a_grace_of(10)
        .within(30),
        Case::new(
            "no-map-volume",
            "a ConfigMap that is missing, as a volume",
            volume("no-map-volume", "configMap: {name: settings}"),
        )
        .fails("Deployment/no-map-volume config-missing")
        .says("ConfigMap settings does not exist")
        .within(30),
        Case::new(
            "no-key-volume",
            "a ConfigMap without the key, as a volume",
            documents(&[
                &map.replace("no-key-map", "no-item-map"),
                &volume("no-key-volume", "configMap: {name: no-item-map, items: [{key: url, path: url}]}"),
            ]),
        )
        .fails("Deployment/no-key-volume config-missing")
        .says("no key url")
        .within(30),
        Case::new(
            "comes-later",
            "a ConfigMap that somebody makes five seconds later",
            with("comes-later", "envFrom: [{configMapRef: {name: late-settings}}]"),
        )
        .meanwhile(|scene| {
            scene.until("the pod", |project| {
                project
                    .kubectl(&["get", "pods", "-l", "app=comes-later"])
                    .contains("CreateContainerConfigError")
            });
            std::thread::sleep(std::time::Duration::from_secs(4));
            scene.project.kubectl(&["create", "configmap", "late-settings", "--from-literal=a=b"]);
        })
        .within(40),
    ]
}

pub(super) fn placement() -> Vec<Case> {
    let claim = |name: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{accessModes: [ReadWriteOnce], \
             resources: {{requests: {{storage: 1Mi}}}}{more}}}\n"
        )
    };
    vec![
        Case::new(
            "no-room",
            "no node has the memory",
            deployment("no-room", &script("sleep 1000", "resources: {requests: {memory: 900Gi}}")),
        )
        .times_out(15, "Deployment/no-room unschedulable")
        .says("Insufficient memory"),
        Case::new(
            "no-class",
            "a claim whose class does not exist",
            claim("no-class", ", storageClassName: fast"),
        )
        .fails("PersistentVolumeClaim/no-class volume-unbound")
        .says("fast")
        .within(30),
        Case::new(
            "classless",
            "a claim without class that nothing fits",
            claim("classless", ", storageClassName: \"\""),
        )
        .times_out(15, "PersistentVolumeClaim/classless volume-unbound"),
        Case::new("first-consumer", "a claim that waits for its first pod", claim("first-consumer", ""))
            .within(15),
        Case::new(
            "no-node",
            "a DaemonSet for which there is no node",
            workload(
                "DaemonSet",
                "no-node",
                "minReadySeconds: 0",
                &format!("nodeSelector: {{disk: tape}}, {}", stays()),
            ),
        )
        .says("no node")
        .within(15),
        Case::new(
            "no-account",
            "a ServiceAccount that is missing",
            deployment("no-account", &format!("serviceAccountName: robot, {}", stays())),
        )
        .fails("Deployment/no-account forbidden")
        .says("robot")
        .decided_by("replicasets", |set| is(set, "ReplicaFailure"))
        .after_a_grace_of(30)
        .within(50),
        Case::new("quota", "a quota that leaves no room", deployment("quota", &stays()))
            .before(|scene| {
                scene.project.kubectl(&["create", "quota", "none", "--hard=pods=0"]);
                scene.until("the quota", |project| !project.object("quota/none")["status"]["hard"].is_null());
            })
            .fails("Deployment/quota quota-exceeded")
            .says("exceeded quota: none")
            .decided_by("replicasets", |set| is(set, "ReplicaFailure"))
            .after_a_grace_of(30)
            .within(50)
            .alone(),
        Case::new("admission", "an admission rule that denies the pods", deployment("admission", &stays()))
            .before(|scene| policy(scene, "pods"))
            .fails("Deployment/admission admission-denied")
            .says("nobody may have this")
            .decided_by("replicasets", |set| is(set, "ReplicaFailure"))
            .after_a_grace_of(10)
            .within(30)
            .alone(),
        Case::new(
            "pod-security",
            "pods that Pod Security does not admit",
            deployment("pod-security", &script("sleep 1000", "securityContext: {privileged: true}")),
        )
        .before(|scene| {
            let label = "pod-security.kubernetes.io/enforce=baseline";
            scene.project.kubectl(&["label", "namespace", &scene.project.namespace, label]);
        })
        .fails("Deployment/pod-security admission-denied")
        .says("violates PodSecurity")
        .decided_by("replicasets", |set| is(set, "ReplicaFailure"))
        .after_a_grace_of(10)
        .within(30)
        .alone(),
        Case::new(
            "quota-frees",
            "a full quota while the old pod takes 40 s to end",
            workload(
                "Deployment",
                "quota-frees",
                "strategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 1}}",
                &stays(),
            )
            .replace("terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 40"),
        )
        .before(|scene| {
            scene.project.kubectl(&["create", "quota", "one", "--hard=pods=1"]);
            scene.until("the quota", |project| !project.object("quota/one")["status"]["hard"].is_null());
            scene.release(None).run.exits(0);
            scene.write(&scene.manifests().replace("periodSeconds: 1", "periodSeconds: 2"));
        })
        .within(110)
        .alone(),
        Case::new(
            "sysctl",
            "a sysctl that the node does not allow",
            deployment(
                "sysctl",
                &format!("securityContext: {{sysctls: [{{name: kernel.msgmax, value: \"65536\"}}]}}, {}", stays()),
            ),
        )
        .fails("Deployment/sysctl admission-denied")
        .says("kernel.msgmax")
        .within(30),
        Case::new(
            "full-volume",
            "a volume that outgrows its own limit again and again",
            deployment(
                "full-volume",
                &format!(
                    "volumes: [{{name: cache, emptyDir: {{sizeLimit: 1Mi}}}}], {}",
                    script(
                        "dd if=/dev/zero of=/cache/a bs=1M count=8; sleep 100000",
                        "volumeMounts: [{name: cache, mountPath: /cache}], \
                         readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1}"
                    )
                ),
            ),
        )
        .fails("Deployment/full-volume evicted")
        .says("its pods are evicted for their own limit")
        .says("sizeLimit: 1Mi")
        .slowly(260),
        Case::new(
            "claim-template",
            "a StatefulSet whose claims name a class that does not exist",
            workload(
                "StatefulSet",
                "claim-template",
                "serviceName: none\n  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], \
                 storageClassName: nowhere, resources: {requests: {storage: 1Mi}}}}]",
                &stays(),
            ),
        )
        .fails("StatefulSet/claim-template volume-unbound")
        .says("StorageClass nowhere does not exist (PersistentVolumeClaim data-claim-template-0)")
        .says("have no Service `none`")
        .within(40),
        Case::new(
            "static-volume",
            "a volume and its claim, made by hand without a class",
            documents(&[
                "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: windlass-static-volume}\nspec: {storageClassName: by-hand, \
                 accessModes: [ReadWriteOnce], capacity: {storage: 1Mi}, persistentVolumeReclaimPolicy: Delete, \
                 hostPath: {path: /tmp/windlass-static-volume, type: DirectoryOrCreate}}\n",
                &claim("static-volume", ", storageClassName: by-hand"),
                &deployment(
                    "static-volume",
                    &format!("volumes: [{{name: d, persistentVolumeClaim: {{claimName: static-volume}}}}], {}", stays()),
                ),
            ]),
        )
        .before(|scene| {
            let volume = ["persistentvolume", "windlass-static-volume", "--ignore-not-found"];
            scene.project.kubectl(&[&["delete"], &volume[..]].concat());
        })
        .within(40),
        Case::new(
            "admission-own",
            "an admission rule that denies the Deployment itself",
            deployment("admission-own", &stays()),
        )
        .before(|scene| policy(scene, "deployments"))
        .refused()
        .says("nobody may have this")
        .within(15)
        .alone(),
    ]
}

/// Lets the API server deny such objects in the scenario's namespace.
fn policy(scene: &Scene, resource: &str) {
    let project = &scene.project;
    let (name, namespace) = (&project.name, &project.namespace);
    let group = if resource == "pods" { "\"\"" } else { "apps" };
    let manifests = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  matchConstraints:\n    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}\n    \
         resourceRules: [{{apiGroups: [{group}], apiVersions: [v1], operations: [CREATE], resources: [{resource}]}}]\n  \
         validations: [{{expression: \"false\", message: nobody may have this}}]\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\n\
         spec: {{policyName: {name}, validationActions: [Deny]}}\n"
    );
    project.pipe_to_kubectl(&manifests, &["apply", "-f", "-"]).exits(0);
    // It takes the API server a moment to obey.
    let probe = if resource == "pods" {
        deny_pod()
    } else {
        deployment("probe", &stays()).replace("${BASE}", "base")
    };
    scene.until("the rule", |project| {
        project.pipe_to_kubectl(&probe, &["create", "--dry-run=server", "-f", "-"]).code != 0
    });
}

fn deny_pod() -> String {
    "apiVersion: v1\nkind: Pod\nmetadata: {name: probe}\nspec: {containers: [{name: app, image: base}]}\n"
        .to_owned()
}
