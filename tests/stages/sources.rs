//! Manifests from elsewhere: a kustomization through the real kubectl, a chart through the real Helm, then released like
//! the rest.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::bench::{Project, copy, lab, text};

/// A project whose runs find the lab's Helm.
fn with_helm(test: &str, config: &str) -> Project {
    let mut project = Project::bare(test, config, "");
    project.set("PATH", format!("{}:{}", lab("LAB_TOOLS"), std::env::var("PATH").unwrap()));
    std::fs::remove_file(project.path().join(".kube/app.yaml")).unwrap();
    project
}

/// A chart as `helm create` makes it, with a migration and a tier's values.
fn chart(test: &str) -> Project {
    let project = with_helm(test, "");
    text(
        Command::new(format!("{}/helm", lab("LAB_TOOLS")))
            .current_dir(project.path())
            .args(["create", "shop"]),
    );
    copy(&project.path().join("shop"), &project.path().join(".kube"));
    std::fs::remove_dir_all(project.path().join("shop")).unwrap();
    project.write(
        ".kube/templates/migrate.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {{ .Release.Name }}-migrate\n  annotations:\n    \
         helm.sh/hook: pre-install,pre-upgrade\n    helm.sh/hook-delete-policy: before-hook-creation\nspec:\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers: [{name: m, image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"}]\n",
    );
    project.write(
        ".kube/templates/warm.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-warm\n  annotations: {helm.sh/hook: post-upgrade}\nspec:\n  \
         containers: [{name: w, image: registry.test/warm}]\n",
    );
    project.write(
        ".kube/tiers/staging/values.yaml",
        "replicaCount: 3\nimage: {repository: registry.test/web, tag: \"1\"}\ningress: {enabled: true, hosts: [{host: \"${WINDLASS_TIER}.test\", paths: [{path: /, pathType: Prefix}]}]}\n",
    );
    project.commit("a chart");
    project
}

#[test]
fn a_chart_is_released_like_the_rest() {
    let project = chart("chart");
    project.windlass(&["validate"]).exits(0);
    let rendered = project.windlass(&["render", "staging"]).exits(0);
    assert!(!rendered.stdout.contains("test-connection"), "tests are left out: {rendered}");
    assert!(rendered.stdout.contains("staging.test"), "variables are replaced: {rendered}");
    assert!(!rendered.stdout.contains("helm.sh/hook:"), "{rendered}");
    let plan = project.windlass(&["plan", "staging"]).exits(0).says("4 to create, 2 to run");
    assert!(plan.stdout.contains(&format!("> run      Job/{}-migrate", project.name)), "{plan}");
    project.windlass(&["release", "staging"]).exits(0).says("4 created, 2 run");
    let web = format!("deployment/{}-shop", project.name);
    assert_eq!(project.object(&web)["spec"]["replicas"], 3);
    let created =
        |name: String| project.object(&name)["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
    let migrated = created(format!("job/{}-migrate", project.name));
    assert!(migrated <= created(web.clone()), "hooks before the installation run before");
    assert!(created(web.clone()) <= created(format!("job/{}-warm", project.name)));

    project.edit(".kube/tiers/staging/values.yaml", "replicaCount: 3", "replicaCount: 2");
    project.commit("fewer");
    project.windlass(&["release", "staging"]).exits(0).says("1 changed, 5 unchanged");
    // What is no longer rendered goes.
    project.edit(".kube/tiers/staging/values.yaml", "enabled: true", "enabled: false");
    project.commit("no Ingress");
    project.windlass(&["release", "staging"]).exits(0).says("1 pruned");
    let ingress = project.object(&format!("ingress/{}-shop", project.name));
    assert_eq!(ingress, Value::Null);

    // The tier's own files are laid over the chart.
    project.write(
        ".kube/tiers/staging/web.yaml",
        &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {}-shop}}\nspec: {{replicas: 5}}\n",
            project.name
        ),
    );
    project.commit("more");
    project.windlass(&["release", "staging"]).exits(0).says("1 changed");
    assert_eq!(project.object(&web)["spec"]["replicas"], 5);
}

#[test]
fn a_chart_that_makes_values_up_is_refused() {
    let project = chart("chart-random");
    project.write(
        ".kube/templates/secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: {{ randAlphaNum 12 | quote }}}\n",
    );
    let run = project.windlass(&["release", "staging"]).exits(3);
    let run = run.says("`stringData.password` of Secret/db changes each time the chart is rendered");
    let run = run.says(".kube/templates/secret.yaml").says("secrets:");
    assert_eq!(project.object("deployment"), Value::Null, "{run}");

    project.write(".kube/templates/secret.yaml", "kind: {{ .Values.nowhere.to.be.found }}\n");
    project.windlass(&["validate"]).exits(3).says("`helm template` failed").says("secret.yaml");
    let mut without = project;
    std::fs::remove_file(without.path().join(".kube/templates/secret.yaml")).unwrap();
    without.set("PATH", "/usr/bin:/bin");
    without.windlass(&["validate"]).exits(3).says("`helm template` is not installed");
}

