//! Every rule of the tables by hand, broken once.

use super::*;

/// An object of each kind that has rules; what is broken in it is replaced.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: a}, annotations: {Example.com/a: b}}
spec:
  restartPolicy: Never
  hostname: a
  volumes: [{name: files, configMap: {name: files, defaultMode: 420, items: [{key: a, path: a/b}]}}, {name: empty}]
  tolerations: [{key: a, operator: Exists}, {operator: Exists}]
  initContainers: [{name: init, image: b}, {name: side, image: b, restartPolicy: Always, startupProbe: {exec: {command: [a]}}}]
  containers:
  - name: a
    image: b
    ports: [{name: http, containerPort: 80}]
    env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 1, memory: 64Mi, example.com/gpu: 1}}
    readinessProbe: {httpGet: {port: http, path: /}, periodSeconds: 5}
    livenessProbe: {tcpSocket: {port: 80}, successThreshold: 1}
    volumeMounts: [{name: files, mountPath: /files, subPath: a}]
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81}]}
";

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
spec:
  tls: [{hosts: [a.example.com], secretName: a}]
  rules: [{host: \"*.example.com\", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}]
";

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {}}], ports: [{port: http}]}]}
";

const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

const AUTOSCALER: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec:
  minReplicas: 1
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 60, policies: [{type: Pods, value: 1, periodSeconds: 60}]}}
";

const BUDGET: &str = "\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: a}
spec: {minAvailable: 50%, selector: {matchLabels: {app: a}}}
";

const ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: \"system:a\"}
rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]
";

const BINDING: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: a}
roleRef: {kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: a, namespace: b}]
";

const STATEFUL_SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: a, image: b, volumeMounts: [{name: data, mountPath: /data}]}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}, matchExpressions: [{key: app, operator: In, values: [a]}]}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 25%, maxSurge: 1}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: b}]}}
";

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: a}
spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}
";

#[test]
fn what_is_right_has_no_findings() {
    for text in [
        POD,
        SERVICE,
        INGRESS,
        POLICY,
        CLAIM,
        AUTOSCALER,
        BUDGET,
        ROLE,
        BINDING,
        STATEFUL_SET,
        DEPLOYMENT,
        JOB,
    ] {
        // Before 1.29 sidecars were behind a gate.
        for minor in 29..=37 {
            assert_eq!(said_in(&format!("1.{minor}"), text), Vec::<String>::new(), "{text}");
        }
    }
}

/// What is said when a piece of an object is replaced: exactly one error, which ends with these words.
#[track_caller]
fn broken(text: &str, from: &str, to: &str, words: &str) {
    assert!(text.contains(from), "{from}");
    let found = said(&text.replacen(from, to, 1));
    assert!(
        matches!(&found[..], [one] if one.contains(words) && !one.starts_with('?')),
        "{from} → {to}: {found:#?}"
    );
}

/// As [`broken`], where the server does not mind: exactly one warning.
#[track_caller]
fn doubted(text: &str, from: &str, to: &str, words: &str) {
    assert!(text.contains(from), "{from}");
    let found = said(&text.replacen(from, to, 1));
    assert!(
        matches!(&found[..], [one] if one.contains(words) && one.starts_with('?')),
        "{from} → {to}: {found:#?}"
    );
}

