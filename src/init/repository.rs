//! What is known around a repository: where its images may go, which branch others begin from, which clusters there are.

use std::path::PathBuf;

use crate::cluster::{self, Contexts};
use crate::error::{Error, Kind, Result};
use crate::git;
use crate::project::Project;
use crate::report::prompt;
use crate::report::view::setup::init::FirstFiles;
use crate::session::Session;
use crate::text::nearest;
use crate::text::remote::RemoteAddress;

/// How the registry is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registry {
    /// `host/path`
    pub(super) address: String,
    /// Whether GitLab's own variable goes before it: a fork has a registry of its own.
    pub(super) is_of_gitlab: bool,
}

/// The name of the project, and where it comes from.
pub(super) fn name(project: &Project, notes: &mut FirstFiles) {
    let from = if git::origin(&project.root).is_some() { "from `origin`" } else { "from the directory" };
    notes.find(
        "project".to_owned(),
        format!("{}, {from}; `project:` in windlass.yaml changes it", project.name),
    );
}

/// The registry that was named, else the one that belongs to `origin`, else the one that a file of the manifests names; `None`
/// where nobody can know it.
pub(super) fn registry(
    project: &Project,
    of_manifests: Option<(String, PathBuf)>,
    notes: &mut FirstFiles,
) -> Option<Registry> {
    let origin = git::origin(&project.root);
    if let Some(address) = project.registry.clone() {
        notes.find("registry".to_owned(), format!("{address}, as named"));
        return Some(Registry { address, is_of_gitlab: false });
    }
    if let Some(registry) = origin.as_deref().and_then(of_origin) {
        notes.find("registry".to_owned(), format!("{}, from `origin`", registry.address));
        return Some(registry);
    }
    let (address, file) = of_manifests?;
    notes.find("registry".to_owned(), format!("{address}, in {}", file.display()));
    Some(Registry { address, is_of_gitlab: false })
}

/// The registries that are the same for every project of a host. Where a GitLab of one's own has it, its administrator decides.
fn of_origin(origin: &str) -> Option<Registry> {
    let RemoteAddress { host, path } = RemoteAddress::read(origin);
    let (host, path) = (host?.to_lowercase(), path.to_lowercase());
    let (address, is_of_gitlab) = match host.as_str() {
        "gitlab.com" => (format!("registry.gitlab.com/{path}"), true),
        "github.com" => (format!("ghcr.io/{path}"), false),
        _ => return None,
    };
    let is_one = format!("{address}/app").parse::<crate::model::Reference>().is_ok();
    (is_one && !path.is_empty()).then_some(Registry { address, is_of_gitlab })
}

/// The branch that production is released from.
pub(super) fn default_branch(project: &Project, notes: &mut FirstFiles) -> String {
    let branch = git::default_branch(&project.root).unwrap_or_else(|| "main".to_owned());
    notes.find("branch".to_owned(), format!("{branch}: production is released from it"));
    branch
}

/// The context of the kubeconfig that the tiers get: the one given, the only one, the one that whoever sits at the terminal
/// chooses, or the current one.
///
/// # Errors
/// [`Kind::Invalid`] for a kubeconfig that cannot be read, and where no context is known.
pub(super) async fn context(
    session: &Session,
    given: Option<&str>,
    notes: &mut FirstFiles,
) -> Result<String> {
    let known = cluster::contexts();
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        let names = known.map(|known| known.names).unwrap_or_default();
        if !names.iter().any(|name| name == given) && !names.is_empty() {
            let near = nearest(given, names.iter().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            session.reporter.warn(format!("your kubeconfig has no context `{given}`{near}"));
        }
        notes.find("context".to_owned(), format!("{given}, as named"));
        return Ok(given.to_owned());
    }
    let Contexts { names, current } = known.map_err(|error| error.with_hint(NAME_IT))?;
    let chosen = match names.as_slice() {
        [] => return Err(Error::new(Kind::Invalid, "the kubeconfig has no contexts").with_hint(NAME_IT)),
        [only] => Some(only.clone()),
        _ if prompt::is_possible() => Some(ask(session, &names, current.as_deref()).await?),
        _ => current,
    };
    let Some(context) = chosen else {
        let error = Error::new(Kind::Invalid, "the kubeconfig has several contexts and no current one");
        return Err(error.with_hint(format!("--context NAME; it has: {}", names.join(", "))));
    };
    let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != context).collect();
    let others =
        if others.is_empty() { String::new() } else { format!(" (there are also: {})", others.join(", ")) };
    notes.find("context".to_owned(), format!("{context}{others}"));
    Ok(context)
}

/// What to do where no kubeconfig says it.
const NAME_IT: &str =
    "--context NAME says which one the jobs will have, such as `group/agents:staging` of a GitLab agent";

async fn ask(session: &Session, names: &[String], current: Option<&str>) -> Result<String> {
    let default = current.map(|current| format!(" [{current}]")).unwrap_or_default();
    let question = format!(
        "The kubeconfig has these contexts: {}\nWhich one should be released to?{default} ",
        names.join(", ")
    );
    let answer =
        session.unless_cancelled(async { Ok(prompt::line(&session.reporter, &question).await) }).await?;
    let answer = Some(answer).filter(|answer| !answer.is_empty()).or_else(|| current.map(str::to_owned));
    match answer {
        Some(name) if names.contains(&name) => Ok(name),
        Some(name) => Err(Error::new(Kind::Invalid, format!("the kubeconfig has no context `{name}`"))
            .with_hint(format!("it has: {}", names.join(", ")))),
        None => Err(Error::new(Kind::Invalid, "no context was chosen").with_hint("--context NAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_a_known_host_is_known_from_origin() {
        let address = |origin: &str| of_origin(origin).map(|registry| registry.address);
        for origin in [
            "git@gitlab.com:Group/shop.git",
            "https://oauth2:t0k3n@gitlab.com/group/shop.git",
            "ssh://git@gitlab.com:22/group/shop/",
        ] {
            assert_eq!(address(origin).as_deref(), Some("registry.gitlab.com/group/shop"), "{origin}");
        }
        assert_eq!(address("https://github.com/Nora/shop").as_deref(), Some("ghcr.io/nora/shop"));
        for origin in [
            "git@gitlab.example.com:group/shop.git",
            "/srv/shop.git",
            "https://gitlab.com",
            "https://gitlab.com/",
            "",
        ] {
            assert_eq!(address(origin), None, "{origin}");
        }
    }
}
