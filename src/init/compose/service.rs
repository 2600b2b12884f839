//! One service of a compose file, as far as a cluster can have the like of it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::init::compose::interpolation::{in_configuration, resolved};
use crate::init::container::Port;
use crate::init::dockerfile::words;
use crate::init::healthcheck::{Healthcheck, seconds};
use crate::init::workload::Mount;
use crate::project::{is_variable_name, secret_key};

/// A service and what it says.
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) tree: &'a Value,
}

/// What is taken over, and what has no meaning in a cluster.
const TAKEN: [&str; 14] = [
    "image",
    "build",
    "ports",
    "expose",
    "environment",
    "volumes",
    "tmpfs",
    "healthcheck",
    "command",
    "entrypoint",
    "user",
    "depends_on",
    "deploy",
    "mem_limit",
];
const MEANINGLESS: [&str; 12] = [
    "container_name",
    "restart",
    "networks",
    "init",
    "stdin_open",
    "tty",
    "logging",
    "pull_policy",
    "links",
    "platform",
    "hostname",
    "attach",
];

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    /// Relative to the project's root, as is the next.
    pub(super) context: PathBuf,
    pub(super) dockerfile: PathBuf,
    pub(super) target: Option<String>,
    pub(super) args: BTreeMap<String, String>,
}

