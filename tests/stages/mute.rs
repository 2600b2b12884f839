//! Engines that stop answering, and what is no Engine, no API server and no registry at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::bench::{Project, lab, run, text};
use crate::testing::signal;

/// The lab's Engine behind somebody who never answers a request of this kind; what it was asked of that kind.
fn engine(mute: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let (asked, heard) = channel();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let asked = asked.clone();
            std::thread::spawn(move || pass(client, mute, |line| drop(asked.send(line.to_owned()))));
        }
    });
    (address, heard)
}

/// One request for each connection, but for those that become something else.
fn pass(mut client: TcpStream, mute: &str, asked: impl Fn(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut headers, mut upgrades) = (String::new(), false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        upgrades |= header.to_ascii_lowercase().starts_with("upgrade:");
        if header.trim().is_empty() {
            break;
        }
        headers += &header;
    }
    if line.contains(mute) {
        asked(&line);
        // Until it is hung up on.
        reader.read_to_end(&mut Vec::new())?;
        return Ok(());
    }
    let close = if upgrades { "" } else { "Connection: close\r\n" };
    let mut engine = UnixStream::connect(lab("DOCKER_HOST").trim_start_matches("unix://"))?;
    engine.write_all(format!("{line}{close}{headers}\r\n").as_bytes())?;
    let mut there = engine.try_clone()?;
    std::thread::spawn(move || std::io::copy(&mut reader, &mut there));
    std::io::copy(&mut engine, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

/// Runs windlass until the Engine is asked what it does not respond: a signal ends that at once.
pub(crate) fn ends_by_a_signal(project: &Project, arguments: &[&str], words: &'static str) {
    let (address, asked) = engine(words);
    let mut command = project.command(&project.path(), arguments);
    command.env("DOCKER_HOST", address).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let heard = asked.recv_timeout(Duration::from_secs(60));
    signal(&child, "-TERM");
    let began = Instant::now();
    let run = run(&child.wait_with_output().unwrap(), Duration::ZERO);
    assert!(heard.is_ok(), "nobody asked for {words}: {run}");
    assert_eq!(run.code, 143, "mute at {words}: {run}");
    // What was being made is waited for, three seconds at most, to be taken away.
    assert!(began.elapsed() < Duration::from_secs(5), "mute at {words}: {:?} {run}", began.elapsed());
}

/// A web server that answers everything like this.
fn page(head: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let (mut line, body) = (String::new(), "<html>hotel</html>");
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {head}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes());
        }
    });
    address
}

const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n";
const OK: &str = "200 OK";
const LOGIN: &str = "302 Found\r\nLocation: http://127.0.0.1:9/login";

#[test]
fn a_web_page_is_no_engine() {
    let mut project = Project::small("page-engine", "FROM scratch\n", "");
    for head in [OK, LOGIN] {
        project.set("DOCKER_HOST", format!("tcp://{}", page(head)));
        let run = project.windlass(&["build"]).exits(5).says("is not a Docker Engine");
        assert!(run.took < Duration::from_secs(10), "{run}");
    }
}

#[test]
fn a_web_page_is_no_registry() {
    let mut project = Project::small("page-registry", "ARG BASE\nFROM ${BASE}/busybox\n", MANIFEST);
    project.set("REGISTRY", format!("{}/shop", page(OK)));
    project.windlass(&["build"]).exits(5).says("is not a registry: it sent a web page (text/html)");
    project.windlass(&["doctor"]).exits(5).says("is not a registry: it sent a web page (text/html)");
    project.set("REGISTRY", format!("{}/shop", page(LOGIN)));
    project.windlass(&["build"]).exits(5);
}

#[test]
fn a_web_page_is_no_api_server() {
    let mut project = Project::bare("page-api", "", MANIFEST);
    let config = project.path().with_extension("page");
    for head in [OK, LOGIN] {
        let _ = std::fs::remove_file(&config);
        let config = config.to_str().unwrap();
        let kubectl = |arguments: &[&str]| {
            text(Command::new("kubectl").arg("config").args(arguments).args(["--kubeconfig", config]));
        };
        kubectl(&["set-cluster", "page", &format!("--server=http://{}", page(head))]);
        kubectl(&["set-context", "lab-fake", "--cluster=page"]);
        project.set("KUBECONFIG", config);
        project.windlass(&["status", "staging"]).exits(5).says("is not an API server");
    }
    let _ = std::fs::remove_file(&config);
}
