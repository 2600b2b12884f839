//! The log of a container: its last lines, or all of them while it runs.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::Cluster;
use super::address::{collection, escape, query};
use super::transport::{Call, backoff};
use crate::cluster::transport::lines::Lines;
use crate::cluster::transport::request_error::{RequestError, RequestInfo};
use crate::error::Result;

/// A longer line is cut.
const LONGEST_LINE: usize = 16 << 10;
/// The last lines of a container are never more than this.
const MOST_BYTES: &str = "1048576";
/// The same for a server that does not care; a line more may come with it.
const LONGEST_TAIL: usize = 2 << 20;
/// How long the last lines may take; they are evidence, not a result.
const PATIENCE: Duration = Duration::from_secs(5);
/// A container may be silent for long; a connection that broke unnoticed is asked about again after this.
const IDLE: Duration = Duration::from_secs(300);
/// How often a broken connection is made again without a line in between, where somebody waits for the end.
const ATTEMPTS: u32 = 8;

/// Which lines of a container are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Also those that come from now on, until the instance ends. A server that is away is waited for.
    pub follow: bool,
    /// Those of the instance before this one.
    pub previous: bool,
    /// Only so many of the last.
    pub tail: Option<u32>,
    /// Only those after this moment.
    pub since: Option<Timestamp>,
}

/// A line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When, by its node's clock.
    pub time: Option<Timestamp>,
    /// Without the line break.
    pub text: String,
}

/// Which container is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerRef {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
}

impl ContainerRef {
    fn call(&self, parameters: &[(&str, Option<&str>)]) -> Call {
        let pods = collection("v1", "pods", Some(&self.namespace));
        let container = [("container", Some(self.container.as_str()))];
        let all: Vec<_> = container.iter().chain(parameters).copied().collect();
        Call::get(format!("{pods}/{}/log{}", escape(&self.pod), query(&all)), self.wanted())
    }

    fn wanted(&self) -> RequestInfo {
        RequestInfo { verb: "get", resource: "pods/log".to_owned(), namespace: Some(self.namespace.clone()) }
    }
}

impl Cluster {
    /// The last lines of a container, of the instance before this one if `previous`; `None` if there is no
    /// such instance, or it wrote nothing.
    pub async fn last_lines(
        &self,
        container: &ContainerRef,
        count: u32,
        previous: bool,
    ) -> Result<Option<Vec<String>>> {
        let count = count.to_string();
        let parameters = [
            ("tailLines", Some(count.as_str())),
            ("limitBytes", Some(MOST_BYTES)),
            ("previous", previous.then_some("true")),
        ];
        let call = Call { patience: PATIENCE, most: LONGEST_TAIL, ..container.call(&parameters) };
        match self.transport.bytes(&call).await {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<String> = text.lines().map(|line| clean(line.as_bytes())).collect();
                // The kubelet answers 200 with this sentence where the instance is gone already.
                let gone = matches!(lines.as_slice(), [line] if line.starts_with("unable to retrieve container logs"));
                Ok(Some(lines).filter(|lines| !lines.is_empty() && !gone))
            }
            // No such instance, or it has not started.
            Err(fault) if matches!(fault.status().map(|status| status.code), Some(400 | 404)) => Ok(None),
            Err(fault) => Err(fault.into_error(&container.wanted())),
        }
    }

    /// All lines of a container's current instance, from its first, until it ends.
    pub fn follow_log(&self, container: ContainerRef) -> LogFollower {
        self.log(container, LogOptions { follow: true, ..LogOptions::default() })
    }

    /// The lines of a container.
    pub fn log(&self, container: ContainerRef, options: LogOptions) -> LogFollower {
        LogFollower {
            cluster: self.clone(),
            container,
            last: options.since,
            options,
            lines: None,
            resume: None,
            began: false,
            attempts: 0,
        }
    }
}

/// The lines of a container as they come. A connection that breaks is made again without losing a line.
pub struct LogFollower {
    cluster: Cluster,
    container: ContainerRef,
    options: LogOptions,
    lines: Option<Lines>,
    /// The time of the last line.
    last: Option<Timestamp>,
    /// Up to where the answer repeats what is known.
    resume: Option<Timestamp>,
    /// Whether the server has answered once.
    began: bool,
    attempts: u32,
}

impl LogFollower {
    /// The text of the next line; `None` when the container has ended, is gone, or has not begun.
    ///
    /// # Errors
    /// A right that is missing.
    pub async fn next(&mut self) -> Result<Option<String>> {
        Ok(self.next_line().await?.map(|line| line.text))
    }