#[test]
fn what_the_server_does_not_mind() {
    let port = "name: http, containerPort: 80";
    let second = format!("  - name: c\n    image: b\n    ports: [{{{port}}}]\n  - name: a\n");
    doubted(POD, "  - name: a\n", &second, "the container `c` also has a port named `http`");
    broken(
        POD,
        "containerPort: 80}",
        "containerPort: 80}, {name: http, containerPort: 81}",
        "two ports of the container",
    );
    doubted(
        POD,
        "requests: {cpu: 100m, memory: 64Mi}",
        "requests: {cpu: 100m, memory: 400m}",
        "`400m` is thousandths of a byte | did you mean `400Mi`?",
    );
    doubted(
        POD,
        "requests: {cpu: 100m, memory: 64Mi}",
        "requests: {cpu: 100m, memory: 64}",
        "less than 1 MiB | did you mean `64Mi`?",
    );
    doubted(
        POD,
        "requests: {cpu: 100m, memory: 64Mi}",
        "requests: {cpu: m, memory: 64Mi}",
        "`m` has no digits",
    );
    doubted(POD, "periodSeconds: 5", "periodSeconds: 4294967301", "does not fit into 32 bits");
    doubted(
        POD,
        "{port: http, path: /}",
        "{port: http, path: /, protocol: HTTP2}",
        "drops `protocol`, unless its gate is set",
    );
    doubted(
        SERVICE,
        "selector: {app: a}, ",
        "type: NodePort, sessionAffinityConfig: {}, ",
        "needs `sessionAffinity: ClientIP`",
    );
    let node_port = SERVICE.replace("selector: {app: a}, ", "type: NodePort, ");
    doubted(&node_port, "port: 81", "port: 81, nodePort: 81", "between 30000 and 32767");
    broken(&node_port, "port: 81", "port: 81, nodePort: -1", "between 0 and 65535, not -1");
    let selector = "selector: {matchLabels: {batch.kubernetes.io/controller-uid: a}}, template";
    doubted(JOB, "template", selector, "a Job makes its selector itself");
    doubted(CLAIM, "accessModes", "dataSource: {kind: Bucket, name: a}, accessModes", "needs `apiGroup`");
    let text =
        CLAIM.replace("accessModes", "dataSource: {kind: PersistentVolumeClaim, name: a}, accessModes");
    let other = "dataSourceRef: {kind: A, name: a, apiGroup: a.b}, accessModes";
    broken(&text, "accessModes", other, "must be the same");
    doubted(&text, "accessModes", &other.replace("a.b", "a.b, namespace: a"), "drops `dataSourceRef`");
    doubted(
        CLAIM,
        "accessModes",
        "dataSourceRef: {kind: A, name: a, namespace: a, apiGroup: a.b}, accessModes",
        "drops `dataSourceRef`",
    );
}

#[test]
fn what_a_version_drops_is_not_judged() {
    let text = POD.replace("restartPolicy: Always, startupProbe", "restartPolicy: Sometimes, startupProbe");
    let found = said_in("1.28", &text);
    assert!(
        !found.is_empty() && found.iter().all(|one| one.starts_with('?') && one.contains("restartPolicy")),
        "{found:?}"
    );
    assert!(
        said_in("1.29", &text).iter().any(|one| one.ends_with("write `Always`") && !one.starts_with('?'))
    );
}

#[test]
fn rules_of_metadata() {
    broken(POD, "app: a", "app: \"a b\"", "`a b` is not a valid label value");
    broken(POD, "app: a", "\"a b\": a", "`a b` is not a valid label key");
    broken(POD, "Example.com/a", "\"a b\"", "`a b` is not a valid annotation key");
    broken(POD, "name: a,", "", "`metadata.name` is missing");
    broken(SERVICE, "name: a}", "name: a.b}", "cannot be the name of a Service");
    broken(ROLE, "system:a", "a/b", "cannot be the name of a Role");
    broken(DEPLOYMENT, "operator: In", "operator: in", "did you mean `In`?");
    broken(DEPLOYMENT, "values: [a]", "values: []", "the operator `In` needs `values`");
}

