//! The containers of tests: started with nothing mounted and every line heard, and how they ended.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as Bollard;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthStatusEnum,
    HostConfig, NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    AttachContainerOptions, CommitContainerOptions, CreateContainerOptions, StopContainerOptions,
};
use futures::StreamExt;
use regex::Regex;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::fault::StartFailure;
use crate::engine::{Engine, fault};
use crate::error::{Error, Kind, Result};
use crate::model::Stream;
use crate::text::lines::{Lines, Tail};

/// So many of the last lines are kept as evidence.
const TAIL: usize = 20;
/// More than the last so many bytes of what a command writes that is asked for are not kept.
const SAID: usize = 4 << 20;
/// How long the last lines may take to arrive after the container has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Runc's and containerd's words around the one that matters.
static EXEC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:exec: |starting container process caused: )(.+?)(?:: unknown)?$")
        .expect("the pattern is a constant")
});

/// What is to be started.
pub(crate) struct ContainerSpec {
    /// Unique in the Engine.
    pub(crate) name: String,
    pub(crate) labels: HashMap<String, String>,
    /// As the Engine takes it.
    pub(crate) image: String,
    /// Instead of the image's own command.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) network: String,
    /// Its name for the others in the network.
    pub(crate) alias: String,
    /// In bytes.
    pub(crate) memory: Option<u64>,
    /// In thousandths of a processor.
    pub(crate) cpus: Option<u32>,
}

/// A container that was started.
pub(crate) struct Container {
    engine: Engine,
    pub(crate) id: String,
    tail: Arc<Mutex<Tail>>,
    log: Option<AbortOnDropHandle<()>>,
}

/// What a container's HEALTHCHECK says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContainerHealth {
    /// It passes, or there is none.
    Healthy,
    /// It has not passed yet; what it wrote last.
    Starting(String),
    /// It fails; what it wrote last.
    Unhealthy(String),
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i64,
    pub(crate) out_of_memory: bool,
}

impl Exit {
    pub(crate) fn passed(self) -> bool {
        self.code == 0
    }

    /// Did nobody ask for it? A service that ended well, or by SIGTERM, was asked.
    pub(crate) fn is_death(self) -> bool {
        !matches!(self.code, 0 | 143)
    }
}

impl fmt::Display for Exit {
    /// What stands after "it ended with": `exit code 2`, `exit code 137 (killed, SIGKILL)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.code)?;
        if self.out_of_memory && self.code != 0 {
            return f.write_str(" (out of memory)");
        }
        let signal = match self.code - 128 {
            1 => "SIGHUP",
            2 => "SIGINT",
            4 => "SIGILL",
            6 => "SIGABRT",
            7 => "SIGBUS",
            8 => "SIGFPE",
            9 => "SIGKILL",
            11 => "SIGSEGV",
            13 => "SIGPIPE",
            15 => "SIGTERM",
            _ => return Ok(()),
        };
        write!(f, " ({signal})")
    }
}

impl Engine {
    /// Creates a container; gives its id.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with the reason of the Engine; [`Kind::Unreachable`] where the Engine is gone.
    pub(crate) async fn create_container(&self, spec: ContainerSpec) -> Result<String> {
        let options = CreateContainerOptions { name: Some(spec.name.clone()), ..Default::default() };
        let created = self.at_once(self.docker().create_container(Some(options), body(spec))).await;
        created.map(|created| created.id).map_err(|error| self.cannot_start(&error))
    }

    /// Creates a network of containers.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with the reason of the Engine; [`Kind::Unreachable`] where the Engine is gone.
    pub(crate) async fn create_network(&self, name: String, labels: HashMap<String, String>) -> Result<()> {
        let request = NetworkCreateRequest {
            name,
            driver: Some("bridge".to_owned()),
            labels: Some(labels),
            ..Default::default()
        };
        let created = self.at_once(self.docker().create_network(request)).await;
        created.map(drop).map_err(|error| self.error(Kind::TestNotRun, "creating the test's network", &error))
    }

