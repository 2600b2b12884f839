//! What `--report DIR` leaves: the recorded runs as files.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::recorded::{self, Act};
use super::{Page, machine, moment, play};
use crate::error::Kind;
use crate::model::{Evidence, Subject};
use crate::report::event::Event;
use crate::report::files::Directory;
use crate::report::files::github::StepFiles;
use crate::report::{Renderer, Reporter};
use crate::text::display;

/// Plays a run into a directory.
fn filled(run: &[Act]) -> tempfile::TempDir {
    let (directory, people) = (tempfile::tempdir().unwrap(), Page::default());
    let path = directory.path().join("made/when/needed");
    play(&mut Directory::open(&path, false, people.sink(false)).unwrap(), run, |_| {});
    assert_eq!(people.read(), "", "nothing went wrong");
    directory
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join("made/when/needed").join(name)).unwrap()
}

/// The page without its style, which would be in every snapshot.
fn page(directory: &Path) -> String {
    let page = read(directory, "report.html");
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>\n").unwrap();
    format!("{head}{body}")
}

#[test]
fn a_good_run() {
    let directory = filled(&recorded::good());
    insta::assert_snapshot!("good_junit", read(directory.path(), "junit.xml"));
    insta::assert_snapshot!("good_page", page(directory.path()));
    insta::assert_snapshot!("good_env", read(directory.path(), "windlass.env"));
    assert_eq!(read(directory.path(), "events.jsonl"), machine(&recorded::good(), false));
}

#[test]
fn a_release_that_fails() {
    let directory = filled(&recorded::failing_release());
    insta::assert_snapshot!("failing_junit", read(directory.path(), "junit.xml"));
    insta::assert_snapshot!("failing_page", page(directory.path()));
}

#[test]
fn tests_that_fail() {
    let directory = filled(&recorded::failing_tests());
    insta::assert_snapshot!("tests_junit", read(directory.path(), "junit.xml"));
    insta::assert_snapshot!("tests_page", page(directory.path()));
}

#[test]
fn an_interrupted_run() {
    let directory = filled(&recorded::interrupted());
    insta::assert_snapshot!("interrupted_junit", read(directory.path(), "junit.xml"));
}

#[test]
fn a_release_that_is_rolled_back_by_itself() {
    let directory = filled(&recorded::rolled_back());
    insta::assert_snapshot!("rolled_back_junit", read(directory.path(), "junit.xml"));
    assert!(page(directory.path()).contains("rolled back: revision 7 serves again"));
}

#[test]
fn a_command_without_images_leaves_an_empty_environment() {
    let directory = filled(&recorded::invalid());
    assert_eq!(read(directory.path(), "windlass.env"), "");
    insta::assert_snapshot!("invalid_page", page(directory.path()));
}

#[test]
fn nothing_of_a_former_run_is_left_and_a_killed_run_leaves_what_it_knew() {
    let directory = filled(&recorded::good());
    let path = directory.path().join("made/when/needed");
    let mut renderer = Directory::open(&path, false, Page::default().sink(false)).unwrap();
    assert_eq!(read(directory.path(), "windlass.env"), "");
    assert_eq!(read(directory.path(), "events.jsonl"), "");
    assert!(!read(directory.path(), "junit.xml").contains("testcase"));

    let run = recorded::failing_release();
    play(&mut renderer, &run[..run.len() - 1], |_| {});
    // As a kill would: nothing is dropped.
    std::mem::forget(renderer);
    assert!(read(directory.path(), "events.jsonl").ends_with("}\n"));
    assert!(page(directory.path()).contains("the run has not ended, or was killed"));
    assert!(read(directory.path(), "junit.xml").contains("no verdict yet"));
}

#[test]
fn git_does_not_see_a_directory_that_was_made_for_the_report() {
    let directory = filled(&recorded::good());
    assert_eq!(read(directory.path(), ".gitignore"), "*\n");
    let taken = tempfile::tempdir().unwrap();
    fs::write(taken.path().join("main.rs"), "").unwrap();
    drop(Directory::open(taken.path(), false, Page::default().sink(false)).unwrap());
    assert!(!taken.path().join(".gitignore").exists(), "a work tree would be ignored as a whole");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = Directory::open(&file.join("report"), false, Page::default().sink(false));
    let error = refused.err().unwrap();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.message().contains("file/report"), "{error}");
}

