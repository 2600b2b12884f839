//! Commands for which the cluster's records are enough, where everything else is broken.

use std::path::Path;
use std::process::Command;

use crate::bench::{Project, Run, lab, text};

/// A project on fake nodes with two good releases; `key` stands in its tier, too.
fn released(test: &str, key: &str) -> Project {
    let project = Project::bare(test, "", &config("1"));
    if !key.is_empty() {
        project.edit("windlass.yaml", "timeout: 1m", &format!("timeout: 1m, {key}"));
        project.commit("the tier");
    }
    project.windlass(&["release", "staging", "--yes"]).exits(0);
    project.write(".kube/app.yaml", &config("2"));
    project.commit("second");
    project.windlass(&["release", "staging", "--yes"]).exits(0);
    project
}

fn config(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata: {{a: \"{value}\"}}\n")
}

fn value(project: &Project) -> String {
    project.object("configmap/app")["data"]["a"].as_str().unwrap_or_default().to_owned()
}

fn place(project: &Project) -> Vec<String> {
    let words = ["--project", &project.name, "--context", "lab-fake", "--namespace", &project.namespace];
    words.map(str::to_owned).to_vec()
}

/// Runs a command on the tier with everything that its records cannot say.
fn with_place(project: &Project, directory: &Path, words: &[&str]) -> Run {
    let place = place(project);
    let all: Vec<&str> = words.iter().copied().chain(place.iter().map(String::as_str)).collect();
    project.windlass_in(directory, &all)
}

/// The command that an error prints.
fn printed(run: &Run) -> Vec<String> {
    let line =
        run.stderr.lines().find_map(|line| line.split_once("without windlass.yaml and Git: windlass "));
    let (_, command) = line.unwrap_or_else(|| panic!("no command is printed: {run}"));
    command.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_broken_configuration_prints_the_command_that_works() {
    let project = released("broken-config", "");
    project.edit("windlass.yaml", "images:", "imges:");
    let refused = project.windlass(&["rollback", "staging", "--to", "1"]).exits(3).says("did you mean");
    let command = printed(&refused);
    let expected: Vec<String> = ["rollback", "staging", "--to", "1"].map(str::to_owned).to_vec();
    assert_eq!(command, [expected, place(&project)].concat(), "{refused}");
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    project.windlass(&words).exits(0);
    assert_eq!(value(&project), "1");

    // Where it is no YAML, nobody knows where the tier is.
    project.write("windlass.yaml", "version: 1\ntiers: [\n");
    let refused = project.windlass(&["history", "staging", "--project", &project.name]).exits(3);
    let command = printed(&refused).join(" ");
    assert!(command.ends_with("--context CONTEXT --namespace NAMESPACE"), "{command}");
    let here = project.path();
    with_place(&project, &here, &["status", "staging"]).exits(0).says("release   3");
    with_place(&project, &here, &["history", "staging"]).exits(0).says("rollback of 2 to 1");
    with_place(&project, &here, &["explain", "staging"]).exits(0);
    with_place(&project, &here, &["logs", "staging"]).exits(0);
    with_place(&project, &here, &["lock", "staging", "--message", "audit"]).exits(0);
    with_place(&project, &here, &["unlock", "staging"]).exits(0);
    with_place(&project, &here, &["remove", "staging", "--confirm", "staging"]).exits(0);
    assert!(project.object("configmap/app").is_null());
}

#[test]
fn a_repository_of_somebody_else_is_read_where_git_would_read_it() {
    let mut project = released("not-mine", "");
    let owner = |owner: &str| text(Command::new("chown").args(["-R", owner]).arg(project.path()));
    owner("12345:12345");
    project.set("GIT_CONFIG_NOSYSTEM", "1");
    project.set("GIT_CONFIG_GLOBAL", "/dev/null");
    project.windlass(&["plan", "staging"]).exits(6).says("safe.directory");
    let status =
        project.windlass(&["status", "staging"]).exits(0).says("continuing without the Git repository");
    assert!(status.stdout.contains("release   2"), "{status}");
    project.windlass(&["rollback", "staging"]).exits(0);
    assert_eq!(value(&project), "1");
    let silent = with_place(&project, &project.path(), &["history", "staging"]).exits(0);
    assert_eq!(silent.stderr, "", "nothing was read");

    let top = project.path().canonicalize().unwrap();
    let above = top.parent().unwrap().to_str().unwrap().to_owned();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[safe]\n\tdirectory = {}\n", top.display())).unwrap();
    project.set("GIT_CONFIG_GLOBAL", file.path().to_str().unwrap());
    project.windlass(&["validate"]).exits(0);
    project.windlass(&["plan", "staging"]).exits(0);
    project.set("GIT_CONFIG_GLOBAL", "/dev/null");
    for allowed in ["*".to_owned(), format!("{above}/*"), top.display().to_string()] {
        project.set("GIT_CONFIG_COUNT", "1");
        project.set("GIT_CONFIG_KEY_0", "safe.directory");
        project.set("GIT_CONFIG_VALUE_0", allowed);
        project.windlass(&["plan", "staging"]).exits(0);
    }
    project.set("GIT_CONFIG_COUNT", "0");
    project.set("GIT_CONFIG_PARAMETERS", "'safe.directory'='*'");
    project.windlass(&["plan", "staging"]).exits(0);
    text(Command::new("chown").args(["-R", "0:0"]).arg(project.path()));
}

#[test]
fn a_repository_that_cannot_be_read_does_not_stop_a_rollback() {
    let project = released("sha256", "");
    let other = tempfile::tempdir().unwrap();
    text(Command::new("git").args(["init", "-q", "--object-format=sha256"]).current_dir(other.path()));
    std::fs::copy(project.path().join("windlass.yaml"), other.path().join("windlass.yaml")).unwrap();
    std::fs::create_dir(other.path().join("below")).unwrap();
    project.windlass_in(other.path(), &["plan", "staging"]).exits(3).says("Git repository cannot be read");
    let below = other.path().join("below");
    project.windlass_in(&below, &["rollback", "staging"]).exits(0).says("continuing without the Git");
    assert_eq!(value(&project), "1");

    // Reftable, which libgit2 does not know either; the remote still names the project.
    let git = |words: &[&str]| text(Command::new("git").args(words).current_dir(other.path()));
    std::fs::remove_dir_all(other.path().join(".git")).unwrap();
    git(&["init", "-q"]);
    git(&["remote", "add", "origin", &format!("git@git.example.com:{}.git", project.name)]);
    git(&["config", "core.repositoryFormatVersion", "1"]);
    git(&["config", "extensions.refStorage", "reftable"]);
    let config = std::fs::read_to_string(other.path().join("windlass.yaml")).unwrap();
    let named = format!("project: {}\n", project.name);
    std::fs::write(other.path().join("windlass.yaml"), config.replace(&named, "")).unwrap();
    project.windlass_in(other.path(), &["plan", "staging"]).exits(3);
    let status = project.windlass_in(&below, &["status", "staging"]).exits(0);
    assert!(status.stdout.contains("release   3"), "{status}");
}

#[test]
fn the_rules_of_a_tier_hold_without_its_configuration() {
    let mut project = released("kept-rules", "confirm: true, protected: true");
    let elsewhere = tempfile::tempdir().unwrap();
    let back = |project: &Project, more: &[&str]| {
        with_place(project, elsewhere.path(), &[&["rollback", "staging"], more].concat())
    };
    back(&project, &[]).exits(34).says("must be confirmed").says("--yes");
    project.set("CI_COMMIT_REF_PROTECTED", "false");
    back(&project, &["--yes"]).exits(34).says("protected");
    with_place(&project, elsewhere.path(), &["remove", "staging", "--confirm", "staging"])
        .exits(34)
        .says("protected branch");
    assert_eq!(value(&project), "2", "nothing has changed");
    project.windlass(&["rollback", "staging", "--yes"]).exits(34).says("protected");
    project.set("CI_COMMIT_REF_PROTECTED", "true");
    back(&project, &["--yes"]).exits(0);
    assert_eq!(value(&project), "1");
    back(&project, &["--to", "2"]).exits(34).says("must be confirmed");

    // What the configuration says from now on counts from the next release on.
    project.edit("windlass.yaml", "confirm: true, protected: true", "confirm: false");
    project.commit("everybody may");
    project.windlass(&["release", "staging", "--override", "rolled-back", "--reason", "a test"]).exits(0);
    back(&project, &[]).exits(0);
}

#[test]
fn a_kubeconfig_may_be_named() {
    let mut project = released("kubeconfig", "");
    let file = tempfile::NamedTempFile::new().unwrap();
    let view = ["config", "view", "--raw", "--flatten", "--minify", "--context", "lab-fake"];
    std::fs::write(file.path(), text(Command::new("kubectl").args(view))).unwrap();
    assert!(!lab("KUBECONFIG").is_empty());
    project.set("KUBECONFIG", "/nowhere/kubeconfig");
    project.windlass(&["status", "staging"]).exits(3).says("--kubeconfig");
    let path = file.path().to_str().unwrap();
    project.windlass(&["status", "staging", "--kubeconfig", path]).exits(0).says("release   2");
    let name = file.path().file_name().unwrap().to_str().unwrap();
    let short = ["-C", "..", "history", "staging", "--kubeconfig", name, "-n", &project.namespace];
    let place = ["--project", &project.name, "--context", "lab-fake"];
    let directory = file.path().parent().unwrap().join("kubeconfig-of-a-test");
    std::fs::create_dir_all(&directory).unwrap();
    project.windlass_in(&directory, &[&short[..], &place[..]].concat()).exits(0);
    std::fs::remove_dir(directory).unwrap();
}
