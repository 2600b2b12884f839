//! The objects of `fixtures/schema`, all of which an API server accepted, and what it refuses of them when they are changed.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::*;

/// By kind and name.
fn corpus() -> HashMap<String, Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema");
    let files = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    let files = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"));
    let texts = files.map(|file| fs::read_to_string(file.path()).expect("a file"));
    let all = texts.flat_map(|text| objects(&text));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|object| (format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"])), object))
        .collect()
}

fn errors(version: &str, object: &Value) -> Vec<String> {
    let found = Schemas::of(version).expect("a version").check(object);
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| format!("{}: {}", finding.pointer, finding.message)).collect()
}

#[test]
fn the_corpus_has_no_errors() {
    let corpus = corpus();
    assert!(corpus.len() > 200, "only {}", corpus.len());
    for (name, object) in &corpus {
        assert_eq!(errors("1.37", object), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn each_rule_says_what_it_asks_for() {
    let (corpus, cases) = (corpus(), case::all());
    assert!(cases.len() > 800, "only {}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let original = corpus.get(case.name).unwrap_or_else(|| panic!("no {}", case.name));
        let said = errors(case.version, &case.changed(original));
        if said != case.expected() {
            wrong.push(format!("{}\n    {}", case.line, said.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