#[test]
fn a_directory_that_vanishes_is_said_once_and_ends_nothing() {
    let (directory, people) = (tempfile::tempdir().unwrap(), Page::default());
    let path = directory.path().join("report");
    let mut renderer = Directory::open(&path, false, people.sink(false)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    play(&mut renderer, &recorded::good(), |_| {});
    drop(renderer);
    assert_eq!(people.read().matches("is not complete").count(), 1, "{}", people.read());
}

#[test]
fn an_answer_is_kept_where_it_is_no_document() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/when/needed");
    let mut renderer = Directory::open(&path, true, Page::default().sink(false)).unwrap();
    renderer.answer(Some(&json!({"changes": 1})), "\u{1b}[1m1 change\u{1b}[0m\n");
    renderer.answer(None, "password: open-sesame");
    let Some(Act::Event(_, end)) = recorded::good().pop() else { unreachable!() };
    renderer.event(moment(1.0), &end);
    assert_eq!(read(directory.path(), "events.jsonl"), "{\"changes\":1}\n");
    assert!(page(directory.path()).contains("<pre>\n1 change\n</pre>"));
    assert!(!page(directory.path()).contains("open-sesame"));
}

#[test]
fn the_files_are_well_formed_whatever_a_test_prints() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    let renderer = Directory::open(&path, false, Page::default().sink(false)).unwrap();
    let reporter = Reporter::new(vec![Box::new(renderer)]);
    let noise = "a\u{fffe}b\u{ffff}c\u{1}d\u{1b}[31me\u{9f}f\u{202e}g\u{1fffe}]]>&<\u{b}";
    for act in recorded::failing_tests() {
        let Act::Event(_, mut event) = act else { continue };
        match &mut event {
            Event::StepFinished { summary, .. } => *summary = noise.to_owned(),
            Event::Log { line, .. } => *line = noise.to_owned(),
            Event::Finished(finished) => {
                for cause in &mut finished.causes {
                    cause.subject = Subject::Test(format!("unit {noise}"));
                    cause.message = noise.to_owned();
                    cause.evidence =
                        vec![Evidence { title: noise.to_owned(), lines: vec![noise.to_owned()] }];
                }
            }
            _ => {}
        }
        reporter.emit(&event);
    }
    drop(reporter);
    for name in ["events.jsonl", "junit.xml", "report.html"] {
        let text = fs::read_to_string(path.join(name)).unwrap();
        assert!(text.contains("abcdefg"), "{name}: {text}");
        let wrong = text.chars().find(|one| *one != '\n' && display::is_hidden(*one));
        assert_eq!(wrong, None, "{name}: {text:?}");
    }
}

#[test]
fn a_hidden_secret_is_in_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    let renderer = Directory::open(&path, false, Page::default().sink(false)).unwrap();
    let reporter = Reporter::new(vec![Box::new(renderer)]);
    reporter.hide("KeyError");
    reporter.hide("windlass explain");
    reporter.answer(Some(&json!({"KeyError": "KeyError"})), "KeyError");
    for act in recorded::failing_release() {
        if let Act::Event(_, event) = act {
            reporter.emit(&event);
        }
    }
    reporter.warn_with_hint("KeyError", "KeyError");
    drop(reporter);
    for name in crate::report::FILES {
        let text = fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(
            text.contains("[MASKED]"),
            !["windlass.env", "annotations.json"].contains(&name),
            "{name}: {text}"
        );
        for secret in ["KeyError", "windlass explain"] {
            assert!(!text.contains(secret), "{name}: {text}");
        }
    }
}

#[test]
fn a_step_of_github_leaves_a_summary_and_outputs() {
    let directory = tempfile::tempdir().unwrap();
    let (summary, output) = (directory.path().join("summary.md"), directory.path().join("output"));
    fs::write(&output, "of=others\n").unwrap();
    let step = |run: &[Act], answering| {
        let people = Page::default();
        let files = (Some(summary.clone()), Some(output.clone()));
        play(&mut StepFiles::new(files.0, files.1, answering, people.sink(false)).unwrap(), run, |_| {});
        assert_eq!(people.read(), "");
    };
    step(&recorded::good(), false);
    insta::assert_snapshot!("good_summary", fs::read_to_string(&summary).unwrap());
    let outputs = fs::read_to_string(&output).unwrap();
    assert!(
        outputs.starts_with("of=others\nWINDLASS_WEB_IMAGE=registry.test/shop/web:1f3c9a0b@sha256:"),
        "{outputs}"
    );
    assert!(outputs.ends_with("\nWINDLASS_REVISION=7\n"), "{outputs}");
    fs::remove_file(&summary).unwrap();
    step(&recorded::good(), true);
    assert!(!summary.exists(), "an answer is read where it was asked for");
    step(&recorded::failing_release(), true);
    insta::assert_snapshot!("failing_summary", fs::read_to_string(&summary).unwrap());

    let people = Page::default();
    let missing = Some(directory.path().join("missing/summary.md"));
    play(&mut StepFiles::new(missing, None, false, people.sink(false)).unwrap(), &recorded::good(), |_| {});
    assert!(
        people.read().contains("missing/summary.md of this step cannot be written: "),
        "{}",
        people.read()
    );
}
