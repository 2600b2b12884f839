//! A forwarder that counts what passes: requests (HTTP/1.1, which is what a registry, an Engine and `kubectl proxy` speak
//! here) and bytes of both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How the line ends that a request begins with. No header has it.
const REQUEST: &[u8] = b" HTTP/1.1\r\n";

/// Where the forwarder leads to.
#[derive(Clone)]
pub(crate) enum Upstream {
    Tcp(String),
    Unix(PathBuf),
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// What has passed: requests, and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

impl std::ops::Add for Passed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, bytes: self.bytes + other.bytes }
    }
}

/// A forwarder; it ends with the process.
pub(crate) struct Tap {
    pub(crate) address: String,
    counts: Arc<Counts>,
}

impl Tap {
    pub(crate) fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, counts) = (listener.local_addr().unwrap().to_string(), Arc::new(Counts::default()));
        let counted = counts.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, counts) = (upstream.clone(), counted.clone());
                thread::spawn(move || {
                    let _ = serve(&client, &upstream, &counts);
                });
            }
        });
        Self { address, counts }
    }

    /// What has passed since the last call.
    pub(crate) fn take(&self) -> Passed {
        Passed {
            requests: self.counts.requests.swap(0, Ordering::SeqCst),
            bytes: self.counts.bytes.swap(0, Ordering::SeqCst),
        }
    }
}

fn serve(client: &TcpStream, upstream: &Upstream, counts: &Counts) -> std::io::Result<()> {
    match upstream {
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address)?;
            server.set_nodelay(true)?;
            both(client, &server, |server| server.shutdown(Shutdown::Both), counts)
        }
        Upstream::Unix(path) => {
            let server = UnixStream::connect(path)?;
            both(client, &server, |server| server.shutdown(Shutdown::Both), counts)
        }
    }
}

fn both<'a, S>(
    client: &'a TcpStream,
    server: &'a S,
    shut: impl Fn(&S) -> std::io::Result<()> + Sync,
    counts: &Counts,
) -> std::io::Result<()>
where
    &'a S: Read + Write + Send,
    S: Sync,
{
    client.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            pass(client, server, counts, true);
            let _ = shut(server);
        });
        pass(server, client, counts, false);
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn pass(mut from: impl Read, mut to: impl Write, counts: &Counts, are_requests: bool) {
    let (mut buffer, mut end) = (vec![0; 64 << 10], Vec::new());
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
        counts.bytes.fetch_add(length as u64, Ordering::SeqCst);
        if are_requests {
            // A line may be cut in two.
            end.extend_from_slice(&buffer[..length]);
            let found = end.windows(REQUEST.len()).filter(|window| *window == REQUEST).count();
            counts.requests.fetch_add(found as u64, Ordering::SeqCst);
            let kept = end.len().saturating_sub(REQUEST.len() - 1);
            end.drain(..kept);
        }
    }
}

/// `kubectl proxy`, which presents the certificate, behind a forwarder; and a kubeconfig that leads there.
pub(crate) struct TappedCluster {
    child: Child,
    pub(crate) tap: Tap,
    kubeconfig: tempfile::NamedTempFile,
}

impl TappedCluster {
    pub(crate) fn start(context: &str) -> Self {
        let mut child = Command::new("kubectl")
            .args(["--context", context, "proxy", "--port=0", "--reject-paths=^$"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
            .unwrap();
        let tap = Tap::start(Upstream::Tcp(line.trim().rsplit(' ').next().unwrap().to_owned()));
        let config = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: tap, cluster: {{server: \"http://{}\"}}}}]\n\
             contexts: [{{name: {context}, context: {{cluster: tap}}}}]\ncurrent-context: {context}\n",
            tap.address
        );
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), config).unwrap();
        Self { child, tap, kubeconfig }
    }

    pub(crate) fn kubeconfig(&self) -> String {
        self.kubeconfig.path().display().to_string()
    }
}

impl Drop for TappedCluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
