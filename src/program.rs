//! The one way in which programs of the user's machine are run: `git`, `helm`, `kubectl`, `ssh`, the commands of `secrets:`,
//! credential helpers, the credential program of a kubeconfig.
//!
//! A program runs beside everything else, in a process group of its own. When nobody waits for it any more, when its time is
//! over, and when windlass ends, the whole group ends. It gets no terminal: one that wants to ask something there is stopped
//! by the kernel, which is noticed at once. Only what says itself that it talks to people ([`Program::at_terminal`]) stays
//! in the group that the terminal belongs to.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::text::lines::ByteTail;

/// How long a program may take where nothing else is said: one that waits for something would wait for ever.
const LIMIT: Duration = Duration::from_secs(120);
/// How many bytes a program may print where nothing else is said: more than the manifests of any tier have.
const MOST: usize = 64 << 20;
/// How many of the last bytes of standard error are kept.
const TAIL: usize = 16 << 10;
/// How many of the first lines that a program wrote to standard error are shown: what failed is often said first, …
const FIRST_LINES: usize = 4;
/// … and how many of the last ones, which say why.
const LAST_LINES: usize = 6;
/// How long output is waited for once the program itself has ended: whatever it left running may keep the pipe open.
const LEFT_OPEN: Duration = Duration::from_millis(250);
/// How long a program may still tidy up (Git removes its lock files) before it is killed.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// Why a program printed nothing of use.
#[derive(Debug)]
pub(crate) enum ProgramError {
    /// It is not installed.
    Missing,
    /// It cannot be started.
    Unstartable(String),
    /// It ended otherwise than with 0: how, and what it said last.
    Failed {
        /// `exit status: 1`
        how: String,
        /// The first and last lines of its standard error.
        said: String,
    },
    /// It did not end within this time.
    Late(Duration),
    /// It printed more than this many bytes.
    TooMuch(usize),
    /// It wants something of the terminal, which it does not get.
    Asks,
}

impl ProgramError {
    /// One sentence; `program` is how a person calls it.
    pub(crate) fn sentence(&self, program: &str) -> String {
        match self {
            Self::Missing => format!("`{program}` is not installed"),
            Self::Unstartable(why) => format!("`{program}` cannot be started: {why}"),
            Self::Failed { how, said } if said.is_empty() => format!("`{program}` failed ({how})"),
            Self::Failed { how, said } => format!("`{program}` failed ({how}): {said}"),
            Self::Late(limit) => format!("`{program}` did not finish within {} s", limit.as_secs()),
            Self::TooMuch(most) => format!("`{program}` printed more than {} KiB", most >> 10),
            Self::Asks => {
                format!("`{program}` needs input from the terminal, but none is available")
            }
        }
    }
}

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub printed: Vec<u8>,
    said: ByteTail,
}

impl Output {
    /// The lines that it wrote to standard error, without empty ones, as far as they are kept.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lines()
    }

    /// The first and last of these lines, as one.
    fn in_brief(&self) -> String {
        let mut lines = self.said();
        let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
        if left_out > 0 {
            lines.splice(FIRST_LINES..FIRST_LINES + left_out, ["…".to_owned()]);
        }
        lines.join("; ")
    }

    fn success(self) -> Result<Vec<u8>, ProgramError> {
        if self.status.success() {
            return Ok(self.printed);
        }
        Err(ProgramError::Failed { how: self.status.to_string(), said: self.in_brief() })
    }
}

/// A program that is to be run.
pub(crate) struct Program {
    command: Command,
    input: Vec<u8>,
    limit: Duration,
    most: usize,
    at_terminal: bool,
}