#[test]
fn rules_of_pods() {
    broken(POD, "hostname: a", "hostname: a.b", "`a.b` is not a valid name");
    broken(POD, "name: files, configMap", "name: files, emptyDir: {}, configMap", "; one is allowed");
    broken(POD, "defaultMode: 420", "defaultMode: 644", "between 0 and 0777 (octal), not 644");
    broken(POD, "path: a/b", "path: ../b", "is not a valid path");
    broken(POD, "subPath: a", "subPath: /a", "is not a valid path");
    broken(POD, "{operator: Exists}", "{value: a}", "without a `key` needs");
    broken(POD, "{operator: Exists}", "{operator: Exists, value: a}", "has no `value`");
    broken(
        POD,
        "name: init, image: b",
        "name: init, image: b, startupProbe: {exec: {command: [a]}}",
        "init container cannot have a `startupProbe`",
    );
    broken(POD, "name: init", "name: a", "also the name of a container");
    broken(POD, "image: b\n    ports", "ports", "`image` is missing");
    broken(POD, "name: http, ", "name: HTTP, ", "is not a valid port name");
    broken(POD, "containerPort: 80", "containerPort: 80000", "between 1 and 65535, not 80000");
    broken(POD, "name: A, ", "name: \"A=\", ", "environment variable");
    broken(POD, "name: A, ", "name: A, value: b, ", "`value` or `valueFrom`");
    broken(
        POD,
        "valueFrom: {fieldRef: {fieldPath: metadata.name}}",
        "valueFrom: {}",
        "`valueFrom` needs one of",
    );
    broken(POD, "cpu: 100m", "cpu: 2", "the request of `cpu` is greater than its limit");
    broken(POD, "cpu: 100m", "cpu: -1", "`cpu` cannot be negative");
    broken(POD, "cpu: 100m", "cpu: lots", "`lots` is not a quantity");
    broken(
        POD,
        "memory: 64Mi}, limits",
        "memroy: 64Mi}, limits",
        "there is no resource `memroy` | did you mean `memory`?",
    );
    broken(POD, "port: http, ", "port: \"80\", ", "`80` in quotes is not a port number");
    broken(POD, "periodSeconds: 5", "periodSeconds: -5", "0 or more, not -5");
    broken(POD, "httpGet: {port: http, path: /}, ", "", "a probe needs one of");
    broken(POD, "tcpSocket: {port: 80}", "tcpSocket: {port: 80}, grpc: {port: 80}", "one is allowed");
    broken(POD, "successThreshold: 1", "successThreshold: 2", "must be 1");
    broken(
        POD,
        "volumeMounts: [{name: files",
        "volumeMounts: [{name: flies",
        "the pod has no volume `flies` | did you mean `files`?",
    );
    broken(POD, "restartPolicy: Never", "restartPolicy: Sometimes", "cannot be `Sometimes`");
    broken(
        POD,
        "image: b\n    ports",
        "image: b\n    securityContext: {privileged: true, allowPrivilegeEscalation: false}\n    ports",
        "cannot be false",
    );
}

#[test]
fn rules_of_the_network() {
    broken(SERVICE, "port: 80,", "port: 0,", "between 1 and 65535, not 0");
    broken(SERVICE, "name: b, ", "", "`name` is missing");
    broken(SERVICE, "name: b, ", "name: a, ", "two ports of the Service are named `a`");
    broken(
        SERVICE,
        "ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81}]",
        "ports: []",
        "needs `ports`",
    );
    broken(SERVICE, "targetPort: http", "targetPort: \"8080\"", "in quotes is not a port number");
    broken(SERVICE, "selector: {app: a}, ", "type: ExternalName, ", "needs `externalName`");
    broken(SERVICE, "selector: {app: a}, ", "clusterIP: a, ", "`clusterIP` is an IP address or `None`");
    broken(INGRESS, "*.example.com", "*example.com", "is not a valid host name");
    broken(INGRESS, "*.example.com", "10.0.0.1", "not the IP address `10.0.0.1`");
    broken(INGRESS, "path: /", "path: api", "`api` is not a valid absolute path");
    broken(INGRESS, "pathType: Prefix, ", "", "`pathType` is missing");
    broken(INGRESS, "{number: 80}", "{number: 80, name: a}", "one is allowed");
    broken(INGRESS, ", port: {number: 80}", "", "needs `port`");
    broken(INGRESS, "hosts: [a.example.com]", "hosts: [A_b]", "is not a valid host name");
    broken(POLICY, "cidr: 10.0.0.0/8", "cidr: 10.0.0.0", "is not a valid CIDR");
    broken(POLICY, "cidr: 10.0.0.0/8}", "cidr: 10.0.0.0/8}, podSelector: {}", "with `ipBlock` cannot have");
    broken(POLICY, "{podSelector: {}}", "{}", "a peer needs");
    broken(POLICY, "port: http", "port: 70000", "between 1 and 65535");
}

