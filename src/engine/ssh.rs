//! An Engine behind ssh, the way the docker command reaches it: the user's own `ssh` runs `docker system dial-stdio` there,
//! once for each connection. Here it is a socket that only this user may open.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use crate::program::{Conversation, Program};

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
        let host = host.trim_matches(['[', ']']);
        let is_safe = is_host(host) && socket.as_deref().is_none_or(is_path);
        is_safe.then(|| Self { host: host.to_owned(), port, socket })
    }

    fn arguments(&self) -> Vec<String> {
        // Nobody is there to answer a question.
        let mut arguments =
            ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"].map(str::to_owned).to_vec();
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        arguments.extend(["--", &self.host, "docker"].map(str::to_owned));
        if let Some(socket) = &self.socket {
            arguments.extend(["--host".to_owned(), format!("unix://{socket}")]);
        }
        arguments.extend(["system", "dial-stdio"].map(str::to_owned));
        arguments
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

/// Whether ssh takes this for a user and a host, and neither for an option nor, where its configuration hands them to a
/// shell, for a command.
fn is_host(text: &str) -> bool {
    let forbidden = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "'`\"$\\;&<>|(){}*?!#~".contains(letter)
    };
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    !text.contains(forbidden) && [text, host].iter().all(|part| !part.is_empty() && !part.starts_with('-'))
}

/// Whether a shell at the other end takes this for one path.
fn is_path(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte))
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
                tokio::spawn(carry(stream, destination.arguments(), heard.clone()));
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
async fn carry(mut stream: UnixStream, arguments: Vec<String>, heard: Arc<Mutex<String>>) {
    let note = |text: String| *heard.lock().unwrap_or_else(PoisonError::into_inner) = text;
    let ssh = match Program::new("ssh").arguments(arguments).converse() {
        Ok(ssh) => ssh,
        Err(fault) => return note(fault.sentence("ssh")),
    };
    let Conversation { input, output, errors, running: _running } = ssh;
    let mut far = tokio::io::join(output, input);
    let mut said = BufReader::new(errors).lines();
    let listening = async {
        while let Ok(Some(line)) = said.next_line().await {
            note(line);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut far) => {}
        () = listening => {}
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
        assert_eq!(read("me@-oProxyCommand=x"), None);
        assert_eq!(read("me@b.test$(touch x)"), None);
        assert_eq!(read("me@b.test/run/d.sock;reboot"), None);
        assert_eq!(read("[fe80::1%eth0]:22"), Some(("ssh://fe80::1%eth0:22".to_owned(), Some(22))));
        assert_eq!(read("build.test:many"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_command_is_the_docker_command_s() {
        let words = Destination::parse("me@b.test:22/run/d.sock").unwrap().arguments();
        let end =
            ["-p", "22", "--", "me@b.test", "docker", "--host", "unix:///run/d.sock", "system", "dial-stdio"];
        assert_eq!(words[words.len() - end.len()..], end);
    }
}
