//! A compose file as images, workloads and secrets. What a cluster does not have is said, not imitated.

mod interpolation;
mod secrets;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Kind as ErrorKind, Place, Result};
use crate::init::compose::interpolation::in_manifest;
use crate::init::compose::secrets::{Environment, Resolved};
use crate::init::compose::service::{Build, Service};
use crate::init::container::{Container, Port};
use crate::init::images::{Image, object_name, read as dockerfile};
use crate::init::workload::{Kind, Mount, Workload};
use crate::project;
use crate::report::view::setup::init::FirstFiles;

/// What a compose file comes to.
#[derive(Debug, Default)]
pub(super) struct Composition {
    pub(super) images: Vec<Image>,
    pub(super) workloads: Vec<Workload>,
    /// As `windlass.yaml` has them.
    pub(super) vars: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// The names that Docker looks for.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// A well-known image of a database or the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Database {
    /// A part of its name.
    name: &'static str,
    port: u16,
    /// Where its data lies.
    data: Option<&'static str>,
}

const fn well_known(name: &'static str, port: u16, data: Option<&'static str>) -> Database {
    Database { name, port, data }
}

const DATABASES: [Database; 11] = [
    well_known("postgres", 5432, Some("/var/lib/postgresql/data")),
    well_known("postgis", 5432, Some("/var/lib/postgresql/data")),
    well_known("mariadb", 3306, Some("/var/lib/mysql")),
    well_known("mysql", 3306, Some("/var/lib/mysql")),
    well_known("mongo", 27017, Some("/data/db")),
    well_known("redis", 6379, None),
    well_known("valkey", 6379, None),
    well_known("memcached", 11211, None),
    well_known("rabbitmq", 5672, Some("/var/lib/rabbitmq")),
    well_known("elasticsearch", 9200, Some("/usr/share/elasticsearch/data")),
    well_known("clickhouse", 8123, Some("/var/lib/clickhouse")),
];

/// The compose file of a repository.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    NAMES.iter().map(PathBuf::from).find(|name| root.join(name).is_file())
}