impl Service<'_> {
    fn text(&self, key: &str) -> Option<String> {
        resolved(self.tree[key].as_str()?)
    }

    /// With its variables.
    pub(super) fn text_as_written(&self, key: &str) -> &str {
        self.tree[key].as_str().unwrap_or_default()
    }

    pub(super) fn image(&self) -> Option<String> {
        self.text("image").or_else(|| self.tree["image"].as_str().map(str::to_owned))
    }

    /// The keys that are not taken over.
    pub(super) fn other_keys(&self) -> Vec<String> {
        let keys = self.tree.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let other =
            keys.filter(|key| !TAKEN.contains(key) && !MEANINGLESS.contains(key) && !key.starts_with("x-"));
        other.map(|key| format!("`{key}`")).collect()
    }

    /// How it is built, with the compose file in this directory; why not, where that is not possible here.
    pub(super) fn build(&self, directory: &Path) -> Result<Option<Build>, String> {
        let tree = &self.tree["build"];
        if tree.is_null() {
            return Ok(None);
        }
        let text = |key: &str| tree[key].as_str().and_then(resolved);
        let context =
            tree.as_str().and_then(resolved).or_else(|| text("context")).unwrap_or_else(|| ".".to_owned());
        if context.contains("://") || context.starts_with("git@") {
            return Err(format!("it is built from `{context}`"));
        }
        let outside = || format!("its build context `{context}` is outside the repository");
        let context = normal(&directory.join(&context)).ok_or_else(outside)?;
        let dockerfile = text("dockerfile").unwrap_or_else(|| "Dockerfile".to_owned());
        let dockerfile = normal(&context.join(dockerfile)).ok_or_else(outside)?;
        let args = pairs(&tree["args"]).into_iter().map(|(name, value)| {
            let value = value.map_or_else(|| format!("${{{name}}}"), |value| in_configuration(&value));
            (name, value)
        });
        Ok(Some(Build { context, dockerfile, target: text("target"), args: args.collect() }))
    }

    /// The ports of the container: those that are published, and those that are not.
    pub(super) fn ports(&self) -> Vec<Port> {
        let published = self.tree["ports"].as_array().into_iter().flatten();
        let published = published.filter_map(|entry| match entry {
            Value::Object(_) => {
                let protocol = entry["protocol"].as_str().unwrap_or("tcp");
                Some(format!("{}/{protocol}", entry["target"].as_str()?))
            }
            // `127.0.0.1:8080:80/tcp`: the last is the container's.
            _ => resolved(entry.as_str()?)?.rsplit(':').next().map(str::to_owned),
        });
        let exposed = self.tree["expose"].as_array().into_iter().flatten();
        let exposed = exposed.filter_map(|entry| resolved(entry.as_str()?));
        let mut ports: Vec<Port> = Vec::new();
        for port in published.chain(exposed).filter_map(|text| Port::parse_range(&text)).flatten() {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }

    /// Its check, or that of its image; `None` also where it is switched off.
    pub(super) fn healthcheck(&self, of_image: Option<Healthcheck>) -> Option<Healthcheck> {
        let Some(tree) = self.tree["healthcheck"].as_object() else { return of_image };
        let text = |key: &str| tree.get(key).and_then(Value::as_str).and_then(resolved);
        let command = tree.get("test").unwrap_or(&Value::Null);
        if text("disable").as_deref() == Some("true") || command == "NONE" || command[0] == "NONE" {
            return None;
        }
        let Some(mut check) = tested(command) else { return of_image };
        check.interval = text("interval").and_then(|text| seconds(&text));
        check.timeout = text("timeout").and_then(|text| seconds(&text));
        check.start_period = text("start_period").and_then(|text| seconds(&text));
        check.retries = text("retries").and_then(|text| text.parse().ok());
        Some(check)
    }

    /// The words of `command` or `entrypoint`.
    pub(super) fn words(&self, key: &str) -> Option<Vec<String>> {
        match &self.tree[key] {
            Value::String(line) => Some(words(&resolved(line)?)).filter(|words| !words.is_empty()),
            Value::Array(all) if !all.is_empty() => all.iter().map(|word| resolved(word.as_str()?)).collect(),
            _ => None,
        }
    }

    pub(super) fn user(&self) -> Option<String> {
        self.text("user")
    }

    /// The variables as written; one without a value is that of whoever starts it. And the names of those that no pod of every
    /// supported version of Kubernetes can have.
    pub(super) fn environment(&self) -> (Vec<(String, String)>, Vec<String>) {
        let all = pairs(&self.tree["environment"]).into_iter();
        let all = all.map(|(name, value)| {
            let value = value.unwrap_or_else(|| format!("${{{name}}}"));
            (name, value)
        });
        let (some, others): (Vec<_>, Vec<_>) = all.partition(|(name, _)| is_key(name));
        (some, others.into_iter().map(|(name, _)| name).collect())
    }

    /// Its volumes, those of the project by their names; and the bind mounts, which a cluster does not have.
    pub(super) fn mounts(&self, object: &str) -> (Vec<Mount>, Vec<String>) {
        let (mut mounts, mut binds) = (Vec::new(), Vec::new());
        for entry in self.tree["volumes"].as_array().into_iter().flatten() {
            let Some(Volume { kind, source, target }) = volume(entry) else { continue };
            let mount = Mount::of_path(object, &target);
            match kind {
                VolumeKind::Bind => binds.push(source),
                VolumeKind::Temporary => mounts.push(Mount { claim: None, ..mount }),
                VolumeKind::Anonymous => mounts.push(mount),
                VolumeKind::Named => {
                    let name = crate::init::images::object_name(&source).unwrap_or(mount.name);
                    mounts.push(Mount { claim: Some(name.clone()), name, path: target });
                }
            }
        }
        let temporary = match &self.tree["tmpfs"] {
            Value::String(path) => vec![path.clone()],
            other => {
                other.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
            }
        };
        for path in temporary {
            let path = path.split(':').next().unwrap_or_default().to_owned();
            mounts.push(Mount { claim: None, ..Mount::of_path(object, &path) });
        }
        (mounts, binds)
    }

    /// The services that must be there before it, each with the condition.
    pub(super) fn depends_on(&self) -> Vec<(String, String)> {
        match &self.tree["depends_on"] {
            Value::Object(map) => map
                .iter()
                .map(|(name, entry)| {
                    (name.clone(), entry["condition"].as_str().unwrap_or_default().to_owned())
                })
                .collect(),
            other => {
                let names = other.as_array().into_iter().flatten().filter_map(Value::as_str);
                names.map(|name| (name.to_owned(), String::new())).collect()
            }
        }
    }

    /// As Kubernetes writes it: `512Mi` for `512m`.
    pub(super) fn memory_limit(&self) -> Option<String> {
        let written = self.tree["deploy"]["resources"]["limits"]["memory"].as_str();
        let text = resolved(written.or_else(|| self.tree["mem_limit"].as_str())?)?.to_lowercase();
        let digits = text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok().filter(|number| *number > 0)?;
        let unit = match text[digits..].trim() {
            "" | "b" => "",
            "k" | "kb" | "kib" => "Ki",
            "m" | "mb" | "mib" => "Mi",
            "g" | "gb" | "gib" => "Gi",
            _ => return None,
        };
        Some(format!("{number}{unit}"))
    }

    /// Whether somebody must ask for it.
    pub(super) fn has_profiles(&self) -> bool {
        self.tree["profiles"].as_array().is_some_and(|all| !all.is_empty())
    }
}