    /// As [`LogFollower::next`], with its time.
    ///
    /// # Errors
    /// A right that is missing; where nothing is followed, a server that is away for long.
    pub async fn next_line(&mut self) -> Result<Option<LogLine>> {
        loop {
            match self.line().await {
                Ok(Some(line)) => {
                    self.attempts = 0;
                    if let Some(line) = self.fresh(&line) {
                        return Ok(Some(line));
                    }
                }
                Ok(None) => return Ok(None),
                // No such instance, or it has not started.
                Err(fault) if matches!(fault.status().map(|status| status.code), Some(400 | 404)) => {
                    return Ok(None);
                }
                Err(fault) => self.again(fault).await?,
            }
        }
    }

    /// The time of the last line.
    pub fn position(&self) -> Option<Timestamp> {
        self.last
    }

    async fn line(&mut self) -> Result<Option<Bytes>, RequestError> {
        let lines = if let Some(lines) = &mut self.lines {
            lines
        } else {
            // The server knows whole seconds only; what comes twice is left out.
            let since = self.last.map(|last| format!("{last:.0}"));
            let tail = self.options.tail.filter(|_| !self.began).map(|count| count.to_string());
            let parameters = [
                ("follow", self.options.follow.then_some("true")),
                ("previous", self.options.previous.then_some("true")),
                ("timestamps", Some("true")),
                ("sinceTime", since.as_deref()),
                ("tailLines", tail.as_deref()),
            ];
            let call = self.container.call(&parameters);
            let opened = Lines::open(&self.cluster.transport, &call, LONGEST_LINE, IDLE).await?;
            self.began = true;
            self.resume = self.last;
            self.lines.insert(opened)
        };
        lines.next().await
    }

    /// The line, if it was not seen before the connection broke.
    fn fresh(&mut self, line: &[u8]) -> Option<LogLine> {
        let line = String::from_utf8_lossy(line);
        let (stamp, text) = line.split_once(' ').unwrap_or((&line, ""));
        // The kubelet's own words have no time.
        let Ok(time) = stamp.parse::<Timestamp>() else {
            return Some(LogLine { time: None, text: clean(line.as_bytes()) });
        };
        if self.resume.is_some_and(|known| time <= known) {
            return None;
        }
        self.resume = None;
        self.last = Some(time);
        Some(LogLine { time: Some(time), text: clean(text.as_bytes()) })
    }

    async fn again(&mut self, fault: RequestError) -> Result<()> {
        self.lines = None;
        let wanted = self.container.wanted();
        let worth_it = match &fault {
            RequestError::Unreachable(_) | RequestError::Broken(_) => true,
            RequestError::Status(status) => status.code == 429 || status.code >= 500,
            RequestError::Credentials(_) | RequestError::TooLong(_) | RequestError::Interrupted => false,
        };
        if !worth_it || (self.attempts >= ATTEMPTS && !self.options.follow) {
            return Err(fault.into_error(&wanted));
        }
        let pause = backoff(self.attempts);
        self.attempts += 1;
        self.cluster.transport.pause(pause).await.map_err(|fault| fault.into_error(&wanted))
    }
}

/// A line as it may be shown: without what it would do to a terminal, and not longer than anybody reads.
fn clean(line: &[u8]) -> String {
    let line = &line[..line.len().min(LONGEST_LINE)];
    String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{FakeServer, InjectedFault};
    use crate::report::Reporter;
    use crate::session::Session;

    const LOG: &str = "2026-11-23T09:05:00Z one\n2026-11-23T09:05:00.1Z two\n2026-11-23T09:05:00.12Z three\n";

    async fn server() -> (FakeServer, Cluster) {
        let server = FakeServer::start().await;
        server.log("shop/web/app", LOG);
        let cluster = server.cluster(&Session::new(Reporter::silent())).await;
        (server, cluster)
    }

    fn app() -> ContainerRef {
        ContainerRef { namespace: "shop".into(), pod: "web".into(), container: "app".into() }
    }

    async fn read(mut log: LogFollower) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = log.next().await.expect("the log can be read") {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn a_server_in_trouble_is_asked_again() {
        let (server, cluster) = server().await;
        let mut faults = [InjectedFault::Code(503, 0), InjectedFault::Cut].into_iter();
        server.faults(move |_, _| faults.next());
        assert_eq!(read(cluster.follow_log(app())).await, ["one", "two", "three"]);
    }

    #[tokio::test]
    async fn what_was_shown_is_not_shown_again() {
        let (_, cluster) = server().await;
        let since = "2026-11-23T09:05:00.1Z".parse().ok();
        assert_eq!(read(cluster.log(app(), LogOptions { since, ..LogOptions::default() })).await, ["three"]);
    }

    #[tokio::test]
    async fn a_container_that_has_not_begun_wrote_nothing() {
        let (_, cluster) = server().await;
        let absent = ContainerRef { container: "init".into(), ..app() };
        assert!(read(cluster.follow_log(absent)).await.is_empty());
    }
}
