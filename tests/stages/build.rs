//! Images, in depth: what goes in, what makes a new one, what a builder says, and the way into the registry.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::{Project, run, text};

/// The files that the docker command's own build copies from a context.
fn as_docker_does(context: &Path) -> BTreeSet<String> {
    let built = text(Command::new("docker").args(["build", "-q"]).arg(context).env("DOCKER_BUILDKIT", "0"));
    let (image, mut files) = (built.trim(), BTreeSet::new());
    let container = text(Command::new("docker").args(["create", image, "x"]));
    let mut export =
        Command::new("docker").args(["export", container.trim()]).stdout(Stdio::piped()).spawn().unwrap();
    let listed = text(
        Command::new("tar").args(["--quoting-style=literal", "-t"]).stdin(export.stdout.take().unwrap()),
    );
    export.wait().unwrap();
    files.extend(listed.lines().filter_map(|line| line.strip_prefix("context/")).map(str::to_owned));
    files.retain(|file| !file.is_empty() && !file.ends_with('/'));
    text(Command::new("docker").args(["rm", container.trim()]));
    text(Command::new("docker").args(["rmi", "-f", image]));
    files
}

/// The files that windlass says would go in.
fn as_listed(project: &Project) -> BTreeSet<String> {
    let run = project.windlass(&["build", "--context-list", "-o", "json"]).exits(0);
    let inside = run.events().into_iter().filter(|one| one["in"] == true);
    inside.map(|one| one["path"].as_str().unwrap().to_owned()).filter(|path| !path.ends_with('/')).collect()
}

