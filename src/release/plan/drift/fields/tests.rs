//! Fields that others added to a Deployment, from managed fields as a server writes them.

use serde_json::json;

use super::*;

/// A Deployment of ours with one container `web`, one variable `A` and a memory limit; `entries` are those of other
/// managers.
fn live(entries: &[Value], container: &Value, pod: &Value) -> Value {
    let ours = json!({"manager": "windlass", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-11-23T09:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:selector": {}, "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}, "f:annotations": {"f:windlass.dev/config": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {},
                    "f:resources": {"f:limits": {"f:memory": {}}},
                    "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}}}}}}}});
    let mut web = json!({"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}],
        "resources": {"limits": {"memory": "64Mi"}}});
    merge(&mut web, container);
    let mut spec = json!({"containers": [web], "dnsPolicy": "ClusterFirst"});
    merge(&mut spec, pod);
    let managed: Vec<Value> = [ours].iter().chain(entries).cloned().collect();
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7", "managedFields": managed},
        "spec": {"replicas": 3, "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"windlass.dev/config": "x",
                "kubectl.kubernetes.io/restartedAt": "2026-11-23T10:00:00Z"}},
            "spec": spec}}})
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().expect("a map") {
        into[key] = value.clone();
    }
}

fn entry(manager: &str, template: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-23T10:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:template": template}}})
}

fn on_web(fields: &Value) -> Value {
    json!({"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": fields}}})
}

fn two_variables() -> Value {
    json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
}

