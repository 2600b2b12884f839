//! How a run begins and ends: arguments, reporter, runtime, signals, the `finished` event, the exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use clap::error::ErrorKind;

use super::{Arguments, Color, Command, Global, Output, Run};
use crate::error::{Error, Kind, Result};
use crate::report::event::{Event, Finished, Outcome};
use crate::report::{self, Reporter};
use crate::session::{Session, Summary};

/// Stages are futures inside futures, and without optimisation each takes its room: two MiB are not enough for all.
const STACK: usize = 16 << 20;
/// How long a run may still tidy up after the first signal.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(parsed) => start(parsed),
        Err(error) => usage(arguments, &error),
    }
}

/// What clap has to say; machine readers get their last line too.
fn usage(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked {
        let rendered = error.to_string();
        let words = rendered.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
        let words = words.collect::<Vec<_>>().join(" ");
        let message = words.trim_start_matches("error: ").to_owned();
        let error = Error::new(Kind::Usage, message).hint("run `windlass --help`");
        let command = Command::named_in(arguments);
        let end = Event::Finished(finished(command, Summary::default(), Some(&error), Instant::now()));
        let json = report::OutputOptions { format: report::Format::Json, ..Default::default() };
        let machines = wants_json(arguments).then(|| report::streams(&json));
        let files = named(arguments, &["--report"]).and_then(|directory| {
            let from = named(arguments, &["-C"]).unwrap_or_default();
            report::files(&from.join(directory)).ok()
        });
        for reporter in machines.into_iter().chain(files) {
            reporter.emit(&end);
        }
    }
    // clap writes help to standard output and errors to standard error; a closed pipe is nobody's fault.
    let lost = error.print().is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe);
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
    arguments.iter().any(|word| word == "-ojson" || word == "--output=json")
        || arguments.windows(2).any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json")
}

fn start(arguments: Arguments) -> ExitCode {
    let began = Instant::now();
    log_to_stderr();
    // Two TLS providers in the graph would panic at the first connection: name ours once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (command, json) = (&arguments.command, arguments.global.output == Output::Json);
    let answers = if json { command.answers_machines() } else { command.answers() };
    let options = output_options(&arguments.global, answers, command.answers_machines());
    let name = arguments.command.name();
    let reporter = match report::start(&options) {
        Ok(reporter) => reporter,
        Err(error) => {
            return finish(&report::streams(&options), name, Summary::default(), Some(&error), began);
        }
    };
    let session = Session::new(reporter.clone());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let result = match builder.enable_all().thread_stack_size(STACK).build() {
        Ok(runtime) => {
            let result = runtime.block_on(attended(arguments.command, session.clone(), arguments.global));
            runtime.shutdown_timeout(Duration::from_millis(200));
            result
        }
        Err(error) => Err(Error::new(Kind::Defect, format!("cannot start the runtime: {error}"))),
    };
    // What a release did is done, whoever hears of it; an answer that is not there whole is none.
    let result = match reporter.fault().filter(|_| result.is_ok()) {
        Some(fault) if answers || name == "build" => Err(unwritten(&fault)),
        Some(fault) => {
            reporter.warn(unwritten(&fault).to_string());
            result
        }
        None => result,
    };
    finish(&reporter, name, session.summary(), result.as_ref().err(), began)
}

fn unwritten(fault: &str) -> Error {
    Error::new(Kind::Unreachable, format!("standard output cannot be written: {fault}"))
}

/// Runs the command, moves the renderers every second, and obeys signals: the first cancels, the second ends
/// the run at once.
async fn attended(command: Command, session: Session, global: Global) -> Result<()> {
    let signal = Arc::new(AtomicU8::new(0));
    // To have seen enough of a log is its ordinary end.
    let is_log = matches!(command, Command::Logs(_));
    tokio::spawn(obey_signals(session.clone(), signal.clone(), is_log));
    let ticking = tokio::spawn(tick(session.reporter.clone()));
    let run = Run { session: session.clone(), global };
    let work = tokio::spawn(async move { command.run(&run).await });
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
            session.reporter.warn("stopping: tidying up for up to 5 s; a second signal ends at once");
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

#[expect(clippy::exit, reason = "the second signal means now")]
fn exit_now(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

fn defect(error: &tokio::task::JoinError) -> Error {
    Error::new(Kind::Defect, format!("this is a defect in windlass: {error}"))
        .hint("please report it with the command and the text above")
}

fn finish(
    reporter: &Reporter,
    name: &str,
    summary: Summary,
    error: Option<&Error>,
    began: Instant,
) -> ExitCode {
    let finished = finished(name, summary, error, began);
    let code = finished.exit_code;
    reporter.emit(&Event::Finished(finished));
    ExitCode::from(code)
}

fn finished(command: &str, summary: Summary, error: Option<&Error>, began: Instant) -> Finished {
    let (outcome, exit_code) =
        error.map_or((Outcome::Ok, 0), |error| (error.outcome(), error.kind().exit_code()));
    Finished {
        command: command.to_owned(),
        outcome,
        exit_code,
        stage: summary.stage.filter(|_| error.is_some()),
        images: summary.images,
        revision: summary.revision,
        rolled_back_to: summary.rolled_back_to,
        sent_back_to: summary.sent_back_to,
        causes: error.map(|error| error.failures().to_vec()).unwrap_or_default(),
        message: error.map(ToString::to_string),
        snippet: error.and_then(Error::excerpt).map(str::to_owned),
        hint: error.and_then(Error::advice).map(str::to_owned),
        url: summary.url,
        next: summary.next,
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
        directory: global.report(),
    }
}

/// For the engineers of windlass: `WINDLASS_LOG=windlass=debug` writes what the libraries do to standard
/// error. Off by default, since libraries log what people should not see.
fn log_to_stderr() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("WINDLASS_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}
