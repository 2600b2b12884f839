//! `docs/performance.md`: the tables, with the machine, the command and the date without which they say nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::contenders::CONTEXT;
use crate::measure::Table;

pub(crate) struct Page(String);

impl Page {
    pub(crate) fn new(binary: &Path) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
        let size = std::fs::metadata(binary).map_or(0, |file| file.len()) / 1_000_000;
        let memory = field("/proc/meminfo", "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|kb| kb.parse::<u64>().ok());
        let gigabytes = memory.unwrap_or_default() / 1_000_000;
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        let target = std::env::var("SPEED_TARGET").unwrap_or_else(|_| "the host's target".to_owned());
        let versions = [
            said("git", &["describe", "--always", "--dirty"]).replace('\n', ""),
            server(),
            said("kubectl", &["version", "--client"]).lines().next().unwrap_or_default().to_lowercase(),
            format!(
                "Helm {}",
                said(
                    &format!("{}/helm", std::env::var("LAB_TOOLS").unwrap_or_default()),
                    &["version", "--short"]
                )
            ),
        ];
        let [commit, server, kubectl, helm] = versions;
        Self(format!(
            "# Performance\n\n\
             Written by `make bench` on {date}, commit {commit}: do not edit.\n\n\
             - Machine: {cores} cores ({}), {gigabytes} GB of memory, load {load} before the start; the cluster, the registry and the \
             Engine of the lab (CONTRIBUTING.md) run on it, too, so that every figure has their work in it. Compare the ratios.\n\
             - windlass: as it is shipped, {target}, {size} MB.\n\
             - Kubernetes {server} with fake nodes, on which pods are ready at once; {kubectl}; {}.\n\
             - *seconds* from start to end, *CPU* in the program and in the kernel for it, *peak MB* the most memory in use (as GNU time \
             says), the median of the rounds. *requests* and *MB* (both directions, headers too) are counted in one more round \
             through a forwarder, by HTTP/1.1 and without TLS.\n\
             - The *floor* is a bare client that makes only the requests without which it cannot be done, eight at a time.\n",
            field("/proc/cpuinfo", "model name"),
            helm.trim(),
        ))
    }

    pub(crate) fn add(&mut self, title: &str, words: &str, table: &Table) {
        let part = format!("\n## {title}\n{words}\n\n{table}");
        println!("{part}");
        let _ = write!(self.0, "{part}");
    }

    pub(crate) fn write(&self) {
        if let Ok(file) = std::env::var("SPEED_PAGE") {
            std::fs::write(file, &self.0).unwrap();
        }
    }
}

/// The value of a file's first line of this name.
fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn server() -> String {
    let version = said("kubectl", &["--context", CONTEXT, "version", "-o", "json"]);
    let version: serde_json::Value = serde_json::from_str(&version).unwrap_or_default();
    version["serverVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
