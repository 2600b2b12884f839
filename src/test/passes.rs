//! That all tests of a set passed, as one record: to know it of forty tests takes three requests instead of eighty.
//!
//! The records of the single tests stay what counts. This one is written by whoever has just read all of them, names each
//! with its image's digest and its definition, and lies beside the image of the first. A test that passed and fails later
//! moves the mark `windlass.tests` in the repositories of all images that have tests: a record that was written under
//! another mark is not believed, and the single ones are read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::plan::Job;
use super::record::{self, Images, ProofState};
use super::{image_of, regular};
use crate::error::Result;
use crate::model::{Image, Reference};
use crate::project::Project;
use crate::registry::{self, Registry};
use crate::text::hex;

/// Fewer tests than this are asked for one by one.
const FEW: usize = 4;

/// What the records say of these jobs, in their order.
///
/// # Errors
/// Those of the registry; [`Kind::Invalid`](crate::error::Kind::Invalid) for a job whose image there is not.
pub(super) async fn proof_states(
    registry: &Registry,
    jobs: &[Job],
    images: &Images,
) -> Result<Vec<ProofState>> {
    let mut asked = Vec::new();
    for job in jobs {
        asked.push((job, image_of(images, job)?, record::definition(&job.config, images)));
    }
    let set = TestSet::of(&asked);
    if let Some(set) = &set
        && let Some(known) = set.read(registry).await?
    {
        return Ok(known);
    }
    // Read before the records are: what fails meanwhile moves it.
    let mark = match &set {
        Some(set) => Some(set.mark(registry).await?),
        None => None,
    };
    let looks: Vec<_> = asked
        .iter()
        .map(|(job, image, definition)| record::read(registry, image, &job.name, definition))
        .collect();
    let proof_states = futures::future::try_join_all(looks).await?;
    if let (Some(set), Some(mark)) = (set, mark)
        && let Err(error) = set.write(registry, &mark, &proof_states).await
    {
        // It only saves time.
        tracing::debug!(%error, "that all tests passed was not recorded");
    }
    Ok(proof_states)
}

/// A test that had passed has failed: no record of a set that it may be in counts any more.
///
/// # Errors
/// Those of the registry.
pub(super) async fn retract(registry: &Registry, repositories: &BTreeSet<Reference>) -> Result<()> {
    let moves: Vec<_> =
        repositories.iter().map(|repository| registry.move_mark(repository, registry::TESTS)).collect();
    futures::future::try_join_all(moves).await.map(drop)
}

/// The repositories of all images that have tests, those of the tests that verify a tier left out.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) without a registry.
pub(super) fn repositories(project: &Project) -> Result<BTreeSet<Reference>> {
    let tested = regular(project).into_iter().map(|job| job.config.image);
    let tested = tested.filter(|image| project.config.images.contains_key(image));
    tested.map(|image| project.image_repository(&image)).collect()
}

/// Tests with their images and definitions.
struct TestSet<'a> {
    /// The image beside which the record lies.
    image: &'a Image,
    kind: String,
    /// By the test: `<digest> <definition>`.
    tests: BTreeMap<&'a str, String>,
    /// The tests in their order.
    names: Vec<&'a str>,
}

impl<'a> TestSet<'a> {
    /// `None` where a record would save nothing.
    fn of(asked: &[(&'a Job, &'a Image, String)]) -> Option<Self> {
        let (_, image, _) = asked.first().filter(|_| asked.len() >= FEW)?;
        let mut tests = BTreeMap::new();
        for (job, image, definition) in asked {
            tests.insert(job.name.as_str(), format!("{} {definition}", image.pinned.digest));
        }
        let kind = format!("tests-{}", &hex::sha256(json!(tests).to_string().as_bytes())[..16]);
        Some(Self { image, kind, tests, names: asked.iter().map(|(job, ..)| job.name.as_str()).collect() })
    }

    async fn mark(&self, registry: &Registry) -> Result<String> {
        registry.mark(&self.image.pinned.reference(), registry::TESTS).await
    }

