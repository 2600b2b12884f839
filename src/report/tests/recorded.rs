//! Runs as they happen, to be played to every renderer.

#![expect(clippy::too_many_lines, reason = "a recorded run reads best in one piece")]
#![expect(clippy::large_enum_variant, reason = "a few dozen values, read in order")]

use std::collections::BTreeMap;

use crate::model::{Cause, Evidence, Failure, Outcome, Stage, Stream, Subject, Verdict};
use crate::report::event::{Event, Finished, ObjectState, Warning};

/// Something that happens so many seconds after the beginning.
pub(super) enum Act {
    Event(f64, Event),
    Tick(f64),
}

const IMAGE: &str =
    "registry.test/shop/web:1f3c9a0b@sha256:9be1c04d7a3f52e86b1d0c9f4e7a2b3c5d6e7f8091a2b3c4d5e6f708192a3b4c";

fn stage(at: f64, stage: Stage, title: &str) -> Act {
    Act::Event(at, Event::StageStarted { stage, title: title.into() })
}

fn stage_end(at: f64, stage: Stage, outcome: Outcome, summary: &str, seconds: f64) -> Act {
    Act::Event(at, Event::StageFinished { stage, outcome, summary: summary.into(), seconds })
}

fn step(at: f64, stage: Stage, step: &str, title: &str) -> Act {
    Act::Event(at, Event::StepStarted { stage, step: step.into(), title: title.into() })
}

fn progress(at: f64, stage: Stage, step: &str, message: &str) -> Act {
    Act::Event(at, Event::StepProgress { stage, step: step.into(), message: message.into() })
}

fn step_end(at: f64, stage: Stage, step: &str, outcome: Outcome, summary: &str, seconds: f64) -> Act {
    Act::Event(
        at,
        Event::StepFinished { stage, step: step.into(), outcome, summary: summary.into(), seconds },
    )
}

pub(super) fn log(at: f64, stage: Stage, source: &str, line: &str) -> Act {
    let (source, line) = (source.into(), line.into());
    Act::Event(at, Event::Log { stage, source, stream: Stream::Stdout, line })
}

pub(super) fn warning(at: f64, message: &str) -> Act {
    Act::Event(at, Event::Warning(Warning { message: message.into(), ..Warning::default() }))
}

fn object(at: f64, kind: &str, name: &str, verdict: Verdict, ready: Option<&str>) -> Act {
    because(at, kind, name, verdict, ready, None, None)
}

pub(super) fn because(
    at: f64,
    kind: &str,
    name: &str,
    verdict: Verdict,
    ready: Option<&str>,
    cause: Option<Cause>,
    message: Option<&str>,
) -> Act {
    let api_version = if matches!(kind, "Deployment" | "StatefulSet") { "apps/v1" } else { "v1" };
    Act::Event(
        at,
        Event::Object(ObjectState {
            stage: Stage::Release,
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: "shop-staging".into(),
            name: name.into(),
            verdict,
            cause,
            message: message.map(Into::into),
            ready: ready.map(Into::into),
        }),
    )
}

pub(super) fn end(command: &str, outcome: Outcome, exit_code: u8, seconds: f64) -> Finished {
    Finished {
        command: command.into(),
        outcome,
        exit_code,
        stage: None,
        images: BTreeMap::from([("web".to_owned(), IMAGE.to_owned())]),
        revision: None,
        rolled_back_to: None,
        sent_back_to: None,
        changed: None,
        still_runs: None,
        untouched: Vec::new(),
        back_to: None,
        url: None,
        causes: Vec::new(),
        message: None,
        snippet: None,
        hint: None,
        next: Vec::new(),
        seconds,
    }
}

fn finished(finished: Finished) -> Act {
    Act::Event(finished.seconds, Event::Finished(finished))
}

fn evidence(title: &str, lines: &[&str]) -> Evidence {
    Evidence { title: title.into(), lines: lines.iter().map(|line| (*line).to_owned()).collect() }
}

