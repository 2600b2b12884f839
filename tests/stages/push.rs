//! Pushes to a registry that stumbles, refuses, or loses what it took.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::bench::{Project, lab};

/// The answer to a request; `None` leaves it to the lab's registry.
type Decide = fn(&Asked<'_>) -> Option<Other>;

/// A request to the registry.
pub(crate) struct Asked<'a> {
    /// `PUT manifests`, `POST blobs`.
    pub(crate) kind: &'a str,
    /// `/v2/…/manifests/main`
    pub(crate) path: &'a str,
    /// How many of this kind were asked before.
    pub(crate) before: usize,
}

/// Status line and headers, and the code of a registry's error.
pub(crate) type Other = (&'static str, &'static str);

const TOO_MANY: Other = ("429 Too Many Requests\r\nRetry-After: 1", "TOOMANYREQUESTS");
const DOWN: Other = ("503 Service Unavailable", "UNAVAILABLE");
const DENIED: Other = ("403 Forbidden", "DENIED");
const LOST: Other = ("404 Not Found", "MANIFEST_UNKNOWN");

/// The lab's registry, as somebody sees it to whom it answers otherwise now and then.
pub(crate) struct Faulty {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    pub(crate) fn start(decide: Decide) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || {
                    let _ = answer(client, decide, &heard);
                });
            }
        });
        Self { address, asked }
    }

    /// How often something like this was asked.
    fn times(&self, words: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }
}

/// One request for each connection.
fn answer(mut client: TcpStream, decide: Decide, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut request = format!("{line}Connection: close\r\n");
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if !header.to_ascii_lowercase().starts_with("connection:") {
            request += &header;
        }
        if header.trim().is_empty() {
            break;
        }
    }
    // What a command asks for twice by other names is asked for once more.
    let kind = kind(&line);
    let before = {
        let mut heard = heard.lock().unwrap();
        heard.push(kind.clone());
        heard.iter().filter(|one| **one == kind).count() - 1
    };
    let path = line.split(' ').nth(1).unwrap_or_default();
    if let Some((status, code)) = decide(&Asked { kind: &kind, path, before }) {
        let body =
            format!("{{\"errors\": [{{\"code\": \"{code}\", \"message\": \"as the test wants it\"}}]}}");
        let length = body.len();
        let body = if line.starts_with("HEAD") { "" } else { &body };
        let headers =
            format!("Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close");
        return client.write_all(format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}").as_bytes());
    }
    let mut server = TcpStream::connect(lab("LAB_REGISTRY"))?;
    server.write_all(request.as_bytes())?;
    let mut there = server.try_clone()?;
    std::thread::spawn(move || std::io::copy(&mut reader, &mut there));
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

/// `PUT manifests`, `POST blobs`.
fn kind(line: &str) -> String {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let what = if path.contains("/manifests/") { "manifests" } else { "blobs" };
    format!("{method} {what}")
}

/// A project that pushes there.
fn project(test: &str, registry: &Faulty) -> Project {
    let mut project =
        Project::small(test, &format!("ARG BASE\nFROM ${{BASE}}/busybox\nRUN echo {test} > /made\n"), "");
    project.set("REGISTRY", format!("{}/{}", registry.address, project.name));
    project
}

#[test]
fn what_passes_is_pushed_again() {
    let busy = Faulty::start(|asked| (asked.kind == "PUT manifests" && asked.before < 2).then_some(TOO_MANY));
    project("push-busy", &busy).windlass(&["build"]).exits(0);
    let down = Faulty::start(|asked| (asked.kind == "PUT manifests" && asked.before == 0).then_some(DOWN));
    project("push-down", &down).windlass(&["build"]).exits(0);
}

#[test]
fn what_is_denied_is_not() {
    let registry =
        Faulty::start(|asked| ["POST blobs", "PUT manifests"].contains(&asked.kind).then_some(DENIED));
    let run = project("push-denied", &registry).windlass(&["build"]).exits(6);
    run.says("could not be pushed").says("docker login");
    assert!(registry.times("POST blobs") <= 3, "one for each layer: {}", registry.times("POST blobs"));
}

/// So do Quay and Docker Hub: they do not say which repositories there are.
#[test]
fn a_registry_that_hides_what_is_not_there_lets_the_push_decide() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static THERE: AtomicBool = AtomicBool::new(false);
    let registry = Faulty::start(|asked| match asked.kind {
        "PUT manifests" => {
            THERE.store(true, Ordering::SeqCst);
            None
        }
        "HEAD manifests" | "GET manifests" if !THERE.load(Ordering::SeqCst) => Some(DENIED),
        _ => None,
    });
    let project = project("push-hidden", &registry);
    project.windlass(&["build"]).exits(0);
    let again = project.windlass(&["build", "-o", "json"]).exits(0);
    assert_eq!(again.stages(), ["build skipped"]);
}

#[test]
fn what_the_registry_has_lost_is_no_success() {
    let registry = Faulty::start(|asked| (asked.kind == "HEAD manifests").then_some(LOST));
    let run = project("push-lost", &registry).windlass(&["build"]).exits(11);
    run.says("succeeded, but the registry does not have it");
}