#[test]
fn rules_of_storage_and_scaling() {
    broken(CLAIM, "accessModes: [ReadWriteOnce], ", "", "`accessModes` is missing");
    broken(CLAIM, "ReadWriteOnce", "ReadWrite", "`accessModes` cannot be `ReadWrite`");
    broken(CLAIM, ", resources: {requests: {storage: 1Gi}}", "", "needs `resources.requests.storage`");
    broken(CLAIM, "storage: 1Gi", "storage: 0", "must be greater than 0");
    broken(CLAIM, "storage: 1Gi", "storage: 1GB", "`1GB` is not a quantity");
    broken(AUTOSCALER, "maxReplicas: 3", "maxReplicas: 0", "1 or more, not 0");
    broken(AUTOSCALER, "minReplicas: 1", "minReplicas: 4", "is less than `minReplicas` (4)");
    broken(AUTOSCALER, "type: Resource,", "type: Pods,", "a metric of the type `Pods` needs `pods`");
    broken(AUTOSCALER, "type: Resource,", "type: resource,", "did you mean `Resource`?");
    broken(AUTOSCALER, "type: Utilization", "type: Percent", "`type` cannot be `Percent`");
    broken(AUTOSCALER, "periodSeconds: 60", "periodSeconds: 3600", "between 1 and 1800");
    broken(BUDGET, "minAvailable: 50%", "minAvailable: 50%, maxUnavailable: 1", "not both");
    broken(BUDGET, "minAvailable: 50%", "minAvailable: half", "`half` is not a valid share");
}

#[test]
fn rules_of_access() {
    broken(ROLE, "apiGroups: [\"\"], ", "", "`apiGroups` is missing");
    broken(ROLE, ", verbs: [get]", "", "`verbs` is missing");
    broken(BINDING, "kind: ClusterRole,", "kind: Role,", "`kind` cannot be `Role`");
    broken(BINDING, ", namespace: b", "", "`namespace` is missing");
    broken(BINDING, "kind: ServiceAccount", "kind: Serviceaccount", "did you mean `ServiceAccount`?");
}

#[test]
fn rules_of_workloads() {
    broken(DEPLOYMENT, "values: [a]", "values: [b]", "do not match this expression");
    broken(
        DEPLOYMENT,
        "matchLabels: {app: a}, matchExpressions: [{key: app, operator: In, values: [a]}]",
        "",
        "cannot be empty",
    );
    broken(DEPLOYMENT, "type: RollingUpdate", "type: Recreate", "cannot have `rollingUpdate`");
    broken(
        DEPLOYMENT,
        "maxUnavailable: 25%, maxSurge: 1",
        "maxUnavailable: 0, maxSurge: 0",
        "when `maxSurge` is 0",
    );
    broken(DEPLOYMENT, "maxSurge: 1", "maxSurge: one", "is not a valid share");
    broken(
        DEPLOYMENT,
        "spec:\n",
        "spec:\n  minReadySeconds: 700\n",
        "must be less than `progressDeadlineSeconds` (600)",
    );
    broken(DEPLOYMENT, "spec: {containers", "spec: {restartPolicy: Never, containers", "write `Always`");
    broken(DEPLOYMENT, "containers: [{name: a, image: b}]", "containers: []", "`containers` is missing");
    broken(
        JOB,
        "restartPolicy: Never, ",
        "",
        "`restartPolicy` is missing: the pods of a Job cannot have the restartPolicy `Always`",
    );
    broken(JOB, "backoffLimit: 0", "backoffLimit: -1", "0 or more");
}

/// Before 1.34 the server takes such a StatefulSet, and refuses its pods.
#[test]
fn the_template_of_a_stateful_set_is_validated_since_1_34() {
    let text = STATEFUL_SET.replace("image: b, ", "");
    assert_eq!(said_in("1.33", &text), ["?/spec/template/spec/containers/0: `image` is missing"]);
    assert_eq!(said_in("1.34", &text), ["/spec/template/spec/containers/0: `image` is missing"]);
    // What the schema says holds everywhere.
    let text = STATEFUL_SET.replace("image: b, ", "image: b, imag: c, ");
    assert!(said_in("1.33", &text)[0].starts_with("/spec/template"), "{:?}", said_in("1.33", &text));
}

/// Whatever stands in a document, it is judged without a panic.
#[test]
fn odd_objects_are_judged_too() {
    for text in [
        "apiVersion: apps/v1\nkind: Deployment\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: x\nspec: [1]\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: 5, labels: [a]}\nspec: {selector: {matchLabels: 3, matchExpressions: {}}, template: null, strategy: {rollingUpdate: 5}}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [1, {name: 3}, null], selector: x}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [1, null, {resources: 3, env: [{valueFrom: 3}], securityContext: 4}], initContainers: {a: b}}\n",
        "apiVersion: [v1]\nkind: {a: b}\n",
    ] {
        let object = object(text);
        for minor in [27, 37] {
            assert!(!Schemas::of(&format!("1.{minor}")).expect("known").check(&object).is_empty(), "{text}");
        }
    }
}
