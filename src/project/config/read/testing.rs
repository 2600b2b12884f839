//! `tests:` of `windlass.yaml`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::graph::{self, Needs};
use crate::project::config::environment::is_name;
use crate::project::config::read::{Reader, TEN_MINUTES, choice, rule};
use crate::project::config::table::{Keys, Table, list, text};
use crate::project::config::yaml::{ConfigNode, Key, Value};
use crate::project::config::{names, quantity};
use crate::project::{On, Ready, ServiceConfig, TestConfig};

pub(crate) const TEST: Keys = Keys {
    known: &[
        "image", "run", "services", "env", "reports", "timeout", "needs", "matrix", "parallel", "retry",
        "memory", "cpus", "on",
    ],
    unbuilt: &["secrets", "health"],
};
pub(crate) const SERVICE: Keys = Keys { known: &["image", "env", "ready"], unbuilt: &["health"] };
pub(crate) const READY: Keys = Keys { known: &["command", "tcp", "http", "log", "timeout"], unbuilt: &[] };

/// How long a service may take to become ready where nothing is said.
const ONE_MINUTE: Duration = Duration::from_secs(60);

impl Reader<'_> {
    pub(crate) fn test(&mut self, key: &Key, node: ConfigNode) -> Result<TestConfig> {
        let name = &key.text;
        names::test(name).map_err(|error| error.at(key.place.clone()))?;
        let mut table = Table::open(&format!("tests.{name}"), node, &TEST)?;
        let image = table.require("image")?;
        let run = table.require("run")?;
        let services = table.path("services");
        let reports = table.path("reports");
        Ok(TestConfig {
            image: self.declared_image(&table.path("image"), &image)?,
            run: command(&table.path("run"), run)?,
            on: rule(&mut table, "on", &[("engine", Some(On::Engine)), ("cluster", Some(On::Cluster))])?
                .unwrap_or_default(),
            services: table.maps("services", |key, node| self.service(&services, key, node))?,
            env: table.texts("env")?,
            reports: table.maps("reports", |kind, node| list(&format!("{reports}.{}", kind.text), node))?,
            timeout: table.duration("timeout", TEN_MINUTES)?,
            needs: self.test_needs(name, &mut table)?,
            matrix: matrix(&mut table)?,
            parallel: number(&mut table, "parallel", 1, 1..=200)?,
            retry: number(&mut table, "retry", 0, 0..=5)?,
            memory: quantity_of(&mut table, "memory", quantity::memory)?,
            cpus: quantity_of(&mut table, "cpus", quantity::processors)?,
        })
    }

    /// The names of other tests; whether these exist is known when all are read.
    fn test_needs(&mut self, test: &str, table: &mut Table) -> Result<Vec<String>> {
        let path = table.path("needs");
        let Some(node) = table.take("needs") else { return Ok(Vec::new()) };
        if let Value::List(items) = &node.value {
            for item in items {
                let keys = ["tests", test, "needs", &text(&path, item)?];
                self.config.places.note(&keys, item.place.clone());
            }
        }
        list(&path, node)
    }

    /// Every test that is needed is there, and none needs itself in the end.
    pub(crate) fn check_test_needs(&self) -> Result<()> {
        let tests = &self.config.tests;
        let at = |error: Error, test: &str, needed: &str| match self
            .config
            .places
            .of(&["tests", test, "needs", needed])
        {
            Some(place) => error.at(place.clone()),
            None => error,
        };
        for (name, test) in tests {
            if let Some(unknown) = test.needs.iter().find(|needed| !tests.contains_key(*needed)) {
                let known = || tests.keys().map(String::as_str);
                let message =
                    format!("`tests.{name}.needs` names the test `{unknown}`, which does not exist");
                let error = Error::new(Kind::Invalid, message).with_hint(choice(unknown, known, "tests"));
                return Err(at(error, name, unknown));
            }
        }
        let needs: Needs = tests.iter().map(|(name, test)| (name.clone(), test.needs.clone())).collect();
        let Some(cycle) = graph::cycle(&needs) else { return Ok(()) };
        let error = Error::new(Kind::Invalid, format!("the tests need each other: {}", cycle.join(" → ")));
        Err(at(error, &cycle[0], &cycle[1]))
    }

    fn declared_image(&self, path: &str, node: &ConfigNode) -> Result<String> {
        let name = text(path, node)?;
        if self.config.images.contains_key(&name) {
            return Ok(name);
        }
        let known = || self.config.images.keys().map(String::as_str);
        let error =
            Error::new(Kind::Invalid, format!("`{path}` names the image `{name}`, which is not in `images`"));
        Err(error.at(node.place.clone()).with_hint(choice(&name, known, "images")))
    }

    fn service(&mut self, path: &str, key: &Key, node: ConfigNode) -> Result<ServiceConfig> {
        names::service(&key.text).map_err(|error| error.at(key.place.clone()))?;
        let mut table = Table::open(&format!("{path}.{}", key.text), node, &SERVICE)?;
        let image = table.require("image")?;
        let path = table.path("image");
        Ok(ServiceConfig {
            image: self.expanded(&path, &image)?.unwrap_or(text(&path, &image)?),
            env: table.texts("env")?,
            ready: table.take("ready").map(|node| ready(&table.path("ready"), node)).transpose()?,
        })
    }
}

