//! A server whose answers have no end, for tests.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// A server that answers with these headers, and then with more and more; how much it got rid of.
pub(crate) fn fountain(headers: &'static str) -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let pouring = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
        stream.write_all(format!("HTTP/1.1 {headers}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let (piece, mut poured) = (vec![b' '; 64 << 10], 0);
        while stream.write_all(&piece).is_ok() {
            poured += piece.len();
        }
        poured
    });
    (host, pouring)
}
