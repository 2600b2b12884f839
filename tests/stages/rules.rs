//! The rules of a tier: what holds a release back, and how it goes on all the same.

use crate::bench::Project;

const WEB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n";
const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}/busybox\nCOPY Dockerfile version* /\n";

#[test]
fn an_older_commit_is_brought_back_by_its_own_pipeline_alone_and_a_diverged_one_is_refused() {
    let mut project = Project::small("older", DOCKERFILE, WEB);
    project.set("CI_PIPELINE_ID", "17");
    project.windlass(&["pipeline", "staging"]).exits(0);
    project.edit(".kube/app.yaml", "{a: b}", "{a: c}");
    project.commit("second");
    project.set("CI_PIPELINE_ID", "18");
    project.windlass(&["pipeline", "staging"]).exits(0);

    project.git(&["checkout", "-q", "HEAD~1"]);
    let refused = project.windlass(&["release", "staging"]).exits(34);
    refused.says("is older: it was good there as release 1").says("rollback staging --to 1").says("git pull");
    assert_eq!(project.object("configmap/web")["data"]["a"], "c");
    project.set("CI_PIPELINE_ID", "17");
    project.windlass(&["plan", "staging"]).exits(0).says("rolls back to release 1");
    project.windlass(&["release", "staging"]).exits(0).says("this pipeline made release 1");
    assert_eq!(project.object("configmap/web")["data"]["a"], "b");
    project.windlass(&["history", "staging"]).exits(0).says("rollback of 2 to 1");
    project.windlass(&["release", "staging"]).exits(0).says("1 unchanged");

    // That the older one came back says nothing against the newer one.
    project.set("CI_PIPELINE_ID", "19");
    project.git(&["checkout", "-q", "main"]);
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("configmap/web")["data"]["a"], "c");
    project.git(&["checkout", "-q", "HEAD~1"]);

    project.git(&["checkout", "-q", "-b", "aside"]);
    project.git(&["commit", "-q", "--amend", "-m", "another first"]);
    project.windlass(&["build"]).exits(0);
    project.windlass(&["plan", "staging"]).exits(0).says("a release would be refused: staging runs");
    project
        .windlass(&["pipeline", "staging"])
        .exits(34)
        .says("the two have diverged")
        .says("--override diverged");
    let override_it = ["release", "staging", "--override", "diverged", "--reason", "a trial"];
    project.windlass(&override_it).exits(0);
    project.windlass(&["history", "staging", "-o", "json"]).exits(0).says("a trial");
}

#[test]
fn a_tier_takes_its_branches_and_what_was_good_before() {
    let project = Project::small("promote", DOCKERFILE, WEB);
    project.edit(
        "windlass.yaml",
        "timeout: 3m}\n",
        &format!(
            "timeout: 3m}}\n  production: {{context: lab-real, namespace: {}-production, after: staging, branches: [main], \
             protected: true, confirm: true}}\n",
            project.namespace
        ),
    );
    project.commit("production");
    project.windlass(&["pipeline", "--kill-jobs"]).exits(2);
    project.windlass(&["release", "staging", "--reason", "x"]).exits(2).says("--reason needs --override");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["release", "production"]).exits(34).says("must be confirmed").says("--yes");
    project
        .windlass(&["plan", "production"])
        .exits(0)
        .says("a release would be refused: this was not good on staging");
    project.windlass(&["release", "production", "--yes"]).exits(34).says("was not good on staging");
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["release", "production", "--yes"]).exits(0);

    project.write("version", "2");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["release", "production", "--yes"]).exits(34).says("protected");
    project.git(&["checkout", "-q", "-b", "feature"]);
    project.commit("a feature");
    project.windlass(&["build"]).exits(0);
    project
        .windlass(&["release", "production", "--yes"])
        .exits(34)
        .says("takes only main, and this is feature");
    project.drop_namespace(&format!("{}-production", project.namespace));
}

/// A clone as a job of GitLab has it: one commit, its parents unknown.
fn shallow(origin: &std::path::Path, commit: &str) -> tempfile::TempDir {
    let clone = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        crate::bench::text(std::process::Command::new("git").arg("-C").arg(clone.path()).args(arguments))
    };
    git(&["init", "-q"]);
    git(&["remote", "add", "origin", &format!("file://{}", origin.display())]);
    git(&["fetch", "-q", "--depth", "1", "origin", commit]);
    git(&["checkout", "-q", "FETCH_HEAD"]);
    clone
}

#[test]
fn a_clone_that_is_too_shallow_is_deepened_and_never_guessed_about() {
    let project = Project::bare("shallow", "", WEB);
    let mut commits = Vec::new();
    for step in 0..4 {
        project.write(".kube/app.yaml", &WEB.replace("a: b", &format!("a: step-{step}")));
        project.commit(&format!("step {step}"));
        commits.push(project.git(&["rev-parse", "HEAD"]).trim().to_owned());
    }
    let runs = |step: usize, code: i32| {
        let clone = shallow(&project.path(), &commits[step]);
        project.windlass_in(clone.path(), &["release", "staging"]).exits(code)
    };
    runs(0, 0);
    runs(2, 0);
    runs(1, 34).says("is older and was never good there");
    runs(0, 34).says("is older: it was good there as release 1");
    assert_eq!(project.object("configmap/web")["data"]["a"], "step-2");
    runs(3, 0);

    let clone = shallow(&project.path(), &commits[2]);
    let git = |arguments: &[&str]| {
        crate::bench::text(std::process::Command::new("git").arg("-C").arg(clone.path()).args(arguments))
    };
    git(&["remote", "set-url", "origin", "file:///nowhere"]);
    let unknown = project.windlass_in(clone.path(), &["release", "staging"]).exits(5);
    unknown.says("too shallow to tell").says("git fetch --unshallow");
    let forced = ["release", "staging", "--override", "older,diverged,rolled-back", "--reason", "INC-9"];
    project.windlass_in(clone.path(), &forced).exits(0);
}

