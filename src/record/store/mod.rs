//! Where records lie in the cluster: a Secret per release (the full set may hold Secrets), in several where one is
//! too small, and a line per release in the [`chronicle`].

pub(crate) mod attempts;
pub(crate) mod fuzzing;
pub(crate) mod history_store;

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::cluster::{ApplyOptions, Cluster, DeleteOptions, Deleted, SeenObject};
use crate::error::{Error, Kind, Result};
use crate::model::{ObjectRef, labels};
use crate::record::{FORMAT, Outcome, Record, Summary};
use crate::text::random;

/// How many different full sets are kept, besides the newest good one.
const FULL_SETS: usize = 10;
/// A Secret may hold 1 MiB; the rest is room for its metadata.
const PART_BYTES: usize = 900 * 1024;
/// More parts than this has no record.
const MOST_PARTS: usize = 128;
/// How long the text of a record may be that is packed into so many bytes: a gigabyte of zeros is packed into one part.
const fn most_text(packed: usize) -> usize {
    (24 << 20) + 50 * packed
}
/// How many values a record may have that is packed into so many bytes: each takes some 100 bytes of memory.
const fn most_values(packed: usize) -> usize {
    500_000 + 2 * packed
}

/// The records of one project on one tier.
pub(crate) struct Store {
    cluster: Cluster,
    name: String,
    labels: Value,
}

