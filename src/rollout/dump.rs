//! Reads a dump: the output of `kubectl get … -o yaml` or `-o json`, whole, in parts, or edited by hand.
//!
//! Strict parsing is for manifests. Here a duplicate key is not an error: the last one wins, with a warning.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{NonFiniteFloatPolicy, Spanned};

use crate::error::{Error, Kind, Place, Result};
use crate::model::object;
use crate::project::{MOST_REPEATED, not_yaml};
use crate::rollout::duplicate_keys::LastOfDuplicates;

/// An object of a dump, and its duplicate keys.
#[derive(Debug)]
pub(super) struct Dumped {
    pub(super) object: Value,
    pub(super) repeated: Vec<String>,
}

/// Reads all objects of a dump, those of lists one by one.
///
/// # Errors
/// [`Kind::Invalid`] with its place for anything that is not a Kubernetes object, and for an empty dump.
pub(super) fn read(text: &str, name: &str) -> Result<Vec<Dumped>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = documents(text, name)?;
    if documents.is_empty() {
        let message = "there is no Kubernetes object in it: it is empty";
        return Err(Error::new(Kind::Invalid, message).at(Place::at(name, 1, 1)).with_hint(HOW));
    }
    let mut objects = Vec::new();
    for Document { content, place } in documents {
        let LastOfDuplicates { value, repeated } = content;
        flatten(value, repeated, "", &place, &mut objects)?;
    }
    Ok(objects)
}

const HOW: &str = "`kubectl get deployments,replicasets,pods,events -o yaml` prints what it reads";

/// A document and where it begins.
struct Document {
    content: LastOfDuplicates,
    place: Place,
}

/// A JSON stream, else YAML documents; a YAML flow mapping looks like JSON.
fn documents(text: &str, name: &str) -> Result<Vec<Document>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return yaml(text, name);
    }
    json(text, name).or_else(|error| yaml(text, name).map_err(|_| error))
}

fn json(text: &str, name: &str) -> Result<Vec<Document>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<LastOfDuplicates>();
    let mut documents = Vec::new();
    let (mut line, mut counted) = (1_usize, 0);
    loop {
        let start = stream.byte_offset();
        let start = start + (text[start..].len() - text[start..].trim_start().len());
        line += text[counted..start].matches('\n').count();
        counted = start;
        match stream.next() {
            None => return Ok(documents),
            Some(Ok(content)) => documents.push(Document { content, place: place(name, line, 1) }),
            Some(Err(error)) => {
                let message = format!("this is not JSON: {error}");
                let place = place(name, error.line(), error.column().max(1));
                return Err(Error::new(Kind::Invalid, message).at(place));
            }
        }
    }
}

fn yaml(text: &str, name: &str) -> Result<Vec<Document>> {
    with_room(|| parse(text, name))
}

fn parse(text: &str, name: &str) -> Result<Vec<Document>> {
    // A dump of a large namespace is larger than any manifest: only nesting and aliases are limited.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            max_documents: usize::MAX,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_recorded_anchor_events: MOST_REPEATED,
            max_total_scalar_bytes: 2 * text.len() + (1 << 20),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPEATED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        emit_comments: false,
    };
    let read = serde_saphyr::from_multiple_with_options::<Spanned<LastOfDuplicates>>(text, options);
    let documents = read.map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map_or_else(
            || Place::file(name),
            |at| {
                place(
                    name,
                    usize::try_from(at.line()).unwrap_or(0),
                    usize::try_from(at.column()).unwrap_or(0),
                )
            },
        );
        Error::new(Kind::Invalid, not_yaml(error)).at(place)
    })?;
    let documents = documents.into_iter().map(|document| {
        let line = usize::try_from(document.defined.line()).unwrap_or(1);
        Document { content: document.value, place: place(name, line, 1) }
    });
    Ok(documents.collect())
}

/// Runs with a stack that is large enough for the deepest allowed nesting.
fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(ROOM).spawn_scoped(scope, work);
        let ended = thread.expect("a thread can be started").join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn place(name: &str, line: usize, column: usize) -> Place {
    let number = |one: usize| u32::try_from(one).unwrap_or(u32::MAX);
    Place::at(name, number(line), number(column))
}

