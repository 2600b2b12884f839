//! Which renderer the reader needs: chosen by the flags, else by what standard error and the environment are.

use std::io::{IsTerminal, Stderr, Stdout, stderr, stdout};
use std::path::{Path, PathBuf};

use anstream::{AutoStream, ColorChoice};

use super::json::Json;
use super::sink::Sink;
use super::{Renderer, Reporter};
use crate::error::Result;
use crate::report::files::Directory;
use crate::report::files::github::StepFiles;
use crate::report::live::github::Workspace;
use crate::report::live::plain::Plain;
use crate::report::live::screen::ProgressScreen;
use crate::report::live::terminal::Terminal;

/// How to report.
#[derive(Debug, Clone, Default)]
pub struct OutputOptions {
    /// For which kind of reader.
    pub format: Format,
    /// With colour or without.
    pub color: Color,
    /// How much.
    pub verbosity: Verbosity,
    /// Whether the command is there for its answer (`plan`, `status`, `history`, `explain`, `render` …), as
    /// opposed to one that does something. Then a good end says nothing more, and with [`Format::Json`] the
    /// answer is all that stands on standard output; only where there was none the `finished` line says why.
    pub answering: bool,
    /// As `answering`, of what a machine reads: the files of `--report` are the same whatever the screen shows.
    pub answering_machines: bool,
    /// The directory of the run: what files are named from.
    pub start: PathBuf,
    /// Where to leave the run in files as well: `events.jsonl`, `junit.xml`, `report.html`, `windlass.env`, `annotations.json`.
    pub directory: Option<PathBuf>,
}

/// The kinds of readers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A terminal where standard error is one, GitLab's or GitHub's log inside such a job, else a plain log.
    #[default]
    Auto,
    /// Lines that move while something runs.
    Terminal,
    /// A log that only grows.
    Plain,
    /// A log that only grows, with GitLab's collapsible sections.
    Gitlab,
    /// A log that only grows, with GitHub's groups, and errors and warnings at their lines.
    Github,
    /// One JSON object a line on standard output.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// Where it can be seen, unless `NO_COLOR` is set; `CLICOLOR_FORCE` forces it.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// How much to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings, failures and answers.
    Quiet,
    /// What changes.
    #[default]
    Normal,
    /// Also the progress of steps and, on a terminal, the logs of steps that go well.
    Verbose,
}

/// Starts to report on this process's standard streams, and into the directory where one is asked for.
///
/// # Errors
/// [`Kind::Usage`](crate::error::Kind::Usage) where the directory cannot be written; [`streams`] can say so.
pub fn start(options: &OutputOptions) -> Result<Reporter> {
    let mut renderers = vec![renderer(options)];
    renderers.extend(step(options));
    if let Some(path) = &options.directory {
        let color = people_color(options, resolve_here(options));
        let directory = Directory::open(path, options.answering_machines, people(color))?;
        renderers.push(Box::new(directory));
    }
    Ok(Reporter::new(renderers))
}

/// Reports into a directory only.
///
/// # Errors
/// As [`start`].
pub fn files(directory: &Path) -> Result<Reporter> {
    Ok(Reporter::new(vec![Box::new(Directory::open(directory, false, Sink::new(std::io::sink(), false))?)]))
}

/// Starts to report on this process's standard streams only.
pub fn streams(options: &OutputOptions) -> Reporter {
    Reporter::new(vec![renderer(options)])
}