struct Volume {
    kind: VolumeKind,
    source: String,
    target: String,
}

enum VolumeKind {
    Named,
    Anonymous,
    Bind,
    Temporary,
}

/// `data:/data:ro`, `./conf:/etc/x`, `/data`, or the long form.
fn volume(entry: &Value) -> Option<Volume> {
    let kind = |source: &str| {
        if source.is_empty() {
            VolumeKind::Anonymous
        } else if source.starts_with(['.', '/', '~']) {
            VolumeKind::Bind
        } else {
            VolumeKind::Named
        }
    };
    if entry.is_object() {
        let text = |key: &str| entry[key].as_str().and_then(resolved).unwrap_or_default();
        let (source, target) = (text("source"), text("target"));
        let kind = match text("type").as_str() {
            "bind" => VolumeKind::Bind,
            "tmpfs" => VolumeKind::Temporary,
            "volume" => kind(&source),
            _ => return None,
        };
        return target.starts_with('/').then_some(Volume { kind, source, target });
    }
    let text = resolved(entry.as_str()?)?;
    let (source, target) = match text.split_once(':') {
        Some((source, rest)) => (source, rest.split(':').next().unwrap_or_default()),
        None => ("", text.as_str()),
    };
    let volume = Volume { kind: kind(source), source: source.to_owned(), target: target.to_owned() };
    target.starts_with('/').then_some(volume)
}

/// A line for the shell, or words after `CMD` or `CMD-SHELL`.
fn tested(test: &Value) -> Option<Healthcheck> {
    if let Value::String(line) = test {
        return Some(Healthcheck::shell(&resolved(line)?));
    }
    let words: Vec<String> = test.as_array()?.iter().filter_map(Value::as_str).filter_map(resolved).collect();
    match words.split_first()? {
        (how, rest) if how == "CMD" && !rest.is_empty() => Some(Healthcheck::of(rest.to_vec())),
        (how, [line, ..]) if how == "CMD-SHELL" => Some(Healthcheck::shell(line)),
        _ => None,
    }
}

/// A map, or a list of `NAME=value`; one without a value is in the environment, where not everything can be.
fn pairs(tree: &Value) -> Vec<(String, Option<String>)> {
    let can_be = |(name, value): &(String, Option<String>)| value.is_some() || is_variable_name(name);
    if let Value::Object(map) = tree {
        let pairs = map.iter().map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned)));
        return pairs.filter(can_be).collect();
    }
    let entries = tree.as_array().into_iter().flatten().filter_map(Value::as_str);
    let pair = |entry: &str| match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (entry.to_owned(), None),
    };
    entries.map(pair).filter(can_be).collect()
}

/// Whether it can be the name of a variable of a container, and the key of a Secret.
fn is_key(name: &str) -> bool {
    !name.starts_with(|one: char| one.is_ascii_digit()) && secret_key(name).is_ok()
}