#[test]
fn values_of_a_tier_may_stand_in_files_of_its_own() {
    let project = chart("chart-values");
    project.write("values/staging.yaml", "replicaCount: 4\n");
    project.edit("windlass.yaml", "timeout: 1m", "timeout: 1m, values: \"values/${WINDLASS_TIER}.yaml\"");
    let rendered = project.windlass(&["render", "staging"]).exits(0).stdout;
    assert!(rendered.contains("replicas: 4"), "{rendered}");
    project.edit("windlass.yaml", "values/${", "value/${");
    let run = project.windlass(&["render", "staging"]).exits(3).says("there is no file `value/staging.yaml`");
    assert!(run.stderr.contains("windlass.yaml:5:"), "{run}");
}

/// The chart of the provisioner that the lab itself runs, as its makers publish it.
#[test]
fn a_real_chart_is_released_and_renders_the_same() {
    let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/modules/kubernetes");
    let module = text(Command::new("go").current_dir(modules).args([
        "list",
        "-m",
        "-f",
        "{{.Dir}}",
        "github.com/rancher/local-path-provisioner",
    ]));
    let project = with_helm("chart-real", "");
    let chart = Path::new(module.trim()).join("deploy/chart/local-path-provisioner");
    copy(&chart, &project.path().join(".kube"));
    text(Command::new("chmod").args(["-R", "u+w"]).arg(project.path().join(".kube")));
    project.write(
        ".kube/tiers/staging/values.yaml",
        &format!(
            "storageClass: {{name: {0}, provisionerName: example.com/{0}}}\nnameOverride: {0}\n",
            project.name
        ),
    );
    project.commit("a chart of others");
    let plan = project.windlass(&["plan", "staging"]).exits(0);
    for kind in
        ["ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "StorageClass", "Deployment"]
    {
        assert!(plan.stdout.contains(&format!("+ create   {kind}/")), "no {kind}: {plan}");
    }
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["plan", "staging", "--exit-code"]).exits(0);
    for kind in ["clusterroles", "clusterrolebindings", "storageclasses"] {
        let label = format!("windlass.dev/project={}", project.name);
        project.kubectl(&["delete", kind, "-l", &label, "--wait=false"]);
    }
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.test/web, envFrom: [{configMapRef: {name: web}}]}]}
";

#[test]
fn a_kustomization_is_released_like_the_rest() {
    let project = Project::bare("kustomize", "", DEPLOYMENT);
    project.write(
        ".kube/kustomization.yaml",
        "resources: [app.yaml]\nconfigMapGenerator: [{name: web, literals: [LEVEL=info]}]\nimages: [{name: registry.test/web, newTag: \"2\"}]\n",
    );
    project.write(
        ".kube/tiers/staging/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n",
    );
    project.commit("kustomize");
    project.windlass(&["validate"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0).says("2 created");
    let web = project.object("deployment/web");
    assert_eq!(web["spec"]["replicas"], 3, "the tier is laid over it");
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.test/web:2");
    let name = container["envFrom"][0]["configMapRef"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-"), "{name}");

    // Another value is another ConfigMap: the old one goes once the new pods are ready.
    project.edit(".kube/kustomization.yaml", "LEVEL=info", "LEVEL=debug");
    project.commit("louder");
    project.windlass(&["release", "staging"]).exits(0).says("1 created, 1 changed, 1 pruned");
    assert_eq!(project.object(&format!("configmap/{name}")), Value::Null);

    project.edit(".kube/kustomization.yaml", "app.yaml", "missing.yaml");
    project
        .windlass(&["validate"])
        .exits(3)
        .says("`kubectl kustomize` failed")
        .says(".kube/kustomization.yaml");
}

#[test]
fn a_tiers_kustomization_names_its_base_itself() {
    let project = Project::bare("kustomize-tier", "", "");
    std::fs::remove_file(project.path().join(".kube/app.yaml")).unwrap();
    project.write(".kube/base/web.yaml", DEPLOYMENT);
    project.write(".kube/base/kustomization.yaml", "resources: [web.yaml]\n");
    project.write(
        ".kube/tiers/staging/kustomization.yaml",
        "resources: [../../base]\nnamePrefix: blue-\nreplicas: [{name: web, count: 2}]\n\
         configMapGenerator: [{name: web, literals: [A=b]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n",
    );
    project.commit("overlays");
    project.windlass(&["validate"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0).says("2 created");
    let web = project.object("deployment/blue-web");
    assert_eq!(web["spec"]["replicas"], 2);
    assert_eq!(
        web["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"],
        "blue-web"
    );
}
