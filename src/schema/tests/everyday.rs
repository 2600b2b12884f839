//! The nine mistakes of every day (issue 17), each with what is said of it.

use std::path::Path;

use super::*;
use crate::schema::{Mark, Set, references};

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web
        ports: [{name: http, containerPort: 8080}]
";

fn deployment(from: &str, to: &str) -> String {
    assert!(DEPLOYMENT.contains(from));
    DEPLOYMENT.replace(from, to)
}

/// What is said of references, `pointer: message | hint`.
fn refers(text: &str) -> Vec<String> {
    let objects = objects(text);
    let objects: Vec<&Value> = objects.iter().collect();
    let set = Set {
        objects: &objects,
        namespace: "shop",
        have: "the manifests have",
        is_elsewhere: &|kind, name| (kind, name) == ("Secret", "made-by-hand"),
        may_create: &|_, kind| kind == "Cluster",
    };
    let found = references(&set);
    assert!(found.iter().all(|(_, finding)| finding.severity == Severity::Warning));
    found.iter().map(|(index, finding)| format!("{index}{}", line(finding).trim_start_matches('?'))).collect()
}

#[test]
fn the_manifest_without_a_mistake_has_none() {
    for minor in 27..=37 {
        assert_eq!(said_in(&format!("1.{minor}"), DEPLOYMENT), Vec::<String>::new());
    }
    assert_eq!(refers(DEPLOYMENT), Vec::<String>::new());
}

#[test]
fn an_unknown_field() {
    let text = deployment("        image:", "        imagePullPolice: Always\n        image:");
    let wanted = "/spec/template/spec/containers/0/imagePullPolice: `containers` has no field `imagePullPolice` \
                  | did you mean `imagePullPolicy`?";
    assert_eq!(said(&text), [wanted]);
    assert_eq!(Schemas::newest().check(&object(&text))[0].mark, Mark::Key);
    // What a version is not known for may be a field of it.
    assert_eq!(said_in("1.40", &text), [format!("?{wanted}")]);
    // A misspelled field is not missing as well.
    let text = deployment("        image:", "        imge:");
    assert_eq!(
        said(&text),
        ["/spec/template/spec/containers/0/imge: `containers` has no field `imge` | did you mean `image`?"]
    );
    let text = deployment("  replicas: 2", "  paused: false\n  podSelektor: {}");
    assert_eq!(said(&text), ["/spec/podSelektor: `spec` has no field `podSelektor`"]);
}

#[test]
fn a_field_of_another_version() {
    let text = deployment("        image:", "        restartPolicy: Always\n        image:");
    assert_eq!(
        said_in("1.27", &text),
        [
            "/spec/template/spec/containers/0/restartPolicy: `containers` has no field `restartPolicy` | Kubernetes 1.28 to 1.37 have it, 1.27 does not"
        ]
    );
}

#[test]
fn replicas_as_a_string() {
    let text = deployment("replicas: 2", "replicas: \"2\"");
    assert_eq!(
        said(&text),
        ["/spec/replicas: `replicas` must be an integer, not a string | remove the quotes"]
    );
}

#[test]
fn labels_that_the_selector_does_not_match() {
    let text = deployment("metadata: {labels: {app: web}}", "metadata: {labels: {app: wbe}}");
    assert_eq!(
        said(&text),
        [
            "/spec/template/metadata/labels/app: the pod template has the label `app: wbe`, the selector asks for `app: web` \
         | selector and labels of the template must match"
        ]
    );
    let text = deployment("metadata: {labels: {app: web}}", "metadata: {}");
    assert_eq!(
        said(&text),
        [
            "/spec/selector/matchLabels/app: the selector asks for the label `app: web`, which the pod template does not have \
         | selector and labels of the template must match"
        ]
    );
}

