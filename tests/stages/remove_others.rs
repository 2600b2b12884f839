//! Of a tier that is taken away nothing goes that belongs to others, and what is kept is free for others.

use std::process::Command;

use crate::bench::{Project, lab, text};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: x}\n";

fn namespace(project: &Project) -> String {
    project.kubectl(&["get", "namespace", &project.namespace, "--ignore-not-found", "-o", "name"])
}

fn labels(project: &Project, object: &str) -> String {
    project.object(object)["metadata"]["labels"].to_string()
}

/// A kind of its own for the test, with one object of it in the project's namespace.
fn custom_resource(project: &Project) -> String {
    let group = format!("{}.example.com", project.name);
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\n\
         spec: {{group: {group}, scope: Namespaced, names: {{kind: Widget, plural: widgets}}, versions: [{{name: v1, served: true, \
         storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]}}\n"
    );
    project.pipe_to_kubectl(&definition, &["apply", "-f", "-"]).exits(0);
    let name = format!("crd/widgets.{group}");
    project.kubectl(&["wait", "--for", "condition=Established", &name, "--timeout", "30s"]);
    let widget = format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: theirs}}\n");
    project.pipe_to_kubectl(&widget, &["apply", "-f", "-"]).exits(0);
    name
}

#[test]
fn what_others_made_keeps_the_namespace_whatever_its_kind() {
    let project = Project::bare("others", "", MAP);
    project.windlass(&["release", "staging"]).exits(0);
    let definition = custom_resource(&project);
    project.kubectl(&["create", "ingress", "other", "--rule=x.test/=svc:80"]);
    project.kubectl(&["create", "role", "reader", "--verb=get", "--resource=pods"]);

    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    let removed = removed.says("removed   ConfigMap/a");
    assert!(!removed.stderr.contains("deprecated"), "nobody asked for all kinds: {removed}");
    let kept = format!(
        "kept      Namespace/{}: Ingress/other, Role/reader and Widget/theirs are in it",
        project.namespace
    );
    assert!(removed.stdout.contains(&kept), "{removed}");
    assert_ne!(namespace(&project), "");
    assert!(!project.object("ingress/other").is_null());
    assert!(project.object("configmap/a").is_null());
    assert_eq!(
        project.kubectl(&["get", "leases,secrets", "-o", "name"]).trim(),
        "",
        "nothing of windlass is left"
    );

    // Who wants it all gone is told what that is.
    let whole = ["remove", "staging", "--with-namespace"];
    let asked = project.windlass(&whole).exits(2).says("--confirm staging");
    asked.says("remove    Ingress/other, with the namespace: it is not of this tier");
    assert!(!project.object("ingress/other").is_null());
    let whole = [&whole[..], &["--confirm", "staging"]].concat();
    let removed = project.windlass(&whole).exits(0);
    let removed = removed.says(
        "deleted with the namespace, though not of this tier: Ingress/other, Role/reader, Widget/theirs",
    );
    removed.says(&format!("removed   Namespace/{}", project.namespace));
    assert_eq!(namespace(&project), "");
    project.kubectl(&["delete", &definition]);
}

