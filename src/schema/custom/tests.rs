//! Objects of a definition, right and wrong.

use serde_json::json;

use super::*;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Database, plural: databases}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [engine, size]
            properties:
              engine: {type: string, enum: [postgres, mysql]}
              size: {type: integer, minimum: 1, maximum: 9, default: 1}
              port: {x-kubernetes-int-or-string: true}
              name: {type: string, pattern: "^[a-z]+$", maxLength: 5}
              settings: {type: object, additionalProperties: {type: string}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
              pod: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
              users:
                type: array
                maxItems: 3
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, properties: {name: {type: string}}}
              at: {type: string, format: date-time}
              anything: {x-kubernetes-preserve-unknown-fields: true}
  - name: v1alpha1
    served: false
    storage: false
"#;

fn definition() -> Value {
    serde_saphyr::from_str(DEFINITION).expect("the text is YAML")
}

fn check(api_version: &str, spec: Value) -> Vec<String> {
    let (definition, mut object) = (definition(), json!({"apiVersion": api_version, "kind": "Database"}));
    object["metadata"] = json!({"name": "a"});
    object["spec"] = spec;
    object["status"] = json!({"anything": 1});
    let definitions = Definitions::of([&definition]);
    let found = definitions.check(&object).expect("its definition is there");
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn an_object_that_keeps_to_its_definition_is_right() {
    let right = json!({"engine": "postgres", "port": "http", "name": "abc", "settings": {"a": "b"}, "at": "2026-01-31T12:00:00Z",
        "free": {"a": "x", "b": 1}, "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"x": 1}},
        "users": [{"name": "a"}, {"name": "b"}], "anything": [1, {"a": null}]});
    assert_eq!(check("example.com/v1", right), Vec::<String>::new());
    assert_eq!(
        check("example.com/v1", json!({"engine": "mysql", "port": 80, "size": null, "name": null})),
        Vec::<String>::new()
    );
}

#[test]
fn every_mistake_is_found_at_once() {
    let wrong = json!({"engin": "x", "size": 12, "port": 1.5, "name": "ABCDEF", "settings": {"a": 1}, "at": "today",
        "free": {"a": 1}, "users": [{"name": "a"}, {"name": "a"}, {"name": 3}, {}]});
    assert_eq!(
        check("example.com/v1", wrong),
        [
            "spec.engin: the definition has no field `engin`",
            "spec.size: 12 is greater than the maximum 9",
            "spec.port: `port` must be an integer or a string, not a number with a fraction",
            "spec.name: the value may have at most 5 letters, it has 6",
            "spec.name: `ABCDEF` does not match `^[a-z]+$`",
            "spec.settings.a: `a` must be a string, not a number",
            "spec.at: `today` is not a time such as `2026-01-31T12:00:00Z`",
            "spec.free.a: `a` must be a string, not a number",
            "spec.users[2].name: `name` must be a string, not a number",
            "spec.users[1]: another item of the list has the same keys",
            "spec.users: the value may have at most 3 items, it has 4",
            "spec: `engine` is missing",
        ]
    );
    assert_eq!(
        check("example.com/v1", json!({"engine": "postgress"})),
        ["spec.engine: `engine` cannot be `postgress`"]
    );
}

#[test]
fn a_version_must_be_served() {
    let wanted = "apiVersion: the definition of `Database` does not serve `example.com/v1alpha1`";
    assert_eq!(check("example.com/v1alpha1", json!({})), [wanted]);
    assert_eq!(check("example.com/v3", json!({})).len(), 1);
}

#[test]
fn objects_of_other_definitions_are_not_known() {
    let definition = definition();
    let definitions = Definitions::of([&definition]);
    assert!(definitions.check(&json!({"apiVersion": "example.com/v1", "kind": "Other"})).is_none());
    assert!(definitions.check(&json!({"apiVersion": "v1", "kind": "Database"})).is_none());
    assert!(!definitions.has_rules(&json!({"apiVersion": "example.com/v1", "kind": "Database"})));
}