/// `kubectl set env deployment/web B=2`
fn set_env() -> Value {
    entry(
        "kubectl-set",
        &on_web(&json!({"f:env": {"k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}}}})),
    )
}

fn names(found: &[Added]) -> Vec<(&str, &str, bool)> {
    found.iter().map(|one| (one.field.as_str(), one.manager.as_str(), one.by_hand)).collect()
}

#[test]
fn a_variable_that_a_person_set_is_drift_with_manager_time_and_value() {
    let live = live(&[set_env()], &two_variables(), &json!({}));
    let found = added(&live, false);
    assert_eq!(names(&found), [("spec.template.spec.containers[web].env[B]", "kubectl-set", true)]);
    assert_eq!(found[0].value, json!({"name": "B", "value": "2"}));
    assert_eq!(found[0].time, "2026-11-23T10:00:00Z".parse().ok());
    assert_eq!(found[0].value_in(&live), Some(&found[0].value));
}

#[test]
fn what_is_ours_as_well_or_gone_is_no_drift() {
    let both = on_web(
        &json!({"f:env": {".": {}, "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}, "f:image": {}}),
    );
    let gone = on_web(&json!({"f:env": {"k:{\"name\":\"Z\"}": {".": {}, "f:name": {}}}, "f:command": {}}));
    let live = live(&[entry("kubectl-edit", &both), entry("kubectl-patch", &gone)], &json!({}), &json!({}));
    assert_eq!(added(&live, false), Vec::new());
}

#[test]
fn a_list_of_which_they_own_no_item_is_no_drift() {
    let list = on_web(&json!({"f:volumeMounts": {".": {}}, "f:args": {}}));
    let container = json!({"volumeMounts": [{"mountPath": "/a", "name": "a"}], "args": ["-v"]});
    let live = live(&[entry("kubectl-edit", &list)], &container, &json!({}));
    assert_eq!(
        names(&added(&live, false)),
        [("spec.template.spec.containers[web].args", "kubectl-edit", true)]
    );
}

#[test]
fn an_object_that_we_have_not_applied_has_no_drift() {
    let mut live = live(&[set_env()], &two_variables(), &json!({}));
    live["metadata"]["managedFields"][0]["manager"] = json!("helm");
    assert_eq!(added(&live, false), Vec::new());
}

#[test]
fn a_field_below_one_of_ours_is_named_with_its_whole_path() {
    let cpu =
        on_web(&json!({"f:resources": {"f:limits": {"f:cpu": {}}, "f:requests": {".": {}, "f:cpu": {}}}}));
    let resources =
        json!({"resources": {"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"cpu": "1"}}});
    let live = live(&[entry("kubectl-patch", &cpu)], &resources, &json!({}));
    let fields: Vec<String> = added(&live, false).into_iter().map(|one| one.field).collect();
    let container = "spec.template.spec.containers[web].resources";
    assert_eq!(fields, [format!("{container}.limits.cpu"), format!("{container}.requests.cpu")]);
}

#[test]
fn a_structure_and_a_container_that_were_added_are_one_field_each() {
    let fields = json!({"f:spec": {"f:containers": {
        "k:{\"name\":\"debug\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {}},
        "k:{\"name\":\"web\"}": {
            "f:livenessProbe": {".": {}, "f:periodSeconds": {}, "f:httpGet": {".": {}, "f:path": {}}},
            "f:ports": {".": {}, "k:{\"containerPort\":53,\"protocol\":\"UDP\"}": {".": {}, "f:containerPort": {}},
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}});
    let probe = json!({"periodSeconds": 10, "httpGet": {"path": "/"}});
    let ports = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}]);
    let mut live =
        live(&[entry("kubectl-edit", &fields)], &json!({"livenessProbe": probe, "ports": ports}), &json!({}));
    let containers = live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({"name": "debug", "image": "busybox", "resources": {}}));
    let found: Vec<String> = added(&live, false).into_iter().map(|one| one.field).collect();
    assert_eq!(
        found,
        [
            "spec.template.spec.containers[debug]",
            "spec.template.spec.containers[web].livenessProbe",
            "spec.template.spec.containers[web].ports[53/UDP]",
            "spec.template.spec.containers[web].ports[80]",
        ]
    );
}

#[test]
fn restarts_and_controllers_are_listed_but_are_no_drift() {
    let restart =
        json!({"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}});
    let vpa = on_web(&json!({"f:resources": {"f:limits": {"f:cpu": {}}}}));
    let resources = json!({"resources": {"limits": {"memory": "64Mi", "cpu": "1"}}});
    let live =
        live(&[entry("kubectl-rollout", &restart), entry("vpa-updater", &vpa)], &resources, &json!({}));
    let found = added(&live, false);
    assert_eq!(
        names(&found),
        [
            (
                "spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]",
                "kubectl-rollout",
                false
            ),
            ("spec.template.spec.containers[web].resources.limits.cpu", "vpa-updater", false),
        ]
    );
    assert!(found[0].is_restart() && !found[1].is_restart());
}

#[test]
fn what_webhooks_and_restart_wrote_for_us_is_ours() {
    let live = live(
        &[
            entry("windlass", &json!({"f:spec": {"f:dnsPolicy": {}}})),
            entry("windlass-restart", &json!({"f:spec": {"f:dnsPolicy": {}}})),
        ],
        &json!({}),
        &json!({}),
    );
    assert_eq!(added(&live, false), Vec::new());
}

#[test]
fn replicas_that_a_person_set_are_drift_unless_an_autoscaler_of_the_set_scales() {
    let scale = |manager: &str| {
        json!({"manager": manager, "operation": "Update", "subresource": "scale", "apiVersion": "apps/v1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    };
    let person = live(&[scale("kubectl")], &json!({}), &json!({}));
    assert_eq!(names(&added(&person, false)), [("spec.replicas", "kubectl", true)]);
    assert_eq!(added(&person, true), Vec::new());
    assert_eq!(added(&live(&[scale("keda")], &json!({}), &json!({})), false), Vec::new());
}

#[test]
fn pods_of_a_cron_job_are_compared_and_a_job_is_not() {
    let mut live = live(&[set_env()], &two_variables(), &json!({}));
    live["kind"] = json!("Job");
    assert_eq!(added(&live, false), Vec::new());
    let template = live["spec"]["template"].take();
    live["kind"] = json!("CronJob");
    live["spec"] = json!({"jobTemplate": {"spec": {"template": template}}});
    let entries = live["metadata"]["managedFields"].as_array_mut().unwrap();
    for entry in entries {
        let spec = entry["fieldsV1"]["f:spec"].take();
        entry["fieldsV1"]["f:spec"] = json!({"f:jobTemplate": {"f:spec": spec}});
    }
    let found = added(&live, false);
    assert_eq!(found[0].field, "spec.jobTemplate.spec.template.spec.containers[web].env[B]");
}

#[test]
fn without_them_the_rest_is_as_it_was() {
    let live = live(&[set_env()], &two_variables(), &json!({}));
    let found = added(&live, false);
    let mut expected = live.clone();
    expected["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    assert_eq!(without(&live, &found), expected);
}

#[test]
fn taken_over_they_are_ours_and_nobody_elses() {
    let scheduler = json!({"f:spec": {"f:schedulerName": {}}});
    let mut edit = set_env();
    edit["fieldsV1"]["f:spec"]["f:paused"] = json!({});
    let live = live(
        &[edit, entry("kubectl-create", &scheduler)],
        &two_variables(),
        &json!({"schedulerName": "mine"}),
    );
    let mut found = added(&live, false);
    assert_eq!(found.len(), 2);
    let all = taken_over(&live, &found[..1]).expect("something is taken over");
    let variable =
        "/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"web\"}/f:env/k:{\"name\":\"B\"}";
    assert!(all[0].pointer(variable).is_some_and(|fields| fields.get("f:value").is_some()), "{}", all[0]);
    assert!(all[0].pointer(&variable.replace("\"B\"", "\"A\"")).is_some(), "what was ours stays ours");
    assert_eq!(
        all[1]["fieldsV1"],
        json!({"f:spec": {"f:paused": {}}}),
        "what is not in the template is left alone"
    );
    assert_eq!(all[2]["manager"], "kubectl-create");
    let all = taken_over(&live, &found).expect("something is taken over");
    assert_eq!(all.len(), 2, "who owns nothing any more has no entry");

    // Another version of the kind may have other fields, and another manager may have removed them in the meantime.
    found.truncate(1);
    let mut other = live.clone();
    other["metadata"]["managedFields"][1]["apiVersion"] = json!("apps/v2");
    assert_eq!(taken_over(&other, &found), None);
    let mut removed = live.clone();
    removed["metadata"]["managedFields"].as_array_mut().unwrap().remove(1);
    assert_eq!(taken_over(&removed, &found), None);
}

#[test]
fn a_list_that_only_they_had_goes_with_its_last_item() {
    let env =
        on_web(&json!({"f:envFrom": {".": {}, "k:{\"name\":\"B\"}": {".": {}, "f:name": {}}}, "f:tty": {}}));
    let live =
        live(&[entry("kubectl-set", &env)], &json!({"envFrom": [{"name": "B"}], "tty": true}), &json!({}));
    let found: Vec<Added> =
        added(&live, false).into_iter().filter(|one| one.field.ends_with("envFrom[B]")).collect();
    assert_eq!(found.len(), 1);
    let all = taken_over(&live, &found).expect("something is taken over");
    assert_eq!(all[1]["fieldsV1"]["f:spec"]["f:template"], on_web(&json!({"f:tty": {}})));
    let ours =
        all[0].pointer("/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"web\"}/f:envFrom");
    assert!(ours.is_some_and(|list| list.get(".").is_some()), "the list itself too");
}

/// What a person and a controller added to the Deployment `web`.
pub(crate) fn added_by_two() -> Vec<Added> {
    let mesh = entry("mesh", &json!({"f:spec": {"f:dnsPolicy": {}}}));
    let mut added = added(&live(&[set_env(), mesh], &two_variables(), &json!({})), false);
    for one in &mut added {
        one.shown = one.value.to_string();
    }
    added
}