/// Splits lists; `at` is the path of the value in the document.
fn flatten(
    value: Value,
    repeated: Vec<String>,
    at: &str,
    place: &Place,
    into: &mut Vec<Dumped>,
) -> Result<()> {
    let kind = object::kind(&value).to_owned();
    if object::api_version(&value).is_empty() || kind.is_empty() {
        return Err(stranger(&value, at, place));
    }
    if kind == "Status" && object::api_version(&value) == "v1" {
        let message = format!(
            "this is a response of the API server, not an object: {}",
            object::text(&value, "/message")
        );
        return Err(Error::new(Kind::Invalid, message).at(place.clone()));
    }
    if kind == "List"
        && object::api_version(&value) == "v1"
        && !matches!(value.get("items"), None | Some(Value::Array(_) | Value::Null))
    {
        return Err(stranger(&value, at, place));
    }
    let is_list = kind == "List" && object::api_version(&value) == "v1"
        || kind.ends_with("List") && matches!(value.get("items"), Some(Value::Array(_) | Value::Null));
    if !is_list {
        into.push(Dumped { object: value, repeated });
        return Ok(());
    }
    let Value::Object(mut list) = value else { return Ok(()) };
    let api_version = list.get("apiVersion").cloned().unwrap_or_default();
    let Some(Value::Array(items)) = list.remove("items") else { return Ok(()) };
    let (mut of_items, rest) = by_item(repeated);
    for (index, mut item) in items.into_iter().enumerate() {
        adopt(&mut item, kind.trim_end_matches("List"), &api_version);
        let mine = of_items.remove(&index).unwrap_or_default();
        flatten(item, mine, &format!("{at}items[{index}]"), place, into)?;
    }
    if let Some(last) = into.last_mut() {
        last.repeated.extend(rest);
    }
    Ok(())
}

/// The duplicate keys of a list by the item that contains them, and those outside of all items.
fn by_item(repeated: Vec<String>) -> (BTreeMap<usize, Vec<String>>, Vec<String>) {
    let (mut of_items, mut rest) = (BTreeMap::<usize, Vec<String>>::new(), Vec::new());
    let item = |path: &str| path.strip_prefix("items[")?.split_once("].")?.0.parse().ok();
    for path in repeated {
        match item(&path) {
            Some(index) => of_items.entry(index).or_default().push(path),
            None => rest.push(path),
        }
    }
    (of_items, rest)
}

/// The items of a `PodList` need no kind.
fn adopt(item: &mut Value, kind: &str, api_version: &Value) {
    let Some(fields) = item.as_object_mut().filter(|_| !kind.is_empty()) else { return };
    if fields.contains_key("metadata") {
        fields.entry("kind").or_insert_with(|| Value::String(kind.to_owned()));
        fields.entry("apiVersion").or_insert_with(|| api_version.clone());
    }
}

fn stranger(value: &Value, at: &str, place: &Place) -> Error {
    let what = match value {
        Value::Object(fields) if !fields.contains_key("kind") => "a map without kind",
        Value::Object(fields) if !fields.contains_key("apiVersion") => "a map without apiVersion",
        Value::Object(_) => "a map whose kind or apiVersion is not a string",
        Value::Array(_) => "a list of its own",
        Value::Null => "nothing",
        _ => "a single value",
    };
    let at = if at.is_empty() { String::new() } else { format!(" at {at}") };
    let message = format!("this is not a Kubernetes object: {what}{at}");
    Error::new(Kind::Invalid, message).at(place.clone()).with_hint(HOW)
}

