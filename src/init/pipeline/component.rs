//! A GitLab component (a header `spec: inputs:`, then the jobs) as a plain pipeline.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::quoted;
use crate::project;

/// Values for inputs, by name: strings, and arrays of them.
pub(super) type Inputs = BTreeMap<&'static str, Value>;

/// The jobs of a component; an input without a value has its default.
pub(super) fn plain(component: &str, values: &Inputs) -> String {
    let (header, jobs) = component.split_once("\n---\n").unwrap_or(("", component));
    let header = project::strings(header).unwrap_or(Value::Null);
    let inputs = header.pointer("/spec/inputs").and_then(Value::as_object).into_iter().flatten();
    inputs.fold(jobs.to_owned(), |jobs, (name, input)| {
        let token = format!("$[[ inputs.{name} ]]");
        match values.get(name.as_str()).unwrap_or(&input["default"]) {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().filter_map(Value::as_str).map(quoted).collect();
                jobs.replace(&token, &format!("[{}]", items.join(", ")))
            }
            value => {
                let text = value.as_str().unwrap_or_default();
                jobs.replace(&format!("\"{token}\""), &quoted(text)).replace(&token, text)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_has_its_value_or_its_default() {
        let component = "spec:\n  inputs:\n    tier: {default: staging}\n    image: {default: a.test/b}\n    \
                         all: {type: array, default: [a]}\n---\nrelease $[[ inputs.tier ]]:\n  image: \"$[[ inputs.image ]]\"\n  \
                         all: $[[ inputs.all ]]\n";
        assert_eq!(plain(component, &Inputs::new()), "release staging:\n  image: a.test/b\n  all: [a]\n");
        let values = Inputs::from([
            ("tier", json!("test")),
            ("image", json!("a.test:5000/b: c")),
            ("all", json!(["web", "no"])),
            ("other", json!("x")),
        ]);
        assert_eq!(
            plain(component, &values),
            "release test:\n  image: \"a.test:5000/b: c\"\n  all: [web, \"no\"]\n"
        );
    }
}
