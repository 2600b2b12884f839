//! An API server that knows who asks, its version and the objects it was given: for what ends before a cluster is needed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The server; it serves until the tests end.
pub(crate) struct FakeApi {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl FakeApi {
    /// Serves these objects by their paths.
    pub(crate) fn start(objects: &[(&str, Value)]) -> Self {
        let objects: BTreeMap<String, Value> =
            objects.iter().map(|(path, object)| ((*path).to_owned(), object.clone())).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (objects, noted) = (Arc::new(objects), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (objects, noted) = (objects.clone(), noted.clone());
                std::thread::spawn(move || serve(&stream, &objects, &noted));
            }
        });
        Self { port, seen }
    }

    /// `127.0.0.1:34567`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The `Authorization` of the requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, objects: &BTreeMap<String, Value>, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
            lines.push(std::mem::take(&mut line));
        }
        let Some(request) = lines.first() else { return };
        let path = request.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
        let header = |name: &str| {
            let mut headers = lines.iter().filter_map(|line| line.split_once(':'));
            headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        reader.read_exact(&mut vec![0; length]).unwrap();
        seen.lock().unwrap().push(header("authorization").unwrap_or_default());
        let (code, answer) = match path {
            "/version" => (200, json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})),
            "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
                (201, json!({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": "ann"}}}))
            }
            path => objects.get(path).map_or_else(
                || (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404})),
                |object| (200, object.clone()),
            ),
        };
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {code} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if (&*stream).write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}
