//! The command line: one file per command, with its arguments (whose doc comments are the help) and its call.
//! This file has what all commands share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{FalseyValueParser, Resettable};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::error::{Error, Kind, Result};
use crate::model::RunResult;
use crate::project::{self, Project, Tier, TierOverrides};
use crate::session::Session;
use crate::{git, secret};

mod complete;
mod help;
mod records;
mod run;
pub(crate) mod setup;
pub(crate) mod stages;
pub(crate) mod tier;
mod usage;

/// Where more is explained.
const TOPICS: &str =
    "`windlass help topics` lists what is explained besides: each cause, exit codes, secrets …";

/// Build, test, release and roll back a Git repository on Kubernetes.
///
/// The digest that is released is the digest that was tested; a failed release says why, and one command
/// brings the last good one back.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, max_term_width = 110, propagate_version = true)]
#[command(disable_help_subcommand = true)]
#[command(after_help = TOPICS, after_long_help = format!("{}\n{TOPICS}", help::exit_codes()))]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

impl Arguments {
    /// What was typed, and what the environment says of what was not.
    fn read(words: &[OsString]) -> std::result::Result<Self, clap::Error> {
        let mut command = with_environment(Self::command());
        let read = |matches: ArgMatches| Self::from_arg_matches(&matches);
        command.try_get_matches_from_mut(words).and_then(read).map_err(|error| error.format(&mut command))
    }
}

/// In jobs of CI variables may be there and empty: that is as if they were not.
fn with_environment(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(name) if is_empty(name) => argument.env(Resettable::Reset),
        _ => argument,
    });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_environment))
}

/// The options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Run as if started in this directory
    #[arg(short = 'C', value_name = "DIR", global = true, default_value = ".", hide_default_value = true)]
    directory: PathBuf,
    /// Read this file instead of windlass.yaml
    #[arg(long, value_name = "FILE", global = true, env = "WINDLASS_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// How to report
    #[arg(short, long, value_enum, global = true, default_value_t = Output::Auto, env = "WINDLASS_OUTPUT", hide_env_values = true)]
    output: Output,
    /// Write events.jsonl, junit.xml, report.html, windlass.env, annotations.json and the tests' reports to this directory
    #[arg(long, value_name = "DIR", global = true, env = "WINDLASS_REPORT", hide_env_values = true)]
    report: Option<PathBuf>,
    /// When to colour
    #[arg(long, value_enum, global = true, default_value_t = Color::Auto, env = "WINDLASS_COLOR", hide_env_values = true)]
    color: Color,
    /// Show only warnings, failures and results
    #[arg(short, long, global = true, conflicts_with = "verbose", env = "WINDLASS_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    quiet: bool,
    /// Show everything, successes included
    #[arg(short, long, global = true, env = "WINDLASS_VERBOSE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    verbose: bool,
    /// How long a rollout may take: 90s, 5m, 1h30m [default: the tier's, else 10m]
    #[arg(long, value_name = "DURATION", global = true, value_parser = duration, env = "WINDLASS_TIMEOUT", hide_env_values = true)]
    timeout: Option<Duration>,
    /// Answer every question with yes
    #[arg(long, global = true)]
    yes: bool,
}

impl Global {
    /// Where the reports go; relative to the directory of the run.
    fn report(&self) -> Option<PathBuf> {
        self.report.as_ref().map(|report| self.directory.join(report))
    }
}

