//! Every way in which a rollout is known to end, on a real kubelet: the exit code, the cause, the sentence, and how
//! soon it is known.
//!
//! Scenarios run side by side, most of them in one namespace, each as a project of its own; no other test runs beside
//! them, for a kubelet that is starved tells deaths too late. `WINDLASS_SCENARIO` names the one to run (or a part of
//! names), or `must-succeed` for all that end well: none of those may ever be called a failure. `WINDLASS_WRITE_SCENARIOS=1`
//! writes `docs/rollouts.md`.
#![expect(
    clippy::too_many_lines,
    clippy::print_stdout,
    reason = "a table is as long as it is, and whoever runs the test wants to see it"
)]

mod case;
mod histories;
mod images;
mod kinds;
mod observe;
mod programs;
mod stage;
mod table;

use std::collections::VecDeque;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use case::Case;
use observe::Observer;
use stage::Scene;
use table::Line;

use crate::bench::Project;

/// So many scenarios play at the same time.
const SIDE_BY_SIDE: usize = 6;

fn all() -> Vec<Case> {
    let mut all = programs::that_recover();
    all.extend(histories::histories());
    all.extend(programs::that_fail());
    all.extend(images::images());
    all.extend(images::configuration());
    all.extend(images::placement());
    all.extend(kinds::jobs());
    all.extend(kinds::workloads());
    all.extend(kinds::others());
    all
}

#[test]
fn every_scenario_ends_as_the_rules_say() {
    let wanted = std::env::var("WINDLASS_SCENARIO").unwrap_or_default();
    let cases: Vec<Case> = all().into_iter().filter(|case| is_wanted(case, &wanted)).collect();
    assert!(!cases.is_empty(), "no scenario is named {wanted:?}");
    let (order, count) = (cases.iter().map(|case| case.name).collect::<Vec<_>>(), cases.len());
    let shared = Project::empty("rollouts");
    let observer = Observer::of(&shared.namespace);
    let (waiting, lines) = (Mutex::new(VecDeque::from(cases)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().unwrap().pop_front() else { return };
                    let line = catch_unwind(AssertUnwindSafe(|| play(&case, &shared, &observer)));
                    lines.lock().unwrap().push(line.unwrap_or_else(|panic| Line::of_panic(&case, &panic)));
                }
            });
        }
    });
    let mut lines = lines.into_inner().unwrap();
    // As tests/run does with other tests: what other work on the machine did to one or two does not fail the run.
    let is_rare = lines.iter().filter(|line| line.wrong.is_some()).count() <= 2;
    for line in lines.iter_mut().filter(|line| is_rare && line.wrong.is_some()) {
        // Not by println, which is shown of tests that fail only.
        let _ = writeln!(std::io::stderr(), "FLAKY if it passes alone: {}", table::mistakes(&[line]));
        if let Some(case) = all().into_iter().find(|case| case.name == line.name) {
            let again = catch_unwind(AssertUnwindSafe(|| play(&case, &shared, &observer)));
            *line = again.unwrap_or_else(|panic| Line::of_panic(&case, &panic));
        }
    }
    lines.sort_by_key(|line| order.iter().position(|name| *name == line.name));
    println!("{}", table::text(&lines));
    if std::env::var_os("WINDLASS_WRITE_SCENARIOS").is_some() {
        table::write(&lines);
    }
    let wrong: Vec<&Line> = lines.iter().filter(|line| line.wrong.is_some()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {count} scenarios ended wrongly\n{}",
        wrong.len(),
        table::mistakes(&wrong)
    );
}

/// Whether it is one of those that somebody asked for.
fn is_wanted(case: &Case, wanted: &str) -> bool {
    if wanted == "must-succeed" { case.code == 0 } else { case.name.contains(wanted) }
}

/// Plays one scenario and says how it ended.
fn play(case: &Case, shared: &Project, observer: &Observer) -> Line {
    let own = case.alone.then(|| Project::empty(case.name));
    let namespace = own.as_ref().map_or(&shared.namespace, |own| &own.namespace);
    let own_observer = own.as_ref().map(|own| Observer::of(&own.namespace));
    let scene = Scene::set(case, namespace);
    if own.is_some() {
        scene.project.kubectl(&["create", "namespace", namespace]);
    }
    if let Some(act) = case.before {
        act(&scene);
    }
    let ending = scene.release(case.meanwhile);
    let mut line = Line::new(case, &ending, own_observer.as_ref().unwrap_or(observer));
    if let Some(act) = case.afterwards.filter(|_| line.wrong.is_none()) {
        let done = catch_unwind(AssertUnwindSafe(|| act(&scene)));
        line.wrong = done.err().map(|panic| table::words(&panic));
    }
    scene.clear();
    line
}
