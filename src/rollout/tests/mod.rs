//! Every dump in `fixtures/rollout/` and `fixtures/catalogue/` is explained, and must get the verdicts and causes that
//! stand in its head.
//!
//! ```text
//! # now: 2026-10-03T14:05:00Z
//! # expect: Deployment/web failed image-not-found
//! # says: image registry.example.com/shop/web:nope of container web does not exist in its registry
//! ```
//! One `expect` for each object that no other object owns, in their order; `says` is part of what people read.

mod custom_resources;
mod release;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::dump::{self, Dumped};
use super::explain::{Explained, Known, explain, explain_dumped, explain_known};
use crate::cluster::Item;
use crate::expression::Expression;
use crate::model::{ObjectId, Verdict, object};
use crate::project::{HealthRule, HealthRules};
use crate::report::Reporter;
use crate::report::view::View;
use crate::rollout::snapshot::decode::Decoder;

/// A dump and what is expected of it.
struct Case {
    path: PathBuf,
    text: String,
}

impl Case {
    fn all() -> Vec<Self> {
        let entries = ["rollout", "catalogue"].into_iter().flat_map(|name| {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
            std::fs::read_dir(directory).expect("the fixtures are there")
        });
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        let read = |path: PathBuf| Self { text: std::fs::read_to_string(&path).expect("a text"), path };
        paths.into_iter().map(read).collect()
    }

    fn head<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.text.lines().take_while(|line| line.starts_with('#'));
        lines.filter_map(move |line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "))
    }

    fn now(&self) -> Timestamp {
        self.head("now").next().expect("a dump has its time").parse().expect("a time")
    }

