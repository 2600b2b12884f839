//! The entrance of the fuzzer: kubeconfigs.

use std::path::Path;

use crate::cluster::kubeconfig;
use crate::cluster::kubeconfig::endpoint;
use crate::error::{Error, Kind, Result};

/// Reads a kubeconfig and what its first context of these says of server and user. No program for credentials is run.
///
/// # Errors
/// Those of the kubeconfig.
pub(crate) fn kubeconfig(bytes: &[u8], contexts: &[&str]) -> Result<String> {
    let read = kubeconfig::parse(bytes, Path::new("/nowhere"));
    let read = read.map_err(|why| Error::new(Kind::Invalid, why))?;
    let has = |name: &&&str| read.contexts.iter().any(|context| context.name == **name);
    let Some(name) = contexts.iter().find(has) else { return Ok("no context".to_owned()) };
    let (cluster, mut user) = kubeconfig::chosen(read, name)?;
    let config = endpoint::config(&cluster, name)?;
    endpoint::identify(&mut user, name)?;
    Ok(format!("{name}: {:?}", config.cluster_url.scheme()))
}
