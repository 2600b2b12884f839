//! A container of a test: started with nothing mounted and every line heard, and how it ended.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as Bollard;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, NetworkingConfig,
};
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions, StopContainerOptions};
use futures::StreamExt;
use regex::Regex;
use tokio_util::task::AbortOnDropHandle;

use super::{Runner, unmade};
use crate::engine::{Engine, Owner, fault};
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
pub(super) struct Spec<'a> {
    /// `test unit`, `service unit/db`: for the labels.
    pub(super) role: &'a str,
    /// As the Engine takes it.
    pub(super) image: String,
    /// Instead of the image's own command.
    pub(super) command: Option<&'a [String]>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) network: &'a str,
    /// Its name for the others.
    pub(super) alias: &'a str,
    /// Bytes, and thousandths of a processor.
    pub(super) memory: Option<u64>,
    pub(super) cpus: Option<u32>,
}

/// A container that was started.
pub(super) struct Container {
    engine: Engine,
    pub(super) id: String,
    tail: Arc<Mutex<Tail>>,
    log: Option<AbortOnDropHandle<()>>,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: i64,
    pub(super) out_of_memory: bool,
}

impl Exit {
    pub(super) fn passed(self) -> bool {
        self.code == 0
    }

    /// Did nobody ask for it? A service that ended well, or by SIGTERM, was asked.
    pub(super) fn is_death(self) -> bool {
        !matches!(self.code, 0 | 143)
    }
}

