//! Completions as a shell asks for them: tiers, images and tests of windlass.yaml, revisions and objects of the cluster's records.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Project, Run, run, windlass};

const APP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n---\n\
                   apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: api}}\n  \
                   template:\n    metadata: {labels: {app: api}}\n    spec: {containers: [{name: api, image: \"nobody.test/nothing\"}]}\n";

/// What fish is offered for the last of these words.
fn offered(project: &Project, words: &[&str]) -> Run {
    let began = Instant::now();
    let mut command = project.command(&project.path(), &[&["--", "windlass"], words].concat());
    run(&command.env("COMPLETE", "fish").output().unwrap(), began.elapsed())
}

/// What is offered besides options, and nobody was told anything.
fn names(run: &Run) -> Vec<&str> {
    assert_eq!(run.stderr, "", "{run}");
    let names = run.stdout.lines().map(|line| line.split('\t').next().unwrap());
    names.filter(|name| !name.starts_with('-')).collect()
}

#[test]
fn revisions_and_objects_are_those_of_the_records() {
    let project = Project::bare("complete", "  review/*: {context: lab-fake, namespace: nobody-s}\n", APP);
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "{a: b}", "{a: c}");
    project.commit("second");
    project.windlass(&["release", "staging"]).exits(0);

    let revisions = offered(&project, &["rollback", "staging", "--to", ""]).exits(0);
    assert_eq!(names(&revisions), ["2", "1"], "the newest first: {revisions}");
    let commit = project.git(&["rev-parse", "--short=8", "HEAD~1"]);
    assert!(revisions.stdout.lines().nth(1).unwrap().ends_with(commit.trim()), "{revisions}");
    let objects = offered(&project, &["logs", "staging", ""]).exits(0);
    assert_eq!(names(&objects)[0], "Deployment/api", "{objects}");
    assert!(!objects.stdout.contains("ConfigMap"), "it has no pods: {objects}");

    // Options before and behind, and no tier yet.
    let kubeconfig = std::env::var("KUBECONFIG").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let flags = [
        "--project",
        &project.name,
        "--context",
        "lab-fake",
        "-n",
        &project.namespace,
        "--kubeconfig",
        &kubeconfig,
    ];
    let words = [&["--", "windlass", "-q", "rollback", "staging"], &flags[..], &["--to", ""]].concat();
    let mut command = project.command(elsewhere.path(), &words);
    let output = command.env("COMPLETE", "fish").env("KUBECONFIG", "/nowhere").output().unwrap();
    assert_eq!(names(&run(&output, Duration::ZERO)), ["2", "1"], "nothing but the flags is needed");
    assert_eq!(offered(&project, &["rollback", "--to", ""]).exits(0).stdout, "");
    assert_eq!(
        offered(&project, &["rollback", "review/x", "--to", ""]).exits(0).stdout,
        "",
        "nothing was released there"
    );
}

#[test]
fn a_cluster_that_does_not_answer_is_not_waited_for() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    let mut project = Project::bare("complete-mute", "", APP);
    let file = project.path().with_extension("mute");
    let config = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: u, user: {{token: nobody}}}}]\ncontexts: [{{name: lab-fake, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&file, config).unwrap();
    project.set("KUBECONFIG", file.display().to_string());
    let asked = offered(&project, &["rollback", "staging", "--to", ""]).exits(0);
    assert_eq!(names(&asked), [""; 0]);
    assert!(asked.took < Duration::from_secs(2), "{:?}", asked.took);

    // A credential program that wants to ask: it has no terminal, and nobody hears of it.
    let config = std::fs::read_to_string(&file).unwrap().replace(
        "{token: nobody}",
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: IfAvailable, \
         args: [-c, \"echo password: >&2; cat >/dev/tty; sleep 60\"]}}",
    );
    std::fs::write(&file, config).unwrap();
    let asked = offered(&project, &["logs", "staging", ""]).exits(0);
    assert_eq!(names(&asked), [""; 0]);
    assert!(asked.took < Duration::from_secs(2), "{:?}", asked.took);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn tiers_images_and_tests_are_those_of_windlass_yaml() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("windlass.yaml");
    let text = "version: 1\nproject: shop\nregistry: registry.test/shop\nimages: {web: {context: .}, worker: {context: .}}\n\
                tests: {unit: {image: web, run: [\"true\"]}}\n\
                tiers:\n  staging: {context: lab, namespace: shop}\n  production: {context: lab, namespace: shop-p}\n  \
                review/*: {context: lab, namespace: \"shop-${WINDLASS_SLUG}\"}\n";
    std::fs::write(&config, text).unwrap();
    let asked = |words: &[&str]| {
        let began = Instant::now();
        let mut command = windlass(directory.path(), &[&["--", "windlass"], words].concat());
        let output = command.env("COMPLETE", "fish").env("KUBECONFIG", "/nowhere").output().unwrap();
        let run = run(&output, began.elapsed()).exits(0);
        assert_eq!(run.stderr, "", "nobody is told anything");
        run
    };
    let all = asked(&["release", ""]);
    assert_eq!(names(&all), ["production", "review/", "staging"]);
    assert!(all.took < Duration::from_millis(400), "about 30 ms alone: {:?}", all.took);
    for command in
        ["pipeline", "rollback", "status", "history", "logs", "plan", "lock", "explain", "doctor", "render"]
    {
        assert_eq!(names(&asked(&[command, "st"])), ["staging"], "{command}");
    }
    assert_eq!(names(&asked(&["remove", "staging", "--confirm", "st"])), ["staging"]);
    assert_eq!(names(&asked(&["build", "w"])), ["web", "worker"]);
    assert_eq!(names(&asked(&["test", "u"])), ["unit"]);
    assert_eq!(names(&asked(&["test", "--tier", "prod"])), ["production"]);
    assert_eq!(names(&asked(&["help", "image-not"])), ["image-not-found"]);
    assert_eq!(names(&asked(&["roll"])), ["rollback"]);

    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("windlass.yaml"), text.replace("staging", "stage-2")).unwrap();
    let there = elsewhere.path().display().to_string();
    assert_eq!(names(&asked(&["-C", &there, "release", "st"])), ["stage-2"]);
    std::fs::write(&config, "version: 1\ntiers: [").unwrap();
    assert_eq!(asked(&["release", "st"]).stdout, "", "a broken file");
    std::fs::write(&config, text.replace("lab,", "lab, rolback: auto,")).unwrap();
    assert_eq!(asked(&["release", "st"]).stdout, "", "one that no command would take");
    for name in ["st a", "st\\e[8m", "st`id`", "st;id", "st|id", "st$(id)", "st\\nid"] {
        std::fs::write(&config, text.replace("staging:", &format!("\"{name}\":"))).unwrap();
        assert_eq!(asked(&["release", "st"]).stdout, "", "what a shell would take apart or obey: {name}");
    }
}

/// The scripts that `generate completions` prints, in the shells themselves.
#[test]
fn bash_zsh_and_fish_complete() {
    let directory = tempfile::tempdir().unwrap();
    let text = "version: 1\nproject: shop\nimages: {}\ntiers: {staging: {context: lab, namespace: shop}}\n";
    std::fs::write(directory.path().join("windlass.yaml"), text).unwrap();
    let path = format!(
        "{}:{}",
        std::path::Path::new(env!("CARGO_BIN_EXE_windlass")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let said = |program: &str, script: &str| {
        let mut command = Command::new("timeout");
        command.args(["30", program, "-c", script]).current_dir(directory.path()).env("PATH", &path);
        let run = run(&command.stdin(Stdio::null()).output().unwrap(), Duration::ZERO);
        run.stdout + &run.stderr
    };
    let bash = "source <(windlass generate completions bash); COMP_WORDS=(windlass release st); COMP_CWORD=2; COMP_TYPE=9; \
                _clap_complete_windlass windlass st release 2>&1; echo \"${COMPREPLY[@]}\"";
    assert_eq!(said("bash", bash), "staging\n");
    let fish = "windlass generate completions fish | source; complete --do-complete 'windlass release st'";
    let fish = said("fish", fish);
    assert!(fish.starts_with("staging"), "{fish}");
    // As a file in a directory of functions: the first TAB already completes.
    let zsh = "mkdir functions; windlass generate completions zsh >functions/_windlass; fpath=($PWD/functions $fpath); \
               autoload -Uz compinit; compinit -u -D; zmodload zsh/zpty; \
               zpty z zsh -f -i; zpty -w z \"PS1=; fpath=($PWD/functions \\$fpath); autoload -Uz compinit; compinit -u -D; echo re''ady\"; \
               zpty -m z '*ready*' >/dev/null; zpty -w -n z $'windlass release st\\t'; zpty -r -m z text '*staging*' && echo found; zpty -d z";
    let zsh = said("zsh", zsh);
    assert!(zsh.contains("found"), "{zsh}");
    let version = windlass(directory.path(), &["version"]).env("COMPLETE", "1").output().unwrap();
    assert!(version.status.success(), "a variable of that name that means something else");
}