    /// Makes an image of a container's files.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with the reason of the Engine.
    pub(crate) async fn commit(
        &self,
        container: &str,
        repository: &str,
        tag: &str,
        labels: HashMap<String, String>,
    ) -> Result<()> {
        let options = CommitContainerOptions {
            container: Some(container.to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            ..Default::default()
        };
        let config = ContainerConfig { labels: Some(labels), ..Default::default() };
        let done = self.at_once(self.docker().commit_container(options, config)).await;
        done.map(drop).map_err(|error| Error::new(Kind::TestNotRun, fault::text(&error)))
    }

    fn cannot_start(&self, error: &Bollard) -> Error {
        if fault::is_connection(error) {
            return self.error(Kind::TestNotRun, "starting a container", error);
        }
        let why = reason(&fault::text(error));
        Error::new(Kind::TestNotRun, &why).with_source(StartFailure::new(&why))
    }
}

impl Container {
    /// Starts a container that was created; `hear` gets every line, the first one included.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with the reason of the Engine; [`Kind::Unreachable`] where the Engine is gone.
    pub(crate) async fn start(
        engine: &Engine,
        id: String,
        hear: impl FnMut(Stream, &str) + Send + 'static,
    ) -> Result<Self> {
        let docker = engine.docker();
        let options = AttachContainerOptions {
            logs: true,
            stream: true,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let attached = engine.at_once(docker.attach_container(&id, Some(options))).await;
        let attached = attached.map_err(|error| engine.cannot_start(&error))?;
        let tail = Arc::new(Mutex::new(Tail::of(TAIL)));
        let log = tokio::spawn(listen(attached.output, tail.clone(), hear));
        let log = Some(AbortOnDropHandle::new(log));
        let started = engine.at_once(docker.start_container(&id, None)).await;
        started.map_err(|error| engine.cannot_start(&error))?;
        Ok(Self { engine: engine.clone(), id, tail, log })
    }

    /// The last lines it wrote.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }

    /// Waits until it has ended and everything it wrote was heard.
    pub(crate) async fn wait(&mut self) -> Result<Exit> {
        let exit = self.end().await?;
        if let Some(log) = self.log.take() {
            let _ = tokio::time::timeout(DRAIN, log).await;
        }
        Ok(exit)
    }

    /// Waits until it has ended.
    pub(crate) async fn end(&self) -> Result<Exit> {
        let mut waiting = self.engine.docker().wait_container(&self.id, None);
        let code = match waiting.next().await {
            Some(Ok(answer)) => answer.status_code,
            Some(Err(Bollard::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(self.gone(&error)),
            None => return Err(self.silent()),
        };
        let state = self.inspect().await?.state.unwrap_or_default();
        Ok(Exit { code, out_of_memory: state.oom_killed.unwrap_or(false) })
    }

    /// How it ended, or `None` while it runs.
    pub(crate) async fn ended(&self) -> Result<Option<Exit>> {
        let state = self.inspect().await?.state.unwrap_or_default();
        let over = !state.running.unwrap_or(false) && state.finished_at.is_some();
        let (code, out_of_memory) = (state.exit_code.unwrap_or(0), state.oom_killed.unwrap_or(false));
        Ok(over.then_some(Exit { code, out_of_memory }))
    }

    /// What its image's HEALTHCHECK says of it.
    pub(crate) async fn health(&self) -> Result<ContainerHealth> {
        let health = self.inspect().await?.state.and_then(|state| state.health).unwrap_or_default();
        let last = health.log.as_deref().and_then(<[_]>::last);
        let said = last.and_then(|last| last.output.clone()).unwrap_or_default();
        Ok(match health.status {
            Some(HealthStatusEnum::STARTING) => ContainerHealth::Starting(said),
            Some(HealthStatusEnum::UNHEALTHY) => ContainerHealth::Unhealthy(said),
            _ => ContainerHealth::Healthy,
        })
    }

    /// Its address, where it can be reached from here: only the networks of an Engine on this machine can.
    pub(crate) async fn address(&self) -> Result<Option<String>> {
        if !self.engine.address().starts_with("unix://") {
            return Ok(None);
        }
        let networks = self.inspect().await?.network_settings.and_then(|settings| settings.networks);
        let mut addresses = networks.into_iter().flatten().filter_map(|(_, endpoint)| endpoint.ip_address);
        Ok(addresses.find(|address| !address.is_empty()))
    }

    async fn inspect(&self) -> Result<ContainerInspectResponse> {
        let seen = self.engine.at_once(self.engine.docker().inspect_container(&self.id, None)).await;
        seen.map_err(|error| self.gone(&error))
    }

    /// Asks it to end, ends it after the grace, and waits for that.
    ///
    /// # Errors
    /// As [`Container::wait`]; [`Kind::Unreachable`] where the Engine does not end it in time.
    pub(crate) async fn stop(&mut self, grace: Duration) -> Result<Exit> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(seconds), ..Default::default() };
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let outcome = async {
            // One that has ended by itself is as good.
            let _ = engine.docker().stop_container(&id, Some(options)).await;
            self.wait().await
        };
        let ended = tokio::time::timeout(grace + engine.deadlines().stop, outcome).await;
        ended.unwrap_or_else(|_| {
            let error = Bollard::RequestTimeoutError;
            Err(engine.error(Kind::TestNotRun, "stopping a container", &error))
        })
    }

    /// Runs a command inside: its exit code and what it wrote. Code 126 or 127 where there is no such command.
    pub(crate) async fn exec(&self, command: &[String]) -> Result<(i64, String)> {
        let docker = self.engine.docker();
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = match self.engine.at_once(docker.create_exec(&self.id, options)).await {
            Ok(exec) => exec.id,
            Err(error) if fault::is_connection(&error) => return Err(self.gone(&error)),
            // It has just ended: whoever asks will see that by itself.
            Err(error) => return Ok((-1, fault::text(&error))),
        };
        let mut said = Vec::new();
        match self.engine.at_once(docker.start_exec(&exec, None)).await {
            Ok(StartExecResults::Attached { mut output, .. }) => {
                while let Some(Ok(piece)) = output.next().await {
                    keep_last(&mut said, piece.as_ref(), SAID);
                }
            }
            Ok(StartExecResults::Detached) => {}
            Err(error) if fault::is_connection(&error) => return Err(self.gone(&error)),
            Err(error) => return Ok((126, fault::text(&error))),
        }
        let about = self.engine.at_once(docker.inspect_exec(&exec)).await;
        let code = about.ok().and_then(|about| about.exit_code).unwrap_or(-1);
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }

    fn gone(&self, error: &Bollard) -> Error {
        self.engine.error(Kind::TestNotRun, "running a test", error)
    }

    fn silent(&self) -> Error {
        let message = format!("the Docker Engine at {} lost track of a container", self.engine.address());
        Error::new(Kind::Unreachable, message).with_hint("check that it is still running: `docker version`")
    }
}

/// Adds a piece, and forgets what was first where that gets too much.
fn keep_last(said: &mut Vec<u8>, piece: &[u8], most: usize) {
    said.extend_from_slice(piece);
    if said.len() > 2 * most {
        said.drain(..said.len() - most);
    }
}

fn body(spec: ContainerSpec) -> ContainerCreateBody {
    let endpoint = EndpointSettings { aliases: Some(vec![spec.alias]), ..Default::default() };
    ContainerCreateBody {
        image: Some(spec.image),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(spec.labels),
        host_config: Some(HostConfig {
            network_mode: Some(spec.network.clone()),
            // A test that ignores SIGTERM, as a shell does, would take the whole grace to stop. A service may need to be
            // process 1 itself.
            init: spec.command.as_ref().map(|_| true),
            memory: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
            // The same number: no swap beside it, or the limit would be twice as high where there is swap.
            memory_swap: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
            nano_cpus: spec.cpus.map(|thousandths| i64::from(thousandths) * 1_000_000),
            ..Default::default()
        }),
        // The whole command stands in the entrypoint: that of the image would take it for its arguments.
        entrypoint: spec.command,
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network, endpoint)])),
        }),
        ..Default::default()
    }
}