impl Store {
    /// The records of this project on this tier, in the cluster's namespace.
    pub(crate) fn new(cluster: &Cluster, project: &str, tier_slug: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            name: base_name(project, tier_slug),
            labels: json!({
                "app.kubernetes.io/managed-by": "windlass",
                labels::RECORD_OF_PROJECT: project,
                labels::RECORD_OF_TIER: tier_slug,
            }),
        }
    }

    /// The full record of a release; `None` when it is no longer kept.
    ///
    /// # Errors
    /// What the cluster refuses; [`Kind::Invalid`] when it cannot be read.
    pub(crate) async fn record(&self, revision: u64) -> Result<Option<Record>> {
        let name = self.part(revision, 0, 0);
        let Some(head) = self.cluster.get(&self.reference("Secret", &name)).await? else { return Ok(None) };
        check_format(&head, None)?;
        let mut bytes = part_bytes(&head).ok_or_else(|| unreadable(&name, &"no data"))?;
        if parts(&head) > MOST_PARTS {
            return Err(unreadable(&name, &format!("it has more than {MOST_PARTS} parts")));
        }
        for part in 1..parts(&head) {
            let name = self.part(revision, part, generation(&head));
            let secret = self.cluster.get(&self.reference("Secret", &name)).await?;
            let more = secret.as_ref().and_then(part_bytes).ok_or_else(|| unreadable(&name, &"missing"))?;
            bytes.extend(more);
        }
        unpack(&head, &bytes).map(Some)
    }

    /// The full record of a release of this history; of equal sets only one is kept, and speaks for all.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub(crate) async fn recorded(&self, newest_first: &[Summary], revision: u64) -> Result<Option<Record>> {
        let Some(summary) = newest_first.iter().find(|one| one.revision == revision) else { return Ok(None) };
        let same = newest_first.iter().filter(|one| one.kept && one.set == summary.set);
        let own = summary.kept.then_some(summary);
        for one in own.into_iter().chain(same.filter(|one| one.revision != revision)) {
            if let Some(record) = self.record(one.revision).await? {
                return Ok(Some(Record { summary: summary.clone(), ..record }));
            }
        }
        Ok(None)
    }

    /// Writes the line of a release that changed nothing: its full set is there already.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub(crate) async fn note(&self, summary: &Summary, known: &mut Vec<Summary>) -> Result<()> {
        known.insert(0, Summary { kept: false, ..summary.clone() });
        self.write_history(known).await
    }

    /// Writes a record: first its full set, then its line in the history, so that whatever the history names
    /// is there. `known` is the history as it was read under the same lock; it is brought up to date.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub(crate) async fn write(&self, record: &Record, known: &mut Vec<Summary>) -> Result<()> {
        let bytes = pack(record)?;
        let chunks: Vec<&[u8]> = bytes.chunks(PART_BYTES).collect();
        let revision = record.summary.revision;
        // What is written anew never mixes with what is there: killed in between, the old record is whole.
        let generation = match chunks.len() {
            1 => 0,
            _ => self
                .cluster
                .get(&self.reference("Secret", &self.part(revision, 0, 0)))
                .await?
                .map_or(0, |head| 1 - generation(&head)),
        };
        // The first part says how many there are: once it is there, all are.
        for (part, chunk) in chunks.iter().enumerate().skip(1).chain(chunks.iter().enumerate().take(1)) {
            let mut secret = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": labels::RECORD_TYPE,
                "metadata": self.metadata(&self.part(revision, part, generation)),
                "data": {"record": STANDARD.encode(chunk)},
            });
            secret["metadata"]["annotations"][labels::PARTS] = chunks.len().to_string().into();
            secret["metadata"]["annotations"][labels::GENERATION] = generation.to_string().into();
            self.put(&secret).await?;
        }
        known.retain(|summary| summary.revision != record.summary.revision);
        known.insert(0, record.summary.clone());
        known.sort_by_key(|summary| std::cmp::Reverse(summary.revision));
        self.write_history(known).await
    }

    /// Takes back the record of a release that ended before its first change: its line first, so that nobody counts it.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub(crate) async fn withdraw(&self, revision: u64, known: &mut Vec<Summary>) -> Result<()> {
        known.retain(|summary| summary.revision != revision);
        if known.is_empty() {
            self.erase_history(known).await?;
        } else {
            self.write_history(known).await?;
        }
        self.delete(revision).await
    }

    /// Deletes full sets that are no longer needed: all but those of the last ten different sets and the newest
    /// good one. That they are gone is noted in the history; a killed sweep is done again.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub(crate) async fn forget_unused(&self, known: &mut Vec<Summary>) -> Result<()> {
        let gone = superfluous(known);
        for revision in &gone {
            self.delete(*revision).await?;
        }
        if gone.is_empty() {
            return Ok(());
        }
        known.iter_mut().filter(|one| gone.contains(&one.revision)).for_each(|one| one.kept = false);
        self.write_history(known).await
    }

    /// Deletes a full set, its first part last: as long as that is there, a killed deletion is done again.
    async fn delete(&self, revision: u64) -> Result<()> {
        let head = self.reference("Secret", &self.part(revision, 0, 0));
        let Some(secret) = self.cluster.get(&head).await? else { return Ok(()) };
        // A larger record of the same revision, that was killed before its first part, may have left more.
        for generation in [0, 1] {
            let mut part = 1;
            let name = |part| self.reference("Secret", &self.part(revision, part, generation));
            while self.delete_own(&name(part)).await? || part < parts(&secret).min(MOST_PARTS) {
                part += 1;
            }
        }
        self.cluster.delete(&SeenObject::of(&secret)?, DeleteOptions::default()).await.map(drop)
    }

    /// Deletes an object of the store as it is now; `false` if there is none.
    async fn delete_own(&self, object: &ObjectRef) -> Result<bool> {
        let Some(seen) = self.cluster.see(object).await? else { return Ok(false) };
        Ok(self.cluster.delete(&seen, DeleteOptions::default()).await? == Deleted::Begun)
    }

    /// Deletes everything that is on record of the tier, the newest lines of the history last: as long as they are there, a
    /// killed deletion is done again.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub(crate) async fn erase(&self, known: &[Summary]) -> Result<()> {
        for summary in known {
            self.delete(summary.revision).await?;
        }
        self.delete_own(&self.reference("Secret", &format!("{}.key", self.name))).await?;
        self.erase_attempts().await?;
        self.erase_history(known).await
    }

    /// The tier's own key, made on first use: what configuration hashes are keyed with.
    ///
    /// # Errors
    /// What the cluster refuses.
    pub(crate) async fn key(&self, create: bool) -> Result<Vec<u8>> {
        let name = format!("{}.key", self.name);
        let reference = self.reference("Secret", &name);
        if let Some(key) = self.cluster.get(&reference).await?.as_ref().and_then(key_bytes) {
            return Ok(key);
        }
        let key = new_key()?;
        if create {
            let secret = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": labels::KEY_TYPE,
                "metadata": self.metadata(&name),
                "data": {"key": STANDARD.encode(&key)},
            });
            self.put(&secret).await?;
        }
        Ok(key)
    }

    /// The metadata of everything that the store writes.
    fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.cluster.namespace(),
            "labels": self.labels,
            "annotations": {
                labels::FORMAT: FORMAT.to_string(),
                labels::VERSION: env!("CARGO_PKG_VERSION"),
            },
        })
    }

    async fn put(&self, object: &Value) -> Result<()> {
        let options = ApplyOptions { force: true, metadata: true, ..ApplyOptions::default() };
        self.cluster.apply(object, options).await.map(|_| ()).map_err(Error::from)
    }

    /// The first part has one name in every generation: it says which one counts.
    fn part(&self, revision: u64, part: usize, generation: usize) -> String {
        match (part, generation) {
            (0, _) => format!("{}.{revision}", self.name),
            (part, 0) => format!("{}.{revision}.{part}", self.name),
            (part, generation) => format!("{}.{revision}.{part}.{generation}", self.name),
        }
    }

    fn reference(&self, kind: &str, name: &str) -> ObjectRef {
        ObjectRef::new("v1", kind, name).in_namespace(self.cluster.namespace())
    }
}

