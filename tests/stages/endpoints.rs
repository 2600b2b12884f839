//! `no-endpoints`: Services and Ingresses that lead nowhere fail a release, judged last and before anything is pruned.

use std::time::Duration;

use serde_json::Value;

use crate::bench::{Project, Run};

fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
         template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      \
         containers: [{{name: a, image: registry.test/a, readinessProbe: {{tcpSocket: {{port: 80}}}}}}]\n"
    )
}

/// A Service; `more` is what else its metadata has.
fn service(name: &str, selects: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}{more}}}\nspec: {{selector: {{app: {selects}}}, ports: [{{port: 80}}]}}\n"
    )
}

fn ingress(backend: &str, port: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: entry}}\n\
         spec: {{defaultBackend: {{service: {{name: {backend}, port: {{{port}}}}}}}}}\n"
    )
}

fn documents(all: &[String]) -> String {
    all.join("---\n")
}

impl Project {
    fn commit_manifests(&self, manifests: &[String]) {
        self.write(".kube/app.yaml", &documents(manifests));
        self.commit("different manifests");
    }

    fn release(&self) -> Run {
        self.windlass(&["release", "staging", "-o", "json"])
    }
}

/// What a run failed for: `Service/web no-endpoints`, and the sentence.
fn causes(run: &Run) -> Vec<(String, String)> {
    let finished = run.finished();
    let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    let causes = finished["causes"].as_array().cloned().unwrap_or_default();
    let cause =
        |one: &Value| (format!("{} {}", text(one, "object"), text(one, "cause")), text(one, "message"));
    causes.iter().map(cause).collect()
}

/// Verdict and sentence of an object, as `explain` has it.
fn explained(project: &Project, kind: &str, name: &str) -> (String, String) {
    let lines = project.windlass(&["explain", "staging", "-o", "json"]).exits(0);
    let line = lines.events().into_iter().find(|line| line["kind"] == kind && line["name"] == name);
    let line = line.unwrap_or_else(|| panic!("no {kind}/{name}: {lines}"));
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (format!("{} {}", text("verdict"), text("cause")), text("message"))
}

#[test]
fn a_selector_that_matches_nothing_fails_the_release() {
    let project = Project::bare("endpoints", "", &documents(&[deployment("web"), service("web", "wbe", "")]));
    let failed = project.release().exits(31);
    let sentence = "selects app=wbe, but no pod and no pod template has this label; the pods of Deployment/web have app=web";
    assert_eq!(causes(&failed), [("Service/web no-endpoints".to_owned(), sentence.to_owned())], "{failed}");
    assert!(failed.took > Duration::from_secs(29), "somebody may still make such a pod: {failed}");
    let mut objects = failed.events().into_iter().filter(|event| event["event"] == "object");
    let last = objects.rfind(|event| event["kind"] == "Service").unwrap();
    assert_eq!((last["verdict"].as_str(), last["cause"].as_str()), (Some("failed"), Some("no-endpoints")));
    assert_eq!(
        explained(&project, "Service", "web"),
        ("failed no-endpoints".to_owned(), sentence.to_owned())
    );
    // The same verdict from a dump, offline.
    let dump = project.kubectl(&["get", "deployments,replicasets,pods,services", "-o", "yaml"]);
    project.write("dump.yaml", &dump);
    let offline = project.windlass(&["explain", "-f", "dump.yaml", "-o", "json"]).exits(0);
    let line = offline.events().into_iter().find(|line| line["kind"] == "Service").unwrap();
    assert_eq!((line["cause"].as_str(), line["message"].as_str()), (Some("no-endpoints"), Some(sentence)));

    project.edit(".kube/app.yaml", "app: wbe", "app: web");
    project.commit("the right label");
    let good = project.release().exits(0);
    assert!(good.took < Duration::from_secs(20), "nothing is waited for: {good}");
    assert_eq!(explained(&project, "Service", "web").0, "ready ");
}

