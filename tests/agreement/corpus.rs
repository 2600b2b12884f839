//! The objects of `fixtures/schema`.

use std::path::Path;

use serde_json::Value;

/// All of them, in the order of the files.
pub(crate) fn objects() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema");
    let files = walkdir::WalkDir::new(directory).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"));
    let texts = files.map(|file| std::fs::read_to_string(file.path()).unwrap());
    texts.flat_map(|text| serde_saphyr::from_multiple::<Value>(&text).unwrap()).collect()
}

/// `Deployment/web`.
pub(crate) fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}
