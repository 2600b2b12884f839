//! How custom resources are judged on a cluster: by a rule of `health:`, and without any.

use crate::bench::Project;

pub(crate) fn definition(group: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\nspec:\n  \
         group: {group}\n  scope: Namespaced\n  names: {{plural: widgets, singular: widget, kind: Widget}}\n  \
         versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, \
         x-kubernetes-preserve-unknown-fields: true}}}}}}]\n"
    )
}

#[test]
fn a_rule_in_cel_judges_a_custom_resource() {
    let group = format!("health-{}.example.com", std::process::id());
    let widget =
        format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: lamp}}\nspec: {{colour: green}}\n");
    let rule = format!(
        "health:\n  - {{apiVersion: {group}/v1, kind: Widget, current: \"spec.colour == 'green'\", \
         failed: \"spec.colour == 'red'\", message: \"'it is ' + spec.colour\"}}\n"
    );
    let project = Project::bare("health-rule", &rule, &format!("{}---\n{widget}", definition(&group)));
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["explain", "staging"]).exits(0).says("(windlass.yaml)");
    project.edit(".kube/app.yaml", "colour: green", "colour: red");
    project.commit("red");
    let failed = project.windlass(&["release", "staging"]);
    project.kubectl(&["delete", "crd", &format!("widgets.{group}"), "--wait=false"]);
    failed.exits(31).says("controller-failed").says("it is red");
}

/// Nobody writes a status for it: a release does not fail for that, and `explain` does not know.
#[test]
fn a_custom_resource_of_which_nothing_is_known_does_not_fail_a_release() {
    let group = format!("unknown-{}.example.com", std::process::id());
    let widget = format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: lamp}}\nspec: {{}}\n");
    let project = Project::bare("health-unknown", "", &format!("{}---\n{widget}", definition(&group)));
    let released = project.windlass(&["release", "staging"]);
    let explained = project.windlass(&["explain", "staging"]);
    let history = project.windlass(&["history", "staging", "-o", "json"]);
    project.kubectl(&["delete", "crd", &format!("widgets.{group}"), "--wait=false"]);
    assert_eq!(history.exits(0).events()[0]["unjudged"], serde_json::json!(["Widget/lamp"]));
    released.exits(0).says("to `health:` of windlass.yaml");
    explained.exits(0).says("Widget/lamp").says("unknown").says("it has no status");
}
