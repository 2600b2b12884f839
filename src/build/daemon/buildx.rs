//! A builder created by `docker buildx create`, by its name: buildx keeps a file of each beside the configuration of docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::connection::{Location, Tls};
use crate::engine::host;
use crate::error::{Error, Kind, Result};
use crate::text::nearest;

/// What buildx keeps of a builder, as far as it is read here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    driver: String,
    nodes: Vec<BuilderNode>,
}

/// One of the daemons of a builder.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BuilderNode {
    name: String,
    endpoint: String,
    driver_opts: Option<BTreeMap<String, String>>,
}

/// Where the first daemon of the builder of this name is.
///
/// # Errors
/// [`Kind::Invalid`] for a name that buildx does not know, and for a driver that is not known here.
pub(super) fn locate(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Location> {
    let directory = store(variable).map(|store| store.join("instances"));
    let text = directory.as_ref().and_then(|directory| std::fs::read_to_string(directory.join(name)).ok());
    let Some(text) = text else { return Err(unknown(name, directory.as_deref())) };
    let broken = |why: &dyn std::fmt::Display| {
        Error::new(
            Kind::Invalid,
            format!("cannot read what buildx has recorded of the builder `{name}`: {why}"),
        )
        .with_hint(format!("see `docker buildx inspect {name}`"))
    };
    let instance: Instance = serde_json::from_str(&text).map_err(|error| broken(&error))?;
    let node = instance.nodes.into_iter().next().ok_or_else(|| broken(&"it has no node"))?;
    match instance.driver.as_str() {
        "remote" => Ok(Location::Address { tls: tls(&node), address: node.endpoint }),
        "docker-container" => {
            Ok(Location::Container { name: format!("buildx_buildkit_{}", node.name), of: name.to_owned() })
        }
        driver => {
            let message = format!(
                "the builder `{name}` has the driver `{driver}`; windlass supports `remote` and \
                 `docker-container`"
            );
            let hint = if driver == "docker" {
                "this is the Docker Engine itself: remove `builder:`"
            } else {
                "give the address of its daemon: `builder: tcp://buildkitd:1234`"
            };
            Err(Error::new(Kind::Invalid, message).with_hint(hint))
        }
    }
}

/// The directory in which buildx keeps its builders.
fn store(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let own = variable("BUILDX_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    own.or_else(|| Some(host::configuration(variable)?.join("buildx")))
}

/// The files that the driver `remote` was given.
fn tls(node: &BuilderNode) -> Option<Tls> {
    let option = |name: &str| node.driver_opts.as_ref()?.get(name).filter(|value| !value.is_empty());
    let file = |name: &str| option(name).map(PathBuf::from);
    let identity = file("cert").zip(file("key"));
    Some(Tls { ca: file("cacert")?, identity, server_name: option("servername").cloned() })
}

fn unknown(name: &str, directory: Option<&Path>) -> Error {
    let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok()).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut known: Vec<String> = names.collect();
    known.sort();
    let address = "or give an address: `builder: tcp://buildkitd:1234`";
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("`docker buildx create --name {name}` creates it; {address}"),
        None => format!("buildx has {}; {address}", known.join(", ")),
    };
    Error::new(Kind::Invalid, format!("buildx has no builder `{name}`")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(files: &[(&str, &str)], name: &str) -> Result<String> {
        let home = tempfile::tempdir().unwrap();
        let instances = home.path().join(".docker/buildx/instances");
        std::fs::create_dir_all(&instances).unwrap();
        for (name, text) in files {
            std::fs::write(instances.join(name), text).unwrap();
        }
        let variable = |name: &str| (name == "HOME").then(|| home.path().to_string_lossy().into_owned());
        locate(name, &variable).map(|found| format!("{found:?}"))
    }

    const REMOTE: &str = r#"{"Name": "far", "Driver": "remote", "Nodes": [{"Name": "far0", "Endpoint": "tcp://b.test:1234",
        "Platforms": null, "DriverOpts": {"cacert": "/c/ca.pem", "cert": "/c/cert.pem", "key": "/c/key.pem", "servername": "b"},
        "Flags": null, "Files": null}], "Dynamic": false}"#;
    const CONTAINER: &str = r#"{"Name": "shop", "Driver": "docker-container", "Nodes": [{"Name": "shop0",
        "Endpoint": "unix:///var/run/docker.sock", "Platforms": [], "DriverOpts": null}], "Dynamic": false}"#;

    #[test]
    fn a_builder_is_found_by_its_name() {
        let far = located(&[("far", REMOTE)], "far").unwrap();
        for part in
            ["tcp://b.test:1234", "/c/ca.pem", "/c/cert.pem", "/c/key.pem", "server_name: Some(\"b\")"]
        {
            assert!(far.contains(part), "{part}: {far}");
        }
        let shop = located(&[("shop", CONTAINER)], "shop").unwrap();
        assert!(shop.contains("buildx_buildkit_shop0"), "{shop}");
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is() {
        let said = |files: &[(&str, &str)], name: &str| {
            let error = located(files, name).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            format!("{error} ({})", error.hint().unwrap_or_default())
        };
        assert!(said(&[("shop", CONTAINER)], "shp").contains("did you mean `shop`?"));
        let other = said(&[("shop", CONTAINER)], "elsewhere");
        assert!(other.contains("buildx has shop;") && other.contains("tcp://buildkitd:1234"), "{other}");
        assert!(said(&[], "shop").contains("docker buildx create --name shop"));
        let engine = said(&[("e", &REMOTE.replace("remote", "docker"))], "e");
        assert!(engine.contains("remove `builder:`"), "{engine}");
        assert!(said(&[("e", "{")], "e").contains("cannot read what buildx has recorded"));
        assert!(said(&[("e", r#"{"Driver": "remote", "Nodes": []}"#)], "e").contains("it has no node"));
    }
}