#[test]
fn what_every_namespace_has_and_what_the_tier_ignores_keeps_none() {
    let web = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template: {{metadata: {{labels: {{app: web}}}}, spec: {{terminationGracePeriodSeconds: 0, \
         containers: [{{name: web, image: \"{}/base/busybox\", command: [sleep, \"100000\"]}}]}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}\n",
        lab("LAB_REGISTRY")
    );
    let project = Project::bare("ignored", "", &format!("{MAP}---\n{web}"));
    project.edit(
        "windlass.yaml",
        "timeout: 1m",
        "timeout: 1m, ignore: [ServiceAccount/builder, Secret/builder-*]",
    );
    project.commit("ignore");
    project.windlass(&["release", "staging"]).exits(0);
    project.kubectl(&["create", "serviceaccount", "builder"]);
    project.kubectl(&["create", "secret", "generic", "builder-token-1"]);
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    removed.says(&format!("removed   Namespace/{}", project.namespace));
    assert_eq!(namespace(&project), "");
}

#[test]
fn a_namespace_that_cannot_be_looked_through_stays() {
    let mut project = Project::bare("unseen", "", MAP);
    project.windlass(&["release", "staging"]).exits(0);
    // All but secrets of a kind that others may have in it.
    let rules = r#"[{apiGroups: [""], resources: [configmaps, secrets, namespaces, persistentvolumeclaims], verbs: ["*"]},
        {apiGroups: [coordination.k8s.io], resources: [leases], verbs: ["*"]}]"#;
    project.with_rights(&rules.replace('\n', " "));
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    removed.says("removed   ConfigMap/a").says("ingresses.networking.k8s.io, ").says("may not be listed");
    assert_ne!(namespace(&project), "");
}

#[test]
fn data_does_not_go_with_the_namespace_unasked() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: files}\n\
                 spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n";
    let project = Project::bare("whole", "", MAP);
    project.windlass(&["release", "staging"]).exits(0);
    project.pipe_to_kubectl(claim, &["apply", "-f", "-"]).exits(0);
    let whole = ["remove", "staging", "--confirm", "staging", "--with-namespace"];
    let refused =
        project.windlass(&whole).exits(2).says("PersistentVolumeClaim/files would be deleted with it");
    refused.says("--with-data");
    assert!(!project.object("configmap/a").is_null(), "nothing was removed");
    project.windlass(&[&whole[..], &["--with-data"]].concat()).exits(0);
    assert_eq!(namespace(&project), "");
}

#[test]
fn the_records_alone_go_and_all_runs_on() {
    let project = Project::bare("records", "", MAP);
    project.windlass(&["release", "staging"]).exits(0);
    let before = project.object("configmap/a");
    project
        .windlass(&["remove", "staging", "--records-only", "--with-data", "--confirm", "staging"])
        .exits(2);
    let removed = project.windlass(&["remove", "staging", "--records-only", "--confirm", "staging"]).exits(0);
    let removed = removed.says("removed   the records of 1 release").says("kept      ConfigMap/a: it stays");
    removed.says("--records-only deletes only the records");
    let after = project.object("configmap/a");
    assert_eq!((&after["metadata"]["uid"], &after["data"]), (&before["metadata"]["uid"], &before["data"]));
    assert!(!after["metadata"]["labels"].to_string().contains("windlass"), "{after}");
    assert!(!after["metadata"]["annotations"].to_string().contains("windlass"), "{after}");
    let made: serde_json::Value =
        serde_json::from_str(&project.kubectl(&["get", "namespace", &project.namespace, "-o", "json"]))
            .unwrap();
    assert!(!made["metadata"]["annotations"].to_string().contains("windlass"), "{made}");
    assert_eq!(project.kubectl(&["get", "leases,secrets", "-o", "name"]).trim(), "");
    let again = project.windlass(&["remove", "staging", "--records-only", "--confirm", "staging"]);
    again.exits(0).says("nothing to remove");
    // Another project may have it.
    project.windlass(&["release", "staging", "--project", "another"]).exits(0);
    assert!(labels(&project, "configmap/a").contains("another"));
}

#[test]
fn what_is_kept_another_project_may_take_over() {
    let group = format!("t-kept-{}.example.com", std::process::id());
    let manifests = format!(
        "{MAP}---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\n\
         spec: {{group: {group}, scope: Namespaced, names: {{kind: Widget, plural: widgets}}, versions: [{{name: v1, served: true, \
         storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]}}\n---\n\
         apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: files}}\n\
         spec: {{storageClassName: none, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}\n"
    );
    let project = Project::bare("kept", "", &manifests);
    let definition = format!("crd/widgets.{group}");
    // A claim without a class is never bound: what counts here is only that it is there.
    project.windlass(&["release", "staging", "--timeout", "3s"]);
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    let removed =
        removed.says("kept      PersistentVolumeClaim/files: it holds data; --with-data deletes it");
    removed.says(&format!("kept      CustomResourceDefinition/widgets.{group}"));
    for object in ["pvc/files", definition.as_str()] {
        let labels = labels(&project, object);
        assert!(
            !labels.contains("windlass.dev/project") && !labels.contains("managed-by"),
            "{object}: {labels}"
        );
    }
    // Without a new owner the data is still found by the tier that left it.
    project.windlass(&["remove", "staging"]).exits(0).says("kept      PersistentVolumeClaim/files");

    project.windlass(&["release", "staging", "--project", "another", "--timeout", "3s"]);
    for object in ["pvc/files", definition.as_str()] {
        assert!(labels(&project, object).contains("\"windlass.dev/project\":\"another\""), "{object}");
    }
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging", "--with-data"]).exits(0);
    assert!(!removed.stdout.contains("removed   PersistentVolumeClaim"), "{removed}");
    assert!(!project.object("pvc/files").is_null(), "it is another project's by now");
    let removed = project.windlass(&[
        "remove",
        "staging",
        "--project",
        "another",
        "--confirm",
        "staging",
        "--with-data",
    ]);
    removed.exits(0).says("removed   PersistentVolumeClaim/files");
    assert!(project.object("pvc/files").is_null());
    project.kubectl(&["delete", &definition]);
}

#[test]
fn a_volume_stays_with_its_claim_and_goes_after_it() {
    let volume = format!("t-volume-{}", std::process::id());
    let manifests = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {volume}}}\n\
         spec: {{capacity: {{storage: 1Mi}}, accessModes: [ReadWriteOnce], storageClassName: \"\", \
         persistentVolumeReclaimPolicy: Retain, hostPath: {{path: /tmp}}}}\n---\n\
         apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: files}}\n\
         spec: {{storageClassName: \"\", volumeName: {volume}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}\n"
    );
    let project = Project::bare_on("lab-real", "volume", "", &manifests);
    let object = format!("pv/{volume}");
    project.windlass(&["release", "staging"]).exits(0);
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    removed.says(&format!("kept      PersistentVolume/{volume}: PersistentVolumeClaim/files uses it"));
    let kept = project.object(&object);
    assert!(kept["metadata"]["deletionTimestamp"].is_null(), "{kept}");
    assert!(!kept["metadata"]["labels"].to_string().contains("windlass.dev/project"), "{kept}");

    let removed = project.windlass(&["remove", "staging", "--confirm", "staging", "--with-data"]).exits(0);
    let removed = removed.says("removed   PersistentVolumeClaim/files");
    removed.says(&format!("removed   PersistentVolume/{volume}"));
    assert!(project.object(&object).is_null());
    assert_eq!(namespace(&project), "");

    // Both at once, too.
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["remove", "staging", "--confirm", "staging", "--with-data"]).exits(0);
    assert!(project.object(&object).is_null());
    assert_eq!(namespace(&project), "");
}

#[test]
fn a_namespace_of_the_manifests_is_either_removed_or_kept() {
    let project = Project::bare("own-ns", "", MAP);
    project.write(
        ".kube/namespace.yaml",
        &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}}}\n", project.namespace),
    );
    project.commit("the namespace");
    project.windlass(&["release", "staging"]).exits(0);
    let removed = project.windlass(&["remove", "staging", "--confirm", "staging"]).exits(0);
    let name = format!("Namespace/{}", project.namespace);
    assert_eq!(removed.stdout.matches(&name).count(), 1, "{removed}");
    removed.says(&format!("removed   {name}"));
    assert_eq!(namespace(&project), "");
    let all = ["--context", "lab-fake", "get", "namespaces", "-o", "name"];
    assert!(!text(Command::new("kubectl").args(all)).contains(&project.namespace));
}