/// The limit for JSON, and deeper than any object is.
const DEEPEST: usize = 128;
/// A level of nesting takes some 20 KB of stack without optimization.
const ROOM: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let dumped = read(text, "dump").expect("it is a dump");
        dumped.iter().map(|one| object::title(&one.object)).collect()
    }

    fn refusal(text: &str) -> String {
        let error = read(text, "dump").expect_err("it is no dump");
        assert_eq!(error.kind(), Kind::Invalid);
        error.to_string()
    }

    #[test]
    fn objects_come_alone_in_lists_and_in_streams() {
        let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}"#;
        assert_eq!(names(pod), ["Pod/a"]);
        assert_eq!(names(&format!("{pod}\n{pod}{pod}\n\n")), ["Pod/a", "Pod/a", "Pod/a"]);
        assert_eq!(names(&format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{pod}]}}"#)), ["Pod/a"]);
        assert_eq!(
            names("apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {name: b}\n"),
            ["Deployment/b"]
        );
        assert_eq!(
            names(&format!("---\n---\n{pod}\n---\r\n# nothing\n---\nkind: Pod\napiVersion: v1\n")),
            ["Pod/a", "Pod/"]
        );
        assert!(names("apiVersion: v1\nkind: List\nitems: []\n").is_empty());
        assert_eq!(names("\u{feff}kind: Pod\napiVersion: v1\n"), ["Pod/"]);
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        assert_eq!(refusal(""), "dump:1:1: there is no Kubernetes object in it: it is empty");
        assert_eq!(refusal("# a word\n"), "dump:1:1: there is no Kubernetes object in it: it is empty");
        assert_eq!(
            refusal("kind: Pod\napiVersion: v1\n---\nname: x\n"),
            "dump:4:1: this is not a Kubernetes object: a map without kind"
        );
        assert_eq!(
            refusal("No resources found\n"),
            "dump:1:1: this is not a Kubernetes object: a single value"
        );
        assert_eq!(refusal("[]"), "dump:1:1: this is not a Kubernetes object: a list of its own");
        assert_eq!(
            refusal("kind: Pod\napiVersion: [v1]\n"),
            "dump:1:1: this is not a Kubernetes object: a map whose kind or apiVersion is not a string"
        );
        assert_eq!(
            refusal(
                r#"{"kind": "List", "apiVersion": "v1", "items": [{"kind": "Pod", "apiVersion": "v1"}, 7]}"#
            ),
            "dump:1:1: this is not a Kubernetes object: a single value at items[1]"
        );
        assert_eq!(
            refusal("{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}\n\n{\"kind\": \"Pod\"}"),
            "dump:3:1: this is not a Kubernetes object: a map without apiVersion"
        );
        assert!(refusal("{\"kind\": \"Pod\",\n \"apiVersion\"").starts_with("dump:2:"), "cut off");
        assert!(refusal("kind: Pod\n  apiVersion: v1\n").starts_with("dump:2:"), "badly indented");
        assert!(refusal(&format!("a: {}", "{a: ".repeat(100_000))).contains("128 levels deep"), "a nest");
        assert!(refusal(&"{\"a\":".repeat(100_000)).contains("JSON"), "a nest");
        assert!(refusal("NAME   READY\nweb-1: 1/1\n\tx").contains("YAML"));
        assert!(
            refusal(r#"{"kind": "Status", "apiVersion": "v1", "message": "pods is forbidden"}"#)
                .contains("pods is forbidden")
        );
    }

    #[test]
    fn aliases_cannot_make_much_of_little() {
        let pod = "kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec:\n";
        let string = format!("{pod}  a: &a {}\n  b:\n{}", "x".repeat(30_000), "  - *a\n".repeat(90));
        assert_eq!(refusal(&string), "dump:42:5: the aliases of the file repeat more than 1 MiB of text");
        let list = format!("{pod}  a: &a [{}]\n  b: [{}]\n", "1,".repeat(9_000), "*a,".repeat(9));
        assert!(refusal(&list).contains("50000"), "{}", refusal(&list));
    }

    #[test]
    fn a_repeated_key_is_found_wherever_it_stands() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: a, image: b}]}\n- kind: Pod\n  apiVersion: v1\n  kind: Service\n";
        let dumped = read(text, "dump").expect("it is a dump");
        assert_eq!(dumped[0].repeated, ["items[0].spec.containers[0].image"]);
        assert_eq!(object::text(&dumped[0].object, "/spec/containers/0/image"), "b");
        assert_eq!(
            (object::kind(&dumped[1].object), dumped[1].repeated.as_slice()),
            ("Service", &["items[1].kind".to_owned()][..])
        );
        let json =
            read(r#"{"kind": "Pod", "apiVersion": "v1", "kind": "Service"}"#, "dump").expect("it is a dump");
        assert_eq!(
            (object::kind(&json[0].object), json[0].repeated.as_slice()),
            ("Service", &["kind".to_owned()][..])
        );
    }
}
