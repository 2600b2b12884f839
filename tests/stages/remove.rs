//! A tier is taken away again: what the records own goes, what holds data stays until somebody says otherwise.

use crate::bench::{Project, Run, lab};

fn manifests() -> String {
    let busybox = format!("{}/base/busybox", lab("LAB_REGISTRY"));
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{A: "1"}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: files}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: db
          image: {busybox}
          command: [sleep, "100000"]
          readinessProbe: {{exec: {{command: ["true"]}}, periodSeconds: 1}}
          volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
"#
    )
}

/// Removes the tier from an empty directory, where nothing but the cluster's records says what it is.
fn remove(project: &Project, more: &[&str]) -> Run {
    let elsewhere = tempfile::tempdir().unwrap();
    let tier = ["--project", &project.name, "--context", "lab-real", "--namespace", &project.namespace];
    project.windlass_in(elsewhere.path(), &[&["remove", "staging"][..], &tier, more].concat())
}

/// The names of what is in the namespace, without what Kubernetes itself puts there.
fn names(project: &Project) -> Vec<String> {
    let kinds = "statefulsets,pods,configmaps,secrets,persistentvolumeclaims,leases";
    let listed = project.kubectl(&["get", kinds, "-o", "name"]);
    listed.lines().filter(|name| !name.contains("kube-root-ca.crt")).map(str::to_owned).collect()
}

#[test]
fn a_tier_goes_and_its_data_stays_until_somebody_says_otherwise() {
    let project = Project::bare_on("lab-real", "remove", "", &manifests());
    project.windlass(&["release", "staging"]).exits(0);

    let asked = remove(&project, &[]).exits(2).says("--confirm staging").says("remove    StatefulSet/db");
    let asked =
        asked.says("keep      PersistentVolumeClaim/data-db-0: it holds data; --with-data deletes it");
    assert!(asked.stdout.contains("the records of 1 release"), "{asked}");
    remove(&project, &["--confirm", "production"]).exits(2).says("--confirm names production");
    assert!(names(&project).contains(&"statefulset.apps/db".to_owned()), "nothing was removed");

    let removed = remove(&project, &["--confirm", "staging", "-o", "json"]).exits(0);
    assert_eq!(removed.finished()["outcome"], "ok", "{removed}");
    let told = removed.events().into_iter().find(|event| event["event"] == "answer").unwrap();
    assert_eq!(told["done"], true, "{removed}");
    assert_eq!(told["kept"].as_array().unwrap().len(), 2, "{removed}");
    let claims = ["persistentvolumeclaim/data-db-0", "persistentvolumeclaim/files"];
    assert_eq!(names(&project), claims);
    project.windlass(&["status", "staging"]).exits(0).says("nothing was released here yet");
    // What was kept the tier takes again.
    project.windlass(&["release", "staging"]).exits(0).says("release 1");

    // What others have in it keeps the namespace.
    project.kubectl(&["create", "configmap", "of-others"]);
    let removed = remove(&project, &["--confirm", "staging", "--with-data"]).exits(0);
    removed.says(&format!("Namespace/{}: ConfigMap/of-others is in it", project.namespace));
    assert_eq!(names(&project), ["configmap/of-others"]);

    project.kubectl(&["delete", "configmap", "of-others"]);
    project.windlass(&["release", "staging"]).exits(0);
    remove(&project, &["--confirm", "staging"]).exits(0).says("kept      PersistentVolumeClaim/data-db-0");
    assert_eq!(names(&project), claims);
    // Also when there is no record any more.
    let rest = remove(&project, &["--confirm", "staging", "--with-data"]).exits(0).says("Namespace/");
    rest.says("removed   PersistentVolumeClaim/data-db-0").says("removed   PersistentVolumeClaim/files");
    let namespace =
        project.kubectl(&["get", "namespace", &project.namespace, "--ignore-not-found", "-o", "name"]);
    assert_eq!(namespace.trim(), "");
    remove(&project, &["--confirm", "staging"]).exits(0).says("nothing to remove");
}

#[test]
fn the_claims_of_a_set_that_went_in_an_earlier_release_are_the_tiers_still() {
    let project = Project::bare_on("lab-real", "remove-set", "", &manifests());
    project.windlass(&["release", "staging"]).exits(0);
    for content in ["first", "second"] {
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {content}}}\n");
        project.write(".kube/app.yaml", &map);
        project.commit(content);
        project
            .windlass(&["release", "staging", "--override", "mass-deletion", "--reason", "a test"])
            .exits(0);
    }
    assert!(!names(&project).contains(&"statefulset.apps/db".to_owned()));
    remove(&project, &["--confirm", "staging", "--with-data"])
        .exits(0)
        .says("removed   PersistentVolumeClaim/data-db-0");
    let namespace =
        project.kubectl(&["get", "namespace", &project.namespace, "--ignore-not-found", "-o", "name"]);
    assert_eq!(namespace.trim(), "");
}

#[test]
fn a_namespace_that_somebody_else_made_stays() {
    let project = Project::bare("remove-ns", "", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    project.kubectl(&["create", "namespace", &project.namespace]);
    project.windlass(&["release", "staging"]).exits(0);
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    removed.says("windlass did not create it for this tier");
    let left = project.kubectl(&["get", "configmaps,secrets,leases", "-o", "name"]);
    assert_eq!(left.trim(), "configmap/kube-root-ca.crt");
}
