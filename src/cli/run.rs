//! How a run begins and ends: arguments, reporter, runtime, signals, the `finished` event, the exit code.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use tokio::runtime::{Builder, Handle, Runtime};

use super::{Arguments, Color, Command, Global, Output, Run, complete};
use crate::error::{Error, Kind, Result, sources};
use crate::model::{Outcome, RunResult};
use crate::project::variable;
use crate::report::event::{Event, Finished};
use crate::report::{self, Reporter};
use crate::session::Session;
use crate::{program, secret};

/// Stages are futures inside futures, and without optimisation each takes its room: two MiB are not enough for all.
const STACK: usize = 16 << 20;
/// How long a run may still tidy up after the first signal.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    if complete::is_asked() {
        return complete::answer(arguments);
    }
    let parsed = match Arguments::read(arguments) {
        // `help COMMAND` is what clap says to `COMMAND --help`.
        Ok(Arguments { command: Command::Help(help), global }) => match help.of_command() {
            Some(words) => Arguments::read(&words.into_iter().map(OsString::from).collect::<Vec<_>>()),
            None => Ok(Arguments { command: Command::Help(help), global }),
        },
        parsed => parsed,
    };
    match parsed {
        Ok(parsed) => start(parsed, arguments),
        Err(error) => usage(arguments, &super::usage::explained(error, arguments)),
    }
}

/// What clap has to say; machine readers get their last line too.
fn usage(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let words = report::Reporter::silent();
    secret::hide_environment(&words);
    if !asked {
        let rendered = error.to_string();
        let words = rendered.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
        let words = words.collect::<Vec<_>>().join(" ");
        let message = words.trim_start_matches("error: ").to_owned();
        let error = Error::new(Kind::Usage, message).with_hint("run `windlass --help`");
        let command = Command::named_in(arguments);
        let end = Event::Finished(finished(command, &Err(error), Instant::now()));
        let json = report::OutputOptions { format: report::Format::Json, ..Default::default() };
        let machines = wants_json(arguments).then(|| report::streams(&json));
        let report =
            named(arguments, &["--report"]).or_else(|| variable("WINDLASS_REPORT").map(PathBuf::from));
        let files = report.and_then(|directory| {
            let from = named(arguments, &["-C"]).unwrap_or_default();
            report::files(&from.join(directory)).ok()
        });
        for reporter in machines.into_iter().chain(files) {
            secret::hide_environment(&reporter);
            reporter.emit(&end);
        }
    }
    // clap writes help to standard output and errors to standard error; a closed pipe is nobody's fault.
    let printed = if asked {
        error.print()
    } else {
        let text = words.masked(&error.render().ansi().to_string());
        anstream::stderr().write_all(text.as_bytes())
    };
    let lost = printed.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe);
    ExitCode::from(match (asked, lost) {
        (true, false) => 0,
        (true, true) => Kind::Unreachable.exit_code(),
        (false, _) => Kind::Usage.exit_code(),
    })
}

/// What stands behind one of these flags, also where the rest of the line is wrong.
fn named(arguments: &[OsString], flags: &[&str]) -> Option<PathBuf> {
    let behind = arguments.windows(2).find(|pair| flags.iter().any(|flag| pair[0] == *flag));
    let joined = || {
        let texts = arguments.iter().filter_map(|word| word.to_str());
        let mut values =
            texts.filter_map(|word| flags.iter().find_map(|flag| word.strip_prefix(flag)?.strip_prefix('=')));
        values.next().map(PathBuf::from)
    };
    behind.map(|pair| PathBuf::from(&pair[1])).or_else(joined)
}

fn wants_json(arguments: &[OsString]) -> bool {
    let is_said = named(arguments, &["-o", "--output"]).is_some();
    (!is_said && variable("WINDLASS_OUTPUT").is_some_and(|output| output == "json"))
        || arguments.iter().any(|word| word == "-ojson" || word == "--output=json")
        || arguments.windows(2).any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json")
}

