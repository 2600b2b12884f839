//! The commit says what it is: what is built under its name is what was committed, and whose branch it is on is nobody's
//! claim.

use std::path::PathBuf;
use std::process::Command;

use crate::bench::{Project, text};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCOPY . /app\n";
const WEB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n";

/// A project of one image and one tier on the fake nodes, whose context leaves `.git` out; `tier` is added to the tier.
fn project(test: &str, tier: &str) -> Project {
    let mut project = Project::small(test, DOCKERFILE, WEB);
    project.on("lab-fake");
    project.edit("windlass.yaml", "lab-real", "lab-fake");
    project.edit("windlass.yaml", "timeout: 3m", &format!("timeout: 1m{tier}"));
    project.write(".dockerignore", ".git\n");
    project.commit("a tier");
    project
}

fn head(project: &Project) -> String {
    project.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

/// What a tag of the project's image leads to; empty where there is none.
fn digest(project: &Project, tag: &str) -> String {
    let (host, name) =
        project.repository("app").split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let manifests = "Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
    let asked = Command::new("curl")
        .args(["-s", "-I", "-H", manifests, &format!("http://{host}/v2/{name}/manifests/{tag}")])
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&asked.stdout).to_lowercase();
    let digest = answer.lines().find_map(|line| line.strip_prefix("docker-content-digest:"));
    digest.unwrap_or_default().trim().to_owned()
}

/// A second clone of the project, as another job or another person has it.
fn clone(project: &Project) -> tempfile::TempDir {
    let clone = tempfile::tempdir().unwrap();
    text(Command::new("git").args(["clone", "-q"]).arg(project.path()).arg(clone.path()));
    clone
}

/// From now on windlass runs in a job of GitLab for this commit of `main`.
fn in_job(project: &mut Project, commit: &str) {
    for (name, value) in [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_PIPELINE_ID", "7"),
        ("CI_COMMIT_SHA", commit),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_PROJECT_ID", "1"),
    ] {
        project.set(name, value);
    }
}

#[test]
fn a_merge_request_from_a_fork_is_never_the_branch_it_is_called_like() {
    let mut project = project("mr", ", branches: [main]");
    let first = head(&project);
    project.git(&["checkout", "-q", "--detach"]);
    in_job(&mut project, &first);
    project.set("CI_COMMIT_BRANCH", "main");
    project.windlass(&["build"]).exits(0);
    let main = digest(&project, "main");
    assert_eq!(main, digest(&project, &first));

    project.write("app.txt", "from a fork");
    project.commit("fork");
    let fork = head(&project);
    in_job(&mut project, &fork);
    project.set("CI_COMMIT_BRANCH", "");
    for (name, value) in [
        ("CI_MERGE_REQUEST_IID", "3"),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "99"),
        ("CI_MERGE_REQUEST_PROJECT_ID", "1"),
    ] {
        project.set(name, value);
    }
    for kind in ["detached", "merged_result", "merge_train"] {
        project.set("CI_MERGE_REQUEST_EVENT_TYPE", kind);
        project.windlass(&["build"]).exits(0).says("of merge request !3");
        assert_ne!(digest(&project, &fork), "", "{kind}");
        assert_eq!(digest(&project, "main"), main, "{kind}: the branch's tag was moved");
        let run = project.windlass(&["release", "staging"]).exits(34);
        run.says("staging takes only main, and this is merge request !3").says("--override branches");
    }
    // A job that checks a branch of that name out is none of that branch either.
    project.git(&["checkout", "-q", "-B", "main"]);
    project.windlass(&["build"]).exits(0);
    assert_eq!(digest(&project, "main"), main);
    project.windlass(&["release", "staging"]).exits(34);
    let override_it = ["release", "staging", "--override", "branches", "--reason", "a trial"];
    project.windlass(&override_it).exits(0);
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert!(history[0]["branch"].is_null(), "{}", history[0]);
}