/// How a run reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Choose terminal, gitlab, github or plain from the environment
    Auto,
    /// Live, with progress
    Terminal,
    /// A line when something changes
    Plain,
    /// As plain, in collapsible sections
    Gitlab,
    /// As plain, with groups, and errors and warnings annotated at their lines
    Github,
    /// One JSON object a line on standard output
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    /// If the terminal supports it and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands of the contract, in its order.
#[derive(Debug, Subcommand)]
enum Command {
    Pipeline(stages::pipeline::Pipeline),
    Build(stages::build::Build),
    Test(stages::test::Test),
    Release(stages::release::Release),
    Rollback(stages::rollback::Rollback),
    Plan(stages::plan::Plan),
    Status(self::tier::status::Status),
    History(self::tier::history::History),
    Logs(self::tier::logs::Logs),
    Remove(self::tier::remove::Remove),
    Adopt(self::tier::adopt::Adopt),
    Lock(self::tier::lock::Lock),
    Unlock(self::tier::unlock::Unlock),
    Explain(self::tier::explain::Explain),
    Render(stages::render::Render),
    Validate(stages::validate::Validate),
    Cleanup(setup::cleanup::Cleanup),
    Doctor(setup::doctor::Doctor),
    Init(setup::init::Init),
    Generate(setup::generate::Generate),
    Help(help::Help),
    Version(setup::version::Version),
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Pipeline(_) => "pipeline",
            Self::Build(_) => "build",
            Self::Test(_) => "test",
            Self::Release(_) => "release",
            Self::Rollback(_) => "rollback",
            Self::Plan(_) => "plan",
            Self::Status(_) => "status",
            Self::History(_) => "history",
            Self::Logs(_) => "logs",
            Self::Remove(_) => "remove",
            Self::Adopt(_) => "adopt",
            Self::Lock(_) => "lock",
            Self::Unlock(_) => "unlock",
            Self::Explain(_) => "explain",
            Self::Render(_) => "render",
            Self::Validate(_) => "validate",
            Self::Cleanup(_) => "cleanup",
            Self::Doctor(_) => "doctor",
            Self::Init(_) => "init",
            Self::Generate(_) => "generate",
            Self::Help(_) => "help",
            Self::Version(_) => "version",
        }
    }

    /// The command that these words name, also where they are wrong; empty where they name none.
    fn named_in(arguments: &[OsString]) -> &'static str {
        const NAMES: [&str; 22] = [
            "pipeline", "build", "test", "release", "rollback", "plan", "status", "history", "logs",
            "remove", "adopt", "lock", "unlock", "explain", "render", "validate", "cleanup", "doctor",
            "init", "generate", "help", "version",
        ];
        let known = |word: &OsString| NAMES.into_iter().find(|name| word == name);
        arguments.iter().skip(1).find_map(known).unwrap_or_default()
    }

    /// Whether the command is there for its answer, as opposed to one that does something.
    fn answers(&self) -> bool {
        match self {
            Self::Build(build) => build.answers(),
            Self::Rollback(rollback) => rollback.answers(),
            Self::Pipeline(_) | Self::Test(_) | Self::Release(_) => false,
            _ => true,
        }
    }

    /// Whether machines read its answer alone, as opposed to events and their end (contract, section 7).
    fn answers_machines(&self) -> bool {
        let alone = matches!(
            self,
            Self::Plan(_)
                | Self::Status(_)
                | Self::History(_)
                | Self::Explain(_)
                | Self::Render(_)
                | Self::Generate(_)
                | Self::Help(_)
                | Self::Version(_)
        );
        alone || matches!(self, Self::Build(_) | Self::Rollback(_)) && self.answers()
    }

    async fn run(self, run: &Run) -> Result<RunResult> {
        match self {
            Self::Pipeline(command) => return command.run(run).await,
            Self::Build(command) => return command.run(run).await,
            Self::Test(command) => return command.run(run).await,
            Self::Release(command) => return command.run(run).await,
            Self::Rollback(command) => return command.run(run).await,
            Self::Plan(command) => return command.run(run).await,
            Self::Render(command) => return command.run(run).await,
            Self::Adopt(command) => return command.run(run).await,
            Self::Status(command) => command.run(run).await,
            Self::History(command) => command.run(run).await,
            Self::Remove(command) => command.run(run).await,
            Self::Lock(command) => command.run(run).await,
            Self::Unlock(command) => command.run(run).await,
            Self::Logs(command) => command.run(run).await,
            Self::Explain(command) => command.run(run).await,
            Self::Validate(command) => command.run(run).await,
            Self::Init(command) => command.run(run).await,
            Self::Doctor(command) => command.run(run).await,
            Self::Generate(command) => command.run(run),
            Self::Help(command) => command.run(run),
            Self::Version(_) => {
                setup::version::Version::run(run);
                Ok(())
            }
            Self::Cleanup(command) => command.run(run).await,
        }
        .map(|()| RunResult::default())
    }
}

/// What a command is handed: the run and the global options.
pub(crate) struct Run {
    session: Session,
    global: Global,
    /// What was typed behind the program's name.
    words: Vec<String>,
}