fn start(arguments: Arguments, words: &[OsString]) -> ExitCode {
    let began = Instant::now();
    // Two TLS providers in the graph would panic at the first connection: name ours once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (command, json) = (&arguments.command, arguments.global.output == Output::Json);
    let answers = if json { command.answers_machines() } else { command.answers() };
    let options = output_options(&arguments.global, answers, command.answers_machines());
    let name = arguments.command.name();
    let reporter = match report::start(&options) {
        Ok(reporter) => reporter,
        Err(error) => {
            let reporter = report::streams(&options);
            secret::hide_environment(&reporter);
            return finish(&reporter, name, &Err(error), began);
        }
    };
    secret::hide_environment(&reporter);
    log_to_stderr(&reporter);
    mask_panics(&reporter);
    let session = Session::new(reporter.clone());
    let words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let result = match runtimes() {
        Ok((attending, working)) => {
            let run = Run { session: session.clone(), global: arguments.global, words };
            let result = attending.block_on(attended(arguments.command, run, working.handle()));
            working.shutdown_timeout(Duration::from_millis(200));
            program::end_all(program::GRACE);
            result
        }
        Err(error) => Err(Error::new(Kind::Defect, format!("cannot start the runtime: {error}"))),
    };
    // What a release did is done, whoever hears of it; an incomplete answer is none.
    let result = match (result, reporter.fault()) {
        (Ok(done), Some(fault)) if answers || name == "build" => Err(unwritten(&fault).with_result(done)),
        (Ok(done), Some(fault)) => {
            reporter.warn(unwritten(&fault).to_string());
            Ok(done)
        }
        (result, _) => result,
    };
    finish(&reporter, name, &result, began)
}

/// One for signals and time, which no work may hold up, however few processors there are, and one for the work.
fn runtimes() -> std::io::Result<(Runtime, Runtime)> {
    let attending = Builder::new_current_thread().enable_all().build()?;
    Ok((attending, Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build()?))
}

fn unwritten(fault: &str) -> Error {
    Error::new(Kind::Unreachable, format!("standard output cannot be written: {fault}"))
}

/// Runs the command, moves the renderers every second, and obeys signals: the first cancels, the second ends
/// the run at once.
async fn attended(command: Command, run: Run, working: &Handle) -> Result<RunResult> {
    let session = run.session.clone();
    let signal = Arc::new(AtomicU8::new(0));
    // To have seen enough of a log is its ordinary end.
    let is_log = matches!(command, Command::Logs(_));
    tokio::spawn(obey_signals(session.clone(), signal.clone(), is_log));
    let ticking = tokio::spawn(tick(session.reporter.clone()));
    let work = working.spawn(async move { command.run(&run).await });
    let abort = work.abort_handle();
    let result = tokio::select! {
        result = work => result.unwrap_or_else(|error| Err(defect(&error))),
        () = grace_is_over(&session) => {
            abort.abort();
            Err(crate::session::interrupted())
        }
    };
    ticking.abort();
    match (result, signal.load(Ordering::SeqCst)) {
        (Err(error), 143) if error.kind() == Kind::Interrupted => Err(error.into_kind(Kind::Terminated)),
        (result, _) => result,
    }
}

async fn grace_is_over(session: &Session) {
    session.cancel.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

async fn tick(reporter: Reporter) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        reporter.tick();
    }
}

async fn obey_signals(session: Session, first: Arc<AtomicU8>, quietly: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    // A terminal that goes away ends the run like SIGTERM; `nohup` says that it shall not.
    let mut hangup = if ignores_hangup() { None } else { signal(SignalKind::hangup()).ok() };
    loop {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let (code, is_hangup) = tokio::select! {
            _ = interrupt.recv() => (Kind::Interrupted.exit_code(), false),
            _ = terminate.recv() => (Kind::Terminated.exit_code(), false),
            _ = hung_up => (Kind::Terminated.exit_code(), true),
        };
        // The terminal and the shell each say that they go; nobody means "now" by that.
        if is_hangup && first.load(Ordering::SeqCst) != 0 {
            continue;
        }
        if first.swap(code, Ordering::SeqCst) != 0 {
            exit_now(code);
        }
        if !quietly {
            session.reporter.warn("stopping: cleaning up for up to 5 s; a second signal stops at once");
        }
        session.cancel.cancel();
    }
}