#[test]
fn the_context_is_what_the_docker_command_sends() {
    let cases = include_str!("../../fixtures/dockerignore/cases.jsonl").lines();
    let cases = cases.map(|line| serde_json::from_str::<Value>(line).unwrap());
    // The classic builder's client never looks for what a wildcard would bring back; BuildKit's does.
    let plain = |case: &Value| {
        let mut back = case["ignore"].as_str().unwrap().lines().filter(|line| line.trim().starts_with('!'));
        case["error"].is_null() && back.all(|line| !line.contains(['*', '?', '[', '\\']))
    };
    for case in cases.filter(plain).take(24) {
        let project = Project::empty("ignore");
        let names: Vec<&str> = case["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        // Git's own directory is the repository's here.
        for name in names.iter().filter(|name| !name.contains(".git")) {
            project.write(name, name);
        }
        project.write("Dockerfile", "FROM scratch\nCOPY . /context\n");
        project.write(".dockerignore", &format!("{}\n**/.git", case["ignore"].as_str().unwrap()));
        assert_eq!(as_listed(&project), as_docker_does(&project.path()), "{}", case["ignore"]);
    }
}

/// All that is left in of a context must be all that there is in the image.
pub(crate) const FILES: &str = "ARG BASE\nFROM ${BASE}/busybox\nCOPY . /files\n\
     RUN find /files -type f | sort > /found && printf '/files/src/%s\\n' one two/three | diff - /found\n";

/// The Dockerfile is read wherever it is, and seen nowhere.
pub(crate) fn sees_only_what_is_left_in(project: &Project) {
    project.write("src/one", "1");
    project.write("src/two/three", "3");
    project.write("other", "no part of it");
    project.write(".dockerignore", "*\n!src\n");
    project.commit("files");
    project.windlass(&["build"]).exits(0);
    // The same of files that look alike to whoever compares only times and sizes.
    project.write("src/one", "2");
    project.commit("another one");
    let second = project.windlass(&["build", "-o", "json"]).exits(0).finished()["images"]["app"].clone();
    let read = ["run", "--rm", second.as_str().unwrap(), "cat", "/files/src/one"];
    assert_eq!(text(Command::new("docker").args(read)), "2");

    project.write("elsewhere/app.Dockerfile", FILES);
    project.git(&["rm", "-q", "Dockerfile"]);
    project.write("elsewhere/app.Dockerfile.dockerignore", "*\n!src\n");
    project.git(&["mv", "src", "inner"]);
    project.write("inner/src/one", "1");
    project.write("inner/src/two/three", "3");
    project.edit("windlass.yaml", "context: .,", "context: inner, dockerfile: elsewhere/app.Dockerfile,");
    project.commit("elsewhere");
    project.windlass(&["build"]).exits(0);
}

#[test]
fn what_is_left_out_is_in_no_image_the_dockerfile_included() {
    sees_only_what_is_left_in(&Project::small("left-out", FILES, ""));
}

#[test]
fn a_context_that_is_too_big_is_told_with_its_biggest_paths() {
    let project = Project::small(
        "big",
        "ARG BASE\nFROM ${BASE}/busybox\nRUN --mount=type=bind,target=/context cp /context/small /\n",
        "",
    );
    project.write("small", "1");
    std::fs::create_dir_all(project.path().join("deps/vendor")).unwrap();
    let file = std::fs::File::create(project.path().join("deps/vendor/huge")).unwrap();
    file.set_len(101_000_000).unwrap();
    let run = project
        .windlass(&["build"])
        .exits(0)
        .says("the build context of `app` has 101.0 MB: deps/vendor/huge 101.0 MB");
    run.says("build --context-list app");
    // What the Dockerfile cannot read is not sent.
    project.write("Dockerfile", "ARG BASE\nFROM ${BASE}/busybox\nCOPY small /\n");
    let run = project.windlass(&["build"]).exits(0);
    assert!(!run.stderr.contains("the build context of"), "{run}");
}

/// A project of several images, each with a Dockerfile of its own.
fn several(test: &str, images: &str, dockerfiles: &[(&str, &str)]) -> Project {
    let project = Project::empty(test);
    for (name, dockerfile) in dockerfiles {
        project.write(&format!("{name}.Dockerfile"), dockerfile);
    }
    project.write(
        "windlass.yaml",
        &format!("version: 1\nproject: {}\nregistry: ${{REGISTRY}}\nimages:\n{images}", project.name),
    );
    project.write(".dockerignore", "*.Dockerfile\nwindlass.yaml\n.git\n");
    project.commit("first");
    project
}

#[test]
fn an_image_is_built_from_the_digest_of_the_one_it_needs() {
    let project = several(
        "needs",
        "  tools: {dockerfile: tools.Dockerfile, args: {BASE: \"${BASE}\"}}\n\
         \x20 web: {dockerfile: web.Dockerfile, needs: {FROM: tools}}\n\
         \x20 job: {dockerfile: job.Dockerfile, needs: [web]}\n\
         \x20 other: {dockerfile: other.Dockerfile, args: {BASE: \"${BASE}\"}}\n",
        &[
            ("tools", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo one > /tool\n"),
            ("web", "ARG FROM\nFROM ${FROM}\nRUN cat /tool > /web\n"),
            ("job", "ARG WINDLASS_IMAGE_WEB\nFROM ${WINDLASS_IMAGE_WEB}\nRUN cat /web /tool > /job\n"),
            ("other", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo other > /other\n"),
        ],
    );
    // One of them brings along what it needs, and nothing else.
    let first = project.windlass(&["build", "job", "-o", "json"]).exits(0).finished();
    let built: Vec<&String> = first["images"].as_object().unwrap().keys().collect();
    assert_eq!(built, ["job", "tools", "web"]);
    let all = project.windlass(&["build", "-o", "json"]).exits(0).finished();
    assert_eq!(all["images"]["job"], first["images"]["job"]);
    project.edit("tools.Dockerfile", "echo one", "echo two");
    project.commit("another tool");
    let second = project.windlass(&["build", "-o", "json"]).exits(0).finished();
    for image in ["tools", "web", "job"] {
        assert_ne!(second["images"][image], first["images"][image], "{image}");
    }
    let (old, new) = (&all["images"]["other"], &second["images"]["other"]);
    let digest = |image: &Value| image.as_str().unwrap().split_once('@').unwrap().1.to_owned();
    assert_eq!(digest(old), digest(new), "what is not concerned is not built");
    let job = second["images"]["job"].as_str().unwrap();
    let said = text(Command::new("docker").args(["run", "--rm", job, "cat", "/job"]));
    assert_eq!(said, "two\ntwo\n");
}

#[test]
fn what_needs_a_broken_image_is_not_built_and_the_rest_is() {
    let project = several(
        "broken-need",
        "  tools: {dockerfile: tools.Dockerfile, args: {BASE: \"${BASE}\"}}\n\
         \x20 web: {dockerfile: web.Dockerfile, needs: {FROM: tools}}\n\
         \x20 other: {dockerfile: other.Dockerfile, args: {BASE: \"${BASE}\"}}\n",
        &[
            ("tools", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo no tool; exit 4\n"),
            ("web", "ARG FROM\nFROM ${FROM}\n"),
            ("other", "ARG BASE\nFROM ${BASE}/busybox\nRUN echo other > /other\n"),
        ],
    );
    let run = project.windlass(&["build", "-o", "json"]).exits(10);
    let steps: Vec<Value> = run.events().into_iter().filter(|one| one["event"] == "step-finished").collect();
    let ended =
        |name: &str| steps.iter().find(|one| one["step"] == name).unwrap_or_else(|| panic!("{name}: {run}"));
    assert_eq!(ended("build tools")["outcome"], "failed");
    assert_eq!(ended("build web")["summary"], "not built: it needs `tools`");
    assert_eq!(ended("push other")["outcome"], "ok");
    let cause = &run.finished()["causes"][0];
    assert_eq!(
        (&cause["image"], cause["message"].as_str()),
        (&"tools".into(), Some("`RUN echo no tool; exit 4` ended with exit code 4"))
    );
}

#[test]
fn two_builds_of_the_same_content_at_once_agree_on_one_digest() {
    // Same content, built twice: what `RUN` writes has the time of its own build, and so would be two digests.
    let one =
        Project::small("race", "ARG BASE\nFROM ${BASE}/busybox\nRUN sleep 2; echo built > /built\n", "");
    one.write(".dockerignore", ".git\n");
    one.commit("ignore git");
    let clone = tempfile::tempdir().unwrap();
    one.git(&["clone", "-q", ".", clone.path().to_str().unwrap()]);
    let git = |arguments: &[&str]| text(Command::new("git").current_dir(clone.path()).args(arguments));
    git(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "other",
    ]);
    let start = |directory: &Path| {
        let mut command = one.command(directory, &["build", "-o", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running = [start(&one.path()), start(clone.path())];
    let digests = running.map(|child| {
        let output = child.wait_with_output().unwrap();
        let run = run(&output, std::time::Duration::ZERO).exits(0);
        let image = run.finished()["images"]["app"].as_str().unwrap().to_owned();
        (image.split_once('@').unwrap().1.to_owned(), image)
    });
    assert_eq!(digests[0].0, digests[1].0, "{digests:?}");
    assert_ne!(digests[0].1, digests[1].1, "each under the tag of its own commit");
    let again = one.windlass(&["build", "-o", "json"]).exits(0).finished();
    assert_eq!(again["images"]["app"], digests[0].1.as_str());
}

#[test]
fn layers_of_the_branch_are_taken_from_the_registry() {
    let project = Project::small("cache", "ARG BASE\nFROM ${BASE}/busybox\nCOPY a /a\n", "");
    project.write(".dockerignore", ".git\n");
    project.write("a", "1");
    project.commit("one");
    project.windlass(&["build"]).exits(0);
    project.write("a", "2");
    project.commit("two");
    let run = project.windlass(&["build", "-v"]).exits(0);
    run.says(&format!("importing cache manifest from {}:main", project.repository("app")));
    project.edit("windlass.yaml", "{context: .,", "{context: ., cache: false,");
    project.commit("without");
    let run = project.windlass(&["build", "-v"]).exits(0);
    assert!(!run.stderr.contains("importing cache"), "{run}");
}

#[test]
fn what_an_old_engine_cannot_read_is_shown_with_its_line() {
    let project =
        Project::small("novelty", "ARG BASE\nFROM ${BASE}/busybox\n\nRUN <<EOT\necho hello\nEOT\n", "");
    let run = project.windlass(&["build"]).exits(10).says("Dockerfile:4").says("4 │ RUN <<EOT");
    run.says("does not support here-documents (`<<`)").says("`builder:`");
    project.write("Dockerfile", "ARG BASE\nFROM ${BASE}/busybox\nCOPY --link Dockerfile /\n");
    project.commit("link");
    project.windlass(&["build"]).exits(10).says("Dockerfile:3").says("does not support `--link`");
}