pub(super) fn matrix(table: &mut Table) -> Result<BTreeMap<String, Vec<String>>> {
    let path = table.path("matrix");
    table.maps("matrix", |key, node| {
        if !is_name(&key.text) {
            return Err(Error::new(Kind::Invalid, format!("`{}` cannot be a variable's name", key.text))
                .at(key.place.clone())
                .with_hint("letters, digits and `_`, no digit first"));
        }
        let (path, place) = (format!("{path}.{}", key.text), node.place.clone());
        let values = list(&path, node)?;
        if values.is_empty() {
            return Err(Error::new(Kind::Invalid, format!("`{path}` has no value")).at(place));
        }
        Ok(values)
    })
}

fn number(table: &mut Table, key: &str, default: u32, fits: RangeInclusive<u32>) -> Result<u32> {
    let path = table.path(key);
    let Some(node) = table.take(key) else { return Ok(default) };
    let text = text(&path, &node)?;
    text.parse().ok().filter(|number| fits.contains(number)).ok_or_else(|| {
        let message =
            format!("`{path}` must be a number from {} to {}, not `{text}`", fits.start(), fits.end());
        Error::new(Kind::Invalid, message).at(node.place.clone())
    })
}

fn quantity_of<T>(table: &mut Table, key: &str, read: fn(&str) -> Result<T>) -> Result<Option<T>> {
    let path = table.path(key);
    let Some(node) = table.take(key) else { return Ok(None) };
    let amount = read(&text(&path, &node)?);
    amount.map(Some).map_err(|error| error.at(node.place.clone()).context(format!("`{path}`")))
}

fn command(path: &str, node: ConfigNode) -> Result<Vec<String>> {
    if let Value::Scalar(text) = &node.value {
        return Err(Error::new(Kind::Invalid, format!("`{path}` must be a list, not a single value"))
            .at(node.place)
            .with_hint(format!("write `[sh, -c, {text:?}]`")));
    }
    let place = node.place.clone();
    let words = list(path, node)?;
    if words.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("`{path}` is empty")).at(place));
    }
    Ok(words)
}

fn ready(path: &str, node: ConfigNode) -> Result<Ready> {
    let mut table = Table::open(path, node, &READY)?;
    let command = table.take("command").map(|node| command(&table.path("command"), node)).transpose()?;
    let tcp = table.take("tcp").map(|node| port(&table.path("tcp"), &node)).transpose()?;
    let ready = Ready {
        command: command.unwrap_or_default(),
        tcp,
        http: table.text("http")?,
        log: table.text("log")?,
        timeout: table.duration("timeout", ONE_MINUTE)?,
    };
    if ready.command.is_empty() && ready.tcp.is_none() && ready.http.is_none() && ready.log.is_none() {
        return Err(Error::new(Kind::Invalid, format!("`{path}` does not say when the service is ready"))
            .at(table.place().clone())
            .with_hint("`command`, `tcp`, `http` or `log`"));
    }
    Ok(ready)
}

fn port(path: &str, node: &ConfigNode) -> Result<u16> {
    let text = text(path, node)?;
    text.parse().ok().filter(|&port| port > 0).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("`{path}` must be a port, not `{text}`")).at(node.place.clone())
    })
}
