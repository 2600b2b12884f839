//! Users who may use one namespace: the Role of the documentation is enough, as it stands there.

use crate::bench::{Project, lab};

/// The Role in `docs/permissions.md` that is enough for a release: its rules, in YAML's flow style.
pub(crate) fn rules() -> String {
    rules_of_block(1)
}

fn rules_of_block(number: usize) -> String {
    let page = include_str!("../../docs/permissions.md");
    let yaml = page.split("```yaml\n").nth(number).and_then(|rest| rest.split("```").next()).unwrap();
    let role: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    role["rules"].to_string()
}

/// One object of each kind that the page speaks of.
const MANIFESTS: &str = r#"apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {VERSION: "WHICH"}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {PASSWORD: WHICH-quite-secret}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, minAvailable: 0}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: IMAGE, command: ["true"]}]}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: IMAGE, command: [echo, "migrated to WHICH"]}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, annotations: {windlass.dev/phase: before}}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: db, image: IMAGE, command: [sleep, "100000"], readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: IMAGE, command: [sh, -c, "echo serving WHICH; touch /tmp/up; sleep 100000"], envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: password}}], readinessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: agent, image: IMAGE, command: [sleep, "100000"], readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}}]}
"#;

fn manifests(version: &str) -> String {
    let image = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    MANIFESTS.replace("WHICH", version).replace("IMAGE", &image)
}

/// Everything that a team does with a tier, from the first release to its end.
fn live_a_life(project: &Project) {
    project.windlass(&["plan", "staging"]).exits(0);
    let first = project.windlass(&["release", "staging"]).exits(0);
    assert!(!first.stderr.contains("may not"), "no right is missed: {first}");
    project.write(".kube/app.yaml", &manifests("two"));
    project.commit("two");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["status", "staging"]).exits(0).says("objects ready").says("rollback  ready");
    project.windlass(&["explain", "staging"]).exits(0).says("Deployment/web");
    project.windlass(&["logs", "staging", "Deployment/web"]).exits(0).says("serving two");
    project.windlass(&["rollback", "staging"]).exits(0).says(", release 1");
    project.windlass(&["history", "staging"]).exits(0).says("rollback of 2 to 1");
    project.windlass(&["lock", "staging", "--message", "audit"]).exits(0);
    project.windlass(&["unlock", "staging"]).exits(0);
    // What a release broke says why.
    project.edit(".kube/app.yaml", "echo serving two; touch /tmp/up; sleep 100000", "echo no table; exit 3");
    project.commit("broken");
    let broken =
        project.windlass(&["release", "staging", "--override", "rolled-back", "--reason", "t"]).exits(31);
    broken.says("exited 3").says("no table");
    project.windlass(&["rollback", "staging"]).exits(0);
    project.windlass(&["remove", "staging", "--confirm", "staging", "--with-data"]).exits(0);
}

#[test]
fn a_role_and_its_binding_come_in_one_release() {
    let rights = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: tenant}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [\"\"], resources: [configmaps], verbs: [get]}]
";
    let mut project = Project::bare_on("lab-tenant", "rights-bind", "", rights);
    let own = format!("namespace: {}", project.namespace);
    project.edit("windlass.yaml", &own, "namespace: tenant");
    project.commit("as a tenant");
    project.move_into("tenant");
    project.windlass(&["plan", "staging"]).exits(0).says("3 to create");
    project.windlass(&["release", "staging"]).exits(0).says("3 created");
    project.windlass(&["release", "staging"]).exits(0).says("3 unchanged");
    project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);

    project.edit(".kube/app.yaml", "kind: Role, name: reader", "kind: Role, name: raeder");
    project.windlass(&["plan", "staging"]).exits(30).says("the Role `raeder` that it binds does not exist");
}

#[test]
fn the_role_of_the_documentation_is_enough() {
    let mut project = Project::bare_on("lab-real", "rights-role", "", &manifests("one"));
    project.edit("windlass.yaml", "timeout: 1m", "timeout: 2m");
    project.commit("time");
    project.kubectl(&["create", "namespace", &project.namespace]);
    project.with_rights(&rules());
    live_a_life(&project);
}

#[test]
fn who_may_only_read_sees_everything_and_changes_nothing() {
    let mut project = Project::bare_on("lab-real", "rights-read", "", &manifests("one"));
    project.edit("windlass.yaml", "timeout: 1m", "timeout: 2m");
    project.commit("time");
    project.windlass(&["release", "staging"]).exits(0);
    let before = project.object("deployment/web");
    project.with_rights(&rules_of_block(2));
    project.windlass(&["status", "staging"]).exits(0).says("objects ready").says("rollback  ");
    project.windlass(&["history", "staging"]).exits(0).says("good");
    project.windlass(&["explain", "staging"]).exits(0).says("Deployment/web");
    project.windlass(&["logs", "staging", "Deployment/web"]).exits(0).says("serving one");
    project.windlass(&["plan", "staging", "--exit-code"]).exits(0);
    project.edit(".kube/app.yaml", "echo serving one", "echo serving two");
    project.commit("two");
    let plan = project.windlass(&["plan", "staging", "--exit-code"]).exits(4).says("serving two");
    let plan = plan.says("this user may not change Deployment/web: compared with the last release");
    assert!(!plan.stderr.contains("quite-secret"), "{plan}");
    project.windlass(&["release", "staging"]).exits(6).says("may not");
    project.windlass(&["rollback", "staging", "--yes"]).exits(6).says("may not");
    let after = project.object("deployment/web");
    assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    // The history is no secret.
    project.with_rights("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]");
    project.windlass(&["history", "staging"]).exits(0).says("good");
    project.windlass(&["status", "staging"]).exits(0).says("health    not known").says("may not get secrets");
}

#[test]
fn whoever_has_one_namespace_needs_nothing_beyond_it() {
    let mut project = Project::bare_on("lab-tenant", "rights-tenant", "", &manifests("one"));
    let own = format!("namespace: {}", project.namespace);
    project.edit("windlass.yaml", &own, "namespace: tenant");
    project.edit("windlass.yaml", "timeout: 1m", "timeout: 2m");
    project.commit("as a tenant");
    project.move_into("tenant");
    live_a_life(&project);
}

#[test]
fn doctor_prints_the_role_that_is_missing_and_it_is_enough() {
    let mut project = Project::bare(
        "rights-doctor",
        "",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n",
    );
    project.kubectl(&["create", "namespace", &project.namespace.clone()]);
    project.with_rights(r#"[{apiGroups: [""], resources: [pods], verbs: [list]}]"#);
    let lacking = project.windlass(&["doctor", "staging"]).exits(6);
    assert!(
        lacking.stdout.contains("failed   rights") && lacking.stdout.contains("kind: RoleBinding"),
        "{lacking}"
    );
    let json = project.windlass(&["doctor", "staging", "-o", "json"]);
    let answer = json.events().remove(0);
    let role = answer["apply"].as_array().unwrap();
    assert_eq!((role.len(), &role[0]["kind"]), (2, &"Role".into()), "{json}");
    let yaml = lacking.stdout.split_once("kubectl apply -f -\n").unwrap().1.to_owned();
    project.pipe_to_kubectl(&yaml, &["apply", "-f", "-"]).exits(0);
    project
        .windlass(&["doctor", "staging"])
        .exits(0)
        .says("the clocks of this machine and the cluster agree");
    project.windlass(&["release", "staging"]).exits(0);
}
