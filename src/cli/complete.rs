//! What a shell offers at TAB: the names in windlass.yaml, and what the records of a tier name.
//!
//! The script of `windlass generate completions` runs `COMPLETE=<shell> windlass -- WORDS…` each time. A person waits for
//! it in the middle of a command line and sees nothing but candidates: of a broken configuration, and of a cluster that
//! does not respond soon, there are none.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::{Arguments, Global, Run, TierOverrideArguments, with_environment};
use crate::error::Result;
use crate::project::{Project, Tier};
use crate::report::Reporter;
use crate::report::view::history::Entry;
use crate::session::Session;
use crate::text::display;
use crate::{cluster, program, tier};

/// The variable by which a shell asks.
pub(super) const VARIABLE: &str = "COMPLETE";
/// How long a cluster is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether a shell asks. Any other value is of a variable that somebody else named so.
pub(super) fn is_asked() -> bool {
    let value = std::env::var_os(VARIABLE).unwrap_or_default();
    let name = Path::new(&value).file_stem().unwrap_or_default().to_string_lossy();
    Shells::builtins().completer(&name).is_some()
}

/// Answers the shell; without words, with the script by which it asks.
pub(super) fn answer(arguments: &[OsString]) -> ExitCode {
    silence();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = std::env::current_dir().ok();
    let shell = CompleteEnv::with_factory(Arguments::command).var(VARIABLE);
    let answered = shell.try_complete(arguments.iter().cloned(), directory.as_deref());
    program::end_all(Duration::ZERO);
    if answered.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Credential programs must neither ask nor say anything on somebody's command line.
fn silence() {
    if let Ok(nothing) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
}

/// The script that makes a shell ask.
pub(super) fn script(shell: &str) -> std::io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let unknown = || std::io::Error::other(format!("no completions for {shell}"));
    let mut script = Vec::new();
    let program = "windlass";
    let shell = shells.completer(shell).ok_or_else(unknown)?;
    shell.write_registration(VARIABLE, program, program, program, &mut script)?;
    if shell.name() == "zsh" {
        // In a directory of functions the file is the function itself, and called at the first TAB.
        script.extend(b"\n[[ ${funcstack[1]} == _windlass ]] && _clap_dynamic_completer_windlass \"$@\"\n");
    }
    Ok(script)
}

/// Words that are known without a configuration.
pub(super) fn words(known: impl Fn() -> Vec<String> + Send + Sync + 'static) -> ArgValueCandidates {
    ArgValueCandidates::new(move || candidates(known()))
}

/// The tiers of windlass.yaml. Of `review/*` what stands before the asterisk.
pub(super) fn tiers() -> ArgValueCandidates {
    of_project(|project| {
        let names = project.config.tiers.keys();
        names.map(|name| name.strip_suffix('*').unwrap_or(name).to_owned()).collect()
    })
}

/// The names and patterns of the tiers of the windlass.yaml that a command line means.
pub(super) fn tiers_of(words: &[OsString]) -> Vec<String> {
    let project = read(words.iter().cloned()).and_then(|(run, _)| run.project_for_records(None).ok());
    project.map(|project| project.config.tiers.keys().cloned().collect()).unwrap_or_default()
}

/// The images of windlass.yaml.
pub(super) fn images() -> ArgValueCandidates {
    of_project(|project| project.config.images.keys().cloned().collect())
}

/// The tests of windlass.yaml.
pub(super) fn tests() -> ArgValueCandidates {
    of_project(|project| project.config.tests.keys().cloned().collect())
}

/// The contexts of the kubeconfig.
pub(super) fn contexts() -> ArgValueCandidates {
    words(|| cluster::contexts().map(|contexts| contexts.names).unwrap_or_default())
}

/// The good releases of the tier, newest first.
pub(super) fn revisions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let history =
            of_tier(async |run, project, tier| tier::history(&run.session, &project.name, tier, None).await);
        let releases = history.unwrap_or_default().into_iter().filter_map(|entry| match entry {
            Entry::Release { release, .. } if release.is_good() => Some(release),
            _ => None,
        });
        let described = releases.map(|release| {
            let words = display::plain(&release.in_brief()).into_owned();
            CompletionCandidate::new(release.revision.to_string()).help(Some(words.into()))
        });
        described.collect()
    })
}

/// The objects of the tier that may have pods, as `Deployment/web`.
pub(super) fn objects() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let objects =
            of_tier(async |run, project, tier| tier::logs::objects(&run.session, &project.name, tier).await);
        candidates(objects.unwrap_or_default())
    })
}

fn of_project(names: impl Fn(&Project) -> Vec<String> + Send + Sync + 'static) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let project = typed().and_then(|(run, _)| run.project_for_records(None).ok());
        candidates(project.map(|project| names(&project)).unwrap_or_default())
    })
}

/// What the cluster of the tier that was typed says within [`PATIENCE`].
fn of_tier<T>(ask: impl AsyncFnOnce(&Run, &Project, &Tier) -> Result<T>) -> Option<T> {
    let (run, command) = typed()?;
    let overrides = TierOverrideArguments::from_arg_matches(&command).ok()?;
    let name = command.try_get_one::<String>("tier").ok()??;
    let (project, tier) = overrides.open(&run, name).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(&run, &project, &tier)).await });
    // A name that is being looked up need not be waited for.
    runtime.shutdown_background();
    asked.ok()?.ok()
}

/// What stands on the command line so far, as far as it is right: the global options, and the command's own.
fn typed() -> Option<(Run, ArgMatches)> {
    read(std::env::args_os().skip_while(|word| word != "--").skip(1))
}

fn read(words: impl Iterator<Item = OsString>) -> Option<(Run, ArgMatches)> {
    let command = with_environment(Arguments::command()).ignore_errors(true);
    let matches = command.try_get_matches_from(words).ok()?;
    let global = Global::from_arg_matches(&matches).ok()?;
    let run = Run { session: Session::new(Reporter::silent()), global, words: Vec::new() };
    Some((run, matches.subcommand()?.1.clone()))
}

/// Words that mean nothing to a shell: others would be taken apart, or obeyed once the line is sent off.
fn candidates(words: Vec<String>) -> Vec<CompletionCandidate> {
    let is_plain = |one: char| one.is_alphanumeric() || "-_./:@%+=,".contains(one);
    let is_word = |word: &String| !word.is_empty() && word.chars().all(is_plain);
    words.into_iter().filter(is_word).map(CompletionCandidate::new).collect()
}
