//! The kubeconfig, and nothing but it: no in-cluster configuration (inside a CI runner's pod that would be
//! the runner's own cluster) and no current context (which is whatever somebody last worked with).

use std::io::{IsTerminal as _, stdin};
use std::path::PathBuf;

use kube::config::{Config, ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::error::{Error, Kind, Result};

/// The configuration of the first of these contexts that the kubeconfig has, and its name.
pub(super) async fn load(contexts: &[String]) -> Result<(Config, String)> {
    let files = files();
    let mut kubeconfig = read(&files)?;
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let Some(context) = contexts.iter().find(|wanted| known.contains(wanted)) else {
        return Err(no_context(contexts, &known, &files));
    };
    forbid_prompts(&mut kubeconfig);
    let drop_proxy = proxy_comes_from_environment(&kubeconfig, context);
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| broken(&error, context))?;
    config.default_retry = false;
    // kube compares NO_PROXY with the proxy's own address; it is the API server's that counts.
    if drop_proxy && config.cluster_url.host().is_some_and(without_proxy) {
        config.proxy_url = None;
    }
    Ok((config, context.clone()))
}

/// What the kubeconfig calls its current context: a first guess for a new configuration, and for nothing else.
pub fn current_context() -> Option<String> {
    let kubeconfig = read(&files()).ok()?;
    let known = |name: &String| kubeconfig.contexts.iter().any(|context| context.name == *name);
    kubeconfig.current_context.clone().filter(known)
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
        let next = Kubeconfig::read_from(file).map_err(|error| {
            Error::new(
                Kind::Invalid,
                format!("the kubeconfig {} cannot be read: {}", file.display(), words(&error)),
            )
        })?;
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(|error| {
                Error::new(Kind::Invalid, format!("the kubeconfig {}: {}", file.display(), words(&error)))
            })?,
        });
    }
    merged.ok_or_else(|| {
        Error::new(Kind::Invalid, format!("there is no kubeconfig: {} does not exist", paths(files)))
            .hint("set KUBECONFIG to the file that describes the cluster")
    })
}

fn no_context(wanted: &[String], known: &[String], files: &[PathBuf]) -> Error {
    let wanted = wanted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let message = format!("the kubeconfig ({}) has no context {wanted}", paths(files));
    let hint = if known.is_empty() {
        "it has no contexts at all; is KUBECONFIG set to the right file?".to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    };
    Error::new(Kind::Invalid, message).hint(hint)
}

fn paths(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Without a terminal nobody can answer a credential program.
fn forbid_prompts(kubeconfig: &mut Kubeconfig) {
    if stdin().is_terminal() {
        return;
    }
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut());
    for exec in users.filter_map(|user| user.exec.as_mut()) {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
}

fn broken(error: &KubeconfigError, context: &str) -> Error {
    let message = format!("the context `{context}` of the kubeconfig is broken: {}", words(error));
    Error::new(Kind::Invalid, message)
}

/// The message of a kubeconfig error without the excerpt of the file, which may hold credentials.
fn words(error: &KubeconfigError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn proxy_comes_from_environment(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let cluster = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.as_ref())
        .map(|context| context.cluster.as_str());
    let own = kubeconfig
        .clusters
        .iter()
        .find(|named| Some(named.name.as_str()) == cluster)
        .and_then(|named| named.cluster.as_ref())
        .and_then(|cluster| cluster.proxy_url.as_deref());
    own.unwrap_or_default().is_empty()
}

/// Whether the environment says that this host is reached directly.
fn without_proxy(host: &str) -> bool {
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
        assert_eq!(error.advice(), Some("it has: lab, dev"));
    }
}