/// Whether whoever started the program had it ignore SIGHUP: the first bit of the kernel's mask.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[expect(clippy::exit, reason = "stopping at once after the second signal")]
fn exit_now(code: u8) -> ! {
    program::end_all(Duration::ZERO);
    std::process::exit(i32::from(code))
}

fn defect(error: &tokio::task::JoinError) -> Error {
    Error::new(Kind::Defect, format!("this is a defect in windlass: {error}"))
        .with_hint("please report it with the command and the text above")
}

fn finish(reporter: &Reporter, name: &str, result: &Result<RunResult>, began: Instant) -> ExitCode {
    let finished = finished(name, result, began);
    let code = finished.exit_code;
    reporter.emit(&Event::Finished(finished));
    ExitCode::from(code)
}

fn finished(command: &str, result: &Result<RunResult>, began: Instant) -> Finished {
    if let Err(error) = result {
        for source in sources(error) {
            tracing::debug!(%source, "caused by");
        }
    }
    let (done, error) = match result {
        Ok(done) => (done, None),
        Err(error) => (error.result(), Some(error)),
    };
    let (outcome, exit_code) =
        error.map_or((Outcome::Ok, 0), |error| (error.outcome(), error.kind().exit_code()));
    let done = done.clone();
    Finished {
        command: command.to_owned(),
        outcome,
        exit_code,
        stage: done.stage.filter(|_| error.is_some()),
        images: done.images,
        revision: done.revision,
        rolled_back_to: done.rolled_back_to,
        sent_back_to: done.sent_back_to,
        causes: error.map(|error| error.failures().to_vec()).unwrap_or_default(),
        message: error.map(ToString::to_string),
        snippet: error.and_then(Error::snippet).map(str::to_owned),
        hint: error.and_then(Error::hint).map(str::to_owned),
        changed: done.changed,
        still_runs: done.still_runs,
        untouched: done.untouched,
        back_to: done.back_to,
        url: done.url,
        next: done.next,
        seconds: began.elapsed().as_secs_f64(),
    }
}

fn output_options(global: &Global, answering: bool, answering_machines: bool) -> report::OutputOptions {
    report::OutputOptions {
        format: match global.output {
            Output::Auto => report::Format::Auto,
            Output::Terminal => report::Format::Terminal,
            Output::Plain => report::Format::Plain,
            Output::Gitlab => report::Format::Gitlab,
            Output::Github => report::Format::Github,
            Output::Json => report::Format::Json,
        },
        color: match global.color {
            Color::Auto => report::Color::Auto,
            Color::Always => report::Color::Always,
            Color::Never => report::Color::Never,
        },
        verbosity: match (global.quiet, global.verbose) {
            (true, _) => report::Verbosity::Quiet,
            (_, true) => report::Verbosity::Verbose,
            _ => report::Verbosity::Normal,
        },
        answering,
        answering_machines,
        start: global.directory.clone(),
        directory: global.report(),
    }
}

/// For the engineers of windlass: `WINDLASS_LOG=windlass=debug` writes what the libraries do to standard
/// error. Off by default, since libraries log what people should not see.
fn log_to_stderr(reporter: &Reporter) {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("WINDLASS_LOG") {
        let reporter = reporter.clone();
        let writer = move || MaskedStderr(reporter.clone());
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).try_init();
    }
}

/// Standard error without secrets, for what passes no renderer. Each write is a whole line.
struct MaskedStderr(Reporter);

impl Write for MaskedStderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = self.0.masked(&String::from_utf8_lossy(bytes));
        std::io::stderr().write_all(text.as_bytes()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// A panic says what it was about before anybody can report it.
fn mask_panics(reporter: &Reporter) {
    let reporter = reporter.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        // Nobody is left to be told that it cannot be written.
        let _ = MaskedStderr(reporter.clone()).write(format!("{panic}{backtrace}\n").as_bytes());
    }));
}