#[test]
fn what_runs_and_is_in_no_branch_here_is_not_overwritten() {
    let project = Project::bare("hotfix", "", WEB);
    project.windlass(&["release", "staging"]).exits(0);
    project.git(&["checkout", "-q", "-b", "hotfix/pay"]);
    project.edit(".kube/app.yaml", "{a: b}", "{a: hot}");
    project.commit("hotfix");
    let hotfix = project.git(&["rev-parse", "HEAD"]).trim()[..8].to_owned();
    project.windlass(&["release", "staging"]).exits(0);
    project.git(&["checkout", "-q", "main"]);
    project.edit(".kube/app.yaml", "{a: b}", "{a: c}");
    project.commit("next");
    project.windlass(&["release", "staging"]).exits(34).says(&format!("staging runs {hotfix} of hotfix/pay"));
    project.git(&["merge", "-q", "-s", "ours", "--no-edit", "hotfix/pay"]);
    project.windlass(&["release", "staging"]).exits(0);
}

#[test]
fn a_tier_is_pinned_to_its_cluster_and_asks_before_it_is_rolled_back() {
    let project = Project::bare("pinned", "", WEB);
    project.windlass(&["release", "staging"]).exits(0);
    project.edit(
        "windlass.yaml",
        "timeout: 1m",
        "timeout: 1m, confirm: true, cluster: 00000000-0000-0000-0000-000000000000",
    );
    project.edit(".kube/app.yaml", "{a: b}", "{a: c}");
    project.commit("pinned");
    project.windlass(&["release", "staging"]).exits(34).says("must be confirmed");
    project.windlass(&["release", "staging", "--yes"]).exits(34).says("pinned").says("--override cluster");
    let forced = ["--override", "cluster", "--reason", "moved"];
    project.windlass(&[&["release", "staging", "--yes", "--untested"], &forced[..]].concat()).exits(0);
    let history =
        ["history", "staging", "-o", "json", "--context", "lab-fake", "--namespace", &project.namespace];
    project.edit("windlass.yaml", ", cluster: 00000000-0000-0000-0000-000000000000", "");
    let newest = project.windlass(&history).exits(0).events().remove(0);
    assert_eq!(
        newest["overrides"],
        serde_json::json!([{"rule": "cluster", "reason": "moved"}]),
        "the one that counted"
    );
    project.windlass(&["rollback", "staging"]).exits(34).says("must be confirmed");
    project.windlass(&["rollback", "staging", "--yes"]).exits(0);
}

#[test]
fn a_job_runs_once_per_content_also_when_another_ran_since() {
    let job = |step: u32| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: migrate}}\nspec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: \"busybox:{step}\"}}]}}}}}}\n"
        )
    };
    let project = Project::bare("once", "", &job(1));
    project.windlass(&["release", "staging"]).exits(0);
    project.write(".kube/app.yaml", &job(2));
    project.commit("second");
    project.windlass(&["release", "staging"]).exits(0);
    let uid = project.object("job/migrate")["metadata"]["uid"].clone();
    project.windlass(&["rollback", "staging"]).exits(0);
    project.git(&["checkout", "-q", "HEAD~1"]);
    project.windlass(&["release", "staging"]).exits(0);
    assert_eq!(project.object("job/migrate")["metadata"]["uid"], uid, "nothing ran again");
}

#[test]
fn content_that_comes_back_under_another_commit_is_that_content() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {restartPolicy: Never, \
               containers: [{name: a, image: app, command: [\"true\"]}]}}}\n";
    let project = Project::small("revert", DOCKERFILE, job);
    project.write(".dockerignore", ".*\nREADME\n");
    project.commit("what is built");
    let pipeline = || project.windlass(&["pipeline", "staging"]);
    pipeline().exits(0);
    project.write("version", "2");
    project.commit("second");
    pipeline().exits(0).says("1 run");
    project.git(&["revert", "--no-edit", "HEAD"]);
    pipeline().exits(0).says("1 unchanged");

    // And what was rolled back from stays so under every commit.
    project.write("version", "2");
    project.commit("second again");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["release", "staging"]).exits(0);
    project.windlass(&["rollback", "staging"]).exits(0);
    project.write("README", "no part of the image");
    project.commit("a word about it");
    project.windlass(&["build"]).exits(0);
    project.windlass(&["release", "staging"]).exits(34).says("(same content) was rolled back on ");
}

#[test]
fn a_job_of_the_environment_of_another_tier_is_refused() {
    let tier = "  production: {context: lab-fake, namespace: nobody-s}\n";
    let mut project = Project::bare("environment", tier, WEB);
    project.set("CI_ENVIRONMENT_NAME", "Production");
    let refused = project.windlass(&["release", "staging"]).exits(34);
    refused.says("is `Production`, the name of tier production").says("--override environment");
    project.windlass(&["release", "staging", "--override", "environment", "--reason", "a test"]).exits(0);
    project.set("CI_ENVIRONMENT_NAME", "staging");
    project.windlass(&["release", "staging"]).exits(0);
}