/// The path without `.` and `..`; `None` where it leaves the directory it begins in.
pub(super) fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(if normal.as_os_str().is_empty() { PathBuf::from(".") } else { normal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_name_of_a_variable_is_left_out() {
        let tree = json!({"environment": ["TOKEN=a", "B C=1", "100%", "my.key=2", "1A=3", "=4"], "build": {"args": ["A", "B C", "D E=1"]}});
        let service = Service { name: "api", tree: &tree };
        let (written, others) = service.environment();
        assert_eq!(written, [("TOKEN".to_owned(), "a".to_owned()), ("my.key".to_owned(), "2".to_owned())]);
        assert_eq!(others, ["B C", "1A", ""]);
        let args = service.build(Path::new("")).unwrap().unwrap().args;
        assert_eq!(args.keys().collect::<Vec<_>>(), ["A", "D E"]);
    }

    fn with<T>(tree: &Value, read: impl Fn(Service<'_>) -> T) -> T {
        read(Service { name: "web", tree })
    }

    #[test]
    fn ports_are_the_container_s() {
        let ports = json!({"ports": ["8080:80", "127.0.0.1:53:53/udp", "9000", "3000-3001:4000-4001",
            {"target": "443", "published": "8443"}, "${P:-1}:${Q:-2}"], "expose": ["80", "7"]});
        let numbers = with(&ports, |one| one.ports().iter().map(|port| port.number).collect::<Vec<_>>());
        assert_eq!(numbers, [80, 53, 9000, 4000, 4001, 443, 2, 7]);
    }

    #[test]
    fn a_check_is_a_line_or_words() {
        let command = |test: Value| {
            let tree = json!({"healthcheck": {"test": test, "retries": "7", "interval": "3s"}});
            let check = with(&tree, |one| one.healthcheck(None));
            check.map(|check| (check.command.join(" "), check.retries, check.interval))
        };
        let expected = |words: &str| Some((words.to_owned(), Some(7), Some(3)));
        assert_eq!(command(json!("a $$B")), expected("/bin/sh -c a $B"));
        assert_eq!(command(json!(["CMD", "pg_isready", "-U", "x"])), expected("pg_isready -U x"));
        assert_eq!(command(json!(["CMD-SHELL", "a || b"])), expected("/bin/sh -c a || b"));
        assert_eq!(command(json!([])).or(command(json!(["CMD"]))), None);
        let of_image = Some(Healthcheck::shell("x"));
        let with_image = |tree: Value| with(&tree, |one| one.healthcheck(of_image.clone()));
        assert_eq!(with_image(json!({})), of_image);
        assert_eq!(with_image(json!({"healthcheck": {"test": ["NONE"]}})), None);
        assert_eq!(with_image(json!({"healthcheck": {"disable": "true"}})), None);
    }

    #[test]
    fn volumes_are_named_anonymous_temporary_or_none_of_a_cluster() {
        let tree = json!({"volumes": ["db_data:/var/lib/x:rw", "/data", "./conf:/etc/conf:ro", "/tmp/a",
            {"type": "volume", "source": "up", "target": "/up"}, {"type": "tmpfs", "target": "/t"},
            {"type": "bind", "source": "/b", "target": "/c"}, "nonsense:"], "tmpfs": "/run/x:size=1m"});
        let (mounts, binds) = with(&tree, |one| one.mounts("web"));
        let all: Vec<(&str, Option<&str>)> =
            mounts.iter().map(|mount| (mount.path.as_str(), mount.claim.as_deref())).collect();
        let expected = [
            ("/var/lib/x", Some("db-data")),
            ("/data", Some("web-data")),
            ("/tmp/a", None),
            ("/up", Some("up")),
            ("/t", None),
            ("/run/x", None),
        ];
        assert_eq!(all, expected);
        assert_eq!(binds, ["./conf", "/b"]);
    }

    #[test]
    fn a_build_stays_inside_the_repository() {
        let build = |tree: Value, directory: &str| {
            with(&json!({"build": tree}), |one| one.build(Path::new(directory)))
        };
        let found = build(
            json!({"context": "../api", "dockerfile": "d/Dockerfile.x", "args": ["A=1", "B"]}),
            "deploy",
        );
        let found = found.unwrap().unwrap();
        assert_eq!(
            (found.context, found.dockerfile),
            (PathBuf::from("api"), PathBuf::from("api/d/Dockerfile.x"))
        );
        assert_eq!(found.args["B"], "${B}");
        assert_eq!(build(json!("."), "").unwrap().unwrap().dockerfile, PathBuf::from("Dockerfile"));
        assert!(build(json!("../.."), "deploy").is_err());
        assert!(build(json!("https://example.com/x.git"), "").is_err());
        assert_eq!(build(json!(null), ""), Ok(None));
    }

    #[test]
    fn what_is_not_taken_over_is_known() {
        let tree = json!({"image": "a", "restart": "always", "x-y": "z", "cap_add": [], "env_file": ".env"});
        assert_eq!(with(&tree, |one| one.other_keys()), ["`cap_add`", "`env_file`"]);
        let limit = |text: &str| with(&json!({"mem_limit": text}), |one| one.memory_limit());
        assert_eq!(limit("512m").as_deref(), Some("512Mi"));
        assert_eq!(limit("1GB").as_deref(), Some("1Gi"));
        assert_eq!(limit("0").or(limit("x")).or(limit("1.5g")), None);
    }
}
