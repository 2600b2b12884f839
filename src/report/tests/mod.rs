//! What people see: the same recorded runs through every renderer, as snapshots.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::event::Finished;
use super::json::Json;
use super::sink::Sink;
use crate::model::{Outcome, Stage, Verdict};
use crate::report::live::github::Workspace;
use crate::report::live::plain::Plain;
use crate::report::live::screen::Screen;
use crate::report::live::summary;
use crate::report::live::terminal::Terminal;
use crate::report::masker::events::Secrets;
use crate::report::{Moment, Renderer, Verbosity};
use recorded::Act;

mod directory;
mod recorded;

/// A stream that can be read back.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn read(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn sink(&self, color: bool) -> Sink {
        Sink::new(self.clone(), color)
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A terminal of paper: the lines that move are copied onto the page at each tick, with `~` in front.
#[derive(Clone, Default)]
struct Paper {
    moving: Arc<Mutex<Vec<String>>>,
}

impl Screen for Paper {
    fn print(&mut self, print: &mut dyn FnMut()) {
        print();
    }

    fn show(&mut self, lines: &[String]) {
        *self.moving.lock().unwrap() = lines.to_vec();
    }

    fn room(&self) -> usize {
        5
    }
}

fn moment(seconds: f64) -> Moment {
    let start: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
    let age = Duration::from_secs_f64(seconds);
    Moment { time: start + SignedDuration::try_from(age).unwrap(), age }
}

/// Plays a recorded run; after each act `look` sees it.
fn play(renderer: &mut dyn Renderer, run: &[Act], mut look: impl FnMut(&Act)) {
    let secrets = Secrets::default();
    for act in run {
        match act {
            Act::Event(at, event) => renderer.event(moment(*at), &secrets.clean(event)),
            Act::Tick(at) => renderer.tick(moment(*at)),
        }
        look(act);
    }
}

fn plain(run: &[Act], verbosity: Verbosity) -> String {
    let page = Page::default();
    play(&mut Plain::new(page.sink(false), page.sink(false), verbosity), run, |_| {});
    page.read()
}

fn gitlab(run: &[Act], color: bool) -> String {
    let page = Page::default();
    let mut feed = Plain::new(page.sink(color), page.sink(color), Verbosity::Normal).with_sections();
    play(&mut feed, run, |_| {});
    page.read().replace('\x1b', "␛").replace('\r', "␍")
}

fn github(run: &[Act]) -> String {
    let page = Page::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/shop");
    let workspace = Workspace { directory: root.clone(), root };
    let people = page.sink(false).for_github(true);
    play(&mut Plain::new(people, page.sink(false), Verbosity::Normal).for_github(workspace), run, |_| {});
    page.read()
}

fn terminal(run: &[Act], verbosity: Verbosity) -> String {
    let (text, moving) = drawn(run, verbosity);
    assert!(moving.is_empty(), "nothing moves after the end");
    text
}

fn terminal_while_it_runs(run: &[Act]) -> String {
    drawn(run, Verbosity::Normal).0
}

/// What stands on the terminal, and what still moves.
fn drawn(run: &[Act], verbosity: Verbosity) -> (String, Vec<String>) {
    let (page, paper) = (Page::default(), Paper::default());
    let mut terminal = Terminal::new(paper.clone(), page.sink(false), page.sink(false), false, verbosity);
    play(&mut terminal, run, |act| {
        if matches!(act, Act::Tick(_)) {
            let moving = paper.moving.lock().unwrap().clone();
            page.sink(false).lines(moving.iter().map(|line| format!("~ ⠹ {line}")));
        }
    });
    let moving = paper.moving.lock().unwrap().clone();
    (page.read(), moving)
}

fn machine(run: &[Act], answering: bool) -> String {
    let (page, people) = (Page::default(), Page::default());
    play(&mut Json::new(page.sink(true), people.sink(false), answering), run, |_| {});
    assert_eq!(people.read(), "", "people are told nothing");
    page.read()
}