/// A pipeline with nothing to build, tests that pass, and a release.
pub(super) fn good() -> Vec<Act> {
    use Outcome::{Ok, Skipped};
    use Stage::{Build, Release, Test};
    use Verdict::{Progressing, Ready};
    vec![
        stage(0.0, Build, "1 image of commit 1f3c9a0b (main)"),
        step(0.0, Build, "build web", "looking for the image"),
        step_end(0.2, Build, "build web", Skipped, &format!("already built: {IMAGE}"), 0.2),
        stage_end(0.3, Build, Skipped, "nothing to build", 0.3),
        stage(0.3, Test, "1 test"),
        Act::Event(
            0.3,
            Event::Warning(Warning {
                message: "the registry has no referrers API: records are kept as tags".into(),
                ..Warning::default()
            }),
        ),
        step(0.4, Test, "test unit", "starting service db"),
        progress(1.0, Test, "test unit", "waiting for service db"),
        Act::Tick(3.0),
        log(4.0, Test, "unit/db", "database system is ready to accept connections"),
        log(5.0, Test, "unit", "test_orders_are_counted ... ok"),
        log(6.0, Test, "unit", "Ran 6 tests in 1.04s"),
        Act::Tick(6.0),
        step_end(6.4, Test, "test unit", Ok, "6 tests passed", 6.0),
        stage_end(6.5, Test, Ok, "1 test passed", 6.2),
        stage(6.5, Release, "staging: revision 7 of commit 1f3c9a0b (context lab, namespace shop-staging)"),
        step(6.5, Release, "apply settings", "applying 3 objects"),
        object(6.6, "ConfigMap", "shop", Ready, None),
        object(6.6, "Service", "web", Ready, None),
        step_end(6.7, Release, "apply settings", Ok, "1 changed, 2 unchanged", 0.2),
        step(6.7, Release, "run Job/migrate", "waiting for Job/migrate"),
        object(6.8, "Job", "migrate", Progressing, None),
        log(8.0, Release, "Job/migrate", "table orders created"),
        Act::Tick(8.5),
        object(9.0, "Job", "migrate", Ready, None),
        step_end(9.0, Release, "run Job/migrate", Ok, "1 Job completed", 2.3),
        step(9.0, Release, "roll out workloads", "waiting for 1 object"),
        object(9.1, "Deployment", "web", Progressing, Some("0/3")),
        because(10.0, "Deployment", "web", Progressing, Some("1/3"), None, Some("2 starting")),
        Act::Tick(12.0),
        Act::Tick(26.0),
        object(27.1, "Deployment", "web", Ready, Some("3/3")),
        step_end(27.1, Release, "roll out workloads", Ok, "1 object ready", 18.1),
        stage_end(27.2, Release, Ok, "revision 7: 4 objects ready", 20.7),
        finished(Finished { revision: Some(7), ..end("pipeline", Ok, 0, 27.2) }),
    ]
}

/// A release whose image starts and dies, with a second object that waits.
pub(super) fn failing_release() -> Vec<Act> {
    use Outcome::{Failed, Ok};
    use Stage::Release;
    use Verdict::{Progressing, Ready};
    let sentence = "container web exited with code 1 three times in 18 s";
    let web = Failure {
        subject: Subject::Object("Deployment/web".into()),
        cause: "exit-code".into(),
        message: sentence.into(),
        hint: Some("read the traceback; the same image answers locally with `windlass test`".into()),
        evidence: vec![
            evidence(
                "Pod/web-7d9f8c-x2x4j, container web, previous instance, last 4 lines",
                &[
                    "Traceback (most recent call last):",
                    "  File \"/app/shop.py\", line 12, in <module>",
                    "    port = int(os.environ[\"PORT\"])",
                    "KeyError: 'PORT'",
                ],
            ),
            evidence("events", &["3× Warning BackOff: restarting failed container web"]),
            evidence(".kube/web.yaml:21", &["21 │       - name: web", "22 │         image: web"]),
        ],
    };
    let ingress = Failure {
        subject: Subject::Object("PersistentVolumeClaim/media".into()),
        cause: "volume-unbound".into(),
        message: "no volume of class `fast` can be made: the class does not exist".into(),
        hint: None,
        evidence: Vec::new(),
    };
    vec![
        stage(0.0, Release, "staging: revision 8 of commit 5e0a77d1 (context lab, namespace shop-staging)"),
        step(0.1, Release, "apply workloads", "applying 2 objects"),
        object(0.2, "ConfigMap", "shop", Ready, None),
        object(0.2, "PersistentVolumeClaim", "media", Progressing, None),
        step_end(0.3, Release, "apply workloads", Ok, "2 changed", 0.2),
        step(0.3, Release, "roll out workloads", "waiting for 2 objects"),
        object(0.4, "Deployment", "web", Progressing, Some("0/3")),
        because(
            2.0,
            "Deployment",
            "web",
            Progressing,
            Some("0/3"),
            Some(Cause::ExitCode),
            Some("container web exited with code 1"),
        ),
        Act::Tick(3.0),
        Act::Tick(18.5),
        because(
            18.6,
            "Deployment",
            "web",
            Verdict::Failed,
            Some("0/3"),
            Some(Cause::ExitCode),
            Some(sentence),
        ),
        step_end(18.7, Release, "roll out workloads", Failed, "2 of 2 objects did not become ready", 18.4),
        stage_end(18.8, Release, Failed, "2 of 3 objects did not become ready", 18.8),
        finished(Finished {
            stage: Some(Release),
            revision: Some(8),
            message: Some("2 of 3 objects of revision 8 did not become ready".into()),
            causes: vec![web, ingress],
            next: vec![
                "windlass rollback staging --project shop --context lab --namespace shop-staging".into(),
                "windlass explain staging".into(),
            ],
            ..end("release", Failed, 31, 19.0)
        }),
    ]
}

