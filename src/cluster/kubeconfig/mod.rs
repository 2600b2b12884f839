//! The kubeconfig, and nothing but it: no in-cluster configuration (inside a CI runner's pod that would be
//! the runner's own cluster) and no current context (which is whatever somebody last worked with).

pub(crate) mod authorization;
pub(crate) mod credentials;
pub(crate) mod endpoint;

use std::io::{IsTerminal as _, stdin};
use std::path::{Path, PathBuf};

use kube::config::{
    AuthInfo, Cluster, Config, ExecAuthCluster, ExecInteractiveMode, Kubeconfig, KubeconfigError,
};

use crate::cluster::kubeconfig::authorization::Authorization;

use crate::error::{Error, Kind, Result};
use crate::report::Reporter;

/// What a context leads to.
pub(crate) struct Access {
    /// The server, and everything but what [`Authorization`] has.
    pub(crate) config: Config,
    /// The context's name.
    pub(crate) context: String,
    /// Who we are there.
    pub(crate) authorization: Authorization,
}

/// The first of these contexts that the kubeconfig has; `file` is read instead of what the environment names. Where the
/// kubeconfig names a credential program, that is run. No output shows from then on what proves who we are.
pub(crate) async fn load(contexts: &[String], file: Option<&Path>, reporter: &Reporter) -> Result<Access> {
    let files = file.map_or_else(files, |file| vec![file.to_path_buf()]);
    let kubeconfig = read(&files)?;
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let Some(context) = contexts.iter().find(|wanted| known.contains(wanted)) else {
        return Err(no_context(contexts, &known, &files));
    };
    let (cluster, mut user) = chosen(kubeconfig, context)?;
    credentials::hide(&user, reporter);
    forbid_prompts(&mut user);
    let mut config = endpoint::config(&cluster, context)?;
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let cluster = ExecAuthCluster::try_from(&cluster)
            .map_err(|_| broken(context, "its `certificate-authority` cannot be read"))?;
        exec.cluster = Some(cluster);
    }
    let authorization = Authorization::take(&mut user, context, reporter).await?;
    endpoint::identify(&mut user, context)?;
    config.auth_info = user;
    config.default_retry = false;
    Ok(Access { config, context: context.clone(), authorization })
}

/// The cluster and the user of a context.
pub(crate) fn chosen(kubeconfig: Kubeconfig, name: &str) -> Result<(Cluster, AuthInfo)> {
    let context = kubeconfig.contexts.into_iter().find(|context| context.name == name);
    let context = context.and_then(|context| context.context).ok_or_else(|| {
        let message = format!("the context `{name}` of the kubeconfig is empty");
        Error::new(Kind::Invalid, message).with_hint("it needs a `cluster` and a `user`")
    })?;
    let cluster = kubeconfig.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster).ok_or_else(|| {
        let cluster = &context.cluster;
        let message =
            format!("the context `{name}` names the cluster `{cluster}`, which the kubeconfig does not have");
        Error::new(Kind::Invalid, message)
    })?;
    // As kubectl: whom it does not have, or does not name, is nobody.
    let user = context.user.unwrap_or_default();
    let user = kubeconfig.auth_infos.into_iter().find(|one| one.name == user);
    Ok((cluster, user.and_then(|user| user.auth_info).unwrap_or_default()))
}

/// The error of a context of which this cannot be used.
pub(crate) fn broken(context: &str, what: &str) -> Error {
    let message = format!("the context `{context}` of the kubeconfig cannot be used: {what}");
    Error::new(Kind::Invalid, message)
}

/// The contexts of the kubeconfig: for a new configuration, and for nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contexts {
    /// In the order of the files.
    pub names: Vec<String>,
    /// What it calls its current context, if it has that.
    pub current: Option<String>,
}

/// The contexts of the environment's kubeconfig.
///
/// # Errors
/// [`Kind::Invalid`] for one that does not exist or cannot be read.
pub fn contexts() -> Result<Contexts> {
    let kubeconfig = read(&files())?;
    let names: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let current = kubeconfig.current_context.filter(|current| names.contains(current));
    Ok(Contexts { names, current })
}

/// The files that make up the kubeconfig: `KUBECONFIG` is a list, `~/.kube/config` the default.
fn files() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => std::env::split_paths(&list).filter(|file| !file.as_os_str().is_empty()).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube").join("config")).into_iter().collect(),
    }
}