/// The newest lines of the history of every tier of a project that a cluster knows, whatever their namespaces.
///
/// # Errors
/// What the cluster refuses: it takes the right to list ConfigMaps everywhere.
pub(crate) async fn histories(cluster: &Cluster, project: &str) -> Result<Vec<Summary>> {
    let selector = format!("{}={project}", labels::RECORD_OF_PROJECT);
    let maps = cluster.list_everywhere("v1", "ConfigMap", &selector).await?;
    let mut all = Vec::new();
    for map in &maps {
        all.extend(history_store::read(map)?);
    }
    Ok(all)
}

/// What the lock, the history, the key and the records of a tier are called.
pub(crate) fn base_name(project: &str, tier_slug: &str) -> String {
    format!("windlass.{project}.{tier_slug}")
}

/// The revisions whose full set is no longer needed, newest first. A set that was released again and again counts
/// once: the newest good release of it stands for it.
fn superfluous(newest_first: &[Summary]) -> Vec<u64> {
    let newest_good = newest_first.iter().find(|summary| summary.outcome == Outcome::Good);
    let mut needed: Vec<u64> =
        newest_first.first().into_iter().chain(newest_good).map(|one| one.revision).collect();
    // One that found nothing to change has no set of its own.
    needed.extend(newest_good.and_then(|good| best(newest_first, &good.set)));
    let mut sets: Vec<&str> = Vec::new();
    for summary in newest_first.iter().filter(|one| one.kept) {
        if sets.len() == FULL_SETS {
            break;
        }
        if !sets.contains(&summary.set.as_str()) {
            sets.push(&summary.set);
            needed.push(best(newest_first, &summary.set).unwrap_or(summary.revision));
        }
    }
    let kept = newest_first.iter().filter(|one| one.kept).map(|one| one.revision);
    kept.filter(|revision| !needed.contains(revision)).collect()
}

/// The newest good release of a set whose record is still there.
fn best(newest_first: &[Summary], set: &str) -> Option<u64> {
    let good = |one: &&Summary| one.kept && one.set == set && one.outcome == Outcome::Good;
    newest_first.iter().find(good).map(|one| one.revision)
}

/// How many parts a record has.
fn parts(head: &Value) -> usize {
    number(head, labels::PARTS).unwrap_or(1)
}

/// Which of the two generations of further parts is the record's.
fn generation(head: &Value) -> usize {
    number(head, labels::GENERATION).unwrap_or(0).min(1)
}

