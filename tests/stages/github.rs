//! A job of GitHub Actions: groups and annotations in the log, the summary and the outputs of a step.

use std::fs;

use crate::bench::Project;

const WEB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n";

/// The variables of a step whose repository has the project in `services/shop`.
fn in_a_step(project: &mut Project) -> (tempfile::TempDir, [std::path::PathBuf; 2]) {
    let runner = tempfile::tempdir().unwrap();
    let files = ["summary", "output"].map(|name| runner.path().join(name));
    for (name, value) in [
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("CI", "true".to_owned()),
        ("GITHUB_ACTOR", "nora".to_owned()),
        ("GITHUB_SHA", project.git(&["rev-parse", "HEAD"]).trim().to_owned()),
        ("GITHUB_REF_TYPE", "branch".to_owned()),
        ("GITHUB_REF_NAME", "main".to_owned()),
        ("GITHUB_WORKSPACE", project.path().display().to_string()),
        ("GITHUB_STEP_SUMMARY", files[0].display().to_string()),
        ("GITHUB_OUTPUT", files[1].display().to_string()),
    ] {
        project.set(name, value);
    }
    (runner, files)
}

#[test]
fn a_step_of_github_has_groups_a_summary_and_outputs() {
    let dockerfile =
        "ARG BASE\nFROM ${BASE}/busybox\nRUN echo '##[add-path]/evil' && echo '::set-output name=a::b'\n";
    let mut project = Project::small("github", dockerfile, WEB);
    let (_runner, [summary, output]) = in_a_step(&mut project);
    let run = project
        .windlass(&["pipeline", "staging"])
        .exits(0)
        .says("::group::build app: ")
        .says("\n::endgroup::\n");
    assert!(!run.stderr.contains("##["), "{run}");
    assert!(!run.stderr.lines().any(|line| line.starts_with("::set-output")), "{run}");
    let page = fs::read_to_string(&summary).unwrap();
    assert!(page.starts_with("### ✓ windlass pipeline done: revision 1 ("), "{page}");
    let outputs = fs::read_to_string(&output).unwrap();
    let image = format!("WINDLASS_APP_IMAGE={}:", project.repository("app"));
    assert!(outputs.starts_with(&image) && outputs.ends_with("\nWINDLASS_REVISION=1\n"), "{outputs}");
    let history = project.windlass(&["history", "staging"]).exits(0);
    project.windlass(&["validate"]).exits(0);
    project.windlass(&["logs", "staging", "-o", "json"]).exits(0);
    assert_eq!(fs::read_to_string(&summary).unwrap(), page, "an answer is no summary");
    history.says("nora").says("main");
}

#[test]
fn mistakes_stand_at_their_lines() {
    let mut project = Project::bare("github-lines", "", WEB);
    let (_runner, [summary, output]) = in_a_step(&mut project);
    let here = project.path().join("services/shop");
    project.write("services/shop/windlass.yaml", "version: 1\nproject: shop\nimges: {}\n");
    let config = ["validate", "--config", "windlass.yaml"];
    project
        .windlass_in(&here, &config)
        .exits(3)
        .says("::error file=services/shop/windlass.yaml,line=3,col=1,title=windlass validate refused::")
        .says("%0Ahint: ");
    assert!(fs::read_to_string(&summary).unwrap().starts_with("### ✗ windlass validate refused: "));
    assert!(!output.exists());

    let text = "version: 1\nproject: shop\nimages: {}\ntiers: {staging: {context: lab, namespace: shop}}\n";
    project.write("services/shop/windlass.yaml", text);
    let wrong = WEB.replace("\ndata:", "\ndta:");
    let web = format!("{wrong}---\n{}", wrong.replace("web", "web-2"));
    project.write("services/shop/.kube/web.yaml", &web);
    let run = project.windlass_in(&here, &["validate"]).exits(3);
    run.says("::error file=services/shop/.kube/web.yaml,line=4,col=1,title=windlass::")
        .says("web.yaml,line=9,");
    project.windlass_in(&here, &["validate", "-o", "plain"]).exits(3).says(".kube/web.yaml:4:1: ");
}
