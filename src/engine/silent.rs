//! Engines that take a request and say nothing, or stop in the middle of a word.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::report::Reporter;

/// What it answers to a request line; nothing for ever where that is `None`.
type Answers = fn(&str) -> Option<&'static str>;

const PING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

/// An Engine that leaves its connections open, whatever it answers; the request lines that it takes.
pub(crate) async fn engine(
    deadlines: Deadlines,
    answers: Answers,
) -> (Engine, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = Engine::at(&listener.local_addr().unwrap().to_string(), deadlines);
    let (asked, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let (mut first, mut header) = (String::new(), String::new());
                    stream.read_line(&mut first).await.unwrap_or_default();
                    while stream.read_line(&mut header).await.is_ok_and(|read| read > 2) {
                        header.clear();
                    }
                    let answer = answers(&first);
                    let _ = asked.send(first);
                    let Some(answer) = answer else { return std::future::pending::<()>().await };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (engine, heard)
}

/// Deadlines that a test can wait for.
pub(crate) fn short() -> Deadlines {
    let moment = Duration::from_millis(200);
    Deadlines {
        request: moment,
        session: moment,
        quiet: moment,
        answer: moment,
        stalled: 10 * moment,
        download: 10 * moment,
        stop: moment,
    }
}

/// What must come to an end by itself does so in a moment.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("it comes to an end")
}

#[tokio::test]
async fn a_session_that_is_not_taken_is_not_waited_for() {
    let (engine, _heard) = engine(short(), |_| None).await;
    let error = soon(engine.hijack("/session", &[])).await.expect_err("nobody takes it");
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.message().contains("accepted no session: no answer within"), "{error}");
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_none() {
    let half = |line: &str| {
        let half = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
        line.starts_with("GET").then_some(half)
    };
    let (engine, _heard) = engine(short(), half).await;
    let answer = soon(engine.at_once(engine.docker().inspect_container("c", None))).await;
    let error = engine.error(Kind::TestNotRun, "running a test", &answer.expect_err("half an answer"));
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.message().contains("does not respond while running a test"), "{error}");
    assert!(!soon(engine.remove_container("c")).await);
}

#[tokio::test]
async fn a_long_operation_of_an_engine_that_is_gone_ends() {
    let (gone, mut heard) = engine(short(), |_| None).await;
    let error = soon(gone.listen("pulling an image", std::future::pending::<()>())).await.unwrap_err();
    assert!(error.message().contains("does not respond while pulling an image"), "{error}");
    assert!(heard.recv().await.is_some_and(|line| line.contains("_ping")));
    // One that is there is waited for, but not for ever.
    let (there, _heard) = engine(short(), |line| line.contains("_ping").then_some(PING)).await;
    let error = soon(there.listen("pushing an image", std::future::pending::<()>())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.message().contains("sent nothing for 2 s while pushing an image"), "{error}");
    assert_eq!(soon(there.listen("pushing", async { 7 })).await.unwrap(), 7);
}

#[tokio::test]
async fn deleting_what_was_left_gives_way_to_a_signal() {
    let patient = Deadlines { request: Duration::from_secs(60), ..short() };
    let (engine, mut heard) = engine(patient, |_| None).await;
    let session = Session::new(Reporter::silent());
    let cancel = session.cancel.clone();
    let reaping = tokio::spawn(async move { engine.reap(&session).await });
    heard.recv().await.expect("a question");
    cancel.cancel();
    assert_eq!(soon(reaping).await.unwrap().unwrap_err().kind(), Kind::Interrupted);
}

#[tokio::test]
async fn the_clock_is_the_engine_s() {
    let told = |line: &str| {
        let info = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n\
                    {\"SystemTime\": \"2031-01-02T03:04:05.123456789+01:00\"  }";
        line.contains("/info").then_some(info)
    };
    let (there, mut heard) = engine(short(), told).await;
    for _ in 0..2 {
        let now = there.now().await.expect("it tells").to_string();
        assert!(now.starts_with("2031-01-02T02:04:0"), "{now}");
    }
    assert!(heard.recv().await.is_some() && heard.try_recv().is_err(), "it is asked once");
    let (silent, _heard) = engine(short(), |_| None).await;
    assert_eq!(soon(silent.now()).await, None);
}
