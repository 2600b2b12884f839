//! A proxy in front of an API server that sees every request and can act on it: `kubectl proxy` speaks TLS and
//! presents the certificate, this one counts, and whoever starts it decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::bench::{Run, run, text};

/// What is decided about a request, whose number counts from 1.
pub(crate) type Decide = dyn Fn(usize, &str) -> Verdict + Send + Sync;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out and answered.
    Pass,
    /// It is carried out; the answer is held back while the given function runs, then dropped.
    CarryOutOnly,
    /// It is neither carried out nor answered.
    Drop,
}

/// The way to the API server of a context, for all proxies of a test.
pub(crate) struct Upstream {
    child: Child,
    address: String,
}

impl Upstream {
    pub(crate) fn start(context: &str) -> Self {
        let mut child = Command::new("kubectl")
            .args(["--context", context, "proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Self { child, address }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One proxy; it ends with the test's process.
pub(crate) struct Proxy {
    kubeconfig: tempfile::NamedTempFile,
    requests: Arc<AtomicUsize>,
    connections: Connections,
}

/// Every connection that was made, also those that have ended.
type Connections = Arc<Mutex<Vec<TcpStream>>>;

impl Proxy {
    /// Starts to listen; `act` is called with the number of a request once its verdict is not [`Verdict::Pass`], after
    /// it was carried out, if it is.
    pub(crate) fn start(
        upstream: &Upstream,
        context: &str,
        decide: Arc<Decide>,
        act: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let kubeconfig = kubeconfig(context, &listener.local_addr().unwrap().to_string());
        let (address, count) = (upstream.address.clone(), Arc::clone(&requests));
        let connections = Connections::default();
        let made = Arc::clone(&connections);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                made.lock().unwrap().extend(connection.try_clone());
                let (address, count) = (address.clone(), Arc::clone(&count));
                let (decide, act) = (Arc::clone(&decide), Arc::clone(&act));
                std::thread::spawn(move || {
                    let _ = serve(connection, &address, &count, &*decide, &*act);
                });
            }
        });
        Self { kubeconfig, requests, connections }
    }

    /// The kubeconfig that leads here.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.path().to_path_buf()
    }

    /// Breaks all connections off.
    pub(crate) fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn kubeconfig(context: &str, address: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let config = |arguments: &[&str]| {
        text(Command::new("kubectl").arg("config").args(arguments).args(["--kubeconfig", &path]));
    };
    config(&["set-cluster", "proxy", &format!("--server=http://{address}")]);
    config(&["set-context", context, "--cluster=proxy"]);
    file
}

/// One request for each connection: what keeps a connection open is between the client and nobody.
fn serve(
    client: TcpStream,
    address: &str,
    count: &AtomicUsize,
    decide: &Decide,
    act: &(dyn Fn() + Send + Sync),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    let Some((line, request)) = read_request(&mut reader)? else { return Ok(()) };
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    let verdict = decide(number, &line);
    if verdict == Verdict::Drop {
        act();
        // The list of connections still has it, which would keep it open, and the client waiting.
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(address)?;
    server.write_all(&request)?;
    if verdict == Verdict::CarryOutOnly {
        // The first byte of the answer says that it was carried out.
        server.read_exact(&mut [0])?;
        act();
        return Ok(());
    }
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = server.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        client.write_all(&buffer[..read])?;
    }
}

/// The first line, and the whole request as it goes on, with the connection to be closed after it.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut request = format!("{first}Connection: close\r\n").into_bytes();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let lower = header.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if !lower.starts_with("connection:") {
            request.extend(header.as_bytes());
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.extend(body);
    Ok(Some((first.trim().to_owned(), request)))
}

/// The exit code of a [`Run`] that SIGKILL ended.
pub(crate) const KILLED: i32 = -9;

/// Whether the run came to its `n`-th request; if so, it must have died there.
pub(crate) fn was_killed(dead: &Run, requests: usize, n: usize) -> bool {
    if requests < n {
        assert_eq!(dead.code, 0, "not killed, {requests} requests of {n}: {dead}");
        return false;
    }
    assert_eq!(dead.code, KILLED, "it survived its request {n}: {dead}");
    true
}

impl Upstream {
    /// Runs a command through a proxy until its `n`-th request is carried out, then kills it; how many requests came.
    pub(crate) fn kill_at(&self, context: &str, n: usize, command: Command) -> (Run, usize) {
        self.kill_where(context, command, move |number, _| number == n)
    }

    /// Runs a command through a proxy until the first request that fits is carried out, then kills it; how many requests
    /// came.
    pub(crate) fn kill_where(
        &self,
        context: &str,
        mut command: Command,
        fits: impl Fn(usize, &str) -> bool + Send + Sync + 'static,
    ) -> (Run, usize) {
        let pid = Arc::new(Mutex::new(None));
        let victim = Arc::clone(&pid);
        let has_fitted = std::sync::atomic::AtomicBool::new(false);
        let decide = move |number, line: &str| {
            if has_fitted.load(Ordering::SeqCst) {
                return Verdict::Drop;
            }
            if !fits(number, line) {
                return Verdict::Pass;
            }
            has_fitted.store(true, Ordering::SeqCst);
            Verdict::CarryOutOnly
        };
        let kill = move || {
            // Once: its number may soon be another's. Never 0, which is the whole group that the tests run in. Whoever comes
            // second waits until it is dead: its connection is closed then, and not before.
            let mut victim = victim.lock().unwrap();
            if let Some(pid) = victim.take() {
                let _ = Command::new("kill")
                    .args(["-KILL", &u32::to_string(&pid)])
                    .stderr(Stdio::null())
                    .status();
            }
        };
        let proxy = Proxy::start(self, context, Arc::new(decide), Arc::new(kill));
        command.env("KUBECONFIG", proxy.kubeconfig()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut held = pid.lock().unwrap();
        let child = command.spawn().unwrap();
        *held = Some(child.id());
        drop(held);
        let output = child.wait_with_output().unwrap();
        (run(&output, std::time::Duration::ZERO), proxy.requests())
    }
}
