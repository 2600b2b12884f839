//! An Engine behind ssh, the way the docker command reaches it: the user's own `ssh` runs `docker system dial-stdio` there,
//! once for each connection. Here it is a socket that only this user may open.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

/// Where the Engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// `user@host`, as ssh takes it.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Its socket there; by default what the docker command takes.
    pub(super) socket: Option<String>,
}

impl Destination {
    /// `user@host:port/socket` without `ssh://`; `None` for what is no such address.
    pub(super) fn parse(address: &str) -> Option<Self> {
        let (host, socket) = match address.split_once('/') {
            Some((host, path)) => (host, Some(format!("/{path}")).filter(|path| path != "/")),
            None => (address, None),
        };
        let (host, port) = match host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (host, None),
        };
        // ssh would take it for an option.
        let is_safe = !host.is_empty() && !host.starts_with('-');
        is_safe.then(|| Self { host: host.trim_matches(['[', ']']).to_owned(), port, socket })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        // Nobody is there to answer a question.
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.host, "docker"]);
        if let Some(socket) = &self.socket {
            command.args(["--host", &format!("unix://{socket}")]);
        }
        command.args(["system", "dial-stdio"]);
        command
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ssh://{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

/// The socket that leads there; gone when it is dropped.
pub(super) struct Tunnel {
    directory: PathBuf,
    complaint: Arc<Mutex<String>>,
    _serving: AbortOnDropHandle<()>,
}

impl Tunnel {
    /// Opens the socket. Nothing is connected to yet.
    ///
    /// # Errors
    /// Where no directory can be made for it.
    pub(super) fn open(destination: Destination) -> std::io::Result<Self> {
        let id = format!("windlass-{}-{:x}", std::process::id(), jiff::Timestamp::now().as_microsecond());
        let directory = std::env::temp_dir().join(id);
        private(&directory)?;
        let listener = UnixListener::bind(directory.join("docker.sock"))?;
        let complaint = Arc::new(Mutex::new(String::new()));
        let heard = complaint.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, destination.command(), heard.clone()));
            }
        });
        Ok(Self { directory, complaint, _serving: AbortOnDropHandle::new(serving) })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("docker.sock")
    }

    /// What ssh, or docker at its other end, said last.
    pub(super) fn complaint(&self) -> Option<String> {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(complaint).filter(|complaint| !complaint.is_empty())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// One connection, until either side ends it.
async fn carry(mut stream: UnixStream, mut command: Command, heard: Arc<Mutex<String>>) {
    let note = |text: String| *heard.lock().unwrap_or_else(PoisonError::into_inner) = text;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut ssh = match command.spawn() {
        Ok(ssh) => ssh,
        Err(error) => return note(format!("ssh cannot be run: {error}")),
    };
    let (Some(stdin), Some(stdout), Some(stderr)) = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take())
    else {
        return;
    };
    let mut far = tokio::io::join(stdout, stdin);
    let mut said = BufReader::new(stderr).lines();
    let hearing = async {
        while let Ok(Some(line)) = said.next_line().await {
            note(line);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut far) => {}
        () = hearing => {}
    }
}

#[cfg(unix)]
fn private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_the_docker_command_reads_it() {
        let read = |address| Destination::parse(address).map(|one| (one.to_string(), one.port));
        assert_eq!(read("me@build.test"), Some(("ssh://me@build.test".to_owned(), None)));
        assert_eq!(
            read("build.test:2222/run/d.sock"),
            Some(("ssh://build.test:2222/run/d.sock".to_owned(), Some(2222)))
        );
        assert_eq!(read("build.test/"), Some(("ssh://build.test".to_owned(), None)));
        assert_eq!(read("-oProxyCommand=x"), None);
        assert_eq!(read("build.test:many"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_command_is_the_docker_command_s() {
        let command = Destination::parse("me@b.test:22/run/d.sock").unwrap().command();
        let words: Vec<&str> = command.as_std().get_args().filter_map(|word| word.to_str()).collect();
        let end =
            ["-p", "22", "--", "me@b.test", "docker", "--host", "unix:///run/d.sock", "system", "dial-stdio"];
        assert_eq!(words[words.len() - end.len()..], end);
    }
}