/// The names of its services, as far as it can be read.
pub(super) fn services(root: &Path, file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let tree = project::strings(&text).unwrap_or_default();
    tree["services"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Reads a compose file, relative to the root.
///
/// # Errors
/// [`ErrorKind::Invalid`] for what is no compose file, and for two services whose names become one.
pub(super) fn read(root: &Path, file: &Path, notes: &mut FirstFiles) -> Result<Composition> {
    let invalid = |message: String| Error::new(ErrorKind::Invalid, message).at(Place::file(file));
    let text = std::fs::read_to_string(root.join(file))
        .map_err(|error| invalid(format!("it cannot be read: {error}")))?;
    let mut tree = project::yaml_tree(&text, file)?;
    let Some(services) = tree.get_mut("services").map(Value::take).and_then(merged) else {
        return Err(invalid("this is not a compose file: it has no `services`".to_owned()));
    };
    let names = object_names(&services).map_err(invalid)?;
    let shown = file.display().to_string();
    let needed = Needed::of(&services);
    let mut reader = Reader {
        root,
        directory: file.parent().unwrap_or(Path::new("")),
        shown: &shown,
        notes,
        images: Vec::new(),
        vars: BTreeMap::new(),
    };
    let (mut workloads, mut environments) = (Vec::new(), Vec::new());
    // What runs once takes its image from what goes on running.
    let (jobs, others): (Vec<_>, Vec<_>) =
        names.iter().partition(|(name, _)| needed.completed.contains(*name));
    for (name, object) in others.into_iter().chain(jobs) {
        let service = Service { name, tree: &services[name] };
        if let Some(workload) = reader.workload(&service, object, &needed) {
            let is_database = matches!(workload.kind, Kind::Database { .. });
            let (written, others) = service.environment();
            for name in others {
                reader.leave(service.name, format!("a container cannot have a variable `{name}`"));
            }
            environments.push(Environment { workload: object, is_database, written });
            workloads.push(workload);
        }
    }
    let Reader { images, vars: of_images, notes, .. } = reader;
    let Resolved { mut variables, secrets, mut vars } = Resolved::of(&environments);
    vars.extend(of_images);
    for workload in &mut workloads {
        workload.env = variables.remove(&workload.name).unwrap_or_default();
    }
    note(&workloads, &secrets, &shown, notes);
    Ok(Composition { images, workloads, vars, secrets })
}

/// The services with what `<<` takes in from elsewhere.
fn merged(services: Value) -> Option<Map<String, Value>> {
    let Value::Object(services) = services else { return None };
    let merge = |(name, service): (String, Value)| {
        let Value::Object(mut own) = service else { return (name, service) };
        let taken = match own.remove("<<") {
            Some(Value::Array(all)) => all,
            Some(one) => vec![one],
            None => Vec::new(),
        };
        for entries in taken.into_iter().filter_map(|one| one.as_object().cloned()) {
            for (key, value) in entries {
                own.entry(key).or_insert(value);
            }
        }
        (name, Value::Object(own))
    };
    Some(services.into_iter().map(merge).filter(|(name, _)| !name.starts_with("x-")).collect())
}

/// Each service with the name of its workload, which is the host name under which others reach it.
fn object_names(services: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for name in services.keys() {
        let object =
            object_name(name).ok_or_else(|| format!("the service `{name}` has no letter in its name"))?;
        if let Some((other, _)) = names.iter().find(|(_, known)| **known == object) {
            return Err(format!(
                "the services `{other}` and `{name}` would both be called `{object}` in the cluster"
            ));
        }
        names.insert(name.clone(), object);
    }
    Ok(names)
}

/// What other services wait for.
#[derive(Default)]
struct Needed {
    started: BTreeSet<String>,
    /// It must have run to its end.
    completed: BTreeSet<String>,
}

impl Needed {
    fn of(services: &Map<String, Value>) -> Self {
        let mut needed = Self::default();
        for (name, tree) in services {
            for (other, condition) in (Service { name, tree }).depends_on() {
                if condition == "service_completed_successfully" {
                    needed.completed.insert(other);
                } else {
                    needed.started.insert(other);
                }
            }
        }
        needed
    }
}

struct Reader<'a> {
    root: &'a Path,
    directory: &'a Path,
    shown: &'a str,
    notes: &'a mut FirstFiles,
    images: Vec<Image>,
    vars: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn workload(&mut self, service: &Service<'_>, object: &str, needed: &Needed) -> Option<Workload> {
        let (image, mut container, known) = self.image(service, object)?;
        let others = service.other_keys();
        if !others.is_empty() {
            self.leave(service.name, format!("{} of it", others.join(", ")));
        }
        let ports = service.ports();
        if !ports.is_empty() {
            container.ports = ports;
        }
        if let (Some(known), true) = (known, container.ports.is_empty()) {
            container.ports.push(Port { number: known.port, is_udp: false });
        }
        container.healthcheck = service.healthcheck(container.healthcheck.take());
        let user = service.user();
        let sets_user = user.is_some();
        container.user = user.or(container.user);
        let kind = if needed.completed.contains(service.name) {
            Kind::Job
        } else if known.is_some() {
            Kind::Database { is_needed: needed.started.contains(service.name) }
        } else {
            Kind::Deployment
        };
        Some(Workload {
            kind,
            sets_user,
            is_built: self.images.iter().any(|built| built.name == image),
            mounts: self.mounts(service, object, &container, known),
            entrypoint: service.words("entrypoint"),
            arguments: service.words("command"),
            memory_limit: service.memory_limit(),
            ..Workload::of(object, &image, container.with_port_of_check())
        })
    }

    /// Its image, what is known of its container, and whether it is a well-known database; `None`, with the reason noted, where
    /// there is none to be had.
    fn image(
        &mut self,
        service: &Service<'_>,
        object: &str,
    ) -> Option<(String, Container, Option<Database>)> {
        let why = if service.has_profiles() {
            "it has `profiles`, so it only starts on request".to_owned()
        } else {
            match (service.build(self.directory), service.image()) {
                (Ok(Some(build)), _) => {
                    let (image, container) = self.built(build, object);
                    return Some((image, container, None));
                }
                (Ok(None), Some(image)) => {
                    let known = database(&image);
                    let image = in_manifest(service.text_as_written("image"), &mut self.vars);
                    return Some((image, Container::default(), known));
                }
                (Ok(None), None) => "its image is not known".to_owned(),
                (Err(why), _) => why,
            }
        };
        self.leave(service.name, why);
        None
    }

    fn mounts(
        &mut self,
        service: &Service<'_>,
        object: &str,
        container: &Container,
        known: Option<Database>,
    ) -> Vec<Mount> {
        let (mut mounts, binds) = service.mounts(object);
        for bind in binds {
            let why = format!("the bind mount `{bind}`: put it into the image, or into a ConfigMap");
            self.leave(service.name, why);
        }
        for path in &container.volumes {
            if !mounts.iter().any(|mount| mount.path == *path) {
                mounts.push(Mount::of_path(object, path));
            }
        }
        let is_kept = |path: &str| mounts.iter().any(|mount| path.starts_with(&mount.path));
        if let Some(path) = known.and_then(|known| known.data).filter(|path| !is_kept(path)) {
            let name = "data".to_owned();
            mounts.push(Mount { name: name.clone(), path: path.to_owned(), claim: Some(name) });
        }
        unique_names(&mut mounts);
        mounts
    }

    /// The image of a build; services that are built in the same way have the same.
    fn built(&mut self, build: Build, object: &str) -> (String, Container) {
        let Build { context, dockerfile: file, target, args } = build;
        let is_same = |one: &&Image| {
            (&one.context, &one.dockerfile, &one.target, &one.args) == (&context, &file, &target, &args)
        };
        if let Some(image) = self.images.iter().find(is_same) {
            return (image.name.clone(), image.container.clone());
        }
        let container = dockerfile(self.root, &file).container(target.as_deref());
        let name = object.to_owned();
        let image = Image { name, context, dockerfile: file, target, args, container };
        let made = (image.name.clone(), image.container.clone());
        self.images.push(image);
        made
    }

    fn leave(&mut self, service: &str, why: String) {
        self.notes.leave(format!("{}: {service}", self.shown), why);
    }
}

/// Volumes of a pod may not have the same name.
fn unique_names(mounts: &mut [Mount]) {
    let mut seen = BTreeSet::new();
    for (index, mount) in mounts.iter_mut().enumerate() {
        if !seen.insert(mount.name.clone()) {
            mount.name = format!("{}-{index}", mount.name);
            seen.insert(mount.name.clone());
        }
    }
}

fn database(image: &str) -> Option<Database> {
    let last = image.rsplit('/').next()?.split([':', '@']).next()?;
    // `postgres-exporter` is no database.
    let tools = ["exporter", "backup", "admin", "ui", "express", "init", "migrate"];
    let is_tool = tools.iter().any(|word| last.contains(word));
    DATABASES.into_iter().find(|known| last.contains(known.name) && !is_tool)
}

/// What is told of the whole.
fn note(
    workloads: &[Workload],
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
    shown: &str,
    notes: &mut FirstFiles,
) {
    for workload in workloads {
        let kind = match workload.kind {
            Kind::Deployment => "Deployment",
            Kind::Database { .. } => "StatefulSet",
            Kind::Job => "Job, before the rollout",
        };
        notes
            .find(shown.to_owned(), format!("{kind} `{}`: {}", workload.name, workload.container.describe()));
    }
    let names: BTreeSet<&str> = secrets.values().flat_map(|keys| keys.values()).map(String::as_str).collect();
    if !names.is_empty() {
        let names: Vec<&str> = names.into_iter().collect();
        notes
            .need(format!("set {} where releases run: no password was taken from {shown}", names.join(", ")));
    }
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for workload in workloads {
        for claim in workload.mounts.iter().filter_map(|mount| mount.claim.as_deref()) {
            if !matches!(workload.kind, Kind::Database { .. }) {
                users.entry(claim).or_default().push(&workload.name);
            }
        }
    }
    for (claim, users) in users.iter().filter(|(_, users)| users.len() > 1) {
        notes.need(format!(
            "`{claim}` is shared by {}: on more than one node its claim needs ReadWriteMany and a storage class that has it",
            users.join(" and ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::workload::Content;

    fn text_of<'a>(workload: &'a Workload, name: &str) -> Option<&'a str> {
        workload.env.iter().find(|one| one.name == name).and_then(|one| match &one.value {
            Content::Text(text) => Some(text.as_str()),
            Content::Secret { .. } => None,
        })
    }

    const SHOP: &str = "\
x-env: &env
  LOG: ${LOG:-info}
services:
  web:
    build: {context: ., target: runtime}
    ports: ['8080:3000']
    environment:
      <<: *env
      DATABASE_URL: postgres://shop:example@db/shop
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    volumes: ['./src:/src', 'uploads:/uploads']
    restart: always
  migrate:
    build: {context: ., target: runtime}
    command: ./migrate --all
    environment: {DATABASE_URL: postgres://shop:example@db/shop}
  db:
    image: postgres:16
    environment: [POSTGRES_USER=shop, POSTGRES_PASSWORD=example]
    healthcheck: {test: [CMD, pg_isready, -U, shop], interval: 2s}
    privileged: true
  adminer: {image: adminer, profiles: [tools]}
volumes: {uploads: {}}
";

    fn composition(text: &str) -> (Result<Composition>, FirstFiles) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM a AS runtime\nUSER 1000\nEXPOSE 9999\n")
            .unwrap();
        std::fs::write(root.path().join("compose.yaml"), text).unwrap();
        let mut notes = FirstFiles::default();
        let found = read(root.path(), Path::new("compose.yaml"), &mut notes);
        (found, notes)
    }

    #[test]
    fn services_become_workloads() {
        let (found, notes) = composition(SHOP);
        let found = found.unwrap();
        let all: Vec<(&str, &str, Kind)> =
            found.workloads.iter().map(|one| (one.name.as_str(), one.image.as_str(), one.kind)).collect();
        let expected = [
            ("db", "postgres:16", Kind::Database { is_needed: true }),
            ("web", "web", Kind::Deployment),
            ("migrate", "web", Kind::Job),
        ];
        assert_eq!(all, expected);
        assert_eq!(found.images.len(), 1, "one build, one image");
        let [db, web, migrate] = found.workloads.as_slice() else { panic!("three workloads") };
        assert_eq!(
            (db.container.ports[0].number, db.mounts[0].path.as_str()),
            (5432, "/var/lib/postgresql/data")
        );
        assert_eq!(migrate.arguments.as_deref().unwrap(), ["./migrate", "--all"]);
        assert_eq!((web.container.ports[0].number, web.container.user_id()), (3000, Some(1000)));
        assert_eq!(web.mounts[0].claim.as_deref(), Some("uploads"));
        assert_eq!(text_of(web, "LOG"), Some("${LOG}"));
        assert_eq!(text_of(web, "DATABASE_URL"), Some("postgres://shop:$(POSTGRES_PASSWORD)@db/shop"));
        assert_eq!(found.vars["LOG"], "${LOG:-info}");
        assert_eq!(found.secrets["db"]["POSTGRES_PASSWORD"], "POSTGRES_PASSWORD");
        let left: Vec<&str> = notes.left_aside.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(left, ["compose.yaml: adminer", "compose.yaml: db", "compose.yaml: web"]);
        assert!(notes.needed[0].contains("POSTGRES_PASSWORD"), "{:?}", notes.needed);
    }

    #[test]
    fn what_is_no_compose_file_is_refused_with_its_place() {
        let error = |text: &str| composition(text).0.unwrap_err().to_string();
        assert!(error("services: {a: {image: x}\n").starts_with("compose.yaml:"), "{}", error("services: {"));
        assert!(error("version: '3'\n").contains("no `services`"));
        assert!(error("services: [a]\n").contains("no `services`"));
        assert!(
            error("services: {a_b: {image: x}, a-b: {image: y}}").contains("`a_b` and `a-b`"),
            "one name"
        );
    }

    #[test]
    fn strange_values_are_left_aside() {
        let (found, notes) =
            composition("services: {a: 1, b: {image: 5, ports: x, environment: 7}, c: {build: [x]}, d: {}}");
        let names: Vec<String> = found.unwrap().workloads.into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(notes.left_aside.len(), 2, "{:?}", notes.left_aside);
        assert_eq!(
            (database("bitnami/postgresql:16").is_some(), database("x/postgres-exporter")),
            (true, None)
        );
    }

    #[test]
    fn a_file_that_is_cut_or_has_lost_a_line_is_read_or_refused() {
        let lines: Vec<&str> = SHOP.lines().collect();
        for at in 0..lines.len() {
            let lost: String = [&lines[..at], &lines[at + 1..]].concat().join("\n");
            let cut = lines[..at].join("\n");
            let emptied = SHOP.replacen(lines[at], lines[at].split(':').next().unwrap_or_default(), 1);
            for text in [lost, cut, emptied] {
                if let Err(error) = composition(&text).0 {
                    assert!(error.to_string().starts_with("compose.yaml"), "{error}");
                }
            }
        }
    }
}