impl Run {
    /// The project around the directory of the run. Nothing shows its secrets from now on.
    fn project(
        &self,
        registry: Option<&str>,
        vars: &[(String, String)],
        name: Option<&str>,
    ) -> Result<Project> {
        let registry = registry.map(str::to_owned);
        let project =
            git::open_project(&project::Options { registry, vars: vars.to_vec(), ..self.options(name) })?;
        secret::hide_at_hand(&project, &self.session.reporter);
        Ok(project)
    }

    /// As [`Run::project`], for commands that need the cluster's records only.
    fn project_for_records(&self, name: Option<&str>) -> Result<Project> {
        git::open_project(&project::Options { for_records: true, ..self.options(name) })
    }

    /// A path of the command line, good from anywhere.
    fn path(&self, path: &Path) -> PathBuf {
        let path = self.global.directory.join(path);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Where the project is.
    fn options(&self, name: Option<&str>) -> project::Options {
        project::Options {
            directory: self.global.directory.clone(),
            config: self.global.config.clone(),
            project: name.map(str::to_owned),
            report: self.global.report(),
            ..project::Options::default()
        }
    }
}

/// A tier and what may override the configuration's word on it.
#[derive(Debug, Clone, Args)]
struct TierArguments {
    /// The tier: staging, production, review/feature-x …
    #[arg(value_name = "TIER", add = complete::tiers())]
    tier: String,
    #[command(flatten)]
    overrides: TierOverrideArguments,
}

/// What may override the configuration's word on a tier.
#[derive(Debug, Clone, Args)]
struct TierOverrideArguments {
    /// The project's name, instead of the configuration's or the Git remote's
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// The context of the kubeconfig, instead of the tier's
    #[arg(long, value_name = "CONTEXT", add = complete::contexts())]
    context: Option<String>,
    /// The namespace, instead of the tier's; may have `${WINDLASS_SLUG}`
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The kubeconfig, instead of KUBECONFIG and ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl TierOverrideArguments {
    fn given(&self) -> [(&'static str, bool); 4] {
        [
            ("--project", self.project.is_some()),
            ("--context", self.context.is_some()),
            ("--namespace", self.namespace.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
        ]
    }

    /// Whether a cluster or a namespace was named.
    fn is_given(&self) -> bool {
        self.context.is_some() || self.namespace.is_some() || self.kubeconfig.is_some()
    }

    /// A dump is of no tier: what would override one is refused, not ignored.
    fn refuse_with_a_dump(&self) -> Result<()> {
        let given = self.given();
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(Error::new(Kind::Usage, format!("{flag} does not apply to a dump"))),
            None => Ok(()),
        }
    }

    fn tier(&self, run: &Run, project: &Project, name: &str) -> Result<Tier> {
        let overrides = TierOverrides {
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            kubeconfig: self.kubeconfig.as_ref().map(|file| run.path(file)),
        };
        let mut tier = project.tier(name, &overrides)?;
        run.session.reporter.name_tier(&tier.name);
        if let Some(timeout) = run.global.timeout {
            tier.timeout = timeout;
        }
        Ok(tier)
    }
}

/// What decides the content of manifests and images besides the repository.
#[derive(Debug, Clone, Args)]
struct SourceArguments {
    /// The registry that images are pushed to, as `host/path`, instead of the configuration's
    #[arg(long, value_name = "REGISTRY", env = "WINDLASS_REGISTRY")]
    registry: Option<String>,
    /// Set a variable for the manifests; may be given several times
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    vars: Vec<(String, String)>,
}

impl SourceArguments {
    fn project(&self, run: &Run, name: Option<&str>) -> Result<Project> {
        run.project(self.registry.as_deref(), &self.vars, name)
    }

    /// As [`SourceArguments::project`], for what is done with the commit: in a job of CI it must be the job's, and what
    /// differs from it is known.
    async fn commit(&self, run: &Run, name: Option<&str>) -> Result<Project> {
        at_commit(run, self.project(run, name)?).await
    }
}

async fn at_commit(run: &Run, project: Project) -> Result<Project> {
    project.check_checkout()?;
    crate::build::compared(&run.session, project).await
}

fn variable(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, _)) if name.starts_with("WINDLASS_") => {
            Err(format!("{name} is reserved: names that begin with WINDLASS_ are windlass's own"))
        }
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    crate::text::duration(text).map_err(|error| error.message)
}

/// Runs the program with these arguments (the first is its own name) and gives its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run::main(&arguments.into_iter().collect::<Vec<_>>())
}