#[test]
fn a_merge_request_of_the_project_itself_has_no_branch_tag_but_its_branch() {
    let mut project = project("own-mr", "");
    project.git(&["checkout", "-q", "-b", "feature"]);
    let commit = head(&project);
    project.git(&["checkout", "-q", "--detach"]);
    in_job(&mut project, &commit);
    project.set("CI_COMMIT_REF_NAME", "feature");
    project.set("CI_MERGE_REQUEST_IID", "4");
    project.set("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "1");
    project.set("CI_MERGE_REQUEST_PROJECT_ID", "1");
    project.windlass(&["pipeline", "staging"]).exits(0);
    assert_eq!(digest(&project, "feature"), "");
    let history = project.windlass(&["history", "staging", "-o", "json"]).exits(0).events();
    assert_eq!(history[0]["branch"], "feature");
}

#[test]
fn what_git_ignores_makes_another_image_and_moves_no_tag() {
    let project = project("ignored", "");
    project.write(".gitignore", ".env\nnode_modules/\n");
    project.commit("ignored");
    let commit = head(&project);
    project.windlass(&["build"]).exits(0);
    let committed = digest(&project, &commit);
    assert_ne!(committed, "");

    project.write(".env", "DB_PASSWORD=only-on-my-laptop");
    project.write("node_modules/x/i", "1");
    project.write("node_modules/x/j", "2");
    let run = project.windlass(&["build"]).exits(0).says(&format!("{commit}-dirty-"));
    let run = run.says("`.env` (ignored by Git)").says("`node_modules/` (2 files, ignored by Git)");
    run.says(".dockerignore").says("(work tree dirty)");
    assert_eq!(digest(&project, &commit), committed, "the commit's tag was moved");
    assert_eq!(digest(&project, "main"), committed, "the branch's tag was moved");

    std::fs::remove_file(project.path().join(".env")).unwrap();
    std::fs::remove_dir_all(project.path().join("node_modules")).unwrap();
    // Git cannot have committed an empty directory.
    std::fs::create_dir(project.path().join("empty")).unwrap();
    project.windlass(&["build"]).exits(0).says("`empty/` (an empty directory, which Git does not keep)");
    std::fs::remove_dir(project.path().join("empty")).unwrap();
    project.windlass(&["build"]).exits(0).says("1 image already built");
    assert_eq!(digest(&project, &commit), committed);
}

#[test]
fn the_file_of_a_secret_is_refused_in_a_context() {
    let project = project("exposed", "");
    project.edit("windlass.yaml", "tiers:", "secrets: {db: {password: {file: db.password}}}\ntiers:");
    project.write(".gitignore", "db.password\n");
    project.commit("a secret");
    project.windlass(&["build"]).exits(0);
    project.write("db.password", "open-sesame");
    for command in [&["build"][..], &["pipeline", "staging"], &["validate"]] {
        let run = project.windlass(command).exits(3).says("windlass.yaml:5:");
        let run =
            run.says("the file of `secrets.db.password`, `db.password`, is in the build context of `app`");
        let run = run.says("add `db.password` to .dockerignore");
        assert!(!run.stderr.contains("open-sesame"), "{run}");
    }
    project.write(".dockerignore", ".git\ndb.password\n");
    project.commit("left out");
    project.windlass(&["pipeline", "staging"]).exits(0);
}

#[test]
fn what_no_image_holds_makes_no_other_commit() {
    let mut project = project("unread", "");
    project.write(".dockerignore", "*\n!app.txt\n");
    project.write("app.txt", "1");
    project.write("README.md", "read me");
    project.edit("windlass.yaml", "tiers:", "tests: {unit: {image: app, run: [cat, /app/app.txt]}}\ntiers:");
    project.commit("a test");
    let commit = head(&project);
    in_job(&mut project, &commit);

    // A job has a cache and an artifact unpacked, and another has other ones.
    for file in [".npm/c", "dist/d", "README.md"] {
        project.write(file, "of one job");
    }
    let run = project.windlass(&["build"]).exits(0);
    assert!(!run.stderr.contains("dirty"), "{run}");
    assert_ne!(digest(&project, &commit), "");
    let job = clone(&project);
    project.windlass_in(job.path(), &["test"]).exits(0);
    std::fs::create_dir(job.path().join(".npm")).unwrap();
    std::fs::write(job.path().join(".npm/c"), "of another job").unwrap();
    project.windlass_in(job.path(), &["release", "staging"]).exits(0);

    // What a manifest, the configuration or the rules of a context say counts, whether Git knows the file or not.
    for (file, text) in [(".kube/more.yaml", WEB), (".kube/app.yaml", ""), (".dockerignore", "*\n!app*\n")] {
        let job = clone(&project);
        std::fs::write(job.path().join(file), text).unwrap();
        let run = project.windlass_in(job.path(), &["plan", "staging"]);
        assert!(run.code == 34 || run.code == 3, "{file}: {run}");
        project.windlass_in(job.path(), &["build"]).exits(0).says(file).says("-dirty-");
    }
}

#[test]
fn an_image_that_is_not_found_says_what_differs_now_and_what_did_when_it_was_built() {
    let project = project("differs", "");
    project.edit("windlass.yaml", "tiers:", "tests: {unit: {image: app, run: ['true']}}\ntiers:");
    project.commit("a test");
    let short = head(&project)[..8].to_owned();
    project.windlass(&["test"]).exits(34).says(&format!("commit {short} was never built"));

    project.write("dist/d", "made by the job that builds");
    project.windlass(&["build"]).exits(0);
    let other = clone(&project);
    let run = project.windlass_in(other.path(), &["test"]).exits(34).says("`dist/d` (not tracked by Git)");
    let differed =
        format!("image `app` of commit {short} was only built from a work tree that differed from it: ");
    run.says(&differed).says(".dockerignore");
    std::fs::write(other.path().join("own"), "x").unwrap();
    project
        .windlass_in(other.path(), &["test"])
        .exits(34)
        .says(&differed)
        .says("this work tree differs from the commit: `own`");

    std::fs::remove_dir_all(project.path().join("dist")).unwrap();
    project.windlass(&["build"]).exits(0);
    let run = project.windlass_in(other.path(), &["release", "staging"]).exits(34);
    run.says(&format!(
        "image `app` of commit {short} was built, but this work tree is not that commit: `own`"
    ));
    std::fs::remove_file(other.path().join("own")).unwrap();
    project.windlass_in(other.path(), &["test"]).exits(0);
}

#[test]
fn a_job_without_its_commit_is_told_about_git_strategy() {
    let mut project = project("strategy", "");
    project.edit("windlass.yaml", "tiers:", "tests: {unit: {image: app, run: ['true']}}\ntiers:");
    project.commit("a test");
    let commit = head(&project);
    project.windlass(&["pipeline", "staging"]).exits(0);
    in_job(&mut project, &commit);
    let (none, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(project.path().join("windlass.yaml"), none.path().join("windlass.yaml")).unwrap();
    let commands: [&[&str]; 5] =
        [&["build"], &["test"], &["release", "staging"], &["pipeline"], &["plan", "staging"]];
    let refused = |project: &Project, directory: PathBuf| {
        for command in commands {
            let mut arguments = command.to_vec();
            if command.contains(&"staging") {
                arguments.extend(["--context", "lab-fake", "--namespace", &project.namespace]);
                arguments.extend(["--project", &project.name]);
            }
            let run = project.windlass_in(&directory, &arguments).exits(3).says("GIT_STRATEGY");
            assert!(!run.stderr.contains("git init"), "{run}");
        }
    };
    refused(&project, none.path().to_path_buf());
    refused(&project, empty.path().to_path_buf());
    // The records are enough for these.
    let records = ["--project", &project.name, "--context", "lab-fake", "--namespace", &project.namespace];
    for command in ["status", "history", "rollback"] {
        let run = project.windlass_in(empty.path(), &[&[command, "staging"], &records[..]].concat());
        assert!(!run.stderr.contains("GIT_STRATEGY"), "{run}");
        assert!(command == "rollback" || run.code == 0, "{run}");
    }

    // A runner that kept the clone of an older commit.
    project.write("more", "2");
    project.commit("second");
    let second = head(&project);
    project.git(&["checkout", "-q", &commit]);
    in_job(&mut project, &second);
    refused(&project, project.path());
    project.windlass(&["build"]).exits(3).says(&commit[..8]).says(&second[..8]);
    project.windlass(&["status", "staging"]).exits(0);
    // A clone of something else beside the job's own is no business of it.
    project.set("CI_PROJECT_DIR", empty.path().display().to_string());
    project.windlass(&["build"]).exits(0);
}

#[test]
fn what_git_is_told_not_to_look_at_is_seen() {
    let project = project("unseen", "");
    project.write("settings", "committed");
    project.write("other", "committed");
    project.commit("settings");
    let commit = head(&project);
    project.windlass(&["build"]).exits(0);
    let committed = digest(&project, &commit);
    for option in ["--assume-unchanged", "--skip-worktree"] {
        project.git(&["update-index", option, "settings"]);
        project.windlass(&["build"]).exits(0).says("already built");
        project.write("settings", option);
        let run = project.windlass(&["build"]).exits(0).says("`settings` (changed)");
        run.says(&format!("{commit}-dirty-"));
        assert_eq!(digest(&project, &commit), committed, "{option}");
        project.write("settings", "committed");
        let no = option.replace("--", "--no-");
        project.git(&["update-index", &no, "settings"]);
    }
    // A sparse checkout has not all that the commit has.
    project.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/other"]);
    project.windlass(&["build"]).exits(0).says("`other` (deleted)");
}
