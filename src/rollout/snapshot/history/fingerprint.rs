//! A fingerprint of a pod template: whether two templates are the same can be told without either.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The label that the controller of Deployments gives a ReplicaSet and its pods.
pub(crate) const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Half of a SHA-256.
type Half = [u8; 16];

/// Equal for templates that are equal, except for the label that the controller adds, the `$patch` of a revision, and what
/// the API server writes into only some of them: `creationTimestamp: null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(Half);

impl Fingerprint {
    /// The fingerprint of the template at this JSON pointer, if there is one.
    pub(crate) fn at(object: &Value, pointer: &str) -> Option<Self> {
        object.pointer(pointer).map(Self::of)
    }

    /// The fingerprint of a template.
    fn of(template: &Value) -> Self {
        let mut template = comparable(template);
        template.sort_all_objects();
        let hash = Sha256::digest(template.to_string());
        let mut half = Half::default();
        half.copy_from_slice(&hash[..size_of::<Half>()]);
        Self(half)
    }
}

/// A copy of a template without what makes no other template.
fn comparable(template: &Value) -> Value {
    let mut template = template.clone();
    let Some(fields) = template.as_object_mut() else { return template };
    fields.retain(|name, _| name != "$patch");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|name, _| name != POD_TEMPLATE_HASH);
        }
        metadata.retain(|_, value| !is_blank(value));
    }
    template
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_same_template(one: &Value, other: &Value) -> bool {
        Fingerprint::of(one) == Fingerprint::of(other)
    }

    #[test]
    fn what_the_controller_adds_makes_no_other_template() {
        let own = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"a": 1}});
        let of_set = json!({"spec": {"a": 1}, "metadata": {"creationTimestamp": null, "annotations": {},
            "labels": {"pod-template-hash": "5d", "app": "web"}}});
        let of_revision =
            json!({"$patch": "replace", "metadata": {"labels": {"app": "web"}}, "spec": {"a": 1}});
        assert!(is_same_template(&own, &of_set) && is_same_template(&of_set, &own));
        assert!(is_same_template(&own, &of_revision));
        let without = json!({"metadata": {}, "spec": {"a": 1}});
        let only_hash = json!({"metadata": {"labels": {"pod-template-hash": "5d"}}, "spec": {"a": 1}});
        assert!(is_same_template(&without, &only_hash));
        assert!(!is_same_template(&own, &without) && !is_same_template(&without, &own));
        let other = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"a": 2}});
        assert!(!is_same_template(&own, &other));
        assert!(!is_same_template(&own, &json!("odd")) && !is_same_template(&json!(null), &own));
    }

    #[test]
    fn one_other_value_makes_another_template_and_another_order_of_fields_does_not() {
        let template = |value: Value| {
            let environment = json!([{"name": "A", "value": "1"}, {"name": "B", "value": value}]);
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "env": environment}]}})
        };
        assert!(!is_same_template(&template(json!("1")), &template(json!("2"))));
        assert!(!is_same_template(&template(json!("1")), &template(json!(1))));
        assert!(!is_same_template(&template(json!(1)), &template(json!(1.0))));
        let turned = json!({"spec": {"containers": [
            {"env": [{"value": "1", "name": "A"}, {"value": "2", "name": "B"}], "name": "web"}]},
            "metadata": {"labels": {"app": "web"}}});
        assert!(is_same_template(&template(json!("2")), &turned));
        let hash_in_annotations =
            json!({"metadata": {"annotations": {"pod-template-hash": "5d"}}, "spec": {}});
        assert!(!is_same_template(&hash_in_annotations, &json!({"metadata": {}, "spec": {}})));
        let without_metadata = json!({"spec": {}});
        assert!(!is_same_template(&without_metadata, &json!({"metadata": {}, "spec": {}})));
        assert!(!is_same_template(&without_metadata, &json!({"metadata": null, "spec": {}})));
    }
}