async fn listen(
    mut output: impl futures::Stream<Item = Result<LogOutput, Bollard>> + Unpin,
    tail: Arc<Mutex<Tail>>,
    mut hear: impl FnMut(Stream, &str),
) {
    let mut hear = |stream: Stream, line: &str| {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        hear(stream, line);
    };
    let mut pending = [(Stream::Stdout, Lines::default()), (Stream::Stderr, Lines::default())];
    while let Some(Ok(piece)) = output.next().await {
        let (stream, lines) = &mut pending[usize::from(matches!(piece, LogOutput::StdErr { .. }))];
        lines.push(piece.as_ref()).iter().for_each(|line| hear(*stream, line));
    }
    for (stream, mut lines) in pending {
        lines.end().iter().for_each(|line| hear(stream, line));
    }
}

/// The one reason that matters in what a runtime says: `exec: "nope": executable file not found in $PATH`.
pub(crate) fn reason(text: &str) -> String {
    let line = text.lines().next().unwrap_or(text);
    EXEC.captures(line).map_or_else(|| line.to_owned(), |found| found[1].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::silent;

    #[tokio::test]
    async fn a_container_that_does_not_end_is_not_waited_for() {
        let stops = |line: &str| line.contains("/stop").then_some("HTTP/1.1 204 No Content\r\n\r\n");
        for answers in [stops, |_: &str| None] {
            let (engine, _heard) = silent::engine(silent::short(), answers).await;
            let tail = Arc::new(Mutex::new(Tail::of(1)));
            let mut container = Container { engine, id: "c".to_owned(), tail, log: None };
            let error = silent::soon(container.stop(Duration::ZERO)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unreachable);
            assert!(error.message().contains("does not respond while stopping a container"), "{error}");
            assert!(silent::soon(container.ended()).await.is_err());
            assert!(silent::soon(container.exec(&["true".to_owned()])).await.is_err());
        }
    }

    #[test]
    fn of_what_a_command_writes_the_end_is_kept() {
        let mut said = Vec::new();
        for number in 0..1000_u32 {
            keep_last(&mut said, format!("{number}\n").as_bytes(), 100);
        }
        assert!(said.len() <= 200 && said.ends_with(b"\n998\n999\n"));
    }

    #[test]
    fn an_exit_says_what_killed_it() {
        let exit = |code, out_of_memory| Exit { code, out_of_memory }.to_string();
        assert_eq!(exit(2, false), "exit code 2");
        assert_eq!(exit(137, false), "exit code 137 (SIGKILL)");
        assert_eq!(exit(137, true), "exit code 137 (out of memory)");
        assert_eq!(exit(0, true), "exit code 0");
    }

    #[test]
    fn the_engine_s_reason_is_found_in_its_words() {
        for (text, expected) in [
            (
                "OCI runtime create failed: runc create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown",
                "\"nope\": executable file not found in $PATH",
            ),
            ("No such image: x", "No such image: x"),
        ] {
            assert_eq!(reason(text), expected);
        }
    }

    #[tokio::test]
    async fn every_line_is_heard_on_its_stream() {
        let pieces = [
            LogOutput::StdOut { message: "a\nb".into() },
            LogOutput::StdErr { message: "oh\n".into() },
            LogOutput::StdOut { message: "c\nlast".into() },
        ];
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (copy, tail) = (heard.clone(), Arc::new(Mutex::new(Tail::of(2))));
        let hear = move |stream, line: &str| copy.lock().unwrap().push((stream, line.to_owned()));
        listen(futures::stream::iter(pieces.map(Ok)), tail.clone(), hear).await;
        let lines: Vec<String> =
            heard.lock().unwrap().iter().map(|(stream, line)| format!("{stream:?} {line}")).collect();
        assert_eq!(lines, ["Stdout a", "Stderr oh", "Stdout bc", "Stdout last"]);
        assert_eq!(tail.lock().unwrap().lines(), ["bc", "last"]);
    }
}