#[test]
fn a_dead_selector_of_a_service() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: wbe}, ports: [{port: 80}]}\n";
    let text = format!("{DEPLOYMENT}{service}");
    assert_eq!(
        refers(&text),
        ["1/spec/selector: the selector matches no pod of the manifests | did you mean `app: web`?"]
    );
    let several = ["web-0", "web-1"].map(|name| DEPLOYMENT.replace("web", name)).join("---\n");
    assert_eq!(
        refers(&format!("{several}{}", service.replace("wbe", "web-15"))),
        ["2/spec/selector: the selector matches no pod of the manifests | did you mean `app: web-1`?"]
    );
    // A custom resource of the set may make the pods.
    let cluster = "---\napiVersion: db.example.com/v1\nkind: Cluster\nmetadata: {name: db}\n";
    assert_eq!(refers(&format!("{text}{cluster}")), Vec::<String>::new());
    // The template in a custom resource counts.
    let rollout = "---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {template: {metadata: {labels: {app: wbe}}, spec: {containers: [{name: a}]}}}\n";
    assert_eq!(refers(&format!("{text}{rollout}")), Vec::<String>::new());
}

#[test]
fn a_port_that_nothing_listens_on() {
    let service = |ports: &str| {
        format!(
            "{DEPLOYMENT}---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: [{ports}]}}\n"
        )
    };
    assert_eq!(
        refers(&service("{port: 80, targetPort: htpp}")),
        [
            "1/spec/ports/0/targetPort: no container of the pods has a port named `htpp` | did you mean `http`?"
        ]
    );
    assert_eq!(
        refers(&service("{port: 80}")),
        ["1/spec/ports/0/port: no container declares the port 80 | declared: `8080`"]
    );
    assert_eq!(
        refers(&service("{port: 80, targetPort: 8080}, {port: 81, targetPort: http}")),
        Vec::<String>::new()
    );
    let probe = deployment(
        "        ports:",
        "        readinessProbe: {httpGet: {port: web}}\n        livenessProbe: {tcpSocket: {port: 80}}\n        ports:",
    );
    assert_eq!(
        refers(&probe),
        [
            "0/spec/template/spec/containers/0/livenessProbe/tcpSocket/port: no container declares the port 80 | declared: `8080`",
            "0/spec/template/spec/containers/0/readinessProbe/httpGet/port: the container has no port named `web`",
        ]
    );
}

#[test]
fn an_ingress_to_nowhere() {
    let ingress = |backend: &str| {
        format!(
            "\
{DEPLOYMENT}---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec: {{rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {backend}}}}}]}}}}]}}
"
        )
    };
    let at = "2/spec/rules/0/http/paths/0/backend/service";
    let nothing = Vec::<String>::new();
    assert_eq!(refers(&ingress("{name: web, port: {number: 80}}")), nothing);
    assert_eq!(refers(&ingress("{name: web, port: {name: http}}")), nothing);
    assert_eq!(
        refers(&ingress("{name: wbe, port: {number: 80}}")),
        [format!("{at}/name: the manifests have no Service `wbe` | did you mean `web`?")]
    );
    assert_eq!(
        refers(&ingress("{name: web, port: {number: 81}}")),
        [format!("{at}/port/number: Service `web` has no port 81 | it has `80`")]
    );
    assert_eq!(
        refers(&ingress("{name: web, port: {name: htp}}")),
        [format!("{at}/port/name: Service `web` has no port named `htp` | did you mean `http`?")]
    );
    assert_eq!(refers(&ingress("{name: web, port: {name: use-annotation}}")), nothing);
}

#[test]
fn a_secret_that_nobody_makes() {
    let with = |env: &str| deployment("        ports:", &format!("        {env}\n        ports:"));
    let at = "0/spec/template/spec/containers/0";
    assert_eq!(
        refers(&with(
            "envFrom: [{secretRef: {name: db}}, {configMapRef: {name: x, optional: true}}, {secretRef: {name: made-by-hand}}]"
        )),
        [format!(
            "{at}/envFrom/0/secretRef/name: the manifests have no Secret `db` | if it is created elsewhere, name it under `external:`"
        )]
    );
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {level: info}\n";
    let text = with(
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: lvel}}}, {name: B, valueFrom: {secretKeyRef: {name: stetings, key: a}}}]",
    );
    assert_eq!(
        refers(&format!("{text}{map}")),
        [
            format!(
                "{at}/env/0/valueFrom/configMapKeyRef/key: ConfigMap `settings` has no key `lvel` | did you mean `level`?"
            ),
            format!(
                "{at}/env/1/valueFrom/secretKeyRef/name: the manifests have no Secret `stetings` | if it is created elsewhere, name it under `external:`"
            ),
        ]
    );
    // An ExternalSecret names the Secret that it makes.
    let external = "---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: a}\nspec: {target: {name: db}}\n";
    assert_eq!(
        refers(&format!("{}{external}", with("envFrom: [{secretRef: {name: db}}]"))),
        Vec::<String>::new()
    );
}