/// Reads and merges the files; one that does not exist is skipped, as kubectl does.
fn read(files: &[PathBuf]) -> Result<Kubeconfig> {
    let mut merged: Option<Kubeconfig> = None;
    for file in files.iter().filter(|file| file.exists()) {
        let unreadable = |why: String| {
            Error::new(Kind::Invalid, format!("the kubeconfig {} cannot be read: {why}", file.display()))
        };
        let bytes = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        let directory = file.parent().unwrap_or(Path::new(""));
        let next = parse(&bytes, directory).map_err(unreadable)?;
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(|error| {
                Error::new(Kind::Invalid, format!("the kubeconfig {}: {}", file.display(), error))
            })?,
        });
    }
    merged.ok_or_else(|| {
        Error::new(Kind::Invalid, format!("there is no kubeconfig: {} does not exist", paths(files)))
            .with_hint(no_kubeconfig(std::env::var_os("GITLAB_CI").is_some()))
    })
}

fn no_kubeconfig(is_gitlab_job: bool) -> &'static str {
    if is_gitlab_job {
        "give the job a kubeconfig: a CI/CD variable KUBECONFIG of the type File, or GitLab's agent"
    } else {
        "set KUBECONFIG or --kubeconfig to the file that describes the cluster"
    }
}

fn no_context(wanted: &[String], known: &[String], files: &[PathBuf]) -> Error {
    let wanted = wanted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let message = format!("the kubeconfig ({}) has no context {wanted}", paths(files));
    let hint = if known.is_empty() {
        "it has no contexts at all; is KUBECONFIG set to the right file?".to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    };
    Error::new(Kind::Invalid, message).with_hint(hint)
}

fn paths(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A kubeconfig from the bytes of a file in this directory, where its relative paths begin.
///
/// # Errors
/// One sentence without any part of the text, which holds credentials.
pub(crate) fn parse(bytes: &[u8], directory: &Path) -> Result<Kubeconfig, String> {
    let text = decode(bytes).ok_or("it is not text")?;
    let mut kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| match error {
        KubeconfigError::Parse(error) => error.location().map_or_else(
            || "it is not a kubeconfig".to_owned(),
            |place| format!("it is not a kubeconfig (line {}, column {})", place.line(), place.column()),
        ),
        other => other.to_string(),
    })?;
    let absolute = |path: &mut Option<String>| {
        if let Some(path) = path.as_mut().filter(|path| !path.is_empty()) {
            *path = directory.join(path.as_str()).to_string_lossy().into_owned();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        // A name alone is looked for in the PATH.
        if let Some(exec) =
            user.exec.as_mut().filter(|exec| exec.command.iter().any(|name| name.contains('/')))
        {
            absolute(&mut exec.command);
        }
    }
    Ok(kubeconfig)
}

/// Text as editors of every system save it; `None` for what is none.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let text = String::from_utf16(&units.iter().map(|two| unit(*two)).collect::<Vec<_>>()).ok();
        text.filter(|_| rest.is_empty())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => String::from_utf8(rest.to_vec()).ok(),
    }
}

/// Without a terminal nobody can answer a credential program.
fn forbid_prompts(user: &mut AuthInfo) {
    if let Some(exec) = user.exec.as_mut().filter(|_| !stdin().is_terminal()) {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
}

/// Whether the environment says that this host is reached directly.
pub(crate) fn without_proxy(host: &str) -> bool {
    let list = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
    is_excluded(host, &list)
}

/// As Go does: loopback is never proxied; `*`, a host, a domain with or without a leading dot, an address.
fn is_excluded(host: &str, list: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let name = entry.trim_start_matches("*.").trim_start_matches('.');
        entry == "*"
            || host == name
            || address.is_none() && host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
            || address.is_some_and(|address| in_network(address, entry))
    })
}

/// Whether an address lies in a network like `10.0.0.0/8`.
fn in_network(address: std::net::IpAddr, network: &str) -> bool {
    use std::net::IpAddr;
    let Some((base, bits)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            bits <= 32 && (u32::from(a) ^ u32::from(b)).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            bits <= 128 && (u128::from(a) ^ u128::from(b)).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gets_its_kubeconfig_from_gitlab() {
        assert!(no_kubeconfig(true).contains("CI/CD variable KUBECONFIG of the type File"));
        assert!(no_kubeconfig(false).contains("--kubeconfig"));
    }

    #[test]
    fn no_proxy_is_about_the_api_server() {
        assert!(is_excluded("127.0.0.1", ""));
        assert!(is_excluded("10.1.2.3", "example.com, 10.0.0.0/8"));
        assert!(!is_excluded("11.1.2.3", "10.0.0.0/8"));
        assert!(is_excluded("api.example.com", ".example.com"));
        assert!(is_excluded("example.com", "example.com"));
        assert!(!is_excluded("badexample.com", "example.com"));
        assert!(is_excluded("anything", "*"));
    }

    #[test]
    fn a_missing_context_names_those_that_exist() {
        let error = no_context(&["prod".into()], &["lab".into(), "dev".into()], &["/k".into()]);
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.message(), "the kubeconfig (/k) has no context `prod`");
        assert_eq!(error.hint(), Some("it has: lab, dev"));
    }
}