impl fmt::Display for Exit {
    /// What stands after "it ended with": `exit code 2`, `exit code 137 (killed, SIGKILL)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.code)?;
        if self.out_of_memory && self.code != 0 {
            return f.write_str(" (it was out of memory)");
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

impl Container {
    /// Creates and starts it; `hear` gets every line, the first one included.
    ///
    /// # Errors
    /// [`Kind::TestNotRun`] with the reason of the Engine; [`Kind::Unreachable`] where the Engine is gone.
    pub(super) async fn start(
        runner: &Runner<'_>,
        spec: &Spec<'_>,
        hear: impl FnMut(Stream, &str) + Send + 'static,
    ) -> Result<Self> {
        let engine = runner.engine()?;
        let failed = |error: &Bollard| cannot_start(engine, spec, error);
        let docker = engine.docker();
        let options =
            CreateContainerOptions { name: Some(name(&runner.owner, spec.role)), ..Default::default() };
        let (creating, body) = (engine.clone(), body(runner.labels(spec.role).await?, spec));
        let created = runner.making.spawn(async move {
            creating.at_once(creating.docker().create_container(Some(options), body)).await
        });
        let id = created.await.map_err(|error| unmade(&error))?.map_err(|error| failed(&error))?.id;
        let options = AttachContainerOptions {
            logs: true,
            stream: true,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let attached = engine.at_once(docker.attach_container(&id, Some(options))).await;
        let attached = attached.map_err(|error| failed(&error))?;
        let tail = Arc::new(Mutex::new(Tail::of(TAIL)));
        let log = tokio::spawn(listen(attached.output, tail.clone(), hear));
        let log = Some(AbortOnDropHandle::new(log));
        engine.at_once(docker.start_container(&id, None)).await.map_err(|error| failed(&error))?;
        Ok(Self { engine: engine.clone(), id, tail, log })
    }

    /// The last lines it wrote.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }

    /// Waits until it has ended and everything it wrote was heard.
    pub(super) async fn wait(&mut self) -> Result<Exit> {
        let exit = self.end().await?;
        if let Some(log) = self.log.take() {
            let _ = tokio::time::timeout(DRAIN, log).await;
        }
        Ok(exit)
    }

    /// Waits until it has ended.
    pub(super) async fn end(&self) -> Result<Exit> {
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
    pub(super) async fn ended(&self) -> Result<Option<Exit>> {
        let state = self.inspect().await?.state.unwrap_or_default();
        let over = !state.running.unwrap_or(false) && state.finished_at.is_some();
        let (code, out_of_memory) = (state.exit_code.unwrap_or(0), state.oom_killed.unwrap_or(false));
        Ok(over.then_some(Exit { code, out_of_memory }))
    }

    /// Everything the Engine knows of it.
    pub(super) async fn inspect(&self) -> Result<ContainerInspectResponse> {
        let seen = self.engine.at_once(self.engine.docker().inspect_container(&self.id, None)).await;
        seen.map_err(|error| self.gone(&error))
    }

    /// Asks it to end, ends it after the grace, and waits for that.
    ///
    /// # Errors
    /// As [`Container::wait`]; [`Kind::Unreachable`] where the Engine does not end it in time.
    pub(super) async fn stop(&mut self, grace: Duration) -> Result<Exit> {
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
            Err(engine.error(Kind::TestNotRun, "ending a container", &error))
        })
    }

    /// Runs a command inside: its exit code and what it wrote. Code 126 or 127 where there is no such command.
    pub(super) async fn exec(&self, command: &[String]) -> Result<(i64, String)> {
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
        let message = format!("the Docker Engine at {} lost sight of a container", self.engine.address());
        Error::new(Kind::Unreachable, message).with_hint("see whether it still runs: `docker version`")
    }
}

/// Unique in the Engine, and a person sees whose it is: `windlass-64a1f3-7-0-test-unit`.
pub(super) fn name(owner: &Owner, role: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let role: String =
        role.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    format!("windlass-{}-{}-{role}", owner.run(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Adds a piece, and forgets what was first where that gets too much.
fn keep_last(said: &mut Vec<u8>, piece: &[u8], most: usize) {
    said.extend_from_slice(piece);
    if said.len() > 2 * most {
        said.drain(..said.len() - most);
    }
}

fn body(labels: HashMap<String, String>, spec: &Spec<'_>) -> ContainerCreateBody {
    let endpoint = EndpointSettings { aliases: Some(vec![spec.alias.to_owned()]), ..Default::default() };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        // The whole command stands in the entrypoint: that of the image would take it for its arguments.
        entrypoint: spec.command.map(<[String]>::to_vec),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some(spec.network.to_owned()),
            // A test that ignores SIGTERM, as a shell does, would take the whole grace to stop. A service may need to be
            // process 1 itself.
            init: spec.command.map(|_| true),
            memory: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
            // The same number: no swap beside it, or the limit would be twice as high where there is swap.
            memory_swap: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
            nano_cpus: spec.cpus.map(|thousandths| i64::from(thousandths) * 1_000_000),
            ..Default::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network.to_owned(), endpoint)])),
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

fn cannot_start(engine: &Engine, spec: &Spec<'_>, error: &Bollard) -> Error {
    if fault::is_connection(error) {
        return engine.error(Kind::TestNotRun, "starting a container", error);
    }
    let message = reason(&fault::text(error));
    let error = Error::new(Kind::TestNotRun, format!("the {} cannot start: {message}", spec.role));
    match spec.command.and_then(<[String]>::first) {
        Some(program)
            if message.contains(program.as_str())
                && (message.contains("not found") || message.contains("no such file")) =>
        {
            error.with_hint(format!(
                "`{program}` is not in the image: no shell reads `run`, the first word is the program"
            ))
        }
        _ => error,
    }
}

pub(super) fn reason(text: &str) -> String {
    let line = text.lines().next().unwrap_or(text);
    EXEC.captures(line).map_or_else(|| line.to_owned(), |found| found[1].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_container_that_does_not_end_is_not_waited_for() {
        use crate::engine::silent;
        let stops = |line: &str| line.contains("/stop").then_some("HTTP/1.1 204 No Content\r\n\r\n");
        for answers in [stops, |_: &str| None] {
            let (engine, _heard) = silent::engine(silent::short(), answers).await;
            let tail = Arc::new(Mutex::new(Tail::of(1)));
            let mut container = Container { engine, id: "c".to_owned(), tail, log: None };
            let error = silent::soon(container.stop(Duration::ZERO)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unreachable);
            assert!(error.message().contains("does not answer while ending a container"), "{error}");
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
        assert_eq!(exit(137, true), "exit code 137 (it was out of memory)");
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