#[test]
fn volumes_accounts_claims_and_targets() {
    let pod = "      serviceAccountName: robot\n      imagePullSecrets: [{name: pull}]\n      volumes:\n      - {name: a, configMap: {name: files}}\n      - {name: b, persistentVolumeClaim: {claimName: data}}\n      - {name: c, secret: {secretName: gone, optional: true}}\n      - {name: d, projected: {sources: [{secret: {name: token}}, {configMap: {name: kube-root-ca.crt}}]}}\n      containers:";
    let text = deployment("      containers:", pod);
    let found = refers(&format!(
        "{text}---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web}}
spec: {{maxReplicas: 2, scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: wbe}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: other}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: all}}
spec: {{minAvailable: 1, selector: {{matchExpressions: [{{key: app, operator: In, values: [web]}}]}}}}
"
    ));
    let found: Vec<&str> = found.iter().filter_map(|one| one.split(" | ").next()).collect();
    assert_eq!(
        found,
        [
            "0/spec/template/spec/volumes/0/configMap/name: the manifests have no ConfigMap `files`",
            "0/spec/template/spec/volumes/1/persistentVolumeClaim/claimName: the manifests have no PersistentVolumeClaim `data`",
            "0/spec/template/spec/volumes/3/projected/sources/0/secret/name: the manifests have no Secret `token`",
            "0/spec/template/spec/serviceAccountName: the manifests have no ServiceAccount `robot`",
            "0/spec/template/spec/imagePullSecrets/0/name: the manifests have no Secret `pull`",
            "1/spec/scaleTargetRef/name: the manifests have no Deployment `wbe`",
            "2/spec/selector: the selector matches no pod of the manifests",
        ]
    );
}

#[test]
fn an_api_version_that_was_removed() {
    let text = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: web}\nspec: {}\n";
    assert_eq!(
        said(text),
        [
            "/apiVersion: `Ingress` of `extensions/v1beta1` was removed in Kubernetes 1.22 | write `apiVersion: networking.k8s.io/v1`; its fields may differ"
        ]
    );
    let text = "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\n";
    assert_eq!(
        said(text)[0],
        "/apiVersion: `HorizontalPodAutoscaler` of `autoscaling/v2beta2` was removed in Kubernetes 1.26 | write `apiVersion: autoscaling/v2`; its fields may differ"
    );
    let text = "apiVersion: v1\nkind: Deployment\nmetadata: {name: web}\n";
    assert_eq!(
        said(text),
        ["/apiVersion: Kubernetes 1.37 has no `Deployment` of `v1` | write `apiVersion: apps/v1`"]
    );
    let text = "apiVersion: apps/v1\nkind: Deploiment\nmetadata: {name: web}\n";
    assert_eq!(
        said(text),
        ["/kind: Kubernetes 1.37 has no `Deploiment` of `apps/v1` | did you mean `Deployment`?"]
    );
    assert_eq!(
        said("apiVersion: example.com/v1\nkind: Deploiment\nmetadata: {name: web}\n"),
        Vec::<String>::new()
    );
    assert_eq!(said("kind: Pod\n"), ["/: `apiVersion` is missing".replace("/:", ":")]);
    // Deprecated is a warning.
    let text = "apiVersion: flowcontrol.apiserver.k8s.io/v1beta3\nkind: FlowSchema\nmetadata: {name: a}\nspec: {priorityLevelConfiguration: {name: a}}\n";
    assert_eq!(
        said_in("1.30", text),
        [
            "?/apiVersion: `FlowSchema` of `flowcontrol.apiserver.k8s.io/v1beta3` is deprecated since Kubernetes 1.29 and removed in 1.32 | write `apiVersion: flowcontrol.apiserver.k8s.io/v1`; its fields may differ"
        ]
    );
}