#[test]
fn what_the_release_prunes_does_not_count_and_stays_until_it_is_good() {
    let before = [
        deployment("web"),
        deployment("old"),
        service("web", "web", ""),
        service("old", "old", ""),
        service("legacy", "web", ""),
        ingress("legacy", "number: 80"),
    ];
    let project = Project::bare("endpoints-prune", "", &documents(&before));
    project.release().exits(0);
    project.commit_manifests(&[
        deployment("web"),
        service("web", "web", ""),
        service("old", "old", ""),
        ingress("legacy", "number: 80"),
    ]);
    let failed = project.release().exits(31);
    let expected = [
        ("Ingress/entry no-endpoints", "backend Service `legacy` does not exist"),
        (
            "Service/old no-endpoints",
            "selects app=old, but no pod and no pod template has this label; the pods of Deployment/web have app=web",
        ),
    ];
    let mut found = causes(&failed);
    found.sort();
    assert_eq!(found, expected.map(|(cause, message)| (cause.to_owned(), message.to_owned())), "{failed}");
    // Judged before pruning: what the last good release needs is still there.
    assert!(!project.object("deployment/old").is_null() && !project.object("service/legacy").is_null());
    project.windlass(&["rollback", "staging"]).exits(0);
    project.windlass(&["status", "staging"]).exits(0).says("6 of 6 objects ready");
}

#[test]
fn what_was_so_before_or_may_be_so_is_a_warning() {
    let optional = ", annotations: {windlass.dev/endpoints: optional}";
    let project = Project::bare(
        "endpoints-warning",
        "",
        &documents(&[
            deployment("web"),
            service("later", "later", optional),
            ingress("web", "name: use-annotation"),
        ]),
    );
    let good = project.release().exits(0).says("(windlass.dev/endpoints: optional)");
    let good = good.says("backend Service `web` does not exist (port name use-annotation)");
    assert!(good.took < Duration::from_secs(25), "a warning is not worth the time: {good}");

    // The last good release had it already: without the annotation it is a warning, too.
    project.edit(".kube/app.yaml", ", annotations: {windlass.dev/endpoints: optional}", "");
    project.commit("not optional");
    project.release().exits(0).says("(the last good release already had this)");
    assert_eq!(explained(&project, "Service", "later").0, "ready no-endpoints");

    // Another label is another mistake; what is brought back is as it was.
    project.edit(".kube/app.yaml", "app: later", "app: latr");
    project.commit("another label");
    let failed = project.release().exits(31);
    assert_eq!(causes(&failed).len(), 1, "{failed}");
    let back = project.windlass(&["rollback", "staging"]).exits(0);
    assert!(back.took < Duration::from_secs(25), "{back}");
    assert_eq!(explained(&project, "Service", "later").0, "ready no-endpoints");
}

#[test]
fn a_pod_that_others_make_meanwhile_is_waited_for() {
    let project =
        Project::bare("endpoints-late", "", &documents(&[deployment("web"), service("late", "late", "")]));
    let good = std::thread::scope(|scope| {
        scope.spawn(|| {
            let made = || !project.object("service/late").is_null();
            while !made() {
                std::thread::sleep(Duration::from_millis(200));
            }
            std::thread::sleep(Duration::from_secs(5));
            project.kubectl(&["run", "late", "--image=registry.test/late", "--labels=app=late"]);
        });
        project.release()
    });
    let good = good.exits(0);
    assert!(good.took > Duration::from_secs(4) && good.took < Duration::from_secs(25), "{good}");
}

#[test]
fn whoever_may_not_list_pods_gets_a_warning() {
    let mut project =
        Project::bare("endpoints-rights", "", &documents(&[deployment("web"), service("web", "wbe", "")]));
    project.kubectl(&["create", "namespace", &project.namespace]);
    project.with_rights(
        "[{apiGroups: ['', apps, coordination.k8s.io], resources: [configmaps, secrets, services, deployments, replicasets, \
         leases, events], verbs: ['*']}]",
    );
    project.release().exits(0).says("(pods may not be listed)");
    assert_eq!(explained(&project, "Service", "web").0, "ready no-endpoints");
}

#[test]
fn a_custom_resource_may_make_the_pods() {
    let group = format!("endpoints-{}.example.com", std::process::id());
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: databases.{group}}}\nspec:\n  \
         group: {group}\n  scope: Namespaced\n  names: {{plural: databases, singular: database, kind: Database}}\n  \
         versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, \
         x-kubernetes-preserve-unknown-fields: true}}}}}}]\n"
    );
    let database =
        format!("apiVersion: {group}/v1\nkind: Database\nmetadata: {{name: db}}\nspec: {{replicas: 1}}\n");
    let project =
        Project::bare("endpoints-custom", "", &documents(&[definition, database, service("db", "db", "")]));
    let released = project.release();
    project.kubectl(&["delete", "crd", &format!("databases.{group}"), "--wait=false"]);
    released.exits(0).says("(Database/db may create such pods)");
}