    fn explained(&self) -> Vec<Explained> {
        let name = self.path.display().to_string();
        explain(&self.text, &name, self.now(), &Arc::default(), &Reporter::silent())
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// `Deployment/web failed image-not-found`.
fn line(one: &Explained) -> String {
    let json = one.view().to_json();
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let cause = Some(text("cause")).filter(|cause| !cause.is_empty()).map(|cause| format!(" {cause}"));
    format!("{}/{} {}{}", text("kind"), text("name"), text("verdict"), cause.unwrap_or_default())
}

#[test]
fn every_dump_gets_its_verdicts_and_causes() {
    let mut wrong = Vec::new();
    let cases = Case::all();
    for case in &cases {
        let explained = case.explained();
        let lines: Vec<String> = explained.iter().map(line).collect();
        let expected: Vec<&str> = case.head("expect").collect();
        let text: String = explained.iter().map(|one| one.view().to_text()).collect();
        let unsaid: Vec<&str> = case.head("says").filter(|words| !plain(&text).contains(words)).collect();
        if lines != expected || !unsaid.is_empty() {
            let name = case.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            wrong.push(format!(
                "{name}\n  expected {expected:?}\n  got      {lines:?}\n  unsaid   {unsaid:?}\n{text}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} dumps:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Of what a server sends less is cached than of a dump.
#[test]
fn what_is_cached_of_a_cluster_tells_as_much_as_a_dump() {
    for case in Case::all() {
        let name = case.path.display().to_string();
        let dumped = dump::read(&case.text, &name).expect("it is a dump");
        let expected = case.explained();
        // Only a dump has duplicate keys, and nodes as objects of their own.
        let is_odd = |one: &Dumped| !one.repeated.is_empty() || object::kind(&one.object) == "Node";
        if dumped.iter().any(is_odd) {
            continue;
        }
        let wanted: BTreeSet<ObjectId> = expected.iter().map(Explained::id).collect();
        let decoder = Decoder::of(&wanted);
        let read = |Dumped { object, .. }: &Dumped| {
            let json = object.to_string();
            decoder.read(Item::of(object::api_version(object), object::kind(object), &json)).expect("JSON")
        };
        let cached = dumped.iter().map(read).collect();
        let known = Known { wanted: Some(wanted), ..Known::default() };
        let explained = explain_known(cached, case.now(), &Arc::default(), &known);
        let views = |explained: &[Explained]| -> Vec<Value> {
            explained.iter().map(|one| one.view().to_json()).collect()
        };
        assert_eq!(views(&explained), views(&expected), "{name}");
    }
}

/// The configuration's rule for a kind goes before every other.
#[test]
fn a_kind_is_judged_by_the_rule_of_the_configuration() {
    let expression = |text: &str| Expression::compile(text).expect("it is an expression");
    let rule = HealthRule {
        paused: Some(expression("spec.suspend")),
        in_progress: Some(expression("status.stage == 'Moving'")),
        failed: Some(expression("status.stage == 'Broken'")),
        failing: None,
        current: expression("status.stage in ['Serving', 'Idle'] && status.synced"),
        message: Some(expression("status.why")),
    };
    let health = Arc::new(HealthRules::from([("Database.example.com".to_owned(), rule)]));
    let says = |rest: &str| {
        let text = format!(
            "{{apiVersion: example.com/v2, kind: Database, metadata: {{name: db, generation: 2}}, {rest}}}"
        );
        let now = "2026-10-03T14:00:00Z".parse().expect("a time");
        let explained = explain(&text, "test", now, &health, &Reporter::silent()).expect("it explains");
        (
            line(&explained[0]),
            explained[0].view().to_json()["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let status = |status: &str| says(&format!("status: {status}"));
    let said = |line: &str, message: &str| (format!("Database/db {line}"), message.to_owned());
    assert_eq!(status("{stage: Idle, synced: true}"), said("ready", ""));
    assert_eq!(
        status("{stage: Copying, synced: true}"),
        said("progressing", "`status.stage in ['Serving', 'Idle'] && status.synced` is not true yet")
    );
    assert_eq!(status("{stage: Moving, why: to zone b}"), said("progressing", "to zone b"));
    assert_eq!(
        status("{phase: Running, stage: Broken, why: disk full}"),
        said("failed controller-failed", "disk full")
    );
    assert_eq!(
        status("{phase: Running, stage: Broken}"),
        said("failed controller-failed", "`status.stage == 'Broken'` is true")
    );
    // An error is no verdict: it says what the expression lacks.
    assert_eq!(
        status("{phase: Running}"),
        said("progressing", "`inProgress` has no value: no such key: stage")
    );
    assert_eq!(
        says("spec: {}"),
        said(
            "progressing",
            "its controller has written no status yet (`inProgress` has no value: the object has no `status`)"
        )
    );
    assert_eq!(
        says("spec: {suspend: true}, status: {stage: Broken}"),
        said("paused", "it is paused and not waited for")
    );
    // A status of another generation says nothing, also one of a later generation.
    for observed in [1, 3] {
        assert_eq!(
            status(&format!("{{stage: Idle, synced: true, observedGeneration: {observed}}}")),
            said("progressing", "waiting for the controller")
        );
    }
}

#[test]
fn whatever_is_not_healthy_says_why_in_one_sentence() {
    for case in Case::all() {
        for one in case.explained() {
            let json = one.view().to_json();
            let has_sentence = json["message"].as_str().is_some_and(|message| !message.contains('\n'));
            assert!(has_sentence || one.verdict() == Verdict::Ready, "{}: {json}", case.path.display());
            let is_failed = one.verdict() == Verdict::Failed;
            assert!(!is_failed || json["cause"].is_string(), "{}: {json}", case.path.display());
        }
    }
}

/// Fields may be missing or of odd types: whatever is put into a dump, nothing panics.
#[test]
fn no_damage_to_a_dump_makes_it_panic() {
    // All places of all dumps would take minutes: each dump is damaged in some, another dump in others.
    const STRIDE: usize = 97;
    let odd = [
        Value::Null,
        Value::from("7"),
        Value::from(i64::MIN),
        Value::from(i64::MAX),
        Value::from(vec![Value::Null]),
    ];
    for (first, case) in Case::all().iter().enumerate() {
        let documents = super::dump::read(&case.text, "dump").expect("it was read before");
        let objects: Vec<Value> = documents.into_iter().map(|one| one.object).collect();
        let places = objects
            .iter()
            .enumerate()
            .flat_map(|(index, object)| pointers(object).into_iter().map(move |pointer| (index, pointer)));
        for (turn, (index, pointer)) in places.skip(first % STRIDE).step_by(STRIDE).enumerate() {
            let mut damaged = objects.clone();
            if let Some(place) = damaged[index].pointer_mut(&pointer) {
                *place = odd[turn % odd.len()].clone();
            }
            let dumped = damaged.into_iter().map(|object| Dumped { object, repeated: Vec::new() }).collect();
            let explained = explain_dumped(dumped, case.now(), &Arc::default(), &Known::default());
            assert!(
                explained
                    .iter()
                    .all(|one| one.view().to_json().is_object() && !one.view().to_text().is_empty())
            );
        }
    }
}

/// Every place in an object.
fn pointers(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), object)];
    while let Some((at, value)) = open.pop() {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(map) => {
                map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
            }
            Value::Array(list) => {
                list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
            }
            _ => Vec::new(),
        };
        for (key, value) in inner {
            let pointer = format!("{at}/{key}");
            found.push(pointer.clone());
            open.push((pointer, value));
        }
    }
    found
}

/// Without colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(|letter| *letter == 'm');
        } else {
            plain.push(letter);
        }
    }
    plain
}