impl Program {
    /// A program by its name, which is looked for as the shell does, or by its path. It gets no input.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: Vec::new(), limit: LIMIT, most: MOST, at_terminal: false }
    }

    /// A program with its arguments, as a configuration names it.
    ///
    /// # Errors
    /// [`ProgramError::Missing`] where there is no word.
    pub(crate) fn of(words: &[String]) -> Result<Self, ProgramError> {
        let (name, arguments) = words.split_first().ok_or(ProgramError::Missing)?;
        Ok(Self::new(name).arguments(arguments))
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Where it runs; by default where windlass does.
    #[must_use]
    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Adds to the environment, which is that of windlass.
    #[must_use]
    pub(crate) fn environment(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    /// What it reads from standard input, by default nothing.
    #[must_use]
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = input.into();
        self
    }

    /// How long it may take, by default 120 s.
    #[must_use]
    pub(crate) fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// How many bytes it may print, by default 64 MiB.
    #[must_use]
    pub(crate) fn most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// It talks to a person: it gets the terminal's input and writes its errors there. It is then of the group that the
    /// terminal belongs to, so that Ctrl-C reaches it and what it started; windlass itself ends the program alone.
    #[must_use]
    pub(crate) fn at_terminal(mut self) -> Self {
        self.command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        self.at_terminal = true;
        self
    }

    /// What it prints to standard output.
    ///
    /// # Errors
    /// Whatever keeps it from ending with 0.
    pub(crate) async fn output(self) -> Result<Vec<u8>, ProgramError> {
        self.run().await?.success()
    }

    /// Runs it to its end, which may be any. Dropped before, it is ended.
    ///
    /// # Errors
    /// Whatever keeps it from ending by itself.
    pub(crate) async fn run(mut self) -> Result<Output, ProgramError> {
        let mut running = Running::start(&mut self)?;
        let ended = timeout(self.limit, running.finish(&self.input, self.most)).await;
        let result = ended.unwrap_or(Err(ProgramError::Late(self.limit)));
        if result.is_err() {
            running.end().await;
        }
        result
    }

    /// Starts it for a conversation: both sides stay open, and it ends when this is dropped.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn converse(mut self) -> Result<Conversation, ProgramError> {
        self.command.stdin(Stdio::piped());
        let mut running = Running::start(&mut self)?;
        let lost = || ProgramError::Unstartable("it has no pipes".to_owned());
        let child = running.child.as_mut().ok_or_else(lost)?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Conversation {
            input: input.ok_or_else(lost)?,
            output: output.ok_or_else(lost)?,
            errors: errors.ok_or_else(lost)?,
            running,
        })
    }
}

/// A program that is talked with.
pub(crate) struct Conversation {
    /// Its standard input.
    pub input: ChildStdin,
    /// Its standard output.
    pub output: ChildStdout,
    /// Its standard error.
    pub errors: ChildStderr,
    /// Ends the program when it is dropped.
    pub running: Running,
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// The program, and all that it started.
    Group(Pid),
    /// The program alone: its group is ours too.
    Process(Pid),
}

impl Whom {
    fn pid(self) -> Pid {
        match self {
            Self::Group(pid) | Self::Process(pid) => pid,
        }
    }

    fn signal(self, signal: Signal) {
        // One that has ended meanwhile needs none.
        let _ = match self {
            Self::Group(pid) => kill_process_group(pid, signal),
            Self::Process(pid) => kill_process(pid, signal),
        };
    }
}