/// What a step of GitHub leaves in files.
fn step(options: &OutputOptions) -> Option<Box<dyn Renderer>> {
    let file = |name| variable(name).map(PathBuf::from).filter(|_| in_github());
    let people = people(people_color(options, resolve_here(options)));
    let step = StepFiles::new(
        file("GITHUB_STEP_SUMMARY"),
        file("GITHUB_OUTPUT"),
        options.answering_machines,
        people,
    )?;
    Some(Box::new(step))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether GitHub's runner reads the standard streams.
fn in_github() -> bool {
    variable("GITHUB_ACTIONS").is_some_and(|word| word == "true")
}

/// Standard error.
fn people(color: bool) -> Sink {
    Sink::new(stderr(), color).for_github(in_github())
}

/// Where the files of the run lie.
fn workspace(options: &OutputOptions) -> Workspace {
    let whole = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let directory = whole(options.start.clone());
    let root = variable("GITHUB_WORKSPACE").map_or_else(|| directory.clone(), |root| whole(root.into()));
    Workspace { directory, root }
}

fn renderer(options: &OutputOptions) -> Box<dyn Renderer> {
    let format = resolve_here(options);
    let color = people_color(options, format);
    let answers = color_on(
        options.color,
        Format::Plain,
        |name| std::env::var(name).ok(),
        || AutoStream::<Stdout>::choice(&stdout()) != ColorChoice::Never,
    );
    let people = people(color);
    let answers = Sink::new(stdout(), answers);
    let (verbosity, answering) = (options.verbosity, options.answering);
    match format {
        Format::Terminal => Box::new(
            Terminal::new(ProgressScreen::new(), people, answers, color, verbosity).answering(answering),
        ),
        Format::Gitlab => {
            Box::new(Plain::new(people, answers, verbosity).answering(answering).with_sections())
        }
        Format::Github => {
            let plain = Plain::new(people, answers, verbosity).answering(answering);
            Box::new(plain.for_github(workspace(options)))
        }
        Format::Json => Box::new(Json::new(Sink::new(stdout(), true), people, answering)),
        Format::Auto | Format::Plain => Box::new(Plain::new(people, answers, verbosity).answering(answering)),
    }
}

fn resolve_here(options: &OutputOptions) -> Format {
    resolve(options, stderr().is_terminal(), |name| std::env::var(name).ok())
}

/// Whether standard error has colour.
fn people_color(options: &OutputOptions, format: Format) -> bool {
    color_on(
        options.color,
        format,
        |name| std::env::var(name).ok(),
        || AutoStream::<Stderr>::choice(&stderr()) != ColorChoice::Never,
    )
}

/// The format that `auto` means for this reader, and what a quiet or an answering command makes of it.
fn resolve(options: &OutputOptions, terminal: bool, env: impl Fn(&str) -> Option<String>) -> Format {
    let set = |name| env(name).is_some_and(|value| !value.is_empty());
    let format = match options.format {
        Format::Auto if terminal && env("TERM").is_some_and(|term| term != "dumb") => Format::Terminal,
        Format::Auto if set("CI_PIPELINE_ID") && set("CI_SERVER_URL") => Format::Gitlab,
        Format::Auto if env("GITHUB_ACTIONS").is_some_and(|word| word == "true") => Format::Github,
        Format::Auto => Format::Plain,
        format => format,
    };
    match format {
        // indicatif draws nothing where there is no terminal; asked for by name it must not be silent.
        Format::Terminal if !terminal => Format::Plain,
        Format::Terminal | Format::Gitlab if options.verbosity == Verbosity::Quiet => Format::Plain,
        format => format,
    }
}

fn color_on(
    color: Color,
    format: Format,
    env: impl Fn(&str) -> Option<String>,
    auto: impl FnOnce() -> bool,
) -> bool {
    let set = |name| env(name).is_some_and(|value| !value.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        // These jobs have no terminal, but their logs show colours.
        Color::Auto if matches!(format, Format::Gitlab | Format::Github) => !set("NO_COLOR"),
        Color::Auto => auto(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(terminal: bool, env: &[(&str, &str)]) -> Format {
        resolve(&OutputOptions::default(), terminal, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_reader_is_recognised() {
        let gitlab = [("CI_PIPELINE_ID", "1"), ("CI_SERVER_URL", "https://gitlab.test")];
        assert_eq!(auto(true, &[("TERM", "xterm")]), Format::Terminal);
        assert_eq!(auto(true, &[("TERM", "dumb")]), Format::Plain);
        assert_eq!(auto(true, &[]), Format::Plain);
        assert_eq!(auto(false, &[("TERM", "xterm")]), Format::Plain);
        assert_eq!(auto(false, &gitlab), Format::Gitlab);
        assert_eq!(auto(false, &[("GITHUB_ACTIONS", "true")]), Format::Github);
        assert_eq!(auto(false, &[("GITHUB_ACTIONS", "")]), Format::Plain);
        // gitlab-ci-local sets some variables to nothing: empty means unset.
        assert_eq!(auto(false, &[("CI_PIPELINE_ID", ""), gitlab[1]]), Format::Plain);
    }

    #[test]
    fn quiet_needs_no_sections_and_no_spinner() {
        let quiet =
            |format| OutputOptions { format, verbosity: Verbosity::Quiet, ..OutputOptions::default() };
        assert_eq!(resolve(&quiet(Format::Terminal), true, |_| None), Format::Plain);
        assert_eq!(resolve(&quiet(Format::Gitlab), false, |_| None), Format::Plain);
        assert_eq!(resolve(&quiet(Format::Json), false, |_| None), Format::Json);
        assert_eq!(resolve(&quiet(Format::Github), false, |_| None), Format::Github, "errors stand at lines");
    }

    #[test]
    fn a_gitlab_job_has_colour_unless_told_otherwise() {
        let none = |_: &str| None;
        let no_color = |name: &str| (name == "NO_COLOR").then(|| "1".to_owned());
        assert!(color_on(Color::Auto, Format::Gitlab, none, || false));
        assert!(!color_on(Color::Auto, Format::Gitlab, no_color, || true));
        assert!(color_on(Color::Always, Format::Plain, no_color, || false));
        assert!(!color_on(Color::Never, Format::Gitlab, none, || true));
    }
}