const CRON: &str = "\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: \"0 3 * * *\"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}
";

#[test]
fn a_schedule_in_words() {
    assert_eq!(said(CRON), Vec::<String>::new());
    assert_eq!(
        said(&CRON.replace("0 3 * * *", "every 5 min")),
        ["/spec/schedule: `every 5 min` is not a cron schedule: it has 3 fields instead of 5 \
         | write minute, hour, day of the month, month and day of the week: `*/5 * * * *`"]
    );
}

#[test]
fn a_name_with_capitals_and_underscores() {
    let text = deployment("metadata: {name: web}", "metadata: {name: Worker_1}");
    assert_eq!(
        said(&text),
        ["/metadata/name: `Worker_1` cannot be the name of a Deployment \
         | use lower-case letters, digits, `-` and `.`, at most 253, with a letter or digit at both ends of each part"]
    );
    assert!(said(&CRON.replace("nightly", &"n".repeat(53)))[0].contains("at most 52 characters, not 53"));
}

#[test]
fn a_value_that_is_not_known() {
    let text = deployment("        image:", "        imagePullPolicy: Allways\n        image:");
    assert_eq!(
        said(&text),
        [
            "/spec/template/spec/containers/0/imagePullPolicy: `imagePullPolicy` cannot be `Allways` | did you mean `Always`?"
        ]
    );
    let text = deployment("containerPort: 8080", "containerPort: 8080, protocol: QUIC");
    assert_eq!(
        said(&text),
        [
            "/spec/template/spec/containers/0/ports/0/protocol: `protocol` cannot be `QUIC` | write `SCTP`, `TCP` or `UDP`"
        ]
    );
}

/// Case 19: kubectl warns, server-side apply refuses.
#[test]
fn a_variable_and_a_port_that_stand_twice() {
    for version in ["1.27", "1.37"] {
        let text = deployment(
            "        ports:",
            "        env: [{name: A, value: b}, {name: B}, {name: A, value: c}]\n        ports:",
        );
        assert_eq!(
            said_in(version, &text),
            [
                "/spec/template/spec/containers/0/env/2: duplicate item in `env`: `name: A` | the first is item 1"
            ]
        );
        let text = deployment(
            "containerPort: 8080}",
            "containerPort: 8080}, {containerPort: 8080, protocol: UDP}, {containerPort: 8080, protocol: TCP}",
        );
        assert_eq!(
            said_in(version, &text),
            [
                "/spec/template/spec/containers/0/ports/2: duplicate item in `ports`: `containerPort: 8080, protocol: TCP` | the first is item 1"
            ]
        );
    }
}

/// Case 20: numbers where strings must be.
#[test]
fn a_number_where_a_string_must_be() {
    let text = deployment("        ports:", "        args: [--port, 8080]\n        ports:");
    assert_eq!(
        said(&text),
        [
            "/spec/template/spec/containers/0/args/1: an item of `args` must be a string, not a number | put it in quotes"
        ]
    );
    let text = deployment("      containers:", "      nodeSelector: {gpu: true}\n      containers:");
    assert_eq!(
        said(&text),
        ["/spec/template/spec/nodeSelector/gpu: `gpu` must be a string, not a boolean | put it in quotes"]
    );
}

/// All at once, and the data of a Secret in none of it.
#[test]
fn nothing_of_a_secret_is_shown() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/tls\ndata: {\"a/b\": hunter2!, tls.crt: \"\"}\nstringData: {a: 5}\n";
    let found = said(text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|line| !line.contains("hunter2")), "{found:?}");
}

#[test]
fn the_directory_of_the_table_is_where_its_readme_says() {
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema/kubernetes.txt").is_file());
}