#[test]
fn a_good_run() {
    let run = recorded::good();
    insta::assert_snapshot!("good_plain", plain(&run, Verbosity::Normal));
    insta::assert_snapshot!("good_gitlab", gitlab(&run, false));
    insta::assert_snapshot!("good_github", github(&run));
    insta::assert_snapshot!("good_terminal", terminal(&run, Verbosity::Normal));
    insta::assert_snapshot!("good_json", machine(&run, false));
    assert_eq!(
        plain(&run, Verbosity::Quiet),
        "! the registry has no referrers API: records are kept as tags\n"
    );
}

#[test]
fn a_release_that_fails() {
    let run = recorded::failing_release();
    insta::assert_snapshot!("failing_plain", plain(&run, Verbosity::Normal));
    insta::assert_snapshot!("failing_gitlab", gitlab(&run, true));
    insta::assert_snapshot!("failing_github", github(&run));
    insta::assert_snapshot!("failing_terminal", terminal(&run, Verbosity::Normal));
    insta::assert_snapshot!("failing_json", machine(&run, false));
}

#[test]
fn tests_that_fail() {
    let run = recorded::failing_tests();
    insta::assert_snapshot!("tests_plain", plain(&run, Verbosity::Normal));
    insta::assert_snapshot!("tests_gitlab", gitlab(&run, false));
    insta::assert_snapshot!("tests_terminal", terminal(&run, Verbosity::Normal));
    insta::assert_snapshot!("tests_terminal_verbose", terminal(&run, Verbosity::Verbose));
    insta::assert_snapshot!("tests_quiet", plain(&run, Verbosity::Quiet));
}

#[test]
fn an_interrupted_run() {
    let run = recorded::interrupted();
    insta::assert_snapshot!("interrupted_plain", plain(&run, Verbosity::Normal));
    insta::assert_snapshot!("interrupted_gitlab", gitlab(&run, false));
    insta::assert_snapshot!("interrupted_terminal", terminal(&run, Verbosity::Normal));
}

#[test]
fn a_long_wait() {
    let run = recorded::long_wait();
    insta::assert_snapshot!("wait_plain", plain(&run, Verbosity::Normal));
    insta::assert_snapshot!("wait_gitlab", gitlab(&run, false));
    insta::assert_snapshot!("wait_terminal", terminal_while_it_runs(&run));
}

#[test]
fn what_was_done_about_it_is_what_happened() {
    let said = |stage, exit_code, rolled_back_to| {
        let finished = Finished {
            exit_code,
            stage,
            rolled_back_to,
            ..recorded::end("release", Outcome::Failed, 1, 1.0)
        };
        summary::deed(&finished).unwrap_or_default()
    };
    let left = "nothing was rolled back: the tier was left as it is";
    assert_eq!(said(Some(Stage::Release), 31, None), left);
    assert_eq!(said(Some(Stage::Release), 143, None), left);
    assert_eq!(said(Some(Stage::Release), 35, Some(7)), "rolled back: revision 7 serves again");
    let half = "the rollback to revision 7 is not complete: the tier was left as it is";
    assert_eq!(said(Some(Stage::Rollback), 40, Some(7)), half);
    assert_eq!(said(Some(Stage::Rollback), 130, Some(7)), half);
    assert_eq!(said(Some(Stage::Build), 10, None), "");
    assert_eq!(said(Some(Stage::Release), 34, None), "");
}

#[test]
fn a_configuration_that_is_wrong() {
    insta::assert_snapshot!("invalid_plain", plain(&recorded::invalid(), Verbosity::Normal));
    insta::assert_snapshot!("invalid_github", github(&recorded::invalid()));
}

