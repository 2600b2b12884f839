//! That a test passed, as a fact about an image: it lies in the registry beside the image, so that every machine sees it.
//!
//! The key is the image's digest and the test's definition. What makes a test another test counts (command, services,
//! variables); how long it may take and which files are brought out does not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::Result;
use crate::model::Image;
use crate::project::{On, Ready, TestConfig, ci};
use crate::registry::Registry;
use crate::text::hex;

/// The images of the commit by their names.
pub(super) type Images = BTreeMap<String, Image>;

/// What the record of a test says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProofState {
    /// It passed with this very definition; when, and what it came to.
    Passed { time: String, summary: String },
    /// It did not: why a release must not rely on it.
    Open(String),
}

/// The definition's hash, 16 hexadecimal digits.
pub(super) fn definition(test: &TestConfig, images: &Images) -> String {
    let services: BTreeMap<&String, Value> = test
        .services
        .iter()
        .map(|(name, service)| {
            let image = service_image(&service.image, images);
            (name, json!({"image": image, "env": service.env, "ready": service.ready.as_ref().map(ready)}))
        })
        .collect();
    let limits = json!({"memory": test.memory.map(|memory| memory.to_string()), "cpus": test.cpus});
    let all = json!({
        "image": test.image, "run": test.run, "env": test.env, "services": services, "limits": limits,
        "on": place(test.on),
    });
    hex::sha256(all.to_string().as_bytes())[..16].to_owned()
}

/// Stands in the hashes of records: it must stay as it is.
fn place(on: On) -> &'static str {
    match on {
        On::Engine => "Engine",
        On::Cluster => "Cluster",
    }
}

fn ready(ready: &Ready) -> Value {
    json!({"command": ready.command, "tcp": ready.tcp, "http": ready.http, "log": ready.log})
}

/// A service may be one of the project's own images: then that very digest, whatever commit it was built for.
pub(super) fn service_image(image: &str, images: &Images) -> String {
    images.get(image).map_or_else(|| image.to_owned(), |own| own.pinned.by_digest())
}

/// What is known of this test and this image: one request.
///
/// # Errors
/// Those of the registry.
pub(super) async fn read(
    registry: &Registry,
    image: &Image,
    name: &str,
    definition: &str,
) -> Result<ProofState> {
    let record = registry.read_record(&image.pinned.reference(), &kind(name)).await?;
    Ok(judge(record.as_ref(), definition))
}

/// Whether a record says that this very test passed in this image; what cannot be read does not say so.
///
/// # Errors
/// Those of the registry.
pub(super) async fn has_passed(
    registry: &Registry,
    image: &Image,
    name: &str,
    definition: &str,
) -> Result<bool> {
    let record = registry.record_if_readable(&image.pinned.reference(), &kind(name)).await?;
    Ok(matches!(judge(record.as_ref(), definition), ProofState::Passed { .. }))
}

/// Leaves what came of the test.
///
/// # Errors
/// Those of the registry.
pub(super) async fn write(
    registry: &Registry,
    image: &Image,
    name: &str,
    definition: &str,
    outcome: (bool, &str),
) -> Result<()> {
    let record = json!({
        "test": name,
        "definition": definition,
        "passed": outcome.0,
        "summary": outcome.1,
        "commit": image.pinned.tag,
        "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "by": ci::user(),
        "job": ci::job_url(),
    });
    registry.write_record(&image.pinned.reference(), &kind(name), &record).await.map(drop)
}

fn kind(test: &str) -> String {
    format!("test-{test}")
}

fn judge(record: Option<&Value>, definition: &str) -> ProofState {
    let Some(record) = record else { return ProofState::Open("it was never run in this image".to_owned()) };
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    if record["definition"].as_str() != Some(definition) {
        return ProofState::Open("its definition has changed since it ran".to_owned());
    }
    if record["passed"].as_bool() != Some(true) {
        return ProofState::Open(format!("it failed on {}: {}", text("time"), text("summary")));
    }
    ProofState::Passed { time: text("time"), summary: text("summary") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::project::ServiceConfig;

    fn test() -> TestConfig {
        let db = ServiceConfig { image: "postgres:15".to_owned(), env: BTreeMap::new(), ready: None };
        TestConfig { services: [("db".to_owned(), db)].into(), ..super::super::plan::tests::test(&[]) }
    }

    #[test]
    fn only_what_makes_it_another_test_counts() {
        let images = Images::new();
        let first = definition(&test(), &images);
        let patient = TestConfig { timeout: Duration::from_secs(9), ..test() };
        assert_eq!(definition(&patient, &images), first);
        let mut changed = vec![TestConfig { run: vec!["make test".to_owned()], ..test() }];
        changed.push(TestConfig { env: [("A".to_owned(), "1".to_owned())].into(), ..test() });
        changed.push(TestConfig { services: BTreeMap::new(), ..test() });
        let hashes: Vec<String> = changed.iter().map(|test| definition(test, &images)).collect();
        assert!(!hashes.contains(&first), "{first} {hashes:?}");
    }

    /// Records that exist have these.
    #[test]
    fn hashes_stay_what_they_are() {
        let images = Images::new();
        assert_eq!(definition(&test(), &images), "d9572fb1f5a91e46");
        assert_eq!(definition(&TestConfig { on: On::Cluster, ..test() }, &images), "04233f58dfcf9f1d");
    }

    #[test]
    fn a_service_of_the_project_counts_by_its_digest() {
        let image = |digit: &str| Image {
            name: "postgres:15".to_owned(),
            pinned: format!("r.test/shop/db:c@sha256:{}", digit.repeat(64)).parse().unwrap(),
            built: false,
        };
        let with = |digit| definition(&test(), &[("postgres:15".to_owned(), image(digit))].into());
        assert_ne!(with("1"), with("2"));
    }

    #[test]
    fn a_release_may_rely_on_a_pass_of_the_same_definition_only() {
        let record = json!({"definition": "d", "passed": true, "time": "t", "summary": "6 passed"});
        assert_eq!(
            judge(Some(&record), "d"),
            ProofState::Passed { time: "t".into(), summary: "6 passed".into() }
        );
        let open = |record: Option<&Value>, definition| match judge(record, definition) {
            ProofState::Open(why) => why,
            ProofState::Passed { .. } => panic!("it passed"),
        };
        assert!(open(Some(&record), "e").contains("changed"));
        assert!(open(None, "d").contains("never run"));
        let failed = json!({"definition": "d", "passed": false, "time": "t", "summary": "1 failed"});
        assert_eq!(open(Some(&failed), "d"), "it failed on t: 1 failed");
    }
}