    /// What a record says of these very tests that nothing has retracted.
    async fn read(&self, registry: &Registry) -> Result<Option<Vec<ProofState>>> {
        let record = registry.record_if_readable(&self.image.pinned.reference(), &self.kind).await?;
        let Some(record) = record else { return Ok(None) };
        let Some(proof_states) = self.said(&record) else { return Ok(None) };
        let holds = record["mark"].as_str() == Some(self.mark(registry).await?.as_str());
        Ok(holds.then_some(proof_states))
    }

    fn said(&self, record: &Value) -> Option<Vec<ProofState>> {
        let passed = |name: &&str| {
            let test = &record["tests"][*name];
            if test["of"].as_str() != Some(self.tests.get(*name)?) {
                return None;
            }
            let word = |key: &str| test[key].as_str().unwrap_or_default().to_owned();
            Some(ProofState::Passed { time: word("time"), summary: word("summary") })
        };
        self.names.iter().map(passed).collect()
    }

    /// Leaves the record where all passed.
    async fn write(&self, registry: &Registry, mark: &str, proof_states: &[ProofState]) -> Result<()> {
        let mut tests = serde_json::Map::new();
        for (name, standing) in self.names.iter().zip(proof_states) {
            let ProofState::Passed { time, summary } = standing else { return Ok(()) };
            let test = json!({"of": self.tests[name], "time": time, "summary": summary});
            tests.insert((*name).to_owned(), test);
        }
        let record = json!({"mark": mark, "tests": tests});
        registry.write_record(&self.image.pinned.reference(), &self.kind, &record).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::registry::in_memory;

    use super::*;

    fn jobs(count: usize) -> Vec<Job> {
        let job = |number: usize| {
            let name = format!("t{number}");
            let config = super::super::plan::tests::test(&[]);
            Job { test: name.clone(), name, config, needs: Vec::new() }
        };
        (0..count).map(job).collect()
    }

    fn are_passed(proof_states: &[ProofState]) -> bool {
        proof_states.iter().all(|standing| matches!(standing, ProofState::Passed { .. }))
    }

    #[tokio::test]
    async fn that_all_passed_is_known_by_three_requests_until_one_fails() {
        for refuses in [None, Some(400)] {
            let (server, _, registry, reference) = in_memory(refuses).await;
            let jobs = jobs(9);
            let name = jobs[0].config.image.clone();
            let image = Image { name: name.clone(), pinned: reference.pinned().unwrap(), built: false };
            let images: Images = [(name, image.clone())].into();
            let definition = record::definition(&jobs[0].config, &images);
            for job in &jobs {
                record::write(&registry, &image, &job.name, &definition, (true, "1 passed")).await.unwrap();
            }
            assert!(are_passed(&proof_states(&registry, &jobs, &images).await.unwrap()), "one by one");
            let before = server.received_requests().await.unwrap().len();
            let known = proof_states(&registry, &jobs, &images).await.unwrap();
            assert!(are_passed(&known) && known.len() == jobs.len());
            assert_eq!(server.received_requests().await.unwrap().len() - before, 3);
            // Whoever fails in another set, of which this one knows nothing.
            record::write(&registry, &image, "t3", &definition, (false, "1 failed")).await.unwrap();
            retract(&registry, &[reference].into()).await.unwrap();
            let known = proof_states(&registry, &jobs, &images).await.unwrap();
            assert!(matches!(&known[3], ProofState::Open(why) if why.contains("failed")), "{known:?}");
            record::write(&registry, &image, "t3", &definition, (true, "1 passed")).await.unwrap();
            for _ in 0..2 {
                assert!(are_passed(&proof_states(&registry, &jobs, &images).await.unwrap()));
            }
        }
    }

    #[tokio::test]
    async fn few_tests_are_asked_for_one_by_one() {
        let (server, tags, registry, reference) = in_memory(None).await;
        let jobs = jobs(FEW - 1);
        let name = jobs[0].config.image.clone();
        let images: Images =
            [(name.clone(), Image { name, pinned: reference.pinned().unwrap(), built: false })].into();
        let known = proof_states(&registry, &jobs, &images).await.unwrap();
        assert!(known.iter().all(|one| matches!(one, ProofState::Open(why) if why.contains("never run"))));
        assert_eq!(server.received_requests().await.unwrap().len(), jobs.len());
        assert_eq!(tags.manifests.lock().unwrap().len(), 1, "nothing is written");
    }
}