fn number(head: &Value, annotation: &str) -> Option<usize> {
    head.pointer("/metadata/annotations")?.get(annotation)?.as_str()?.parse().ok()
}

fn pack(record: &Record) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(record).expect("a record is plain JSON");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let packed = encoder
        .write_all(&json)
        .and_then(|()| encoder.finish())
        .map_err(|error| Error::new(Kind::Defect, format!("cannot compress the record: {error}")))?;
    // What could not be read again must not be found out by a rollback.
    let fits = json.len() <= most_text(packed.len()) && values(&json) <= most_values(packed.len());
    if !fits || packed.len() > MOST_PARTS * PART_BYTES {
        let message = format!("the release is too large to be recorded: {} MiB of JSON", json.len() >> 20);
        return Err(Error::new(Kind::Invalid, message).with_hint("split the manifests into several projects"));
    }
    Ok(packed)
}

/// About how many values there are in this JSON: each list and map, and whatever follows a comma in one.
fn values(json: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (0, false, false);
    for byte in json {
        let ends = *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        quoted ^= ends;
        count += usize::from(!quoted && matches!(byte, b'[' | b'{' | b','));
    }
    count
}

/// The record that the first part of it begins.
fn unpack(head: &Value, bytes: &[u8]) -> Result<Record> {
    let name = head.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let mut json = Vec::new();
    let limit = most_text(bytes.len());
    let mut text = GzDecoder::new(bytes).take(limit as u64 + 1);
    text.read_to_end(&mut json).map_err(|error| unreadable(name, &error))?;
    if json.len() > limit || values(&json) > most_values(bytes.len()) {
        return Err(unreadable(name, &format!("it decompresses to more than {} MiB", limit >> 20)));
    }
    let value: Value = serde_json::from_slice(&json).map_err(|error| unreadable(name, &error))?;
    check_format(head, value.pointer("/summary/format").and_then(Value::as_u64))?;
    serde_json::from_value(value).map_err(|error| unreadable(name, &error))
}

/// What a newer windlass wrote is neither guessed at nor rewritten. `within` is the newest format of the lines inside.
///
/// # Errors
/// [`Kind::Invalid`] naming the version that is needed.
fn check_format(object: &Value, within: Option<u64>) -> Result<()> {
    let annotation = |name: &str| object.pointer("/metadata/annotations")?.get(name)?.as_str();
    let of_object = annotation(labels::FORMAT).and_then(|format| format.parse().ok());
    let newest: Option<u64> = of_object.max(within);
    if newest.is_none_or(|format| format <= u64::from(FORMAT)) {
        return Ok(());
    }
    let writer = annotation(labels::VERSION)
        .map_or("a newer windlass".to_owned(), |version| format!("windlass {version}"));
    let ours = env!("CARGO_PKG_VERSION");
    Err(Error::new(
        Kind::Invalid,
        format!("the records of this tier were written by {writer}, and this is {ours}"),
    )
    .with_hint(format!("use {writer} or a newer one; nothing was changed")))
}

fn part_bytes(secret: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(secret.pointer("/data/record")?.as_str()?).ok()
}

fn key_bytes(secret: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(secret.pointer("/data/key")?.as_str()?).ok()
}

fn new_key() -> Result<Vec<u8>> {
    let key = random::bytes::<32>();
    Ok(key.map_err(|error| Error::new(Kind::Defect, format!("cannot make a key: {error}")))?.to_vec())
}

