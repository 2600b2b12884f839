//! What would be refused is known before it is sent; what the cluster refuses stands at its line.

use crate::bench::Project;

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: \"1\"}\n";

const DATABASE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: busybox}]}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 10Mi}}}
";

#[test]
fn a_release_refuses_what_the_cluster_would_refuse() {
    let project = Project::bare("valid-release", "", SETTINGS);
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "data: {A: \"1\"}", "data: {A: \"2\"}\nimutable: true");
    project.write(".kube/db.yaml", &DATABASE.replace("port: 5432", "port: 543210"));
    project.commit("two slips");
    let run = project.windlass(&["release", "staging"]).exits(3);
    let run = run.says(".kube/app.yaml:5:1: ").says("did you mean `immutable`?");
    let run = run.says(".kube/db.yaml:4:61: ").says("nothing was changed: release 1 still runs");
    assert_eq!(project.object("configmap/settings")["data"]["A"], "1", "{run}");
    let causes = project.windlass(&["plan", "staging", "-o", "json"]).exits(3).finished()["causes"].clone();
    assert_eq!(
        (&causes[0]["object"], &causes[1]["object"]),
        (&"ConfigMap/settings".into(), &"Service/db".into())
    );
    assert_eq!(causes[0]["cause"], "invalid-manifest");
}

#[test]
fn the_version_of_the_cluster_decides() {
    let project = Project::bare("valid-version", "", SETTINGS);
    // A kind that came with 1.30.
    let policy = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
                  metadata: {name: none}\nspec: {policyName: none, validationActions: [Audit]}\n";
    project.write(".kube/policy.yaml", policy);
    project.commit("a policy");
    project.windlass(&["validate", "--kubernetes", "1.29"]).exits(3).says(".kube/policy.yaml:1:13: ");
    project.windlass(&["validate", "--kubernetes", "1.30"]).exits(0);
    let plan = project.windlass(&["plan", "staging"]);
    if crate::bench::lab("LAB_KUBERNETES").starts_with("1.27") {
        plan.exits(3).says(".kube/policy.yaml:1:13: ");
    } else {
        plan.exits(0);
    }
}

#[test]
fn kinds_that_the_cluster_does_not_serve_are_told_together() {
    let project = Project::bare("valid-kinds", "", SETTINGS);
    let custom =
        |kind: &str| format!("apiVersion: nobody.example.com/v1\nkind: {kind}\nmetadata: {{name: one}}\n");
    project.write(".kube/custom.yaml", &format!("{}---\n{}", custom("Widget"), custom("Gadget")));
    project.commit("custom resources");
    let validated = project.windlass(&["validate"]).exits(0);
    assert!(validated.stdout.contains("Widget of nobody.example.com/v1"), "{validated}");
    let refused = project.windlass(&["release", "staging"]).exits(30);
    let refused = refused.says(".kube/custom.yaml:1:1: ").says(".kube/custom.yaml:5:1: ");
    let namespaces = project.kubectl(&["get", "namespaces", "-o", "name"]);
    assert!(!namespaces.contains(&project.namespace), "{namespaces}{refused}");
}

#[test]
fn the_field_that_stays_as_it_was_is_named() {
    let project = Project::bare("valid-claims", "", SETTINGS);
    project.write(".kube/db.yaml", DATABASE);
    project.commit("a database");
    project.windlass(&["release", "staging", "--timeout", "5s"]);
    project.edit(".kube/db.yaml", "storage: 10Mi", "storage: 20Mi");
    project.commit("more room");
    let refused = project.windlass(&["plan", "staging"]).exits(30);
    let refused =
        refused.says(".kube/db.yaml:15:98: ").says("10Mi → 20Mi").says("existing claims do not change");
    assert!(!refused.stderr.contains("statefulset spec for fields other than"), "{refused}");
}