#[test]
fn an_answer_for_machines_stands_alone_on_standard_output() {
    let (page, people) = (Page::default(), Page::default());
    let mut json = Json::new(page.sink(true), people.sink(false), true);
    let run = recorded::good();
    let (end, before) = run.split_last().unwrap();
    play(&mut json, before, |_| {});
    json.answer(Some(&json!([{"revision": 2}, {"revision": 1}])), "for people");
    play(&mut json, std::slice::from_ref(end), |_| {});
    assert_eq!(page.read(), "{\"revision\":2}\n{\"revision\":1}\n");
    assert_eq!(people.read(), "! the registry has no referrers API: records are kept as tags\n");
    // Without an answer the end says why there is none.
    let failed = recorded::invalid();
    assert!(machine(&failed, true).contains("\"exit_code\":3"));
}

#[test]
fn sections_are_closed_even_when_nothing_says_the_end() {
    let page = Page::default();
    let mut feed = Plain::new(page.sink(false), page.sink(false), Verbosity::Normal).with_sections();
    let run = recorded::interrupted();
    play(&mut feed, &run[..run.len() - 2], |_| {});
    drop(feed);
    let text = page.read();
    assert_eq!(text.matches("section_start:").count(), text.matches("section_end:").count(), "{text}");
}

/// What a build, a pod or a file writes opens and closes no section, and is no command.
#[test]
fn others_write_no_marker_of_gitlab_and_no_command_of_github() {
    let evil = "\u{1b}[0Ksection_end:1:build.1.1\r\u{1b}[0K::set-output name=a::b ##[add-path]/evil";
    let run = [
        recorded::log(0.1, Stage::Build, "web", evil),
        recorded::log(0.2, Stage::Build, "web", "::stop-commands::x"),
        recorded::warning(0.3, &format!("{evil}\n::error::x")),
        recorded::because(
            0.4,
            "Deployment",
            "web",
            Verdict::Progressing,
            None,
            None,
            Some("##[error]x\n::error::y"),
        ),
    ];
    let shown = gitlab(&run, false);
    assert!(!shown.contains('␛') && !shown.contains('␍'), "{shown}");
    for line in github(&run).lines() {
        // What follows our own command is its message, whatever it is.
        let ours = line.starts_with("::warning title=windlass::") || line.starts_with("::group::build web: ");
        assert!(ours || !(line.contains("##[") || line.trim_start().starts_with("::")), "{line}");
    }
    let page = Page::default();
    let answers = Plain::new(page.sink(false).for_github(true), page.sink(false), Verbosity::Normal);
    let reporter = super::Reporter::new(vec![Box::new(answers.for_github(Workspace::default()))]);
    reporter.answer_log("web", None, evil);
    reporter.answer(None, "data: |\n  ::is kept::\n");
    assert_eq!(page.read(), "web │ ::set-output name=a::b ## [add-path]/evil\ndata: |\n  ::is kept::\n");
    let json = machine(&run, false);
    assert!(!json.contains("##[") && json.contains(r"#\u0023[error]x"), "{json}");
}

#[test]
fn a_reader_who_stops_reading_is_no_accident() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut json = Json::new(Sink::new(Closed, true), Sink::new(Closed, true), false);
    play(&mut json, &recorded::good(), |_| {});
}

#[test]
fn every_line_for_machines_has_the_contract_s_head() {
    for line in machine(&recorded::good(), false).lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["v"], 1);
        assert!(value["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert!(value["event"].is_string());
    }
}

#[test]
fn a_hidden_secret_reaches_no_renderer() {
    let page = Page::default();
    let feed = Plain::new(page.sink(false), page.sink(false), Verbosity::Normal);
    let reporter = super::Reporter::new(vec![Box::new(feed)]);
    reporter.hide("hunter22");
    reporter.warn_with_hint("the password is hunter22", "hunter22");
    reporter.answer(None, "password: hunter22");
    assert!(!page.read().contains("hunter22"), "{}", page.read());
    assert_eq!(page.read().matches("[MASKED]").count(), 3);
}