fn unreadable(name: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("the record {name} in the cluster cannot be read: {error}"))
        .with_hint("roll back to another revision with --to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeServer;
    use crate::report::Reporter;
    use crate::session::Session;

    fn summary(revision: u64, outcome: &str) -> Summary {
        serde_json::from_value(json!({
            "format": 1, "revision": revision, "kind": {"kind": "release"}, "project": "shop", "tier": "staging",
            "by": {"identity": "a", "person": "b"}, "started": "2026-10-03T14:00:00Z", "outcome": outcome,
            "set": "", "objects": 1,
        }))
        .unwrap()
    }

    fn of_set(revision: u64, set: &str, outcome: &str) -> Summary {
        Summary { set: set.to_owned(), ..summary(revision, outcome) }
    }

    #[test]
    fn the_last_ten_sets_and_the_newest_good_one_are_kept() {
        let mut known: Vec<Summary> =
            (2..=14).rev().map(|revision| of_set(revision, &revision.to_string(), "failed")).collect();
        known.push(summary(1, "good"));
        assert_eq!(superfluous(&known), [4, 3, 2]);
        known.iter_mut().filter(|one| one.revision < 4).for_each(|one| one.kept = false);
        assert_eq!(superfluous(&known), [4], "what is gone is not looked for again");
    }

    #[test]
    fn the_newest_good_set_is_kept_also_under_the_revision_of_an_earlier_release_of_it() {
        let mut known: Vec<Summary> =
            (3..=14).rev().map(|revision| of_set(revision, &revision.to_string(), "failed")).collect();
        known.push(Summary { kept: false, ..of_set(2, "g", "good") });
        known.push(of_set(1, "g", "good"));
        assert_eq!(superfluous(&known), [4, 3]);
    }

    #[test]
    fn a_set_that_is_released_again_and_again_does_not_push_the_others_out() {
        let mut known: Vec<Summary> = (3..=30).rev().map(|revision| of_set(revision, "b", "good")).collect();
        known.push(of_set(2, "a", "good"));
        known.push(of_set(1, "a", "failed"));
        let gone = superfluous(&known);
        assert!(!gone.contains(&30) && !gone.contains(&2), "{gone:?}");
        assert_eq!(gone.len(), 28);
    }

    #[test]
    fn a_record_comes_back_as_it_went() {
        let record = Record::new(summary(7, "good"));
        let head = json!({"metadata": {"name": "r"}});
        assert_eq!(unpack(&head, &pack(&record).unwrap()).unwrap(), record);
        let mut newer = record.clone();
        newer.summary.format = FORMAT + 1;
        let refused = unpack(&head, &pack(&newer).unwrap()).unwrap_err();
        assert!(refused.message().contains("written by a newer windlass"), "{refused}");
    }

    #[test]
    fn a_record_unfolds_to_no_more_than_a_record_could_be() {
        let head = json!({"metadata": {"name": "r"}});
        let packed = |json: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(json).unwrap();
            encoder.finish().unwrap()
        };
        let zeros = packed(&vec![b' '; 200 << 20]);
        let refused = unpack(&head, &zeros).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        let said = "the record r in the cluster cannot be read: it decompresses to more than";
        assert!(refused.message().starts_with(said), "{refused}");
        let refused = unpack(&head, &packed("[0,".repeat(300_000).as_bytes())).unwrap_err();
        assert!(refused.message().starts_with(said), "{refused}");
        assert_eq!(values(br#"{"a,[": [1, {}, "\",["], "b\\": 2}"#), 6);
        let object = json!({"data": {"a": "x".repeat(30 << 20)}});
        let objects = vec![crate::record::Applied { object: object.into(), fields: None }];
        let record = Record { objects, ..Record::new(summary(1, "good")) };
        assert!(pack(&record).unwrap_err().message().contains("too large to be recorded: 30 MiB"));
    }

    #[tokio::test]
    async fn a_record_of_endless_parts_is_refused_before_they_are_asked_for() {
        const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let store = Store::new(&cluster, "shop", "staging");
        store.write(&large(1, 10), &mut Vec::new()).await.unwrap();
        let mut head = server.get(SECRETS, "windlass.shop.staging.1").unwrap();
        head["metadata"]["annotations"][labels::PARTS] = "18446744073709551615".into();
        server.put(SECRETS, head);
        let refused = store.record(1).await.unwrap_err();
        assert!(refused.message().contains("more than 128 parts"), "{refused}");
    }

    #[test]
    fn the_version_that_is_needed_is_named() {
        let annotations = json!({labels::FORMAT: "99", labels::VERSION: "9.1.0"});
        let refused = check_format(&json!({"metadata": {"annotations": annotations}}), None).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(refused.message().contains("written by windlass 9.1.0, and this is "), "{refused}");
        assert!(
            check_format(&json!({"metadata": {}}), Some(1)).is_ok(),
            "records from before the annotations"
        );
    }

    /// A record that does not compress: its parts, in bytes.
    fn large(revision: u64, bytes: usize) -> Record {
        let random = (0..bytes.div_ceil(32)).flat_map(|_| random::bytes::<32>().unwrap());
        let data = json!({"a": STANDARD.encode(random.take(bytes).collect::<Vec<u8>>())});
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let objects = vec![crate::record::Applied { object: object.into(), fields: None }];
        Record { objects, ..Record::new(of_set(revision, &revision.to_string(), "good")) }
    }

    #[tokio::test]
    async fn a_set_that_is_larger_than_a_secret_comes_in_parts_and_goes_as_a_whole() {
        const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let store = Store::new(&cluster, "shop", "staging");
        let there = |name: &str| server.get(SECRETS, &format!("windlass.shop.staging.{name}")).is_some();
        let mut known = Vec::new();
        // Killed before its first part, and then released smaller.
        server.put(SECRETS, json!({"metadata": {"name": "windlass.shop.staging.1.3"}}));
        let first = large(1, 2_500_000);
        store.write(&first, &mut known).await.unwrap();
        assert!(there("1") && there("1.1") && there("1.2"));
        assert_eq!(store.record(1).await.unwrap(), Some(first));
        for revision in 2..=11 {
            store.write(&large(revision, 10), &mut known).await.unwrap();
            store.forget_unused(&mut known).await.unwrap();
        }
        assert!(!there("1") && !there("1.1") && !there("1.2") && !there("1.3"));
        assert!(there("2"));
        assert_eq!(store.record(1).await.unwrap(), None);
        assert_eq!(known.iter().filter(|one| one.kept).count(), 10);
        let read = store.history().await.unwrap();
        assert_eq!(read.iter().filter(|one| one.kept).count(), 10, "what is gone is not looked for again");
    }

    #[tokio::test]
    async fn a_record_that_is_written_anew_never_mixes_with_what_was_there() {
        const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let store = Store::new(&cluster, "shop", "staging");
        let (mut known, name) = (Vec::new(), |part: &str| format!("windlass.shop.staging.1{part}"));
        store.write(&large(1, 2_500_000), &mut known).await.unwrap();
        let head = server.get(SECRETS, &name("")).unwrap();
        let second = large(1, 2_500_000);
        store.write(&second, &mut known).await.unwrap();
        assert_eq!(store.record(1).await.unwrap(), Some(second));
        // As if it had been killed before the first part, which decides.
        server.put(SECRETS, head);
        assert_ne!(store.record(1).await.unwrap().expect("it is whole").objects, large(1, 1).objects);
        store.write(&large(1, 2_500_000), &mut known).await.unwrap();
        store.write(&large(1, 2_500_000), &mut known).await.unwrap();
        store.erase(&known).await.unwrap();
        for part in ["", ".1", ".2", ".1.1", ".2.1"] {
            assert!(server.get(SECRETS, &name(part)).is_none(), "{part}");
        }
    }

    #[tokio::test]
    async fn a_release_that_changed_nothing_leaves_a_line_and_the_record_before_speaks_for_it() {
        let server = FakeServer::start().await;
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        let store = Store::new(&cluster, "shop", "staging");
        let mut known = Vec::new();
        store.write(&large(1, 10), &mut known).await.unwrap();
        store.note(&of_set(2, "1", "good"), &mut known).await.unwrap();
        store.note(&of_set(3, "1", "good"), &mut known).await.unwrap();
        let read = store.history().await.unwrap();
        assert_eq!(read, known);
        let record = store.recorded(&read, 3).await.unwrap().expect("it is there");
        assert_eq!((record.summary.revision, record.objects.len()), (3, 1));
        store.write(&large(4, 10), &mut known).await.unwrap();
        store.forget_unused(&mut known).await.unwrap();
        assert!(store.recorded(&known, 2).await.unwrap().is_some(), "its set is one of the last ten");
    }
}