/// The groups of programs that run.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends whatever still runs: windlass itself ends. Each may tidy up for as long as the grace lasts.
pub(crate) fn end_all(grace: Duration) {
    let left: Vec<Pid> = std::mem::take(&mut *groups()).into_iter().filter_map(Pid::from_raw).collect();
    for pid in &left {
        Whom::Group(*pid).signal(Signal::TERM);
    }
    let until = Instant::now() + grace;
    // No other task runs any more that could wait for the end of several processes at once.
    while left.iter().any(|pid| runs(*pid)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    for pid in &left {
        Whom::Group(*pid).signal(Signal::KILL);
    }
}

/// Whether a child still runs; its end is left for whoever waits for it.
fn runs(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// A program that runs; when this is dropped, it ends.
pub(crate) struct Running {
    /// `None` once it has ended.
    child: Option<Child>,
    whom: Whom,
}

impl Running {
    fn start(program: &mut Program) -> Result<Self, ProgramError> {
        if !program.at_terminal {
            program.command.process_group(0);
        }
        let child = program.command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ProgramError::Missing,
            _ => ProgramError::Unstartable(error.to_string()),
        })?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or_else(|| ProgramError::Unstartable("it has no process id".to_owned()))?;
        let whom = if program.at_terminal { Whom::Process(pid) } else { Whom::Group(pid) };
        if let Whom::Group(pid) = whom {
            groups().insert(pid.as_raw_nonzero().get());
        }
        Ok(Self { child: Some(child), whom })
    }

    /// Writes the input, reads the output and waits for the end, all at once.
    async fn finish(&mut self, input: &[u8], most: usize) -> Result<Output, ProgramError> {
        let whom = self.whom;
        let Some(child) = &mut self.child else { return Err(ProgramError::Missing) };
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut printed, mut said) = (Vec::new(), ByteTail::of(TAIL));
        let status = {
            let talking = talk(pipes, input, most, &mut printed, &mut said);
            tokio::pin!(talking);
            let mut talks = true;
            let status = loop {
                tokio::select! {
                    talked = &mut talking, if talks => {
                        talked?;
                        talks = false;
                    }
                    status = child.wait() => break status,
                    () = asks(whom) => return Err(ProgramError::Asks),
                }
            };
            if talks && let Ok(talked) = timeout(LEFT_OPEN, &mut talking).await {
                talked?;
            }
            status
        };
        self.has_ended();
        let status = status.map_err(|error| ProgramError::Unstartable(error.to_string()))?;
        Ok(Output { status, printed, said })
    }

    /// What it left running by purpose goes on: an agent, ssh's master connection.
    fn has_ended(&mut self) {
        self.child = None;
        groups().remove(&self.whom.pid().as_raw_nonzero().get());
    }

    /// Ends it, and waits until it has ended.
    async fn end(&mut self) {
        if let Some(child) = self.child.take() {
            self.whom.signal(Signal::TERM);
            end(child, self.whom).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        self.whom.signal(Signal::TERM);
        // Without a runtime, and where this one ends before the grace is over, `end_all` does the rest.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(end(child, self.whom));
        }
    }
}

/// Ends a program that was sent SIGTERM, once: a second one would end what it starts to tidy up. A runtime that shuts down
/// drops this, so it holds nothing that would begin it anew.
async fn end(mut child: Child, whom: Whom) {
    // A stopped one gets the signal when it goes on.
    whom.signal(Signal::CONT);
    let in_time = timeout(GRACE, child.wait()).await.is_ok();
    whom.signal(Signal::KILL);
    if !in_time {
        let _ = child.wait().await;
    }
    groups().remove(&whom.pid().as_raw_nonzero().get());
}

type Pipes = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

/// Writes and reads until all pipes are closed.
async fn talk(
    (stdin, stdout, stderr): Pipes,
    input: &[u8],
    most: usize,
    printed: &mut Vec<u8>,
    said: &mut ByteTail,
) -> Result<(), ProgramError> {
    let writing = async {
        if let Some(mut stdin) = stdin {
            // One that never reads its input may have closed it: what it answers counts.
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let reading = read(stdout, |bytes| {
        if printed.len() + bytes.len() > most {
            return Err(ProgramError::TooMuch(most));
        }
        printed.extend_from_slice(bytes);
        Ok(())
    });
    let hearing = read(stderr, |bytes| {
        said.push(bytes);
        Ok(())
    });
    tokio::try_join!(writing, reading, hearing).map(drop)
}

async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(&[u8]) -> Result<(), ProgramError>,
) -> Result<(), ProgramError> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 32 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        take(&buffer[..count])?;
    }
    Ok(())
}

/// Ends when the program was stopped because it wants something of a terminal that is not its own.
async fn asks(whom: Whom) {
    let (Whom::Group(pid), Ok(mut changes)) = (whom, signal(SignalKind::child())) else {
        return std::future::pending().await;
    };
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let wants_terminal = |status: &WaitIdStatus| {
        let stopped_by = status.stopping_signal();
        [Signal::TTIN, Signal::TTOU].iter().any(|signal| stopped_by == Some(signal.as_raw()))
    };
    loop {
        if let Ok(Some(status)) = waitid(WaitId::Pid(pid), options)
            && wants_terminal(&status)
        {
            return;
        }
        if changes.recv().await.is_none() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests;