/// Two tests at the same time, one of which fails; a build before them whose log is worth seeing.
pub(super) fn failing_tests() -> Vec<Act> {
    use Outcome::{Failed, Ok};
    use Stage::{Build, Test};
    let failure = Failure {
        subject: Subject::Test("unit".into()),
        cause: "tests-failed".into(),
        message: "1 of 6 tests failed".into(),
        hint: None,
        evidence: vec![evidence(
            "shop.CartTest.test_total",
            &["AssertionError: Decimal('9.99') != Decimal('10.00')", "tests/test_cart.py:31"],
        )],
    };
    let lint = Failure {
        subject: Subject::Test("lint".into()),
        cause: "tests-failed".into(),
        message: "the command ended with exit code 2".into(),
        hint: None,
        evidence: Vec::new(),
    };
    vec![
        stage(0.0, Build, "1 image of commit 5e0a77d1 (cart)"),
        step(0.0, Build, "build web", "sending 42 files, 118 kB"),
        log(0.5, Build, "web", "[1/3] FROM registry.test/python:3.11"),
        log(
            1.5,
            Build,
            "web",
            "[2/3] RUN python -m compileall\r[2/3] \u{1b}[32mRUN\u{1b}[0m python -m compileall 0.9s",
        ),
        Act::Tick(1.6),
        step_end(12.4, Build, "build web", Ok, "3 steps, 1 from cache", 12.4),
        step(12.4, Build, "push web", "pushing 2 layers"),
        progress(12.6, Build, "push web", "layer 1/2, 12.5 MB"),
        Act::Tick(12.8),
        step_end(13.6, Build, "push web", Ok, IMAGE, 1.2),
        stage_end(13.6, Build, Ok, "1 image built and pushed", 13.6),
        stage(13.6, Test, "2 tests"),
        step(13.6, Test, "test unit", "starting service db"),
        step(13.6, Test, "test lint", "starting"),
        log(14.0, Test, "lint", "shop.py:12:1: unused import"),
        log(14.1, Test, "unit", "test_total ... FAIL"),
        log(14.2, Test, "lint", "1 problem"),
        Act::Tick(15.0),
        step_end(16.0, Test, "test lint", Failed, "exit code 2", 2.4),
        log(16.1, Test, "unit", "Ran 6 tests in 1.04s, 1 failure"),
        step_end(17.0, Test, "test unit", Failed, "1 of 6 tests failed", 3.4),
        stage_end(17.0, Test, Failed, "2 of 2 tests failed", 3.4),
        finished(Finished {
            stage: Some(Test),
            message: Some("2 of 2 tests failed".into()),
            causes: vec![failure, lint],
            next: vec!["windlass test unit lint".into()],
            ..end("pipeline", Failed, 20, 17.0)
        }),
    ]
}

