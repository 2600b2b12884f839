//! Which tests run: the matrix unfolded, the named ones with what they need, and this job's part of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::graph::{self, Needs};
use crate::project::TestConfig;
use crate::text::nearest;

/// One run of a test: the test itself, or one combination of its matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// `e2e`, `e2e (BROWSER=firefox, 2/3)`.
    pub(super) name: String,
    /// The name in the configuration.
    pub(super) test: String,
    /// With the values of the matrix among its variables.
    pub(super) config: TestConfig,
    /// Jobs, by name.
    pub(super) needs: Vec<String>,
}

/// Every job of the project, in the order of their names.
pub(super) fn jobs(tests: &BTreeMap<String, TestConfig>) -> Vec<Job> {
    let unfolded: BTreeMap<&String, Vec<Job>> =
        tests.iter().map(|(name, config)| (name, unfold(name, config))).collect();
    let names = |test: &String| unfolded.get(test).into_iter().flatten().map(|job| job.name.clone());
    let with_needs = |job: &Job| {
        let needs = job.config.needs.iter().flat_map(names).collect();
        Job { needs, ..job.clone() }
    };
    unfolded.values().flatten().map(with_needs).collect()
}

/// The jobs meant by these names and all that they need; all jobs where no name is given.
///
/// # Errors
/// [`Kind::Invalid`] for a name that is not in the configuration.
pub(super) fn chosen(jobs: Vec<Job>, names: &[String]) -> Result<Vec<Job>> {
    if names.is_empty() {
        return Ok(jobs);
    }
    let known = |name: &String| jobs.iter().any(|job| job.test == *name || job.name == *name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(unknown(&jobs, name));
    }
    let meant = jobs.iter().filter(|job| names.contains(&job.test) || names.contains(&job.name));
    let wanted = graph::with_needs(meant.map(|job| job.name.clone()).collect::<Vec<_>>(), &needs(&jobs));
    Ok(jobs.into_iter().filter(|job| wanted.contains(&job.name)).collect())
}

/// What needs what among these jobs; what is not among them does not count.
pub(super) fn needs(jobs: &[Job]) -> Needs {
    let here: BTreeSet<&String> = jobs.iter().map(|job| &job.name).collect();
    let of = |job: &Job| job.needs.iter().filter(|name| here.contains(name)).cloned().collect();
    jobs.iter().map(|job| (job.name.clone(), of(job))).collect()
}

/// The part of CI's job number `index` (from 1) of `total`: the same division on every runner. Jobs that need each other stay
/// together.
pub(super) fn part(jobs: Vec<Job>, index: usize, total: usize) -> Vec<Job> {
    let mut loads = vec![(Duration::ZERO, 0_usize); total.max(1)];
    let mut mine = BTreeSet::new();
    for group in groups(&jobs) {
        let (lightest, _) =
            loads.iter().enumerate().min_by_key(|(_, load)| **load).unwrap_or((0, &(Duration::ZERO, 0)));
        loads[lightest].0 += group.iter().map(|job| job.config.timeout).sum::<Duration>();
        loads[lightest].1 += group.len();
        if lightest + 1 == index {
            mine.extend(group.iter().map(|job| job.name.clone()));
        }
    }
    jobs.into_iter().filter(|job| mine.contains(&job.name)).collect()
}