/// A release that fails and is rolled back by itself: the same object is heard of twice.
pub(super) fn rolled_back() -> Vec<Act> {
    use Outcome::{Failed, Ok};
    use Stage::{Release, Rollback};
    let mut back = object(5.0, "Deployment", "web", Verdict::Ready, Some("3/3"));
    if let Act::Event(_, Event::Object(state)) = &mut back {
        state.stage = Rollback;
    }
    let cause = Failure {
        subject: Subject::Object("Deployment/web".into()),
        cause: "image-not-found".into(),
        message: "the registry has no image web:2".into(),
        hint: None,
        evidence: Vec::new(),
    };
    let refused = Failure { subject: Subject::Object("Ingress/shop".into()), ..cause.clone() };
    vec![
        stage(0.0, Release, "production: revision 8"),
        object(0.2, "Deployment", "web", Verdict::Failed, Some("0/3")),
        stage_end(1.0, Release, Failed, "1 of 1 object did not become ready", 1.0),
        stage(1.0, Rollback, "production: back to revision 7"),
        back,
        stage_end(6.0, Rollback, Ok, "revision 9: back to 7", 5.0),
        finished(Finished {
            stage: Some(Release),
            revision: Some(9),
            rolled_back_to: Some(7),
            causes: vec![cause, refused],
            ..end("release", Failed, 35, 6.1)
        }),
    ]
}

/// A release that says nothing for a while, and then waits for more than there is room for.
pub(super) fn long_wait() -> Vec<Act> {
    use Stage::Release;
    use Verdict::Progressing;
    let mut run = vec![
        Act::Tick(0.0),
        Act::Tick(15.0),
        stage(20.0, Release, "staging: revision 9"),
        Act::Tick(21.5),
        Act::Tick(36.0),
        step(40.0, Release, "roll out workloads", "waiting for 7 objects"),
    ];
    for name in ["api", "cart", "mail", "search", "stock", "web"] {
        run.push(object(40.1, "Deployment", name, Progressing, Some("0/2")));
    }
    let (cause, sentence) = (Cause::ImagePullFailed, "the registry answers 503\r\nfor web:2\u{1b}[2J");
    run.extend([
        because(42.0, "Deployment", "web", Progressing, Some("0/2"), Some(cause), Some(sentence)),
        because(43.0, "Deployment", "api", Progressing, Some("1/2"), None, Some("1 starting: pulling image")),
        Act::Tick(44.0),
        Act::Tick(58.0),
        // The same again is no news.
        because(59.0, "Deployment", "api", Progressing, Some("1/2"), None, Some("1 starting: pulling image")),
        Act::Tick(72.0),
        Act::Tick(73.0),
        // Nothing changes for minutes.
        Act::Tick(88.0),
        Act::Tick(103.0),
        Act::Tick(148.0),
        Act::Tick(163.0),
        Act::Tick(223.0),
    ]);
    run
}

/// A release that a signal ends.
pub(super) fn interrupted() -> Vec<Act> {
    use Outcome::Interrupted;
    use Stage::Release;
    vec![
        stage(0.0, Release, "production: revision 3 of commit 1f3c9a0b (context prod, namespace shop)"),
        step(0.1, Release, "roll out workloads", "waiting for 2 objects"),
        object(0.2, "Deployment", "web", Verdict::Progressing, Some("1/3")),
        object(0.2, "Deployment", "worker", Verdict::Progressing, Some("0/1")),
        log(0.3, Release, "roll out workloads", "a line of the step itself"),
        Act::Tick(16.0),
        Act::Tick(75.0),
        step_end(80.0, Release, "roll out workloads", Interrupted, "2 objects were not ready yet", 79.9),
        stage_end(80.0, Release, Interrupted, "stopped by SIGTERM", 80.0),
        finished(Finished {
            stage: Some(Release),
            revision: Some(3),
            message: Some(
                "stopped by SIGTERM while Deployment/web and Deployment/worker were on their way".into(),
            ),
            next: vec!["windlass status production".into(), "windlass rollback production".into()],
            ..end("release", Interrupted, 143, 80.1)
        }),
    ]
}

/// A key that does not exist.
pub(super) fn invalid() -> Vec<Act> {
    vec![finished(Finished {
        message: Some("windlass.yaml:3:1: unknown key `imges`".into()),
        snippet: Some("3 │ imges:\n  │ ^^^^^".into()),
        hint: Some("did you mean `images`?".into()),
        images: BTreeMap::new(),
        ..end("validate", Outcome::Failed, 3, 0.012)
    })]
}