/// Jobs that are connected by needs, the longest groups first.
fn groups(jobs: &[Job]) -> Vec<Vec<&Job>> {
    let mut groups: Vec<Vec<&Job>> = Vec::new();
    for job in jobs {
        let linked = |group: &Vec<&Job>| {
            group.iter().any(|other| other.needs.contains(&job.name) || job.needs.contains(&other.name))
        };
        let (mut joined, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(linked);
        let mut group: Vec<&Job> = joined.drain(..).flatten().collect();
        group.push(job);
        groups = apart;
        groups.push(group);
    }
    let length = |group: &Vec<&Job>| group.iter().map(|job| job.config.timeout).sum::<Duration>();
    groups.sort_by_key(|group| (std::cmp::Reverse(length(group)), group[0].name.clone()));
    groups
}

fn unfold(name: &str, config: &TestConfig) -> Vec<Job> {
    let mut combinations = vec![(Vec::new(), config.env.clone())];
    for (variable, values) in &config.matrix {
        let with = |(title, env): &(Vec<String>, BTreeMap<String, String>), value: &String| {
            let title = [title.as_slice(), &[format!("{variable}={value}")]].concat();
            let mut env = env.clone();
            env.insert(variable.clone(), value.clone());
            (title, env)
        };
        combinations =
            combinations.iter().flat_map(|one| values.iter().map(move |value| with(one, value))).collect();
    }
    if config.parallel > 1 {
        let with = |(title, env): &(Vec<String>, BTreeMap<String, String>), index: u32| {
            let title = [title.as_slice(), &[format!("{index}/{}", config.parallel)]].concat();
            let mut env = env.clone();
            env.insert("CI_NODE_INDEX".to_owned(), index.to_string());
            env.insert("CI_NODE_TOTAL".to_owned(), config.parallel.to_string());
            (title, env)
        };
        let parts = |one| (1..=config.parallel).map(move |index| with(one, index));
        combinations = combinations.iter().flat_map(parts).collect();
    }
    let job = |(title, env): (Vec<String>, BTreeMap<String, String>)| {
        let full = if title.is_empty() { name.to_owned() } else { format!("{name} ({})", title.join(", ")) };
        let config = TestConfig { env, ..config.clone() };
        Job { name: full, test: name.to_owned(), config, needs: Vec::new() }
    };
    combinations.into_iter().map(job).collect()
}

fn unknown(jobs: &[Job], name: &str) -> Error {
    let mut known: Vec<&str> = jobs.iter().map(|job| job.test.as_str()).collect();
    known.dedup();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "windlass.yaml has no tests".to_owned(),
        None => format!("windlass.yaml has `{}`", known.join("`, `")),
    };
    Error::new(Kind::Invalid, format!("there is no test `{name}`")).with_hint(hint)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A test that needs these.
    pub(in crate::test) fn test(needs: &[&str]) -> TestConfig {
        TestConfig {
            image: "web".to_owned(),
            run: vec!["make".to_owned(), "test".to_owned()],
            on: crate::project::On::Engine,
            services: BTreeMap::new(),
            env: BTreeMap::new(),
            reports: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            needs: needs.iter().map(|name| (*name).to_owned()).collect(),
            matrix: BTreeMap::new(),
            parallel: 1,
            retry: 0,
            memory: None,
            cpus: None,
        }
    }

    fn shop() -> BTreeMap<String, TestConfig> {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let matrix = [("B".to_owned(), list(&["x", "y"])), ("A".to_owned(), list(&["1"]))].into();
        [
            ("unit".to_owned(), test(&[])),
            ("e2e".to_owned(), TestConfig { matrix, parallel: 2, ..test(&["unit"]) }),
            ("lint".to_owned(), test(&[])),
            ("last".to_owned(), test(&["e2e"])),
        ]
        .into()
    }

    fn names(jobs: &[Job]) -> Vec<&str> {
        jobs.iter().map(|job| job.name.as_str()).collect()
    }

    #[test]
    fn every_combination_of_a_matrix_is_a_job() {
        let jobs = jobs(&shop());
        let expected =
            ["e2e (A=1, B=x, 1/2)", "e2e (A=1, B=x, 2/2)", "e2e (A=1, B=y, 1/2)", "e2e (A=1, B=y, 2/2)"];
        assert_eq!(names(&jobs)[..4], expected);
        let env = &jobs[2].config.env;
        assert_eq!(
            (env["B"].as_str(), env["CI_NODE_INDEX"].as_str(), env["CI_NODE_TOTAL"].as_str()),
            ("y", "1", "2")
        );
        let last = jobs.iter().find(|job| job.name == "last").unwrap();
        assert_eq!(last.needs, expected, "all of them are needed");
    }

    #[test]
    fn a_name_means_all_its_combinations_and_what_they_need() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(jobs(&shop()), &names)
        };
        assert_eq!(chosen(&["e2e"]).unwrap().len(), 5);
        assert_eq!(names(&chosen(&["e2e (A=1, B=y, 2/2)"]).unwrap()), ["e2e (A=1, B=y, 2/2)", "unit"]);
        assert_eq!(names(&chosen(&["lint"]).unwrap()), ["lint"]);
        assert_eq!(chosen(&[]).unwrap().len(), 7);
        let error = chosen(&["e2"]).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `e2e`?"));
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole_and_never_cut_a_need(
            links in proptest::collection::vec((0_usize..8, 0_usize..8), 0..6),
            total in 1_usize..5,
        ) {
            let tests: BTreeMap<String, TestConfig> = (0..8)
                .map(|number| {
                    let needs: Vec<String> = links.iter().filter(|(one, other)| *one == number && other < one).map(|(_, other)| other.to_string()).collect();
                    (number.to_string(), TestConfig { needs, ..test(&[]) })
                })
                .collect();
            let all = jobs(&tests);
            let parts: Vec<Vec<Job>> = (1..=total).map(|index| part(all.clone(), index, total)).collect();
            let mut together: Vec<&str> = parts.iter().flat_map(|part| names(part)).collect();
            together.sort_unstable();
            prop_assert_eq!(together, names(&all));
            for part in &parts {
                for job in part {
                    prop_assert!(job.needs.iter().all(|need| part.iter().any(|other| other.name == *need)));
                }
            }
            if links.is_empty() {
                prop_assert!(parts.iter().all(|part| part.len() >= 8 / total), "evenly");
            }
        }
    }
}
